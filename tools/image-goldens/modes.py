"""Writes lines of internal/preprocess/testdata/goldens.tsv for OpenAI's clip package and for transformers 4.

    pip install --no-deps --target OLD 'transformers==4.57.6' 'tokenizers<0.23' 'huggingface_hub<1' openai-clip
    PYTHONPATH=OLD python tools/image-goldens/modes.py >> internal/preprocess/testdata/goldens.tsv

With file names it writes the same of these pictures, and of open_clip, for TestExtraPictures:

    PYTHONPATH=OLD python tools/image-goldens/modes.py PICTURE ... > lines.tsv
"""
import json
import os
import sys

import numpy as np
import transformers
from clip.clip import _transform
from transformers import (ChineseCLIPImageProcessor, CLIPImageProcessor, EfficientNetImageProcessor, Siglip2ImageProcessor,
                          SiglipImageProcessor, ViTImageProcessor)

from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image, ImageOps

from noise import BYTES, digest, floats, noise

assert transformers.__version__.startswith("4.")
SIZES = [(40, 40), (41, 20), (27, 47), (60, 33), (101, 67), (9, 7)]


def openai():
    for mode in BYTES:
        for size in (20, 23):
            for w, h in SIZES:
                config = {"size": size, "crop_size": size, "image_processor_type": "CLIPImageProcessor"}
                floats("openai", mode, w, h, config, _transform(size)(noise(mode, w, h)).numpy())


def hf4():
    cases = [
        (CLIPImageProcessor, {"size": {"shortest_edge": 24}, "crop_size": {"height": 19, "width": 20}}),
        (CLIPImageProcessor, {"size": {"shortest_edge": 25}, "crop_size": {"height": 32, "width": 31}}),
        (ChineseCLIPImageProcessor, {"size": {"height": 21, "width": 24}, "do_center_crop": False}),
        (SiglipImageProcessor, {"size": {"height": 21, "width": 24}}),
        (SiglipImageProcessor, {"size": {"height": 24, "width": 24}, "resample": 2}),
        (ViTImageProcessor, {"size": {"height": 24, "width": 24}}),
        (EfficientNetImageProcessor, {"size": {"height": 20, "width": 22}, "resample": 3}),
        (Siglip2ImageProcessor, {"patch_size": 4, "max_num_patches": 37}),
    ]
    for c, config in cases:
        for mode in ("RGB", "RGBA", "P", "L", "I;16"):
            for w, h in SIZES:
                im = noise(mode, w, h).convert("RGB")  # as the pipeline's load_image
                floats("hf4", mode, w, h, config | {"image_processor_type": c.__name__}, c(**config)(im, return_tensors="np")["pixel_values"][0])


def files(names):
    clip = CLIPImageProcessor(size={"shortest_edge": 96}, crop_size={"height": 96, "width": 96})
    siglip = SiglipImageProcessor(size={"height": 96, "width": 96}, resample=2)
    squash = image_transform_v2(PreprocessCfg(size=97, resize_mode="squash", interpolation="bilinear"), is_train=False)
    shortest = image_transform_v2(PreprocessCfg(size=97), is_train=False)
    cases = [
        ("openai", {"size": 96, "crop_size": 96, "image_processor_type": "CLIPImageProcessor"}, _transform(96)),
        ("openclip", {"preprocess_cfg": {"size": 97}}, shortest),
        ("openclip", {"preprocess_cfg": {"size": 97, "resize_mode": "squash", "interpolation": "bilinear"}}, squash),
        ("hf4", {"size": 96, "crop_size": 96, "image_processor_type": "CLIPImageProcessor"},
         lambda im: clip(im.convert("RGB"), return_tensors="np")["pixel_values"][0]),
        ("hf4", {"size": {"height": 96, "width": 96}, "resample": 2, "image_processor_type": "SiglipImageProcessor"},
         lambda im: siglip(im.convert("RGB"), return_tensors="np")["pixel_values"][0]),
    ]
    for name in names:
        try:
            im = ImageOps.exif_transpose(Image.open(name))  # as load_image does, and clipgo in all modes
        except OSError as error:
            print(name, error, file=sys.stderr)
            continue
        for what, config, make in cases:
            values = np.ascontiguousarray(make(im), dtype=np.float32)
            print("\t".join([what, os.path.abspath(name), im.mode, json.dumps(config), digest(values.tobytes())]))


if sys.argv[1:]:
    files(sys.argv[1:])
else:
    openai()
    hf4()
