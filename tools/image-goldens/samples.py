"""Writes small pictures in every format and mode that Pillow can write: internal/imageio/testdata/samples.

    python tools/image-goldens/samples.py internal/imageio/testdata/samples
    python tools/image-goldens/decode.py internal/imageio/testdata samples > internal/imageio/testdata/samples.tsv
"""
import math
import os
import sys

from PIL import Image

OUT = sys.argv[1]
W, H = 37, 21


def picture(mode):
    """Soft colours with some edges, so that every filter and predictor has work to do."""
    im = Image.new("RGBA", (W, H))
    for y in range(H):
        for x in range(W):
            edge = 80 if (x // 9 + y // 7) % 2 else 0
            im.putpixel((x, y), (int(127 + 60 * math.sin(x / 5)) + edge // 2, 7 * x % 256, 11 * y % 200 + edge // 4, 255 - 6 * x))
    if mode == "I;16":
        grey = Image.new("I", (W, H))
        for y in range(H):
            for x in range(W):
                grey.putpixel((x, y), x * 1700 + y)
        return grey.convert("I;16")
    if mode == "RGBA":
        return im
    if mode == "LA":
        return im.convert("LA")
    return im.convert("RGB").convert(mode)


def save(name, mode, **options):
    picture(mode).save(os.path.join(OUT, name), **options)


os.makedirs(OUT, exist_ok=True)
exif = Image.Exif()
for i in range(1, 9):
    exif[0x0112] = i
    save(f"orientation-{i}.jpg", "RGB", quality=60, exif=exif)
exif[0x0112] = 6
save("orientation.png", "RGB", exif=exif)
save("orientation.webp", "RGB", exif=exif)
save("orientation.tiff", "RGB", exif=exif)
for name, subsampling in ("444", 0), ("422", 1), ("420", 2):
    save(f"{name}.jpg", "RGB", subsampling=subsampling, quality=80)
    save(f"{name}-progressive.jpg", "RGB", subsampling=subsampling, quality=70, progressive=True)
save("restart.jpg", "RGB", quality=85, restart_marker_blocks=2)
save("grey.jpg", "L")
save("cmyk.jpg", "CMYK")
save("rgb.jpg", "RGB", keep_rgb=True)
for mode in "1", "L", "LA", "I;16", "P", "RGB", "RGBA":
    save(f"{mode.replace(';', '')}.png", mode)
save("bits-2.png", "P", bits=2)
save("P.gif", "P")
save("L.gif", "L", interlace=0)
picture("P").save(os.path.join(OUT, "animated.gif"), save_all=True, append_images=[picture("P").rotate(180)], transparency=3)
save("lossy.webp", "RGB", quality=70)
save("lossless.webp", "RGB", lossless=True)
save("alpha.webp", "RGBA", quality=50)
save("alpha-lossless.webp", "RGBA", lossless=True, exact=True)
picture("RGB").save(os.path.join(OUT, "animated.webp"), save_all=True, append_images=[picture("RGB").rotate(180)])
for mode in "1", "L", "P", "RGB", "RGBA":
    save(f"{mode}.bmp", mode)
for mode in "1", "L", "I;16", "P", "RGB", "RGBA":
    for compression in None, "tiff_lzw", "tiff_adobe_deflate", "packbits":
        if compression and mode in ("1", "P"):
            continue
        save(f"{mode.replace(';', '')}{'-' + compression if compression else ''}.tiff", mode, compression=compression)
for mode in "LA", "CMYK", "I", "F":
    save(f"{mode}.tiff", mode)
save("fax3.tiff", "1", compression="group3")
save("fax4.tiff", "1", compression="group4")
save("RGB-jpeg.tiff", "RGB", compression="jpeg")
save("CMYK-jpeg.tiff", "CMYK", compression="jpeg")
save("YCbCr-jpeg.tiff", "YCbCr", compression="jpeg")
save("1.pbm", "1")
save("L.pgm", "L")
save("I16.pgm", "I;16")
save("RGB.ppm", "RGB")
