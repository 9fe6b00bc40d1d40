"""Weights of four bits as those of eight: the operators compute the same with both.

Source: ai-edge-litert 2.3.0, BUILTIN_REF, measured: after unpacking, accumulators and rescaling are those of int8 weights.
Element 2i is the low nibble of byte i, element 2i + 1 the high one, over the whole tensor, without padding of rows or channels;
-8 is used as it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .channel_axes import CHANNEL_AXIS
from .file_model import FileModel, FileOp, FileTensor
from .schema import ElementType


def unpacked_int4(packed: npt.NDArray[np.generic], count: int) -> npt.NDArray[np.int8]:
    """`count` int8 values in -8..7 from ceil(count / 2) bytes; read-only."""
    nibbles = np.empty(2 * packed.size, np.int8)
    nibbles[0::2] = packed.view(np.int8) << 4
    nibbles[1::2] = packed.view(np.int8)
    unpacked: npt.NDArray[np.int8] = nibbles[:count] >> 4
    unpacked.setflags(write=False)
    return unpacked


def int4_weights(model: FileModel) -> FileModel:
    """The model with the int4 weights of its convolutions and FULLY_CONNECTED as int8; int4 elsewhere stays, and is refused."""
    unpacked: dict[FileTensor, FileTensor] = {}

    def of(op: FileOp) -> FileOp:
        weights = op.optional(1)
        if op.opcode not in CHANNEL_AXIS or weights is None or weights.type is not ElementType.INT4 or not weights.is_constant:
            return op
        if weights not in unpacked:
            unpacked[weights] = replace(weights, type=ElementType.INT8)
        return replace(op, inputs=(op.inputs[0], unpacked[weights], *op.inputs[2:]))

    ops = tuple(map(of, model.ops))
    if not unpacked:
        return model
    count = len(unpacked)
    return replace(model, ops=ops).noted(f"int4 weights of {count} operator{'s' * (count != 1)} are kept as int8 in the C")
