"""REDUCE_MAX over any axes equals the reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen.ir import Graph, OpKind, ReduceAttrs

from .elementwise_cases import cases_of, check_on_both_machines, drawn, shapes
from .elementwise_graphs import Rng, Shape, unary_graph
from .kernel_runner import run_on_host


def max_graph(shape: Shape, axes: Shape, keep_dims: bool = True) -> Graph:
    reduced = tuple(1 if i in axes else d for i, d in enumerate(shape) if keep_dims or i not in axes)
    return unary_graph(OpKind.REDUCE_MAX, shape, (0.05, 3), reduced, (0.05, 3), ReduceAttrs(axes, keep_dims))


def listed() -> list[Graph]:
    """Heads (2 to 5), long rows, spatial maxima, other axes."""
    heads = [max_graph((1, 6, 5, h), (3,)) for h in (1, 2, 3, 4, 5)]
    return [
        *heads,
        max_graph((2, 3, 8), (2,), keep_dims=False),
        max_graph((2, 3, 23), (2,)),
        max_graph((1, 5, 7, 8), (1, 2)),
        max_graph((1, 3, 3, 3), (1, 2), keep_dims=False),
        max_graph((1, 1, 1, 5), (1, 2)),
        max_graph((1, 4, 5, 6), (1, 2, 3)),
        max_graph((1, 4, 5, 6), (1, 3)),
        max_graph((3, 4, 2, 5, 2, 3), (0, 2, 4)),
        max_graph((3, 4, 2, 5, 2, 3), (1, 3, 5), keep_dims=False),
    ]


def make(shape: Shape, keep_dims: bool) -> Callable[[Rng], Graph]:
    def graph(rng: Rng) -> Graph:
        count = int(rng.integers(1, len(shape) + 1))
        axes = tuple(sorted(int(a) for a in rng.choice(len(shape), count, replace=False)))
        return max_graph(shape, axes, keep_dims or count == len(shape))

    return graph


maxima = st.builds(make, shapes(largest=9), st.booleans())


def test_listed_maxima_equal_the_reference(tmp_path: Path) -> None:
    check_on_both_machines(listed(), tmp_path)


@drawn(maxima)
def test_drawn_maxima_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path)


@pytest.mark.slow
@drawn(maxima, examples=20, count=25)
def test_many_drawn_maxima_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)
