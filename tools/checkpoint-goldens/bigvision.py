"""Writes a SigLIP of transformers as big_vision's .npz file, and a small one with what transformers answers for it.

The names and layouts are those that transformers' convert_siglip_to_hf.py and convert_siglip2_to_hf.py read, the other way round.
Made with torch 2.8.0, transformers 5.23.0, numpy 2.4.6.
Usage: python bigvision.py FOLDER OUT.npz [stacked]     a checkpoint of type siglip or siglip2, blocks stacked or one by one
       python bigvision.py small OUT                    small.npz and naflex.npz with random weights, and their .json
"""

import json
import pathlib
import sys

import numpy as np
import torch


def arrays(model):
    """The model's weights by big_vision's names."""
    state = {k: v.detach().float().numpy() for k, v in model.state_dict().items()}
    config = model.config
    out = {}

    def norm(to, source):
        out[to + "/scale"], out[to + "/bias"] = state.pop(source + ".weight"), state.pop(source + ".bias")

    def dense(to, source):
        out[to + "/kernel"], out[to + "/bias"] = state.pop(source + ".weight").T, state.pop(source + ".bias")

    def attention(to, projections, source_out, heads):
        for name, (weight, bias) in projections.items():
            width = weight.shape[1]
            out[f"{to}/{name}/kernel"] = weight.T.reshape(width, heads, width // heads)
            out[f"{to}/{name}/bias"] = bias.reshape(heads, width // heads)
        weight = state.pop(source_out + ".weight")
        out[to + "/out/kernel"] = weight.T.reshape(heads, -1, weight.shape[0])
        out[to + "/out/bias"] = state.pop(source_out + ".bias")

    def block(to, source, heads):
        norm(to + "/LayerNorm_0", source + ".layer_norm1")
        norm(to + "/LayerNorm_1", source + ".layer_norm2")
        dense(to + "/MlpBlock_0/Dense_0", source + ".mlp.fc1")
        dense(to + "/MlpBlock_0/Dense_1", source + ".mlp.fc2")
        pairs = {
            name: tuple(state.pop(f"{source}.self_attn.{name[0]}_proj.{x}") for x in ("weight", "bias")) for name in ("query", "key", "value")
        }
        attention(to + "/MultiHeadDotProductAttention_0", pairs, source + ".self_attn.out_proj", heads)

    vision, text = config.vision_config, config.text_config
    kernel = state.pop("vision_model.embeddings.patch_embedding.weight")
    out["params/img/embedding/kernel"] = kernel.T if kernel.ndim == 2 else kernel.transpose(2, 3, 1, 0)
    out["params/img/embedding/bias"] = state.pop("vision_model.embeddings.patch_embedding.bias")
    positions = state.pop("vision_model.embeddings.position_embedding.weight")
    side = int(len(positions) ** 0.5)
    out["params/img/pos_embedding"] = positions.reshape(side, side, -1) if kernel.ndim == 2 else positions[None]
    for i in range(vision.num_hidden_layers):
        block(f"params/img/Transformer/encoderblock_{i}", f"vision_model.encoder.layers.{i}", vision.num_attention_heads)
    norm("params/img/Transformer/encoder_norm", "vision_model.post_layernorm")
    head = "params/img/MAPHead_0"
    out[head + "/probe"] = state.pop("vision_model.head.probe")
    norm(head + "/LayerNorm_0", "vision_model.head.layernorm")
    dense(head + "/MlpBlock_0/Dense_0", "vision_model.head.mlp.fc1")
    dense(head + "/MlpBlock_0/Dense_1", "vision_model.head.mlp.fc2")
    packed = [np.split(state.pop("vision_model.head.attention.in_proj_" + x), 3) for x in ("weight", "bias")]
    attention(
        head + "/MultiHeadDotProductAttention_0", dict(zip(("query", "key", "value"), zip(*packed))),
        "vision_model.head.attention.out_proj", vision.num_attention_heads,
    )

    out["params/txt/Embed_0/embedding"] = state.pop("text_model.embeddings.token_embedding.weight")
    out["params/txt/pos_embedding"] = state.pop("text_model.embeddings.position_embedding.weight")[None]
    for i in range(text.num_hidden_layers):
        block(f"params/txt/Encoder_0/encoderblock_{i}", f"text_model.encoder.layers.{i}", text.num_attention_heads)
    norm("params/txt/Encoder_0/encoder_norm", "text_model.final_layer_norm")
    dense("params/txt/head", "text_model.head")
    out["params/t"], out["params/b"] = state.pop("logit_scale"), state.pop("logit_bias")
    assert not state, list(state)
    return out


def stack(arrays):
    """Puts the tensors of all blocks into one, the layer as first axis."""
    out, stacks = {}, {}
    for name, value in arrays.items():
        before, found, after = name.partition("/encoderblock_")
        if found:
            number, _, rest = after.partition("/")
            stacks.setdefault(f"{before}/encoderblock/{rest}", {})[int(number)] = value
        else:
            out[name] = value
    return out | {name: np.stack([parts[i] for i in range(len(parts))]) for name, parts in stacks.items()}


def small(out):
    from transformers import Siglip2Config, Siglip2Model, SiglipConfig, SiglipModel

    vision = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 4}
    text = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 900,
            "projection_size": 16, "max_position_embeddings": 64}
    models = {
        "small": SiglipModel(SiglipConfig(vision_config=vision | {"image_size": 12}, text_config=text)),
        "naflex": Siglip2Model(Siglip2Config(vision_config=vision | {"num_patches": 9}, text_config=text)),
    }
    for name, model in models.items():
        model.eval()
        with torch.no_grad():
            for key, p in model.named_parameters():
                if key.startswith("logit"):
                    p.fill_(2.5 if key == "logit_scale" else -1.5)
                elif p.ndim == 1 and key.endswith("weight"):
                    p.uniform_(0.5, 1.5)
                else:
                    p.normal_(std=p[0].numel() ** -0.5 if p.ndim >= 2 and "embed" not in key else 0.3)
                p.copy_(p.half().float())  # the file keeps half the bytes
            ids = torch.randint(2, 900, (3, 64))
            shapes = mask = None
            if name == "naflex":
                pixels = torch.randn(2, 12, 48)
                shapes = torch.tensor([[3, 4], [2, 5]])
                mask = torch.tensor([[1] * 12, [1] * 10 + [0] * 2])
                pixels[1, 10:] = 0
                answer = model(pixel_values=pixels, pixel_attention_mask=mask, spatial_shapes=shapes, input_ids=ids)
            else:
                pixels = torch.randn(2, 3, 12, 12)
                answer = model(pixel_values=pixels, input_ids=ids)
        # NaFlex's own files stack the blocks.
        weights = stack(arrays(model)) if name == "naflex" else arrays(model)
        np.savez_compressed(out / f"{name}.npz", **{k: v.astype(np.float16) for k, v in weights.items()})
        expected = {"pixel_values": pixels.flatten().tolist(), "pixel_shape": list(pixels.shape), "input_ids": ids.tolist(),
                    "image_embeds": answer.image_embeds.tolist(), "text_embeds": answer.text_embeds.tolist(),
                    "logits_per_image": answer.logits_per_image.tolist()}
        if shapes is not None:
            expected |= {"spatial_shapes": shapes.tolist()}
        (out / f"{name}.json").write_text(json.dumps(expected) + "\n")


def main():
    torch.manual_seed(1)
    if sys.argv[1] == "small":
        small(pathlib.Path(sys.argv[2]))
        return
    from transformers import AutoModel

    weights = arrays(AutoModel.from_pretrained(sys.argv[1], dtype=torch.float32))
    np.savez(sys.argv[2], **(stack(weights) if sys.argv[3:] == ["stacked"] else weights))


if __name__ == "__main__":
    main()
