"""Scales and zero points of all activations: which tensors must share one, and how small a scale may be.

Operators that only move int8 values (RESHAPE, SLICE, GATHER, PAD, TRANSPOSE, poolings, REDUCE_MAX, REDUCE_MIN), and
RESIZE_BILINEAR, quantize input and output alike. CONCATENATION, MAXIMUM and MINIMUM want it of all inputs too: their producers
write with it directly where nobody else reads them, else a QUANTIZE comes between. LOGISTIC and SOFTMAX write 1/256, -128. Where
a Clip's bounds are left to int8's saturation, no tie may widen the range: there a QUANTIZE comes between as well.

LiteRT has lower bounds for output scales and aborts the process below some of them; a tensor that is constant in float (a dead
channel, the variance of a constant map) would fall below. `_scale_floor` states each.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..errors import BadData, BadModel
from .calibrate import Calibration
from .float_graph import FloatGraph, FloatOp, FloatTensor, Kind

_MOVES = {
    *(Kind.RESHAPE, Kind.SLICE, Kind.STRIDED_SLICE, Kind.GATHER, Kind.PAD),
    *(Kind.MAX_POOL_2D, Kind.AVERAGE_POOL_2D, Kind.REDUCE_MAX, Kind.REDUCE_MIN),
    *(Kind.TRANSPOSE, Kind.RESIZE_BILINEAR),
}
_JOINS = {Kind.CONCATENATION, Kind.MAXIMUM, Kind.MINIMUM}
_SELECTS = (_MOVES | _JOINS) - {Kind.AVERAGE_POOL_2D, Kind.RESIZE_BILINEAR}  # every output element is one of the input's, or 0
_UNIT_INTERVAL = {Kind.LOGISTIC, Kind.SOFTMAX}
_SMALLEST_SCALE, _LARGEST_SCALE = 2.0**-40, 2.0**40  # products of two stay far inside float32
_ABOVE = 1.01  # how far above a bound that must not be touched
_SQUARE_STEP = 2.125  # in units of twice the input scale, squared: a little above the 2 that gives 2^-15


@dataclass(frozen=True)
class Affine:
    """real = scale * (stored - zero_point); the scale is an exact float32."""

    scale: float
    zero_point: int

    @staticmethod
    def over(low: float, high: float, smallest: float = _SMALLEST_SCALE) -> Affine:
        """int8 over [low, high] widened to hold 0, which is exact; an empty range becomes [0, 1]."""
        low, high = min(low, 0.0), max(high, 0.0)
        if low == high:
            high = 1.0
        scale = float(np.float32(max((high - low) / 255.0, smallest)))
        return Affine(scale, int(np.clip(np.round(-128 - low / scale), -128, 127)))

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest real number that int8 can stand for."""
        return self.scale * (-128 - self.zero_point), self.scale * (127 - self.zero_point)


UNIT_INTERVAL = Affine(1 / 256, -128)


def choose_scales(graph: FloatGraph, calibration: Calibration) -> tuple[FloatGraph, Mapping[str, Affine]]:
    """(the graph with the QUANTIZEs that ties need, the quantization of every tensor)."""
    groups = _Groups(graph)
    graph = _tie(graph, groups)
    ranges: dict[str, tuple[float, float]] = {}
    floors: dict[str, float] = {}
    fixed = {groups.find(op.output) for op in graph.ops if op.kind in _UNIT_INTERVAL}
    measured = set(calibrated_tensors(graph))
    for name, tensor in graph.tensors.items():
        root = groups.find(name)
        low, high = ranges.get(root, (0.0, 0.0))
        if tensor.data is not None:
            low, high = min(low, float(tensor.data.min())), max(high, float(tensor.data.max()))
        elif name in measured and tensor.value is not None:
            found = calibration.ranges[tensor.value]
            if max(-found.low, found.high) > 255 * _LARGEST_SCALE:
                raise BadModel(f"{tensor.value!r} reaches {max(-found.low, found.high):g}; int8 cannot hold that range usefully")
            low, high = min(low, found.low), max(high, found.high)
        ranges[root] = low, high
        floors[root] = _SMALLEST_SCALE
    for op in graph.ops:
        if op.kind is Kind.SOFTMAX:  # its input's scale times 2^26 must be above 1
            floors[groups.find(op.inputs[0])] = 2.0**-25

    def quantization(name: str) -> Affine:
        root = groups.find(name)
        return UNIT_INTERVAL if root in fixed else Affine.over(*ranges[root], smallest=floors[root])

    for _ in graph.ops:  # a raised scale can raise one further on; scales only grow, each pass settles one level
        raised = False
        for op in graph.ops:
            output = quantization(op.output)
            floor = _scale_floor(op, [quantization(name) for name in op.inputs])
            if floor > output.scale:
                floors[groups.find(op.output)] = floor * _ABOVE
                raised = True
        if not raised:
            break
    return graph, {name: quantization(name) for name in graph.tensors}


