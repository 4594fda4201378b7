"""Writes small files with torch and numpy, and what they hold, for the tests of internal/torchfile and internal/npz.

Made with torch 2.8.0 and numpy 2.4.6. Beside each file lies NAME.json: {tensor: {dtype, shape, crc32}}, in the order of the
state dict. The checksum is that of the elements as little-endian float32, or as stored if they are integers.
Usage: python tools/checkpoint-goldens/make.py [FOLDER OF SHARED TEST MATERIAL]
"""

import collections
import json
import pathlib
import sys
import zlib

import numpy as np
import torch

internal = pathlib.Path(__file__).parents[2] / "internal"
torch.manual_seed(1)

NAMES = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}


def elements(t):
    values = t.to(torch.float32) if t.is_floating_point() else t
    return values.contiguous().numpy().tobytes()


def describe(tensors):
    out = {}
    for name, t in tensors.items():
        t = t.detach()
        out[name] = {"dtype": NAMES[t.dtype], "shape": list(t.shape), "crc32": zlib.crc32(elements(t))}
    return out


def checksum(tensors):
    """One checksum of all names and elements."""
    sum = 0
    for name, t in tensors.items():
        sum = zlib.crc32(elements(t), zlib.crc32(name.encode(), sum))
    return sum


def write_json(path, described):
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in described.items())
    path.write_text("{\n" + lines + "\n}\n")


def save(name, value, tensors, **options):
    path = internal / "torchfile" / "testdata" / name
    torch.save(value, path, **options)
    write_json(path.with_suffix(".json"), describe(tensors))


base = torch.randn(6, 8)
types = collections.OrderedDict(
    f32=base,
    f16=torch.randn(3, 5).half(),
    bf16=torch.randn(2, 2, 3).bfloat16(),
    f64=torch.randn(4).double(),
    i64=torch.arange(7),
    i32=torch.arange(3, dtype=torch.int32),
    i16=torch.arange(3, dtype=torch.int16),
    i8=torch.arange(3, dtype=torch.int8),
    u8=torch.arange(3, dtype=torch.uint8),
    bool=torch.tensor([True, False]),
    scalar=torch.tensor(4.6052),
    empty=torch.empty(0, 3),
    one_by_one=torch.arange(4).float().expand(1, 1, 4),
    transposed=base.t(),
    row=base[2],
    column=base[:, 3],
    window=base[1:5:2, 2:7],
    permuted=torch.randn(2, 3, 4).permute(2, 0, 1),
)
types["parameter"] = torch.nn.Parameter(torch.randn(3, 2))
types["half.transposed"] = torch.randn(3, 4).half().t()
save("types.pt", types, types)

shards = {f"sharded-{i + 1:05}-of-00002.bin": dict(list(types.items())[i::2]) for i in range(2)}
for name, part in shards.items():
    torch.save(part, internal / "torchfile" / "testdata" / name)
index = {"metadata": {"total_size": 0}, "weight_map": {tensor: name for name, part in shards.items() for tensor in part}}
(internal / "torchfile" / "testdata" / "sharded.bin.index.json").write_text(json.dumps(index, indent=1) + "\n")

model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3))
optimizer = torch.optim.AdamW(model.parameters())
model(torch.randn(2, 4)).sum().backward()
optimizer.step()
state = model.state_dict()
wrapped = {"module." + k: v for k, v in state.items()}
save(
    "training.pt",
    {"epoch": 3, "loss": 0.5, "name": "x", "state_dict": wrapped, "optimizer": optimizer.state_dict(), "big": 1 << 40, "neg": -5},
    state,
)
save("nested.pt", {"text": {"a": base, "list": [base]}, "image": {"b": {"c": base[0]}}}, {"text.a": base, "image.b.c": base[0]})


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.scale = torch.nn.Parameter(torch.tensor(2.0))
        self.register_buffer("table", torch.arange(4).half())

    def forward(self, x):
        return self.linear(x) * self.scale + self.table.to(x.dtype) + torch.tensor([1.0, 2.0, 3.0, 4.0])


class Tower(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.resolution = 224
        self.blocks = torch.nn.Sequential(Block(), Block().half())

    def forward(self, x):
        return self.blocks[0](x)


tower = Tower()
for name, scripted in [("traced.pt", torch.jit.trace(tower, torch.randn(1, 4), check_trace=False)), ("scripted.pt", torch.jit.script(tower))]:
    path = internal / "torchfile" / "testdata" / name
    scripted.save(path)
    write_json(path.with_suffix(".json"), describe(dict(scripted.state_dict())))

torch.save(state, internal / "torchfile" / "testdata" / "legacy.pt", _use_new_zipfile_serialization=False)


class Evil:
    def __reduce__(self):
        import os

        return os.system, ("touch evil-was-here",)


torch.save({"a": base, "b": Evil()}, internal / "torchfile" / "testdata" / "evil.pt")

arrays = {
    "params/t": np.float32(2.5),
    "params/img/embedding/kernel": np.random.default_rng(1).standard_normal((2, 2, 3, 4), dtype=np.float32),
    "params/fortran": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
    "params/half": np.arange(5, dtype=np.float16),
    "params/double": np.arange(5, dtype=np.float64) / 3,
    "params/int": np.arange(5, dtype=np.int64),
    "params/empty": np.zeros((0, 4), dtype=np.float32),
    "params/zeros": np.zeros((100, 1000), dtype=np.float32),
}
arrays["params/img/embedding/kernel"].flat[:2] = [np.inf, -0.0]
for name, write in [("stored.npz", np.savez), ("deflated.npz", np.savez_compressed)]:
    described = describe({k: torch.from_numpy(np.ascontiguousarray(v)).reshape(np.shape(v)) for k, v in arrays.items()})
    # bfloat16 has no name in numpy: jax's arrays are saved as two bytes of nothing in particular.
    brain = torch.randn(3, 3).bfloat16()
    described |= describe({"params/brain": brain})
    if name == "stored.npz":  # one large array is enough
        described.pop("params/zeros")
    path = internal / "npz" / "testdata" / name
    some = {k: v for k, v in arrays.items() if k in described}
    write(path, **some, **{"params/brain": brain.view(torch.int16).numpy().view("V2")})
    write_json(path.with_suffix(".json"), described)

if len(sys.argv) > 1:
    shared = {}
    folder = pathlib.Path(sys.argv[1])
    for path in sorted([*folder.glob("data/torchfiles/*.pt"), *folder.glob("golden/*/open_clip_pytorch_model.bin")]):
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        shared[str(path.relative_to(folder))] = {"tensors": len(tensors), "crc32": checksum(tensors)}
    write_json(internal / "torchfile" / "testdata" / "shared.json", shared)
