"""Chains that a pass fuses, and near-misses: graphs that look like such a chain and differ in one thing.

`VARIANTS[pattern]` names them: for each whether the chain must be fused (True), must stay (False), or may be either (None).
`draw` makes the graph of one; nothing in it says whether it is a near-miss but the graph itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flynet_tiny.codegen.build import DEFAULT_BUILD
from flynet_tiny.codegen.c_library import CLibrary
from flynet_tiny.codegen.emit import emit
from flynet_tiny.codegen.ir import (
    Attrs,
    ClampAttrs,
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
    Tensor,
    Window,
)
from flynet_tiny.codegen.kernels.base import KernelCall
from flynet_tiny.codegen.passes.pipeline import run_passes
from flynet_tiny.codegen.schedule.check_plan import check_plan
from flynet_tiny.codegen.schedule.lifetimes import Lifetimes, scratch_name
from flynet_tiny.codegen.schedule.plan_memory import ARENA_ALIGN_BYTES, MemoryPlan
from flynet_tiny.codegen.schedule.search import Schedule, schedule
from flynet_tiny.codegen.verify_graph import verify_graph

from ..kernels.elementwise_graphs import Quant, int8_tensor, random_quant, result_quant

Shape = tuple[int, ...]
SAME3 = Window(3, 3, pad_top=1, pad_bottom=1, pad_left=1, pad_right=1)
CLAMP = (-60, 70)
OPEN = (-128, 127)


@dataclass(frozen=True)
class Sizes:
    """The map's height, width and channels; heads are filters, or maps, for each channel."""

    h: int
    w: int
    c: int
    heads: int


