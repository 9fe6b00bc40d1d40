"""DEPTHWISE_CONV_2D with any number of filters a channel equals the reference bit for bit, also in place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.build import BALANCED, SIZE, SPEED, Level, build_for
from flynet_tiny.codegen.emit import template_environment
from flynet_tiny.codegen.functions import OperandTypes, layer_calls
from flynet_tiny.codegen.own_functions import with_own_functions

from .conv_cases import Kind, Layer, layers, listed, square
from .kernel_runner import INSTRUCTIONS_PER_BYTE, run_on_arm, run_on_host

KIND = Kind.DEPTHWISE
# the failing case is named by the program; shrinking lists of layers would take an hour
RELAXED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.large_base_example, HealthCheck.data_too_large]


@pytest.mark.parametrize("sanitize", [False, True], ids=["plain", "sanitized"])
def test_listed_layers_equal_the_reference_on_the_host(tmp_path: Path, sanitize: bool) -> None:
    run_on_host([layer.case() for layer in listed(KIND)], tmp_path, sanitize)


def test_listed_layers_equal_the_reference_on_cortex_m4(tmp_path: Path) -> None:
    run_on_arm([layer.case() for layer in listed(KIND)], tmp_path)


def functions_of(layers: list[Layer], level: Level) -> int:
    """How many C functions the layers' kernels are."""
    calls = [layer.case(build_for(None, level)).call for layer in layers]
    types = [OperandTypes(("int8",), ("int8",))] * len(calls)
    made = with_own_functions(calls, level, INSTRUCTIONS_PER_BYTE)
    return len({layer.function for layer in layer_calls(made, types, level, "", template_environment())})


def test_layers_of_one_window_and_width_share_a_function_unless_that_saves_more_than_its_bytes_are_worth() -> None:
    small = [Layer(KIND, h, 14, c, filters, square(5)) for h, c, filters in ((14, 8, 1), (14, 24, 1), (9, 5, 1))]
    large = [Layer(KIND, 14, 14, c, 3, square(5)) for c in (96, 112)]
    assert functions_of(small, SPEED) == 3
    assert functions_of(small, BALANCED) == functions_of(small, SIZE) == 1
    assert functions_of(large, BALANCED) == 2
    assert functions_of(large, SIZE) == 1


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
