"""Variants in open_clip's layout: its native towers with changes, its tokenisers and its preprocessing."""

import functools
import json
import shutil

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file

from common import IMAGES, TEXTS, spread, write_expected

CONFIG = "open_clip_config.json"


def variant(vision=None, text=None, pixels=None, save="safetensors", dtype=None, tokenizer=None, refuse=None, **config):
    """vision, text and pixels are changes to the three parts of the configuration, config to the rest of model_cfg; tokenizer is
    the golden whose tokeniser lies beside it. refuse is what clipgo's error says of a checkpoint that it doesn't read."""
    return functools.partial(make, vision=vision or {}, text=text or {}, pixels=pixels or {}, save=save, dtype=dtype,
                             tokenizer=tokenizer, refuse=refuse, config=config)


def make(shared, folder, vision, text, pixels, save, dtype, tokenizer, refuse, config):
    vision = {"image_size": 48, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16} | vision
    if "timm_model_name" in vision:
        for key in ("layers", "width", "head_width", "patch_size"):
            vision.pop(key)
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2} | text
    model_cfg = {"embed_dim": 40, "vision_cfg": vision, "text_cfg": text} | config
    size = vision["image_size"]
    preprocess = {"size": size, "mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]} | pixels
    preprocess = {k: v for k, v in preprocess.items() if v is not None}
    (folder / CONFIG).write_text(json.dumps({"model_cfg": model_cfg, "preprocess_cfg": preprocess}))
    if tokenizer:
        for name in ("tokenizer.json", "tokenizer_config.json", "sentencepiece.bpe.model", "spiece.model"):
            if (shared / "golden" / tokenizer / name).exists():
                shutil.copyfile(shared / "golden" / tokenizer / name, folder / name)
    place = f"local-dir:{folder}"
    model = open_clip.create_model(place, load_weights=False)
    spread(model)
    state = model.state_dict()
    if dtype:
        state = {k: v.to(getattr(torch, dtype)) for k, v in state.items()}
    SAVE[save](folder, state)
    if refuse:
        (folder / "expected.json").write_text(json.dumps({"refused": refuse}))
        return
    # open_clip looks for two names only; the others are for clipgo.
    found = save in ("safetensors", "bin")
    if not found:
        torch.save(state, folder / "open_clip_pytorch_model.bin")
    model, _, transform = open_clip.create_model_and_transforms(place, precision="fp32")
    model.eval()
    if not found:
        (folder / "open_clip_pytorch_model.bin").unlink()
    pictures = torch.stack([transform(Image.open(shared / "data" / "images" / name)) for name in IMAGES])
    ids = open_clip.get_tokenizer(place)(TEXTS)
    with torch.no_grad():
        images, texts = model.encode_image(pictures, normalize=True), model.encode_text(ids, normalize=True)
        logits = model.logit_scale.exp() * images @ texts.T
        if getattr(model, "logit_bias", None) is not None:
            logits = logits + model.logit_bias
    write_expected(folder, pictures, {"images": IMAGES, "texts": TEXTS, "input_ids": ids, "image_embeds": images,
                                      "text_embeds": texts, "logits_per_image": logits})


SAVE = {
    "safetensors": lambda folder, state: save_file({k: v.contiguous().clone() for k, v in state.items()}, folder / "open_clip_model.safetensors"),
    "bin": lambda folder, state: torch.save(state, folder / "open_clip_pytorch_model.bin"),
    "training": lambda folder, state: torch.save({"epoch": 3, "name": "x", "state_dict": {"module." + k: v for k, v in state.items()},
                                                  "optimizer": {}, "scaler": None}, folder / "epoch_3.pt"),
    "model.safetensors": lambda folder, state: save_file({k: v.contiguous().clone() for k, v in state.items()}, folder / "model.safetensors"),
    "pytorch_model.bin": lambda folder, state: torch.save(state, folder / "pytorch_model.bin"),
}


def coca(vision=None, text=None, **config):
    decoder = {"context_length": 76, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
    vision = {"attentional_pool": True, "attn_pooler_queries": 9, "attn_pooler_heads": 4, "output_tokens": True} | (vision or {})
    text = {"context_length": 76, "embed_cls": True, "output_tokens": True} | (text or {})
    return variant(vision, text, custom_text=True, multimodal_cfg=decoder, **config)


def siglip(name, width, **more):
    text = {"context_length": 64, "vocab_size": 49408, "width": width, "heads": 12, "layers": 1, "no_causal_mask": True, "proj_bias": True,
            "pool_type": "last", "norm_kwargs": {"eps": 1e-6}} | more.pop("text", {})
    size = int(name.rsplit("_", 1)[1])
    return variant({"timm_model_name": name, "timm_pool": "map", "timm_proj": "none", "image_size": size}, text,
                   {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}, embed_dim=width, init_logit_bias=-10, custom_text=True,
                   dtype="float16", **more)


VARIANTS = {
    # Shapes.
    "openclip/plain": variant(),
    "openclip/head-24": variant({"width": 120, "head_width": 24}, {"width": 72, "heads": 3}, embed_dim=33),
    "openclip/head-72": variant({"width": 144, "head_width": 72, "mlp_ratio": 3.7362}, {"width": 80, "heads": 1, "mlp_ratio": 2.5}, embed_dim=100),
    "openclip/head-80": variant({"width": 160, "head_width": 80}, {"width": 88, "heads": 1}),  # H-14 has heads of 80
    "openclip/head-104": variant({"width": 208, "head_width": 104, "mlp_ratio": 4.9231}, {"width": 96, "heads": 4}),  # bigG
    "openclip/head-default": variant({"width": 96, "head_width": 64}),  # 96 / 64 heads: one
    "openclip/patch-14": variant({"image_size": 70, "patch_size": 14}),
    "openclip/remainder": variant({"image_size": 50, "patch_size": 16}),
    "openclip/wide": variant({"image_size": [32, 80], "patch_size": 16}),
    "openclip/tall": variant({"image_size": [96, 32], "patch_size": [16, 16]}),
    "openclip/wide-squash": variant({"image_size": [32, 80]}, pixels={"resize_mode": "squash"}),
    "openclip/wide-longest": variant({"image_size": [32, 80]}, pixels={"resize_mode": "longest", "fill_color": 9}),
    "openclip/wide-average": variant({"image_size": [32, 80], "pool_type": "avg"}),
    "openclip/context-16": variant(text={"context_length": 16}),
    "openclip/context-120": variant(text={"context_length": 120}),
    "openclip/one-layer": variant({"layers": 1}, {"layers": 1}),
    # Options of the image tower.
    "openclip/average": variant({"pool_type": "avg"}),
    "openclip/average-norm-after": variant({"pool_type": "avg", "final_ln_after_pool": True}),
    "openclip/norm-after": variant({"final_ln_after_pool": True}),
    "openclip/no-ln-pre": variant({"no_ln_pre": True}),
    "openclip/layer-scale": variant({"ls_init_value": 0.1}, {"ls_init_value": 0.2}),
    "openclip/sin-cos": variant({"pos_embed_type": "sin_cos_2d"}),
    "openclip/patch-dropout": variant({"patch_dropout": 0.5}),
    "openclip/eps": variant({"norm_kwargs": {"eps": 1e-3}}, {"norm_kwargs": {"eps": 1e-6}}),
    "openclip/tanh": variant({"act_kwargs": {"approximate": "tanh"}}, {"act_kwargs": {"approximate": "tanh"}}),
    "openclip/exact": variant({"act_kwargs": {"approximate": "none"}}, {"act_kwargs": {}}),
    "openclip/quick": variant(quick_gelu=True),
    "openclip/quick-tanh": variant({"act_kwargs": {"approximate": "tanh"}}, quick_gelu=True),
    "openclip/attentional": variant({"attentional_pool": True, "attn_pooler_queries": 5, "attn_pooler_heads": 2}),
    "openclip/attentional-average": variant({"attentional_pool": True, "attn_pooler_queries": 5, "attn_pooler_heads": 8, "pool_type": "avg"}),
    "openclip/attentional-same-width": variant({"attentional_pool": True, "attn_pooler_queries": 5, "attn_pooler_heads": 8}, embed_dim=64),
    "openclip/attentional-norm-after": variant({"attentional_pool": True, "attn_pooler_heads": 4, "final_ln_after_pool": True}),
    "openclip/output-tokens": variant({"output_tokens": False}, {"output_tokens": False}),
    "openclip/pool-none": variant({"pool_type": "none"}, refuse="vision_cfg.pool_type"),
    "openclip/parallel": variant({"attentional_pool": "parallel"}, refuse="vision_cfg.attentional_pool"),
    "openclip/qk-norm": variant({"qk_norm": True}, refuse="vision_cfg.qk_norm"),
    "openclip/scale-heads": variant(text={"scale_heads": True}, refuse="text_cfg.scale_heads"),
    "openclip/block-default": variant({"block_type": "default"}, {"block_type": None}),
    "openclip/resnet": variant({"layers": [1, 1, 1, 1], "image_size": 64, "width": 16}, refuse="ModifiedResNet"),
    # Options of the text tower.
    **{f"openclip/text-{pool}": variant(text={"pool_type": pool}) for pool in ("argmax", "last")},
    **{f"openclip/text-{pool}-both-ways": variant(text={"pool_type": pool, "no_causal_mask": True}) for pool in ("argmax", "last", "first")},
    "openclip/text-eos": variant(text={"pool_type": "eos", "eos_id": 49407}),
    "openclip/text-eos-absent": variant(text={"pool_type": "eos"}),
    "openclip/text-eos-custom": variant(text={"pool_type": "eos", "eos_id": 49407, "no_causal_mask": True}, custom_text=True),
    "openclip/text-first": variant(text={"pool_type": "first"}, refuse="text_cfg.pool_type"),
    "openclip/custom": variant(custom_text=True),
    "openclip/custom-bias": variant(text={"proj_bias": True}, custom_text=True),
    "openclip/plain-bias": variant(text={"proj_bias": True}),
    "openclip/custom-no-projection": variant(text={"proj_type": "none", "width": 40}, custom_text=True),
    "openclip/plain-no-projection": variant(text={"proj_type": "none", "width": 40}),
    "openclip/norm-after-text": variant(text={"final_ln_after_pool": True}),
    "openclip/embed-cls": variant(text={"embed_cls": True}, custom_text=True),
    "openclip/embed-cls-pad": variant(text={"embed_cls": True, "pad_id": 7}, custom_text=True),
    "openclip/bias": variant(init_logit_bias=-10, init_logit_scale=2.3),
    "openclip/nonscalar": variant(init_logit_bias=-10, nonscalar_logit_scale=True, custom_text=True),
    "openclip/vocab-larger": variant(text={"vocab_size": 49500}),
    "openclip/coca": coca(),
    "openclip/coca-average": coca({"pool_type": "avg"}),
    "openclip/coca-same-width": coca(embed_dim=64),
    "openclip/coca-quick": coca(quick_gelu=True),
    "openclip/coca-both-ways": coca(text={"no_causal_mask": True}),
    "openclip/coca-pad": coca(text={"pad_id": 5}),
    # Containers.
    "openclip/bin": variant(save="bin", dtype="float16"),
    "openclip/training": variant(save="training"),
    "openclip/model-safetensors": variant(save="model.safetensors", dtype="bfloat16"),
    "openclip/pytorch-model": variant(save="pytorch_model.bin"),
    # Pictures.
    **{f"openclip/{mode}-{filter}": variant(pixels={"resize_mode": mode, "interpolation": filter})
       for mode in ("shortest", "squash", "longest") for filter in ("bicubic", "bilinear", "random")},
    "openclip/defaults": variant(pixels={"mean": None, "std": None, "size": None}),
    "openclip/size-larger": variant(pixels={"size": 96}),
    "openclip/size-list": variant(pixels={"size": [48, 48], "mode": "RGB"}),
    
    "openclip/mean-number": variant(pixels={"mean": 0.5, "std": 0.5}),
    # Tokenisers.
    "openclip/tokens-bert": variant(text={"hf_tokenizer_name": "bert-base-uncased", "vocab_size": 1600, "context_length": 32, "tokenizer_kwargs": {"strip_sep_token": True},
                                          "pool_type": "last", "no_causal_mask": True}, tokenizer="blip"),  # CLIPA
    "openclip/tokens-gemma": variant(text={"hf_tokenizer_name": "timm/ViT-B-16-SigLIP2", "vocab_size": 1600, "context_length": 64,
                                           "tokenizer_kwargs": {"clean": "canonicalize"}, "pool_type": "last", "no_causal_mask": True}, tokenizer="siglip2-fixed"),
    "openclip/tokens-xlmr": variant(text={"hf_tokenizer_name": "facebook/xlm-v-base", "vocab_size": 1600, "context_length": 77, "pool_type": "eos", "eos_id": 2}, tokenizer="metaclip_2"),
    "openclip/tokens-clip": variant(text={"hf_tokenizer_name": "openai/clip", "vocab_size": 1400}, tokenizer="clip-mixed"),
    "openclip/tokens-lower": variant(text={"tokenizer_kwargs": {"clean": "lower"}}),
    "openclip/tokens-whitespace": variant(text={"tokenizer_kwargs": {"clean": "whitespace"}}),
    "openclip/tokens-canonical": variant(text={"tokenizer_kwargs": {"clean": "canonicalize"}}),
    "openclip/tokens-special": variant(text={"vocab_size": 49410, "tokenizer_kwargs": {"additional_special_tokens": ["<x>", "<y>"]}}),
    # Towers of other kinds, by name.
    "openclip/timm-siglip": siglip("vit_base_patch32_siglip_256", 768),
    "openclip/timm-vit": variant({"timm_model_name": "vit_tiny_patch16_224", "image_size": 224}, custom_text=True, refuse="timm_model_name"),
    "openclip/timm-resnet": variant({"timm_model_name": "resnet18", "image_size": 64}, custom_text=True, refuse="timm_model_name"),
}
