"""An LSTM equals the reference bit for bit: in lanes, packed and wide, and in plain C; its functions on all of int16."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from flynet_tiny.codegen.build import DEFAULT_BUILD, SIZE, Build, build_for, build_named
from flynet_tiny.codegen.fixed_point_16 import sigmoid_16, tanh_16
from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.kernels import select
from flynet_tiny.codegen.kernels.lstm import UnidirectionalSequenceLstm, _exponentials
from flynet_tiny.codegen.targets import Core
from flynet_tiny.codegen.tflite_reader import read_tflite

from ...stateful_models import LSTM_FORMS, lstm, lstm_form
from .kernel_runner import KernelCase, case_of, intrinsics, run_on_arm, run_on_host, run_program_on_arm, run_program_on_host

SPEED, MEMORY = build_named(level="speed"), build_named(level="memory")
M3, M0 = build_named("stm32f103"), build_named("rp2040")
SHAPES = [(2, 5, 3), (7, 33, 20), (1, 3, 4), (9, 1, 1)]


def graphs(change: Callable[[Graph], Graph] = lambda graph: graph) -> list[Graph]:
    """Of all shapes and cell scales, with multipliers below 1/2."""
    shapes = enumerate(SHAPES)
    return [change(read_tflite(lstm(i, steps=t, c_in=n, cells=m, exponent=-15 + 2 * i, gain=0.5))) for i, (t, n, m) in shapes]


def cases(made: list[Graph], build: Build) -> list[KernelCase]:
    rng = np.random.default_rng(5)
    found = []
    for i, graph in enumerate(made):
        op = graph.ops[0]
        values = {}
        for name in op.inputs[:3]:
            limits = np.iinfo(graph.tensor(name).dtype.value)
            values[name] = rng.integers(limits.min, limits.max + 1, graph.tensor(name).shape).astype(limits.dtype)
        found.append(case_of(f"lstm {i}", op, graph, select(op, graph, build), values))
    return found


def parameters(case: KernelCase) -> UnidirectionalSequenceLstm:
    assert isinstance(case.call.parameters, UnidirectionalSequenceLstm)
    return case.call.parameters


def with_constants(change: Callable[[str, npt.NDArray[np.integer]], None]) -> Callable[[Graph], Graph]:
    """The graph with weights and biases that `change` has written into."""

    def changed(graph: Graph) -> Graph:
        tensors = dict(graph.tensors)
        for place, name in enumerate(graph.ops[0].inputs[3:]):
            data = tensors[name].constant().copy()
            change("bias" if place >= 8 else "weights", data)
            tensors[name] = replace(tensors[name], data=data)
        return replace(graph, tensors=tensors)

    return changed


def one_minus_128(what: str, data: npt.NDArray[np.integer]) -> None:
    if what == "weights" and len(data) > 1:
        data[:2, 0] = -3, -128


def large_bias(what: str, data: npt.NDArray[np.integer]) -> None:
    if what == "bias":
        data[0] = 1 << 23


def huge_bias(what: str, data: npt.NDArray[np.integer]) -> None:
    if what == "bias":
        data[0] = -(1 << 30) - 5


def test_in_lanes_on_both_machines(tmp_path: Path) -> None:
    made = cases(graphs(), DEFAULT_BUILD)
    assert all(parameters(case).in_lanes and parameters(case).is_packed for case in made)
    assert {parameters(case).vectors for case in made} == {1, 2, 4}
    assert {parameters(case).fed.rows for case in made} == {2, 4}
    run_on_host(made, tmp_path / "host", sanitize=True)
    run_on_arm(made, tmp_path / "arm")


@pytest.mark.parametrize("build", [MEMORY, build_for(None, SIZE)], ids=lambda build: build.level.name)
def test_one_step_at_a_time(tmp_path: Path, build: Build) -> None:
    made = cases(graphs(), build)
    assert all(parameters(case).vectors == 1 for case in made)
    run_on_host(made, tmp_path, level=build.level)


@pytest.mark.parametrize("change", [one_minus_128, large_bias])
def test_rows_that_cannot_share_words_are_wide(tmp_path: Path, change: Callable[[str, npt.NDArray[np.integer]], None]) -> None:
    made = cases(graphs(with_constants(change))[:3], SPEED)
    assert all(parameters(case).in_lanes and not parameters(case).is_packed for case in made)
    assert {case.call.parameters.stored for case in made} == {"int16"}
    run_on_host(made, tmp_path / "host", sanitize=True)
    run_on_arm(made, tmp_path / "arm")


def test_sums_of_more_than_30_bits_are_rescaled_in_64(tmp_path: Path) -> None:
    for build in (DEFAULT_BUILD, M0):
        made = cases(graphs(with_constants(huge_bias))[:2], build)
        assert all(not parameters(case).in_lanes and parameters(case).rounding == "FT_PLAIN_EXACT" for case in made)
        run_on_host(made, tmp_path / build.target, sanitize=True)


@pytest.mark.parametrize(("build", "core", "rounding"), [(M3, Core.CORTEX_M3, "AWAY"), (M0, Core.CORTEX_M0PLUS, "AWAY_3")])
def test_plain_c_on_its_core(tmp_path: Path, build: Build, core: Core, rounding: str) -> None:
    made = cases(graphs()[:2], build)
    assert {parameters(case).rounding for case in made} == {f"FT_PLAIN_{rounding}"}
    run_on_host(made, tmp_path / "host")
    run_on_arm(made, tmp_path / "arm", core=core)


def test_every_form(tmp_path: Path) -> None:
    """Without an input gate, with peepholes, projections, their bias and clip, layer normalization."""
    made = [read_tflite(lstm_form(seed)) for seed in range(len(LSTM_FORMS))]
    in_lanes = [read_tflite(lstm(i, cells=6, c_in=5, form=form, units=6, gain=0.1)) for i, form in enumerate(LSTM_FORMS)]
    found = cases(in_lanes, DEFAULT_BUILD)
    assert sum(parameters(case).in_lanes for case in found) > len(found) / 2
    run_on_host(found, tmp_path / "host", sanitize=True)
    run_on_arm(found, tmp_path / "arm")
    run_on_host(cases(made, M0), tmp_path / "plain")


def test_lanes_save_most_of_the_instructions(tmp_path: Path) -> None:
    graph = read_tflite(lstm(1, steps=8, c_in=28, cells=20, exponent=-12, gain=0.5))
    counts = [run_on_arm(cases([graph], build), tmp_path / build.target)["lstm 0"].instructions for build in (DEFAULT_BUILD, M3)]
    assert counts[0] < 0.5 * counts[1]
    assert counts[0] < 3.0 * 8 * 4 * 20 * (28 + 20)


FUNCTIONS = """
#include "board.h"
@INTRINSICS@
static const int16_t table[] = { @TABLE@ };
static ft_half values[65536];
static void report(void) {
  uint32_t hash = 2166136261u;
  for (int32_t i = 0; i < 65536; ++i) {
    hash = (hash ^ (uint16_t)values[i]) * 16777619u;
  }
  say_number((int32_t)hash);
  say("\\n");
}
static void fill(void) {
  for (int32_t i = 0; i < 65536; ++i) {
    values[i] = (int16_t)(i - 32768);
  }
}
@RUNS@
static int run_all(void) {
@CALLS@
  return 0;
}
START(run_all())
"""


def hashed(values: npt.NDArray[np.int64]) -> int:
    found = 2166136261
    for value in values.tolist():
        found = (found ^ (value & 0xFFFF)) * 16777619 & 0xFFFFFFFF
    return found


def test_sigmoid_and_tanh_of_every_int16(tmp_path: Path) -> None:
    """With the table and without, in lanes and in plain C, for all integer bits that cell states can have."""
    every = np.arange(-(1 << 15), 1 << 15)
    runs, expected = [], []
    for bits in range(7):
        for name, of in (("sigmoid", sigmoid_16), ("tanh", tanh_16)):
            wanted = hashed(of(every, bits))
            plain = f"for (int32_t i = 0; i < 65536; ++i) {{ values[i] = (int16_t)ft_{name}_16(values[i], {bits}); }}"
            argument = "values, " * (1 if name == "sigmoid" else 2)
            lanes = [f"ft_{name}s({argument}65536, {bits}, NULL, 0);"]
            if bits + (name == "tanh") >= 3:
                lanes.append(f"ft_{name}s({argument}65536, {bits}, table, 1);")
            for text in (plain, *lanes):
                runs.append(f"static void run{len(runs)}(void) {{ fill(); {text} report(); }}")
                expected.append(wanted)
    calls = "\n".join(f"  run{i}();" for i in range(len(runs)))
    source = tmp_path / "functions.c"
    text = FUNCTIONS.replace("@INTRINSICS@", intrinsics()).replace("@TABLE@", ", ".join(map(str, _exponentials())))
    source.write_text(text.replace("@RUNS@", "\n".join(runs)).replace("@CALLS@", calls))
    for output in (run_program_on_host(source, tmp_path), run_program_on_arm(source, tmp_path)):
        assert [int(found) & 0xFFFFFFFF for found in re.findall(r"^(-?\d+)$", output, re.MULTILINE)] == expected
