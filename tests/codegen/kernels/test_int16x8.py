"""Kernels on int16 activations equal the reference bit for bit: on the host, on a Cortex-M4 and on cores without DSP."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.codegen.build import DEFAULT_BUILD, SIZE, Build, build_named
from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.kernels import select
from flynet_tiny.codegen.targets import Core
from flynet_tiny.codegen.tflite_reader import read_tflite

from ...int16_models import CASES_16, weighted
from .kernel_runner import KernelCase, case_of, run_on_arm, run_on_host

PLAIN_BUILD = build_named("stm32f103")
ARMV6M_BUILD = build_named("rp2040")


def case(name: str, graph: Graph, build: Build, rng: np.random.Generator) -> KernelCase:
    """The first operator of a graph on noise of the whole range, a quarter of it at the ends."""
    op = graph.ops[0]
    inputs = {}
    for tensor in (graph.tensor(n) for n in op.inputs):
        if not tensor.is_constant:
            low, high = tensor.dtype.limits
            noise = rng.integers(low, high + 1, tensor.shape)
            ends = rng.choice([low, high], tensor.shape)
            inputs[tensor.name] = np.where(rng.random(tensor.shape) < 0.25, ends, noise).astype(tensor.dtype.value)
    return case_of(name, op, graph, select(op, graph, build), inputs)


def cases(build: Build, seeds: Iterable[int]) -> list[KernelCase]:
    rng = np.random.default_rng(1)
    drawn = [(f"{name} {seed}", read_tflite(CASES_16[name](seed))) for name in sorted(CASES_16) for seed in seeds]
    deep = {
        "many products": weighted("CONV_2D", 1, (1, 3, 3, 140), 3, (2, 2), large_bias=True),
        "many products of one row": weighted("FULLY_CONNECTED", 2, (1, 1031), 5),
        "the largest sums": weighted("FULLY_CONNECTED", 3, (1, 520), 2, weights=np.full((2, 520), -127)),
    }
    return [case(name, graph, build, rng) for name, graph in [*drawn, *((n, read_tflite(m)) for n, m in deep.items())]]


@pytest.mark.parametrize("build", [DEFAULT_BUILD, PLAIN_BUILD], ids=["dsp", "plain"])
def test_host_with_sanitizers(build: Build, tmp_path: Path) -> None:
    run_on_host(cases(build, range(6)), tmp_path, sanitize=True)


def test_merged_functions(tmp_path: Path) -> None:
    run_on_host(cases(DEFAULT_BUILD, range(6)), tmp_path, level=SIZE)


@pytest.mark.parametrize(
    ("build", "core"),
    [(DEFAULT_BUILD, Core.CORTEX_M4), (PLAIN_BUILD, Core.CORTEX_M3), (ARMV6M_BUILD, Core.CORTEX_M0PLUS)],
    ids=["m4", "m3", "m0plus"],
)
def test_emulated(build: Build, core: Core, tmp_path: Path) -> None:
    run_on_arm(cases(build, range(3)), tmp_path, core=core)
