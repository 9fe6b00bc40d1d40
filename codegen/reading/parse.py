"""The bytes of a `.tflite` to a `FileModel`: every offset, index, length and type is checked; nothing is understood yet.

A tensor that no operator and no end of the model mentions is never looked at. What a file may repeat without end (operators,
operands, scales, constants that share one buffer) has a limit: a file of some kilobytes must not cost minutes or gigabytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ...errors import BadModel
from ...quoting import ForeignText
from ..ir import Quantization
from ..verify_graph import MAX_ELEMENTS, MAX_RANK
from .file_model import FileModel, FileOp, FileTensor
from .flatbuffer import TFLITE_IDENTIFIER, Table, TableList
from .foreign_formats import describe
from .int4_weights import unpacked_int4
from .operator_names import operator_name
from .schema import OPCODES, OPTIONS, TEXT_OPTIONS, ElementType

MAX_FILE_BYTES = 1 << 28
MAX_SUBGRAPHS = 1000
MAX_OPERATORS = 4000
MAX_LISTED = 2048  # inputs or outputs of one operator or of the model
MAX_INNER = 32  # intermediates of one operator
MAX_OPERANDS = 50_000  # of all operators together
MAX_SCALES = 1 << 20  # of all tensors together
MAX_CONSTANT_BYTES = 1 << 28  # of all tensors together: a buffer counts for each tensor that shows it

_CALLERS = frozenset({"CALL", "IF", "WHILE", "STABLEHLO_COMPOSITE", "STABLEHLO_WHILE", "STABLEHLO_CASE"})


def parse(data: bytes) -> FileModel:
    """The main subgraph of a file, and those that its CALL_ONCE run; others are reached by operators that the rules refuse.

    `BadModel` for a file that is truncated, inconsistent or of another format.
    """
    model, subgraphs = _open(data)
    budget, codes = _Budget(), _Codes(model)
    main = _subgraph(0, subgraphs, model, codes, budget)
    called: dict[int, FileModel] = {}
    for op in main.ops:
        number = int(op.options["subgraph"]) if op.opcode == "CALL_ONCE" else 0
        if number and number not in called:
            called[number] = _subgraph(number, subgraphs, model, codes, budget)
    return replace(main, called=called)


@dataclass
class _Budget:
    """What the subgraphs read so far have of that which a file may repeat without end."""

    operators: int = 0
    operands: int = 0
    scales: int = 0
    constant_bytes: int = 0


def _subgraph(number: int, subgraphs: TableList, model: Table, codes: _Codes, budget: _Budget) -> FileModel:
    subgraph = subgraphs[number]
    tensors = _Tensors(subgraph.tables(0, "tensor"), model.tables(4, "buffer"), budget)
    ops = _operators(number, subgraph, codes, tensors, budget)
    inputs = tuple(tensors.at(i, "subgraph input") for i in subgraph.integers(1, limit=MAX_LISTED))
    outputs = tuple(tensors.at(i, "subgraph output") for i in subgraph.integers(2, limit=MAX_LISTED))
    return FileModel(ops, inputs, outputs, notes=tuple(note for t in inputs if (note := tensors.open_sizes(t))))


def unknown_operators(data: bytes) -> tuple[FileOp, ...]:
    """The operators that `schema.OPCODES` does not have, without operands: looked for before anything else is judged.

    Those of the main subgraph; where it calls others, those of the others too, as far as their operators are not too many.
    """
    model, subgraphs = _open(data)
    codes = _Codes(model)
    found: list[FileOp] = []
    seen = 0
    for number, subgraph in enumerate(subgraphs):
        if number > 0 and not any(op.opcode in _CALLERS for op in found):
            break
        tensors, operators = subgraph.tables(0, "tensor"), subgraph.tables(3, "operator", MAX_OPERATORS)
        seen += len(operators)
        if seen > MAX_OPERATORS:
            break
        for index, table in enumerate(operators):
            opcode, is_known = codes.of(table, index)
            if not is_known:
                found.append(FileOp(index, opcode, (), _named_output(table, tensors), {}, number))
    return tuple(found)


def _open(data: bytes) -> tuple[Table, TableList]:
    """The model's table and its subgraphs; `BadModel` says what a file is that is not a `.tflite`."""
    foreign = describe(data)
    if foreign is not None:
        raise BadModel(f"this is not a .tflite file but {foreign}")
    if len(data) > MAX_FILE_BYTES:
        raise BadModel(f"the file has {len(data)} bytes; at most {MAX_FILE_BYTES} are read, and no microcontroller has as many")
    model = Table.root(data, TFLITE_IDENTIFIER)
    version = model.integer(0, "I")
    if version != 3:
        raise BadModel(f"the model's schema version is {version}, 3 is supported")
    subgraphs = model.tables(2, "subgraph", MAX_SUBGRAPHS)
    if not subgraphs:
        raise BadModel("the model has no subgraph")
    return model, subgraphs


