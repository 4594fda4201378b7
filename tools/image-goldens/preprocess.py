"""Writes internal/preprocess/testdata/goldens.tsv: what Pillow, torchvision, transformers and open_clip make of noise pictures.

Each line: what, mode, width, height, filter or configuration, output width, output height, first 16 digits of the sha256 of the
output (bytes, or float32 pixel values). noise.py says what the pictures are; modes.py and tfjs.mjs write further lines.

    ATEN_CPU_CAPABILITY=avx2 python tools/image-goldens/preprocess.py > internal/preprocess/testdata/goldens.tsv
    ATEN_CPU_CAPABILITY=default python tools/image-goldens/preprocess.py float32 >> internal/preprocess/testdata/goldens.tsv
"""
import json
import sys

import numpy as np
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from torchvision.transforms.v2 import functional as tvF
from transformers import (CLIPImageProcessor, ConvNextImageProcessor, EfficientNetImageProcessor, Siglip2ImageProcessor)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

from noise import BYTES, floats, line, noise

FILTERS = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
SIZES = [(37, 23, 16, 16), (23, 37, 64, 50), (200, 131, 33, 131), (200, 131, 200, 17), (5, 3, 40, 40), (1, 1, 7, 5), (640, 9, 8, 3)]


def own(im):
    return im.convert("L").tobytes() if im.mode == "1" else im.tobytes()


def pillow():
    for mode in BYTES:
        for w, h, ow, oh in SIZES if mode == "RGB" else SIZES[:4]:
            for i, name in enumerate(FILTERS):
                im = noise(mode, w, h).resize((ow, oh), resample=i)
                line("pillow", mode, w, h, name, ow, oh, own(im))


def torchvision(what, names):
    for w, h, ow, oh in SIZES:
        for name in names:
            x = torch.from_numpy(np.array(noise("RGB", w, h))).permute(2, 0, 1)
            y = tvF.resize(x, [oh, ow], interpolation=tvF.InterpolationMode(name), antialias=True)
            line(what, "RGB", w, h, name, ow, oh, y.permute(1, 2, 0).contiguous().numpy().tobytes())


def transformers():
    shapes = [(40, 40), (41, 40), (40, 47), (33, 60), (31, 17), (20, 51), (9, 7)]
    small = {"size": {"shortest_edge": 24}, "crop_size": {"height": 19, "width": 20}}
    cases = [
        ("CLIP", CLIPImageProcessorPil, CLIPImageProcessor, [
            small,
            {"size": 24, "crop_size": 24, "resample": 2},
            {"do_resize": False, "crop_size": {"height": 32, "width": 31}},
            {"do_resize": False, "crop_size": 32, "do_normalize": False},
            {"do_resize": False, "crop_size": 32, "do_rescale": False},
            small | {"rescale_factor": 1 / 127.5, "resample": 1},
        ]),
        ("EfficientNet", EfficientNetImageProcessorPil, EfficientNetImageProcessor, [
            {"size": {"height": 20, "width": 22}},
            {"size": 20, "include_top": False, "rescale_offset": True, "do_center_crop": True, "crop_size": 15},
        ]),
        ("ConvNext", ConvNextImageProcessorPil, ConvNextImageProcessor, [
            {"size": {"shortest_edge": 24}}, {"size": 30, "crop_pct": 0.95}, {"size": {"shortest_edge": 384}},
        ]),
    ]
    for name, pil, torch_class, configs in cases:
        for config in configs:
            for w, h in shapes:
                im = noise("RGB", w, h)
                full = dict(config, image_processor_type=name + "ImageProcessor")
                floats("hf", "RGB", w, h, full, pil(**config)(im, return_tensors="np")["pixel_values"][0])
                if config.get("resample") != 1:
                    floats("hf5", "RGB", w, h, full, torch_class(**config)(im, return_tensors="np")["pixel_values"][0])
    for w, h in shapes + [(300, 4), (3, 500), (129, 128)]:
        for n in (16, 37):
            config = {"patch_size": 4, "max_num_patches": n}
            full = dict(config, image_processor_type="Siglip2ImageProcessor")
            for what, c in ("hf", Siglip2ImageProcessorPil), ("hf5", Siglip2ImageProcessor):
                floats(what, "RGB", w, h, full, c(**config)(noise("RGB", w, h), return_tensors="np")["pixel_values"][0])


def open_clip():
    configs = [
        {"size": 20}, {"size": 21, "interpolation": "bilinear"}, {"size": [20, 24]}, {"size": [20, 24], "resize_mode": "squash"},
        {"size": 20, "resize_mode": "longest", "fill_color": 7}, {"size": [21, 31], "resize_mode": "longest"},
    ]
    for config in configs:
        for mode in BYTES:
            if mode == "CMYK":
                continue
            for w, h in [(40, 40), (41, 20), (27, 47), (9, 7)]:
                if config.get("fill_color") and mode in ("1", "P", "I;16"):
                    continue
                pp = PreprocessCfg(**config)
                v = image_transform_v2(pp, is_train=False)(noise(mode, w, h)).numpy()
                floats("openclip", mode, w, h, {"preprocess_cfg": config}, v)


if sys.argv[1:] == ["float32"]:
    assert "AVX" not in torch.backends.cpu.get_cpu_capability().replace("NO AVX", "")
    torchvision("float32", ["bilinear", "bicubic"])
else:
    assert torch.backends.cpu.get_cpu_capability() == "AVX2"
    pillow()
    torchvision("int16", ["nearest", "bilinear", "bicubic"])
    transformers()
    open_clip()
