"""Convolution layers for the kernels' tests: listed edges, and a hypothesis strategy that draws any layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from hypothesis import strategies as st

from flynet_tiny.codegen.build import DEFAULT_BUILD, Build
from flynet_tiny.codegen.ir import Graph, OpKind, Window
from flynet_tiny.codegen.kernels import select

from . import conv_graphs
from .conv_graphs import Numbers
from .kernel_runner import KernelCase, case_of


class Kind(Enum):
    """Which operator a layer is."""

    CONV_2D = "conv"
    DEPTHWISE = "depthwise"
    MDW_MAX = "max"
    GATED = "gated depthwise"
    PAIR = "depthwise pair"
    FULLY_CONNECTED = "fc"


@dataclass(frozen=True)
class Layer:
    """A layer to test. `outputs` is c_out; for depthwise kinds the filters a channel. FULLY_CONNECTED has h rows of c inputs.

    groups  of a CONV_2D; `c` and `outputs` count the channels of one
    """

    kind: Kind
    h: int
    w: int
    c: int
    outputs: int
    window: Window = Window(1, 1)
    numbers: Numbers = Numbers()
    table: OpKind | None = None
    seed: int = 0
    groups: int = 1

    def graph(self) -> Graph:
        """The layer as a graph of one operator."""
        hwc = (self.h, self.w, self.c)
        if self.kind is Kind.FULLY_CONNECTED:
            graph = conv_graphs.fully_connected(self.seed, self.h, self.c, self.outputs, self.numbers)
        elif self.kind is Kind.CONV_2D:
            all_channels = (self.h, self.w, self.c * self.groups)
            outputs = self.outputs * self.groups
            graph = conv_graphs.conv_2d(self.seed, all_channels, outputs, self.window, self.numbers, self.groups)
        else:
            graph = conv_graphs.depthwise(self.seed, hwc, self.outputs, self.window, self.numbers)
        if self.kind is Kind.MDW_MAX:
            return conv_graphs.with_max(graph)
        if self.kind is Kind.PAIR:
            second = replace(self.numbers, output_zero_point=-128 if self.seed % 3 == 0 else None)
            return conv_graphs.with_second(
                graph, conv_graphs.depthwise(self.seed + 1, hwc, 1 + self.seed % 3, self.window, second)
            )
        if self.kind is Kind.GATED:
            return conv_graphs.with_gate(graph, self.seed)
        return conv_graphs.with_table(graph, self.table) if self.table is not None else graph

    def case(self, build: Build = DEFAULT_BUILD) -> KernelCase:
        """The layer's kernel with random input and the reference's output."""
        graph = self.graph()
        size = f"{self.kind.value} {self.h}x{self.w}x{self.c} to {self.outputs}, {self.groups} groups"
        name = f"{size}, {self.window}, {self.numbers}, {self.table}, {self.seed}"
        op = graph.ops[0]
        return case_of(name, op, graph, select(op, graph, build), conv_graphs.random_input(graph, self.seed))


def square(kernel: int, stride: int = 1, pad: int | None = None) -> Window:
    """A square window with the same padding all around; by default what keeps the size at stride 1."""
    p = (kernel - 1) // 2 if pad is None else pad
    return Window(kernel, kernel, stride, stride, 1, 1, p, p, p, p)


_ODD = Window(2, 5, 3, 2, 1, 1, pad_top=2, pad_bottom=0, pad_left=1, pad_right=4)
_DILATED = Window(3, 3, 1, 1, 2, 2, 2, 2, 2, 2)
_FAR_PADDING = Window(3, 3, 2, 1, 1, 1, 6, 5, 7, 4)

_ONLY_PADDING = Window(1, 1, 3, 3, 1, 1, pad_top=1, pad_left=1)
_MUCH_PADDING = Window(1, 1, 1, 3, 1, 1, pad_top=2100, pad_left=1)

NUMBERS = (
    Numbers(input_zero_point=-128, output_zero_point=127),
    Numbers(input_zero_point=127, output_zero_point=-128, activation=(-128, 127)),
    Numbers(output_steps=300000.0),
    Numbers(output_steps=300000.0, weights="extreme", per_channel=False),
    Numbers(weights="extreme", output_steps=6.0),
    Numbers(weights="lowest", spread=100.0),
    Numbers(weights="zero"),
    Numbers(per_channel=False, has_bias=False),
    Numbers(power_of_two=True, activation=(-60, 70)),
    Numbers(spread=1e6, activation=(-128, 50)),
    Numbers(output_zero_point=-20, activation=(-20, 127)),
    Numbers(output_steps=0.05, output_zero_point=5),
    Numbers(weights="rarely lowest"),
    Numbers(large_biases=True, tied_heads=False),
    Numbers(large_biases=True, weights="rarely lowest", activation=(-50, 127), output_zero_point=-50),
)


def listed(kind: Kind) -> list[Layer]:
    """Edges worth naming: sizes, windows, numbers, tables."""
    shapes, outputs = _SHAPES[kind], 5 if kind in (Kind.CONV_2D, Kind.FULLY_CONNECTED) else 2
    middle = Layer(kind, 5, 6, 6, outputs, Window(1, 1) if kind is Kind.FULLY_CONNECTED else square(3))
    layers = [*shapes, *(replace(middle, numbers=numbers) for numbers in NUMBERS)]
    if kind is Kind.MDW_MAX:
        layers += [replace(middle, numbers=replace(n, tied_heads=False)) for n in NUMBERS[:6]]
    elif kind not in (Kind.GATED, Kind.PAIR):
        tables = (OpKind.HARD_SWISH, OpKind.LOGISTIC, OpKind.RELU6, OpKind.QUANTIZE)
        layers += [replace(middle, table=table) for table in tables]
        layers.append(replace(middle, table=OpKind.HARD_SWISH, numbers=Numbers(activation=(-40, 50))))
    if kind is Kind.CONV_2D:
        grouped = replace(middle, groups=3, window=Window(1, 1))
        layers += [replace(grouped, numbers=numbers) for numbers in NUMBERS]
        layers.append(replace(grouped, table=OpKind.HARD_SWISH))
    return [replace(layer, seed=i) for i, layer in enumerate(layers)]


_SHAPES = {
    Kind.CONV_2D: (
        Layer(Kind.CONV_2D, 1, 1, 1, 1),
        Layer(Kind.CONV_2D, 1, 1, 7, 6),
        Layer(Kind.CONV_2D, 1, 2, 130, 9),
        Layer(Kind.CONV_2D, 1, 3, 3, 4),
        Layer(Kind.CONV_2D, 7, 7, 33, 10),
        Layer(Kind.CONV_2D, 6, 5, 41, 30),
        Layer(Kind.CONV_2D, 8, 8, 8, 8, square(3)),
        Layer(Kind.CONV_2D, 8, 8, 4, 3, square(5)),
        Layer(Kind.CONV_2D, 9, 7, 3, 8, square(3, stride=2)),
        Layer(Kind.CONV_2D, 9, 9, 3, 8, Window(3, 3, 2, 2, 1, 1, 0, 1, 0, 1)),
        Layer(Kind.CONV_2D, 6, 6, 18, 12, square(1, stride=2)),
        Layer(Kind.CONV_2D, 10, 7, 5, 6, square(3, stride=3)),
        Layer(Kind.CONV_2D, 7, 6, 5, 6, _DILATED),
        Layer(Kind.CONV_2D, 7, 6, 5, 7, _ODD),
        Layer(Kind.CONV_2D, 5, 4, 3, 7, _FAR_PADDING),
        Layer(Kind.CONV_2D, 1, 1, 3, 2, _ONLY_PADDING),
        Layer(Kind.CONV_2D, 2, 2, 6, 7, square(5, pad=4)),
        Layer(Kind.CONV_2D, 1, 19, 1, 1, Window(1, 7, pad_left=3, pad_right=3)),
        Layer(Kind.CONV_2D, 3, 19, 1, 4, Window(1, 7, pad_left=3, pad_right=3)),
        Layer(Kind.CONV_2D, 6, 6, 64, 5, square(3)),
        Layer(Kind.CONV_2D, 6, 9, 1, 4, square(3)),
        Layer(Kind.CONV_2D, 6, 9, 3, 4, Window(4, 1, pad_top=1, pad_bottom=2)),
        Layer(Kind.CONV_2D, 9, 9, 3, 2, square(5)),
        Layer(Kind.CONV_2D, 9, 9, 7, 2, Window(2, 3, 1, 2)),
        Layer(Kind.CONV_2D, 2, 3, 300, 3, square(3)),
        Layer(Kind.CONV_2D, 2, 3, 300, 4, Window(2, 3)),
        Layer(Kind.CONV_2D, 5, 5, 1100, 3),
        Layer(Kind.CONV_2D, 19, 1, 6, 5, Window(4, 1, 2, 1, pad_top=1, pad_bottom=2)),
        Layer(Kind.CONV_2D, 12, 1, 5, 6, square(3)),
        Layer(Kind.CONV_2D, 12, 1, 4, 3, Window(3, 3, 1, 1, 2, 2, 2, 2, 2, 2), groups=2),
        Layer(Kind.CONV_2D, 1, 1, 2, 1, groups=2),
        Layer(Kind.CONV_2D, 7, 7, 4, 12, groups=5),
        Layer(Kind.CONV_2D, 5, 3, 8, 3, groups=4),
        Layer(Kind.CONV_2D, 6, 6, 1, 2, square(3), groups=3),
        Layer(Kind.CONV_2D, 6, 7, 5, 4, square(3), groups=2),
        Layer(Kind.CONV_2D, 9, 7, 8, 5, Window(5, 1, 2, 1, pad_top=2), groups=3),
        Layer(Kind.CONV_2D, 7, 6, 3, 2, _DILATED, groups=4),
        Layer(Kind.CONV_2D, 7, 6, 6, 3, _ODD, groups=2),
        Layer(Kind.CONV_2D, 6, 6, 9, 2, square(1, stride=2), groups=3),
        Layer(Kind.CONV_2D, 2, 2, 3, 3, square(5, pad=4), groups=2),
    ),
    Kind.DEPTHWISE: (
        Layer(Kind.DEPTHWISE, 1, 1, 1, 1),
        Layer(Kind.DEPTHWISE, 1, 1, 3, 1, square(3)),
        Layer(Kind.DEPTHWISE, 8, 8, 8, 1, square(3)),
        Layer(Kind.DEPTHWISE, 7, 7, 5, 1, square(5)),
        Layer(Kind.DEPTHWISE, 14, 14, 4, 1, square(5)),
        Layer(Kind.DEPTHWISE, 9, 30, 3, 1, square(7)),
        Layer(Kind.DEPTHWISE, 9, 9, 3, 1, square(2, pad=1)),
        Layer(Kind.DEPTHWISE, 9, 11, 3, 2, square(4, stride=2)),
        Layer(Kind.DEPTHWISE, 3, 10, 3, 1, Window(2, 4)),
        Layer(Kind.DEPTHWISE, 3, 16, 3, 1, Window(2, 6)),
        Layer(Kind.DEPTHWISE, 12, 13, 3, 1, square(5, stride=2)),
        Layer(Kind.DEPTHWISE, 12, 13, 5, 3, square(3, stride=2)),
        Layer(Kind.DEPTHWISE, 12, 13, 2, 2, square(3, stride=3)),
        Layer(Kind.DEPTHWISE, 9, 10, 3, 4, square(1)),
        Layer(Kind.DEPTHWISE, 11, 9, 3, 2, square(1, stride=4)),
        Layer(Kind.DEPTHWISE, 7, 9, 3, 2, _DILATED),
        Layer(Kind.DEPTHWISE, 7, 9, 3, 2, Window(3, 2, 1, 1, 3, 1, 2, 1, 0, 1)),
        Layer(Kind.DEPTHWISE, 7, 9, 3, 1, _ODD),
        Layer(Kind.DEPTHWISE, 5, 4, 3, 1, _FAR_PADDING),
        Layer(Kind.DEPTHWISE, 1, 1, 3, 2, _ONLY_PADDING),
        Layer(Kind.DEPTHWISE, 1, 1, 2, 1, _MUCH_PADDING),
        Layer(Kind.DEPTHWISE, 3, 2, 3, 1, Window(2, 2, 1, 1, 1, 1, 9, 0, 9, 0)),
        Layer(Kind.DEPTHWISE, 1, 40, 1, 1, Window(1, 9, pad_left=4, pad_right=4)),
        Layer(Kind.DEPTHWISE, 3, 40, 700, 1, Window(1, 3)),
        Layer(Kind.DEPTHWISE, 80, 60, 2, 1, square(3)),
        Layer(Kind.DEPTHWISE, 80, 61, 2, 1, square(5, stride=2)),
        Layer(Kind.DEPTHWISE, 80, 61, 2, 2, square(3, stride=1)),
        Layer(Kind.DEPTHWISE, 90, 65, 1, 1, square(2, stride=3, pad=2)),
        Layer(Kind.DEPTHWISE, 5, 540, 1, 1, square(5)),
        Layer(Kind.DEPTHWISE, 24, 1, 6, 1, Window(5, 1)),
        Layer(Kind.DEPTHWISE, 15, 1, 8, 1, Window(15, 1)),
        Layer(Kind.DEPTHWISE, 2, 4, 12, 1, Window(2, 4)),
        Layer(Kind.DEPTHWISE, 3, 3, 4, 1, Window(3, 3), Numbers(weights="lowest"), OpKind.HARD_SWISH),
        Layer(Kind.DEPTHWISE, 5, 1, 16, 1, Window(5, 1), Numbers(output_steps=300000.0)),
        Layer(Kind.DEPTHWISE, 5, 1, 16, 1, Window(5, 1), Numbers(output_steps=0.05, activation=(-3, 60))),
        Layer(Kind.DEPTHWISE, 25, 1, 3, 2, Window(10, 1, 2, 1, pad_top=4, pad_bottom=5)),
        Layer(Kind.DEPTHWISE, 17, 1, 4, 1, square(3)),
        Layer(Kind.DEPTHWISE, 17, 1, 4, 1, _DILATED),
        Layer(Kind.DEPTHWISE, 17, 1, 4, 1, Window(3, 3, 1, 3, pad_top=1, pad_bottom=1, pad_left=3, pad_right=1)),
        Layer(Kind.DEPTHWISE, 3000, 1, 1, 1, Window(5, 1)),
    ),
    Kind.MDW_MAX: (
        Layer(Kind.MDW_MAX, 8, 8, 8, 3, square(3)),
        Layer(Kind.MDW_MAX, 7, 7, 5, 3, square(5)),
        Layer(Kind.MDW_MAX, 7, 7, 5, 1, square(3)),
        Layer(Kind.MDW_MAX, 9, 10, 3, 5, square(3)),
        Layer(Kind.MDW_MAX, 14, 14, 3, 2, square(7)),
        Layer(Kind.MDW_MAX, 9, 11, 3, 4, square(4, stride=2)),
        Layer(Kind.MDW_MAX, 3, 12, 3, 2, Window(2, 4)),
        Layer(Kind.MDW_MAX, 12, 13, 5, 3, square(3, stride=2)),
        Layer(Kind.MDW_MAX, 12, 13, 5, 3, square(5, stride=2)),
        Layer(Kind.MDW_MAX, 7, 9, 3, 3, _DILATED),
        Layer(Kind.MDW_MAX, 7, 9, 3, 2, _ODD),
        Layer(Kind.MDW_MAX, 5, 4, 3, 3, _FAR_PADDING),
        Layer(Kind.MDW_MAX, 1, 1, 3, 2, _ONLY_PADDING),
        Layer(Kind.MDW_MAX, 1, 1, 6, 3, square(3)),
        Layer(Kind.MDW_MAX, 80, 60, 2, 3, square(3)),
        Layer(Kind.MDW_MAX, 6, 5, 4, 3, square(3), Numbers(per_channel=False)),
    ),
    Kind.FULLY_CONNECTED: (
        Layer(Kind.FULLY_CONNECTED, 1, 1, 1, 1),
        Layer(Kind.FULLY_CONNECTED, 1, 1, 31, 70),
        Layer(Kind.FULLY_CONNECTED, 1, 1, 232, 41),
        Layer(Kind.FULLY_CONNECTED, 2, 1, 50, 3),
        Layer(Kind.FULLY_CONNECTED, 3, 1, 50, 30),
        Layer(Kind.FULLY_CONNECTED, 4, 1, 5, 2),
        Layer(Kind.FULLY_CONNECTED, 11, 1, 66, 20),
        Layer(Kind.FULLY_CONNECTED, 5, 1, 1030, 2),
        Layer(Kind.FULLY_CONNECTED, 1, 1, 4500, 2),
    ),
}
_SHAPES |= {k: tuple(replace(layer, kind=k) for layer in _SHAPES[Kind.DEPTHWISE]) for k in (Kind.GATED, Kind.PAIR)}


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Any window: kernels to 5 (or one of 7 in a row), strides to 3, dilation to 2, padding to 4 on each side alike or not."""
    kernel_h, kernel_w = draw(st.integers(1, 5)), draw(st.sampled_from((1, 2, 3, 4, 5, 7)))
    stride_h, stride_w = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    dilation_h, dilation_w = draw(st.sampled_from(((1, 1), (1, 1), (1, 1), (2, 2), (2, 1), (1, 2))))
    pads = draw(st.sampled_from(((0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 2, 2), (0, 1, 0, 1), (4, 3, 2, 1), (0, 4, 3, 0))))
    return Window(kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, *pads)


