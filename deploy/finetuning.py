"""Quantization-aware fine-tuning before the export: labelled training images in, another network and its comparison out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..codegen.tflite_reader import read_tflite
from ..errors import BadData
from ..report.schema import FineTuning, FineTuningEpoch
from ..sources.samples import Samples
from ..verify.litert_judge import LiteRtOrTwin
from .console import Reporter
from .network import Floats, PreparedNetwork, quantize_images

if TYPE_CHECKING:
    from ..export.finetune import FineTuningProgress
    from ..export.tflite_export import CalibratedNetwork, ExportResult
    from ..flynet.training.classification import LabelledImages

Int8 = npt.NDArray[np.int8]
Labels = npt.NDArray[np.int64]
BATCH = 64
_NAME = "flynet"


@dataclass(frozen=True, eq=False)
class FineTuned:
    """The int8 model after the fine-tuning, and the float one that it was rounded from."""

    result: ExportResult
    onnx: bytes
    facts: FineTuning


def fine_tune_network(
    network: PreparedNetwork, calibrated: CalibratedNetwork, float_before: float | None, reporter: Reporter
) -> FineTuned:
    """Fine-tune on the training images, and compare on the held-out ones: int8 before, simulated, int8 after.

    float_before  the share of held-out images that the float network classifies right
    """
    training = network.training
    if training is None or training.labels is None:
        raise BadData("--qat-epochs needs labelled images; put the calibration's in one folder for each class")
    count = len(training)
    with reporter.step("fine-tune") as step:
        from ..export.finetune import FineTuningRecipe, fine_tune, simulated_outputs
        from ..export.onnx_file import onnx_file
        from ..export.tflite_export import write_network

        recipe = FineTuningRecipe(network.qat_epochs, distillation=network.distillation)
        curve: list[FineTuningEpoch] = []

        def on_step(progress: FineTuningProgress) -> None:
            step.progress((progress.epoch - 1) * count + progress.images, recipe.epochs * count)
            if progress.images == count:
                curve.append(FineTuningEpoch(round(progress.loss, 6), progress.accuracy))
                reporter.line("", f"epoch {progress.epoch:>3}  loss {progress.loss:.3f}  training {progress.accuracy:.2%}")

        tuned = fine_tune(calibrated, lambda epoch: batches(training, network.seed, epoch), recipe, on_step)
        result, onnx = write_network(tuned, _NAME), onnx_file(tuned.onnx)
        held_out = network.held_out
        if held_out is None or held_out.labels is None:
            step.say(f"{recipe.epochs} epochs on {count} images; no held-out images to compare on")
            unknown = (None,) * 6
            return FineTuned(result, onnx, FineTuning(recipe.epochs, count, recipe.distillation, tuple(curve), *unknown))
        before, _ = int8_outputs(write_network(calibrated, _NAME).tflite, held_out)
        after, remark = int8_outputs(result.tflite, held_out)
        simulated = simulated_outputs(tuned, held_out.only)
        apart = np.abs(after.astype(np.int64) - simulated)
        facts = FineTuning(
            epochs=recipe.epochs,
            images=count,
            distillation=recipe.distillation,
            curve=tuple(curve),
            float_before=float_before,
            int8_before=share_right(before, held_out.labels),
            simulated=share_right(simulated, held_out.labels),
            argmax_agreement=float(np.mean(after.argmax(1) == simulated.argmax(1))),
            differing_share=float(np.mean(apart > 0)),
            max_lsb=int(apart.max()),
        )
        step.say(
            f"int8 {facts.int8_before:.2%} -> {share_right(after, held_out.labels):.2%} of {len(after)} held-out images, "
            f"simulated {facts.simulated:.2%}{remark}"
        )
    return FineTuned(result, onnx, facts)


def batches(training: LabelledImages, seed: int, epoch: int) -> Iterator[tuple[Floats, Labels]]:
    """All images once, in the epoch's own order, augmented as in training; one batch is in memory at a time."""
    assert training.labels is not None
    order = np.random.default_rng((seed, epoch)).permutation(len(training))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        yield training.training_batch(chosen, slice(None), seed, epoch), training.labels[chosen]


def int8_outputs(tflite: bytes, images: Samples) -> tuple[Int8, str]:
    """[N, elements]: the first output in LiteRT's reference kernels, or the golden twin where LiteRT ends; a remark."""
    graph = read_tflite(tflite, _NAME)
    tensor, output = graph.tensor(graph.inputs[0]), graph.outputs[0]
    with LiteRtOrTwin(graph, tflite) as litert:
        stored = quantize_images(images.only, tensor)
        found = [litert.run({tensor.name: image[None]})[output].reshape(-1) for image in stored]
        return np.stack(found), litert.remark


def share_right(outputs: npt.NDArray[np.generic], labels: Labels) -> float:
    """Of all images, those whose largest output is their label's."""
    return float(np.mean(outputs.argmax(1) == labels))
