"""Writes testdata/compat.json: the logits that other programs' preparation of pictures and texts leads to.

    python tools/parity/answers.py GOLDEN MODE [PIXELS]

GOLDEN is the folder of the golden checkpoints. The lines of MODE are replaced, the others stay:

    hf, openclip     transformers 5.23, torch 2.8, open_clip 3.3
    hf5              the same with ATEN_CPU_CAPABILITY=avx2
    openai           with openai-clip on the path (pip install --no-deps openai-clip)
    hf4              transformers 4.57.6, tokenizers 0.22 and huggingface_hub 0.36 on the path
    tfjs             PIXELS is the folder that tfjs.mjs wrote

Pixel values and ids are the program's own. The weights are run by transformers, with the activation that the program has.
"""
import json
import os
import shutil
import sys
import tempfile

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import AutoModel, AutoTokenizer

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
OUT = os.path.join(ROOT, "testdata", "compat.json")
SAMPLES = "internal/imageio/testdata/samples/"
PICTURES = ["testdata/owl.png", SAMPLES + "RGBA.png", SAMPLES + "P.png", SAMPLES + "L.png", SAMPLES + "I16.png", SAMPLES + "1.png"]
TEXTS = ["This is a photo of owl.", "a_Photo of THE cat, isn't it?", "caf\u00e9 &amp; cr\u00e8me", "two  dogs"]
DEMO = "tools/demo-model/checkpoint"
OPEN_CLIP = "openclip-vit-quickgelu"
CHECKPOINTS = {
    "hf": [DEMO, "siglip", "siglip2-fixed", "metaclip_2", OPEN_CLIP],
    "hf5": [DEMO, "siglip", "siglip2-fixed", OPEN_CLIP],
    "hf4": [DEMO, "siglip", "siglip2-fixed", "siglip2-naflex"],
    "openclip": [DEMO, "siglip", "siglip2-fixed", "metaclip_2", OPEN_CLIP],
    "openai": [DEMO, OPEN_CLIP],
    "tfjs": [DEMO, "siglip", "siglip2-fixed"],
}


def load_image(name):
    return Image.open(os.path.join(ROOT, name))


def hf_pixels(folder, backend):
    from transformers import AutoImageProcessor

    kwargs = {"use_fast": False} if backend is None else {"backend": backend}
    processor = AutoImageProcessor.from_pretrained(folder, **kwargs)
    return lambda im: processor(im.convert("RGB"), return_tensors="pt")


def open_clip_pixels(folder):
    from open_clip.transform import PreprocessCfg, image_transform_v2

    c = json.load(open(os.path.join(folder, "preprocessor_config.json")))
    squash = "shortest_edge" not in c["size"]
    size = c["size"]["height"] if squash else c["size"]["shortest_edge"]
    transform = image_transform_v2(PreprocessCfg(size=size, mean=c["image_mean"], std=c["image_std"], resize_mode="squash" if squash else "shortest"), is_train=False)
    return lambda im: {"pixel_values": transform(im)[None]}


def openai_pixels(folder):
    from clip.clip import _transform

    transform = _transform(json.load(open(os.path.join(folder, "preprocessor_config.json")))["crop_size"]["height"])
    return lambda im: {"pixel_values": transform(im)[None]}


def hf_tokens(folder, siglip):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    padding = {"padding": "max_length", "max_length": 64, "truncation": True} if siglip else {"padding": True}
    return dict(tokenizer(TEXTS, return_tensors="pt", **padding))


def open_clip_tokens(folder, siglip):
    import open_clip.tokenizer as oc

    model = json.load(open(os.path.join(folder, "config.json")))
    if model["model_type"] == "metaclip_2":
        return {"input_ids": oc.HFTokenizer(folder, context_length=model["text_config"]["max_position_embeddings"])(TEXTS)}
    if not siglip:
        # The demo model has a vocabulary of its own: what SimpleTokenizer does to the text, before CLIP's merges, as BPE sees it.
        tokenizer = AutoTokenizer.from_pretrained(folder)
        cleaned = [oc._clean_lower(text) for text in TEXTS]
        return dict(tokenizer(cleaned, return_tensors="pt", padding="max_length", max_length=32))
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        path = os.path.join(copy, "tokenizer_config.json")
        config = json.load(open(path))
        if config["tokenizer_class"] == "SiglipTokenizer":
            config["tokenizer_class"] = "T5Tokenizer"  # what timm's checkpoints name
        json.dump(config, open(path, "w"))
        json.dump({"model_type": "t5"}, open(os.path.join(copy, "config.json"), "w"))
        tokenizer = oc.HFTokenizer(copy, context_length=64, clean="canonicalize")
        return {"input_ids": tokenizer(TEXTS)}


