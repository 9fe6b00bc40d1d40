"""FULLY_CONNECTED, which rounds once, equals the reference bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.build import BALANCED, DEFAULT_BUILD, SIZE, Level
from flynet_tiny.codegen.kernels import convolution, select
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import UnsupportedOperators
from flynet_tiny.export.tflite_writer import TensorSpec

from ...small_models import Sketch
from .conv_cases import Kind, Layer, layers, listed
from .kernel_runner import run_on_arm, run_on_host

KIND = Kind.FULLY_CONNECTED
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


IN_PLACE = replace(DEFAULT_BUILD, in_place=True)


def rows_in_place() -> list[Layer]:
    rest = [Layer(Kind.FULLY_CONNECTED, 1, 1, c, outputs) for c in (1, 2, 3, 4, 5, 7, 10, 33, 131) for outputs in (1, 2, 5)]
    numbers = [replace(layer, h=1, c=37) for layer in listed(Kind.FULLY_CONNECTED)]
    return [replace(layer, seed=i) for i, layer in enumerate((*rest, *numbers))]


@pytest.mark.parametrize("level", [BALANCED, SIZE], ids=lambda level: level.name)
def test_rows_read_in_place_need_no_scratch_and_equal_the_reference(tmp_path: Path, level: Level) -> None:
    cases = [layer.case(replace(IN_PLACE, level=level)) for layer in rows_in_place()]
    assert all(case.call.scratch_bytes == 0 for case in cases)
    run_on_host(cases, tmp_path / "host", sanitize=True, level=level)
    run_on_arm(cases, tmp_path / "arm", level=level)


def test_a_row_read_in_place_costs_a_fifth_more(tmp_path: Path) -> None:
    layer = Layer(Kind.FULLY_CONNECTED, 1, 1, 232, 40)
    counts = [
        run_on_arm([case], tmp_path / str(i))[case.name].instructions
        for i, case in enumerate((layer.case(), layer.case(IN_PLACE)))
    ]
    assert counts[0] < counts[1] < 1.25 * counts[0]


def test_a_factor_wider_than_the_kernels_words_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than rounding beside LiteRT in rare places."""
    s = Sketch()
    s.act("x", (1, 8))
    s.act("y", (1, 4))
    s.tensors["w"] = TensorSpec("w", (4, 8), "int8", (0.01,), (0,), None, np.ones((4, 8), np.int8))
    s.op("FULLY_CONNECTED", ("x", "w"), "y", fusedActivationFunction="NONE")
    graph = read_tflite(s.file(("x",), ("y",)))
    assert select(graph.ops[0], graph, DEFAULT_BUILD).outputs == ("y",)
    wide = (np.array([1 << 30, 1 << 31, 1 << 30, 1 << 32], np.int64), np.zeros(4, np.int64))
    monkeypatch.setattr(convolution, "channel_multipliers", lambda step, graph, max_bits: wide)
    with pytest.raises(UnsupportedOperators, match=r"in 2 of 4 channels \(the first is 1\).*1x1 CONV_2D"):
        select(graph.ops[0], graph, DEFAULT_BUILD)
