"""Training views: emoji on made-up backgrounds, as cheap tensor arithmetic on whole batches.

b views of CANVAS x CANVAS pixels, which is the side that the model sees.
"""

import math

import torch
import torch.nn.functional as F

CANVAS = 64
# Sprites at two sides, so that no view shrinks one more than about twofold: bilinear sampling would alias.
LEVELS = (64, 40)
SCALES = ((0.6, 1.05), (0.4, 0.6))  # side of the emoji / side of the view, per level


def make_sprites(images):
    """RGBA images -> per level uint8 [n, 4, side, side], colours multiplied by alpha (so edges blend rightly)."""
    import numpy as np
    from PIL import Image

    levels = []
    for side in LEVELS:
        rows = [np.asarray(i.convert("RGBa").resize((side, side), Image.LANCZOS)) for i in images]
        levels.append(torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2).contiguous())
    return levels


def uniform(b, low, high, g):
    return torch.rand(b, generator=g) * (high - low) + low


def place(sprites, indices, may_flip, scale, g):
    """Sprites [n, 4, s, s] -> [b, 4, CANVAS, CANVAS] in 0..1: each turned, stretched a little, scaled and shifted."""
    b = len(indices)
    side = uniform(b, math.log(scale[0]), math.log(scale[1]), g).exp()
    angle = (torch.randn(b, generator=g) * math.radians(10)).clamp(-0.6, 0.6)
    stretch = uniform(b, -0.1, 0.1, g).exp()
    flip = torch.where(may_flip[indices] & (torch.rand(b, generator=g) < 0.5), -1.0, 1.0)
    reach = (1 - side).clamp(min=0) + 0.08  # how far the centre may go, of half a view
    tx, ty = uniform(b, -1, 1, g) * reach, uniform(b, -1, 1, g) * reach

    # affine_grid maps output to input coordinates: the inverse of scale, rotate, shift.
    cos, sin = angle.cos() / side, angle.sin() / side
    a, c = flip * cos * stretch, flip * sin * stretch
    d, e = -sin / stretch, cos / stretch
    theta = torch.stack([torch.stack([a, c, -(a * tx + c * ty)], 1), torch.stack([d, e, -(d * tx + e * ty)], 1)], 1)
    grid = F.affine_grid(theta, (b, 4, CANVAS, CANVAS), align_corners=False)
    return F.grid_sample(sprites[indices].float() / 255, grid, align_corners=False)


def field(kind, b, g):
    """[b, 1, CANVAS, CANVAS] in 0..1: how far a background is from its first colour to its second."""
    axis = torch.linspace(-1, 1, CANVAS)
    y, x = axis.view(1, 1, -1, 1), axis.view(1, 1, 1, -1)
    angle = uniform(b, 0, 2 * math.pi, g).view(b, 1, 1, 1)
    along = x * angle.cos() + y * angle.sin()
    frequency = uniform(b, 4, 40, g).view(b, 1, 1, 1)
    if kind == "plain":
        out = torch.zeros(b, 1, CANVAS, CANVAS)
    elif kind == "linear":
        out = along / 2.9 + 0.5
    elif kind == "radial":
        cx, cy = uniform(b, -1, 1, g).view(b, 1, 1, 1), uniform(b, -1, 1, g).view(b, 1, 1, 1)
        out = ((x - cx) ** 2 + (y - cy) ** 2).sqrt() / 2
    elif kind == "stripes":
        out = (along * frequency).sin() * 1.5 + 0.5
    elif kind == "checks":
        across = y * angle.cos() - x * angle.sin()
        out = (along * frequency).sin() * (across * frequency).sin() * 4.5 + 0.5
    else:
        out = torch.rand(b, 1, CANVAS, CANVAS, generator=g)
    return out.clamp(0, 1)


KINDS = ("plain", "plain", "linear", "linear", "radial", "radial", "stripes", "checks", "grain")


def blobs(b, cells, g):
    """[b, 3, CANVAS, CANVAS]: smooth colour noise."""
    noise = torch.rand(b, 3, cells, cells, generator=g)
    return F.interpolate(noise, (CANVAS, CANVAS), mode="bicubic", align_corners=False).clamp(0, 1)


def colours(b, g):
    """[b, 3, 1, 1]; a third are white, black or grey."""
    colour = torch.rand(b, 3, generator=g)
    grey = torch.tensor([1.0, 1.0, 1.0, 0.94, 0.0, 0.5])[torch.randint(6, (b,), generator=g)].unsqueeze(1)
    return torch.where(torch.rand(b, 1, generator=g) < 0.33, grey, colour).view(b, 3, 1, 1)


