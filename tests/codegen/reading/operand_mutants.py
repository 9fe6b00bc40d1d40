"""One-operator models with one operand made wrong, as a careless converter or a stranger would make it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

Model = Any  # schema.ModelT, which has no types
Mutation = Callable[[Model, int], None]  # changes the operand at a place: inputs count from 0, the output is -1


def unpack(data: bytes) -> Model:
    """The file as objects that can be changed."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for op in model.subgraphs[0].operators:
        op.inputs, op.outputs = np.array(op.inputs), np.array(op.outputs)  # those of the file are read-only
    return model


def pack(model: Model) -> bytes:
    """The objects as a file."""
    builder = flatbuffers.Builder(1 << 12)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _tensor(model: Model, place: int) -> Any:
    graph = model.subgraphs[0]
    op = graph.operators[0]
    return graph.tensors[op.outputs[0] if place < 0 else op.inputs[place]]


def _quantized(scales: list[float], zero_points: list[int], axis: int = 0) -> Mutation:
    def change(model: Model, place: int) -> None:
        q = schema.QuantizationParametersT()
        q.scale, q.zeroPoint, q.quantizedDimension = np.array(scales, np.float32), np.array(zero_points, np.int64), axis
        _tensor(model, place).quantization = q

    return change


def _no_quantization(model: Model, place: int) -> None:
    _tensor(model, place).quantization = None


def _typed(name: str) -> Mutation:
    def change(model: Model, place: int) -> None:
        _tensor(model, place).type = getattr(schema.TensorType, name)

    return change


def _per_channel(axis: int) -> Mutation:
    def change(model: Model, place: int) -> None:
        tensor = _tensor(model, place)
        shape = [] if tensor.shape is None else list(tensor.shape)
        count = int(shape[axis]) if -len(shape) <= axis < len(shape) else 3
        _quantized([0.01 * (i + 1) for i in range(count)], [0] * count, axis % max(1, len(shape)))(model, place)

    return change


def _shaped(change_shape: Callable[[list[int]], list[int]]) -> Mutation:
    def change(model: Model, place: int) -> None:
        tensor = _tensor(model, place)
        tensor.shape = np.array(change_shape([] if tensor.shape is None else [int(d) for d in tensor.shape]), np.int32)

    return change


def _missing(model: Model, place: int) -> None:
    op = model.subgraphs[0].operators[0]
    operands = op.outputs if place < 0 else op.inputs
    operands[place] = -1


def _left_out(model: Model, place: int) -> None:
    op = model.subgraphs[0].operators[0]
    if place < 0:
        op.outputs = np.zeros(0, np.int32)
    else:
        op.inputs = np.delete(op.inputs, place)


def _twice(model: Model, place: int) -> None:
    op = model.subgraphs[0].operators[0]
    if place < 0:
        op.outputs = np.repeat(op.outputs, 2)
    else:
        op.inputs = np.insert(op.inputs, place, op.inputs[place])


def _swapped_with_output(model: Model, place: int) -> None:
    op = model.subgraphs[0].operators[0]
    if place >= 0:
        op.inputs[place] = op.outputs[0]
    else:
        op.outputs[0] = op.inputs[-1]


def _constant(model: Model, place: int) -> None:
    tensor = _tensor(model, place)
    size = int(np.prod(tensor.shape)) * {schema.TensorType.INT32: 4}.get(tensor.type, 1)
    buffer = schema.BufferT()
    buffer.data = np.arange(size, dtype=np.uint8)
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1


def _computed(model: Model, place: int) -> None:
    _tensor(model, place).buffer = 0


def _outside(model: Model, place: int) -> None:
    op = model.subgraphs[0].operators[0]
    (op.outputs if place < 0 else op.inputs)[place] = 1000


def _filled(value: int) -> Mutation:
    def change(model: Model, place: int) -> None:
        tensor = _tensor(model, place)
        buffer = model.buffers[tensor.buffer]
        if buffer.data is not None and tensor.type == schema.TensorType.INT32:
            buffer.data = np.full(len(buffer.data) // 4, value, np.int32).view(np.uint8)

    return change


def _resized(length: Callable[[int], int]) -> Mutation:
    """A constant with fewer or more values along its first axis, and its shape with them."""

    def change(model: Model, place: int) -> None:
        tensor = _tensor(model, place)
        stored = model.buffers[tensor.buffer].data
        if stored is None or tensor.shape is None or not len(tensor.shape):
            return
        rows = np.asarray(stored, np.uint8).reshape(tensor.shape[0], -1)
        taken = rows[np.arange(length(len(rows))) % len(rows)]
        model.buffers.append(schema.BufferT(data=taken.reshape(-1)))
        tensor.buffer, tensor.shape = len(model.buffers) - 1, np.array([len(taken), *tensor.shape[1:]], np.int32)

    return change


MUTATIONS: Mapping[str, Mutation] = {
    "no quantization": _no_quantization,
    "no scale": _quantized([], []),
    "scale 0": _quantized([0.0], [0]),
    "scale nan": _quantized([float("nan")], [0]),
    "scale infinite": _quantized([float("inf")], [0]),
    "scale tiny": _quantized([1e-38], [0]),
    "scale huge": _quantized([1e38], [0]),
    "scale 2^-39": _quantized([2.0**-39], [0]),
    "scale 2^39": _quantized([2.0**39], [0]),
    "zero point 200": _quantized([0.1], [200]),
    "zero point 5": _quantized([0.1], [5]),
    "two zero points": _quantized([0.1], [0, 0]),
    "axis outside": _quantized([0.1, 0.2, 0.3], [0, 0, 0], 9),
    "axis negative": _quantized([0.1, 0.2, 0.3], [0, 0, 0], -7),
    **{f"type {name}": _typed(name) for name in ("INT32", "UINT8", "INT16", "INT64", "FLOAT32", "INT4", "BOOL", "STRING")},
    **{f"per channel {axis}": _per_channel(axis) for axis in (0, 1, -1)},
    "rank 0": _shaped(lambda shape: []),
    "rank + 1": _shaped(lambda shape: [1, *shape]),
    "rank - 1": _shaped(lambda shape: shape[1:]),
    "rank 7": _shaped(lambda shape: [1] * 7),
    "size 0": _shaped(lambda shape: [0, *shape[1:]]),
    "size -1": _shaped(lambda shape: [-1, *shape[1:]]),
    "size + 1": _shaped(lambda shape: [*shape[:-1], (shape or [0])[-1] + 1]),
    "huge": _shaped(lambda shape: [1 << 30] * max(1, len(shape))),
    "a value less": _resized(lambda length: max(1, length - 1)),
    "a value more": _resized(lambda length: length + 1),
    "missing": _missing,
    "left out": _left_out,
    "twice": _twice,
    "outside": _outside,
    "the output": _swapped_with_output,
    "constant": _constant,
    "computed": _computed,
    **{f"filled with {value}": _filled(value) for value in (0, 1, -1, 7, -(1 << 31), (1 << 31) - 1)},
}


def mutants(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(what was done, file) for each operand of the file's first operator and each mutation that can be applied to it."""
    places = range(-1, len(unpack(data).subgraphs[0].operators[0].inputs))
    for place in places:
        for name, mutate in MUTATIONS.items():
            model = unpack(data)
            mutate(model, place)
            yield f"{'output' if place < 0 else f'input {place}'}: {name}", pack(model)
