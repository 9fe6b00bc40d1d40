"""Any function of one int8 value, as a file can say it in operators that every runtime has: a GATHER from 256 bytes.

The value becomes an index by two CASTs, to uint8 (the byte itself) and to int32. Here it is one operator, TABLE.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .file_model import FileModel, FileOp, FileTensor
from .schema import ElementType

ENTRIES = 256


def tables(model: FileModel) -> FileModel:
    """The model with a TABLE, of the value and of int8[256] by value + 128, for each such GATHER."""
    made = {op.outputs[0]: op for op in model.ops if op.opcode == "CAST" and len(op.inputs) == len(op.outputs) == 1}
    ops = tuple(_table(op, made) for op in model.ops)
    if all(old is new for old, new in zip(model.ops, ops, strict=True)):
        return model
    read = {t for op in ops for t in op.inputs} | set(model.outputs)
    for kind in (ElementType.INT32, ElementType.UINT8):  # the CASTs that nobody else reads, the later ones first
        ops = tuple(op for op in ops if op.opcode != "CAST" or op.outputs[0].type is not kind or op.outputs[0] in read)
        read = {t for op in ops for t in op.inputs} | set(model.outputs)
    return replace(model, ops=ops)


def _table(op: FileOp, made: dict[FileTensor, FileOp]) -> FileOp:
    if op.opcode != "GATHER" or len(op.inputs) != 2 or len(op.outputs) != 1:
        return op
    table, index = op.inputs
    if table is None or index is None or table.data is None or table.type is not ElementType.INT8 or table.shape != (ENTRIES,):
        return op
    value = _source(_source(index, ElementType.INT32, made), ElementType.UINT8, made)
    if value is None or value.type is not ElementType.INT8 or value.shape != op.output.shape:
        return op
    if table.quantization != op.output.quantization or any(op.options[name] for name in ("axis", "batch_dims")):
        return op
    by_value = replace(table, index=None, data=np.roll(table.data, ENTRIES // 2))
    return replace(op, opcode="TABLE", inputs=(value, by_value), options={})


def _source(tensor: FileTensor | None, kind: ElementType, made: dict[FileTensor, FileOp]) -> FileTensor | None:
    """What a CAST to `kind` makes a tensor of."""
    cast = None if tensor is None or tensor.type is not kind else made.get(tensor)
    return None if cast is None else cast.optional(0)
