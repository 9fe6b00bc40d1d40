"""An int8 `.tflite` file to a verified `Graph`.

The file is untrusted: offsets are checked by `flatbuffer.Table`, indices and types here, operators by `supported_ops`, meaning by
`verify_graph`. Slots and codes are those of TFLite's schema, version 3.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ..errors import BadModel, UnsupportedOperators
from ..quoting import ForeignText
from . import fixed_point
from .flatbuffer import Table
from .ir import (
    Attrs,
    ClampAttrs,
    ConcatAttrs,
    ConvAttrs,
    DType,
    GatherAttrs,
    Graph,
    NoAttrs,
    Op,
    OpKind,
    PadAttrs,
    PoolAttrs,
    Quantization,
    ReduceAttrs,
    SliceAttrs,
    SoftmaxAttrs,
    Tensor,
    TransposeAttrs,
    Window,
)
from .supported_ops import FileOp, problems
from .verify_graph import MAX_ELEMENTS, MAX_RANK, MAX_SCALE, MIN_SCALE, GraphError, verify_graph

_INT8, _INT32 = 9, 2
_TYPE_NAMES = (
    *("FLOAT32", "FLOAT16", "INT32", "UINT8", "INT64", "STRING", "BOOL", "INT16", "COMPLEX64", "INT8"),
    *("FLOAT64", "COMPLEX128", "UINT64"),
)
_ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")

_OPCODES: Mapping[int, str] = {
    0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 9: "FULLY_CONNECTED",
    14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 21: "RELU6", 22: "RESHAPE", 25: "SOFTMAX", 34: "PAD",
    36: "GATHER", 39: "TRANSPOSE", 40: "MEAN", 41: "SUB", 45: "STRIDED_SLICE", 55: "MAXIMUM", 65: "SLICE",
    82: "REDUCE_MAX", 99: "SQUARED_DIFFERENCE", 114: "QUANTIZE", 117: "HARD_SWISH",
}  # fmt: skip

_Field = tuple[str, int, str, float]
_CONV_OPTIONS: tuple[_Field, ...] = (("padding", 0, "b", 0), ("stride_w", 1, "i", 0), ("stride_h", 2, "i", 0))
_POOL_OPTIONS: tuple[_Field, ...] = (
    *_CONV_OPTIONS,
    ("filter_w", 3, "i", 0),
    ("filter_h", 4, "i", 0),
    ("fused_activation", 5, "b", 0),
)
_ACTIVATION_ONLY: tuple[_Field, ...] = (("fused_activation", 0, "b", 0),)
_OPTIONS: Mapping[str, tuple[_Field, ...]] = {
    "CONV_2D": (*_CONV_OPTIONS, ("fused_activation", 3, "b", 0), ("dilation_w", 4, "i", 1), ("dilation_h", 5, "i", 1)),
    "DEPTHWISE_CONV_2D": (*_CONV_OPTIONS, ("fused_activation", 4, "b", 0), ("dilation_w", 5, "i", 1), ("dilation_h", 6, "i", 1)),
    "AVERAGE_POOL_2D": _POOL_OPTIONS,
    "MAX_POOL_2D": _POOL_OPTIONS,
    "FULLY_CONNECTED": (*_ACTIVATION_ONLY, ("weights_format", 1, "b", 0)),
    "SOFTMAX": (("beta", 0, "f", 0.0),),
    "CONCATENATION": (("axis", 0, "i", 0), ("fused_activation", 1, "b", 0)),
    "ADD": _ACTIVATION_ONLY,
    "SUB": _ACTIVATION_ONLY,
    "MUL": _ACTIVATION_ONLY,
    "GATHER": (("axis", 0, "i", 0), ("batch_dims", 1, "i", 0)),
    "MEAN": (("keep_dims", 0, "?", 0),),
    "REDUCE_MAX": (("keep_dims", 0, "?", 0),),
    "STRIDED_SLICE": (
        ("begin_mask", 0, "i", 0),
        ("end_mask", 1, "i", 0),
        ("ellipsis_mask", 2, "i", 0),
        ("new_axis_mask", 3, "i", 0),
        ("shrink_axis_mask", 4, "i", 0),
        ("offset", 5, "?", 0),
    ),
}


def read_tflite(data: bytes, name: str = "model") -> Graph:
    """The verified graph of a model file.

    Raises `BadModel` for a file that is truncated, inconsistent, unsafe or not int8, and `UnsupportedOperators` with every
    operator that has no kernel.
    """
    model = Table.root(data, b"TFL3")
    version = model.integer(0, "I")
    if version != 3:
        raise BadModel(f"the model's schema version is {version}, 3 is supported")
    subgraphs = model.tables(2, "subgraph")
    if len(subgraphs) != 1:
        raise BadModel(f"the model has {len(subgraphs)} subgraphs, exactly 1 is supported")
    subgraph = subgraphs[0]
    tensors, foreign = _read_tensors(subgraph, model.tables(4, "buffer"))
    inputs = [_indexed(tensors, i, "subgraph input") for i in subgraph.integers(1)]
    outputs = [_indexed(tensors, i, "subgraph output") for i in subgraph.integers(2)]
    file_ops = _read_operators(subgraph, model, tensors)
    _require_int8(file_ops, inputs + outputs, foreign)
    found = [problem for op in file_ops for problem in problems(op)]
    if found:
        raise UnsupportedOperators(found)
    try:
        return _build_graph(name, file_ops, inputs, outputs)
    except GraphError as error:
        raise BadModel(f"the model is inconsistent: {error}") from error


def _read_tensors(subgraph: Table, buffers: list[Table]) -> tuple[list[Tensor], dict[int, str]]:
    """All tensors by index, and the type names of those that are neither int8 nor int32 (placeholders, refused when used)."""
    tensors: list[Tensor] = []
    foreign: dict[int, str] = {}
    names: set[str] = set()
    for index, table in enumerate(subgraph.tables(0, "tensor")):
        shape = table.integers(0)
        source_name = ForeignText(table.string(3))
        where = f"tensor {index} {source_name!r}"
        if len(shape) > MAX_RANK or any(d <= 0 for d in shape) or math.prod(shape) > MAX_ELEMENTS:
            raise BadModel(
                f"{where} has shape {list(shape)}; rank at most {MAX_RANK}, sizes above 0, at most {MAX_ELEMENTS} elements"
            )
        type_code = table.integer(1, "b")
        buffer_index = table.integer(2, "I")
        if buffer_index >= len(buffers):
            raise BadModel(f"{where} refers to buffer {buffer_index} of {len(buffers)}")
        buffer = buffers[buffer_index]
        if buffer.integer(1, "Q") > 1:
            raise BadModel(f"{where} keeps its data outside the FlatBuffer, which is not supported")
        name = _unique(_c_name(source_name.raw, index), names)
        dtype = {_INT8: DType.INT8, _INT32: DType.INT32}.get(type_code)
        if dtype is None:
            foreign[index] = _TYPE_NAMES[type_code] if 0 <= type_code < len(_TYPE_NAMES) else f"type {type_code}"
            tensors.append(Tensor(name, shape, DType.INT32, None, None, index, source_name))
            continue
        tensor = Tensor(name, shape, dtype, _read_quantization(table, shape, where), None, index, source_name)
        tensors.append(_with_data(tensor, buffer.array(0, "u1").tobytes(), where))
    return tensors, foreign


def _with_data(tensor: Tensor, raw: bytes, where: str) -> Tensor:
    """The tensor as a constant when its buffer holds data."""
    if tensor.dtype is DType.INT8 and tensor.quantization is None:
        raise BadModel(f"{where} is int8 without a scale")
    if not raw:
        return tensor
    if len(raw) != tensor.size_bytes:
        raise BadModel(f"{where} has {len(raw)} bytes of data for shape {list(tensor.shape)} of {tensor.dtype.value}")
    data = (
        np.frombuffer(raw, "<" + ("i1" if tensor.dtype is DType.INT8 else "i4")).reshape(tensor.shape).astype(tensor.dtype.value)
    )
    data.setflags(write=False)
    return replace(tensor, data=data)


def _read_quantization(table: Table, shape: tuple[int, ...], where: str) -> Quantization | None:
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


def _read_operators(subgraph: Table, model: Table, tensors: list[Tensor]) -> list[FileOp]:
    codes = [max(t.integer(0, "b"), t.integer(3, "i")) for t in model.tables(1, "operator code")]
    ops = []
    for index, table in enumerate(subgraph.tables(3, "operator")):
        code_index = table.integer(0, "I")
        if code_index >= len(codes):
            raise BadModel(f"operator {index} refers to operator code {code_index} of {len(codes)}")
        opcode = _OPCODES.get(codes[code_index]) or _builtin_name(codes[code_index])
        options_table = table.table(4, f"options of operator {index}")
        options = {}
        for name, slot, letter, default in _OPTIONS.get(opcode, ()):
            options[name] = default if options_table is None else options_table.number(slot, letter, default)
        where = f"operator {index} {opcode}"
        inputs = tuple(None if i == -1 else _indexed(tensors, i, where) for i in table.integers(1))
        outputs = tuple(_indexed(tensors, i, where) for i in table.integers(2))
        ops.append(FileOp(index, opcode, inputs, outputs, options))
    return ops


def _indexed(tensors: list[Tensor], index: int, where: str) -> Tensor:
    if not 0 <= index < len(tensors):
        raise BadModel(f"{where} refers to tensor {index} of {len(tensors)}")
    return tensors[index]


def _builtin_name(code: int) -> str:
    """The schema's name of an operator that we do not support, for the message."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    names = {value: key for key, value in vars(BuiltinOperator).items() if isinstance(value, int)}
    return str(names.get(code, f"BUILTIN_{code}"))


