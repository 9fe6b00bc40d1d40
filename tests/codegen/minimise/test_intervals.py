from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.ir import Graph, Window
from flynet_tiny.codegen.minimise.intervals import graph_bounds, taps_on_map
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import UnsupportedOperators
from flynet_tiny.verify.inputs import extreme_inputs

from ... import one_op_models
from ...fuzz.drawn_graphs import draw
from ...small_models import Sketch
from .dead_channels import set_channel


def require_inside(graph: Graph, seed: int) -> None:
    """Every value that some inputs give lies in its channel's bounds."""
    bounds = graph_bounds(graph)
    for named in extreme_inputs(graph, 2, seed):
        for name, values in reference.run(graph, named.values).items():
            low, high = bounds[name].of(values.shape[-1] if values.ndim else 1)
            assert (low <= values).all(), name
            assert (values <= high).all(), name


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1 << 31))
def test_no_value_is_outside_its_bounds(seed: int) -> None:
    try:
        graph = read_tflite(draw(seed, dead_channels=True))
    except UnsupportedOperators:
        return
    require_inside(graph, seed)


@pytest.mark.parametrize("kind", one_op_models.CASES)
def test_bounds_of_each_operator_hold(kind: str) -> None:
    for seed in range(4):
        require_inside(read_tflite(one_op_models.CASES[kind](seed)), seed)


SMALL = st.integers(1, 4)
PADDING = st.integers(0, 6)


@given(st.integers(1, 12), SMALL, SMALL, SMALL, PADDING, PADDING, st.booleans())
def test_kinds_of_positions_are_all_that_there_are(
    size: int, kernel: int, stride: int, dilation: int, before: int, after: int, across: bool
) -> None:
    if size + before + after < (kernel - 1) * dilation + 1:
        return
    sizes = {"kernel_h": kernel, "stride_h": stride, "dilation_h": dilation, "pad_top": before, "pad_bottom": after}
    other = {"kernel_w": kernel, "stride_w": stride, "dilation_w": dilation, "pad_left": before, "pad_right": after}
    window = Window(**{"kernel_h": 1, "kernel_w": 1} | (other if across else sizes))
    count = (size + before + after - (kernel - 1) * dilation - 1) // stride + 1
    wanted = {tuple(0 <= y * stride - before + k * dilation < size for k in range(kernel)) for y in range(count)}
    assert {tuple(row) for row in taps_on_map(size, window, int(across)).tolist()} == wanted


def test_bounds_of_a_convolution_are_reached_inside_and_at_the_border() -> None:
    """A 3x3 SAME window over a map that is 3 high and 1 wide: sums of one column, whole or without an end."""
    s = Sketch()
    s.act("x", (1, 3, 1, 1), 0.05, -1)
    s.act("y", (1, 3, 1, 1), 0.05, 0)
    s.conv("x", "y", 1, 3, "SAME")
    set_channel(s, "y", 0, bias=10, weight=2)
    bounds = graph_bounds(read_tflite(s.file(("x",), ("y",))))["y"]
    assert bounds.accumulators is not None
    assert [int(part[0]) for part in bounds.accumulators] == [3 * 2 * -127 + 10, 3 * 2 * 128 + 10]


def test_a_constant_that_meets_the_border_is_no_constant_behind_it() -> None:
    """The same weights over the same value everywhere: inside nine products, in a corner four."""
    s = Sketch()
    s.act("x", (1, 5, 5, 1))
    s.act("a", (1, 5, 5, 1), 0.01, 0)
    s.conv("x", "a", 1)
    set_channel(s, "a", 0, bias=1000)
    s.act("y", (1, 5, 5, 1), 0.05, 0)
    s.conv("a", "y", 1, 3, "SAME")
    set_channel(s, "y", 0, bias=0, weight=5)
    graph = read_tflite(s.file(("x",), ("y",)))
    bounds = graph_bounds(graph)
    (value,) = set(bounds["a"].low.tolist())
    assert value == bounds["a"].high[0] != 0
    sums = bounds["y"].accumulators
    assert sums is not None
    assert sorted((int(sums[0][0]), int(sums[1][0]))) == sorted((4 * 5 * value, 9 * 5 * value))


def test_padding_is_a_value_of_each_channel() -> None:
    s = Sketch()
    s.act("x", (1, 2, 2, 1))
    s.act("a", (1, 2, 2, 2), 0.01, -7)
    s.conv("x", "a", 2)
    for channel, bias in enumerate((500_000, -500_000)):
        set_channel(s, "a", channel, bias)
    s.op("PAD", ("a", s.const("pads", [[0, 0], [1, 0], [0, 0], [0, 0]])), s.like("y", "a", (1, 3, 2, 2)))
    bounds = graph_bounds(read_tflite(s.file(("x",), ("y",))))["y"]
    assert (bounds.low.tolist(), bounds.high.tolist()) == ([-7, -128], [127, -7])
