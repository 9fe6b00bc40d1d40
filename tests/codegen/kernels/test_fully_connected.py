"""FULLY_CONNECTED, which rounds once, equals the reference bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen import fixed_point as fp
from flynet_tiny.codegen import reference
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


def test_a_row_read_in_place_costs_a_quarter_more(tmp_path: Path) -> None:
    layer = Layer(Kind.FULLY_CONNECTED, 1, 1, 232, 40)
    counts = [
        run_on_arm([case], tmp_path / str(i))[case.name].instructions
        for i, case in enumerate((layer.case(), layer.case(IN_PLACE)))
    ]
    assert counts[0] < counts[1] < 1.28 * counts[0]


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
    monkeypatch.setattr(convolution, "fully_connected_multipliers", lambda step, graph: wide)
    with pytest.raises(UnsupportedOperators, match=r"in 2 of 4 channels \(the first is 1\).*1x1 CONV_2D"):
        select(graph.ops[0], graph, DEFAULT_BUILD)


def dense(scale: float, bias: list[int]) -> Sketch:
    """Outputs of scale 10 that add one input of scale 7 to a bias."""
    s = Sketch()
    s.act("x", (1, 1), 7.0, 0)
    s.act("y", (1, len(bias)), 10.0, 0)
    s.fully_connected("x", "y", len(bias))
    s.tensors["y_w"] = replace(s.tensors["y_w"], data=np.ones((len(bias), 1), np.int8), scales=(scale,))
    s.tensors["y_b"] = replace(s.tensors["y_b"], data=np.array(bias, np.int32))
    return s


def test_a_large_bias_rounds_as_in_double_precision() -> None:
    """Sums around a step that the nearest multiplier of 31 bits puts elsewhere."""
    scale = float(np.float32(2.0**-22.3))
    factor = fp.convolution_factor(7.0, scale, 10.0)
    nearest = fp.quantize_multiplier(factor)
    steps = np.ceil((np.arange(-120, 121) - 0.5) / factor).astype(np.int64)[:, np.newaxis] + np.arange(-3, 4)
    differs = fp.requantize_in_double(steps, factor) != fp.requantize_single_rounding(steps, nearest.multiplier, nearest.shift)
    sums = steps[differs & (np.abs(steps) < 1 << 30)].tolist()
    assert sums
    graph = read_tflite(dense(scale, sums).file(("x",), ("y",)))
    conv = convolution.convolution(graph.ops[0], graph)
    acc = conv.bias + np.arange(-128, 128)[:, np.newaxis] * conv.weights[:, 0]
    stored = np.clip(fp.requantize_single_rounding(acc, conv.multiplier, conv.shift) + conv.output_zero_point, -128, 127)
    for x, values in zip(range(-128, 128), stored, strict=True):
        expected = reference.run(graph, {"x": np.array([[x]], np.int8)})["y"][0]
        assert np.array_equal(values, expected), x


def test_a_factor_that_double_precision_rounds_to_both_sides_is_refused() -> None:
    """7 / 10 of 5 is 3.5 and goes to 4, of 45 is less than 31.5 and goes to 31: no integer multiplier does both."""
    graph = read_tflite(dense(1.0, [0]).file(("x",), ("y",)))
    with pytest.raises(UnsupportedOperators, match=r"in 1 of 1 channels \(the first is 0\) no integer multiplier"):
        select(graph.ops[0], graph, DEFAULT_BUILD)
