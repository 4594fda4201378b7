"""Times PyTorch, ONNX Runtime and ggml on the towers that `clipgo bench` measures, in turns with it, and prints the ratios.

    pip install torch transformers onnx onnxruntime
    make build && python tools/peers/towers.py [--shape vit-b-32,vit-l-14] [--tower image,text] [--batch 1] [--threads 2]

ggml's towers are a program of ours, tools/peers/ggml/towers.c, whose head tells how to build it; --ggml names it:

    python tools/peers/towers.py --ggml build/ggml-peer/ggml_towers [--rivals ggml]

Random weights of the same sizes. Each visit runs every program for some seconds, so that a machine that changes its speed
changes it for all of them; a time is the median of the faster half of a program's visits. "ratio" is its time by that of
clipgo with the weights that stand in the same line.
"""

import argparse
import copy
import json
import os
import statistics
import subprocess
import tempfile
import time
from functools import partial

import onnxruntime
import onnxruntime.quantization
import torch
import transformers

# patch, vision (width, layers, heads), text (width, layers, heads), embedding
SHAPES = {
    "vit-b-32": (32, (768, 12, 12), (512, 12, 8), 512),
    "vit-b-16": (16, (768, 12, 12), (512, 12, 8), 512),
    "vit-l-14": (14, (1024, 24, 16), (768, 12, 12), 768),
    "vit-h-14": (14, (1280, 32, 16), (1024, 24, 16), 1024),
}
TOKENS = 77
# clipgo's types of weights, with the flags that they are measured with; and the one that each rival is held against.
CLIPGO = {"f32": [], "f16": [], "bf16": ["--fast"], "q8_0": [], "q4_0": [], "q4_k_s": []}
RIVALS = {"torch f32": "f32", "torch bf16": "bf16", "torch int8": "q8_0", "onnxruntime f32": "f32", "onnxruntime int8": "q8_0",
          "ggml f32": "f32", "ggml f16": "f16", "ggml bf16": "bf16", "ggml q8_0": "q8_0", "ggml q4_0": "q4_0",
          "ggml q4_K": "q4_k_s"}  # ours has a sixth of a block's weights in Q5_K


def make_tower(shape, tower):
    patch, vision, text, projection = SHAPES[shape]
    width, layers, heads = vision if tower == "image" else text
    sizes = dict(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=heads,
                 projection_dim=projection)
    torch.manual_seed(0)
    if tower == "image":
        return transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(patch_size=patch, **sizes)).eval()
    return transformers.CLIPTextModelWithProjection(transformers.CLIPTextConfig(**sizes)).eval()


def make_input(tower, batch):
    if tower == "image":
        return torch.randn(batch, 3, 224, 224)
    ids = torch.randint(1000, 40000, (batch, TOKENS))
    ids[:, -1] = 49407  # the end of the text
    return ids


class Embedding(torch.nn.Module):
    """Only the embedding: what ONNX exports."""

    def __init__(self, tower):
        super().__init__()
        self.tower = tower

    def forward(self, x):
        return self.tower(x)[0]


def torch_runs(model, x):
    """PyTorch's runs: as it is, in bfloat16, and with 8-bit weights and activations (one scale for each tensor)."""
    floating = x.to(torch.bfloat16) if x.is_floating_point() else x
    small = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {torch.nn.Linear})
    for name, m, data in (("torch f32", model, x), ("torch bf16", copy.deepcopy(model).to(torch.bfloat16), floating),
                          ("torch int8", small, x)):
        yield name, lambda m=m, data=data: m(data)[0]


def onnx_runs(model, x, threads, folder):
    """ONNX Runtime's runs, in float32 and with 8-bit weights and activations (one scale for each tensor)."""
    plain, small = os.path.join(folder, "f32.onnx"), os.path.join(folder, "int8.onnx")
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")
    torch.onnx.export(Embedding(model), (x,), plain, input_names=["x"], output_names=["embedding"], dynamo=False)
    onnxruntime.quantization.quantize_dynamic(plain, small)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    for name, path in (("onnxruntime f32", plain), ("onnxruntime int8", small)):
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        yield name, lambda session=session: session.run(None, {"x": x.numpy()})


