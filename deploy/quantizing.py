"""From a float network to a quantized model: the int8 `.tflite`, its noise, inputs and float accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..codegen.ir import Graph
from ..codegen.tflite_reader import read_tflite
from ..report.schema import LayerSqnr
from ..sources.samples import Samples
from ..verify.litert_judge import LiteRtOrTwin, may_abort
from .console import Reporter
from .finetuning import fine_tune_network, share_right
from .library_name import library_name
from .network import CALIBRATION_BATCH, REAL_INPUTS, PreparedNetwork, Stored, quantize_values
from .quantized_model import FloatEnds, LabelledInputs, QuantizedModel

if TYPE_CHECKING:
    from ..export.float_graph import Array
    from ..export.sqnr import LayerNoise
    from ..export.tflite_export import ExportResult

SQNR_IMAGES = 8
_GRAPH_NAME = "network"  # of the graph in the making; the C library has a name of its own


def quantize_network(network: PreparedNetwork, reporter: Reporter) -> QuantizedModel:
    """The int8 model of a float network, with its noise, inputs and float accuracy."""
    from ..export.tflite_export import calibrate_network, write_network

    count = len(network.calibration)
    with reporter.step("quantize") as step:
        calibrated = calibrate_network(
            network.onnx, network.calibration.batches(CALIBRATION_BATCH), progress=lambda done: step.progress(done, count)
        )
        result = write_network(calibrated, _GRAPH_NAME)
        step.say(f"model.tflite, {len(result.tflite):,} bytes, int8, calibrated on {count} images")
    fine_tuning, onnx = None, network.onnx
    if network.qat_epochs:
        tuned = fine_tune_network(network, calibrated, _float_accuracy(network.onnx, network.held_out), reporter)
        result, onnx, fine_tuning = tuned.result, tuned.onnx, tuned.facts
    graph = read_tflite(result.tflite, _GRAPH_NAME)
    sqnr = _noise(network, result, reporter)
    return QuantizedModel(
        name=library_name(network.name),
        title=network.name,
        tflite=result.tflite,
        real_inputs=_int8_inputs((network.held_out or network.calibration).first(REAL_INPUTS), result, graph),
        trained=network.trained,
        params=network.params,
        onnx=onnx,
        labelled=_labelled(network.held_out, onnx, result, graph),
        sqnr=sqnr,
        accuracy_not_done=_why_no_accuracy(network),
        fine_tuning=fine_tuning,
        class_names=() if network.is_backbone else network.class_names,
        pixels=network.pixels,
        float_ends=FloatEnds(tuple(origin.tensor for origin in result.inputs), result.outputs),
    )


def _int8_inputs(samples: Samples, result: ExportResult, graph: Graph) -> dict[str, Stored]:
    """Inputs as the int8 graph takes them, by the names that it has for them."""
    found = {}
    for name, origin in zip(graph.inputs, result.inputs, strict=True):
        stored = np.concatenate([origin.tensor.stored(real[None]) for real in samples.values[origin.value]])
        found[name] = quantize_values(stored, graph.tensor(name))
    return found


def _noise(network: PreparedNetwork, result: ExportResult, reporter: Reporter) -> tuple[LayerSqnr, ...]:
    with reporter.step("noise") as step:
        noise, remark = _measured_noise(result, (network.held_out or network.calibration).first(SQNR_IMAGES))
        sqnr = tuple(LayerSqnr(layer.value, round(layer.sqnr_db, 2)) for layer in noise if np.isfinite(layer.sqnr_db))
        if sqnr:
            worst = min(sqnr, key=lambda layer: layer.sqnr_db)
            step.say(f"SQNR {sqnr[-1].sqnr_db:.1f} dB at the output, least {worst.sqnr_db:.1f} dB at {worst.tensor}{remark}")
        else:
            step.say(f"int8 is exact on these inputs{remark}")
    return sqnr


def _measured_noise(result: ExportResult, samples: Samples) -> tuple[list[LayerNoise], str]:
    """The noise of every tensor, and a remark; a network on which LiteRT may abort runs in a child, the golden twin beside it."""
    from ..export.sqnr import measure_sqnr

    graph = read_tflite(result.tflite)
    if not may_abort(graph):
        return measure_sqnr(result, [samples.values]), ""
    names = {tensor.source_index: tensor.name for tensor in graph.activations()}
    with LiteRtOrTwin(graph, result.tflite, all_tensors=True) as litert:

        def run(stored: Sequence[Array], indices: tuple[int, ...]) -> list[Array]:
            given = dict(zip(graph.inputs, stored, strict=True))
            found = {**given, **litert.run(given)}
            return [found[names[index]] for index in indices]

        return measure_sqnr(result, [samples.values], run), litert.remark


def _why_no_accuracy(network: PreparedNetwork) -> str:
    if network.trained is None:
        return "no labelled inputs: give --data"
    if not network.trained:
        return "the network is UNTRAINED"
    return "a backbone gives maps, no classes" if network.is_backbone else "no labelled images of the data it was trained on"


def _labelled(held_out: Samples | None, onnx: bytes, result: ExportResult, graph: Graph) -> LabelledInputs | None:
    accuracy = _float_accuracy(onnx, held_out)
    if accuracy is None or held_out is None or held_out.labels is None:
        return None
    return LabelledInputs(_int8_inputs(held_out, result, graph), held_out.labels, accuracy)


def _float_accuracy(onnx: bytes, samples: Samples | None) -> float | None:
    """The share of inputs that a float network classifies right, None where they have no labels."""
    if samples is None or samples.labels is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # one small image at a time: more threads only wait for each other
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    logits = np.concatenate([session.run(None, dict(one))[0].reshape(1, -1) for one in samples.batches(1)])
    return share_right(logits, samples.labels)
