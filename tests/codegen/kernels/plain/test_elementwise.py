"""ADD, SUB, MUL and a scaled Max-out in plain C equal the reference bit for bit, also in place, and cost less than in lanes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen.ir import Graph, OpKind
from flynet_tiny.codegen.kernels import add, mul, mul_max
from flynet_tiny.codegen.targets import Core

from .. import test_add, test_mul, test_mul_max
from ..elementwise_cases import drawn
from ..elementwise_graphs import binary_graph, mul_max_graph
from ..kernel_runner import KernelCase, run_on_arm, run_on_host
from .builds import BUILDS, cases_of, check

LISTED = {"add": test_add.listed, "mul": test_mul.listed, "mul_max": test_mul_max.listed}


@pytest.mark.parametrize("operator", LISTED)
@pytest.mark.parametrize("core", BUILDS)
def test_listed_maps_equal_the_reference(tmp_path: Path, core: Core, operator: str) -> None:
    check(LISTED[operator](), core, tmp_path)


@pytest.mark.parametrize("core", BUILDS)
@drawn(st.one_of(test_add.additions, test_mul.products, test_mul_max.attentions))
def test_drawn_maps_equal_the_reference(tmp_path: Path, core: Core, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs, core), tmp_path, sanitize=True)


@pytest.mark.parametrize("core", BUILDS)
def test_no_map_takes_more_instructions_than_in_lanes(tmp_path: Path, core: Core) -> None:
    rng, map_, quants = np.random.default_rng(1), (1, 6, 6, 8), ((0.031, 3), (0.047, -20))
    graphs = {
        binary_graph(OpKind.ADD, (map_, map_), quants, (0.06, 5)): add.select,
        binary_graph(OpKind.MUL, (map_, map_), quants, (0.04, 1)): mul.select,
        binary_graph(OpKind.MUL, (map_, (1, 1, 1, 8)), quants, (0.04, 1)): mul.select,
        binary_graph(OpKind.MUL, ((1, 60, 60, 8), (1, 1, 1, 8)), quants, (0.04, 1)): mul.select,
        mul_max_graph(rng, 6, 6, 5, 3): mul_max.select,
        mul_max_graph(rng, 6, 6, 5, 4): mul_max.select,
    }
    cases, others = cases_of(list(graphs), core), []
    for case, (graph, select) in zip(cases, graphs.items(), strict=True):
        call = select(graph.ops[0], graph, BUILDS[core])
        others.append(KernelCase(f"{case.name} in lanes", call, case.inputs, case.outputs))
    cost = run_on_arm([*cases, *others], tmp_path, core=core)
    for case, other in zip(cases, others, strict=True):
        assert cost[case.name].instructions <= cost[other.name].instructions, case.name
