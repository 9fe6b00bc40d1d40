"""Dynamic Shift-Max in one kernel equals its operators bit for bit, also in its input's place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen.build import DEFAULT_BUILD
from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.kernels import select

from .elementwise_cases import cases_of, check_on_both_machines, dimensions, drawn
from .elementwise_graphs import Rng, shift_max_graph
from .kernel_runner import run_on_host


def listed() -> list[Graph]:
    """One pixel, one channel, pixels in several copies, tables, sums too coarse for an affine form."""
    rng = np.random.default_rng(23)
    sizes = ((5, 5, 8), (1, 1, 1), (12, 13, 5), (40, 40, 9), (7, 7, 600))
    graphs = [shift_max_graph(rng, *size, sums) for size in sizes for sums in (1, 2)]
    return [*graphs, *(shift_max_graph(rng, h, w, 4, sums, 1e-7) for h, w, sums in ((4, 5, 1), (4, 5, 2), (25, 24, 2)))]


def test_listed_shifts_equal_the_reference(tmp_path: Path) -> None:
    check_on_both_machines(listed(), tmp_path)


def test_all_ways_occur() -> None:
    calls = [select(graph.ops[0], graph, DEFAULT_BUILD) for graph in listed()]
    ways = {(call.parameters.has_tables, not call.parameters.sum0.is_affine) for call in calls}
    assert ways == {(False, False), (False, True), (True, False), (True, True)}
    assert any(call.parameters.blocks > 1 for call in calls)
    assert all(call.scratch_bytes <= 20_480 + 2_048 for call in calls)


def make(h: int, w: int, c: int, sums: int) -> Callable[[Rng], Graph]:
    return lambda rng: shift_max_graph(rng, h, w, c, sums)


shifts = st.builds(make, dimensions, dimensions, dimensions, st.sampled_from([1, 2]))


@drawn(shifts)
def test_drawn_shifts_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path)


@pytest.mark.slow
@drawn(shifts, examples=20, count=25)
def test_many_drawn_shifts_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)