@st.composite
def numbers(draw: st.DrawFn) -> Numbers:
    """Any numbers: extremes of zero points and multipliers, multipliers above 1, clamps, ties."""
    return Numbers(
        output_steps=draw(st.sampled_from((40.0, 40.0, 0.3, 8.0, 300.0, 10000.0, 400000.0))),
        weights=draw(st.sampled_from(("random", "random", "rarely lowest", "extreme", "lowest", "zero"))),
        spread=draw(st.sampled_from((8.0, 1.5, 200.0))),
        per_channel=draw(st.booleans()),
        has_bias=draw(st.booleans()),
        input_zero_point=draw(st.sampled_from((None, None, -128, 127, 0))),
        output_zero_point=draw(st.sampled_from((None, None, -128, 127, 0))),
        activation=draw(st.sampled_from(((-128, 127), (-128, 127), (-128, 40), (-50, 127), (3, 90)))),
        power_of_two=draw(st.booleans()),
        tied_heads=draw(st.booleans()),
        large_biases=draw(st.sampled_from((False, False, False, True))),
    )


@st.composite
def layers(draw: st.DrawFn, kind: Kind) -> Layer:
    """Any layer of a kind."""
    table = (
        draw(st.sampled_from((None, None, OpKind.HARD_SWISH, OpKind.RELU)))
        if kind in (Kind.CONV_2D, Kind.DEPTHWISE, Kind.FULLY_CONNECTED)
        else None
    )
    common = {"numbers": draw(numbers()), "table": table, "seed": draw(st.integers(0, 1 << 20))}
    if kind is Kind.FULLY_CONNECTED:
        return Layer(kind, draw(st.integers(1, 9)), 1, draw(st.integers(1, 90)), draw(st.integers(1, 20)), **common)
    size = st.integers(1, 12)
    h, w, c = draw(size), draw(size), draw(st.integers(1, 9))
    if draw(st.booleans()):
        w = h
        c = h if draw(st.booleans()) else c
    window = draw(windows().filter(lambda win: min(win.output_hw(h, w)) >= 1))
    outputs = draw(st.integers(1, 9 if kind is Kind.CONV_2D else 4))
    if kind is Kind.CONV_2D and draw(st.booleans()):
        window, c = Window(1, 1), draw(st.integers(1, 60))
    groups = draw(st.sampled_from((1, 1, 2, 3, 5))) if kind is Kind.CONV_2D else 1
    return Layer(kind, h, w, c, outputs, window, **common, groups=groups)
