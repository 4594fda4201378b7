"""Writes internal/imageio/testdata/pillow.tsv: what Pillow makes of every picture of the shared test material.

One line per file: path, format, mode, width, height, hash of the RGB bytes, hash of the picture's own bytes; the
size and both hashes are of exif_transpose's result, as transformers' load_image has it. Hashes are the first 16 digits of sha256.
A file that Pillow refuses has "error" and the exception's name instead.

    python tools/image-goldens/decode.py SHARED/data > internal/imageio/testdata/pillow.tsv
"""
import hashlib
import os
import sys
import warnings

from PIL import Image, ImageOps

FOLDERS = ["exif", "images", "tricky"]
FORMATS = ["JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM"]


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def own_bytes(im):
    """The bytes that clipgo keeps: one byte per pixel for mode 1, two for 16-bit grey."""
    if im.mode == "1":
        return im.convert("L").tobytes()
    return im.tobytes()


def row(path):
    with Image.open(path) as im:
        kind = im.format
        if kind not in FORMATS:
            return [kind, "other"]
        im = ImageOps.exif_transpose(im)
        own = digest(own_bytes(im))
        rgb = im.convert("RGB")
        return [kind, im.mode, str(im.width), str(im.height), digest(rgb.tobytes()), own]


def main():
    warnings.simplefilter("ignore")
    root = sys.argv[1]
    for folder in sys.argv[2:] or FOLDERS:
        for where, subs, names in os.walk(os.path.join(root, folder)):
            subs.sort()
            for name in sorted(names):
                path = os.path.join(where, name)
                if name.lower().endswith((".txt", ".md", ".csv", ".npy")) or name == "LICENSE":
                    continue
                try:
                    fields = row(path)
                except Exception as e:
                    fields = ["error", type(e).__name__]
                print("\t".join([os.path.relpath(path, root)] + fields))


main()