def calibrated_tensors(graph: FloatGraph) -> list[str]:
    """The tensors whose ranges decide: all but those that feed one operator only, which selects from their elements.

    Of those the selected elements alone matter: maps before a Max-out need not hold what never is the maximum.
    """
    uses = graph.use_counts()
    selected = {
        name
        for op in graph.ops
        for name in op.inputs
        if uses[name] == 1 and op.kind in _SELECTS and graph.tensors[op.output].value is not None
    }
    return [name for name, tensor in graph.tensors.items() if tensor.data is None and name not in selected]


def calibrated_values(graph: FloatGraph) -> list[str]:
    """The ONNX values whose ranges `choose_scales` asks for."""
    graph = _tie(graph, _Groups(graph))
    values = (graph.tensors[name].value for name in calibrated_tensors(graph))
    return list(dict.fromkeys(value for value in values if value is not None))


def require_scales_hold(graph: FloatGraph, affine: Mapping[str, Affine]) -> None:
    """Raise BadData where weights have grown so much since `choose_scales` that LiteRT's arithmetic would fail."""
    for op in graph.ops:
        floor = _scale_floor(op, [affine[name] for name in op.inputs])
        if floor > affine[op.output].scale:
            raise BadData(
                f"the weights of {op.node or op.output!r} have grown too large for its int8 output; fewer epochs may help"
            )


def _scale_floor(op: FloatOp, inputs: list[Affine]) -> float:
    """The output scale at which LiteRT's integer arithmetic for an operator begins to fail."""
    scales = [quantization.scale for quantization in inputs]
    if op.weights is not None:  # accumulator * multiplier stays far inside int32
        axes = (0, 1, 2) if op.kind is Kind.DEPTHWISE_CONV_2D else (1, 2, 3)
        largest = np.abs(op.weights).sum(axis=axes) * 255 * scales[0]
        return float((largest + np.abs(op.bias if op.bias is not None else 0.0)).max()) / 2**29
    if op.kind is Kind.SQUARED_DIFFERENCE:
        # LiteRT needs twice^2 / (2^14 * output) below 1. Below 2^-15 the kernels have their short formula, and a step of
        # 8 squared input steps is still finer than what the input's own rounding does to a square.
        return _SQUARE_STEP * (2 * max(scales)) ** 2
    if op.kind in (Kind.ADD, Kind.SUB):  # twice / (2^20 * output) must be below 1
        return 2 * max(scales) / 2**20
    if op.kind is Kind.MUL:  # the product of two offsets, shifted left, stays inside int32
        return scales[0] * scales[1] / 2**13
    if op.kind is Kind.BATCH_MATMUL:  # sums of a few thousand products, shifted left, stay inside int32
        return scales[0] * scales[1] / 2**3
    if op.kind is Kind.PRELU:
        return max(scales[0] / 2**16, scales[0] * scales[1] / 2**13)
    if op.kind is Kind.HARD_SWISH:  # input / (128 * output) must be below 1
        return scales[0] / 128
    if op.kind is Kind.LEAKY_RELU:
        return max(1.0, abs(float(op.options["alpha"]))) * scales[0] / 2**16
    if op.kind in (Kind.MEAN, Kind.RELU, Kind.RELU6, Kind.QUANTIZE):
        return scales[0] / 2**16
    return 0.0


class _Groups:
    """Tensors that share one quantization (union-find)."""

    def __init__(self, graph: FloatGraph):
        self._parent = {name: name for name in graph.tensors}

    def find(self, name: str) -> str:
        self._parent.setdefault(name, name)
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def join(self, one: str, other: str) -> None:
        self._parent[self.find(one)] = self.find(other)

    def members(self, name: str) -> list[str]:
        root = self.find(name)
        return [member for member in list(self._parent) if self.find(member) == root]


def _tie(graph: FloatGraph, groups: _Groups) -> FloatGraph:
    """Join the groups that operators demand; the graph with a QUANTIZE before each join that would coarsen somebody else."""
    for op in graph.ops:
        if op.kind in _MOVES:
            groups.join(op.inputs[0], op.output)
    uses = graph.use_counts()
    own_range = {op.output for op in graph.ops if op.kind in _UNIT_INTERVAL or op.saturates}
    tensors = dict(graph.tensors)
    ops: list[FloatOp] = []
    for op in graph.ops:
        inputs: list[str] = []
        for name in op.inputs:
            if op.kind in _JOINS and groups.find(name) != groups.find(op.output):
                members = groups.members(name)
                if own_range.intersection(members) or any(uses[member] > 1 for member in members):
                    source, name = name, _unused(f"{op.output}/operand{len(inputs)}", tensors)
                    tensors[name] = FloatTensor(name, tensors[source].shape, tensors[source].value, tensors[source].layout)
                    uses[name] = 1
                    ops.append(FloatOp(Kind.QUANTIZE, (source,), name, op.node))
                groups.join(name, op.output)
            inputs.append(name)
        ops.append(replace(op, inputs=tuple(inputs)))
    return FloatGraph(tensors, tuple(ops), graph.inputs, graph.outputs)


def _unused(name: str, taken: Container[str]) -> str:
    while name in taken:
        name += "_"
    return name
