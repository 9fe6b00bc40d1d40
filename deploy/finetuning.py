"""Quantization-aware fine-tuning on the road: labelled calibration images in, another int8 model and its comparison out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..codegen.tflite_reader import read_tflite
from ..errors import BadData
from ..report.schema import FineTuning
from ..verify.litert import LiteRt
from .console import Reporter
from .network import Floats, PreparedNetwork, quantize_images

if TYPE_CHECKING:
    from ..export.finetune import FineTuningProgress
    from ..export.tflite_export import CalibratedNetwork, ExportResult

Int8 = npt.NDArray[np.int8]
Labels = npt.NDArray[np.int64]
BATCH = 64
_NAME = "flynet"


@dataclass(frozen=True, eq=False)
class FineTuned:
    """The int8 model after the fine-tuning; `facts` lack the float network's accuracy."""

    result: ExportResult
    facts: FineTuning


def fine_tune_network(network: PreparedNetwork, calibrated: CalibratedNetwork, reporter: Reporter) -> FineTuned:
    """Fine-tune on the calibration images, and compare on the held-out ones: int8 before, simulated, int8 after."""
    labels = _labels(network)
    images, count = network.calibration.images, len(labels)
    with reporter.step("fine-tune") as step:
        from ..export.finetune import FineTuningRecipe, fine_tune, simulated_outputs
        from ..export.tflite_export import write_network

        recipe = FineTuningRecipe(network.qat_epochs, distillation=network.distillation)
        random = np.random.default_rng(network.seed)

        def batches(epoch: int) -> Iterator[tuple[Floats, Labels]]:
            order = random.permutation(count)
            for start in range(0, count, BATCH):
                chosen = order[start : start + BATCH]
                yield images[chosen], labels[chosen]

        def on_step(progress: FineTuningProgress) -> None:
            step.progress((progress.epoch - 1) * count + progress.images, recipe.epochs * count)
            if progress.images == count:
                reporter.line("", f"epoch {progress.epoch:>3}  loss {progress.loss:.3f}  training {progress.accuracy:.2%}")

        tuned = fine_tune(calibrated, batches, recipe, on_step)
        result = write_network(tuned, _NAME)
        held_out = network.held_out
        if held_out is None or held_out.labels is None:
            step.say(f"{recipe.epochs} epochs on {count} images; no held-out images to compare on")
            facts = FineTuning(recipe.epochs, count, recipe.distillation, None, None, None, None, None, None)
            return FineTuned(result, facts)
        before = int8_outputs(write_network(calibrated, _NAME).tflite, held_out.images)
        after = int8_outputs(result.tflite, held_out.images)
        simulated = simulated_outputs(tuned, held_out.images)
        apart = np.abs(after.astype(np.int64) - simulated)
        facts = FineTuning(
            recipe.epochs,
            count,
            recipe.distillation,
            None,
            _accuracy(before, held_out.labels),
            _accuracy(simulated, held_out.labels),
            float(np.mean(after.argmax(1) == simulated.argmax(1))),
            float(np.mean(apart > 0)),
            int(apart.max()),
        )
        step.say(
            f"int8 {facts.int8_before:.2%} -> {_accuracy(after, held_out.labels):.2%} of {len(after)} held-out images, "
            f"simulated {facts.simulated:.2%}"
        )
    return FineTuned(result, facts)


def int8_outputs(tflite: bytes, images: Floats) -> Int8:
    """[N, elements]: the first output in LiteRT's reference kernels."""
    graph = read_tflite(tflite, _NAME)
    tensor, output = graph.tensor(graph.inputs[0]), graph.outputs[0]
    with LiteRt(graph, tflite, all_tensors=False) as litert:
        return np.stack([litert.run({tensor.name: image[None]})[output].reshape(-1) for image in quantize_images(images, tensor)])


def _accuracy(outputs: Int8, labels: Labels) -> float:
    return float(np.mean(outputs.argmax(1) == labels))


def _labels(network: PreparedNetwork) -> Labels:
    calibration, classes = network.calibration, network.config.classes
    if calibration.labels is None:
        raise BadData("--qat-epochs needs labelled images; put the calibration's in one folder for each class")
    if len(calibration.class_names) != classes:
        found = len(calibration.class_names)
        raise BadData(f"the calibration images have {found} classes, the checkpoint {classes}; fine-tuning needs the same ones")
    for known, given in zip(network.class_names, calibration.class_names, strict=False):
        if known != given:
            raise BadData(f"the checkpoint's class {known!r} is {given!r} in the calibration images; they must be the same")
    return calibration.labels