def _require_int8(ops: list[FileOp], boundary: list[Tensor], foreign: Mapping[int, str]) -> None:
    """Refuse every tensor that an operator or the model's boundary uses and that is neither int8 nor int32."""
    used = [*boundary, *(t for op in ops for t in (*op.inputs, *op.outputs) if t is not None)]
    wrong = {t.source_index: t.source_name for t in used if t.source_index in foreign}
    if wrong:
        listed = ", ".join(f"{name!r} ({foreign[index]})" for index, name in list(wrong.items())[:4] if index is not None)
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise BadModel(f"not an int8 model: tensors {listed}{more}; quantize it fully, input and output included")


def _c_name(source_name: str, index: int) -> str:
    """A C identifier of at most 40 characters: the last parts of the file's name, or t<index>."""
    cleaned = re.sub(r"[^0-9A-Za-z]+", "_", source_name).strip("_")[-40:].strip("_")
    if not cleaned:
        return f"t{index}"
    return cleaned if not cleaned[0].isdigit() else f"t_{cleaned}"


def _unique(name: str, taken: set[str]) -> str:
    candidate, n = name, 1
    while candidate.lower() in taken:
        n += 1
        candidate = f"{name}_{n}"
    taken.add(candidate.lower())
    return candidate


# --- meaning -----------------------------------------------------------------------------------------------------------


