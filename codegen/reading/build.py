"""A `FileModel` to a verified `Graph`: what each operator means, with TFLite's options made explicit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ..activations import ACTIVATIONS, activation_bounds
from ..ir import (
    ActivationAttrs,
    Attrs,
    ClampAttrs,
    ConcatAttrs,
    ConvAttrs,
    DType,
    GatherAttrs,
    Graph,
    LstmAttrs,
    MatMulAttrs,
    NoAttrs,
    Op,
    OpKind,
    PadAttrs,
    PoolAttrs,
    Quantization,
    ReduceAttrs,
    ResizeAttrs,
    SliceAttrs,
    SoftmaxAttrs,
    SvdfAttrs,
    TableAttrs,
    Tensor,
    TransposeAttrs,
    Variable,
    Window,
)
from ..verify_graph import GraphError, verify_graph
from .file_model import FileModel, FileOp, FileTensor, as_it_is
from .operands import shifts_of
from .schema import FUSED_ACTIVATIONS, ElementType

_DTYPES = {
    ElementType.INT8: DType.INT8,
    ElementType.INT16: DType.INT16,
    ElementType.INT32: DType.INT32,
    ElementType.INT64: DType.INT64,
}


class _Tensors:
    """The graph's tensors; each file tensor gets a name that is unique and safe in C."""

    def __init__(self) -> None:
        self.by_name: dict[str, Tensor] = {}
        self._names: dict[FileTensor, str] = {}
        self._taken: dict[str, int] = {}

    def name(self, tensor: FileTensor) -> str:
        """The name of a file's tensor, which is entered."""
        if tensor not in self._names:
            name = self._unique(_c_name(tensor.source_name.raw, tensor.index))
            self._names[tensor] = name
            data = None
            if tensor.data is not None:
                data = tensor.data.astype(tensor.type.name.lower(), copy=False)  # one buffer may serve thousands of tensors
                data.setflags(write=False)
            self.by_name[name] = Tensor(
                name, tensor.shape, _DTYPES[tensor.type], tensor.quantization, data, tensor.index, tensor.source_name
            )
        return self._names[tensor]

    def made(self, like: str, suffix: str, shape: tuple[int, ...]) -> str:
        """A tensor that the file does not have, with the quantization of another."""
        name = self._unique(f"{like}_{suffix}")
        self.by_name[name] = replace(self.by_name[like], name=name, shape=shape, source_index=None)
        return name

    def _unique(self, name: str) -> str:
        candidate, n = name, self._taken.get(name.lower(), 1)
        while candidate.lower() in self._taken:
            n += 1
            candidate = f"{name}_{n}"
        self._taken[name.lower()] = n
        self._taken.setdefault(candidate.lower(), 1)
        return candidate


def _c_name(source_name: str, index: int | None) -> str:
    """A C identifier of at most 40 characters: the file's name, of a long one its start and its end, or t<index>."""
    start, end = (re.sub(r"[^0-9A-Za-z]+", "_", part).strip("_") for part in (source_name[:400], source_name[-400:]))
    cleaned = start
    if len(source_name) > 400 or len(start) > 40:  # whole words, where there are any
        first, last = start[:17].rpartition("_")[0] or start[:16], end[-24:].partition("_")[2] or end[-23:]
        cleaned = f"{first}_{last}".strip("_")
    if not cleaned:
        return "t" if index is None else f"t{index}"
    return cleaned if not cleaned[0].isdigit() else f"t_{cleaned}"


def build_graph(model: FileModel, name: str) -> Graph:
    """The verified graph of a model that breaks no rule of `supported_ops`; `GraphError` where it contradicts itself."""
    tensors = _Tensors()
    inputs = tuple(tensors.name(t) for t in model.inputs)
    before = [tensors.name(variable.before) for variable in model.variables]
    outputs = tuple(tensors.name(t) for t in model.outputs)
    ops: list[Op] = []
    for file_op in model.ops:
        attrs, operands = _BUILDERS[file_op.opcode](file_op)
        if all(t.is_constant for t in operands):
            raise GraphError(f"{file_op.label} computes a constant; fold it before conversion")
        operand_names = tuple(tensors.name(t) for t in operands)
        op = Op(OpKind(file_op.opcode), operand_names, tuple(map(tensors.name, file_op.outputs)), attrs, file_op.index)
        ops.extend(_with_shrunk_axes(op, file_op, tensors))
    ends = (tuple(map(as_it_is, model.inputs)), tuple(map(as_it_is, model.outputs)))
    graph = Graph(
        name,
        tensors.by_name,
        tuple(ops),
        inputs,
        outputs,
        model.file_inputs or ends[0],
        model.file_outputs or ends[1],
        model.notes,
        tuple(
            Variable(
                shown,
                tensors.name(variable.after),
                variable.start.astype(variable.before.type.name.lower(), copy=False),
                variable.name,
            )
            for shown, variable in zip(before, model.variables, strict=True)
        ),
    )
    return verify_graph(graph.with_ops(graph.ops))


def _with_shrunk_axes(op: Op, file_op: FileOp, tensors: _Tensors) -> list[Op]:
    """A STRIDED_SLICE that drops axes becomes a slice that keeps them and a RESHAPE."""
    if op.kind is not OpKind.STRIDED_SLICE or not file_op.options["shrink_axis_mask"]:
        return [op]
    kept = tensors.made(op.output, "kept", _strided_slice(file_op)[1])
    return [replace(op, outputs=(kept,)), Op(OpKind.RESHAPE, (kept,), (op.output,), NoAttrs(), op.source_index)]


_Built = tuple[Attrs, list[FileTensor]]


