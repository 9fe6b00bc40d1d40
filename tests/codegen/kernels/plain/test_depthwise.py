"""Depthwise convolutions in plain C, with all that fuses with them, equal the reference bit for bit, also in place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.build import SIZE
from flynet_tiny.codegen.targets import Core

from ..conv_cases import Kind, Layer, layers, listed
from ..kernel_runner import run_on_arm, run_on_host
from ..test_depthwise_conv_2d import RELAXED
from .builds import BUILDS

KINDS = (Kind.DEPTHWISE, Kind.MDW_MAX, Kind.GATED, Kind.PAIR)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.value)
@pytest.mark.parametrize("core", BUILDS)
def test_listed_layers_equal_the_reference_on_the_host(tmp_path: Path, core: Core, kind: Kind) -> None:
    run_on_host([layer.case(BUILDS[core]) for layer in listed(kind)], tmp_path, sanitize=True)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.value)
@pytest.mark.parametrize("core", BUILDS)
def test_listed_layers_equal_the_reference_on_the_core(tmp_path: Path, core: Core, kind: Kind) -> None:
    run_on_arm([layer.case(BUILDS[core]) for layer in listed(kind)[::3]], tmp_path, core=core)


@pytest.mark.parametrize("core", BUILDS)
def test_functions_that_share_all_sizes_compute_the_same(tmp_path: Path, core: Core) -> None:
    build = replace(BUILDS[core], level=SIZE)
    run_on_host([layer.case(build) for kind in KINDS for layer in listed(kind)[::3]], tmp_path, sanitize=True, level=SIZE)
    run_on_arm([layer.case(build) for kind in KINDS for layer in listed(kind)[::6]], tmp_path / "arm", level=SIZE, core=core)


@pytest.mark.parametrize("core", BUILDS)
@settings(max_examples=2, deadline=None, suppress_health_check=RELAXED, phases=[Phase.generate], derandomize=True)
@given(drawn=st.lists(st.one_of(*map(layers, KINDS)), min_size=16, max_size=16))
def test_drawn_layers_equal_the_reference(tmp_path: Path, core: Core, drawn: list[Layer]) -> None:
    run_on_host([layer.case(BUILDS[core]) for layer in drawn], tmp_path, sanitize=True)


@pytest.mark.slow
@pytest.mark.parametrize("core", BUILDS)
@settings(max_examples=25, deadline=None, suppress_health_check=RELAXED, phases=[Phase.generate])
@given(drawn=st.lists(st.one_of(*map(layers, KINDS)), min_size=20, max_size=20))
def test_many_drawn_layers_equal_the_reference_on_both_machines(tmp_path: Path, core: Core, drawn: list[Layer]) -> None:
    cases = [layer.case(BUILDS[core]) for layer in drawn]
    run_on_host(cases, tmp_path / "host", sanitize=True)
    run_on_arm(cases, tmp_path / "arm", core=core)