def _build_graph(name: str, file_ops: list[FileOp], inputs: list[Tensor], outputs: list[Tensor]) -> Graph:
    tensors: dict[str, Tensor] = {t.name: t for t in (*inputs, *outputs)}
    ops: list[Op] = []
    for file_op in file_ops:
        attrs, operands = _BUILDERS[file_op.opcode](file_op)
        if all(t.is_constant for t in operands):
            raise GraphError(f"{file_op.label} computes a constant; fold it before conversion")
        tensors.update({t.name: t for t in (*operands, *file_op.outputs)})
        op = Op(OpKind(file_op.opcode), tuple(t.name for t in operands), (file_op.output.name,), attrs, file_op.index)
        ops.extend(_with_shrunk_axes(op, file_op, tensors))
    graph = Graph(name, tensors, tuple(ops), tuple(t.name for t in inputs), tuple(t.name for t in outputs))
    return verify_graph(graph.with_ops(graph.ops))


def _with_shrunk_axes(op: Op, file_op: FileOp, tensors: dict[str, Tensor]) -> list[Op]:
    """A STRIDED_SLICE that drops axes becomes a slice that keeps them and a RESHAPE."""
    if op.kind is not OpKind.STRIDED_SLICE or not file_op.options["shrink_axis_mask"]:
        return [op]
    counts = _strided_slice(file_op)[1]
    kept = replace(file_op.output, name=f"{op.output}_kept", shape=counts, source_index=None)
    tensors[kept.name] = kept
    return [replace(op, outputs=(kept.name,)), Op(OpKind.RESHAPE, (kept.name,), (op.output,), NoAttrs(), op.source_index)]