def _clamp(op: FileOp) -> tuple[int, int]:
    name = FUSED_ACTIVATIONS[int(op.options["fused_activation"])]
    return activation_bounds(name, op.output.scale, op.output.zero_point, op.output.type.limits)


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
    channels = op.input(0).shape[3]
    multiplier = weights[3] // channels if op.opcode == "DEPTHWISE_CONV_2D" else 0
    return ConvAttrs(_window(op, weights[1], weights[2]), *_clamp(op), multiplier), _weighted(op)


def _weighted(op: FileOp) -> list[FileTensor]:
    return [t for t in op.inputs[:3] if t is not None]


def _fully_connected(op: FileOp) -> _Built:
    return ClampAttrs(*_clamp(op)), _weighted(op)


def _pool(op: FileOp) -> _Built:
    window = _window(op, int(op.options["filter_h"]), int(op.options["filter_w"]))
    return PoolAttrs(window, *_clamp(op)), [op.input(0)]


def _binary(op: FileOp) -> _Built:
    return ClampAttrs(*_clamp(op)), [op.input(0), op.input(1)]


def _sum(op: FileOp) -> _Built:
    return ClampAttrs(*_clamp(op), shifts_of(op) if op.output.type is ElementType.INT16 else None), [op.input(0), op.input(1)]


def _two_inputs(op: FileOp) -> _Built:
    return NoAttrs(), [op.input(0), op.input(1)]


def _activation(op: FileOp) -> _Built:
    parameters = ACTIVATIONS[op.opcode].values(op.options)
    return ActivationAttrs(parameters) if parameters else NoAttrs(), [op.input(0)]


def _reshape(op: FileOp) -> _Built:
    wanted = op.optional(1)
    if wanted is not None:
        shape, elements = _integers(wanted), op.input(0).num_elements
        known = math.prod(d for d in shape if d != -1)
        if shape.count(-1) == 1 and known > 0 and elements % known == 0:
            shape = tuple(elements // known if d == -1 else d for d in shape)
        _require_shape(op, shape)
    return NoAttrs(), [op.input(0)]


def _copy(op: FileOp) -> _Built:
    return NoAttrs(), [op.input(0)]


def _lstm(op: FileOp) -> _Built:
    limit = _clip(op.options["cell_clip"], op.input(2).scale, 32767)
    hidden = Quantization((float(op.options["hidden_scale"]),), (int(op.options["hidden_zero_point"]),))
    output_limit = _clip(op.options["proj_clip"], op.output.scale, 127)
    first, second, third, fourth = (float(op.options[f"gate_scale{i}"]) for i in range(4))
    scales = (first, second, third, fourth)
    there = [(i, t) for i, t in enumerate(op.inputs) if t is not None]
    return LstmAttrs(tuple(i for i, _ in there), limit, output_limit, hidden, scales), [t for _, t in there]


def _clip(clip: float, scale: float, most: int) -> int:
    """A bound of real values in units of a scale, at most `most`; 0 where there is none. In float32, as LiteRT does."""
    with np.errstate(over="ignore"):  # an infinite quotient is cut like any other
        return int(min(np.float32(clip) / np.float32(scale), np.float32(most))) if clip > 0 else 0


def _svdf(op: FileOp) -> _Built:
    return SvdfAttrs(int(op.options["rank"])), [t for t in op.inputs if t is not None]


def _table(op: FileOp) -> _Built:
    return TableAttrs(_integers(op.input(1))), [op.input(0)]


def _batch_matmul(op: FileOp) -> _Built:
    return MatMulAttrs(bool(op.options["adj_x"]), bool(op.options["adj_y"])), [op.input(0), op.input(1)]


def _resize_bilinear(op: FileOp) -> _Built:
    return ResizeAttrs(bool(op.options["align"]), bool(op.options["half"])), [op.input(0)]


def _integers(tensor: FileTensor) -> tuple[int, ...]:
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
    begin, size, shape = _integers(op.input(1)), _integers(op.input(2)), op.input(0).shape
    if not len(begin) == len(size) == len(shape):
        raise GraphError(f"{op.label}: begin {begin} and size {size} for shape {list(shape)}")
    _require_shape(op, tuple(d - b if n == -1 else n for d, b, n in zip(shape, begin, size, strict=True)))
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


def _require_shape(op: FileOp, computed: tuple[int, ...]) -> None:
    """Refuse an output that declares another shape than its operator computes: runtimes go by the latter."""
    if computed != op.output.shape:
        raise GraphError(f"{op.label}: output has shape {list(op.output.shape)}, the operator gives {list(computed)}")


def _strided_slice_attrs(op: FileOp) -> _Built:
    counts, shrunk = _strided_slice(op)[1], int(op.options["shrink_axis_mask"])
    _require_shape(op, tuple(n for axis, n in enumerate(counts) if not shrunk >> axis & 1))
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
    "ADD": _sum,
    "SUB": _sum,
    "MUL": _binary,
    "MAXIMUM": _two_inputs,
    "MINIMUM": _two_inputs,
    "PRELU": _two_inputs,
    "DIV": _binary,
    "BATCH_MATMUL": _batch_matmul,
    "L2_NORMALIZATION": _copy,
    "RESIZE_BILINEAR": _resize_bilinear,
    "TABLE": _table,
    "SQUARED_DIFFERENCE": _two_inputs,
    "MEAN": _reduce,
    "REDUCE_MAX": _reduce,
    "REDUCE_MIN": _reduce,
    "SOFTMAX": _softmax,
    "RESHAPE": _reshape,
    "ASSIGN_VARIABLE": _copy,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
    "SVDF": _svdf,
    "CONCATENATION": _concat,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice_attrs,
    "GATHER": _gather,
    "TRANSPOSE": _transpose,
    "PAD": _pad,
    **dict.fromkeys(ACTIVATIONS, _activation),
}