def as_published(folder, name):
    """The tokenizer's files as the public checkpoints have them, which transformers 4 reads too."""
    path = os.path.join(folder, "tokenizer_config.json")
    if not os.path.exists(path):
        return
    config = json.load(open(path))
    config.pop("extra_special_tokens", None)
    if name.startswith("siglip2-"):
        config |= {"tokenizer_class": "GemmaTokenizer", "add_bos_token": False, "add_eos_token": True}
        path_json = os.path.join(folder, "tokenizer.json")
        tokenizer = json.load(open(path_json))
        tokenizer["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
        json.dump(tokenizer, open(path_json, "w"))
    json.dump(config, open(path, "w"))


def open_clip_answer(golden, mode):
    """A checkpoint in open_clip's layout, run by open_clip, on the inputs that other programs make for a CLIP of its size."""
    import open_clip

    folder = os.path.join(golden, OPEN_CLIP)
    model, _, transform = open_clip.create_model_and_transforms("local-dir:" + folder)
    size = json.load(open(os.path.join(folder, "open_clip_config.json")))["preprocess_cfg"]["size"]
    with tempfile.TemporaryDirectory() as like:
        with open(os.path.join(like, "preprocessor_config.json"), "w") as f:
            json.dump({"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": size}, "crop_size": {"height": size, "width": size}}, f)
        prepare = {"hf": lambda: hf_pixels(like, "pil"), "hf5": lambda: hf_pixels(like, "torchvision"), "openai": lambda: openai_pixels(like),
                   "openclip": lambda: lambda im: {"pixel_values": transform(im)[None]}}[mode]()
    if mode == "openclip":
        ids = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    elif mode == "openai":
        import clip

        ids = clip.tokenize(TEXTS)
    else:
        tokenizer = AutoTokenizer.from_pretrained(os.path.join(golden, "clip-openai-style"))  # CLIP's own vocabulary
        ids = tokenizer(TEXTS, return_tensors="pt", padding="max_length", max_length=77)["input_ids"]
    logits = []
    with torch.no_grad():
        texts = model.encode_text(ids.long(), normalize=True)
        for name in PICTURES:
            image = model.encode_image(prepare(load_image(name))["pixel_values"], normalize=True)
            logits.append([round(float(x), 6) for x in (model.logit_scale.exp() * image @ texts.T)[0]])
    return {"checkpoint": OPEN_CLIP, "mode": mode, "logits_per_image": logits}


def answer(checkpoint, folder, mode, pixels_folder):
    config = json.load(open(os.path.join(folder, "config.json")))
    siglip = "siglip" in config["model_type"]
    options = {}
    if mode == "openclip" and siglip:
        v1 = checkpoint == "siglip"
        loaded = transformers.AutoConfig.from_pretrained(folder)
        loaded.vision_config.hidden_act = "gelu"
        loaded.text_config.hidden_act = "gelu" if v1 else "gelu_pytorch_tanh"
        options["config"] = loaded
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, **options).eval()
    prepare = {"hf": lambda: hf_pixels(folder, "pil"), "hf5": lambda: hf_pixels(folder, "torchvision"), "hf4": lambda: hf_pixels(folder, None),
               "openclip": lambda: open_clip_pixels(folder), "openai": lambda: openai_pixels(folder), "tfjs": lambda: None}[mode]()
    tokens = (open_clip_tokens if mode in ("openclip", "openai") else hf_tokens)(folder, siglip)
    logits = []
    for name in PICTURES:
        if mode == "tfjs":
            path = os.path.join(pixels_folder, checkpoint.replace("/", "_") + "_" + os.path.basename(name) + ".bin")
            side = config["vision_config"]["image_size"]
            inputs = {"pixel_values": torch.from_numpy(np.fromfile(path, dtype=np.float32).reshape(1, 3, side, side))}
        else:
            inputs = prepare(load_image(name))
        with torch.no_grad():
            logits.append([round(float(x), 6) for x in model(**inputs, **tokens).logits_per_image[0]])
    return {"checkpoint": checkpoint, "mode": mode, "logits_per_image": logits}


def main():
    golden, mode = sys.argv[1:3]
    assert transformers.__version__.startswith("4." if mode == "hf4" else "5."), transformers.__version__
    assert mode != "hf5" or torch.backends.cpu.get_cpu_capability() == "AVX2"
    known = json.load(open(OUT))["answers"] if os.path.exists(OUT) else []
    answers = [a for a in known if a["mode"] != mode]
    for checkpoint in CHECKPOINTS[mode]:
        if checkpoint == OPEN_CLIP:
            answers.append(open_clip_answer(golden, mode))
            continue
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(os.path.join(ROOT if checkpoint == DEMO else golden, checkpoint), folder, dirs_exist_ok=True)
            if mode == "hf4":
                as_published(folder, checkpoint)
            answers.append(answer(checkpoint, folder, mode, sys.argv[3] if len(sys.argv) > 3 else None))
    answers.sort(key=lambda a: (a["mode"], a["checkpoint"]))
    lines = ",\n".join("  " + json.dumps(a) for a in answers)
    with open(OUT, "w") as f:
        f.write('{"images": %s,\n "texts": %s,\n "answers": [\n%s\n]}\n' % (json.dumps(PICTURES), json.dumps(TEXTS), lines))


if __name__ == "__main__":
    main()
