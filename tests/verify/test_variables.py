"""Models with variables: every judge on sequences of inputs, with resets."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.codegen.build import LEVELS, build_for
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.targets import get_target
from flynet_tiny.firmware.project import SELF_TEST_SEQUENCE, fit_firmware, output_hash, self_test_inputs
from flynet_tiny.firmware.toolchain import Tool, find_tool, run_tool
from flynet_tiny.verify.compare import CannotJudge, PairResult, compare_judges, require_equal
from flynet_tiny.verify.host_c import SANITIZERS, HostLibrary
from flynet_tiny.verify.inputs import extreme_inputs
from flynet_tiny.verify.litert import LiteRt, LiteRtProcess
from flynet_tiny.verify.litert_judge import MOST_DEATHS, LiteRtJudge
from flynet_tiny.verify.onnx_twin import OnnxTwin
from flynet_tiny.verify.qemu import run_emulated, run_self_test

from ..judges import Recorded, ReferenceJudge
from ..small_models import Sketch
from ..stateful_models import LSTM_FORMS, MODELS, accumulator, drawn, lstm, lstm_form, lstm_sketch, ring, rings, svdf, svdf_sketch


def judged(data: bytes, process: LiteRtProcess, seed: int = 0) -> tuple[PairResult, ...]:
    """Reference, twin, LiteRT and the C on the host, on the extremes and 17 steps of noise in two sequences."""
    compiled = compile_tflite(data, "net", build_for(None, list(LEVELS.values())[seed % len(LEVELS)]))
    graph = compiled.source_graph
    inputs = extreme_inputs(graph, seed=seed)
    with HostLibrary(compiled.library, sanitize=seed % 4 == 0) as host:
        results = host.run_many([n.values for n in inputs], begins=[n.begins for n in inputs])
        others = [OnnxTwin(graph), LiteRt(graph, data, process=process), Recorded(graph, results, host.name)]
        return compare_judges(graph, ReferenceJudge(graph), others, inputs)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_judge_keeps_the_same_state(name: str) -> None:
    with LiteRtProcess() as process:
        results = judged(MODELS[name](), process)
    require_equal(results)
    assert all(result.inputs >= 3 and not result.left_out for result in results)


def test_every_judge_keeps_the_same_state_in_drawn_models() -> None:
    with LiteRtProcess() as process:
        for seed in range(12):
            require_equal(judged(drawn(seed), process, seed))


def test_every_judge_keeps_the_same_state_in_drawn_rings() -> None:
    with LiteRtProcess() as process:
        for seed in range(6):
            require_equal(judged(rings(seed), process, seed))
            require_equal(judged(ring(2 + 5 * seed, 1, 8, 1 + seed % 2, seed, is_mean=True), process, seed))


def test_every_judge_keeps_the_same_state_in_drawn_lstms() -> None:
    with LiteRtProcess() as process:
        for exponent in range(-15, -8):
            seed = exponent + 115
            require_equal(judged(lstm(seed, exponent=exponent), process, seed))


def test_every_judge_keeps_the_same_state_in_every_form_of_lstm() -> None:
    with LiteRtProcess() as process:
        for seed in range(len(LSTM_FORMS)):
            require_equal(judged(lstm_form(seed), process, seed))


def test_every_judge_keeps_the_same_state_in_drawn_svdfs() -> None:
    with LiteRtProcess() as process:
        for seed in range(5):
            require_equal(judged(svdf(seed), process, seed))


@pytest.mark.parametrize("sketch", [svdf_sketch(3, c_in=8, units=4, rank=2), lstm_sketch(4, c_in=8, cells=4, form="jb", units=4)])
def test_layers_around_a_recurrent_one_lose_dead_channels_and_it_stays_whole(sketch: Sketch) -> None:
    """Minimisation knows nothing of recurrent layers: they read all of their data, and all that they give may change."""
    shape = sketch.tensors["x"].shape
    sketch.act("before", (*shape[:-1], 6))
    sketch.fully_connected("before", "x", 8)
    weights = sketch.tensors["x_w"].data
    assert weights is not None
    weights[[1, 4]] = 0
    of_sums = float(np.float32(sketch.tensors["before"].scales[0] * 0.01))
    sketch.tensors["x_b"] = replace(sketch.tensors["x_b"], scales=(of_sums,), zero_points=(0,))
    sketch.ops.insert(0, sketch.ops.pop())
    sketch.ops[0] = replace(sketch.ops[0], options={**sketch.ops[0].options, "keepNumDims": True})
    with LiteRtProcess() as process:
        require_equal(judged(sketch.file(("before",), ("y",)), process, 1))


def test_a_sequence_is_not_its_steps_each_from_the_start() -> None:
    """If nothing came from one step to the next, all of the above would prove nothing."""
    compiled = compile_tflite(ring(), "net")
    inputs = extreme_inputs(compiled.source_graph)
    with HostLibrary(compiled.library) as host:
        together = host.run_many([n.values for n in inputs], begins=[n.begins for n in inputs])
        alone = host.run_many([n.values for n in inputs])
    differs = [bool((a.outputs["y"] != b.outputs["y"]).any()) for a, b in zip(together, alone, strict=True)]
    assert differs == [not named.begins for named in inputs]


@pytest.mark.parametrize("forgetful", ["litert", "onnxruntime"])
def test_a_judge_that_forgets_a_reset_is_found(forgetful: str) -> None:
    data = ring()
    graph = compile_tflite(data, "net").source_graph
    with LiteRtProcess() as process:
        judge = LiteRt(graph, data, process=process) if forgetful == "litert" else OnnxTwin(graph)
        judge.reset = lambda: None  # type: ignore[method-assign]
        (result,) = compare_judges(graph, ReferenceJudge(graph), [judge], extreme_inputs(graph))
    assert result.first is not None
    assert result.first.tensor == "old", "the variable itself is compared, before all that follows from it"
    assert "(variable, input noise 1)" in str(result.first)


def test_litert_gets_a_new_interpreter_only_where_there_is_state() -> None:
    data = accumulator()
    graph = compile_tflite(data, "net").source_graph
    started: list[int] = []

    class Counting(LiteRtProcess):
        def start_again(self) -> None:
            started.append(1)
            super().start_again()

    with Counting() as process:
        judge = LiteRt(graph, data, process=process)
        inputs = extreme_inputs(graph)
        judge.reset()
        assert not started, "it is new"
        first = judge.run(inputs[0].values)["y"]
        second = judge.run(inputs[0].values)["y"]
        judge.reset()
        assert len(started) == 1
        assert (judge.run(inputs[0].values)["y"] == first).all()
        assert (second != first).any()


def test_an_input_that_litert_cannot_judge_costs_the_rest_of_its_sequence() -> None:
    data = accumulator()
    graph = compile_tflite(data, "net").source_graph
    with LiteRtJudge(graph, data) as judge:
        steps = extreme_inputs(graph)[:3]
        judge.reset()
        judge.run(steps[0].values)
        judge._deaths, judge._answers = MOST_DEATHS, 1
        with pytest.raises(CannotJudge):
            judge.run(steps[1].values)
        judge._deaths = 0
        with pytest.raises(CannotJudge, match="left out an input before it"):
            judge.run(steps[2].values)
        judge.reset()
        judge.run(steps[2].values)


TWO_CONTEXTS = """
#include <string.h>
#include "net.h"
static uint8_t one[NET_ARENA_BYTES] __attribute__((aligned(NET_ARENA_ALIGN)));
static uint8_t two[NET_ARENA_BYTES] __attribute__((aligned(NET_ARENA_ALIGN)));
static int step(net_context *net, int value, int8_t *found) {
  memset(net_input(net, 0), value, NET_INPUT0_BYTES);
  if (net_invoke(net) != NET_OK) return 1;
  memcpy(found, net_output(net, 0), NET_OUTPUT0_BYTES);
  return 0;
}
int main(void) {
  static int8_t a[4][NET_OUTPUT0_BYTES], b[4][NET_OUTPUT0_BYTES];
  net_context first, second;
  if (net_init(&first, one, sizeof one) || net_init(&second, two, sizeof two)) return 2;
  for (int i = 0; i < 4; ++i) {
    if (step(&first, 20 * i - 30, a[i])) return 3;
    memset(first.arena + NET_STATE_BYTES, 0x55, NET_ARENA_BYTES - NET_STATE_BYTES); /* of no use to the next step */
    if (i == 2 && net_reset(&second)) return 4;
    if (step(&second, 20 * (i % 2) - 30, b[i])) return 5;
  }
  if (memcmp(a[0], b[0], sizeof a[0]) || memcmp(a[1], b[1], sizeof a[1])) return 6;  /* the same so far */
  if (memcmp(b[2], b[0], sizeof b[0]) || memcmp(b[3], b[1], sizeof b[0])) return 7;  /* a reset is a beginning */
  if (!memcmp(a[2], b[2], sizeof a[0])) return 8;  /* the other context knows nothing of it */
  if (net_reset(NULL) != NET_ERROR_NULL) return 9;
  return 0;
}
"""


def test_two_contexts_have_a_state_each_and_a_reset_begins_again(tmp_path: Path) -> None:
    library = compile_tflite(ring(), "net").library
    for name, text in {**library.files, "main.c": TWO_CONTEXTS}.items():
        (tmp_path / name).write_text(text)
    compiler = find_tool(Tool.HOST_COMPILER)
    run_tool([compiler, "-std=c11", "-Wall", "-Wextra", *SANITIZERS, "net.c", "net_weights.c", "main.c", "-o", "net"], tmp_path)
    assert subprocess.run([tmp_path / "net"], check=False).returncode == 0


def test_the_emulated_board_keeps_the_state_and_its_self_test_resets_it(tmp_path: Path) -> None:
    compiled = compile_tflite(ring(), "net")
    library, graph = compiled.library, compiled.source_graph
    judge = ReferenceJudge(graph)
    shape = graph.tensor("x").shape
    outputs = [judge.run({"x": step["x"].reshape(shape)}) for step in self_test_inputs(library)]
    assert len(outputs) == SELF_TEST_SEQUENCE
    fitted = fit_firmware(library, get_target("stm32f412"), tmp_path / "firmware", output_hash(library, outputs))
    assert run_self_test(fitted.firmware).passed
    inputs = extreme_inputs(graph)
    begins = [named.begins for named in inputs]
    run = run_emulated(fitted.firmware, library, [named.values for named in inputs], begins=begins)
    assert run.total_instructions
    (result,) = compare_judges(graph, ReferenceJudge(graph), [Recorded(graph, run.sets, "board")], inputs)
    require_equal([result])
    assert result.inputs == len(inputs)


def test_a_self_test_whose_reset_does_nothing_fails(tmp_path: Path) -> None:
    compiled = compile_tflite(ring(), "net")
    library = compiled.library
    source = library.files["net.c"]
    begin = source.index("int net_reset")
    reset = source[begin : source.index("\n}\n", begin)]
    once = reset.replace(") {\n", ") {\n  static int done;\n  if (done++) {\n    return NET_OK;\n  }\n", 1)
    broken = replace(library, files={**library.files, "net.c": source.replace(reset, once)})
    judge, shape = ReferenceJudge(compiled.source_graph), compiled.source_graph.tensor("x").shape
    outputs = [judge.run({"x": step["x"].reshape(shape)}) for step in self_test_inputs(library)]
    fitted = fit_firmware(broken, get_target("stm32f412"), tmp_path / "firmware", output_hash(library, outputs))
    result = run_self_test(fitted.firmware)
    assert not result.passed
    assert "after a reset" in result.output