class Draft:
    """A graph in the making; its inputs, weights and quantizations are drawn."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.tensors: dict[str, Tensor] = {}
        self.quants: dict[str, Quant] = {}
        self.ops: list[Op] = []
        self.inputs: list[str] = []

    def act(self, name: str, shape: Shape, quant: Quant) -> str:
        self.tensors[name], self.quants[name] = int8_tensor(name, shape, quant), quant
        return name

    def input(self, name: str, shape: Shape, quant: Quant | None = None) -> str:
        self.inputs.append(name)
        return self.act(name, shape, quant or random_quant(self.rng))

    def constant(self, name: str, shape: Shape) -> str:
        quant = random_quant(self.rng)
        data = self.rng.integers(-128, 128, shape).astype(np.int8)
        self.tensors[name], self.quants[name] = int8_tensor(name, shape, quant, data), quant
        return name

    def shape(self, name: str) -> Shape:
        return self.tensors[name].shape

    def op(self, kind: OpKind, inputs: Sequence[str], output: str, shape: Shape, quant: Quant, attrs: Attrs | None = None) -> str:
        self.ops.append(Op(kind, tuple(inputs), (self.act(output, shape, quant),), attrs or NoAttrs(), len(self.ops)))
        return output

    def binary(self, kind: OpKind, left: str, right: str, output: str, clamp: tuple[int, int] = OPEN) -> str:
        quant = result_quant(self.rng, kind, self.quants[left], self.quants[right])
        shape = tuple(int(d) for d in np.broadcast_shapes(self.shape(left), self.shape(right)))
        has_clamp = kind in (OpKind.ADD, OpKind.SUB, OpKind.MUL)
        return self.op(kind, (left, right), output, shape, quant, ClampAttrs(*clamp) if has_clamp else NoAttrs())

    def mean(self, source: str, output: str, axes: tuple[int, ...], keep_dims: bool = True) -> str:
        scale = self.quants[source][0] / float(np.exp(self.rng.uniform(-0.3, 2)))
        shape = tuple(1 if i in axes else d for i, d in enumerate(self.shape(source)) if keep_dims or i not in axes)
        return self.op(OpKind.MEAN, (source,), output, shape, (scale, random_quant(self.rng)[1]), ReduceAttrs(axes, keep_dims))

    def moved(self, kind: OpKind, source: str, output: str, shape: Shape, attrs: Attrs | None = None) -> str:
        return self.op(kind, (source,), output, shape, self.quants[source], attrs)

    def table(self, source: str, output: str, kind: OpKind = OpKind.HARD_SWISH) -> str:
        quant = (self.quants[source][0], -3) if kind is not OpKind.LOGISTIC else (1 / 256, -128)
        return self.op(kind, (source,), output, self.shape(source), quant)

    def conv(self, kind: OpKind, source: str, output: str, window: Window, outputs: int, clamp: tuple[int, int] = OPEN) -> str:
        """`outputs` is c_out; for depthwise the filters a channel; a FULLY_CONNECTED reads rows of the last axis."""
        shape = self.shape(source)
        channels, per_channel = shape[-1], kind is OpKind.DEPTHWISE_CONV_2D
        kernel = (window.kernel_h, window.kernel_w)
        attrs: Attrs = ConvAttrs(window, *clamp, depth_multiplier=outputs if per_channel else 0)
        if kind is OpKind.FULLY_CONNECTED:
            weights_shape, axis, result, attrs = (outputs, channels), 0, (*shape[:-1], outputs), ClampAttrs(*clamp)
        elif per_channel:
            weights_shape, axis = (1, *kernel, channels * outputs), 3
            result = (1, *window.output_hw(*shape[1:3]), channels * outputs)
        else:
            weights_shape, axis, result = (outputs, *kernel, channels), 0, (1, *window.output_hw(*shape[1:3]), outputs)
        c_out = weights_shape[axis]
        scales = tuple(float(s) for s in np.float32(np.exp(self.rng.uniform(-6, -3, c_out))))
        depth = int(np.prod(weights_shape)) // c_out
        scale = self.quants[source][0] * float(np.median(scales)) * np.sqrt(depth) * 74 * 74 / 40
        weights = self.rng.integers(-127, 128, weights_shape).astype(np.int8)
        quantization = Quantization(scales, (0,) * c_out, axis if c_out > 1 else None)
        self.tensors[f"{output}_w"] = Tensor(f"{output}_w", weights_shape, DType.INT8, quantization, weights)
        bias = self.rng.integers(-3000, 3001, c_out).astype(np.int32)
        self.tensors[f"{output}_b"] = Tensor(f"{output}_b", (c_out,), DType.INT32, None, bias)
        operands = (source, f"{output}_w", f"{output}_b")
        return self.op(kind, operands, output, result, (scale, random_quant(self.rng)[1]), attrs)

    def depthwise(self, source: str, output: str, heads: int, window: Window = SAME3, clamp: tuple[int, int] = OPEN) -> str:
        return self.conv(OpKind.DEPTHWISE_CONV_2D, source, output, window, heads, clamp)

    def graph(self, *outputs: str) -> Graph:
        tensors = {name: tensor for name, tensor in self.tensors.items() if name not in self.inputs or self._is_read(name)}
        inputs = tuple(name for name in self.inputs if name in tensors)
        return verify_graph(Graph("net", tensors, tuple(self.ops), inputs, outputs))

    def _is_read(self, name: str) -> bool:
        return any(name in op.inputs for op in self.ops)


def _mean_variance(d: Draft, s: Sizes, variant: str) -> Graph:
    shape = {"a batch of two": (2, s.h, s.w, s.c), "rank 3": (s.h, s.w, s.c), "rank 5": (1, s.h, s.w, s.c, 2)}.get(
        variant, (1, s.h, s.w, s.c)
    )
    axes = {"means over height": (1,), "means over width": (2,), "means over channels": (3,), "means over all": (1, 2, 3)}
    axes |= {"means over the batch too": (0, 1, 2), "rank 5": (1, 2), "rank 3": (1, 2), "means over a row of channels": (2, 3)}
    first = axes.get(variant, (1, 2))
    last = {"the second mean over width": (2,), "the second mean over channels": (3,)}.get(variant, first)
    x = d.input("x", shape)
    mean = d.mean(x, "mean", first, keep_dims=variant != "the first mean drops dimensions")
    other = d.input("other", shape) if variant == "the difference of another map" else x
    operands = (mean, other) if variant == "swapped" else (other, mean)
    d.binary(OpKind.SQUARED_DIFFERENCE, *operands, "squares")
    if variant == "two differences of one mean":
        d.binary(OpKind.SQUARED_DIFFERENCE, d.input("z", shape), mean, "others")
        d.mean("others", "others_mean", last)
    d.mean("squares", "variance", last, keep_dims=variant != "the second mean drops dimensions")
    if variant == "the squares read twice":
        d.mean("squares", "again", (1,))
    outputs = {
        "the squares an output": ("mean", "variance", "squares"),
        "the variance alone": ("variance",),
        "the mean alone": ("mean",),
        "the squares read twice": ("mean", "variance", "again"),
        "two differences of one mean": ("mean", "variance", "others_mean"),
    }
    return d.graph(*outputs.get(variant, ("mean", "variance")))


def _max_out(d: Draft, maps: str, s: Sizes, variant: str) -> Graph:
    """Max-out over s.heads of s.c channels, behind `maps`."""
    n, h, w, c = d.shape(maps)
    heads, axes = s.heads, (3,)
    if variant == "other heads":  # the same number of maps, taken apart otherwise
        heads = next((k for k in range(2, c + 1) if c % k == 0 and k != s.heads), 1)
    split = (n, h * w, c // heads, heads)
    result = (n, h, w, c // heads)
    if variant == "heads before channels":
        split, axes = (n, h * w, s.heads, c // s.heads), (2,)
    if variant == "over pixels":
        split, axes, result = (1, n * h * w, 1, c), (1,), (1, 1, 1, c)
    if variant == "over heads and channels":
        axes, result = (2, 3), (n, h, w, 1)
    if variant == "heads across pixels":
        split, result = (n, h, w * c // heads, heads), (n, h, w, c // heads)
    d.moved(OpKind.RESHAPE, maps, "split", split)
    keep = variant != "without dimensions"
    largest = tuple(1 if i in axes else size for i, size in enumerate(split) if keep or i not in axes)
    d.moved(OpKind.REDUCE_MAX, "split", "largest", largest, ReduceAttrs(axes, keep))
    if variant == "another result":
        result = (n * h, w, result[3], 1)
    d.moved(OpKind.RESHAPE, "largest", "y", result)
    extra = {"the heads' maps an output": (maps,), "the split an output": ("split",), "the flat maximum an output": ("largest",)}
    if variant == "the heads' maps read twice":
        d.table(maps, "again")
        return d.graph("y", "again")
    if variant == "a dead end":
        d.table(maps if maps in d.inputs else d.inputs[0], "alive")
        return d.graph("alive")
    return d.graph("y", *extra.get(variant, ()))


def _as_many_heads_as_channels(s: Sizes, variant: str) -> Sizes:
    """Where heads come before channels, the wrong axis shows in no shape when there are as many of both."""
    return replace(s, c=s.heads) if variant == "heads before channels" else s


def _mdw_max(d: Draft, s: Sizes, variant: str) -> Graph:
    s = _as_many_heads_as_channels(s, variant)
    d.input("x", (1, s.h, s.w, s.c))
    window = Window(2, 3, 2, 1, pad_top=1, pad_right=2) if variant == "an odd window" else SAME3
    d.depthwise("x", "maps", s.heads, window, CLAMP if variant == "clamped" else OPEN)
    return _max_out(d, "maps", s, variant)


def _scale(d: Draft, maps: str, name: str, variant: str) -> str:
    shape = d.shape(maps)
    vector: Shape = (1, 1, 1, shape[-1])
    shapes = {"a vector of rank 3": vector[1:], "a vector of rank 1": vector[3:], "one coefficient": (1, 1, 1, 1), "a map": shape}
    shapes |= {"a coefficient for each row": (1, shape[1], 1, 1), "coefficients of width and channel": (1, 1, *shape[2:])}
    if variant == "constant coefficients":
        return d.constant(name, vector)
    sigmoid = (1 / 256, -128) if d.rng.random() < 0.5 else random_quant(d.rng)
    return d.input(name, shapes.get(variant, vector), sigmoid)


def _gated(d: Draft, s: Sizes, variant: str, channels: int, batch: int = 1) -> str:
    x = d.input("x", (batch, s.h, s.w, channels))
    scale = _scale(d, x, "s", variant)
    operands = (scale, x) if variant == "swapped" else (x, scale)
    return d.binary(OpKind.MUL, *operands, "gated", CLAMP if variant in ("clamped", "a clamped gate") else OPEN)


def _mul_max(d: Draft, s: Sizes, variant: str) -> Graph:
    s = _as_many_heads_as_channels(s, variant)
    return _max_out(d, _gated(d, s, variant, s.c * s.heads, 2 if variant == "a batch of two" else 1), s, variant)


def _mul_depthwise(d: Draft, s: Sizes, variant: str) -> Graph:
    gated = _gated(d, s, variant, s.c)
    d.depthwise(gated, "y", s.heads, SAME3, CLAMP if variant == "a clamped convolution" else OPEN)
    if variant == "the gated maps read twice":
        d.table(gated, "again")
        return d.graph("y", "again")
    return d.graph("y", *([gated] if variant == "the gated maps an output" else []))


def _mul_add(d: Draft, s: Sizes, variant: str) -> Graph:
    gated = _gated(d, s, variant, s.c)
    others: Mapping[str, Callable[[], str]] = {
        "a constant residual": lambda: d.constant("r", d.shape(gated)),
        "a residual of one pixel": lambda: d.input("r", (1, 1, 1, s.c)),
        "a residual of rank 3": lambda: d.input("r", d.shape(gated)[1:]),
        "the map itself": lambda: "x",
        "the coefficients": lambda: "s",
        "twice itself": lambda: gated,
    }
    other = others.get(variant, lambda: d.input("r", d.shape(gated)))()
    operands = (other, gated) if variant == "the residual first" else (gated, other)
    kind = OpKind.SUB if variant == "a difference" else OpKind.ADD
    d.binary(kind, *operands, "y", CLAMP if variant == "a clamped sum" else OPEN)
    if variant == "the gated maps read twice":
        d.table(gated, "again")
        return d.graph("y", "again")
    return d.graph("y", *([gated] if variant == "the gated maps an output" else []))


def _depthwise_pair(d: Draft, s: Sizes, variant: str) -> Graph:
    x = d.input("x", (1, s.h, s.w, s.c))
    windows = {
        "another stride": replace(SAME3, stride_h=2, stride_w=2),
        "other padding": replace(SAME3, pad_top=2, pad_bottom=0),
        "another kernel": Window(1, 1),
        "another dilation": Window(3, 3, 1, 1, 2, 2, 2, 2, 2, 2),
    }
    first = CLAMP if variant in ("the first clamped", "both clamped alike", "clamps that differ") else OPEN
    second = {"the second clamped": CLAMP, "both clamped alike": CLAMP, "clamps that differ": (-50, 90)}.get(variant, OPEN)
    other = d.input("z", (1, s.h, s.w, s.c)) if variant == "another map" else x
    d.depthwise(x, "a", s.heads, SAME3, first)
    d.depthwise(other, "b", 1, windows.get(variant, SAME3), second)
    if variant == "the second read by a table":
        d.table("b", "active")
        return d.graph("a", "active")
    return d.graph(*{"the second dead": ("a",), "the first dead": ("b",)}.get(variant, ("a", "b")))


def _shift_max(d: Draft, s: Sizes, variant: str) -> Graph:
    h, w = (1, 1) if variant.startswith("the map its own") else (s.h, s.w)
    x = d.input("x", (1, h, w, s.c))
    indices = tuple(int(i) for i in d.rng.permutation(s.c))
    axis, shape = 3, d.shape(x)
    if variant == "repeated channels":
        indices = (0,) * s.c
    if variant == "rows are gathered":
        axis, indices = 1, tuple(int(i) for i in d.rng.permutation(h))
    if variant == "one channel is gathered":
        indices, shape = (s.c - 1,), (1, h, w, 1)
    d.moved(OpKind.GATHER, x, "moved", shape, GatherAttrs(axis, indices))
    sums = 1 if variant == "one sum" else 2
    for k in range(sums):
        for j, source in enumerate(("x", "moved")):
            is_last = (k, j) == (sums - 1, 1)
            scale = x if variant == f"the map its own coefficients {k}{j}" else ""
            scale = scale or _scale(d, source, f"s{k}{j}", variant if is_last else "")
            operands = (scale, source) if variant == "swapped" and is_last else (source, scale)
            d.binary(OpKind.MUL, *operands, f"p{k}{j}", CLAMP if variant == "clamped products" else OPEN)
    for k in range(sums):
        order = (f"p{k}1", f"p{k}0") if variant == "sums in the other order" else (f"p{k}0", f"p{k}1")
        if variant == "sums across":
            order = (f"p{k}0", f"p{1 - k}1")
        kind = OpKind.SUB if variant == "a difference" and k == sums - 1 else OpKind.ADD
        d.binary(kind, *order, f"y{k}", CLAMP if variant == "clamped sums" else OPEN)
    if sums == 2:
        d.tensors["y1"] = int8_tensor("y1", d.shape("y1"), d.quants["y0"])
        last = (OpKind.ADD,) if variant == "a sum at the end" else (OpKind.MAXIMUM,)
        d.moved(last[0], "y0", "y", d.shape("y0"), ClampAttrs() if last[0] is OpKind.ADD else NoAttrs())
        d.ops[-1] = replace(d.ops[-1], inputs=("y1", "y0") if variant == "sums in the other order" else ("y0", "y1"))
    output = "y" if sums == 2 else "y0"
    extra = {"the moved map an output": ("moved",), "a product an output": ("p00",), "a sum an output": ("y1",)}
    if variant == "the moved map read twice":
        d.table("moved", "again")
        return d.graph(output, "again")
    return d.graph(output, *extra.get(variant, ()))


def _producer_table(d: Draft, s: Sizes, variant: str) -> Graph:
    kinds = {"a depthwise convolution": OpKind.DEPTHWISE_CONV_2D, "FULLY_CONNECTED": OpKind.FULLY_CONNECTED}
    kind = kinds.get(variant, OpKind.CONV_2D)
    d.input("x", (1, s.h, s.w, s.c))
    d.conv(kind, "x", "made", SAME3, s.heads + 1, CLAMP if variant == "clamped" else OPEN)
    if variant == "a RESHAPE between":
        d.moved(OpKind.RESHAPE, "made", "line", (d.tensors["made"].num_elements,))
        d.table("line", "y")
        return d.graph("y")
    tables = {"RELU": OpKind.RELU, "RELU6": OpKind.RELU6, "QUANTIZE": OpKind.QUANTIZE, "LOGISTIC": OpKind.LOGISTIC}
    d.table("made", "y", tables.get(variant, OpKind.HARD_SWISH))
    if variant == "two tables":
        d.table("made", "z", OpKind.RELU)
        return d.graph("y", "z")
    if variant == "a dead end":
        d.table("x", "alive")
        return d.graph("alive")
    return d.graph("y", *(["made"] if variant == "the producer an output" else []))


def _fold_pad(d: Draft, s: Sizes, variant: str) -> Graph:
    d.input("x", (1, s.h, s.w, s.c))
    before, after = (0, 1, 2, 0), (0, 2, 1, 0)
    if variant == "channels too":
        after = (0, 2, 1, 2)
    shape = tuple(b + n + a for b, n, a in zip(before, d.shape("x"), after, strict=True))
    d.moved(OpKind.PAD, "x", "padded", shape, PadAttrs(before, after))
    source = "padded"
    if variant == "a PAD of a PAD":
        shape = (1, shape[1] + 1, shape[2] + 1, shape[3])
        source = d.moved(OpKind.PAD, "padded", "twice", shape, PadAttrs((0, 0, 0, 0), (0, 1, 1, 0)))
    pools = {"a MAX_POOL_2D": OpKind.MAX_POOL_2D, "an AVERAGE_POOL_2D": OpKind.AVERAGE_POOL_2D}
    pools |= {"a convolution and a pool": OpKind.AVERAGE_POOL_2D}
    outputs = []
    if variant in pools:
        pooled = (1, *SAME3.output_hw(*d.shape(source)[1:3]), d.shape(source)[3])
        outputs.append(d.moved(pools[variant], source, "pooled", pooled, PoolAttrs(SAME3)))
    if variant not in ("a MAX_POOL_2D", "an AVERAGE_POOL_2D"):
        depthwise = variant == "a depthwise convolution"
        kind = OpKind.DEPTHWISE_CONV_2D if depthwise else OpKind.CONV_2D
        outputs.append(d.conv(kind, source, "y", SAME3 if variant == "padding of its own" else Window(2, 3), 2))
    if variant == "two convolutions":
        outputs.append(d.depthwise(source, "z", 1))
    if variant == "an output too":
        outputs.append(source)
    return d.graph(*outputs)


_BUILDERS: Mapping[str, Callable[[Draft, Sizes, str], Graph]] = {
    "MEAN_VARIANCE": _mean_variance,
    "MDW_MAX": _mdw_max,
    "MUL_MAX": _mul_max,
    "SHIFT_MAX": _shift_max,
    "DEPTHWISE_PAIR": _depthwise_pair,
    "MUL_DEPTHWISE": _mul_depthwise,
    "MUL_ADD": _mul_add,
    "PRODUCER_TABLE": _producer_table,
    "fold_pad": _fold_pad,
}

_MAX_OUT: Mapping[str, bool | None] = {
    "the chain": True,
    "clamped": True,
    "without dimensions": True,
    "heads before channels": False,
    "heads across pixels": None,  # at a width of 1 they do not cross
    "over pixels": False,
    "over heads and channels": False,
    "another result": False,
    "the heads' maps an output": False,
    "the split an output": False,
    "the flat maximum an output": False,
    "the heads' maps read twice": False,
    "a dead end": False,
}
_SCALES: Mapping[str, bool | None] = {
    "the chain": True,
    "swapped": False,
    "a vector of rank 3": False,
    "a vector of rank 1": False,
    "one coefficient": None,  # with one channel it is a vector
    "a map": None,  # of one pixel it is a vector
    "a coefficient for each row": None,
    "coefficients of width and channel": None,
    "constant coefficients": False,
}
VARIANTS: Mapping[str, Mapping[str, bool | None]] = {
    "MEAN_VARIANCE": {
        "the chain": True,
        "two differences of one mean": True,
        "means over height": False,
        "means over width": False,
        "means over channels": False,
        "means over all": False,
        "means over a row of channels": False,
        "means over the batch too": False,
        "the second mean over width": False,
        "the second mean over channels": False,
        "the first mean drops dimensions": False,
        "the second mean drops dimensions": False,
        "swapped": False,
        "the difference of another map": False,
        "a batch of two": False,
        "rank 3": False,
        "rank 5": False,
        "the squares an output": False,
        "the squares read twice": False,
        "the variance alone": False,
        "the mean alone": False,
    },
    "MDW_MAX": {**_MAX_OUT, "an odd window": True, "other heads": False},
    "MUL_MAX": {**_MAX_OUT, **_SCALES, "a batch of two": True, "other heads": True},
    "SHIFT_MAX": {
        **_SCALES,
        "one sum": True,
        "clamped products": True,
        "clamped sums": True,
        "repeated channels": True,
        "sums in the other order": True,
        "rows are gathered": None,  # of one row nothing is moved, and it is one channel's worth
        "one channel is gathered": None,
        "sums across": True,
        "a difference": False,
        "a sum at the end": False,
        "the moved map an output": False,
        "the moved map read twice": False,
        "a product an output": False,
        "a sum an output": False,
        "the map its own coefficients 00": False,
        "the map its own coefficients 11": True,
    },
    "DEPTHWISE_PAIR": {
        "the chain": True,
        "both clamped alike": True,
        "the second read by a table": True,
        "the first clamped": False,
        "the second clamped": False,
        "clamps that differ": False,
        "another stride": False,
        "other padding": False,
        "another kernel": False,
        "another dilation": False,
        "another map": False,
        "the first dead": False,
        "the second dead": False,
    },
    "MUL_DEPTHWISE": {
        **_SCALES,
        "a clamped gate": True,
        "a clamped convolution": True,
        "the gated maps an output": False,
        "the gated maps read twice": False,
    },
    "MUL_ADD": {
        **_SCALES,
        "a map": False,  # of many pixels
        "a clamped gate": True,
        "a clamped sum": True,
        "the residual first": True,
        "the map itself": True,
        "the coefficients": False,
        "twice itself": False,
        "a constant residual": False,
        "a residual of one pixel": False,
        "a residual of rank 3": False,
        "a difference": False,
        "the gated maps an output": False,
        "the gated maps read twice": False,
    },
    "PRODUCER_TABLE": {
        "the chain": True,
        "clamped": True,
        "a depthwise convolution": True,
        "FULLY_CONNECTED": True,
        "RELU": True,
        "RELU6": True,
        "QUANTIZE": True,
        "LOGISTIC": True,
        "two tables": False,
        "a RESHAPE between": False,
        "the producer an output": False,
        "a dead end": False,
    },
    "fold_pad": {
        "the chain": True,
        "a depthwise convolution": True,
        "two convolutions": True,
        "padding of its own": True,
        "a PAD of a PAD": True,
        "channels too": False,
        "a MAX_POOL_2D": False,
        "an AVERAGE_POOL_2D": False,
        "a convolution and a pool": False,
        "an output too": False,
    },
}


def draw(pattern: str, variant: str, sizes: Sizes, seed: int) -> Graph:
    """The graph of a variant of a pattern's chain, with everything else drawn from the seed."""
    if pattern == "MUL_ADD":  # is fused on large maps only
        sizes = replace(sizes, h=20 + sizes.h % 2, w=20 + sizes.w % 3)
    return _BUILDERS[pattern](Draft(np.random.default_rng(seed)), sizes, variant)


