"""AVERAGE_POOL_2D and MAX_POOL_2D equal the reference bit for bit, their output overlapping their input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen.ir import Graph, OpKind, PoolAttrs, Window

from .elementwise_cases import cases_of, check_on_both_machines, drawn
from .elementwise_graphs import Rng, unary_graph
from .kernel_runner import run_on_arm, run_on_host

KINDS = (OpKind.AVERAGE_POOL_2D, OpKind.MAX_POOL_2D)


def pool_graph(kind: OpKind, h: int, w: int, c: int, window: Window, bounds: tuple[int, int] = (-128, 127)) -> Graph:
    shape = (1, *window.output_hw(h, w), c)
    return unary_graph(kind, (1, h, w, c), (0.05, 3), shape, (0.05, 3), PoolAttrs(window, *bounds))


def listed() -> list[Graph]:
    """Padding on all sides, strides, windows as large as the map, clamps, one channel."""
    graphs = []
    for kind in KINDS:
        graphs += [
            pool_graph(kind, 6, 5, 8, Window(2, 2, 2, 2)),
            pool_graph(kind, 6, 6, 5, Window(2, 2, 2, 2)),
            pool_graph(kind, 5, 6, 11, Window(2, 2, 1, 1)),
            pool_graph(kind, 7, 6, 4, Window(2, 1, 3, 2)),
            pool_graph(kind, 8, 9, 7, Window(2, 4, 2, 1)),
            pool_graph(kind, 7, 9, 6, Window(3, 3, 2, 2)),
            pool_graph(kind, 7, 6, 5, Window(3, 3, 2, 2, 1, 1, 1, 1, 1, 1)),
            pool_graph(kind, 3, 3, 3, Window(3, 3, 1, 1, 1, 1, 2, 2, 2, 2)),
            pool_graph(kind, 5, 9, 1, Window(2, 4, 3, 1, 1, 1, 0, 1, 3, 0)),
            pool_graph(kind, 8, 7, 6, Window(8, 7)),
            pool_graph(kind, 1, 1, 4, Window(1, 1)),
            pool_graph(kind, 5, 5, 7, Window(3, 3, 1, 1, 1, 1, 1, 1, 1, 1), (-20, 35)),
            pool_graph(kind, 1, 300, 4, Window(1, 300)),
            pool_graph(kind, 4, 4, 16, Window(3, 3, 1, 1, 1, 1, 1, 1, 1, 1)),  # an output row too near would be overwritten
        ]
    return graphs


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int, Window]:
    """A map's size and a window that fits it; padding is smaller than the window."""
    kernel_h, kernel_w = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    pads = [draw(st.integers(0, k - 1)) for k in (kernel_h, kernel_h, kernel_w, kernel_w)]
    h = draw(st.integers(max(1, kernel_h - pads[0] - pads[1]), 9))
    w = draw(st.integers(max(1, kernel_w - pads[2] - pads[3]), 9))
    return h, w, Window(kernel_h, kernel_w, draw(st.integers(1, 3)), draw(st.integers(1, 3)), 1, 1, *pads)


def make(kind: OpKind, map_and_window: tuple[int, int, Window], c: int, bounds: tuple[int, int]) -> Callable[[Rng], Graph]:
    h, w, window = map_and_window
    return lambda rng: pool_graph(kind, h, w, c, window, bounds)


all_bounds = st.sampled_from([(-128, 127), (-128, 127), (0, 127), (-30, 40)])
pools = st.builds(make, st.sampled_from(KINDS), windows(), st.integers(1, 9), all_bounds)


@pytest.mark.parametrize(("kind", "most"), [(OpKind.AVERAGE_POOL_2D, 7.6), (OpKind.MAX_POOL_2D, 4.2)])
def test_windows_of_two_by_two_need_few_instructions(tmp_path: Path, kind: OpKind, most: float) -> None:
    """For each output; with loops over the window 20 and 9.8."""
    (case,) = cases_of([pool_graph(kind, 24, 24, 16, Window(2, 2, 2, 2))])
    assert run_on_arm([case], tmp_path)[case.name].instructions <= most * 12 * 12 * 16


def test_listed_pools_equal_the_reference(tmp_path: Path) -> None:
    check_on_both_machines(listed(), tmp_path)


@drawn(pools)
def test_drawn_pools_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path)


@pytest.mark.slow
@drawn(pools, examples=20, count=25)
def test_many_drawn_pools_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)
