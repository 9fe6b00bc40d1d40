"""Operators that only give the same values in the same order another shape: each is a RESHAPE, which costs nothing in the C.

EXPAND_DIMS, SQUEEZE, and what happens to move nothing: PACK and CONCATENATION of one tensor, a TRANSPOSE of axes of size 1, a
SLICE of everything, a QUANTIZE to the same scale. A RESHAPE's operand is dropped: its output's shape says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from .constant_arithmetic import NotFoldable, strided_index
from .file_model import FileModel, FileOp, FileTensor
from .operands import MAX_INDICES
from .schema import ElementType
from .shapes import true_shape


def reshape_kinds(model: FileModel) -> FileModel:
    """The model with a RESHAPE for each such operator."""
    return replace(model, ops=tuple(map(_reshaped, model.ops)))


def _reshaped(op: FileOp) -> FileOp:
    rule = MOVES_NOTHING.get(op.opcode)
    if rule is None or len(op.outputs) != 1 or not op.inputs:
        return op
    data = op.optional(1 if op.opcode == "SPLIT" else 0)
    if data is None or data.is_constant or not _same_values(data, op.output):
        return op
    try:
        moves_nothing = rule(op, data)
    except (NotFoldable, ValueError, IndexError):
        return op
    return replace(op, opcode="RESHAPE", inputs=(data,), options={}) if moves_nothing else op


def _same_values(a: FileTensor, b: FileTensor) -> bool:
    quantizations = [
        None if q is None else (tuple(map(np.float32, q.scales)), q.zero_points, q.axis) for q in (a.quantization, b.quantization)
    ]
    is_quantized = a.type in (ElementType.INT8, ElementType.UINT8, ElementType.INT16)
    return a.type is b.type and a.num_elements == b.num_elements and (not is_quantized or quantizations[0] == quantizations[1])


def _integers(op: FileOp, i: int) -> list[int]:
    tensor = op.optional(i)
    if tensor is None or tensor.data is None or tensor.data.dtype.kind not in "iu" or tensor.data.size > MAX_INDICES:
        raise NotFoldable
    return [int(v) for v in tensor.data.reshape(-1)]


def _always(op: FileOp, data: FileTensor) -> bool:
    return True


def _one_operand(op: FileOp, data: FileTensor) -> bool:
    return len(op.inputs) == 1 and not op.options.get("fused_activation")


def _is_known_shape(op: FileOp, data: FileTensor) -> bool:
    """A RESHAPE whose wanted shape is its output's, or nowhere but there."""
    return op.optional(1) is None or true_shape(op, has_new_input=False) == op.output.shape


def _transposes_ones(op: FileOp, data: FileTensor) -> bool:
    rank = len(data.shape)
    order = [axis + rank if axis < 0 else axis for axis in _integers(op, 1)]
    if sorted(order) != list(range(rank)):
        return False
    moved = [axis for axis in order if data.shape[axis] != 1]
    return moved == sorted(moved)


def _slices_all(op: FileOp, data: FileTensor) -> bool:
    return data.shape == op.output.shape and not any(_integers(op, 1))


def _strides_over_all(op: FileOp, data: FileTensor) -> bool:
    strides = _integers(op, 3)
    index = strided_index(op, _integers(op, 1), _integers(op, 2), strides)
    taken = np.broadcast_to(np.int8(0), data.shape)[index]
    return min(strides, default=1) > 0 and taken.shape == op.output.shape and taken.size == data.num_elements


def _pads_nothing(op: FileOp, data: FileTensor) -> bool:
    return data.shape == op.output.shape and not any(_integers(op, 1))


def _same_shape(op: FileOp, data: FileTensor) -> bool:
    return data.shape == op.output.shape


def _gathers_in_order(op: FileOp, data: FileTensor) -> bool:
    axis = int(op.options["axis"]) % max(1, len(data.shape))
    indices = _integers(op, 1)
    return not op.options["batch_dims"] and len(indices) == data.shape[axis] and indices == list(range(len(indices)))


def _blocks_of_one(op: FileOp, data: FileTensor) -> bool:
    return data.shape == op.output.shape and set(_integers(op, 1)) == {1} and not any(_integers(op, 2))


MOVES_NOTHING: Mapping[str, Callable[[FileOp, FileTensor], bool]] = {
    "EXPAND_DIMS": _always,
    "SQUEEZE": _always,
    "RESHAPE": _is_known_shape,
    "PACK": _one_operand,
    "UNPACK": _always,
    "SPLIT": _always,
    "SPLIT_V": _always,
    "CONCATENATION": _one_operand,
    "TRANSPOSE": _transposes_ones,
    "SLICE": _slices_all,
    "STRIDED_SLICE": _strides_over_all,
    "PAD": _pads_nothing,
    "GATHER": _gathers_in_order,
    "TILE": _same_shape,
    "BROADCAST_TO": _same_shape,
    "QUANTIZE": _same_shape,
    "CAST": _same_shape,
    "BATCH_TO_SPACE_ND": _blocks_of_one,
    "SPACE_TO_BATCH_ND": _blocks_of_one,
}
