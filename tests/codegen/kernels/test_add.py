"""ADD and SUB equal the reference bit for bit: one affine step where it is exact, tables where it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen.build import DEFAULT_BUILD
from flynet_tiny.codegen.ir import Graph, OpKind
from flynet_tiny.codegen.kernels import select

from .elementwise_cases import broadcast_shapes, cases_of, check_on_both_machines, drawn
from .elementwise_graphs import Quant, Rng, Shape, binary_graph, random_quant, result_quant
from .kernel_runner import run_on_host

TIES: tuple[Quant, Quant, Quant] = ((0.5, 3), (0.25, -7), (1.0, 2))  # halves and quarters: rounding away from zero shows


def listed() -> list[Graph]:
    """Every shape of operands, both signs, ties, extreme zero points, saturation, clamps, constants."""
    add, sub = OpKind.ADD, OpKind.SUB
    plain: tuple[Quant, Quant, Quant] = ((0.0312, 3), (0.0471, -20), (0.0605, 5))
    high: tuple[Quant, Quant, Quant] = ((0.05, -128), (0.04, 127), (0.06, 127))
    graphs = []
    for kind, (a, b, y), left, right in (
        (add, plain, (1, 5, 6, 7), (1, 5, 6, 7)),
        (sub, plain, (1, 4, 4, 4), (1, 4, 4, 4)),
        (add, plain, (1, 5, 3, 17), (17,)),
        (sub, plain, (13,), (1, 2, 3, 13)),
        (add, plain, (1, 3, 3, 9), (1, 1, 1, 1)),
        (sub, plain, (2, 1, 3, 1, 2, 5), (1, 4, 1, 2, 1, 5)),
        (add, plain, (1,), (1,)),
        (add, TIES, (1, 7, 7, 5), (1, 7, 7, 5)),
        (sub, TIES, (1, 7, 7, 5), (5,)),
        (add, high, (1, 6, 6, 6), (1, 6, 6, 6)),
        (sub, high, (1, 6, 6, 6), (1, 6, 6, 6)),
        (add, ((0.9, 0), (0.001, 0), (0.002, -128)), (1, 40), (1, 40)),  # the multiplier is far above 1
        (add, ((0.02, 0), (0.02, 0), (1e-9, 0)), (1, 40), (1, 40)),  # beyond 32 bits: the exact form
    ):
        graphs.append(binary_graph(kind, (left, right), (a, b), y))
    graphs.append(binary_graph(add, ((1, 3, 5, 6),) * 2, plain[:2], plain[2], bounds=(5, 127)))
    graphs.append(binary_graph(sub, ((1, 3, 5, 6),) * 2, plain[:2], plain[2], bounds=(-20, 31)))
    vector = np.arange(-128, 127, 23, dtype=np.int8)
    for kind in (add, sub):
        for first in (False, True):
            shapes: tuple[Shape, Shape] = ((12,), (1, 3, 5, 12)) if first else ((1, 3, 5, 12), (12,))
            graphs.append(binary_graph(kind, shapes, plain[:2], plain[2], constant=vector, constant_first=first))
        graphs.append(binary_graph(kind, ((1, 3, 5), (1, 1, 1)), plain[:2], plain[2], constant=np.full((1, 1, 1), 9, np.int8)))
    return graphs


def make(kind: OpKind, shapes: tuple[Shape, Shape], bounds: tuple[int, int]) -> Callable[[Rng], Graph]:
    def graph(rng: Rng) -> Graph:
        a, b = random_quant(rng), random_quant(rng)
        constant = rng.integers(-128, 128, shapes[1]).astype(np.int8) if rng.random() < 0.2 else None
        return binary_graph(kind, shapes, (a, b), result_quant(rng, kind, a, b), bounds, constant)

    return graph


all_bounds = st.sampled_from([(-128, 127), (-128, 127), (0, 127), (-30, 40), (7, 7)])
additions = st.builds(make, st.sampled_from([OpKind.ADD, OpKind.SUB]), broadcast_shapes(), all_bounds)


def test_listed_sums_equal_the_reference(tmp_path: Path) -> None:
    check_on_both_machines(listed(), tmp_path)


@drawn(additions)
def test_drawn_sums_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path)


@pytest.mark.slow
@drawn(additions, examples=20, count=25)
def test_many_drawn_sums_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)


def test_ties_take_the_tables_and_ordinary_scales_the_affine_step() -> None:
    def template(quants: tuple[Quant, Quant, Quant]) -> str:
        graph = binary_graph(OpKind.ADD, ((1, 8), (1, 8)), quants[:2], quants[2])
        return select(graph.ops[0], graph, DEFAULT_BUILD).parameters.template

    assert template(((0.0312, 3), (0.0471, -20), (0.0605, 5))) == "add"
    assert template(TIES) == "add_tables"


@pytest.mark.parametrize("seed", range(8))
def test_the_affine_step_is_found_for_nine_in_ten_random_scales(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(10):
        scales = np.exp(rng.uniform(-5, 0, 2))
        y = (float(scales.sum() * np.exp(rng.uniform(-1, 0.3))), int(rng.integers(-128, 128)))
        a, b = ((float(s), int(rng.integers(-128, 128))) for s in scales)
        graph = binary_graph(OpKind.ADD, ((1, 8), (1, 8)), (a, b), y)
        found += select(graph.ops[0], graph, DEFAULT_BUILD).parameters.template == "add"
    assert found >= 9
