"""Attention over the heads and Max-out in one kernel equal MUL and REDUCE_MAX bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen.build import DEFAULT_BUILD, RowBands
from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.kernels import select
from flynet_tiny.codegen.kernels.base import RowSchedule

from .elementwise_cases import cases_of, check_on_both_machines, dimensions, drawn
from .elementwise_graphs import Rng, mul_max_graph, random_case
from .kernel_runner import run_on_arm, run_on_host


def listed() -> list[Graph]:
    """One to five heads, one pixel, one channel, coefficients below zero too, ties, multipliers above 1."""
    rng = np.random.default_rng(13)
    sizes = (
        (5, 5, 8, 3),
        (3, 3, 3, 3),
        (1, 1, 1, 3),
        (1, 1, 2, 3),
        (2, 1, 1, 3),
        (4, 4, 5, 1),
        (4, 3, 5, 2),
        (3, 5, 4, 4),
        (3, 3, 3, 5),
    )
    graphs = [mul_max_graph(rng, *size) for size in sizes]
    for maps, coefficients, scaled in (
        ((0.04, 7), (1 / 256, -128), (0.03, -20)),
        ((0.04, -128), (1 / 256, -128), (0.03, -128)),
        ((0.04, 127), (0.02, 127), (0.03, 127)),
        ((0.5, 0), (0.5, 0), (0.5, 0)),
        ((0.5, -128), (0.5, 127), (0.001, 0)),
        ((0.001, 3), (0.001, -3), (100.0, 17)),
    ):
        graphs.append(mul_max_graph(rng, 6, 5, 4, 3, (maps, coefficients, scaled)))
        graphs.append(mul_max_graph(rng, 4, 5, 3, 2, (maps, coefficients, scaled)))
    return graphs


def make(h: int, w: int, c: int, heads: int) -> Callable[[Rng], Graph]:
    return lambda rng: mul_max_graph(rng, h, w, c, heads)


attentions = st.builds(make, dimensions, dimensions, dimensions, st.sampled_from([1, 2, 3, 3, 3, 4, 5]))


def test_listed_heads_equal_the_reference(tmp_path: Path) -> None:
    check_on_both_machines(listed(), tmp_path)


@drawn(attentions)
def test_drawn_heads_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path)


@pytest.mark.parametrize("bands", [2, 3, 8])
def test_row_bands_compute_the_same_with_the_output_behind_the_maps(tmp_path: Path, bands: int) -> None:
    rng = np.random.default_rng(bands)
    sizes = [(h, w, c, heads) for h, w in ((4, 3), (9, 7), (13, 11)) for c in (1, 5) for heads in (1, 2, 3, 4, 5, 6)]
    graphs = [*listed(), *(mul_max_graph(rng, *size) for size in sizes)]
    build = replace(DEFAULT_BUILD, bands=RowBands(bands))
    cases = [random_case(f"{graph.ops[0].kind_name} {i}", graph, rng, build) for i, graph in enumerate(graphs)]
    shared = [case for case in cases if case.call.sharing]
    assert len(shared) >= len(sizes) * 2 / 3
    run_on_host(cases, tmp_path / "host", sanitize=True)
    run_on_arm(shared[::2], tmp_path / "arm")


def test_the_output_lies_close_behind_the_maps() -> None:
    graph = mul_max_graph(np.random.default_rng(0), 56, 56, 8, 3)
    distances = []
    for bands in (2, 3, 4):
        (sharing,) = select(graph.ops[0], graph, replace(DEFAULT_BUILD, bands=RowBands(bands))).sharing.values()
        assert isinstance(sharing, RowSchedule)
        distances.append(sharing.min_distance_bytes / (56 * 56 * 8))
    assert distances == pytest.approx([1 / 4, 1 / 13, 1 / 40], rel=0.2)


@pytest.mark.slow
@drawn(attentions, examples=20, count=25)
def test_many_drawn_heads_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)
