"""The bytes of a `.tflite` to a `FileModel`: every offset, index, length and type is checked; nothing is understood yet.

A tensor that no operator and no end of the model mentions is never looked at.
"""

from __future__ import annotations

import math

import numpy as np

from ...errors import BadModel
from ...quoting import ForeignText
from ..ir import Quantization
from ..verify_graph import MAX_ELEMENTS, MAX_RANK
from .file_model import FileModel, FileOp, FileTensor
from .flatbuffer import Table
from .schema import OPCODES, OPTIONS, ElementType


def parse(data: bytes) -> FileModel:
    """The main subgraph of a file; `BadModel` for one that is truncated, inconsistent or of another format."""
    model = Table.root(data, b"TFL3")
    version = model.integer(0, "I")
    if version != 3:
        raise BadModel(f"the model's schema version is {version}, 3 is supported")
    subgraphs = model.tables(2, "subgraph")
    if len(subgraphs) != 1:
        raise BadModel(f"the model has {len(subgraphs)} subgraphs, exactly 1 is supported")
    subgraph = subgraphs[0]
    tensors = _Tensors(subgraph.tables(0, "tensor"), model.tables(4, "buffer"))
    ops = _operators(subgraph, model, tensors)
    inputs = tuple(tensors.at(i, "subgraph input") for i in subgraph.integers(1))
    outputs = tuple(tensors.at(i, "subgraph output") for i in subgraph.integers(2))
    return FileModel(ops, inputs, outputs)


class _Tensors:
    """The tensors by index, each read when it is first mentioned."""

    def __init__(self, tables: list[Table], buffers: list[Table]):
        self._tables, self._buffers = tables, buffers
        self._read: dict[int, FileTensor] = {}

    def at(self, index: int, where: str) -> FileTensor:
        if not 0 <= index < len(self._tables):
            raise BadModel(f"{where} refers to tensor {index} of {len(self._tables)}")
        if index not in self._read:
            self._read[index] = self._tensor(index)
        return self._read[index]

    def _tensor(self, index: int) -> FileTensor:
        table = self._tables[index]
        shape, source_name = table.integers(0), ForeignText(table.string(3))
        where = f"tensor {index} {source_name!r}"
        if len(shape) > MAX_RANK or any(d <= 0 for d in shape) or math.prod(shape) > MAX_ELEMENTS:
            raise BadModel(
                f"{where} has shape {list(shape)}; rank at most {MAX_RANK}, sizes above 0, at most {MAX_ELEMENTS} elements"
            )
        buffer_index = table.integer(2, "I")
        if buffer_index >= len(self._buffers):
            raise BadModel(f"{where} refers to buffer {buffer_index} of {len(self._buffers)}")
        buffer = self._buffers[buffer_index]
        if buffer.integer(1, "Q") > 1:
            raise BadModel(f"{where} keeps its data outside the FlatBuffer, which is not supported")
        element = ElementType.of(table.integer(1, "b"))
        tensor = FileTensor(index, source_name, shape, element, _quantization(table, shape, where))
        raw = buffer.array(0, "u1")
        if not raw.size or element.numpy is None:
            return tensor
        item = np.dtype(element.numpy)
        if raw.size != tensor.num_elements * item.itemsize:
            raise BadModel(f"{where} has {raw.size} bytes of data for shape {list(shape)} of {element.name.lower()}")
        return FileTensor(index, source_name, shape, element, tensor.quantization, raw.view(item).reshape(shape))


def _quantization(table: Table, shape: tuple[int, ...], where: str) -> Quantization | None:
    q = table.table(4, f"quantization of {where}")
    if q is None:
        return None
    scales = tuple(float(s) for s in q.array(2, "f4"))
    zero_points = q.integers(3, "i8")
    if not scales:
        return None
    if len(zero_points) == 0:
        zero_points = (0,) * len(scales)
    if len(scales) != len(zero_points):
        raise BadModel(f"{where} has {len(scales)} scales and {len(zero_points)} zero points")
    if not all(math.isfinite(s) and s > 0 for s in scales):
        raise BadModel(f"{where} has a scale that is not finite and above 0")
    axis = q.integer(6)
    if len(scales) > 1 and not (0 <= axis < len(shape) and shape[axis] == len(scales)):
        raise BadModel(f"{where} has {len(scales)} scales for axis {axis} of shape {list(shape)}")
    return Quantization(scales, zero_points, axis if len(scales) > 1 else None)


def _operators(subgraph: Table, model: Table, tensors: _Tensors) -> tuple[FileOp, ...]:
    codes = [max(t.integer(0, "b"), t.integer(3, "i")) for t in model.tables(1, "operator code")]
    ops = []
    for index, table in enumerate(subgraph.tables(3, "operator")):
        code_index = table.integer(0, "I")
        if code_index >= len(codes):
            raise BadModel(f"operator {index} refers to operator code {code_index} of {len(codes)}")
        opcode = OPCODES.get(codes[code_index]) or _builtin_name(codes[code_index])
        options_table = table.table(4, f"options of operator {index}")
        options = {}
        for name, slot, letter, default in OPTIONS.get(opcode, ()):
            options[name] = default if options_table is None else options_table.number(slot, letter, default)
        where = f"operator {index} {opcode}"
        inputs = tuple(None if i == -1 else tensors.at(i, where) for i in table.integers(1))
        outputs = tuple(tensors.at(i, where) for i in table.integers(2))
        ops.append(FileOp(index, opcode, inputs, outputs, options))
    return tuple(ops)


def _builtin_name(code: int) -> str:
    """The schema's name of an operator that we do not support, for the message."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    names = {value: key for key, value in vars(BuiltinOperator).items() if isinstance(value, int)}
    return str(names.get(code, f"BUILTIN_{code}"))
