"""CONV_2D and FULLY_CONNECTED in plain C equal the reference bit for bit, on the host and as Cortex-M3 and M0+ code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.build import SIZE
from flynet_tiny.codegen.targets import Core

from ..conv_cases import Kind, Layer, layers, listed
from ..kernel_runner import run_on_arm, run_on_host
from ..test_conv_2d import RELAXED
from .builds import BUILDS

LISTED = [*listed(Kind.CONV_2D), *listed(Kind.FULLY_CONNECTED)]


@pytest.mark.parametrize("core", BUILDS)
def test_listed_layers_equal_the_reference_on_the_host(tmp_path: Path, core: Core) -> None:
    run_on_host([layer.case(BUILDS[core]) for layer in LISTED], tmp_path, sanitize=True)


@pytest.mark.parametrize("core", BUILDS)
def test_listed_layers_equal_the_reference_on_the_core(tmp_path: Path, core: Core) -> None:
    run_on_arm([layer.case(BUILDS[core]) for layer in LISTED[::4]], tmp_path, core=core)


def test_functions_that_share_all_sizes_compute_the_same(tmp_path: Path) -> None:
    build = replace(BUILDS[Core.CORTEX_M3], level=SIZE)
    run_on_host([layer.case(build) for layer in LISTED[::3]], tmp_path, level=SIZE)


@pytest.mark.slow
@pytest.mark.parametrize("core", BUILDS)
@settings(max_examples=25, deadline=None, suppress_health_check=RELAXED)
@given(drawn=st.lists(st.one_of(layers(Kind.CONV_2D), layers(Kind.FULLY_CONNECTED)), min_size=20, max_size=20))
def test_many_drawn_layers_equal_the_reference_on_both_machines(tmp_path: Path, core: Core, drawn: list[Layer]) -> None:
    cases = [layer.case(BUILDS[core]) for layer in drawn]
    run_on_host(cases, tmp_path / "host", sanitize=True)
    run_on_arm(cases, tmp_path / "arm", core=core)
