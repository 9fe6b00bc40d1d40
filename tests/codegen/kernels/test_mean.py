"""MEAN over any axes equals the reference bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen.build import DEFAULT_BUILD
from flynet_tiny.codegen.ir import Graph, OpKind, ReduceAttrs
from flynet_tiny.codegen.kernels import select

from .elementwise_cases import cases_of, check_on_both_machines, drawn, shapes
from .elementwise_graphs import Quant, Rng, Shape, random_quant, unary_graph
from .kernel_runner import case_of, run_on_host


def mean_graph(shape: Shape, axes: Shape, source: Quant, result: Quant, keep_dims: bool = True) -> Graph:
    reduced = tuple(1 if i in axes else d for i, d in enumerate(shape) if keep_dims or i not in axes)
    return unary_graph(OpKind.MEAN, shape, source, reduced, result, ReduceAttrs(axes, keep_dims))


def listed() -> list[Graph]:
    """Spatial means of odd and even channels, sums that fill and pass an int16 lane, other axes, extremes."""
    source, result = (0.05, 3), (0.02, -20)
    return [
        mean_graph((1, 5, 7, 8), (1, 2), source, result),
        mean_graph((1, 3, 3, 3), (1, 2), source, result),
        mean_graph((1, 3, 3, 3), (1, 2), source, result, keep_dims=False),
        mean_graph((1, 1, 1, 5), (1, 2), source, result),
        mean_graph((1, 17, 15, 6), (1, 2), source, (0.05, 3)),
        mean_graph((1, 16, 16, 5), (1, 2), (0.05, 127), (0.05, 127)),
        mean_graph((1, 33, 31, 4), (1, 2), (0.05, -128), (0.01, -128)),
        mean_graph((1, 4, 5, 6), (3,), source, result),
        mean_graph((2, 3, 1100), (2,), source, result, keep_dims=False),
        mean_graph((1, 4, 5, 6), (1, 2, 3), source, result),
        mean_graph((1, 4, 5, 6), (1,), source, result),
        mean_graph((1, 4, 5, 6), (1, 3), source, result),
        mean_graph((3, 4, 2, 5, 2, 3), (0, 2, 4), source, result),
        mean_graph((3, 4, 2, 5, 2, 3), (1, 3, 5), source, result, keep_dims=False),
        mean_graph((1, 4, 5, 6), (1, 2), source, (0.0001, 7)),  # the multiplier is far above 1
        mean_graph((1, 4, 5, 6), (1, 2), source, (900.0, 7)),  # every mean is the zero point
    ]


def make(shape: Shape, keep_dims: bool) -> Callable[[Rng], Graph]:
    def graph(rng: Rng) -> Graph:
        count = int(rng.integers(1, len(shape) + 1))
        axes = tuple(sorted(int(a) for a in rng.choice(len(shape), count, replace=False)))
        keep = keep_dims or count == len(shape)
        return mean_graph(shape, axes, random_quant(rng), random_quant(rng), keep)

    return graph


means = st.builds(make, shapes(largest=9), st.booleans())


def test_listed_means_equal_the_reference(tmp_path: Path) -> None:
    check_on_both_machines(listed(), tmp_path)


@drawn(means)
def test_drawn_means_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path)


@pytest.mark.slow
@drawn(means, examples=20, count=25)
def test_many_drawn_means_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)


@pytest.mark.parametrize("value", [-128, 127])
def test_constant_maps_fill_the_lanes_without_overflow(tmp_path: Path, value: int) -> None:
    cases = []
    for i, (shape, axes) in enumerate((((1, 16, 17, 4), (1, 2)), ((1, 259, 1, 4), (1, 2)), ((2, 1, 1100), (2,)))):
        graph = mean_graph(shape, axes, (0.05, 0), (0.05, 0))
        op = graph.ops[0]
        cases.append(case_of(f"constant {i}", op, graph, select(op, graph, DEFAULT_BUILD), {"x": np.full(shape, value, np.int8)}))
    run_on_host(cases, tmp_path)
