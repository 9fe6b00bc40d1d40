"""What is proven stays proven: a judge's own limit, or a statistic that fails, is said and ends nothing; accuracy is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.targets import get_target
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.deploy import pipeline, proof
from flynet_tiny.deploy.console import Reporter
from flynet_tiny.deploy.pipeline import deploy_model
from flynet_tiny.deploy.quantized_model import DeploymentPlan, LabelledInputs, QuantizedModel
from flynet_tiny.errors import BadModel, NumbersDiffer
from flynet_tiny.report.read_report import read_report
from flynet_tiny.report.schema import Accuracy, NotDone, Report, Rounding, Verification
from flynet_tiny.report.text import format_report
from flynet_tiny.verify.inputs import extreme_inputs
from flynet_tiny.verify.onnx_qdq import ORT_ERRORS, QdqOnnxRuntime

from ..one_op_models import Quant, conv_2d, softmax

PLAN = DeploymentPlan(get_target("stm32f412"), emulate=False)


def quantized(model: bytes, count: int = 4) -> QuantizedModel:
    shape = read_tflite(model).tensor("x").shape
    real = np.random.default_rng(5).integers(-128, 128, (count, *shape[1:])).astype(np.int8)
    return QuantizedModel("net", "net", model, {"x": real}, trained=None)


def reported(given: QuantizedModel, plan: DeploymentPlan, folder: Path) -> Report:
    """What report.json says of a deployment."""
    deployed = deploy_model(given, plan, folder, Reporter(quiet=True))
    found = read_report((folder / "report.json").read_bytes(), "report.json")
    assert found.to_json() == deployed.report.to_json()
    return found


def pairs_of(report: Report) -> tuple[Verification, ...]:
    assert not isinstance(report.verification, NotDone)
    return report.verification


def test_litert_is_left_out_of_two_inputs_and_the_report_says_so(tmp_path: Path) -> None:
    report = reported(quantized(softmax(0, (1, 600), 1.0, Quant(0.1, 0))), PLAN, tmp_path)
    litert, host = pairs_of(report)
    assert (litert.pair, litert.inputs, litert.left_out, litert.differing) == ("onnxruntime = litert", 5, 2, 0)
    assert "sum to 512 or more" in (litert.left_out_why or "")
    assert (host.inputs, host.left_out, host.left_out_why) == (7, 0, None)
    said = "litert left out for 2 inputs: LiteRT aborts in "
    assert said in format_report(report)
    assert said in (tmp_path / "report.html").read_text()


def test_a_proof_without_litert_says_that_it_judged_nothing(tmp_path: Path) -> None:
    """A scale so small that every row is flat: no input is left for LiteRT, the other runtimes still agree."""
    report = reported(quantized(softmax(0, (1, 900), 1.0, Quant(0.0005, 0))), PLAN, tmp_path)
    litert, host = pairs = pairs_of(report)
    assert (litert.inputs, litert.left_out, host.inputs, host.differing) == (0, 7, 7, 0)
    assert proof.Proof(pairs, (), None).summary.endswith("but litert judged no input")


@pytest.mark.parametrize("error", [*ORT_ERRORS, BadModel, ValueError, KeyError, TypeError, ZeroDivisionError])
def test_a_statistic_that_fails_is_not_done_with_its_reason(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error("it broke\nin the second line too")

    for runtime in ("QdqOnnxRuntime", "LiteRt"):
        monkeypatch.setattr(proof, runtime, fail)
    for failed in _rounding(conv_2d(0)).values():
        assert isinstance(failed, NotDone)
        assert "it broke" in failed.not_done
        assert "\n" not in failed.not_done


def test_one_statistic_does_not_end_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ort_errors.Fail("it broke")

    monkeypatch.setattr(proof, "QdqOnnxRuntime", fail)
    found = _rounding(conv_2d(0))
    assert isinstance(found["xnnpack"], Rounding)
    assert found["qdq_onnxruntime"] == NotDone("it broke")


@pytest.mark.parametrize("shape", [(1, 8), (1, 1, 1, 8)])
def test_a_bias_of_another_rank_is_measured_too(shape: tuple[int, ...]) -> None:
    graph = read_tflite(conv_2d(0))
    bias = graph.tensor("b")
    reshaped = replace(bias, shape=shape, data=bias.constant().reshape(shape))
    graph = replace(graph, tensors={**graph.tensors, "b": reshaped})
    inputs = extreme_inputs(graph)
    runtime = QdqOnnxRuntime(graph)
    assert all(runtime.run(named.values)["y"].shape == graph.tensor("y").shape for named in inputs)


def _rounding(model: bytes) -> dict[str, Rounding | NotDone]:
    graph = read_tflite(model)
    inputs = extreme_inputs(graph)
    golden = [reference.run(graph, named.values) for named in inputs]
    return proof.ordinary_runtimes(graph, model, inputs, golden)


def test_onnxruntimes_own_exceptions_are_all_known() -> None:
    """Those that it may raise for a model in memory; the others are of files, providers and compiled models."""
    known = {kind for kind in vars(ort_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    others = {"NoSuchFile", "NotFound", "ModelLoaded", "ModelLoadCanceled", "ModelRequiresCompilation", "DeviceReset"}
    assert {kind.__name__ for kind in known - set(ORT_ERRORS)} <= others
    assert set(ORT_ERRORS) <= known


def labelled(given: QuantizedModel, wrong: int) -> QuantizedModel:
    """All real inputs labelled with what the network says of them, but for the first `wrong`."""
    graph = read_tflite(given.tflite)
    outputs = [reference.run(graph, {"x": image[None]})["y"].reshape(-1) for image in given.real_inputs["x"]]
    labels = np.array([int(np.argmax(output)) for output in outputs])
    labels[:wrong] = (labels[:wrong] + 1) % len(outputs[0])
    return replace(given, labelled=LabelledInputs(given.real_inputs, labels, 0.5))


def test_accuracy_is_counted_in_the_c_on_the_host_and_on_the_emulated_board(tmp_path: Path) -> None:
    given = labelled(quantized(conv_2d(3, (5, 5, 3), 4), 4), wrong=1)
    report = reported(given, replace(PLAN, emulate=True), tmp_path)
    assert report.accuracy == Accuracy(images=4, int8=0.75, emulated=0.75, float=0.5)


def test_a_board_that_gives_another_score_is_no_accuracy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the images that accuracy is measured on the board's outputs must be the host's, whatever the labels say."""
    run: Callable[..., Any] = pipeline.run_emulated
    changed = 2

    def other(*arguments: Any, **options: Any) -> Any:
        found = run(*arguments, **options)
        sets = list(found.sets)
        tensors = {name: values.copy() for name, values in sets[changed].tensors.items()}
        tensors["y"][0] ^= 1
        sets[changed] = replace(sets[changed], tensors=tensors, outputs={**sets[changed].outputs, "y": tensors["y"]})
        return replace(found, sets=tuple(sets))

    monkeypatch.setattr(pipeline, "run_emulated", other)
    given = labelled(quantized(conv_2d(3, (5, 5, 3), 4), 4), wrong=0)
    with pytest.raises(NumbersDiffer, match=f"held-out image {changed}: .*y"):
        reported(given, replace(PLAN, emulate=True), tmp_path)
