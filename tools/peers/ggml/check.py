"""Holds the towers of towers.c to those of transformers with the same weights: prints the worst cosine of each type.

    pip install torch transformers && python tools/peers/ggml/check.py build/ggml-peer/ggml_towers

A small tower of each kind, a batch of two. Exit status 1: one of them is another function than CLIP's.
"""

import json
import subprocess
import sys

import numpy
import torch
import transformers

# As in towers.c; weights are numbers that a hash makes of their place.
ROLES = ("PATCHES CLASS WORDS POSITIONS PRE_GAIN PRE_BIAS NORM1_GAIN NORM1_BIAS QKV QKV_BIAS OUT OUT_BIAS NORM2_GAIN NORM2_BIAS "
         "FC1 FC1_BIAS FC2 FC2_BIAS POST_GAIN POST_BIAS PROJECTION INPUT").split()
IMAGE, TOKENS, VOCABULARY, BATCH = 224, 77, 1024, 2
PATCH, WIDTH, LAYERS, HEADS, EMBEDDING = 32, 256, 3, 4, 96
# The least cosine: a bug in the graph costs more than these types do.
TYPES = {"f32": 0.99999, "f16": 0.9999, "bf16": 0.999, "q8_0": 0.999, "q4_K": 0.97, "q4_0": 0.97}


def noise(role, n):
    h = (numpy.arange(n, dtype=numpy.uint32) + numpy.uint32(ROLES.index(role) * 0x9E3779B9 & 0xFFFFFFFF)) * numpy.uint32(0x85EBCA6B)
    h = (h ^ h >> 13) * numpy.uint32(0xC2B2AE35)
    return (h ^ h >> 16).view(numpy.int32).astype(numpy.float32) * numpy.float32(2.0**-31)


def weight(role, *shape):
    rows, k = shape if len(shape) == 2 else (1, shape[0])
    spread = 0.25 if rows == 1 or role == "POSITIONS" else (3 / k) ** 0.5
    x = noise(role, rows * k) * numpy.float32(spread) + (role.endswith("GAIN"))
    return torch.from_numpy(x.reshape(shape))


def set_norm(norm, name):
    norm.weight.copy_(weight(f"{name}_GAIN", WIDTH))
    norm.bias.copy_(weight(f"{name}_BIAS", WIDTH))


def set_linear(linear, name):
    linear.weight.copy_(weight(name, *linear.weight.shape))
    if linear.bias is not None:
        linear.bias.copy_(weight(f"{name}_BIAS", *linear.bias.shape))


def set_layer(layer):
    set_norm(layer.layer_norm1, "NORM1")
    set_norm(layer.layer_norm2, "NORM2")
    a = layer.self_attn
    parts = zip((a.q_proj, a.k_proj, a.v_proj), weight("QKV", 3 * WIDTH, WIDTH).chunk(3), weight("QKV_BIAS", 3 * WIDTH).chunk(3))
    for linear, w, b in parts:
        linear.weight.copy_(w)
        linear.bias.copy_(b)
    for linear, name in ((a.out_proj, "OUT"), (layer.mlp.fc1, "FC1"), (layer.mlp.fc2, "FC2")):
        set_linear(linear, name)


def expected(tower):
    """Embeddings by transformers."""
    sizes = dict(hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                 projection_dim=EMBEDDING)
    if tower == "image":
        model = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(patch_size=PATCH, **sizes)).eval()
        inner, projection = model.vision_model, model.visual_projection
        inner.embeddings.class_embedding.copy_(weight("CLASS", WIDTH))
        inner.embeddings.patch_embedding.weight.copy_(weight("PATCHES", WIDTH, 3 * PATCH * PATCH).view(WIDTH, 3, PATCH, PATCH))
        set_norm(inner.pre_layrnorm, "PRE")
        set_norm(inner.post_layernorm, "POST")
        x = torch.from_numpy(noise("INPUT", BATCH * 3 * IMAGE * IMAGE).reshape(BATCH, 3, IMAGE, IMAGE))
    else:
        config = transformers.CLIPTextConfig(vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2, **sizes)
        model = transformers.CLIPTextModelWithProjection(config).eval()
        inner, projection = model.text_model, model.text_projection
        inner.embeddings.token_embedding.weight.copy_(weight("WORDS", VOCABULARY, WIDTH))
        set_norm(inner.final_layer_norm, "POST")
        ids = (1 + noise("INPUT", BATCH * TOKENS)) * (VOCABULARY // 2 - 1)
        x = torch.from_numpy(ids.astype(numpy.int64).reshape(BATCH, TOKENS))
    position = inner.embeddings.position_embedding.weight
    position.copy_(weight("POSITIONS", *position.shape))
    for layer in inner.encoder.layers:
        set_layer(layer)
    set_linear(projection, "PROJECTION")
    y = inner(x)
    return projection(y.pooler_output if tower == "image" else y.last_hidden_state[:, -1])


def actual(program, tower, kind):
    command = [program, "--width", WIDTH, "--layers", LAYERS, "--heads", HEADS, "--embedding", EMBEDDING, "--batch", BATCH,
               "--patch", PATCH if tower == "image" else 0, "--type", kind, "--ms", 0, "--print", 1]
    report = json.loads(subprocess.check_output([str(word) for word in command]))
    return torch.tensor(report["embeddings"]).view(BATCH, EMBEDDING)


def main():
    failed = False
    for tower in ("image", "text"):
        with torch.no_grad():
            want = expected(tower)
        for kind, least in TYPES.items():
            cosine = torch.cosine_similarity(want, actual(sys.argv[1], tower, kind)).min().item()
            failed |= not cosine >= least
            print(f"{tower:6} {kind:5} {cosine:.6f}, at least {least}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
