"""Builds of the plain C kernels, and what runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flynet_tiny.codegen.build import ARMV6M, BALANCED, CORTEX_M0PLUS, CORTEX_M3, DEFAULT_BUILD, PLAIN, SIZE, Build, Level
from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.targets import Core

from ..elementwise_graphs import random_case
from ..kernel_runner import KernelCase, run_on_arm, run_on_host

M3_BUILD: Build = replace(DEFAULT_BUILD, isa=PLAIN, costs=CORTEX_M3)
M0PLUS_BUILD: Build = replace(DEFAULT_BUILD, isa=ARMV6M, costs=CORTEX_M0PLUS)
BUILDS = {Core.CORTEX_M3: M3_BUILD, Core.CORTEX_M0PLUS: M0PLUS_BUILD}


def cases_of(graphs: Sequence[Graph], core: Core, level: Level = BALANCED) -> list[KernelCase]:
    """Each graph's operator on random inputs, as plain C."""
    rng = np.random.default_rng(0)
    build = replace(BUILDS[core], level=level)
    return [random_case(f"{graph.ops[0].kind_name} {i}", graph, rng, build) for i, graph in enumerate(graphs)]


def check(graphs: Sequence[Graph], core: Core, folder: Path) -> None:
    """Sanitized on the host and on the core, in functions of fixed sizes and in those of most run-time sizes."""
    run_on_host(cases_of(graphs, core), folder / "balanced", sanitize=True)
    run_on_host(cases_of(graphs, core, SIZE), folder / "size", sanitize=True, level=SIZE)
    run_on_arm(cases_of(graphs, core), folder / "arm", core=core)
