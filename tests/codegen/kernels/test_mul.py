"""MUL equals the reference bit for bit: any broadcast, and a map times one coefficient a channel by lanes or by tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen.build import DEFAULT_BUILD
from flynet_tiny.codegen.ir import Graph, OpKind
from flynet_tiny.codegen.kernels import select

from .elementwise_cases import broadcast_shapes, cases_of, check_on_both_machines, dimensions, drawn
from .elementwise_graphs import Quant, Rng, Shape, binary_graph, random_quant, result_quant
from .kernel_runner import run_on_host

SIGMOID: Quant = (1 / 256, -128)
MUL = OpKind.MUL


def listed() -> list[Graph]:
    """Maps small and large, odd channels, products of one sign and of both, ties, multipliers above 1, clamps, constants."""
    graphs = []
    for (a, b, y), left, right in (
        (((0.031, -128), SIGMOID, (0.028, -128)), (1, 5, 5, 8), (1, 1, 1, 8)),
        (((0.031, 5), SIGMOID, (0.028, -9)), (1, 5, 5, 7), (1, 1, 1, 7)),
        (((0.031, 5), SIGMOID, (0.031, 127)), (1, 26, 27, 5), (1, 1, 1, 5)),
        (((0.031, -128), SIGMOID, (0.02, -128)), (1, 30, 31, 4), (1, 1, 1, 4)),
        (((0.031, 127), (0.01, 127), (0.02, -128)), (1, 1, 1, 6), (1, 3, 3, 6)),
        (((0.031, 1), SIGMOID, (0.03, 2)), (1, 1, 1, 260), (1, 2, 2, 260)),
        (((0.5, 0), (0.5, 0), (0.5, 0)), (1, 4, 4, 4), (1, 4, 4, 4)),
        (((0.5, -128), (0.5, 127), (2.0, 0)), (1, 9, 9, 5), (1, 1, 1, 5)),
        (((0.2, 3), (0.2, -3), (0.001, 0)), (1, 3, 4, 6), (1, 3, 4, 6)),
        (((0.2, 3), (0.2, -3), (0.0001, 0)), (1, 3, 4, 6), (6,)),
        (((0.2, 3), (0.2, -3), (1e-5, 0)), (1, 3, 4, 6), (6,)),
        (((0.001, 3), (0.001, -3), (100.0, 17)), (1, 3, 4, 6), (6,)),
        (((0.03, 3), (0.04, -3), (0.05, 0)), (2, 1, 3, 1, 2, 5), (1, 4, 1, 2, 1, 5)),
        (((0.03, 3), (0.04, -3), (0.05, 0)), (1, 7, 3, 5), (1, 1, 1, 1)),
    ):
        graphs.append(binary_graph(MUL, (left, right), (a, b), y))
    quants: tuple[Quant, Quant] = ((0.031, 5), (0.02, 9))
    graphs.append(binary_graph(MUL, ((1, 4, 5, 8), (8,)), quants, (0.04, 1), bounds=(1, 127)))
    graphs.append(binary_graph(MUL, ((1, 4, 5, 8),) * 2, quants, (0.04, 1), bounds=(-5, 60)))
    vector = np.arange(-128, 127, 23, dtype=np.int8)
    graphs.append(binary_graph(MUL, ((1, 3, 5, 12), (12,)), quants, (0.04, 1), constant=vector))
    graphs.append(binary_graph(MUL, ((12,), (1, 3, 5, 12)), quants, (0.04, 1), constant=vector, constant_first=True))
    graphs.append(binary_graph(MUL, ((1, 3, 5), (1,)), quants, (0.04, 1), constant=np.full(1, 9, np.int8)))
    return graphs


def make(shapes: tuple[Shape, Shape], bounds: tuple[int, int]) -> Callable[[Rng], Graph]:
    def graph(rng: Rng) -> Graph:
        a, b = random_quant(rng), SIGMOID if rng.random() < 0.3 else random_quant(rng)
        constant = rng.integers(-128, 128, shapes[1]).astype(np.int8) if rng.random() < 0.2 else None
        return binary_graph(MUL, shapes, (a, b), result_quant(rng, MUL, a, b), bounds, constant)

    return graph


@st.composite
def scaled_maps(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """A map and one coefficient a channel, in either order."""
    h, w, c = (draw(dimensions) for _ in range(3))
    h = 80 * h if draw(st.integers(0, 4)) == 0 else h
    pair = (1, h, w, c), (1, 1, 1, c)
    return pair if draw(st.booleans()) else pair[::-1]


all_bounds = st.sampled_from([(-128, 127), (-128, 127), (0, 127), (-30, 40)])
products = st.builds(make, broadcast_shapes() | scaled_maps() | scaled_maps(), all_bounds)


def test_listed_products_equal_the_reference(tmp_path: Path) -> None:
    check_on_both_machines(listed(), tmp_path)


@drawn(products)
def test_drawn_products_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path)


@pytest.mark.slow
@drawn(products, examples=20, count=25)
def test_many_drawn_products_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)


def test_products_that_are_never_negative_need_no_sign_correction() -> None:
    def needs_correction(zero_point: int) -> bool:
        graph = binary_graph(MUL, ((1, 5, 5, 8), (1, 1, 1, 8)), ((0.031, zero_point), SIGMOID), (0.03, zero_point))
        return bool(select(graph.ops[0], graph, DEFAULT_BUILD).parameters.requant.sign_correction)

    assert not needs_correction(-128)
    assert needs_correction(-100)


def test_a_large_map_takes_a_table_and_a_small_one_lanes() -> None:
    def has_table(size: int) -> bool:
        graph = binary_graph(MUL, ((1, size, size, 8), (1, 1, 1, 8)), ((0.031, 4), SIGMOID), (0.03, 4))
        return bool(select(graph.ops[0], graph, DEFAULT_BUILD).parameters.has_table)

    assert has_table(56)
    assert not has_table(7)
