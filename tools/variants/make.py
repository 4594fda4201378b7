"""Writes small checkpoints of many shapes and settings, and what transformers and open_clip answer for them.

    python tools/variants/make.py SHARED OUT [NAME...]
    CLIPGO_VARIANTS=OUT go test -run Variants .

SHARED is the folder of shared test material: tokenisers and configurations begin as those of its goldens, and the pictures are
its own. A NAME makes the variants whose names begin with it. Each folder has the layout of the shared goldens: the checkpoint,
expected_pixel_values.npy, and expected.json with images, texts, input_ids, attention_mask (where the model is given one),
image_embeds, text_embeds, logits_per_image and the pipeline's answers. Everything is computed in float32 from the files as
they lie there, pictures by the Pillow processor. A variant that the reference itself fails on is left out, saying so.
Made with torch 2.8.0, transformers 5.23.0, open_clip 3.3.0.
"""

import os
import pathlib
import shutil
import sys
import traceback
import zlib

os.environ.setdefault("ATEN_CPU_CAPABILITY", "avx2")  # of torchvision's two bilinear kernels, the integer one
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

import openclip
import transformer


def main():
    shared, out = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
    wanted = tuple(sys.argv[3:])
    torch.set_num_threads(1)
    for name, make in {**transformer.VARIANTS, **openclip.VARIANTS}.items():
        if wanted and not name.startswith(wanted):
            continue
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        torch.manual_seed(zlib.crc32(name.encode()))
        try:
            make(shared, folder)
            print(name, flush=True)
        except Exception as e:
            if os.environ.get("VERBOSE"):
                traceback.print_exc()
            shutil.rmtree(folder)
            print(f"{name}: left out: {type(e).__name__}: {str(e).strip().splitlines()[0][:300]}", flush=True)


if __name__ == "__main__":
    main()
