"""Pictures of emoji as people would have them: files of a few hundred pixels, composed with Pillow.

Training never sees these: its views are 64-pixel tensors made by other code (augment.py), so these pictures test the model.
"""

import io
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = (480, 360)


def gradient(top, bottom, size=SIZE, angle=90, grain=0.0, seed=0):
    """RGB image that goes from one colour to another in the direction of angle (degrees; 90 is downwards)."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    along = x * math.cos(math.radians(angle)) + y * math.sin(math.radians(angle))
    along = (along - along.min()) / (along.max() - along.min())
    pixels = np.array(top) + along[..., None] * (np.array(bottom) - np.array(top))
    pixels = pixels + np.random.default_rng(seed).normal(0, grain, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))


def paste(scene, bitmap, centre, side, angle=0, shadow=True):
    """Draws an emoji [RGBA] with its centre at a point, over a soft shadow."""
    bitmap = bitmap.resize((side, side), Image.LANCZOS).rotate(angle, Image.BICUBIC, expand=True)
    left, top = round(centre[0] - bitmap.width / 2), round(centre[1] - bitmap.height / 2)
    if shadow:
        dark = Image.new("L", scene.size)
        dark.paste(bitmap.getchannel("A").point(lambda a: a * 2 // 5), (left, top + side // 20))
        scene.paste((40, 40, 50), (0, 0), dark.filter(ImageFilter.GaussianBlur(side / 25)))
    scene.paste(bitmap, (left, top), bitmap)


def random_background(rng):
    colours = [tuple(rng.randrange(256) for _ in range(3)) for _ in range(2)]
    if rng.random() < 0.3:
        colours[0] = colours[1] = rng.choice([(255, 255, 255), (240, 240, 240), (0, 0, 0), colours[0]])
    scene = gradient(*colours, angle=rng.uniform(0, 360), grain=rng.choice([0, 0, 6, 20]), seed=rng.getrandbits(32))
    if rng.random() < 0.25:  # soft spots of light, out of focus
        draw = ImageDraw.Draw(scene)
        for _ in range(12):
            x, y, r = rng.uniform(0, 480), rng.uniform(0, 360), rng.uniform(10, 60)
            draw.ellipse((x - r, y - r, x + r, y + r), tuple(rng.randrange(256) for _ in range(3)))
        scene = scene.filter(ImageFilter.GaussianBlur(12))
    return scene


def random_scene(bitmap, may_flip, rng):
    """A new picture of an emoji: size, place, turn, background, blur and JPEG quality by chance."""
    scene = random_background(rng)
    if may_flip and rng.random() < 0.5:
        bitmap = bitmap.transpose(Image.FLIP_LEFT_RIGHT)
    side = round(360 * rng.uniform(0.45, 0.95))
    reach = (360 - side) / 2  # it stays inside the square that the centre crop keeps
    centre = 240 + rng.uniform(-reach, reach), 180 + rng.uniform(-reach, reach)
    paste(scene, bitmap, centre, side, rng.gauss(0, 8), shadow=rng.random() < 0.5)
    if rng.random() < 0.5:
        scene = scene.filter(ImageFilter.GaussianBlur(rng.uniform(0, 3)))
    return recompress(scene, rng.randrange(30, 96))


def plain_scene(bitmap):
    """An emoji in the middle of a white page."""
    scene = Image.new("RGB", SIZE, "white")
    paste(scene, bitmap, (240, 180), 260, shadow=False)
    return recompress(scene, 90)


def recompress(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def main():
    """Draws the shipped pictures: python scene.py FOLDER."""
    import argparse
    import os

    import emoji

    parser = argparse.ArgumentParser(description="draw the shipped pictures")
    parser.add_argument("folder")
    folder = parser.parse_args().folder
    face = emoji.font()
    # name, emoji, sky, ground, side, centre, angle
    pictures = [
        ("owl", "\U0001f989", (28, 38, 84), (120, 110, 160), 270, (236, 186), 4),
        ("car", "\U0001f697", (168, 212, 240), (120, 128, 120), 280, (250, 190), -3),
        ("cat", "\U0001f408", (246, 226, 196), (214, 160, 120), 260, (244, 184), 0),
        ("pizza", "\U0001f355", (236, 236, 226), (160, 190, 150), 250, (236, 180), 10),
        ("guitar", "\U0001f3b8", (90, 60, 60), (220, 180, 120), 270, (240, 180), -6),
        ("rocket", "\U0001f680", (12, 12, 40), (70, 40, 100), 260, (246, 176), 5),
    ]
    os.makedirs(folder, exist_ok=True)
    for i, (name, text, sky, ground, side, centre, angle) in enumerate(pictures):
        scene = gradient(sky, ground)
        paste(scene, emoji.bitmap(text, face), centre, side, angle)
        path = os.path.join(folder, name + ".png")
        scene.save(path, optimize=True)
        print(path, os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()
