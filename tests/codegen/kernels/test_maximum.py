"""MAXIMUM equals the reference bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen.ir import Graph, OpKind

from .elementwise_cases import broadcast_shapes, cases_of, check_on_both_machines, drawn
from .elementwise_graphs import Rng, Shape, binary_graph, random_quant
from .kernel_runner import run_on_host


def graph_of_shapes(left: Shape, right: Shape, rng: Rng, is_constant: bool = False, constant_first: bool = False) -> Graph:
    quant = random_quant(rng)
    shape = left if constant_first else right
    constant = rng.integers(-128, 128, shape).astype(np.int8) if is_constant else None
    return binary_graph(OpKind.MAXIMUM, (left, right), (quant, quant), quant, constant=constant, constant_first=constant_first)


def listed() -> list[Graph]:
    rng = np.random.default_rng(7)
    return [
        graph_of_shapes((1, 5, 6, 7), (1, 5, 6, 7), rng),
        graph_of_shapes((1, 4, 4, 4), (4,), rng),
        graph_of_shapes((19,), (3, 2, 19), rng),
        graph_of_shapes((2, 1, 3, 1, 2, 5), (1, 4, 1, 2, 1, 5), rng),
        graph_of_shapes((1, 3, 3, 9), (1, 1, 1, 1), rng),
        graph_of_shapes((1,), (1,), rng),
        graph_of_shapes((1, 3, 5, 12), (12,), rng, is_constant=True),
        graph_of_shapes((12,), (1, 3, 5, 12), rng, is_constant=True, constant_first=True),
        graph_of_shapes((1, 3, 5, 12), (1,), rng, is_constant=True),
    ]


def make(shapes: tuple[Shape, Shape], is_constant: bool) -> Callable[[Rng], Graph]:
    return lambda rng: graph_of_shapes(*shapes, rng, is_constant)


maxima = st.builds(make, broadcast_shapes(), st.booleans())


def test_listed_maxima_equal_the_reference(tmp_path: Path) -> None:
    check_on_both_machines(listed(), tmp_path)


@drawn(maxima)
def test_drawn_maxima_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path)


@pytest.mark.slow
@drawn(maxima, examples=20, count=25)
def test_many_drawn_maxima_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)
