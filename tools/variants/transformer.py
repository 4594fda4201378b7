"""Variants in transformers' layout: a golden's configuration with changes, new weights, and files as old and new programs
write them."""

import functools
import json
import os
import random
import shutil
import warnings

import torch
import transformers
from transformers import AutoConfig, AutoImageProcessor, AutoModelForZeroShotImageClassification, AutoTokenizer, pipeline
from transformers.image_utils import load_image

from common import IMAGES, LABELS, TEXTS, merge, spread, write_expected

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
warnings.filterwarnings("ignore")

TOKENISERS = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model")
PIXELS, TOKENS = "preprocessor_config.json", "tokenizer_config.json"


def variant(base, config=None, pixels=None, tokens=None, tokenizer=None, save=None, disk=None, texts=TEXTS, after=None, dtype=None, refuse=None, prefix=()):
    """A variant of the golden base. config, pixels and tokens are changes to its three configurations, disk to config.json
    once it has been saved; tokenizer is the golden whose tokeniser to take; after(folder) changes files at the end. refuse is what clipgo's error says of a checkpoint that it doesn't read; prefix are ids that
    no tokeniser gives, put before each text."""
    return functools.partial(make, base=base, config=config or {}, pixels=pixels or {}, tokens=tokens or {},
                             tokenizer=tokenizer or base, save=save or {}, disk=disk or {}, texts=texts, after=after, dtype=dtype, refuse=refuse, prefix=prefix)


def read(path):
    return json.loads(path.read_text()) if path.exists() else {}


def write(path, data):
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False))


def make(shared, folder, base, config, pixels, tokens, tokenizer, save, disk, texts, after, dtype, refuse, prefix):
    golden = shared / "golden" / base
    settings = merge(read(golden / "config.json"), config)
    for part in (settings, settings.get("vision_config", {})):
        for key in ("dtype", "torch_dtype", "out_features", "out_indices", "stage_names"):  # of the golden, not of the model
            part.pop(key, None)
    model = model_class(settings).from_config_dict(settings)
    spread(model)
    if dtype:
        model.to(getattr(torch, dtype))
    model.save_pretrained(folder, **save)
    if disk:
        write(folder / "config.json", merge(read(folder / "config.json"), disk))
    for name in TOKENISERS:
        if (shared / "golden" / tokenizer / name).exists():
            shutil.copyfile(shared / "golden" / tokenizer / name, folder / name)
    write(folder / PIXELS, merge(read(golden / PIXELS), pixels))
    if tokens:
        write(folder / TOKENS, merge(read(folder / TOKENS), tokens))
    if after:
        after(folder)
    if refuse:
        write(folder / "expected.json", {"refused": refuse})
    else:
        answer(shared, folder, settings, texts, prefix)


class model_class:
    """The class that a configuration is for."""

    def __init__(self, settings):
        self.retrieval = settings.get("architectures") == ["BlipForImageTextRetrieval"]

    def from_config_dict(self, settings):
        settings = dict(settings)
        c = AutoConfig.for_model(settings.pop("model_type"), **settings)
        if self.retrieval:
            return transformers.BlipForImageTextRetrieval(c).eval()
        return AutoModelForZeroShotImageClassification.from_config(c).eval()

    def load(self, folder):
        kind = transformers.BlipForImageTextRetrieval if self.retrieval else AutoModelForZeroShotImageClassification
        model, info = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
        lost = [k for k in info["missing_keys"] if k != "temperature"]
        if lost or [k for k in info["unexpected_keys"] if ".pooler." not in k]:
            raise ValueError(f"missing {lost}, unexpected {info['unexpected_keys']}")
        return model.eval()


