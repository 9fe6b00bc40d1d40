"""A `.tflite` file from a plain description of tensors and operators.

The writer knows the schema and nothing else: it checks names, not meaning, so that tests can also write wrong models
(float tensors, missing zero points, data of the wrong length). The file is lean: equal constants, shapes, quantizations and
options are stored once and referred to from everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from ..codegen.activations import ACTIVATIONS

BUFFER_ALIGNMENT = 16  # the schema's force_align of Buffer.data

OPTIONS_TABLES: Mapping[str, str] = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions",
    "MEAN": "ReducerOptions",
    "SUM": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "SOFTMAX": "SoftmaxOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "CONCATENATION": "ConcatenationOptions",
    "GATHER": "GatherOptions",
    "SLICE": "SliceOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "PAD": "PadOptions",
    "RESHAPE": "ReshapeOptions",
    "TRANSPOSE": "TransposeOptions",
    "EXPAND_DIMS": "ExpandDimsOptions",
    "SQUEEZE": "SqueezeOptions",
    "SHAPE": "ShapeOptions",
    "PACK": "PackOptions",
    "UNPACK": "UnpackOptions",
    "SPLIT": "SplitOptions",
    "TILE": "TileOptions",
    "BROADCAST_TO": "BroadcastToOptions",
    "MIRROR_PAD": "MirrorPadOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "SPLIT_V": "SplitVOptions",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTMOptions",
    "SVDF": "SVDFOptions",
    "CALL_ONCE": "CallOnceOptions",
    "VAR_HANDLE": "VarHandleOptions",
    "CAST": "CastOptions",
    "FILL": "FillOptions",
    "RANGE": "RangeOptions",
    "REDUCE_PROD": "ReducerOptions",
    "ARG_MAX": "ArgMaxOptions",
    "LOG_SOFTMAX": "LogSoftmaxOptions",
    "SPACE_TO_BATCH_ND": "SpaceToBatchNDOptions",
    "BATCH_TO_SPACE_ND": "BatchToSpaceNDOptions",
    **{name: activation.options_table for name, activation in ACTIVATIONS.items() if activation.options_table},
}
"""The options table of each operator; operators that are not listed (LOGISTIC, RELU, RELU6, ...) have none."""

_OP_VERSIONS: Mapping[str, int] = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "RESHAPE": 1,
    "SVDF": 4,
    "EXPAND_DIMS": 1,
    "SQUEEZE": 1,
    "SHAPE": 1,
    "CAST": 1,
    "FILL": 1,
    "RANGE": 1,
    "REDUCE_PROD": 1,
    "PRELU": 1,
    **dict.fromkeys(("CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"), 1),
    **{name: activation.version for name, activation in ACTIVATIONS.items()},
}
_INT8_VERSION = 2  # the version in which every other operator learnt int8

_ENUMS: Mapping[str, type] = {
    "padding": schema.Padding,
    "fusedActivationFunction": schema.ActivationFunctionType,
    "weightsFormat": schema.FullyConnectedOptionsWeightsFormat,
    "mode": schema.MirrorPadMode,
    "quantizedBiasType": schema.TensorType,
}

_TEXTS = frozenset({"container", "sharedName"})


@dataclass(frozen=True, eq=False)
class TensorSpec:
    """A tensor; a constant when `data` is given. No scales: no quantization. `axis`: the quantized dimension, if per channel.

    is_variable  it keeps its value from one inference to the next
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "int8"
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int | None = None
    data: npt.NDArray[Any] | None = None
    is_variable: bool = False


