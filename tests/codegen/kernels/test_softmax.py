"""SOFTMAX equals the reference bit for bit, for rows of one to a thousand elements."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen.build import DEFAULT_BUILD
from flynet_tiny.codegen.ir import Graph, OpKind, SoftmaxAttrs
from flynet_tiny.codegen.kernels import select

from .elementwise_cases import cases_of, check_on_both_machines, drawn, shapes
from .elementwise_graphs import Rng, Shape, random_quant, unary_graph
from .kernel_runner import case_of, run_on_host


def softmax_graph(shape: Shape, scale: float, beta: float = 1.0, zero_point: int = 3) -> Graph:
    return unary_graph(OpKind.SOFTMAX, shape, (scale, zero_point), shape, (1 / 256, -128), SoftmaxAttrs(beta))


def listed() -> list[Graph]:
    """Rows of heads and of classes; scales so small that all is equal and so large that one element takes all."""
    return [
        softmax_graph((1, 1, 29, 3), 0.05),
        softmax_graph((1, 1, 29, 2), 0.2),
        softmax_graph((5, 1), 0.1),
        softmax_graph((1, 10), 0.1, 0.5),
        softmax_graph((1, 1000), 0.05),
        softmax_graph((2, 1000), 1e-5),
        softmax_graph((3, 4, 5), 4.0, 2.0),
        softmax_graph((7,), 0.001),
    ]


def make(shape: Shape, beta: float) -> Callable[[Rng], Graph]:
    return lambda rng: softmax_graph(shape, random_quant(rng, 0.001, 2.0)[0], beta)


rows = st.builds(make, shapes(1, 4, 12), st.sampled_from([1.0, 0.5, 2.0]))


def test_listed_rows_equal_the_reference(tmp_path: Path) -> None:
    check_on_both_machines(listed(), tmp_path)


@drawn(rows)
def test_drawn_rows_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path)


@pytest.mark.slow
@drawn(rows, examples=20, count=25)
def test_many_drawn_rows_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)


def test_sixty_thousand_different_rows_equal_the_reference(tmp_path: Path) -> None:
    """So many that a reciprocal of fewer bits, or a sum rounded otherwise, shows."""
    graph = softmax_graph((60000, 3), 0.021)
    op = graph.ops[0]
    noise = np.random.default_rng(1).integers(-128, 128, (60000, 3)).astype(np.int8)
    run_on_host([case_of("rows", op, graph, select(op, graph, DEFAULT_BUILD), {"x": noise})], tmp_path)