def backgrounds(b, sprites, g):
    """[b, 3, CANVAS, CANVAS] in 0..1."""
    cuts = torch.linspace(0, b, len(KINDS) + 1).long()
    mix = torch.cat([field(k, int(n), g) for k, n in zip(KINDS, cuts.diff())])[torch.randperm(b, generator=g)]
    first, second = colours(b, g), colours(b, g)
    out = torch.lerp(first, second, mix)
    # An eighth: colour noise, coarse or fine. A tenth: a huge piece of some other emoji, a texture with edges.
    n = b // 8
    some = torch.randperm(b, generator=g)
    cells = int(torch.randint(2, 16, (1,), generator=g))
    out[some[:n]] = blobs(n, cells, g)
    n = b // 10
    others = torch.randint(len(sprites), (n,), generator=g)
    texture = place(sprites, others, torch.ones(len(sprites), dtype=torch.bool), (2.0, 4.0), g)
    out[some[-n:]] = texture[:, :3] + out[some[-n:]] * (1 - texture[:, 3:])
    return out


def blur(views, g):
    """Gaussian of a random width (sigma 0..1 pixels), separably, one kernel per view."""
    b, c, h, w = views.shape
    sigma = uniform(b, 0.05, 1.0, g).view(b, 1)
    kernel = torch.exp(-torch.arange(-2, 3).view(1, 5) ** 2 / (2 * sigma**2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(c, 0)
    flat = views.reshape(1, b * c, h, w)
    flat = F.conv2d(flat, kernel.view(-1, 1, 1, 5), padding=(0, 2), groups=b * c)
    flat = F.conv2d(flat, kernel.view(-1, 1, 5, 1), padding=(2, 0), groups=b * c)
    return flat.view(b, c, h, w)


# The discrete cosine transform of 8 values as a matrix, and a quantisation step per frequency that grows as JPEG's do.
DCT = torch.cos(math.pi / 16 * torch.arange(8).view(8, 1) * (2 * torch.arange(8).view(1, 8) + 1)) / 2
DCT[0] /= math.sqrt(2)
STEPS = 10 + 10 * (torch.arange(8).view(8, 1) + torch.arange(8).view(1, 8)).float()


def jpeg(views, g):
    """What JPEG does to a picture: each 8 x 8 block loses its small frequencies. A strength per view."""
    b, c, h, w = views.shape
    step = STEPS / 255 * uniform(b, 0.1, 1.0, g).view(b, 1, 1, 1, 1, 1)
    blocks = views.reshape(b, c, h // 8, 8, w // 8, 8).transpose(3, 4)
    frequencies = ((DCT @ blocks @ DCT.T) / step).round() * step
    return (DCT.T @ frequencies @ DCT).transpose(3, 4).reshape(b, c, h, w)


def views(levels, indices, may_flip, g, small):
    """One new picture of each emoji in indices [b], a part of them small.

    Returns colours [b, 3, CANVAS, CANVAS] in 0..1, and how much of each pixel is emoji [b, 1, CANVAS, CANVAS].
    """
    b = len(indices)
    large = b - round(b * small)
    emoji = place(levels[0], indices[:large], may_flip, SCALES[0], g)
    if large < b:
        emoji = torch.cat([emoji, place(levels[1], indices[large:], may_flip, SCALES[1], g)])
    alpha = emoji[:, 3:]
    out = emoji[:, :3] + backgrounds(b, levels[1], g) * (1 - alpha)

    # Light: contrast and brightness, and a tint small enough that red hearts stay red.
    gain = uniform(b, 0.65, 1.2, g).view(b, 1, 1, 1) * (1 + 0.08 * torch.randn(b, 3, 1, 1, generator=g))
    lift = uniform(b, -0.12, 0.12, g).view(b, 1, 1, 1)
    out = ((out - 0.5) * gain + 0.5 + lift).clamp(0, 1)

    some = torch.randperm(b, generator=g)[: b // 2]
    out[some] = blur(out[some], g)
    some = torch.randperm(b, generator=g)[: b // 4]
    out[some] = jpeg(out[some], g)
    some = torch.randperm(b, generator=g)[: b // 4]
    noise = torch.randn(len(some), 3, CANVAS, CANVAS, generator=g)
    out[some] += noise * uniform(len(some), 0, 0.05, g).view(-1, 1, 1, 1)
    return out.clamp(0, 1), alpha
