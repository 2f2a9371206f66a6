"""Writes tests/data/ggml_blocks.json: two blocks of each type, and the values that `gguf` gives them.

    python record_blocks.py MODEL.gguf ... > ../../data/ggml_blocks.json

Blocks come from the first tensor of their type in the models; for types that none of them has, they are random,
with scales of ordinary size.
"""

import base64
import json
import sys

import numpy
from gguf import GGMLQuantizationType, GGUFReader, quants
from gguf.constants import GGML_QUANT_SIZES

# Where a block has its scales, in half precision.
SCALES = {
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "F16": [0],
    "BF16": [],
}
BLOCKS = 2


def random_blocks(name, size):
    random = numpy.random.default_rng(7)
    if name == "BF16":
        numbers = random.normal(size=BLOCKS).astype(numpy.float32)
        return numbers.view(numpy.uint8).reshape(BLOCKS, 4)[:, 2:].copy()
    blocks = random.integers(0, 256, (BLOCKS, size), dtype=numpy.uint8)
    for at in SCALES[name]:
        scales = random.normal(size=BLOCKS).astype(numpy.float16)
        blocks[:, at : at + 2] = scales.view(numpy.uint8).reshape(BLOCKS, 2)
    return blocks


def main():
    recorded = {}
    tensors = [(path, tensor) for path in sys.argv[1:] for tensor in GGUFReader(path).tensors]
    for name in SCALES:
        kind = GGMLQuantizationType[name]
        _, size = GGML_QUANT_SIZES[kind]
        source, blocks = "random", random_blocks(name, size)
        for path, tensor in tensors:
            if tensor.tensor_type == kind:
                source = f"{tensor.name} of {path.rsplit('/', 1)[-1]}"
                blocks = tensor.data.view(numpy.uint8).reshape(-1, size)[:BLOCKS].copy()
                break
        values = quants.dequantize(blocks, kind).astype("<f4")
        encode = lambda array: base64.b64encode(array.tobytes()).decode()
        recorded[name] = {"source": source, "blocks": encode(blocks), "values": encode(values)}
    json.dump(recorded, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
