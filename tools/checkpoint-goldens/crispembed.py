"""Writes small pairs of GGUF files as CrispEmbed's converters do (convert-siglip-to-gguf.py, convert-clip-text-to-gguf.py: keys
and names of tensors), and what transformers answers for the models that they are made of.

Made with torch 2.8.0, transformers 5.23.0, gguf 0.19.
Usage: python crispembed.py SPIECE_MODEL OUT     OUT/clip and OUT/siglip get image.gguf, text.gguf and expected.json
"""

import json
import pathlib
import sys
import tempfile

import gguf
import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, SiglipConfig, SiglipModel, SiglipTokenizer

TEXTS = ["a photo of a cat", "two dogs don't run, 42 owls do!", "A Remote CONTROL", ""]
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 4, "image_size": 12}


def spread(model, quantised):
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.startswith("logit"):
                continue
            if p.ndim == 1 and name.endswith("weight"):
                p.uniform_(0.5, 1.5)
            else:
                p.normal_(std=p[0].numel() ** -0.5 if p.ndim >= 2 and "embed" not in name else 0.3)
            if quantised(name, p):
                kind = gguf.GGMLQuantizationType.Q8_0
                p.copy_(torch.from_numpy(gguf.dequantize(gguf.quantize(p.numpy(), kind), kind)))


def add(writer, name, tensor, quantised=False):
    data = tensor.detach().float().numpy()
    kind = gguf.GGMLQuantizationType.Q8_0
    if quantised:
        writer.add_tensor(name, gguf.quantize(data, kind), raw_dtype=kind)
    else:
        writer.add_tensor(name, data)


def tower(writer, prefix, config):
    writer.add_uint32(prefix + ".hidden_size", config.hidden_size)
    writer.add_uint32(prefix + ".num_hidden_layers", config.num_hidden_layers)
    writer.add_uint32(prefix + ".num_attention_heads", config.num_attention_heads)
    writer.add_uint32(prefix + ".intermediate_size", config.intermediate_size)
    writer.add_float32(prefix + ".layer_norm_eps", config.layer_norm_eps)


def blocks(writer, state, source, count, quantised):
    names = {"layer_norm1": "ln1", "layer_norm2": "ln2", "mlp.fc1": "ffn.fc1", "mlp.fc2": "ffn.fc2", "self_attn.q_proj": "attn.q",
             "self_attn.k_proj": "attn.k", "self_attn.v_proj": "attn.v", "self_attn.out_proj": "attn.o"}
    for i in range(count):
        for theirs, ours in names.items():
            for x in ("weight", "bias"):
                name = f"{source}encoder.layers.{i}.{theirs}.{x}"
                add(writer, f"enc.{i}.{ours}.{x}", state[name], quantised(name, state[name]))


