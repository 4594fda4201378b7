"""Writes checkpoints of unusual shapes and what transformers and open_clip answer for them.

Each folder has the layout of the shared goldens: the checkpoint, expected_pixel_values.npy, and expected.json with input_ids,
attention_mask (where there is one), image_embeds, text_embeds and logits_per_image. Weights and pictures are random. Made with
torch 2.8.0, transformers 5.23.0, open_clip 3.3.0.
Usage: python tools/model-goldens/make.py SHARED/golden OUT [NAME...]
"""

import copy
import json
import pathlib
import shutil
import sys

import numpy as np
import torch

goldens, out = map(pathlib.Path, sys.argv[1:3])


def spread(model):
    """Random weights with the scales of trained ones."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("logit_scale", "logit_bias", "temperature")):
                continue
            norm = p.ndim == 1 and name.endswith("weight")
            if norm:
                p.uniform_(0.5, 1.5)
            elif p.ndim >= 2 and "embed" not in name:
                p.normal_(std=p[0].numel() ** -0.5)
            else:
                p.normal_(std=0.2)
        for name, b in model.named_buffers():
            if name.endswith("running_mean"):
                b.normal_()
            elif name.endswith("running_var"):
                b.uniform_(0.5, 2)


def expect(folder, pixels, ids, mask, images, texts, logits):
    np.save(folder / "expected_pixel_values.npy", pixels.numpy())
    answer = {"input_ids": ids.tolist(), "image_embeds": images.tolist(), "text_embeds": texts.tolist(),
              "logits_per_image": logits.tolist()}
    if mask is not None:
        answer["attention_mask"] = mask.tolist()
    (folder / "expected.json").write_text(json.dumps(answer))


def from_transformers(name, source, change, prefix=()):
    """A variant of a shared golden; change(config) changes its configuration and returns the size of its pictures."""
    from transformers import AutoConfig, AutoModelForZeroShotImageClassification

    folder = out / name
    shutil.copytree(goldens / source, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    config = AutoConfig.from_pretrained(folder)
    size = change(config)
    model = AutoModelForZeroShotImageClassification.from_config(config).eval()
    spread(model)
    model.save_pretrained(folder)
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"size": {"height": size, "width": size}}))
    was = json.loads((folder / "expected.json").read_text())
    pixels = torch.randn(3, 3, size, size)
    ids = torch.tensor([list(prefix) + row for row in was["input_ids"]])
    mask = torch.tensor([[1] * len(prefix) + row for row in was["attention_mask"]])
    with torch.no_grad():
        o = model(pixel_values=pixels, input_ids=ids, attention_mask=mask)
    expect(folder, pixels, ids, mask, o.image_embeds, o.text_embeds, o.logits_per_image)


def align(config):
    v = config.vision_config
    v.depthwise_padding, v.depth_coefficient, v.kernel_sizes, v.expand_ratios = [1, 2, 5], 1.5, [3, 5, 3], [1, 4, 6]
    config.temperature_init_value = 0.05
    return 66


def blip2(config):
    config.image_token_index = 1500
    config.qformer_config.cross_attention_frequency = 3
    return config.vision_config.image_size


def from_open_clip(name, vision, text, ids=None, training=False, **config):
    from open_clip.coca_model import CoCa
    from open_clip.model import CLIP, CustomTextCLIP

    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    config["embed_dim"] = config.get("embed_dim", 48)
    config["vision_cfg"] = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8} | vision
    config["text_cfg"] = {"context_length": 20, "width": 32, "heads": 2, "layers": 2, "vocab_size": 49408} | text
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {"size": 32}}))
    arguments = copy.deepcopy(config)
    custom = arguments.pop("custom_text", False)
    kind = CLIP if not custom else CoCa if "multimodal_cfg" in config else CustomTextCLIP
    model = kind(**arguments).eval()
    spread(model)
    state = model.state_dict()
    if training:
        torch.save({"epoch": 3, "state_dict": {"module." + k: v for k, v in state.items()}, "optimizer": {}}, folder / "epoch_3.pt")
    else:
        torch.save(state, folder / "open_clip_pytorch_model.bin")
    pixels = torch.randn(3, 3, 32, 32)
    pad = config["text_cfg"].get("pad_id", 0)
    rows = ids or [[49406, 320, 1125, 539, 49407], [49406, 49407], [49406, *range(300, 318), 49407]]
    ids = torch.tensor([row + [pad] * (20 - len(row)) for row in rows])
    with torch.no_grad():
        images, texts = model.encode_image(pixels, normalize=True), model.encode_text(ids, normalize=True)
        logits = model.logit_scale.exp() * images @ texts.T
        if model.logit_bias is not None:
            logits += model.logit_bias
    expect(folder, pixels, ids, None, images, texts, logits)


def coca(name, vision, text, **more):
    decoder = {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    vision = {"attentional_pool": True, "attn_pooler_queries": 9, "attn_pooler_heads": 4, "output_tokens": True} | vision
    from_open_clip(name, vision, {"embed_cls": True, "output_tokens": True} | text, custom_text=True, multimodal_cfg=decoder, **more)


GIVEN = {
    "align": lambda name: from_transformers(name, "align", align),
    "blip-2-placeholders": lambda name: from_transformers(name, "blip-2", blip2, prefix=[5] * 8),
    "openclip-average-eos": lambda name: from_open_clip(
        name, {"pool_type": "avg", "mlp_ratio": 3.7362, "norm_kwargs": {"eps": 1e-3}, "act_kwargs": {"approximate": "tanh"}},
        {"pool_type": "eos", "eos_id": 49407, "ls_init_value": 0.3, "norm_kwargs": {"eps": 1e-4}}, training=True),
    "openclip-argmax-both-ways": lambda name: from_open_clip(
        name, {"final_ln_after_pool": True, "pos_embed_type": "sin_cos_2d"}, {"no_causal_mask": True}),
    "openclip-first": lambda name: from_open_clip(
        name, {}, {"no_causal_mask": True, "pool_type": "first", "proj_type": "none", "width": 48}, custom_text=True,
        nonscalar_logit_scale=True, init_logit_bias=-10),
    "openclip-last": lambda name: from_open_clip(
        name, {"width": 32, "no_ln_pre": True, "ls_init_value": 0.1}, {"pool_type": "last"}, custom_text=True, quick_gelu=True),
    # The padding's id inside a text, a text that fills the context, and weights that torch packs.
    "openclip-coca-average": lambda name: coca(
        name, {"pool_type": "avg"}, {}, embed_dim=64,
        ids=[[49406, 320, 0, 1125, 0, 0, 539, 49407], [49406, *range(300, 318), 49407], [49406, 49407]]),
    "openclip-coca-both-ways": lambda name: coca(
        name, {}, {"no_causal_mask": True, "pad_id": 5}, ids=[[49406, 320, 5, 1125, 5, 5, 539, 49407], [49406, 49407]]),
}

for name in sys.argv[3:] or GIVEN:
    torch.manual_seed(1)
    GIVEN[name](name)
    print(name)
