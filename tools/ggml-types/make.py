"""Writes rows that are hard to quantise, and the bytes that ggml makes of them: quantize/testdata/ggml-types.

    python make.py LIBGGML_BASE OUT_FOLDER [SEED]

LIBGGML_BASE is ggml's libggml-base.so, compiled for plain x86-64: with fused multiply-add its bytes differ. The folder then
holds input.f32 [ROWS, COLS], imatrix.f32 [COLS], and for each type TYPE.bin, what gguf-py dequantises it to, TYPE.dequant.f32,
and, quantised with the weights of imatrix.f32, TYPE.imatrix.bin.
"""

import ctypes
import os
import sys

import gguf
import numpy as np

TYPES = {
    "f16": 1, "bf16": 30, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "mxfp4": 39, "q2_K": 10, "q3_K": 11, "q4_K": 12,
    "q5_K": 13, "q6_K": 14, "iq4_nl": 20, "iq4_xs": 23,
}  # fmt: skip
COLS = 256


def rows(rng):
    def normal(scale):
        return rng.standard_normal(COLS) * scale

    outliers = normal(0.02)
    outliers[rng.integers(0, COLS, 5)] *= 50
    sparse = normal(1)
    sparse[rng.uniform(size=COLS) < 0.97] = 0
    one_per_block = normal(0.02)
    one_per_block[::32] = 5
    alternating = np.where(np.arange(COLS) % 2, 1, -1)
    return np.array([
        normal(0.002), normal(0.02), normal(0.2), normal(1e-40), normal(3e3),
        rng.standard_t(2, COLS) * 0.02, rng.standard_t(1, COLS) * 0.01, rng.laplace(size=COLS) * 0.03,
        rng.uniform(-1, 1, COLS), rng.uniform(0, 1, COLS), rng.uniform(-2, -1, COLS), rng.exponential(0.02, COLS),
        np.full(COLS, rng.standard_normal()), 1 + normal(0.01), np.linspace(-1, 1, COLS), alternating * rng.uniform(0.1, 2),
        rng.choice([-0.05, 0, 0.05], COLS), np.round(normal(8)) / 8, outliers, sparse, one_per_block,
    ], "f4")  # fmt: skip


def main(library, out, seed):
    lib = ctypes.CDLL(library)
    quantize = lib.ggml_quantize_chunk
    quantize.restype = lib.ggml_row_size.restype = ctypes.c_size_t
    quantize.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + 3 * [ctypes.c_int64] + [ctypes.c_void_p]
    lib.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]

    rng = np.random.default_rng(seed)
    x = rows(rng)
    weights = (rng.standard_t(2, COLS) ** 2 + 1e-6).astype("f4")
    os.makedirs(out, exist_ok=True)
    x.tofile(f"{out}/input.f32")
    weights.tofile(f"{out}/imatrix.f32")
    for name, number in TYPES.items():
        for suffix, w in ((".bin", None), (".imatrix.bin", weights.ctypes.data)):
            if w is None or number not in (TYPES["f16"], TYPES["bf16"]):
                data = np.zeros(lib.ggml_row_size(number, COLS) * len(x), "u1")
                quantize(number, x.ctypes.data, data.ctypes.data, 0, len(x), COLS, w)
                data.tofile(f"{out}/{name}{suffix}")
                if w is None:
                    gguf.dequantize(data, gguf.GGMLQuantizationType(number)).astype("f4").tofile(f"{out}/{name}.dequant.f32")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) == 4 else 0)
