"""Small random lowered networks with random quantization, around an operator of each kind that the simulation knows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flynet_tiny.export.activation_scales import UNIT_INTERVAL, Affine, require_scales_hold
from flynet_tiny.export.float_graph import FloatGraph, FloatOp, FloatTensor, Kind
from flynet_tiny.export.layout import Layout
from flynet_tiny.export.pointwise import Term

Rng = np.random.Generator
Made = tuple[FloatGraph, dict[str, Affine]]


def random_affine(rng: Rng, low: float = 0.002, high: float = 0.2) -> Affine:
    """A scale between low and high, sometimes a power of two (ties); a zero point, sometimes an extreme one."""
    scale = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    scale = 2.0 ** round(np.log2(scale)) if rng.random() < 0.25 else scale
    zero_point = int(rng.choice([-128, 127, 0])) if rng.random() < 0.4 else int(rng.integers(-128, 128))
    return Affine(float(np.float32(scale)), zero_point)


class Sketch:
    """A network of one input under construction."""

    def __init__(self, rng: Rng, channels: int = 8, side: tuple[int, int] = (7, 6)):
        self.rng = rng
        self.tensors: dict[str, FloatTensor] = {}
        self.ops: list[FloatOp] = []
        self.affine: dict[str, Affine] = {}
        self.input = self.tensor((1, *side, channels), random_affine(rng))

    def tensor(self, shape: tuple[int, ...], affine: Affine, data: np.ndarray | None = None) -> str:
        name = f"t{len(self.tensors)}"
        layout = Layout.channels_last((1, shape[3], *shape[1:3])) if not self.tensors else None
        self.tensors[name] = FloatTensor(name, shape, None, layout, data)
        self.affine[name] = affine
        return name

    def add(self, kind: Kind, inputs: list[str], shape: tuple[int, ...], affine: Affine, **more: object) -> str:
        output = self.tensor(shape, affine)
        self.ops.append(FloatOp(kind, tuple(inputs), output, output, **more))
        return output

    def halves(self) -> tuple[str, str]:
        """Two independent tensors of different quantizations."""
        _, h, w, c = self.tensors[self.input].shape
        same, shape = self.affine[self.input], (1, h, w, c // 2)
        parts = [
            self.add(Kind.SLICE, [self.input], shape, same, parameters=(ints(0, 0, 0, at), ints(*shape))) for at in (0, c // 2)
        ]
        other = Affine(float(np.float32(same.scale * np.exp(self.rng.uniform(-1, 1)))), random_affine(self.rng).zero_point)
        return parts[0], self.add(Kind.QUANTIZE, [parts[1]], shape, other)

    def finish(self, output: str) -> Made:
        graph = FloatGraph(self.tensors, tuple(self.ops), (self.input,), (output,))
        require_scales_hold(graph, self.affine)
        return graph, self.affine


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def window_output(sizes: tuple[int, int], kernel: np.ndarray, stride: np.ndarray, padding: str) -> list[int]:
    windows = zip(sizes, kernel.tolist(), stride.tolist(), strict=True)
    return [-(-size // step) if padding == "SAME" else (size - k) // step + 1 for size, k, step in windows]


def convolution(rng: Rng, kind: Kind, groups: int = 1) -> Made:
    """Random window, stride, padding and activation; the output's scale spreads the sums, or makes the multiplier exceed 1."""
    s = Sketch(rng)
    _, h, w, c = s.tensors[s.input].shape
    kernel, stride = rng.integers(1, 4, 2), rng.integers(1, 3, 2)
    padding = str(rng.choice(["SAME", "VALID"]))
    out = window_output((h, w), kernel, stride, padding)
    depthwise = kind is Kind.DEPTHWISE_CONV_2D
    heads = int(rng.integers(1, 4))
    channels = c * heads if depthwise else 6 * groups // np.gcd(6, groups)
    shape = (1, *kernel, channels) if depthwise else (channels, *kernel, c // groups)
    weights = rng.normal(0, rng.uniform(0.02, 1), shape).astype(np.float32)
    spread = s.affine[s.input].scale * float(np.abs(weights).sum(axis=(0, 1, 2) if depthwise else (1, 2, 3)).mean())
    affine = Affine(float(np.float32(spread * np.exp(rng.uniform(-3, 0.5)))), random_affine(rng).zero_point)
    options = {
        "padding": padding,
        "strideH": int(stride[0]),
        "strideW": int(stride[1]),
        "fusedActivationFunction": str(rng.choice(["NONE", "RELU", "RELU6"])),
    }
    if depthwise:
        options["depthMultiplier"] = heads
    bias = rng.normal(0, spread * 20, channels).astype(np.float32) if rng.random() < 0.7 else None
    return s.finish(s.add(kind, [s.input], (1, *out, channels), affine, options=options, weights=weights, bias=bias))


def binary(rng: Rng, kind: Kind) -> Made:
    """Two independent tensors, or one and a constant, broadcast by half."""
    s = Sketch(rng)
    left, right = s.halves()
    a, b = s.affine[left], s.affine[right]
    shape = s.tensors[left].shape
    if kind is not Kind.SQUARED_DIFFERENCE and rng.random() < 0.3:
        data = rng.normal(0, 30 * b.scale, (1, 1, 1, shape[3])).astype(np.float32)
        right = s.tensor(data.shape, b, data)
    largest = max(a.scale, b.scale)
    typical = {Kind.MUL: a.scale * b.scale * 80, Kind.SQUARED_DIFFERENCE: largest**2 * 100}.get(kind, largest)
    affine = Affine(float(np.float32(typical * np.exp(rng.uniform(-0.7, 1.5)))), random_affine(rng).zero_point)
    activation = "NONE" if kind is Kind.SQUARED_DIFFERENCE else str(rng.choice(["NONE", "RELU", "RELU6"]))
    options = {} if kind is Kind.SQUARED_DIFFERENCE else {"fusedActivationFunction": activation}
    return s.finish(s.add(kind, [left, right], shape, affine, options=options))


def unary(rng: Rng, kind: Kind) -> Made:
    s = Sketch(rng)
    source = s.affine[s.input]
    affine = Affine(float(np.float32(source.scale * np.exp(rng.uniform(-1.5, 1.5)))), random_affine(rng).zero_point)
    affine = UNIT_INTERVAL if kind in (Kind.LOGISTIC, Kind.SOFTMAX) else affine
    options: dict[str, float] = {"beta": 1.0} if kind is Kind.SOFTMAX else {}
    if kind is Kind.LEAKY_RELU:
        options["alpha"] = float(rng.choice([0.01, 0.3, 1.7, -0.4]))
    return s.finish(s.add(kind, [s.input], s.tensors[s.input].shape, affine, options=options))


def table(rng: Rng) -> Made:
    """A bump: twice the value below 1, nothing far from 0."""
    s = Sketch(rng)
    term = Term("Mul", (2.0, Term("Mul", (None, Term("Exp", (Term("Neg", (Term("Mul", (None, None)),)),))))))
    affine = Affine(float(np.float32(rng.uniform(0.005, 0.01))), random_affine(rng).zero_point)
    return s.finish(s.add(Kind.TABLE, [s.input], s.tensors[s.input].shape, affine, options={"term": term}))


def mean(rng: Rng) -> Made:
    """Over any axes, with an output that is up to twelve times as fine."""
    s = Sketch(rng, channels=int(rng.integers(2, 9)), side=(int(rng.integers(1, 15)), int(rng.integers(1, 15))))
    shape, source = s.tensors[s.input].shape, s.affine[s.input]
    axes = [(1, 2), (3,), (1,), (2,), (1, 2, 3)][int(rng.integers(5))]
    affine = Affine(float(np.float32(source.scale * np.exp(rng.uniform(-2.5, 0.7)))), random_affine(rng).zero_point)
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return s.finish(s.add(Kind.MEAN, [s.input], kept, affine, options={"keepDims": True}, parameters=(ints(*axes),)))


def pool(rng: Rng, kind: Kind) -> Made:
    s = Sketch(rng)
    _, h, w, c = s.tensors[s.input].shape
    kernel, stride, padding = rng.integers(1, 4, 2), rng.integers(1, 3, 2), str(rng.choice(["SAME", "VALID"]))
    out = window_output((h, w), kernel, stride, padding)
    names = ("filterHeight", "filterWidth", "strideH", "strideW")
    options = {"padding": padding, **dict(zip(names, (int(n) for n in (*kernel, *stride)), strict=True))}
    return s.finish(s.add(kind, [s.input], (1, *out, c), s.affine[s.input], options=options))


def moves(rng: Rng) -> Made:
    """PAD, STRIDED_SLICE, RESHAPE, REDUCE_MAX, MAXIMUM, CONCATENATION and GATHER one after the other: nothing rounds."""
    s = Sketch(rng)
    same = s.affine[s.input]
    padded = s.add(Kind.PAD, [s.input], (1, 9, 9, 8), same, parameters=(np.array([[0, 0], [0, 2], [1, 2], [0, 0]], np.int32),))
    where = (ints(0, 0, 1, 0), ints(1, 9, 9, 8), ints(1, 2, 2, 1))
    taken = s.add(Kind.STRIDED_SLICE, [padded], (1, 5, 4, 8), same, parameters=where)
    heads = s.add(Kind.RESHAPE, [taken], (1, 20, 4, 2), same, options={"newShape": (1, 20, 4, 2)})
    most = s.add(Kind.REDUCE_MAX, [heads], (1, 20, 4), same, options={"keepDims": False}, parameters=(ints(3),))
    maps = s.add(Kind.RESHAPE, [most], (1, 5, 4, 4), same, options={"newShape": (1, 5, 4, 4)})
    begin = (ints(0, 0, 0, 4), ints(1, 5, 4, 4))
    half = s.add(Kind.SLICE, [taken], (1, 5, 4, 4), same, parameters=begin)
    larger = s.add(Kind.MAXIMUM, [maps, half], (1, 5, 4, 4), same)
    least = s.add(Kind.REDUCE_MIN, [half], (1, 5, 1, 4), same, options={"keepDims": True}, parameters=(ints(2),))
    larger = s.add(Kind.MINIMUM, [larger, least], (1, 5, 4, 4), same)
    turned = s.add(Kind.TRANSPOSE, [larger], (1, 4, 5, 4), same, parameters=(ints(0, 2, 1, 3),))
    larger = s.add(Kind.TRANSPOSE, [turned], (1, 5, 4, 4), same, parameters=(ints(0, 2, 1, 3),))
    both = s.add(Kind.CONCATENATION, [larger, maps], (1, 5, 4, 8), same, options={"axis": 3})
    taken_channels = rng.permutation(8)[:6].astype(np.int32)
    return s.finish(s.add(Kind.GATHER, [both], (1, 5, 4, 6), same, options={"axis": 3}, parameters=(taken_channels,)))


CASES: dict[str, Callable[[Rng], Made]] = {
    "CONV_2D": lambda rng: convolution(rng, Kind.CONV_2D),
    "CONV_2D in groups": lambda rng: convolution(rng, Kind.CONV_2D, int(rng.choice([2, 4]))),
    "DEPTHWISE_CONV_2D": lambda rng: convolution(rng, Kind.DEPTHWISE_CONV_2D),
    "AVERAGE_POOL_2D": lambda rng: pool(rng, Kind.AVERAGE_POOL_2D),
    "MAX_POOL_2D": lambda rng: pool(rng, Kind.MAX_POOL_2D),
    "MEAN": mean,
    "TABLE": table,
    "moves": moves,
    **{kind.value: lambda rng, kind=kind: binary(rng, kind) for kind in (Kind.ADD, Kind.SUB, Kind.MUL, Kind.SQUARED_DIFFERENCE)},
    **{
        kind.value: lambda rng, kind=kind: unary(rng, kind)
        for kind in (
            *(Kind.LOGISTIC, Kind.HARD_SWISH, Kind.RELU, Kind.RELU6, Kind.SOFTMAX),
            *(Kind.QUANTIZE, Kind.LEAKY_RELU, Kind.TANH),
        )
    },
}
