"""Writes ggml/test/type_vectors.h: one block of random bytes of each GGML type and its values as gguf-py (0.19)
dequantises them.

    pip install gguf numpy && python tools/type-vectors/make.py > ggml/test/type_vectors.h
"""

import gguf
import numpy as np

TYPES = "F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS TQ2_0 MXFP4".split()
HALVES = {"Q4_1": [0, 2], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2],
          "Q6_K": [208], "TQ2_0": [64], "BF16": [], "MXFP4": []}

random = np.random.default_rng(7)
print("/* One block of every type and its values, made by tools/type-vectors/make.py. */")
print("static const struct {\n    uint32_t type, n;\n    uint8_t block[256];\n    uint32_t values[256]; /* bits of float32 */\n"
      "} type_vectors[] = {")
for name in TYPES:
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    block = random.integers(0, 256, size, dtype=np.uint8)
    for at in HALVES.get(name, [0]):
        block[at:at + 2] = np.frombuffer(np.float16(random.normal()).tobytes(), np.uint8)
    if name == "BF16":
        block[:] = np.frombuffer(np.float32(random.normal()).tobytes(), np.uint8)[2:]
    if name == "MXFP4":
        block[0] = 121
    values = gguf.quants.dequantize(block, kind).astype(np.float32).reshape(-1)
    assert values.size == elements
    hexes = [f"0x{v:08x}" for v in values.view(np.uint32)]
    print(f"    {{{kind.value}, {elements}, /* {name} */")
    rows = [block[i:i + 20] for i in range(0, size, 20)]
    print("     {" + ",\n      ".join(", ".join(str(b) for b in row) for row in rows) + "},")
    rows = [hexes[i:i + 10] for i in range(0, elements, 10)]
    print("     {" + ",\n      ".join(", ".join(row) for row in rows) + "}},")
print("};")
