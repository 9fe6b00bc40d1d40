"""SQUARED_DIFFERENCE equals the reference bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen.ir import Graph, OpKind

from .elementwise_cases import broadcast_shapes, cases_of, check_on_both_machines, drawn
from .elementwise_graphs import Rng, Shape, binary_graph, random_quant, result_quant
from .kernel_runner import run_on_host

KIND = OpKind.SQUARED_DIFFERENCE


def listed() -> list[Graph]:
    """Both operands the coarser one, extreme zero points, ties, an output scale just above LiteRT's bound, constants."""
    bound = 4 * 0.05**2 / (1 << 14)
    graphs = [
        binary_graph(KIND, (left, right), (a, b), y)
        for a, b, y, left, right in (
            ((0.05, 3), (0.02, -9), (0.2, -128), (1, 5, 6, 7), (1, 1, 1, 7)),
            ((0.02, 3), (0.05, -9), (0.2, -128), (1, 5, 6, 7), (1, 1, 1, 7)),
            ((0.05, -128), (0.05, 127), (0.5, -128), (1, 4, 4, 4), (1, 4, 4, 4)),
            ((0.05, 127), (0.05, -128), (0.001, 127), (4,), (1, 4, 4, 4)),
            ((0.5, 0), (0.25, 0), (2.0, 0), (2, 1, 3, 1, 2, 5), (1, 4, 1, 2, 1, 5)),
            ((0.05, 0), (0.05, 0), (1.001 * bound, -5), (1, 30), (1, 30)),
            ((0.05, 0), (0.05, 0), (1e4, -5), (1, 30), (1, 30)),
        )
    ]
    vector = np.arange(-128, 127, 23, dtype=np.int8)
    quants = ((0.05, 3), (0.02, -9))
    graphs.append(binary_graph(KIND, ((1, 3, 5, 12), (12,)), quants, (0.2, -128), constant=vector))
    graphs.append(binary_graph(KIND, ((12,), (1, 3, 5, 12)), quants, (0.2, -128), constant=vector, constant_first=True))
    graphs.append(binary_graph(KIND, ((1, 3, 5), (1,)), quants, (0.2, -128), constant=np.full(1, 9, np.int8)))
    return graphs


def make(shapes: tuple[Shape, Shape]) -> Callable[[Rng], Graph]:
    def graph(rng: Rng) -> Graph:
        a, b = random_quant(rng), random_quant(rng)
        constant = rng.integers(-128, 128, shapes[1]).astype(np.int8) if rng.random() < 0.2 else None
        return binary_graph(KIND, shapes, (a, b), result_quant(rng, KIND, a, b), constant=constant)

    return graph


squares = st.builds(make, broadcast_shapes(4))


def test_listed_squares_equal_the_reference(tmp_path: Path) -> None:
    check_on_both_machines(listed(), tmp_path)


@drawn(squares)
def test_drawn_squares_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path)


@pytest.mark.slow
@drawn(squares, examples=20, count=25)
def test_many_drawn_squares_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)
