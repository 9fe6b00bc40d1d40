"""Activations equal the reference for every int8 value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen.activations import ACTIVATIONS, UNIT_OUTPUT
from flynet_tiny.codegen.build import DEFAULT_BUILD
from flynet_tiny.codegen.ir import ACTIVATION_KINDS, ActivationAttrs, Graph, NoAttrs, OpKind
from flynet_tiny.codegen.kernels import select

from ...one_op_models import random_parameters
from .elementwise_cases import cases_of, check_on_both_machines, drawn, shapes
from .elementwise_graphs import Quant, Rng, Shape, random_quant, unary_graph
from .kernel_runner import case_of, run_on_host


def graph_of_kind(kind: OpKind, shape: Shape, source: Quant, result: Quant) -> Graph:
    activation = ACTIVATIONS[kind.value]
    drawn = random_parameters(kind.value, np.random.default_rng(shape))
    attrs = ActivationAttrs(activation.values(drawn)) if drawn else NoAttrs()
    return unary_graph(kind, shape, source, shape, UNIT_OUTPUT if activation.unit_output else result, attrs)


def make(kind: OpKind, shape: Shape) -> Callable[[Rng], Graph]:
    def graph(rng: Rng) -> Graph:
        source = random_quant(rng, 0.005, 0.3)
        scale = source[0] * float(np.exp(rng.uniform(-1.5, 1.5)))
        return graph_of_kind(kind, shape, source, (scale, random_quant(rng)[1]))

    return graph


activations = st.builds(make, st.sampled_from(ACTIVATION_KINDS), shapes())


def test_every_value_of_every_kind_equals_the_reference(tmp_path: Path) -> None:
    cases = []
    for kind in ACTIVATION_KINDS:
        for zero_point in (-128, -3, 127):
            graph = graph_of_kind(kind, (1, 16, 16, 1), (0.05, zero_point), (0.04, -zero_point - 1))
            op = graph.ops[0]
            every = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 16, 1)
            cases.append(case_of(f"{kind.value} {zero_point}", op, graph, select(op, graph, DEFAULT_BUILD), {"x": every}))
    run_on_host(cases, tmp_path)


def test_listed_shapes_equal_the_reference(tmp_path: Path) -> None:
    sizes = ((1,), (3,), (7,), (8,), (15,), (1, 5, 5, 5), (2, 3, 4, 2, 2, 3))
    check_on_both_machines([graph_of_kind(OpKind.HARD_SWISH, s, (0.05, 3), (0.04, -100)) for s in sizes], tmp_path)


@pytest.mark.slow
@drawn(activations, examples=20, count=25)
def test_many_drawn_activations_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)


@drawn(activations)
def test_drawn_activations_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path)
