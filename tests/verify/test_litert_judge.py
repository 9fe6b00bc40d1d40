"""LiteRT is left out where its own limits end, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel, LiteRtEnded, NumbersDiffer
from flynet_tiny.verify.compare import CannotJudge, compare_judges, require_equal
from flynet_tiny.verify.inputs import NamedInputs, extreme_inputs
from flynet_tiny.verify.litert import LiteRt, LiteRtProcess
from flynet_tiny.verify.litert_judge import MOST_DEATHS, LiteRtJudge, LiteRtOrTwin, foreseen_abort, may_abort
from flynet_tiny.verify.onnx_twin import OnnxTwin

from ..one_op_models import Quant, conv_2d, softmax

DEPTH = 600


def flat(depth: int = DEPTH) -> np.ndarray:
    return np.zeros((1, depth), np.int8)


@pytest.mark.parametrize(("depth", "aborts"), [(511, False), (512, True), (513, True)])
def test_the_limit_is_litert_own(depth: int, aborts: bool) -> None:
    """Equal values: the exponentials sum to the depth of the row."""
    model = softmax(0, (1, depth), 1.0, Quant(0.1, 0))
    graph = read_tflite(model)
    values = {"x": flat(depth)}
    assert (foreseen_abort(graph, values) is not None) == aborts
    assert may_abort(graph) == aborts
    with LiteRt(graph, model) as litert:
        if aborts:
            with pytest.raises(LiteRtEnded, match="SIGABRT"):
                litert.run(values)
        else:
            assert np.array_equal(litert.run(values)["y"], reference.run(graph, values)["y"])


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.integers(500, 600), st.integers(0, 255), st.integers(0, 100), st.integers(0, 1 << 16))
def test_an_abort_is_foreseen_exactly(depth: int, spread: int, low: int, seed: int) -> None:
    """Rows around the limit: LiteRT ends if and only if it was foreseen."""
    model = softmax(0, (1, depth), 1.0, Quant(1 / 512, 0))
    graph = read_tflite(model)
    values = np.random.default_rng(seed).integers(-spread // 2, spread // 2 + 1, (1, depth))
    values[0, :low] = -128
    inputs = {"x": values.clip(-128, 127).astype(np.int8)}
    with LiteRtProcess() as process:
        judge = LiteRt(graph, model, process=process)
        if foreseen_abort(graph, inputs) is None:
            assert np.array_equal(judge.run(inputs)["y"], reference.run(graph, inputs)["y"])
        else:
            with pytest.raises(LiteRtEnded):
                judge.run(inputs)


def test_one_row_of_many_is_enough() -> None:
    graph = read_tflite(softmax(0, (3, DEPTH), 1.0, Quant(0.1, 0)))
    values = np.random.default_rng(0).integers(-128, 128, (3, DEPTH)).astype(np.int8)
    assert foreseen_abort(graph, {"x": values}) is None
    values[2] = 5
    assert "SOFTMAX" in str(foreseen_abort(graph, {"x": values}))


def test_a_judge_is_left_out_of_some_inputs_and_compared_on_the_others() -> None:
    model = softmax(0, (1, DEPTH), 1.0, Quant(0.1, 0))
    graph = read_tflite(model)
    inputs = extreme_inputs(graph, num_noise=2)
    for exact in (lambda values: values, None):  # foreseen, and found by the death of the child
        with LiteRtJudge(graph, model, exact) as judge:
            (result,) = compare_judges(graph, OnnxTwin(graph), [judge], inputs)
        assert (result.inputs, result.left_out, result.differing) == (2, 2, 0)
        assert result.bytes == 2 * DEPTH
        assert "2 inputs left out: LiteRT" in str(result)
        require_equal([result])


def test_a_foreseen_abort_never_reaches_the_child() -> None:
    model = softmax(0, (1, DEPTH), 1.0, Quant(0.1, 0))
    graph = read_tflite(model)
    with LiteRtJudge(graph, model, lambda values: values) as judge:
        child = judge._litert
        with pytest.raises(CannotJudge, match="sum to 512 or more"):
            judge.run({"x": flat()})
        assert judge._litert is child


def test_a_child_that_always_dies_is_not_started_for_ever() -> None:
    model = softmax(0, (1, DEPTH), 1.0, Quant(0.1, 0))
    graph = read_tflite(model)
    steep = {"x": np.arange(DEPTH).reshape(1, -1).astype(np.int8)}
    with LiteRtJudge(graph, model) as judge:
        judge.run(steep)
        for _ in range(MOST_DEATHS):
            with pytest.raises(CannotJudge, match="SIGABRT"):
                judge.run({"x": flat()})
        with pytest.raises(CannotJudge, match=f"{MOST_DEATHS} times"):
            judge.run(steep)


def test_a_child_that_always_dies_and_nobody_knows_why_proves_nothing() -> None:
    model = softmax(0, (1, DEPTH), 1.0, Quant(0.1, 0))
    graph = read_tflite(model)
    inputs = [NamedInputs(str(i), {"x": flat()}) for i in range(MOST_DEATHS + 1)]
    with LiteRtJudge(graph, model) as judge, pytest.raises(LiteRtEnded, match=r"nothing would be proven: .*SIGABRT"):
        compare_judges(graph, OnnxTwin(graph), [judge], inputs)


def test_a_judge_that_judged_nothing_alone_proves_nothing() -> None:
    model = softmax(0, (1, DEPTH), 1.0, Quant(0.1, 0))
    graph = read_tflite(model)
    with LiteRtJudge(graph, model, lambda values: values) as judge:
        results = compare_judges(graph, OnnxTwin(graph), [judge], [NamedInputs("flat", {"x": flat()})])
    assert results[0].left_out == 1
    with pytest.raises(NumbersDiffer, match="nothing was compared"):
        require_equal(results)


def test_a_model_that_litert_refuses_is_still_a_bad_model() -> None:
    model = conv_2d(0, bias=False)
    with pytest.raises(BadModel, match="LiteRT refuses the model"):
        LiteRtJudge(read_tflite(model), model)


def test_the_twin_answers_where_litert_ends_and_it_is_counted() -> None:
    model = softmax(0, (1, DEPTH), 1.0, Quant(0.1, 0))
    graph = read_tflite(model)
    noise = np.random.default_rng(1).integers(-128, 128, (1, DEPTH)).astype(np.int8)
    with LiteRtOrTwin(graph, model) as runtime:
        assert runtime.remark == ""
        for values in (flat(), noise, flat()):
            assert np.array_equal(runtime.run({"x": values})["y"], reference.run(graph, {"x": values})["y"])
        assert runtime.replaced == 2
        assert "2 inputs by the golden twin" in runtime.remark
