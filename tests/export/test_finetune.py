"""Fine-tuning learns through the rounding, keeps what it must keep, and says when it cannot go on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from flynet_tiny.errors import BadData, UsageError
from flynet_tiny.export.finetune import FineTuningProgress, FineTuningRecipe, fine_tune, simulated_outputs
from flynet_tiny.export.onnx_export import export_onnx
from flynet_tiny.export.simulate import SimulatedNetwork
from flynet_tiny.export.sqnr import litert_reference
from flynet_tiny.export.tflite_export import CalibratedNetwork, ExportResult, export_tflite, write_network

from .zoo import images


def litert(result: ExportResult, pictures: np.ndarray) -> np.ndarray:
    run, index = litert_reference(result.tflite), result.origins[-1].index
    return np.stack([run([image[None]], (index,))[0].reshape(-1) for image in result.quantize_input(pictures)])


def learn(network: CalibratedNetwork, rate: float = 5e-3, epochs: int = 6) -> tuple[CalibratedNetwork, list[float]]:
    pictures, losses = images(), []
    labels = np.arange(len(pictures), dtype=np.int64) % 5

    def on_step(progress: FineTuningProgress) -> None:
        losses.append(progress.loss)

    recipe = FineTuningRecipe(epochs, rate, distillation=0.25)
    return fine_tune(network, lambda epoch: [(pictures, labels)], recipe, on_step), losses


def test_fine_tuning_learns_and_keeps_activation_scales(network: CalibratedNetwork) -> None:
    tuned, losses = learn(network)
    assert losses[-1] < losses[0]
    before, after = write_network(network, "net"), write_network(tuned, "net")
    assert before.tflite != after.tflite
    assert [origin.affine for origin in before.origins] == [origin.affine for origin in after.origins]
    assert np.array_equal(litert(after, images()), simulated_outputs(tuned, images(), batch=7))


def test_fine_tuning_is_repeatable_and_leaves_the_original_alone(network: CalibratedNetwork) -> None:
    original = write_network(network, "net").tflite
    assert write_network(learn(network, epochs=2)[0], "net").tflite == write_network(learn(network, epochs=2)[0], "net").tflite
    assert write_network(network, "net").tflite == original


def test_two_halves_are_the_export(zoo: nn.Module, network: CalibratedNetwork) -> None:
    onnx = export_onnx(zoo, (1, 3, 13, 13))
    assert export_tflite(onnx, [images()], name="net").tflite == write_network(network, "net").tflite


def test_divergence_and_bad_recipes_are_named(network: CalibratedNetwork) -> None:
    with pytest.raises(BadData, match=r"diverged|grown too large"):
        learn(network, rate=1e30)
    with pytest.raises(UsageError, match="epochs"):
        FineTuningRecipe(0)
    with pytest.raises(UsageError, match="distillation"):
        FineTuningRecipe(1, distillation=2)


def test_fine_tuning_in_float_learns_without_rounding(network: CalibratedNetwork) -> None:
    pictures = images()
    labels = np.arange(len(pictures), dtype=np.int64) % 5
    losses: list[float] = []
    recipe = FineTuningRecipe(4, 5e-3, distillation=0.25, in_int8=False)
    tuned = fine_tune(network, lambda epoch: [(pictures, labels)], recipe, lambda progress: losses.append(progress.loss))
    assert losses[-1] < losses[0]
    module = SimulatedNetwork(network.graph, network.affine, in_int8=False)
    logits = module(module.images_as_held(pictures)).detach()
    first = 0.75 * torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels))  # the teacher agrees with itself
    assert losses[0] == pytest.approx(float(first), rel=1e-5)
    assert any(not np.array_equal(a.weights, b.weights) for a, b in zip(tuned.graph.ops, network.graph.ops, strict=True))