def answer(shared, folder, settings, texts, prefix):
    kind = model_class(settings)
    model = kind.load(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    backend = {} if settings["model_type"] == "tipsv2" else {"backend": "pil"}
    processor = AutoImageProcessor.from_pretrained(folder, **backend)
    paths = [str(shared / "data" / "images" / name) for name in IMAGES]
    loaded = [load_image(p) for p in paths]
    pictures = [processor(images=[p], return_tensors="pt") for p in loaded]
    pictures = {k: torch.cat([p[k] for p in pictures]) for k in pictures[0]}

    text_config = settings.get("text_config_dict") or settings.get("text_config") or {}
    if settings["model_type"] == "blip-2":
        text_config = settings["qformer_config"]
    context = text_config.get("max_position_embeddings", 77)
    if settings["model_type"] == "altclip":
        context -= text_config.get("pad_token_id", 1) + 1
    padding = {"padding": True}
    if "siglip" in settings["model_type"]:
        context = min(context, 64)
        padding = {"padding": "max_length"}
    rows = tokenizer(texts, return_tensors="pt", truncation=True, max_length=context, **padding)
    if prefix:
        given = torch.tensor(prefix).repeat(len(texts), 1)
        rows = {"input_ids": torch.cat([given, rows["input_ids"]], 1), "attention_mask": torch.cat([given * 0 + 1, rows["attention_mask"]], 1)}
    with torch.no_grad():
        if kind.retrieval:
            out = retrieval(model, pictures, rows)
        else:
            o = model(**pictures, **rows)
            out = {"image_embeds": o.image_embeds, "text_embeds": o.text_embeds, "logits_per_image": o.logits_per_image}
        if not (kind.retrieval or prefix):
            classify = pipeline("zero-shot-image-classification", model=model, tokenizer=tokenizer, image_processor=processor)
            try:
                results = [classify(p, candidate_labels=LABELS) for p in loaded]
                out["pipeline"] = {"candidate_labels": LABELS, "hypothesis_template": "This is a photo of {}.", "results": results}
            except Exception as e:
                print(f"    {folder.name}: no pipeline: {type(e).__name__}: {str(e).splitlines()[0][:120]}")
    write_expected(folder, pictures["pixel_values"], out | {
        "images": IMAGES, "texts": texts, "input_ids": rows["input_ids"], "attention_mask": rows.get("attention_mask"),
        "spatial_shapes": pictures.get("spatial_shapes"), "by_hand": bool(prefix)})


def retrieval(model, pictures, rows):
    """The contrastive path of BlipForImageTextRetrieval, which gives no embeddings by itself."""
    normalize = torch.nn.functional.normalize
    mask = {"attention_mask": rows["attention_mask"]} if "attention_mask" in rows else {}
    image = model.vision_model(pixel_values=pictures["pixel_values"]).last_hidden_state[:, 0]
    text = model.text_encoder(input_ids=rows["input_ids"], **mask).last_hidden_state[:, 0]
    logits = model(input_ids=rows["input_ids"], pixel_values=pictures["pixel_values"], use_itm_head=False, **mask).itm_score
    return {"image_embeds": normalize(model.vision_proj(image), dim=-1), "text_embeds": normalize(model.text_proj(text), dim=-1),
            "logits_per_image": logits}


# Changes of files.


def chain(*steps):
    def run(folder):
        for step in steps:
            step(folder)
    return run


def drop(*names):
    return lambda folder: [os.remove(folder / n) for n in names if (folder / n).exists()]


def replace(name, data):
    return lambda folder: write(folder / name, data)


def vocab_txt(folder):
    """BERT's vocabulary as the first programs wrote it."""
    vocab = read(folder / "tokenizer.json")["model"]["vocab"]
    (folder / "vocab.txt").write_text("".join(t + "\n" for t in sorted(vocab, key=vocab.get)))
    os.remove(folder / "tokenizer.json")


def vocab_and_merges(folder):
    """A BPE as the first programs wrote it, with nothing beside it."""
    model = read(folder / "tokenizer.json")["model"]
    write(folder / "vocab.json", model["vocab"])
    merges = (m if isinstance(m, str) else " ".join(m) for m in model["merges"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(m + "\n" for m in merges))
    os.remove(folder / "tokenizer.json")


def nested(folder):
    """Everything about pictures in processor_config.json, as processors of transformers 5 are saved."""
    pixels = read(folder / PIXELS)
    os.remove(folder / PIXELS)
    write(folder / "processor_config.json", {"processor_class": "CLIPProcessor", "image_processor": pixels})


def torch_bin(folder):
    """Weights as torch.save writes them."""
    from safetensors.torch import load_file
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    os.remove(folder / "model.safetensors")


def change_tensors(change):
    """change takes the dictionary of tensors and returns another."""
    def run(folder):
        from safetensors.torch import load_file, save_file
        tensors = load_file(folder / "model.safetensors")
        save_file({k: v.contiguous() for k, v in change(tensors).items()}, folder / "model.safetensors", metadata={"format": "pt"})
    return run


def clear_padding(folder):
    def change(tensors):
        tensors["text_model.embeddings.word_embeddings.weight"][0] = 0
        return tensors
    change_tensors(change)(folder)


def vit(width, heads, layers=2, ffn=None, **more):
    return {"hidden_size": width, "num_attention_heads": heads, "num_hidden_layers": layers, "intermediate_size": ffn or 3 * width + 8, **more}


def square(n):
    return {"size": {"height": n, "width": n}, "crop_size": None}


def cropped(n, short=None):
    return {"size": {"shortest_edge": short or n}, "crop_size": {"height": n, "width": n}}


OPENAI, MIXED = "clip-openai-style", "clip-mixed"
# Pictures that the golden clip-mixed is for: patches of 14, 70 pixels.

VARIANTS = {
    # CLIP: shapes.
    "clip/head-24": variant(MIXED, {"vision_config": vit(72, 3, 1, 200), "text_config": vit(24, 1, 1, 50), "projection_dim": 20}),
    "clip/head-40": variant(MIXED, {"vision_config": vit(200, 5), "text_config": vit(40, 1), "projection_dim": 100}),
    "clip/head-72": variant(MIXED, {"vision_config": vit(144, 2, 2, 301), "text_config": vit(72, 1, 3, 77), "projection_dim": 33}),
    "clip/head-88": variant(MIXED, {"vision_config": vit(176, 2, 2, 500), "text_config": vit(88, 1), "projection_dim": 512}),
    "clip/head-104": variant(MIXED, {"vision_config": vit(104, 1, 2, 416), "text_config": vit(208, 2), "projection_dim": 64}),
    "clip/head-4": variant(MIXED, {"vision_config": vit(64, 16), "text_config": vit(36, 9), "projection_dim": 12}),
    "clip/head-256": variant(MIXED, {"vision_config": vit(256, 1), "text_config": vit(160, 1), "projection_dim": 12}),
    "clip/odd-width": variant(MIXED, {"vision_config": vit(75, 3, 2, 111), "text_config": vit(45, 5, 2, 63), "projection_dim": 7}),
    "clip/narrow-ffn": variant(MIXED, {"vision_config": vit(96, 3, 2, 32), "text_config": vit(64, 2, 2, 64), "projection_dim": 1}),
    "clip/patch-7": variant(MIXED, {"vision_config": {"patch_size": 7, "image_size": 35}}, cropped(35)),
    "clip/patch-32": variant(MIXED, {"vision_config": {"patch_size": 32, "image_size": 96}}, cropped(96, 100)),
    "clip/patch-whole": variant(MIXED, {"vision_config": {"patch_size": 48, "image_size": 48}}, cropped(48)),
    "clip/patch-remainder": variant(MIXED, {"vision_config": {"patch_size": 14, "image_size": 65}}, cropped(65)),
    "clip/deep": variant(MIXED, {"vision_config": vit(48, 2, 9), "text_config": vit(32, 2, 7)}),
    "clip/context-16": variant(MIXED, {"text_config": {"max_position_embeddings": 16}}),
    "clip/context-248": variant(MIXED, {"text_config": {"max_position_embeddings": 248}}),  # Long-CLIP
    # CLIP: settings.
    **{f"clip/act-{act}": variant(MIXED, {"vision_config": {"hidden_act": act}, "text_config": {"hidden_act": act}})
       for act in ("quick_gelu", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python", "gelu_python_tanh", "gelu_accurate",
                   "relu", "silu", "swish", "tanh", "sigmoid", "linear")},
    **{f"clip/act-{act}": variant(MIXED, {"text_config": {"hidden_act": act}}, refuse=f'text_config.hidden_act is "{act}", expected one of gelu,')
       for act in ("relu6", "relu2", "gelu_10", "leaky_relu", "mish", "hardswish", "laplace")},
    "clip/eps": variant(MIXED, {"vision_config": {"layer_norm_eps": 1e-12}, "text_config": {"layer_norm_eps": 0.1}}),
    "clip/eos-2": variant(MIXED, {"text_config": {"eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1}}),
    "clip/eos-absent": variant(MIXED, {"text_config": {"eos_token_id": 300}}),
    "clip/eos-inside": variant(MIXED, {"text_config": {"eos_token_id": 64}}),
    "clip/eos-default": variant(OPENAI, {"text_config_dict": {"eos_token_id": 49407}}),
    "clip/eos-list": variant(MIXED, {"text_config": {"eos_token_id": [1389]}}),
    "clip/eos-null": variant(MIXED, disk={"text_config": {"eos_token_id": None}}, after=lambda f: write(
        f / "config.json", read(f / "config.json") | {"text_config": read(f / "config.json")["text_config"] | {"eos_token_id": None}})),
    "clip/pad-bang": variant(OPENAI, {"text_config_dict": {"eos_token_id": 49407}}, tokens={"tokenizer_class": "CLIPTokenizer", "pad_token": "!"}),
    "clip/vocab-larger": variant(MIXED, {"text_config": {"vocab_size": 1500}}),
    "clip/scale-init": variant(MIXED, {"logit_scale_init_value": 1.5}, after=change_tensors(lambda t: {k: v for k, v in t.items() if k != "logit_scale"} | {"logit_scale": torch.tensor(3.3)})),
    "clip/projection-in-parts": variant(MIXED, {"projection_dim": 24, "vision_config": {"projection_dim": 99}, "text_config": {"projection_dim": 77}}),
    "clip/attention-bias": variant(MIXED, {"vision_config": {"attention_bias": False, "attention_dropout": 0.5}}),
    "clip/image-size-list": variant(MIXED, {"vision_config": {"image_size": [70, 70]}}),
    "clip/config-minimal": variant(MIXED, disk={"architectures": None, "initializer_factor": None, "logit_scale_init_value": None, "dtype": None, "transformers_version": None}),
    "clip/position-ids": variant(MIXED, after=change_tensors(lambda t: t | {
        "text_model.embeddings.position_ids": torch.arange(33).reshape(1, -1), "vision_model.embeddings.position_ids": torch.arange(26).reshape(1, -1)})),
    # CLIP: containers.
    "clip/float16": variant(MIXED, dtype="float16"),
    "clip/bfloat16": variant(MIXED, dtype="bfloat16"),
    "clip/float64": variant(MIXED, dtype="float64"),
    "clip/sharded": variant(MIXED, save={"max_shard_size": "200KB"}),
    "clip/torch-bin": variant(MIXED, dtype="float16", after=torch_bin),
    "clip/dict-configs": variant(OPENAI),
    # CLIP: pictures.
    **{f"clip/resample-{n}": variant(MIXED, pixels={"resample": n}) for n in range(6)},
    "clip/squash": variant(MIXED, pixels={"size": {"height": 70, "width": 70}, "do_center_crop": False}),
    "clip/crop-larger-than-size": variant(MIXED, pixels=cropped(70, 61)),
    "clip/crop-much-larger": variant(MIXED, pixels=cropped(70, 32)),
    "clip/crop-odd": variant(MIXED, pixels=cropped(70, 77)),
    "clip/exact-then-crop": variant(MIXED, pixels={"size": {"height": 81, "width": 93}}),
    "clip/longest-edge": variant(MIXED, pixels={"size": {"shortest_edge": 72, "longest_edge": 90}}),
    "clip/max-height-width": variant(MIXED, pixels={"size": {"max_height": 100, "max_width": 80}}),
    "clip/no-resize": variant(MIXED, pixels={"do_resize": False}),
    "clip/no-rescale": variant(MIXED, pixels={"do_rescale": False, "image_mean": [120.0, 110.5, 100.25], "image_std": [60, 61.5, 62]}),
    "clip/rescale-factor": variant(MIXED, pixels={"rescale_factor": 0.0078431}),
    "clip/no-normalize": variant(MIXED, pixels={"do_normalize": False}),
    "clip/no-rgb": variant(MIXED, pixels={"do_convert_rgb": False}),
    "clip/no-mean": variant(MIXED, pixels={"image_mean": None, "image_std": None}),
    "clip/mean-number": variant(MIXED, pixels={"image_mean": 0.45, "image_std": 0.25}),
    "clip/no-fields": variant(MIXED, {"vision_config": {"image_size": 224, "patch_size": 32}}, after=replace(PIXELS, {"image_processor_type": "CLIPImageProcessor"})),
    "clip/empty-processor": variant(MIXED, {"vision_config": {"image_size": 224, "patch_size": 32}}, after=replace(PIXELS, {})),
    "clip/nulls": variant(MIXED, {"vision_config": {"image_size": 224, "patch_size": 32}}, after=replace(PIXELS, {
        "size": None, "crop_size": None, "resample": None, "do_resize": None, "do_center_crop": None, "image_mean": None, "rescale_factor": None})),
    "clip/size-number": variant(MIXED, pixels={"size": 75, "crop_size": 70}),
    "clip/size-list": variant(MIXED, pixels={"size": [75, 80], "crop_size": [70, 70]}),
    "clip/crop-shortest-edge": variant(MIXED, pixels={"crop_size": {"shortest_edge": 70}}),
    "clip/feature-extractor": variant(MIXED, pixels={"image_processor_type": None, "feature_extractor_type": "CLIPFeatureExtractor"}),
    "clip/fast": variant(MIXED, pixels={"image_processor_type": "CLIPImageProcessorFast", "device": None, "input_data_format": "channels_first", "data_format": "channels_first"}),
    "clip/pil": variant(MIXED, pixels={"image_processor_type": "CLIPImageProcessorPil"}),
    "clip/square-size": variant(MIXED, {"vision_config": {"image_size": 224, "patch_size": 32}}, pixels={"use_square_size": True, "crop_size": None, "size": None}),
    "clip/pad": variant(MIXED, pixels={"do_pad": True, "pad_size": {"height": 70, "width": 70}}),
    "clip/pad-larger": variant(MIXED, pixels=cropped(60) | {"do_pad": True, "pad_size": {"height": 70, "width": 70}}, refuse="pad_size"),
    "clip/nested-processor": variant(MIXED, after=nested),
    "clip/both-processors": variant(MIXED, after=replace("processor_config.json", {"processor_class": "CLIPProcessor", "image_processor": {
        "image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 70}, "crop_size": {"height": 70, "width": 70}, "resample": 0}})),
    "clip/class-siglip": variant(MIXED, pixels={"image_processor_type": "SiglipImageProcessor", "size": {"height": 70, "width": 70}, "crop_size": None}),
    "clip/class-vit": variant(MIXED, pixels={"image_processor_type": "ViTImageProcessor", "size": {"height": 70, "width": 70}, "do_center_crop": None}),
    "clip/class-vit-extractor": variant(MIXED, pixels={"image_processor_type": None, "feature_extractor_type": "ViTFeatureExtractor", "size": 70, "do_center_crop": None, "crop_size": None}),
    "clip/class-convnext": variant(MIXED, pixels={"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 70}, "do_center_crop": None, "crop_size": None, "crop_pct": 0.9}),
    "clip/class-deit": variant(MIXED, pixels={"image_processor_type": "DeiTImageProcessor"} | square(75) | {"crop_size": {"height": 70, "width": 70}}),
    "clip/class-bit": variant(MIXED, pixels={"image_processor_type": "BitImageProcessor"} | cropped(70, 80)),
    "clip/class-videomae": variant(MIXED, pixels={"image_processor_type": "VideoMAEImageProcessor"}),
    "clip/class-blip": variant(MIXED, pixels={"image_processor_type": "BlipImageProcessor"} | square(70)),
    # CLIP: tokenisers.
    "clip/vocab-merges": variant(MIXED, after=chain(vocab_and_merges, drop(TOKENS))),
    "clip/vocab-merges-config": variant(MIXED, after=vocab_and_merges),
    "clip/tokenizer-json-only": variant(MIXED, after=drop(TOKENS)),
    "clip/tokenizer-fast": variant(MIXED, tokens={"tokenizer_class": "CLIPTokenizerFast", "add_prefix_space": False, "errors": "replace", "do_lower_case": True}),
    "clip/tokenizer-generic": variant(MIXED, tokens={"tokenizer_class": "PreTrainedTokenizerFast"}),
    "clip/tokenizer-length": variant(MIXED, tokens={"model_max_length": 12}),
    "clip/tokenizer-left": variant(MIXED, tokens={"padding_side": "left", "pad_token": "!"}),
    "clip/tokenizer-truncate-left": variant(MIXED, tokens={"truncation_side": "left"}),
    "clip/tokenizer-no-mask": variant(MIXED, tokens={"model_input_names": ["input_ids"]}),
    "clip/tokenizer-added": variant(MIXED, {"text_config": {"vocab_size": 1400}}, tokens={"additional_special_tokens": ["<b>", "🦉"], "extra_special_tokens": ["cat"]}),
    "clip/tokenizer-added-decoder": variant(MIXED, {"text_config": {"vocab_size": 1400}}, tokens={"added_tokens_decoder": {
        "1388": {"content": "<|startoftext|>", "special": True, "normalized": False}, "1389": {"content": "<|endoftext|>", "special": True, "normalized": False},
        "1390": {"content": "PANIC", "lstrip": True, "normalized": False}, "1391": {"content": "café", "normalized": True, "single_word": True}}}),
    "clip/tokenizer-special-map": variant(MIXED, after=replace("special_tokens_map.json", {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "!", "unk_token": "<|endoftext|>"})),
    "clip/tokenizer-bert": variant(MIXED, {"text_config": {"vocab_size": 1500, "eos_token_id": 3}}, tokenizer="blip"),
    "clip/tokenizer-xlmr": variant(MIXED, {"text_config": {"vocab_size": 1500, "eos_token_id": 2}}, tokenizer="altclip"),
    "clip/full-vocabulary": variant(OPENAI, {"text_config_dict": vit(64, 2)}),

    # MetaCLIP 2.
    "metaclip_2/shapes": variant("metaclip_2", {"vision_config": vit(120, 3, 1), "text_config": vit(72, 3, 3, 130), "projection_dim": 50}),
    "metaclip_2/gelu": variant("metaclip_2", {"vision_config": {"hidden_act": "gelu", "patch_size": 8}, "text_config": {"hidden_act": "gelu"}}),
    "metaclip_2/sentencepiece": variant("metaclip_2", after=drop("tokenizer.json")),
    "metaclip_2/no-prefix-space": variant("metaclip_2", tokens={"add_prefix_space": False}),
    "metaclip_2/json-only": variant("metaclip_2", after=drop(TOKENS)),
    "metaclip_2/left": variant("metaclip_2", tokens={"padding_side": "left"}),
    "metaclip_2/length": variant("metaclip_2", tokens={"model_max_length": 20}),
    "metaclip_2/eos-default": variant("metaclip_2", {"text_config": {"eos_token_id": 49407}}),

    # SigLIP.
    "siglip/shapes": variant("siglip", {"vision_config": vit(108, 3, 1, 100), "text_config": vit(108, 2, 1, 300, projection_size=108)}),
    "siglip/projection": variant("siglip", {"vision_config": vit(96, 4, 2, 80), "text_config": vit(40, 4, 2, 40, projection_size=96)}),
    "siglip/projection-missing": variant("siglip", {"text_config": {"projection_size": None}}),
    "siglip/act": variant("siglip", {"vision_config": {"hidden_act": "gelu"}, "text_config": {"hidden_act": "relu", "layer_norm_eps": 1e-3}}),
    "siglip/patch-14": variant("siglip", {"vision_config": {"patch_size": 14, "image_size": 70}}, square(70)),
    "siglip/patch-remainder": variant("siglip", {"vision_config": {"patch_size": 14, "image_size": 75}}, square(75)),  # so400m-patch14-384
    "siglip/context-16": variant("siglip", {"text_config": {"max_position_embeddings": 16}}),
    "siglip/context-100": variant("siglip", {"text_config": {"max_position_embeddings": 100}}),
    "siglip/mask": variant("siglip", tokens={"model_input_names": None}),
    "siglip/mask-empty": variant("siglip", tokens={"model_input_names": ["input_ids", "attention_mask"]}, texts=TEXTS[:3]),
    "siglip/cased": variant("siglip", tokens={"do_lower_case": False}),
    "siglip/left": variant("siglip", tokens={"padding_side": "left"}),
    "siglip/bilinear": variant("siglip", pixels={"resample": 2}),
    "siglip/lanczos": variant("siglip", pixels={"resample": 1}),
    "siglip/no-mean": variant("siglip", pixels={"image_mean": None, "image_std": None, "resample": None}),
    "siglip/no-config": variant("siglip", after=drop(TOKENS)),
    "siglip/other-aspect": variant("siglip", pixels={"size": {"height": 32, "width": 128}}),
    "siglip/other-size-same-patches": variant("siglip", pixels={"size": {"height": 70, "width": 78}}),
    "siglip/other-size": variant("siglip", pixels=square(80)),
    "siglip/crop": variant("siglip", pixels={"size": {"height": 80, "width": 90}, "do_center_crop": True, "crop_size": {"height": 64, "width": 64}}),
    "siglip/bfloat16": variant("siglip", dtype="bfloat16"),
    "siglip/minimal": variant("siglip", disk={"text_config": {"hidden_act": None, "layer_norm_eps": None, "projection_size": None}, "vision_config": {
        "hidden_act": None, "layer_norm_eps": None, "vision_use_head": None, "num_channels": None}}),
    "siglip/position-ids": variant("siglip", after=change_tensors(lambda t: t | {
        "text_model.embeddings.position_ids": torch.arange(64).reshape(1, -1), "vision_model.embeddings.position_ids": torch.arange(16).reshape(1, -1)})),
    "siglip/scalar-shapes": variant("siglip", after=change_tensors(lambda t: t | {"logit_scale": torch.tensor([4.1]), "logit_bias": torch.tensor([-9.0])})),

    # SigLIP 2 of fixed resolution.
    "siglip2-fixed/shapes": variant("siglip2-fixed", {"vision_config": vit(144, 2, 1), "text_config": vit(144, 3, 1, projection_size=144)}),
    "siglip2-fixed/giant": variant("siglip2-fixed", {"vision_config": vit(88, 2, 2), "text_config": vit(64, 2, 2, projection_size=88)}),
    "siglip2-fixed/class-default-side": variant("siglip2-fixed", tokens={"padding_side": None}),
    "siglip2-fixed/gemma": variant("siglip2-fixed", tokens={"tokenizer_class": "GemmaTokenizer"}),
    "siglip2-fixed/gemma-fast": variant("siglip2-fixed", tokens={"tokenizer_class": "GemmaTokenizerFast", "padding_side": None, "add_eos_token": True, "add_bos_token": False}),
    "siglip2-fixed/generic": variant("siglip2-fixed", tokens={"tokenizer_class": "PreTrainedTokenizerFast"}),
    "siglip2-fixed/mask": variant("siglip2-fixed", tokens={"model_input_names": None, "padding_side": "right"}),
    "siglip2-fixed/mask-left": variant("siglip2-fixed", tokens={"model_input_names": None, "padding_side": None}),

    # SigLIP 2 NaFlex.
    "siglip2-naflex/shapes": variant("siglip2-naflex", {"vision_config": vit(120, 5, 1, 90), "text_config": vit(120, 4, 3, 100, projection_size=120)}),
    "siglip2-naflex/patch-14": variant("siglip2-naflex", {"vision_config": {"patch_size": 14}}, {"patch_size": 14, "max_num_patches": 50}),
    "siglip2-naflex/many": variant("siglip2-naflex", {"vision_config": {"num_patches": 49}}, {"max_num_patches": 301}),
    "siglip2-naflex/few": variant("siglip2-naflex", {"vision_config": {"num_patches": 256}}, {"max_num_patches": 5}),
    "siglip2-naflex/one": variant("siglip2-naflex", pixels={"max_num_patches": 1}),
    "siglip2-naflex/bicubic": variant("siglip2-naflex", pixels={"resample": 3, "image_mean": [0.4, 0.5, 0.6]}),
    "siglip2-naflex/not-square": variant("siglip2-naflex", {"vision_config": {"num_patches": 60}}),
    "siglip2-naflex/projection": variant("siglip2-naflex", {"vision_config": vit(96, 4), "text_config": vit(40, 4, projection_size=96)}),
    "siglip2-naflex/mask": variant("siglip2-naflex", tokens={"model_input_names": None}),
    "siglip2-naflex/class": variant("siglip2-naflex", tokens={"tokenizer_class": "GemmaTokenizer", "padding_side": None}),
    "siglip2-naflex/size-ignored": variant("siglip2-naflex", pixels={"size": {"height": 99, "width": 12}, "do_center_crop": None}),
    "siglip2-naflex/no-fields": variant("siglip2-naflex", after=replace(PIXELS, {"image_processor_type": "Siglip2ImageProcessor"})),

    # Chinese-CLIP.
    "chinese_clip/shapes": variant("chinese_clip", {"vision_config": vit(120, 3, 1, 130), "text_config": vit(40, 5, 1, 60), "projection_dim": 31}),
    "chinese_clip/act": variant("chinese_clip", {"vision_config": {"hidden_act": "gelu"}, "text_config": {"hidden_act": "gelu_new", "layer_norm_eps": 1e-5}}),
    "chinese_clip/crop": variant("chinese_clip", pixels={"size": {"shortest_edge": 70}, "do_center_crop": True, "crop_size": {"height": 64, "width": 64}}),
    "chinese_clip/vocab-txt": variant("chinese_clip", after=vocab_txt),
    "chinese_clip/cased": variant("chinese_clip", tokens={"do_lower_case": False}),
    "chinese_clip/accents": variant("chinese_clip", tokens={"strip_accents": False, "tokenize_chinese_chars": False}),
    "chinese_clip/strip-cased": variant("chinese_clip", tokens={"strip_accents": True, "do_lower_case": False}),
    # transformers clears the row of [PAD] when it loads this type.
    "chinese_clip/no-mask": variant("chinese_clip", tokens={"model_input_names": ["input_ids"]}, after=clear_padding),
    "chinese_clip/left": variant("chinese_clip", tokens={"padding_side": "left"}, after=clear_padding),
    "chinese_clip/one-type": variant("chinese_clip", {"text_config": {"type_vocab_size": 1}}),
    "chinese_clip/context-512": variant("chinese_clip", {"text_config": {"max_position_embeddings": 512}}),
    "chinese_clip/pooler": variant("chinese_clip", after=change_tensors(lambda t: t | {
        "text_model.pooler.dense.weight": torch.zeros(32, 32), "text_model.pooler.dense.bias": torch.zeros(32), "text_model.embeddings.position_ids": torch.arange(64).reshape(1, -1)})),
    "chinese_clip/old-extractor": variant("chinese_clip", pixels={"image_processor_type": None, "feature_extractor_type": "ChineseCLIPFeatureExtractor"}),

    # AltCLIP.
    "altclip/shapes": variant("altclip", {"vision_config": vit(120, 3, 1, 130), "text_config": vit(40, 5, 1, 60, project_dim=77), "projection_dim": 31}),
    "altclip/types": variant("altclip", {"text_config": {"type_vocab_size": 2}}),
    "altclip/pad-0": variant("altclip", {"text_config": {"pad_token_id": 0}}),
    "altclip/act": variant("altclip", {"vision_config": {"hidden_act": "gelu"}, "text_config": {"hidden_act": "relu", "layer_norm_eps": 1e-3}}),
    "altclip/sentencepiece": variant("altclip", after=drop("tokenizer.json")),
    "altclip/left": variant("altclip", tokens={"padding_side": "left"}),
    "altclip/no-mask": variant("altclip", tokens={"model_input_names": ["input_ids"]}),
    "altclip/sharded": variant("altclip", save={"max_shard_size": "100KB"}),
    "altclip/old-names": variant("altclip", after=change_tensors(lambda t: {k.replace("vision_model.encoder.layer.", "vision_model.encoder.layers."): v for k, v in t.items()} | {
        "text_model.roberta.embeddings.position_ids": torch.arange(80).reshape(1, -1)})),

    # CLIPSeg.
    "clipseg/shapes": variant("clipseg", {"vision_config": vit(120, 3, 4, 130), "text_config": vit(48, 3, 1, 60), "projection_dim": 31, "extract_layers": [1, 2]}),
    "clipseg/larger": variant("clipseg", pixels={"size": {"height": 112, "width": 112}}),
    "clipseg/smaller": variant("clipseg", pixels={"size": {"height": 40, "width": 40}}),
    "clipseg/wide": variant("clipseg", pixels={"size": {"height": 48, "width": 96}}),
    "clipseg/tall-odd": variant("clipseg", pixels={"size": {"height": 101, "width": 50}}),
    "clipseg/size-number": variant("clipseg", pixels={"size": 64}),
    "clipseg/rd16": variant("clipseg", {"reduce_dim": 16, "use_complex_transposed_convolution": True}),

    # ALIGN.
    "align/shapes": variant("align", {"text_config": vit(36, 3, 1, 50), "vision_config": {
        "depthwise_padding": [1, 2, 5], "depth_coefficient": 1.5, "kernel_sizes": [3, 5, 3], "expand_ratios": [1, 4, 6]}, "temperature_init_value": 0.05}, square(66)),
    "align/wide-picture": variant("align", pixels={"size": {"height": 65, "width": 97}}),
    "align/crop": variant("align", pixels={"size": {"height": 80, "width": 80}, "do_center_crop": True, "crop_size": {"height": 65, "width": 65}}),
    "align/offset": variant("align", pixels={"rescale_offset": True, "rescale_factor": 1 / 127.5, "do_normalize": False}),
    "align/include-top": variant("align", pixels={"include_top": True, "image_std": [0.47, 0.48, 0.49]}),
    "align/include-top-alone": variant("align", pixels={"include_top": True, "do_normalize": False, "image_std": [0.47, 0.48, 0.49]}),
    "align/offset-fused": variant("align", pixels={"rescale_offset": True, "rescale_factor": 1 / 127.5}),
    "align/nearest": variant("align", pixels={"resample": 0}),
    "align/act": variant("align", {"vision_config": {"hidden_act": "relu", "batch_norm_eps": 0.01}, "text_config": {"hidden_act": "gelu_new"}}),
    "align/squeeze": variant("align", {"vision_config": {"squeeze_expansion_ratio": 0.1, "depth_divisor": 4, "hidden_dim": 20}, "projection_dim": 20}),
    "align/coefficient": variant("align", {"vision_config": {"width_coefficient": 1.0, "hidden_dim": 40}, "projection_dim": 40}),
    "align/strides": variant("align", {"vision_config": {"strides": [2, 1, 2], "kernel_sizes": [5, 7, 3]}}),
    "align/cased": variant("align", tokens={"do_lower_case": False}),
    "align/vocab-txt": variant("align", after=chain(vocab_txt, drop(TOKENS))),
    "align/max-pool": variant("align", {"vision_config": {"pooling_type": "max"}}, refuse="vision_config.pooling_type is \"max\", expected mean"),

    # BLIP.
    "blip/shapes": variant("blip", {"vision_config": vit(120, 3, 1, 130), "text_config": vit(40, 5, 1, 60, encoder_hidden_size=120), "projection_dim": 31}),
    "blip/act": variant("blip", {"vision_config": {"hidden_act": "gelu_new", "layer_norm_eps": 1e-3}, "text_config": {"hidden_act": "relu"}}),
    "blip/patch-14": variant("blip", {"vision_config": {"patch_size": 14, "image_size": 56}}, square(56)),
    "blip/smaller-picture": variant("blip", pixels={"size": {"height": 32, "width": 48}}),
    "blip/larger-picture": variant("blip", pixels=square(80)),
    "blip/not-decoder": variant("blip", {"text_config": {"is_decoder": False}}),
    "blip/vocab-txt": variant("blip", after=chain(vocab_txt, drop(TOKENS))),
    "blip/left": variant("blip", tokens={"padding_side": "left"}),
    "blip/no-mask": variant("blip", tokens={"model_input_names": ["input_ids"]}),
    "blip/float16": variant("blip", dtype="float16"),
    "blip-itc/shapes": variant("blip-itc", {"vision_config": vit(120, 3, 1, 130), "text_config": vit(40, 5, 1, 60, encoder_hidden_size=120), "image_text_hidden_size": 31}),
    "blip-itc/patch-14": variant("blip-itc", {"vision_config": {"patch_size": 14, "image_size": 75}}, square(75)),
    "blip-itc/bin": variant("blip-itc", after=torch_bin),

    # BLIP-2.
    "blip-2/shapes": variant("blip-2", {"vision_config": vit(104, 2, 1, 130), "qformer_config": vit(48, 3, 3, 70, encoder_hidden_size=104, cross_attention_frequency=1), "image_text_hidden_size": 31, "num_query_tokens": 3}),
    "blip-2/no-qkv-bias": variant("blip-2", {"vision_config": {"qkv_bias": False}}),
    "blip-2/frequency": variant("blip-2", {"qformer_config": {"cross_attention_frequency": 3}}),
    "blip-2/placeholders": variant("blip-2", {"image_token_index": 1500, "qformer_config": {"cross_attention_frequency": 3}}, prefix=[5] * 8, texts=TEXTS[:6]),
    "blip-2/smaller-picture": variant("blip-2", pixels=square(42)),
    "blip-2/act": variant("blip-2", {"vision_config": {"hidden_act": "quick_gelu"}, "qformer_config": {"hidden_act": "gelu_new"}}),
    "blip-2/float16": variant("blip-2", dtype="float16"),
    "blip-2/sharded": variant("blip-2", save={"max_shard_size": "500KB"}),

    # TIPSv2. An empty text has no tokens and no embedding there.
    "tipsv2/shapes": variant("tipsv2", {"vision_config": {"hidden_size": 72, "num_attention_heads": 3, "num_hidden_layers": 1, "mlp_ratio": 3.7362}, "text_config": vit(72, 2, 1, 100)}, texts=[t for t in TEXTS if t]),
    "tipsv2/swiglu": variant("tipsv2", {"vision_config": {"use_swiglu_ffn": True}}, texts=[t for t in TEXTS if t]),
    "tipsv2/swiglu-act": variant("tipsv2", {"vision_config": {"use_swiglu_ffn": True, "hidden_act": "gelu"}}, texts=[t for t in TEXTS if t]),
    "tipsv2/registers": variant("tipsv2", {"vision_config": {"num_register_tokens": 4}}, texts=[t for t in TEXTS if t]),
    "tipsv2/no-registers": variant("tipsv2", {"vision_config": {"num_register_tokens": 0}}, texts=[t for t in TEXTS if t]),
    "tipsv2/no-qkv-bias": variant("tipsv2", {"vision_config": {"qkv_bias": False}}, texts=[t for t in TEXTS if t]),
    "tipsv2/unscaled": variant("tipsv2", {"text_config": {"scale_sqrt_depth": False, "hidden_act": "gelu", "layer_norm_eps": 1e-3, "pooling_epsilon": 0.5}}, texts=[t for t in TEXTS if t]),
    "tipsv2/larger-picture": variant("tipsv2", pixels=square(112), texts=[t for t in TEXTS if t]),
    "tipsv2/smaller-picture": variant("tipsv2", pixels=square(42), texts=[t for t in TEXTS if t]),
    "tipsv2/wide-picture": variant("tipsv2", pixels={"size": {"height": 56, "width": 98}}, texts=[t for t in TEXTS if t]),
    "tipsv2/remainder": variant("tipsv2", {"vision_config": {"image_size": 75}}, square(75), texts=[t for t in TEXTS if t]),
    "tipsv2/bicubic": variant("tipsv2", pixels={"resample": 3, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}, texts=[t for t in TEXTS if t]),
    "tipsv2/no-temperature": variant("tipsv2", {"temperature_init_value": 0.02}, after=change_tensors(lambda t: {k: v for k, v in t.items() if k != "temperature"}), texts=[t for t in TEXTS if t]),
    "tipsv2/cased": variant("tipsv2", tokens={"do_lower_case": False}, texts=[t for t in TEXTS if t]),
    "tipsv2/context-30": variant("tipsv2", {"text_config": {"max_position_embeddings": 30}}, texts=[t for t in TEXTS if t]),
}


def drawn(base, number):
    """A variant of which everything that has a size is drawn."""
    rng = random.Random(f"{base} {number}")
    patch = rng.choice([7, 8, 11, 14, 16])
    image = patch * rng.randint(2, 6) + rng.choice([0, 0, patch - 1])
    acts = ["gelu", "quick_gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"]

    def tower(**more):
        heads = rng.randint(1, 5)
        return vit(heads * rng.choice([8, 12, 16, 20, 24, 40, 64]), heads, rng.randint(1, 4), rng.randint(9, 300), hidden_act=rng.choice(acts),
                   layer_norm_eps=rng.choice([1e-12, 1e-6, 1e-5, 1e-3]), **more)

    vision, text = tower(image_size=image, patch_size=patch), tower()
    config = {"projection_dim": rng.randint(3, 200), "vision_config": vision, "text_config": text, "logit_scale_init_value": rng.uniform(1, 5)}
    pixels = square(image) | {"resample": rng.randint(0, 5), "image_mean": [rng.uniform(0.2, 0.6) for _ in range(3)]}
    if base == "altclip":
        text["project_dim"] = rng.randint(3, 100)
    if base in ("altclip", "metaclip_2") or base.startswith("clip-"):
        pixels = pixels | cropped(image, image + rng.randint(0, 40))
    if base.startswith("siglip"):
        text["projection_size"] = vision["hidden_size"]
    if base == "clipseg":
        config["extract_layers"] = [0]
    if base.startswith("blip"):
        text["encoder_hidden_size"] = vision["hidden_size"]
        config["image_text_hidden_size"] = rng.randint(3, 90)
    if base == "blip-2":
        config["qformer_config"] = config.pop("text_config") | {"cross_attention_frequency": rng.randint(1, 3)}
        config["num_query_tokens"] = rng.randint(1, 9)
    if base == "siglip2-naflex":
        vision.pop("image_size")
        vision["num_patches"] = rng.choice([4, 25, 100])
        pixels = {"patch_size": patch, "max_num_patches": rng.randint(3, 150), "resample": rng.randint(0, 5)}
    return variant(base, config, pixels, dtype=rng.choice([None, "float16", "bfloat16"]))


VARIANTS |= {f"drawn/{base}-{n}": drawn(base, n) for n in range(4) for base in (
    "clip-mixed", "metaclip_2", "siglip", "siglip2-fixed", "siglip2-naflex", "chinese_clip", "altclip", "clipseg", "blip", "blip-itc", "blip-2")}
