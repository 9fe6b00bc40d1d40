"""LiteRT in its child process: every tensor, and every way in which LiteRT ends as an error of ours."""

from __future__ import annotations

import numpy as np
import pytest

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel, LiteRtEnded
from flynet_tiny.verify.inputs import extreme_inputs
from flynet_tiny.verify.litert import LiteRt, LiteRtProcess, Resolver

from ..one_op_models import Quant, binary, concatenation, conv_2d, softmax
from ..small_network import small_network


def test_every_activation_of_a_network_is_read_back() -> None:
    model = small_network()
    graph = read_tflite(model)
    with LiteRt(graph, model) as judge:
        for named in extreme_inputs(graph):
            values = judge.run(named.values)
            assert list(values) == [t.name for t in graph.activations()]
            expected = reference.run(graph, named.values)
            assert all(np.array_equal(values[name], expected[name]) for name in expected)


def test_several_inputs_reach_their_own_tensors() -> None:
    model = concatenation(0, [(1, 2), (1, 3), (1, 1)])
    graph = read_tflite(model)
    values = {"x0": np.int8([[1, 2]]), "x1": np.int8([[3, 4, 5]]), "x2": np.int8([[6]])}
    with LiteRt(graph, model) as judge:
        assert judge.run(values)["y"].tolist() == [[1, 2, 3, 4, 5, 6]]


def test_one_process_serves_many_models() -> None:
    with LiteRtProcess() as process:
        for seed in range(3):
            model = binary("ADD", seed)
            graph = read_tflite(model)
            inputs = extreme_inputs(graph)[-1].values
            judge = LiteRt(graph, model, process=process)
            assert np.array_equal(judge.run(inputs)["y"], reference.run(graph, inputs)["y"])


def test_xnnpack_gives_the_outputs_only() -> None:
    model = small_network()
    graph = read_tflite(model)
    with LiteRt(graph, model, Resolver.XNNPACK) as judge:
        assert set(judge.run(extreme_inputs(graph)[0].values)) == set(graph.outputs)
    with pytest.raises(ValueError, match="XNNPACK keeps no inner tensors"):
        LiteRt(graph, model, Resolver.XNNPACK, all_tensors=True)


def test_a_model_that_makes_litert_abort_is_an_error_of_ours() -> None:
    """1,000 equal values have exponentials that sum to 1,000: LiteRT's softmax checks for less than 512 and aborts."""
    model = softmax(0, (1, 1000), 1.0, Quant(0.1, 0))
    graph = read_tflite(model)
    with LiteRtProcess() as process:
        judge = LiteRt(graph, model, process=process)
        with pytest.raises(BadModel, match=r"LiteRT ended its process \(SIGABRT\) on this model"):
            judge.run({"x": np.zeros((1, 1000), np.int8)})
        assert not process.is_alive


def test_litert_has_its_time() -> None:
    """Several seconds of work in half a second: the child ends, the caller learns why."""
    model = conv_2d(0, (128, 128, 32), 64, (9, 9))
    graph = read_tflite(model)
    with LiteRtProcess(timeout_s=0.5) as process:
        judge = LiteRt(graph, model, process=process)
        with pytest.raises(LiteRtEnded, match=r"did not end within 0.5 s"):
            judge.run({"x": np.zeros((1, 128, 128, 32), np.int8)})
        assert not process.is_alive


def test_a_model_that_litert_refuses_says_why_and_the_process_lives() -> None:
    good, without_bias = conv_2d(0), conv_2d(0, bias=False)
    graph = read_tflite(without_bias)
    with LiteRtProcess() as process:
        with pytest.raises(BadModel, match=r"LiteRT refuses the model: .*has_bias was not true"):
            LiteRt(graph, without_bias, process=process)
        assert process.is_alive
        graph = read_tflite(good)
        LiteRt(graph, good, process=process).run(extreme_inputs(graph)[0].values)


@pytest.mark.parametrize("model", [b"", b"not a model", conv_2d(0)[:200]], ids=["empty", "text", "truncated"])
def test_bytes_that_are_no_model_are_refused(model: bytes) -> None:
    graph = read_tflite(conv_2d(0))
    with pytest.raises(BadModel, match="LiteRT refuses the model"):
        LiteRt(graph, model)
