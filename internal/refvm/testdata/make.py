"""Writes torch.json: small inputs and PyTorch's float64 results for every op. Run: python make.py (torch 2.8)."""
import json
import torch
import torch.nn.functional as F

torch.manual_seed(0)
cases = []


def t(*shape):
    return torch.randn(*shape, dtype=torch.float32).double()


def case(op, inputs, output, **attributes):
    tensors = {k: {"shape": list(v.shape), "data": [float(x) for x in v.flatten()]} for k, v in inputs.items()}
    cases.append({"op": op, "in": tensors, "out": [float(x) for x in output.flatten()], **attributes})


acts = [lambda x: x, F.gelu, lambda x: F.gelu(x, approximate="tanh"), lambda x: x * torch.sigmoid(1.702 * x), F.relu,
        F.silu, torch.sigmoid, torch.tanh]
for i, act in enumerate(acts):
    x = 3 * t(2, 3, 5)
    case("act", {"x": x}, act(x), act=i)

x, g, b = t(2, 3, 7), t(1, 7), t(1, 7)
case("layer_norm", {"x": x, "gain": g, "bias": b}, F.layer_norm(x, (7,), g[0], b[0], 1e-5), eps=1e-5)
case("rms_norm", {"x": x, "gain": g}, F.rms_norm(x, (7,), g[0], 1e-6), eps=1e-6)
case("l2norm", {"x": x}, F.normalize(x, dim=-1, eps=1e-12), eps=1e-12)

x, w, b = t(2, 3, 5), t(4, 5), t(1, 4)
gate, scale, residual = t(2, 3, 4), t(1, 4), t(2, 3, 4)
case("linear", {"x": x, "w": w, "bias": b, "gate": gate, "scale": scale, "residual": residual},
     residual + scale[0] * gate * F.gelu(F.linear(x, w, b[0])), act=1)

for causal in (False, True):
    q, k, v = t(2, 3, 5, 4), t(2, 3, 5, 4), t(2, 3, 5, 4)  # [batch, heads, rows, dim]
    lengths = torch.tensor([5, 3])
    mask = torch.arange(5)[None, None, None, :] < lengths[:, None, None, None]
    if causal:
        mask = mask & torch.ones(5, 5, dtype=torch.bool).tril()
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.4)
    flat = lambda x: x.transpose(1, 2).reshape(2, 5, 12)
    case("attention", {"q": flat(q), "k": flat(k), "v": flat(v)}, flat(out), heads=3, lengths=[5, 3], causal=causal, eps=0.4)

x = t(2, 3, 7, 6)  # [batch, C, H, W]
patches = F.unfold(x, (3, 2), stride=2, padding=(1, 1)).transpose(1, 2)  # out 4 x 4
case("im2col", {"x": x.reshape(2, 21, 6)}, patches, conv=[3, 7, 6, 3, 2, 2, 1, 1, 4, 4])

x, w, b = t(2, 4, 6, 5), t(4, 1, 3, 3), t(4)
out = F.relu(F.conv2d(x, w, b, stride=2, padding=1, groups=4))  # 3 x 3
last = lambda x: x.permute(0, 2, 3, 1).reshape(2, -1, 4)
case("dwconv", {"x": last(x), "w": w.reshape(4, 9), "bias": b[None]}, last(out), conv=[4, 6, 5, 3, 3, 2, 1, 1, 3, 3], act=4)

ids, table, positions, row = torch.tensor([[3, 0, 9], [1, 1, 8]]), t(10, 5), t(4, 5), t(1, 5)
case("embed", {"table": table, "positions": positions, "row": row},
     2.5 * table[ids] + positions[None, :3] + row[None], ids=ids.flatten().tolist(), eps=2.5)

x = t(2, 4, 3)
case("mean", {"x": x}, torch.stack([x[0, :2].sum(0) / (2 + 0.5), x[1, :4].sum(0) / (4 + 0.5)]), lengths=[2, 4], eps=0.5)

with open("torch.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
