"""What the variants of transformers and of open_clip share: pictures, texts, weights, the file of answers."""

import json

import numpy as np
import torch

# PNG, whose pixels have no excuse, and a JPEG; RGB, with alpha, grey; wide, tall and square.
IMAGES = ["000000039769.png", "skimage/horse.png", "skimage/camera.png", "formats/cat.jpg"]

TEXTS = [
    "a photo of a cat.",
    "",
    "Don't PANIC:  it's 42% OFF -- really?! <b>&amp;</b>",
    "Zürich's CAFÉ, naïve Ångström ﬁne",
    "猫の写真 这是一张猫的照片 صورة قطة",
    "an owl 🦉 and 👨‍👩‍👧 with\ttabs\nand lines",
    "the quick brown fox jumps over the lazy dog " * 14,
]

LABELS = ["cat", "two remote controls", "UPPER case", "猫"]


def spread(model):
    """Random weights with the scales of trained ones: products by their fan-in, log-normal norms with outliers, some bias."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            last = name.rsplit(".", 1)[-1]
            if last == "logit_scale":
                p.fill_(4.6052)
            elif last in ("logit_bias", "temperature"):
                continue
            elif "embed" in name and p.ndim >= 2 and "conv" not in name and "patch" not in name or last in (
                    "cls_token", "register_tokens", "query_tokens", "class_embedding", "probe", "query", "latent", "cls_emb"):
                p.normal_(std=0.5)
            elif p.ndim >= 2:
                p.normal_(std=p[0].numel() ** -0.5)
            elif last in ("gamma", "lambda1"):
                p.uniform_(0.3, 1)
            elif last == "weight":  # of a norm
                p.copy_(torch.exp(torch.randn_like(p) * 0.25))
                p[torch.randint(len(p), ())] *= 5
            else:
                p.normal_(std=0.1)
        for name, b in model.named_buffers():
            if name.endswith("running_mean"):
                b.normal_()
            elif name.endswith("running_var"):
                b.uniform_(0.5, 2)


def write_expected(folder, pixels, answer):
    """answer maps names to tensors or plain data."""
    answer = {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in answer.items() if v is not None}
    for name in ("image_embeds", "text_embeds", "logits_per_image"):
        if not np.isfinite(np.array(answer[name])).all():
            raise ValueError(f"{name} is not finite")
    np.save(folder / "expected_pixel_values.npy", pixels.numpy().astype(np.float32))
    (folder / "expected.json").write_text(json.dumps(answer, ensure_ascii=False))


def merge(base, over):
    """base with the values of over; None takes a value away, the configuration of a part is merged."""
    out = dict(base)
    for k, v in over.items():
        if v is None:
            out.pop(k, None)
        elif k.endswith(("_config", "_config_dict")) and k in out:
            out[k] = merge(out[k], v)
        else:
            out[k] = v
    return out
