"""SVDF equals the reference bit for bit, its state too: in lanes and in plain C, sums that wrap around included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.codegen.build import DEFAULT_BUILD, SIZE, Build, build_for, build_named
from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.kernels import select
from flynet_tiny.codegen.svdf import svdf_of
from flynet_tiny.codegen.targets import Core
from flynet_tiny.codegen.tflite_reader import read_tflite

from ...stateful_models import svdf
from .kernel_runner import KernelCase, case_of, run_on_arm, run_on_host

M3, M0 = build_named("stm32f103"), build_named("rp2040")
SIZES = [(3, 2, 1, 4), (13, 3, 2, 1), (8, 5, 1, 10), (1, 1, 3, 2)]


def graphs(gain: float = 1) -> list[Graph]:
    return [
        read_tflite(svdf(i, c_in=n, units=units, rank=rank, memory=memory, has_bias=i != 1, gain=gain))
        for i, (n, units, rank, memory) in enumerate(SIZES)
    ]


def cases(made: list[Graph], build: Build) -> list[KernelCase]:
    rng, found = np.random.default_rng(6), []
    for i, graph in enumerate(made):
        op = graph.ops[0]
        x = rng.integers(-128, 128, graph.tensor(op.inputs[0]).shape).astype(np.int8)
        state = rng.choice([-32768, 32767, 0, 12345], graph.tensor(op.inputs[1]).shape).astype(np.int16)
        values = {op.inputs[0]: x, op.inputs[1]: state}
        found.append(case_of(f"svdf {i}", op, graph, select(op, graph, build), values))
    return found


def test_in_lanes_on_both_machines(tmp_path: Path) -> None:
    made = cases(graphs(), DEFAULT_BUILD)
    assert all(case.call.parameters.stored == "int8" for case in made)
    run_on_host(made, tmp_path / "host", sanitize=True)
    run_on_arm(made, tmp_path / "arm")


def test_sums_wrap_around_in_these_cases() -> None:
    """Else the equality above would not show that they do so alike."""
    wraps = []
    for graph, case in zip(graphs(), cases(graphs(), DEFAULT_BUILD), strict=True):
        numbers = svdf_of(graph.ops[0], graph)
        state = case.outputs[graph.ops[0].outputs[1]].astype(np.int64).reshape(numbers.taps.shape)
        totals = (state * numbers.taps).reshape(len(numbers.bias), -1).sum(axis=1) + numbers.bias
        wraps.append(bool((np.abs(totals) > 1 << 31).any()))
    assert any(wraps)


def test_steep_multipliers_and_size(tmp_path: Path) -> None:
    """Newest values beyond int16, and a multiplier of 1 and more, which lanes do not have."""
    made = cases(graphs(gain=3000), build_for(None, SIZE))
    assert {case.call.parameters.stored for case in made} == {"int8"}
    assert any("EXACT" in str(getattr(case.call.parameters, "rounding", "")) for case in made)
    run_on_host(made, tmp_path, level=SIZE)


@pytest.mark.parametrize(("build", "core"), [(M3, Core.CORTEX_M3), (M0, Core.CORTEX_M0PLUS)])
def test_plain_c_on_its_core(tmp_path: Path, build: Build, core: Core) -> None:
    run_on_arm(cases(graphs(), build), tmp_path, core=core)
