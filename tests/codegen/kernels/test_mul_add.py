"""A channel scale and the addition of a residual in one kernel equal MUL and ADD bit for bit, also in place."""

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
from .elementwise_graphs import Rng, mul_add_graph
from .kernel_runner import run_on_host

UNIT = (1 / 256, -128)


def listed() -> list[Graph]:
    """One pixel, one channel, many pixels, both orders of the operands, coarse and fine sums, extreme zero points."""
    rng = np.random.default_rng(17)
    sizes = ((5, 5, 8), (1, 1, 1), (3, 3, 3), (24, 23, 6), (1, 40, 5))
    graphs = [mul_add_graph(rng, *size, is_swapped=i % 2 == 1) for i, size in enumerate(sizes)]
    for quants in (
        ((0.04, 7), UNIT, (0.03, -20), (0.05, 3), (0.06, -7)),
        ((0.04, -128), UNIT, (0.02, -128), (0.05, 127), (0.06, 127)),
        ((0.04, 0), UNIT, (0.02, 0), (0.02, 0), (0.04, 0)),
        ((0.04, 5), UNIT, (0.02, 9), (0.02, 0), (1e-7, 0)),
    ):
        graphs.append(mul_add_graph(rng, 6, 5, 4, quants=quants))
    return graphs


def make(h: int, w: int, c: int, is_swapped: bool) -> Callable[[Rng], Graph]:
    return lambda rng: mul_add_graph(rng, h, w, c, is_swapped)


residuals = st.builds(make, dimensions, dimensions, dimensions, st.booleans())


def test_listed_sums_equal_the_reference(tmp_path: Path) -> None:
    check_on_both_machines(listed(), tmp_path)


def test_both_ways_to_sum_occur() -> None:
    ways = {select(graph.ops[0], graph, DEFAULT_BUILD).parameters.sum.is_affine for graph in listed()}
    assert ways == {True, False}


@drawn(residuals)
def test_drawn_sums_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path)


@pytest.mark.slow
@drawn(residuals, examples=20, count=25)
def test_many_drawn_sums_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)