def prefixed(graph: Graph, prefix: str) -> Graph:
    """The same graph with a prefix before every name."""

    def named(op: Op) -> Op:
        inputs, outputs = (tuple(prefix + name for name in names) for names in (op.inputs, op.outputs))
        return replace(op, inputs=inputs, outputs=outputs)

    tensors = {prefix + name: replace(tensor, name=prefix + name) for name, tensor in graph.tensors.items()}
    inputs, outputs = (tuple(prefix + name for name in names) for names in (graph.inputs, graph.outputs))
    return verify_graph(Graph(graph.name, tensors, tuple(named(op) for op in graph.ops), inputs, outputs))


def joined(graphs: Sequence[Graph]) -> Graph:
    """Graphs without common names side by side in one."""
    tensors = {name: tensor for graph in graphs for name, tensor in graph.tensors.items()}
    inputs = tuple(name for graph in graphs for name in graph.inputs)
    outputs = tuple(name for graph in graphs for name in graph.outputs)
    return Graph("net", tensors, tuple(op for graph in graphs for op in graph.ops), inputs, outputs)


def one_library(graphs: Sequence[Graph]) -> CLibrary:
    """The C of graphs without common names: each optimised and planned for itself, their arenas one behind the other."""
    made = [schedule(run_passes(graph), DEFAULT_BUILD) for graph in graphs]
    offsets: dict[str, int] = {}
    buffer_of: dict[str, str] = {}
    calls: list[KernelCall] = []
    start = 0
    for each in made:
        check_plan(each.plan, each.graph, each.calls)
        scratch = {scratch_name(i): scratch_name(len(calls) + i) for i in range(len(each.calls))}
        offsets |= {scratch.get(name, name): start + offset for name, offset in each.plan.offsets.items()}
        buffer_of |= each.plan.lifetimes.buffer_of
        calls += each.calls
        start += -(-each.plan.arena_bytes // ARENA_ALIGN_BYTES) * ARENA_ALIGN_BYTES
    plan = MemoryPlan(start, offsets, Lifetimes((), buffer_of, ()), start)
    ops = tuple(op for each in made for op in each.ops)
    return emit(Schedule(joined([each.graph for each in made]), ops, tuple(calls), plan), DEFAULT_BUILD, "0" * 64)
