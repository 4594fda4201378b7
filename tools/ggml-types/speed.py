"""Times quantisers on one core, ggml's and clipgo's in turn: millions of weights per second of processor time.

    go test -c -o quantize.test ./quantize && python tools/ggml-types/speed.py LIBGGML_BASE quantize.test

LIBGGML_BASE is ggml's libggml-base.so, compiled for this processor. Every number is the best of several runs of a row of
4096 normal numbers, without and with weights.
"""

import ctypes
import os
import re
import resource
import subprocess
import sys
import time

import numpy as np

from make import TYPES

COLS, ROWS, RUNS = 4096, 64, 5


def ggml(lib, number, weights):
    x = (np.random.default_rng(0).standard_normal((ROWS, COLS)) * 0.02).astype("f4")
    w = (x[0] ** 2 + 0.001).astype("f4")
    out = np.zeros(4 * ROWS * COLS, "u1")
    lib.ggml_quantize_init(number)
    start = time.thread_time()
    lib.ggml_quantize_chunk(number, x.ctypes.data, out.ctypes.data, 0, ROWS, COLS, w.ctypes.data if weights else None)
    return ROWS * COLS / (time.thread_time() - start) / 1e6


def clipgo(binary, name, weights):
    """The processor time of the whole process, start-up less than a thousandth of it, for a fixed number of rows."""
    runs = {"f16": 20000, "bf16": 20000, "q4_0": 20000, "q4_1": 20000, "q5_0": 20000, "q5_1": 20000, "q8_0": 20000, "mxfp4": 20000}
    n = runs.get(name, 300) if not weights or name in ("q8_0", "mxfp4") else 300
    bench = f"BenchmarkQuantize/{name.upper()}/{'weighted' if weights else 'plain'}$"
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    out = subprocess.run([binary, "-test.run=^$", f"-test.bench={bench}", f"-test.benchtime={n}x"], capture_output=True, text=True,
                         check=True, env=dict(os.environ, GOMAXPROCS="1")).stdout  # fmt: skip
    if not re.search(r"weights/s", out):
        raise SystemExit(f"no benchmark {bench} in {binary}")
    return (n + 1) * COLS / (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before) / 1e6


def main(library, binary):
    lib = ctypes.CDLL(library)
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + 3 * [ctypes.c_int64] + [ctypes.c_void_p]
    print("| type | clipgo | ggml | ratio | with weights: clipgo | ggml | ratio |\n|---|---|---|---|---|---|---|")
    for name, number in TYPES.items():
        if name == "bf16":
            continue  # ggml has no quantiser of this name
        row = f"| {name.upper()} |"
        for weights in (False, True):
            if name == "f16" and weights:
                row += " | | |"
                continue
            ours = theirs = 0.0
            for _ in range(RUNS):
                ours, theirs = max(ours, clipgo(binary, name, weights)), max(theirs, ggml(lib, number, weights))
            row += f" {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |"
        print(row, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], os.path.abspath(sys.argv[2]))
