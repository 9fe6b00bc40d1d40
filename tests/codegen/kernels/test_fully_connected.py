"""FULLY_CONNECTED, which rounds once, equals the reference bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.build import DEFAULT_BUILD
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