def fast_median(times):
    """The median of the faster half."""
    times = sorted(times)
    return statistics.median(times[:(len(times) + 1) // 2])


def visit(call, seconds=1.5, least=5):
    """ms of a call, after one that isn't counted."""
    call()
    times, begin = [], time.perf_counter()
    while len(times) < least or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * fast_median(times)


def visit_clipgo(options, shape, tower, weights, lines):
    command = [options.clipgo, "bench", "--json", "--shape", shape, "--tower", tower, "--type", weights,
               "--batch", str(options.batch), "--threads", str(options.threads), *CLIPGO[weights]]
    result = json.loads(subprocess.check_output(command))["results"][0]
    lines.append(result.get("line_ns", 0))
    return options.batch * result["ms"]


def visit_ggml(options, shape, tower, weights):
    patch, vision, text, projection = SHAPES[shape]
    width, layers, heads = vision if tower == "image" else text
    numbers = dict(patch=patch if tower == "image" else 0, width=width, layers=layers, heads=heads, embedding=projection,
                   batch=options.batch, threads=options.threads)
    command = [options.ggml, "--type", weights] + [word for name, n in numbers.items() for word in (f"--{name}", str(n))]
    return json.loads(subprocess.check_output(command))["ms"]


def library_visits(options, shape, tower, folder):
    """Visits to the rivals that run in this process."""
    model, x = make_tower(shape, tower), make_input(tower, options.batch)
    calls = {}
    if "torch" in options.rivals:
        calls |= dict(torch_runs(model, x))
    if "onnxruntime" in options.rivals:
        calls |= dict(onnx_runs(model, x, options.threads, folder))
    for name, call in calls.items():
        yield name, lambda call=call: visit(call)


def compare(options, shape, tower):
    rivals = {name: weights for name, weights in RIVALS.items() if name.split()[0] in options.rivals}
    kinds = [weights for weights in CLIPGO if weights in rivals.values() or weights == "q4_0"]
    times, lines = {}, []
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        others = dict(library_visits(options, shape, tower, folder))
        visits = {}
        for kind in kinds:  # each next to those that it is held against
            visits[kind] = partial(visit_clipgo, options, shape, tower, kind, lines)
            for name in (name for name, weights in rivals.items() if weights == kind):
                visits[name] = others.get(name) or partial(visit_ggml, options, shape, tower, name.split()[1])
        for _ in range(options.visits):
            for name, call in visits.items():
                times.setdefault(name, []).append(call())
                if name in rivals:
                    time.sleep(0.2)  # its threads may spin for a while
    ms = {name: fast_median(times[name]) / options.batch for name in visits}
    for weights in kinds:
        print(f"{shape:12} {tower:6} clipgo {weights:17} {ms[weights]:9.2f} ms")
    for name, weights in rivals.items():
        print(f"{shape:12} {tower:6} {name:24} {ms[name]:9.2f} ms  ratio {ms[name] / ms[weights]:5.2f} to {weights}", flush=True)
    lines.sort()  # how far apart the cores were changes on some virtual machines, and with it everybody's times
    if options.threads > 1:
        print(f"{shape:12} {tower:6} meanwhile a cache line took {lines[0]:.0f} to {lines[-1]:.0f} ns from thread to thread, "
              f"{statistics.median(lines):.0f} as a rule", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clipgo", default="bin/clipgo")
    parser.add_argument("--ggml", help="the program that tools/peers/ggml/towers.c becomes")
    parser.add_argument("--rivals", default="torch,onnxruntime,ggml", help="which programs to measure; ggml needs --ggml")
    parser.add_argument("--shape", default="vit-b-32")
    parser.add_argument("--tower", default="image,text")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--visits", type=int, default=5)
    options = parser.parse_args()
    options.rivals = [name for name in options.rivals.split(",") if name != "ggml" or options.ggml]
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, onnxruntime {onnxruntime.__version__}, "
          f"{options.threads} threads, batch {options.batch}: ms per picture or text")
    for shape in options.shape.split(","):
        for tower in options.tower.split(","):
            compare(options, shape, tower)


if __name__ == "__main__":
    main()
