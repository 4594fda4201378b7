"""Writes gguf/testdata/gguf-py.gguf and gguf-py-types.json with gguf-py (pip install gguf==0.19.0).

gguf's tests write the same keys and tensors and expect the same bytes.
Usage: python tools/gguf-golden/make.py
"""

import json
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFValueType as V

out = pathlib.Path(__file__).parents[2] / "gguf" / "testdata"


def fill(size):
    return (np.arange(size) % 251).astype(np.uint8)


w = gguf.GGUFWriter(out / "gguf-py.gguf", "clip")
w.add_custom_alignment(64)
w.add_uint8("t.uint8", 200)
w.add_int8("t.int8", -100)
w.add_uint16("t.uint16", 60000)
w.add_int16("t.int16", -30000)
w.add_uint32("t.uint32", 4000000000)
w.add_int32("t.int32", -2000000000)
w.add_float32("t.float32", 0.1)
w.add_uint64("t.uint64", 2**64 - 1)
w.add_int64("t.int64", -(2**63))
w.add_float64("t.float64", 0.1)
w.add_bool("t.true", True)
w.add_bool("t.false", False)
w.add_string("t.string", "naïve 猫 \0 end")
w.add_array("t.strings", ["a", "", "猫</w>"])
w.add_key_value("t.int32s", [-1, 0, 2**31 - 1], V.ARRAY, sub_type=V.INT32)
w.add_key_value("t.float32s", [0.5, -1.0, 3e38], V.ARRAY, sub_type=V.FLOAT32)
w.add_array("t.bools", [True, False, True])
# Shapes are numpy's here: the row length comes last. The data of quantised tensors is given as bytes.
w.add_tensor("v.patch.weight", fill(24).view(np.float32).reshape(2, 3))
w.add_tensor("v.half", fill(10).view(np.float16))
w.add_tensor("v.q8", fill(2 * 68).reshape(2, 68), raw_dtype=T.Q8_0)
w.add_tensor("v.cube", fill(48).view(np.float32).reshape(2, 1, 3, 2))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()

types = {t.name: [int(t), *gguf.GGML_QUANT_SIZES[t]] for t in T if t in gguf.GGML_QUANT_SIZES}
(out / "gguf-py-types.json").write_text(json.dumps(types, indent=0) + "\n")