_Built = tuple[Attrs, list[Tensor]]


def _clamp(op: FileOp) -> tuple[int, int]:
    if not MIN_SCALE <= op.output.scale <= MAX_SCALE:
        raise GraphError(f"{op.label}: output scale {op.output.scale:g} is outside {MIN_SCALE:g}..{MAX_SCALE:g}")
    name = _ACTIVATIONS[int(op.options["fused_activation"])]
    return fixed_point.activation_bounds(name, op.output.scale, op.output.zero_point)


def _window(op: FileOp, kernel_h: int, kernel_w: int) -> Window:
    """The window with TFLite's SAME padding made explicit: the larger half goes to the bottom and the right."""
    options = {key: int(value) for key, value in op.options.items()}
    strides = (options["stride_h"], options["stride_w"])
    dilations = (options.get("dilation_h", 1), options.get("dilation_w", 1))
    if min(*strides, *dilations, kernel_h, kernel_w) < 1:
        raise GraphError(f"{op.label}: strides {strides}, dilations {dilations}, kernel {kernel_h}x{kernel_w} must be above 0")
    pads = []
    for size, kernel, stride, dilation in zip(op.input(0).shape[1:3], (kernel_h, kernel_w), strides, dilations, strict=True):
        span = (kernel - 1) * dilation + 1
        total = max(0, ((size + stride - 1) // stride - 1) * stride + span - size) if options["padding"] == 0 else 0
        pads += [total // 2, total - total // 2]
    return Window(kernel_h, kernel_w, *strides, *dilations, *pads)


def _conv(op: FileOp) -> _Built:
    weights = op.input(1).shape
    if len(weights) != 4:
        raise GraphError(f"{op.label}: weights have rank {len(weights)}, 4 is needed")
    channels = op.input(0).shape[3]
    multiplier = weights[3] // channels if op.opcode == "DEPTHWISE_CONV_2D" else 0
    return ConvAttrs(_window(op, weights[1], weights[2]), *_clamp(op), multiplier), _weighted(op)


def _weighted(op: FileOp) -> list[Tensor]:
    return [t for t in op.inputs[:3] if t is not None]


def _fully_connected(op: FileOp) -> _Built:
    return ClampAttrs(*_clamp(op)), _weighted(op)


def _pool(op: FileOp) -> _Built:
    window = _window(op, int(op.options["filter_h"]), int(op.options["filter_w"]))
    return PoolAttrs(window, *_clamp(op)), [op.input(0)]


def _binary(op: FileOp) -> _Built:
    return ClampAttrs(*_clamp(op)), [op.input(0), op.input(1)]


def _two_inputs(op: FileOp) -> _Built:
    return NoAttrs(), [op.input(0), op.input(1)]


def _one_input(op: FileOp) -> _Built:
    return NoAttrs(), [op.input(0)]


def _integers(tensor: Tensor) -> tuple[int, ...]:
    if not tensor.is_constant:
        raise GraphError(f"tensor {tensor.source_name!r} must be constant")
    return tuple(int(v) for v in tensor.constant().reshape(-1))


def _reduce(op: FileOp) -> _Built:
    rank = len(op.input(0).shape)
    axes = _integers(op.input(1))
    if not all(-rank <= a < rank for a in axes):
        raise GraphError(f"{op.label}: axes {axes} of rank {rank}")
    return ReduceAttrs(tuple(sorted({a % rank for a in axes})), bool(op.options["keep_dims"])), [op.input(0)]


def _softmax(op: FileOp) -> _Built:
    beta = float(op.options["beta"])
    if not (math.isfinite(beta) and beta > 0):
        raise GraphError(f"{op.label}: beta is {beta}")
    return SoftmaxAttrs(beta), [op.input(0)]


def _concat(op: FileOp) -> _Built:
    rank, axis = len(op.input(0).shape), int(op.options["axis"])
    if not -rank <= axis < rank:
        raise GraphError(f"{op.label}: axis {axis} of rank {rank}")
    inputs = [op.input(i) for i in range(len(op.inputs))]
    return ConcatAttrs(axis % rank), inputs


def _slice(op: FileOp) -> _Built:
    begin = _integers(op.input(1))
    return SliceAttrs(begin, (1,) * len(begin)), [op.input(0)]


def _strided_slice(op: FileOp) -> tuple[SliceAttrs, tuple[int, ...]]:
    """Begin and strides with masks and negative indices resolved, and the element count of each axis."""
    shape = op.input(0).shape
    begins, ends = _integers(op.input(1)), _integers(op.input(2))
    strides = _integers(op.input(3)) if len(op.inputs) > 3 else (1,) * len(begins)
    if not len(begins) == len(ends) == len(strides) <= len(shape) or 0 in strides:
        raise GraphError(f"{op.label}: begin {begins}, end {ends}, strides {strides} for shape {list(shape)}")
    masks = {key: int(op.options[key]) for key in ("begin_mask", "end_mask", "shrink_axis_mask")}
    axes: list[tuple[int, int, int]] = []
    for axis, size in enumerate(shape):
        if axis >= len(begins):
            axes.append((0, 1, size))
            continue
        begin: int | None = None if masks["begin_mask"] >> axis & 1 else begins[axis]
        end: int | None = None if masks["end_mask"] >> axis & 1 else ends[axis]
        if masks["shrink_axis_mask"] >> axis & 1:
            first = begins[axis] + (size if begins[axis] < 0 else 0)
            taken = range(first, first + 1)
        else:
            taken = range(size)[slice(begin, end, strides[axis])]
        axes.append((taken.start, taken.step, len(taken)))
    return SliceAttrs(tuple(a[0] for a in axes), tuple(a[1] for a in axes)), tuple(a[2] for a in axes)


def _strided_slice_attrs(op: FileOp) -> _Built:
    return _strided_slice(op)[0], [op.input(0)]


def _gather(op: FileOp) -> _Built:
    rank, axis = len(op.input(0).shape), int(op.options["axis"])
    if not -rank <= axis < rank:
        raise GraphError(f"{op.label}: axis {axis} of rank {rank}")
    return GatherAttrs(axis % rank, _integers(op.input(1))), [op.input(0)]


def _transpose(op: FileOp) -> _Built:
    rank = len(op.input(0).shape)
    return TransposeAttrs(tuple(axis + rank if axis < 0 else axis for axis in _integers(op.input(1)))), [op.input(0)]


def _pad(op: FileOp) -> _Built:
    pairs = _integers(op.input(1))
    return PadAttrs(pairs[0::2], pairs[1::2]), [op.input(0)]


_BUILDERS: Mapping[str, Callable[[FileOp], _Built]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _conv,
    "FULLY_CONNECTED": _fully_connected,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "ADD": _binary,
    "SUB": _binary,
    "MUL": _binary,
    "MAXIMUM": _two_inputs,
    "SQUARED_DIFFERENCE": _two_inputs,
    "MEAN": _reduce,
    "REDUCE_MAX": _reduce,
    "SOFTMAX": _softmax,
    "LOGISTIC": _one_input,
    "HARD_SWISH": _one_input,
    "RELU": _one_input,
    "RELU6": _one_input,
    "QUANTIZE": _one_input,
    "RESHAPE": _one_input,
    "CONCATENATION": _concat,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice_attrs,
    "GATHER": _gather,
    "TRANSPOSE": _transpose,
    "PAD": _pad,
}