@dataclass(frozen=True)
class OpSpec:
    """An operator by its builtin name. An input "" is an optional one that is left out.

    options: fields of the schema's options table; enum values are given by name ("SAME", "RELU6").
    """

    opcode: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, object] = field(default_factory=dict)
    intermediates: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelSpec:
    """A subgraph: tensors in the order of their indices in the file, operators in the order of execution.

    others  the subgraphs behind it, whose own `others` are ignored
    """

    tensors: tuple[TensorSpec, ...]
    ops: tuple[OpSpec, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    others: tuple[ModelSpec, ...] = ()


def write_tflite(model: ModelSpec) -> bytes:
    """The model as a `.tflite` file (schema version 3, identifier TFL3).

    Raises ValueError for names that the schema or the model does not know.
    """
    pool = _Pool()
    buffers = _Buffers()
    graphs = (model, *model.others)
    opcodes: list[str] = list(dict.fromkeys(op.opcode for graph in graphs for op in graph.ops))
    file = schema.ModelT(
        version=3,
        operatorCodes=[_operator_code(name) for name in opcodes],
        subgraphs=[_subgraph(graph, opcodes, buffers, pool) for graph in graphs],
        description="",
        buffers=buffers.tables,
    )
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(file.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _subgraph(model: ModelSpec, opcodes: list[str], buffers: _Buffers, pool: _Pool) -> Any:
    index_of = {tensor.name: index for index, tensor in enumerate(model.tensors)}
    if len(index_of) != len(model.tensors):
        raise ValueError("tensor names must be unique")

    def indices(names: tuple[str, ...]) -> npt.NDArray[np.int32]:
        unknown = [name for name in names if name and name not in index_of]
        if unknown:
            raise ValueError(f"no tensor is named {unknown[0]!r}")
        return np.array([index_of[name] if name else -1 for name in names], np.int32)

    return schema.SubGraphT(
        tensors=[_Tensor(tensor, buffers.index_of(tensor), pool) for tensor in model.tensors],
        inputs=indices(model.inputs),
        outputs=indices(model.outputs),
        operators=[
            _Operator(
                opcodes.index(op.opcode),
                indices(op.inputs),
                indices(op.outputs),
                _options(op),
                indices(op.intermediates) if op.intermediates else None,
                pool,
            )
            for op in model.ops
        ],
    )


def _operator_code(name: str) -> Any:
    code = vars(schema.BuiltinOperator).get(name)
    if not isinstance(code, int):
        raise ValueError(f"the schema has no operator {name!r}")
    # Codes above 127 live only in builtinCode; the old one-byte field then says "look there".
    return schema.OperatorCodeT(
        deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=_OP_VERSIONS.get(name, _INT8_VERSION)
    )


def _options(op: OpSpec) -> Any:
    """The filled options table of an operator, None when it has none."""
    table_name = OPTIONS_TABLES.get(op.opcode)
    if table_name is None:
        if op.options:
            raise ValueError(f"{op.opcode} takes no options")
        return None
    table = getattr(schema, table_name + "T")()
    for name, value in op.options.items():
        if name not in vars(table):
            raise ValueError(f"{table_name} has no field {name!r}")
        if isinstance(value, str) and name not in _TEXTS:
            if name not in _ENUMS or value not in vars(_ENUMS[name]):
                raise ValueError(f"{value!r} is not a value of {name}")
            value = vars(_ENUMS[name])[value]
        setattr(table, name, np.array(value, np.int32) if name in ("newShape", "squeezeDims") else value)
    return table


class _Pool:
    """Offsets of what has been packed, so that equal things are stored once."""

    def __init__(self) -> None:
        self._offsets: dict[Hashable, int] = {}

    def share(self, key: Hashable, pack: Callable[[], int]) -> int:
        if key not in self._offsets:
            self._offsets[key] = pack()
        return self._offsets[key]

    def vector(self, builder: Any, values: npt.NDArray[Any]) -> int:
        return self.share((values.dtype.str, values.tobytes()), lambda: int(builder.CreateNumpyVector(values)))


class _Buffer(schema.BufferT):  # type: ignore[misc]
    """Constant bytes, aligned as the schema asks (the generated Pack aligns to one byte)."""

    def Pack(self, builder: Any) -> int:  # noqa: N802
        if self.data is None:
            return int(super().Pack(builder))
        payload = self.data.tobytes()
        builder.StartVector(1, len(payload), BUFFER_ALIGNMENT)
        builder.head -= len(payload)
        builder.Bytes[builder.head : builder.head + len(payload)] = payload
        builder.vectorNumElems = len(payload)
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


class _Buffers:
    """The file's buffers: number 0 is empty and serves all activations; equal constants share one."""

    def __init__(self) -> None:
        self.tables: list[Any] = [schema.BufferT()]
        self._index_of: dict[bytes, int] = {}

    def index_of(self, tensor: TensorSpec) -> int:
        if tensor.data is None:
            return 0
        payload = _payload(tensor.data, tensor.dtype)
        if payload not in self._index_of:
            self._index_of[payload] = len(self.tables)
            self.tables.append(_Buffer(data=np.frombuffer(payload, np.uint8)))
        return self._index_of[payload]


def _payload(data: npt.NDArray[Any], dtype: str) -> bytes:
    """A constant's bytes; two int4 elements in each, the first in the low nibble, over the whole tensor."""
    if dtype != "int4":
        return np.ascontiguousarray(data, np.dtype(dtype).newbyteorder("<")).tobytes()
    nibbles = np.append(data, [0] * (data.size % 2)).astype(np.uint8) & 15
    return (nibbles[0::2] | nibbles[1::2] << 4).tobytes()


class _Quantization(schema.QuantizationParametersT):  # type: ignore[misc]
    def __init__(self, tensor: TensorSpec, pool: _Pool):
        super().__init__(
            scale=np.array(tensor.scales, np.float32),
            zeroPoint=np.array(tensor.zero_points, np.int64),
            quantizedDimension=tensor.axis or 0,
        )
        self._pool = pool

    def Pack(self, builder: Any) -> int:  # noqa: N802
        key = ("quantization", self.scale.tobytes(), self.zeroPoint.tobytes(), self.quantizedDimension)
        return self._pool.share(key, lambda: self._pack(builder))

    def _pack(self, builder: Any) -> int:
        scale = self._pool.vector(builder, self.scale)
        zero_point = self._pool.vector(builder, self.zeroPoint)
        schema.QuantizationParametersStart(builder)
        schema.QuantizationParametersAddScale(builder, scale)
        schema.QuantizationParametersAddZeroPoint(builder, zero_point)
        schema.QuantizationParametersAddQuantizedDimension(builder, self.quantizedDimension)
        return int(schema.QuantizationParametersEnd(builder))


class _Tensor(schema.TensorT):  # type: ignore[misc]
    def __init__(self, tensor: TensorSpec, buffer: int, pool: _Pool):
        dtype = vars(schema.TensorType).get(tensor.dtype.upper())
        if not isinstance(dtype, int):
            raise ValueError(f"the schema has no element type {tensor.dtype!r}")
        super().__init__(
            shape=np.array(tensor.shape, np.int32),
            type=dtype,
            buffer=buffer,
            name=tensor.name,
            quantization=_Quantization(tensor, pool) if tensor.scales or tensor.zero_points else None,
            isVariable=tensor.is_variable,
        )
        self._pool = pool

    def Pack(self, builder: Any) -> int:  # noqa: N802
        shape = self._pool.vector(builder, self.shape)
        name = builder.CreateString(self.name)
        quantization = self.quantization.Pack(builder) if self.quantization is not None else None
        schema.TensorStart(builder)
        schema.TensorAddShape(builder, shape)
        schema.TensorAddType(builder, self.type)
        schema.TensorAddBuffer(builder, self.buffer)
        schema.TensorAddName(builder, name)
        if quantization is not None:
            schema.TensorAddQuantization(builder, quantization)
        if self.isVariable:
            schema.TensorAddIsVariable(builder, True)
        return int(schema.TensorEnd(builder))


class _Operator(schema.OperatorT):  # type: ignore[misc]
    def __init__(
        self,
        opcode_index: int,
        inputs: npt.NDArray[np.int32],
        outputs: npt.NDArray[np.int32],
        options: Any,
        intermediates: npt.NDArray[np.int32] | None,
        pool: _Pool,
    ):
        super().__init__(
            opcodeIndex=opcode_index, inputs=inputs, outputs=outputs, builtinOptions=options, intermediates=intermediates
        )
        if options is not None:
            self.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self._pool = pool

    def Pack(self, builder: Any) -> int:  # noqa: N802
        inputs, outputs = self._pool.vector(builder, self.inputs), self._pool.vector(builder, self.outputs)
        options = self._pack_options(builder) if self.builtinOptions is not None else None
        intermediates = self._pool.vector(builder, self.intermediates) if self.intermediates is not None else None
        schema.OperatorStart(builder)
        schema.OperatorAddOpcodeIndex(builder, self.opcodeIndex)
        schema.OperatorAddInputs(builder, inputs)
        schema.OperatorAddOutputs(builder, outputs)
        if options is not None:
            schema.OperatorAddBuiltinOptionsType(builder, self.builtinOptionsType)
            schema.OperatorAddBuiltinOptions(builder, options)
        if intermediates is not None:
            schema.OperatorAddIntermediates(builder, intermediates)
        return int(schema.OperatorEnd(builder))

    def _pack_options(self, builder: Any) -> int:
        fields = vars(self.builtinOptions).items()
        values = tuple((name, value.tobytes() if isinstance(value, np.ndarray) else value) for name, value in fields)
        return self._pool.share((type(self.builtinOptions).__name__, values), lambda: int(self.builtinOptions.Pack(builder)))