def close(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def image(path, model, siglip, quantised):
    v, state = model.config.vision_config, model.state_dict()
    w = gguf.GGUFWriter(path, arch="vit")
    tower(w, "vit", v)
    w.add_uint32("vit.image_size", v.image_size)
    w.add_uint32("vit.patch_size", v.patch_size)
    w.add_uint32("vit.num_patches", (v.image_size // v.patch_size) ** 2)
    w.add_uint32("vit.num_channels", 3)
    w.add_string("vit.model_type", "siglip" if siglip else "clip")
    w.add_array("vit.image_mean", [0.5] * 3 if siglip else [0.48145466, 0.4578275, 0.40821073])
    w.add_array("vit.image_std", [0.5] * 3 if siglip else [0.26862954, 0.26130258, 0.27577711])
    names = {"embeddings.patch_embedding.weight": "patch_embed.weight", "embeddings.position_embedding.weight": "position_embd.weight",
             "post_layernorm.weight": "post_ln.weight", "post_layernorm.bias": "post_ln.bias"}
    if siglip:
        names |= {"embeddings.patch_embedding.bias": "patch_embed.bias", "head.probe": "head.probe",
                  "head.attention.in_proj_weight": "head.attn.in_proj.weight", "head.attention.in_proj_bias": "head.attn.in_proj.bias"}
        for theirs, ours in {"attention.out_proj": "attn.o", "layernorm": "ln", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}.items():
            names |= {f"head.{theirs}.{x}": f"head.{ours}.{x}" for x in ("weight", "bias")}
    else:
        names |= {"embeddings.class_embedding": "cls_token", "pre_layrnorm.weight": "pre_ln.weight", "pre_layrnorm.bias": "pre_ln.bias"}
    for theirs, ours in names.items():
        add(w, ours, state["vision_model." + theirs])
    w.add_bool("vit.has_cls_token", not siglip)
    w.add_bool("vit.has_attn_pool", siglip)
    w.add_bool("vit.has_visual_proj", not siglip)
    if not siglip:
        add(w, "visual_proj.weight", state["visual_projection.weight"])
        w.add_uint32("vit.projection_dim", model.config.projection_dim)
    blocks(w, state, "vision_model.", v.num_hidden_layers, quantised)
    close(w)


def text(path, model, siglip, tokens, scores, merges, eos, quantised):
    t, state = model.config.text_config, model.state_dict()
    w = gguf.GGUFWriter(path, arch="clip_text")
    tower(w, "clip_text", t)
    w.add_uint32("clip_text.vocab_size", t.vocab_size)
    w.add_uint32("clip_text.max_position_embeddings", t.max_position_embeddings)
    w.add_uint32("clip_text.projection_dim", getattr(model.config, "projection_dim", t.hidden_size))
    w.add_string("clip_text.hidden_act", t.hidden_act)
    w.add_bool("clip_text.causal", not siglip)
    w.add_bool("clip_text.has_head", siglip)
    w.add_uint32("clip_text.bos_token_id", eos - 1)
    w.add_uint32("clip_text.eos_token_id", eos)
    w.add_array("tokenizer.ggml.tokens", tokens)
    w.add_array("tokenizer.ggml.scores", scores)
    w.add_uint32("tokenizer.ggml.type", 2 if siglip else 1)
    if merges:
        w.add_array("tokenizer.ggml.merges", merges)
    names = {"text_model.embeddings.token_embedding.weight": "token_embd.weight", "text_model.final_layer_norm.weight": "final_ln.weight",
             "text_model.embeddings.position_embedding.weight": "position_embd.weight", "text_model.final_layer_norm.bias": "final_ln.bias"}
    names |= {"text_model.head.weight": "head.weight", "text_model.head.bias": "head.bias"} if siglip else {"text_projection.weight": "text_proj.weight"}
    for theirs, ours in names.items():
        add(w, ours, state[theirs], quantised(theirs, state[theirs]))
    blocks(w, state, "text_model.", t.num_hidden_layers, quantised)
    close(w)


def clip_vocab():
    """Bytes, bytes at the end of words, and a few merges."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    alphabet = list(bytes_to_unicode().values())
    merges = ["p h", "o t", "ph ot", "phot o</w>", "c a", "ca t</w>", "o f</w>", "d o", "do g", "dog s</w>", "t w", "tw o</w>", "r e", "o n"]
    tokens = alphabet + [c + "</w>" for c in alphabet] + [m.replace(" ", "") for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    return tokens, merges


def write(folder, model, siglip, tokens, scores, merges, eos, ids, quantised):
    folder.mkdir(parents=True, exist_ok=True)
    image(folder / "image.gguf", model, siglip, quantised)
    text(folder / "text.gguf", model, siglip, tokens, scores, merges, eos, quantised)
    longest = 64 if siglip else max(map(len, ids))
    rows = torch.tensor([row + [eos] * (longest - len(row)) for row in ids])
    pixels = torch.randn(2, 3, 12, 12)
    with torch.no_grad():
        o = model(pixel_values=pixels, input_ids=rows)
    (folder / "expected.json").write_text(json.dumps({
        "texts": TEXTS, "input_ids": ids, "padded": rows.tolist(), "pixel_values": pixels.flatten().tolist(), "pixel_shape": list(pixels.shape),
        "image_embeds": o.image_embeds.tolist(), "text_embeds": o.text_embeds.tolist()}) + "\n")


def main():
    spiece, out = sys.argv[1], pathlib.Path(sys.argv[2])
    torch.manual_seed(1)
    tokens, merges = clip_vocab()
    eos = len(tokens) - 1
    with tempfile.TemporaryDirectory() as d:
        pathlib.Path(d, "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
        pathlib.Path(d, "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
        ids = CLIPTokenizer.from_pretrained(d)(TEXTS)["input_ids"]
    model = CLIPModel(CLIPConfig(
        vision_config=VISION | {"hidden_act": "gelu"}, projection_dim=24,
        text_config={"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": len(tokens),
                     "max_position_embeddings": 77, "hidden_act": "gelu", "eos_token_id": eos})).eval()
    spread(model, lambda name, p: False)
    write(out / "clip", model, False, tokens, [-float(i) for i in range(len(tokens))], merges, eos, ids, lambda name, p: False)

    import sentencepiece

    sp = sentencepiece.SentencePieceProcessor(model_file=spiece)
    pieces = [sp.id_to_piece(i) for i in range(len(sp))]
    tokenizer = SiglipTokenizer(spiece)
    model = SiglipModel(SiglipConfig(
        vision_config=VISION,
        text_config={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": len(pieces),
                     "projection_size": 32})).eval()
    blocks_only = lambda name, p: "encoder.layers" in name and p.ndim == 2
    spread(model, blocks_only)
    write(out / "siglip", model, True, pieces, [sp.get_score(i) for i in range(len(sp))], None, sp.piece_to_id("</s>"), tokenizer(TEXTS)["input_ids"], blocks_only)


if __name__ == "__main__":
    main()
