"""SPLIT, SPLIT_V and UNPACK: each output is a SLICE of the one input, of UNPACK with a RESHAPE behind it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...errors import BadModel
from ...quoting import NO_TEXT, ForeignText
from .file_model import FileModel, FileOp, FileTensor
from .schema import ElementType

SPLITS = frozenset({"SPLIT", "SPLIT_V"})
MAX_PARTS = 256


def split_slices(model: FileModel) -> FileModel:
    """The model with a SLICE for each output of a SPLIT or SPLIT_V whose axis and sizes are constants.

    Raises `BadModel` for parts that do not make up the input, or are empty.
    """
    return replace(model, ops=tuple(new for op in model.ops for new in _slices(op)))


def _unpacked(op: FileOp) -> list[FileOp]:
    data = op.optional(0)
    same = data is not None and all(t.quantization == data.quantization and t.type is data.type for t in op.outputs)
    if data is None or len(op.inputs) != 1 or not op.outputs or not same or len(op.outputs) > MAX_PARTS:
        return [op]  # no kernel takes it
    rank, axis, num = len(data.shape), int(op.options["axis"]), len(op.outputs)
    if not -rank <= axis < rank or data.shape[axis] != num or op.options["num"] != num:
        raise BadModel(f"{op.label}: {num} outputs of axis {axis} of {list(data.shape)}, {op.options['num']} in its options")
    axis %= rank
    shape = (*data.shape[:axis], 1, *data.shape[axis + 1 :])
    ops = []
    for place, output in enumerate(op.outputs):
        first = tuple(place if i == axis else 0 for i in range(rank))
        name = ForeignText(f"{output.source_name.raw}_slice")
        part = replace(output, index=None, source_name=name, shape=shape)
        ops.append(FileOp(op.index, "SLICE", (data, _constant(first), _constant(shape)), (part,), {}, op.subgraph))
        ops.append(FileOp(op.index, "RESHAPE", (part,), (output,), {}, op.subgraph))
    return ops


def _slices(op: FileOp) -> list[FileOp]:
    if op.opcode == "UNPACK":
        return _unpacked(op)
    if op.opcode not in SPLITS:
        return [op]
    needed = 2 if op.opcode == "SPLIT" else 3
    if len(op.inputs) != needed or not op.outputs:
        raise BadModel(f"{op.label}: it has {len(op.inputs)} inputs and {len(op.outputs)} outputs, {needed} and some are needed")
    if op.options["num_splits"] != len(op.outputs):
        raise BadModel(f"{op.label}: {op.options['num_splits']} parts in its options, {len(op.outputs)} outputs")
    data, axis_tensor = (op.input(1), op.input(0)) if op.opcode == "SPLIT" else (op.input(0), op.input(2))
    constants = [axis_tensor, *([op.input(1)] if op.opcode == "SPLIT_V" else [])]
    if any(t.data is None or t.type is not ElementType.INT32 for t in constants) or len(op.outputs) > MAX_PARTS:
        return [op]  # no kernel takes it
    axis = _axis(op, axis_tensor, len(data.shape))
    begin = 0
    slices = []
    for output, size in zip(op.outputs, _sizes(op, data.shape[axis]), strict=True):
        shape = (*data.shape[:axis], size, *data.shape[axis + 1 :])
        first = tuple(begin if i == axis else 0 for i in range(len(shape)))
        slices.append(FileOp(op.index, "SLICE", (data, _constant(first), _constant(shape)), (output,), {}, op.subgraph))
        begin += size
    return slices


def _axis(op: FileOp, tensor: FileTensor, rank: int) -> int:
    values = tensor.constant().reshape(-1)
    if values.size != 1 or not -rank <= int(values[0]) < rank:
        raise BadModel(f"{op.label}: axis {[int(v) for v in values[:4]]} of rank {rank}")
    return int(values[0]) % rank


def _sizes(op: FileOp, whole: int) -> list[int]:
    """The sizes of the parts along the axis, which has `whole` elements."""
    count = len(op.outputs)
    if op.opcode == "SPLIT":
        sizes = [whole // count] * count
    else:
        values = op.input(1).constant().reshape(-1)
        if values.size != count:
            raise BadModel(f"{op.label}: {values.size} sizes for {count} outputs")
        sizes = [int(v) for v in values]
        if sizes.count(-1) == 1:
            sizes[sizes.index(-1)] = whole - sum(sizes) - 1
    if sum(sizes) != whole or min(sizes) < 1:
        shown = ", ".join(map(str, sizes[:8])) + (", .." if count > 8 else "")
        raise BadModel(f"{op.label}: parts of {shown} of an axis of {whole}")
    return sizes


def _constant(values: tuple[int, ...]) -> FileTensor:
    return FileTensor(None, NO_TEXT, (len(values),), ElementType.INT32, None, np.array(values, np.int32))
