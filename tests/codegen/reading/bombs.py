"""Files of some kilobytes or megabytes that ask for far more: lists whose entries are all one table, buffers that all share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

RELU, CONV_2D, CONCATENATION, GATHER, ADD = 19, 3, 2, 36, 0
INT8, INT32 = schema.TensorType.INT8, schema.TensorType.INT32


class File:
    """A `.tflite` written table by table, so that anything can be named any number of times.

    tensors, ops, subgraphs, buffers, codes  offsets of tables, in the order of the file; an offset may come many times
    """

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1 << 16)
        self.buffers = [self.buffer(None)]
        self.tensors: list[int] = []
        self.ops: list[int] = []
        self.codes: list[int] = []
        self.inputs, self.outputs = [0], [1]
        self.copies_of_subgraph = 1

    def vector(self, values: object, dtype: str) -> int:
        return int(self.builder.CreateNumpyVector(np.asarray(values, dtype)))

    def offsets(self, tables: list[int]) -> int:
        """A vector of tables; long ones are written at once."""
        count = len(tables)
        self.builder.StartVector(4, count, 4)
        size = 4 * count
        while self.builder.head < size:
            self.builder.growByteBuffer()
        self.builder.head -= size
        ends = self.builder.Offset() - 4 * np.arange(count)  # how far entry i is from the end of the file
        entries = (ends - np.asarray(tables)).astype("<u4")
        self.builder.Bytes[self.builder.head : self.builder.head + size] = entries.tobytes()
        self.builder.vectorNumElems = count
        return int(self.builder.EndVector())

    def buffer(self, data: object) -> int:
        payload = None if data is None else self.vector(data, "u1")
        schema.BufferStart(self.builder)
        if payload is not None:
            schema.BufferAddData(self.builder, payload)
        return int(schema.BufferEnd(self.builder))

    def tensor(
        self, shape: object = (1, 4), dtype: int = INT8, buffer: int = 0, name: str = "t", scales: object = (0.1,), axis: int = 0
    ) -> int:
        parts = self.vector(shape, "i4"), int(self.builder.CreateString(name)), self.vector(scales, "f4")
        schema.QuantizationParametersStart(self.builder)
        schema.QuantizationParametersAddScale(self.builder, parts[2])
        schema.QuantizationParametersAddQuantizedDimension(self.builder, axis)
        quantization = schema.QuantizationParametersEnd(self.builder)
        schema.TensorStart(self.builder)
        schema.TensorAddShape(self.builder, parts[0])
        schema.TensorAddType(self.builder, dtype)
        schema.TensorAddBuffer(self.builder, buffer)
        schema.TensorAddName(self.builder, parts[1])
        schema.TensorAddQuantization(self.builder, quantization)
        return int(schema.TensorEnd(self.builder))

    def op(self, inputs: object, outputs: object, code: int = 0) -> int:
        parts = self.vector(inputs, "i4"), self.vector(outputs, "i4")
        schema.OperatorStart(self.builder)
        schema.OperatorAddOpcodeIndex(self.builder, code)
        schema.OperatorAddInputs(self.builder, parts[0])
        schema.OperatorAddOutputs(self.builder, parts[1])
        return int(schema.OperatorEnd(self.builder))

    def code(self, builtin: int, custom: str | None = None) -> int:
        name = None if custom is None else self.builder.CreateString(custom)
        schema.OperatorCodeStart(self.builder)
        schema.OperatorCodeAddDeprecatedBuiltinCode(self.builder, min(builtin, 127))
        schema.OperatorCodeAddBuiltinCode(self.builder, builtin)
        if name is not None:
            schema.OperatorCodeAddCustomCode(self.builder, name)
        return int(schema.OperatorCodeEnd(self.builder))

    def bytes(self) -> bytes:
        lists = (
            self.offsets(self.tensors),
            self.vector(self.inputs, "i4"),
            self.vector(self.outputs, "i4"),
            self.offsets(self.ops),
        )
        schema.SubGraphStart(self.builder)
        schema.SubGraphAddTensors(self.builder, lists[0])
        schema.SubGraphAddInputs(self.builder, lists[1])
        schema.SubGraphAddOutputs(self.builder, lists[2])
        schema.SubGraphAddOperators(self.builder, lists[3])
        subgraph = int(schema.SubGraphEnd(self.builder))
        parts = self.offsets([subgraph] * self.copies_of_subgraph), self.offsets(self.codes), self.offsets(self.buffers)
        schema.ModelStart(self.builder)
        schema.ModelAddVersion(self.builder, 3)
        schema.ModelAddSubgraphs(self.builder, parts[0])
        schema.ModelAddOperatorCodes(self.builder, parts[1])
        schema.ModelAddBuffers(self.builder, parts[2])
        self.builder.Finish(schema.ModelEnd(self.builder), file_identifier=b"TFL3")
        return bytes(self.builder.Output())


def plain(builtin: int = RELU) -> File:
    """RELU of tensor 0 to tensor 1, to be made worse."""
    file = File()
    file.codes = [file.code(builtin)]
    file.tensors = [file.tensor(name="x"), file.tensor(name="y")]
    file.ops = [file.op([0], [1])]
    return file


def _many(what: str, count: int) -> Callable[[], bytes]:
    def make() -> bytes:
        file = plain()
        entries: list[Any] = getattr(file, what)
        entries.extend(entries[-1:] * count)
        return file.bytes()

    return make


def _unknown_operators(count: int) -> bytes:
    file = plain(builtin=111)  # ELU
    file.ops *= count
    return file.bytes()


def _subgraphs(count: int) -> bytes:
    file = plain(builtin=129)  # CALL_ONCE
    file.copies_of_subgraph = count
    return file.bytes()


def _operators_of_subgraphs(count: int) -> bytes:
    file = plain(builtin=129)
    file.codes.append(file.code(RELU))
    file.ops += [file.op([0], [1], code=1)] * count
    file.copies_of_subgraph = 1000
    return file.bytes()


def _operands(count: int, outputs: bool = False) -> bytes:
    file = plain(CONCATENATION)
    file.ops = [file.op([0], [1] * count) if outputs else file.op([0] * count, [1])]
    return file.bytes()


def _ends(count: int) -> bytes:
    file = plain()
    file.inputs, file.outputs = [0] * count, [1] * count
    return file.bytes()


def _name(length: int) -> bytes:
    file = plain()
    file.tensors[0] = file.tensor(name="\u202e" * length)
    return file.bytes()


def _custom(length: int) -> bytes:
    file = plain()
    file.codes = [file.code(32, "c" * length)]
    return file.bytes()


def _rank(count: int) -> bytes:
    file = plain()
    file.tensors[0] = file.tensor(shape=np.ones(count, np.int32))
    return file.bytes()


def shared_buffer(count: int, size: int) -> bytes:
    file = plain(ADD)
    file.buffers.append(file.buffer(np.zeros(size, np.uint8)))
    shared = file.tensor(shape=(size,), buffer=1, name="c")
    file.tensors = [file.tensor(shape=(size,), name="x")] + [shared] * count + [file.tensor(shape=(size,), name="y")] * count
    file.ops = [file.op([0 if i == 0 else count + i, 1 + i], [count + 1 + i]) for i in range(count)]
    file.outputs = [2 * count]
    return file.bytes()


def _shared_scales(count: int, channels: int) -> bytes:
    file = plain(ADD)
    wide = file.tensor(shape=(channels,), scales=np.full(channels, 0.1), name="s")
    file.tensors = [file.tensor(name="x")] + [wide] * count
    file.ops = [file.op([0, 1 + i], [1 + i]) for i in range(count)]
    return file.bytes()


def _indices(count: int) -> bytes:
    file = plain(GATHER)
    file.buffers.append(file.buffer(np.zeros(4 * count, np.uint8)))
    file.tensors += [file.tensor(shape=(count,), dtype=INT32, buffer=1, name="i")]
    file.ops = [file.op([0, 2], [1])]
    return file.bytes()


def _gather_of_one(size: int) -> bytes:
    file = plain(GATHER)
    file.buffers.append(file.buffer(np.zeros(4, np.uint8)))
    file.tensors = [file.tensor(shape=(size,), name="x"), file.tensor(shape=(2,), name="y")]
    file.tensors += [file.tensor(shape=(1,), dtype=INT32, buffer=1, name="i")]
    file.ops = [file.op([0, 2], [1])]
    return file.bytes()


def _late(count: int) -> bytes:
    """A chain that is fine up to its last operator."""
    file = plain()
    file.tensors = [file.tensor(name="x")] + [file.tensor(name="y")] * count + [file.tensor(shape=(1, 5), name="z")]
    file.ops = [file.op([i], [i + 1]) for i in range(count + 1)]
    file.outputs = [count + 1]
    return file.bytes()


def _weights(size: int) -> bytes:
    file = plain(CONV_2D)
    file.buffers.append(file.buffer(np.full(size, 127, np.uint8)))
    file.tensors = [
        file.tensor(shape=(1, 1, 1, size), name="x"),
        file.tensor(shape=(1, 1, 1, 1), name="y", scales=(1e-9,)),
        file.tensor(shape=(1, 1, 1, size), buffer=1, name="w"),
    ]
    file.ops = [file.op([0, 2], [1])]
    return file.bytes()


REFUSED: Mapping[str, Callable[[], bytes]] = {
    "operators that are one table": _many("ops", 1 << 20),
    "unknown operators": lambda: _unknown_operators(1 << 20),
    "unknown operators within the limit": lambda: _unknown_operators(4000),
    "subgraphs that are one table": lambda: _subgraphs(1 << 20),
    "subgraphs within the limit": lambda: _subgraphs(1000),
    "operators of many subgraphs": lambda: _operators_of_subgraphs(3000),
    "operands": lambda: _operands(1 << 20),
    "operands within the limit": lambda: _operands(2048),
    "outputs": lambda: _operands(1 << 20, outputs=True),
    "ends": lambda: _ends(1 << 20),
    "a rank": lambda: _rank(1 << 22),
    "a name of a custom operator": lambda: _custom(1 << 24),
    "constants that share a buffer": lambda: shared_buffer(3000, 1 << 20),
    "scales that tensors share": lambda: _shared_scales(3000, 1 << 18),
    "indices": lambda: _indices(1 << 23),
    "one index of a huge axis": lambda: _gather_of_one(1 << 28),
    "a fault at the end of the longest chain": lambda: _late(3999),
    "weights whose sums wrap": lambda: _weights(1 << 25),
}
HARMLESS: Mapping[str, Callable[[], bytes]] = {
    "tensors that are one table": _many("tensors", 1 << 20),
    "buffers that are one table": _many("buffers", 1 << 20),
    "operator codes that are one table": _many("codes", 1 << 20),
    "a name of hidden characters": lambda: _name(1 << 22),
}
