"""Operators that compute from constants alone, computed: Keras' shape arithmetic above all, and moves of weights.

A tensor's shape in the file is static, whatever its `shape_signature` says, so SHAPE of any tensor is a constant too. The work
is bounded by the file's size: what would make more is left, and refused by the rules.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .constant_arithmetic import NEEDS_NO_VALUES, Evaluation, NotFoldable, evaluate
from .file_model import FileModel, FileOp, FileTensor
from .schema import ElementType
from .shapes import true_shape

BUDGET_BYTES, BUDGET_FACTOR = 1 << 20, 32  # read and made: a DEQUANTIZE makes four times the bytes, and moves may follow it
MAX_INDICES = 1 << 16

_TAKE_INDICES = frozenset(
    {
        "RESHAPE", "EXPAND_DIMS", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "SLICE", "STRIDED_SLICE", "GATHER", "TRANSPOSE", "PAD",
        "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "TILE", "BROADCAST_TO", "MIRROR_PAD",
    }
)  # fmt: skip


def fold_constants(model: FileModel, file_bytes: int) -> FileModel:
    """The model without the operators whose results are known; these are constants then, under their own index."""
    budget = BUDGET_BYTES + BUDGET_FACTOR * file_bytes
    known: dict[FileTensor, FileTensor] = {}
    ops: list[FileOp] = []
    for op in model.ops:
        given = replace(op, inputs=tuple(t if t is None else known.get(t, t) for t in op.inputs))
        declared = sum(t.num_elements for t in op.outputs) * 8
        try:
            if declared > budget:
                raise NotFoldable
            known_operands = _with_values(given)
            budget -= sum(v.nbytes for v in known_operands.values if v is not None)
            values = evaluate(known_operands)
        except NotFoldable:
            has_new_input = any(old is not new for old, new in zip(op.inputs, given.inputs, strict=True))
            shape = true_shape(given, has_new_input)
            if shape is not None and shape != op.output.shape:
                known[op.output] = replace(op.output, shape=shape)
                given = replace(given, outputs=(known[op.output],))
            ops.append(given)
            continue
        for tensor, value in zip(op.outputs, values, strict=True):
            data = np.ascontiguousarray(value).reshape(value.shape)
            data.setflags(write=False)
            budget -= data.nbytes
            known[tensor] = replace(tensor, shape=data.shape, data=data)
    if not known:
        return model
    count = len(model.ops) - len(ops)
    model = replace(model, ops=tuple(ops), outputs=tuple(known.get(t, t) for t in model.outputs))
    return model.noted(f"{count} operator{'s' * (count != 1)} of shape arithmetic and constants folded") if count else model


def _with_values(op: FileOp) -> Evaluation:
    if not op.outputs or not op.inputs:
        raise NotFoldable
    present = [t for t in op.inputs if t is not None]
    if op.opcode not in NEEDS_NO_VALUES and any(t.data is None for t in present):
        raise NotFoldable
    return Evaluation(op, tuple(None if t is None or t.type.numpy is None else t.data for t in op.inputs))


def narrow_indices(model: FileModel) -> FileModel:
    """Constant int64 indices, axes, shapes and paddings as int32, where they fit."""
    narrowed: dict[FileTensor, FileTensor] = {}
    for op in model.ops:
        for tensor in op.inputs[1:] if op.opcode in _TAKE_INDICES else ():
            if (
                tensor is None
                or tensor.type is not ElementType.INT64
                or tensor.data is None
                or tensor in narrowed
                or tensor.data.size > MAX_INDICES
            ):
                continue
            data = tensor.data.astype(np.int32)
            if np.array_equal(data, tensor.data):
                narrowed[tensor] = replace(tensor, type=ElementType.INT32, data=data)
    if not narrowed:
        return model

    def changed(op: FileOp) -> FileOp:
        if op.opcode not in _TAKE_INDICES:
            return op
        return replace(op, inputs=(*op.inputs[:1], *(t if t is None else narrowed.get(t, t) for t in op.inputs[1:])))

    return replace(model, ops=tuple(map(changed, model.ops)))