class _Codes:
    """The operators' codes: each table is read when an operator first refers to it."""

    def __init__(self, model: Table) -> None:
        self._tables = model.tables(1, "operator code")
        self._read: dict[int, tuple[str, bool]] = {}

    def of(self, operator: Table, index: int) -> tuple[str, bool]:
        """The operator's name, and whether `schema.OPCODES` has it."""
        at = operator.integer(0, "I")
        if at not in self._read:
            if at >= len(self._tables):
                raise BadModel(f"operator {index} refers to operator code {at} of {len(self._tables)}")
            table = self._tables[at]
            code = max(table.integer(0, "b"), table.integer(3, "i"))
            known = OPCODES.get(code)
            self._read[at] = (known or operator_name(code, table.string(1)), known is not None)
        return self._read[at]


def _named_output(operator: Table, tensors: TableList) -> tuple[FileTensor, ...]:
    """The first output, of which only the name is known; nothing where the file does not say."""
    outputs = operator.integers(2, limit=MAX_LISTED)
    if not outputs or not 0 <= outputs[0] < len(tensors):
        return ()
    name = ForeignText(tensors[outputs[0]].string(3))
    return (FileTensor(outputs[0], name, (), ElementType.UNKNOWN),)


class _Tensors:
    """The tensors by index, each read when it is first mentioned."""

    def __init__(self, tables: TableList, buffers: TableList, budget: _Budget):
        self._tables, self._buffers, self._budget = tables, buffers, budget
        self._read: dict[int, FileTensor] = {}

    def at(self, index: int, where: str) -> FileTensor:
        if not 0 <= index < len(self._tables):
            raise BadModel(f"{where} refers to tensor {index} of {len(self._tables)}")
        if index not in self._read:
            self._read[index] = self._tensor(index)
        return self._read[index]

    def inner(self, index: int, where: str) -> tuple[ElementType, Quantization | None]:
        """Type and quantization of a tensor that has no elements."""
        if not 0 <= index < len(self._tables):
            raise BadModel(f"{where} refers to tensor {index} of {len(self._tables)}")
        table = self._tables[index]
        return ElementType.of(table.integer(1, "b")), self._quantization(table, f"tensor {index}")

    def open_sizes(self, tensor: FileTensor) -> str | None:
        """What is said of an input that has size 1 where the file leaves the size to the caller; the batch is 1 for everybody."""
        if tensor.index is None:
            return None
        signature = self._tables[tensor.index].integers(7, limit=MAX_RANK)
        if not any(size < 0 and used == 1 for size, used in zip(signature[1:], tensor.shape[1:], strict=False)):
            return None
        return (
            f"input {tensor.source_name!r} has no fixed size in the file, {list(signature)}, and is taken as "
            f"{list(tensor.shape)}: if that is not meant, give the network's input its size before the conversion"
        )

    def _tensor(self, index: int) -> FileTensor:
        table = self._tables[index]
        source_name = ForeignText(table.string(3))
        where = f"tensor {index} {source_name!r}"
        shape = _shape(table, where)
        buffer_index = table.integer(2, "I")
        if buffer_index >= len(self._buffers):
            raise BadModel(f"{where} refers to buffer {buffer_index} of {len(self._buffers)}")
        buffer = self._buffers[buffer_index]
        if buffer.integer(1, "Q") > 1:
            raise BadModel(f"{where} keeps its data outside the FlatBuffer, which is not supported")
        element = ElementType.of(table.integer(1, "b"))
        quantization = self._quantization(table, where)
        raw = buffer.array(0, "u1")
        name, count = element.numpy, math.prod(shape)
        if not raw.size or (name is None and element is not ElementType.INT4):
            return FileTensor(index, source_name, shape, element, quantization, is_variable=bool(table.number(5, "?")))
        if raw.size != (-(-count // 2) if name is None else count * np.dtype(name).itemsize):
            raise BadModel(f"{where} has {raw.size} bytes of data for shape {list(shape)} of {element.name.lower()}")
        self._budget.constant_bytes += max(raw.size, count)
        if self._budget.constant_bytes > MAX_CONSTANT_BYTES:
            raise BadModel(
                f"the constants up to {where} have more than {MAX_CONSTANT_BYTES} bytes together, more than any microcontroller"
            )
        data = unpacked_int4(raw, count) if name is None else raw.view(name)
        return FileTensor(index, source_name, shape, element, quantization, data.reshape(shape))

    def _quantization(self, table: Table, where: str) -> Quantization | None:
        q = table.table(4, f"quantization of {where}")
        if q is None:
            return None
        stored = q.array(2, "f4").astype(np.float32, copy=False)
        self._budget.scales += stored.size
        if self._budget.scales > MAX_SCALES:
            raise BadModel(f"the tensors up to {where} have more than {MAX_SCALES} scales together")
        if not stored.size:
            return None
        zeros = q.array(3, "i8")
        if zeros.size not in (0, stored.size):
            raise BadModel(f"{where} has {stored.size} scales and {zeros.size} zero points")
        if not bool(np.all(np.isfinite(stored) & (stored > 0))):
            raise BadModel(f"{where} has a scale that is not finite and above 0")
        scales = tuple(stored.tolist())
        zero_points = tuple(zeros.tolist()) or (0,) * len(scales)
        return Quantization(scales, zero_points, q.integer(6) if len(scales) > 1 else None)


def _shape(table: Table, where: str) -> tuple[int, ...]:
    dimensions = table.array(0, "i4")
    if dimensions.size > MAX_RANK:
        raise BadModel(f"{where} has rank {dimensions.size}, at most {MAX_RANK} is supported")
    shape = tuple(int(d) for d in dimensions)
    if any(d <= 0 for d in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise BadModel(f"{where} has shape {list(shape)}; sizes must be above 0, with at most {MAX_ELEMENTS} elements")
    return shape


def _operators(number: int, subgraph: Table, codes: _Codes, tensors: _Tensors, budget: _Budget) -> tuple[FileOp, ...]:
    ops = []
    tables = subgraph.tables(3, "operator", MAX_OPERATORS)
    budget.operators += len(tables)
    if budget.operators > MAX_OPERATORS:
        raise BadModel(f"the subgraphs up to {number} have {budget.operators} operators; at most {MAX_OPERATORS} are read")
    for index, table in enumerate(tables):
        opcode, _ = codes.of(table, index)
        options_table = table.table(4, f"options of operator {index}")
        options = {}
        for name, slot, letter, default in OPTIONS.get(opcode, ()):
            options[name] = default if options_table is None else options_table.number(slot, letter, default)
        where = f"operator {index} {opcode}"
        inputs, outputs = table.integers(1, limit=MAX_LISTED), table.integers(2, limit=MAX_LISTED)
        budget.operands += len(inputs) + len(outputs)
        if budget.operands > MAX_OPERANDS:
            raise BadModel(f"the operators up to {where} have more than {MAX_OPERANDS} inputs and outputs together")
        ops.append(
            FileOp(
                index,
                opcode,
                tuple(None if i == -1 else tensors.at(i, where) for i in inputs),
                tuple(tensors.at(i, where) for i in outputs),
                options,
                number,
                tuple(
                    ForeignText("" if options_table is None else options_table.string(s)) for s in TEXT_OPTIONS.get(opcode, ())
                ),
                tuple(tensors.inner(i, where) for i in table.integers(8, limit=MAX_INNER)),
            )
        )
    return tuple(ops)
