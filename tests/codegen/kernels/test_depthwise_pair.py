"""Two depthwise convolutions over one map in one kernel equal the reference bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .conv_cases import Kind, Layer, layers, listed
from .kernel_runner import run_on_arm, run_on_host

KIND = Kind.PAIR
# the failing case is named by the program; shrinking lists of layers would take an hour
RELAXED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.large_base_example, HealthCheck.data_too_large]


@pytest.mark.parametrize("sanitize", [False, True], ids=["plain", "sanitized"])
def test_listed_layers_equal_the_reference_on_the_host(tmp_path: Path, sanitize: bool) -> None:
    run_on_host([layer.case() for layer in listed(KIND)], tmp_path, sanitize)


def test_listed_layers_equal_the_reference_on_cortex_m4(tmp_path: Path) -> None:
    run_on_arm([layer.case() for layer in listed(KIND)], tmp_path)


@settings(max_examples=3, deadline=None, suppress_health_check=RELAXED, phases=[Phase.generate], derandomize=True)
@given(st.lists(layers(KIND), min_size=10, max_size=10))
def test_drawn_layers_equal_the_reference(tmp_path: Path, drawn: list[Layer]) -> None:
    run_on_host([layer.case() for layer in drawn], tmp_path, sanitize=True)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=RELAXED, phases=[Phase.generate])
@given(st.lists(layers(KIND), min_size=20, max_size=20))
def test_many_drawn_layers_equal_the_reference_on_both_machines(tmp_path: Path, drawn: list[Layer]) -> None:
    cases = [layer.case() for layer in drawn]
    run_on_host(cases, tmp_path / "host")
    run_on_arm(cases, tmp_path / "arm")
