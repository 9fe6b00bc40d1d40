"""Quantization-aware fine-tuning of a calibrated network: its own int8 arithmetic in the loop, its activation scales kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from ..errors import BadData, UsageError
from .activation_scales import require_scales_hold
from .float_graph import Array
from .simulate import SimulatedNetwork
from .tflite_export import CalibratedNetwork
from .tuned_onnx import with_weights_of

Labels = npt.NDArray[np.int64]
Batches = Callable[[int], Iterable[tuple[Array, Labels]]]  # epoch (from 1) -> (images [N, C, H, W], labels [N])


@dataclass(frozen=True)
class FineTuningRecipe:
    """distillation  the share of the loss that follows the float network's logits; the rest follows the labels
    in_int8       False trains in float and leaves the activation scales behind: what rounding in the loop is compared with
    """

    epochs: int = 3
    learning_rate: float = 5e-4
    distillation: float = 0.5
    temperature: float = 2.0
    in_int8: bool = True

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"epochs of fine-tuning must be at least 1, not {self.epochs}")
        if not 0 <= self.distillation <= 1:
            raise UsageError(f"the share of distillation must be 0 to 1, not {self.distillation:g}")


@dataclass(frozen=True)
class FineTuningProgress:
    """Running means over the epoch."""

    epoch: int
    images: int
    loss: float
    accuracy: float


def fine_tune(
    network: CalibratedNetwork,
    batches: Batches,
    recipe: FineTuningRecipe,
    on_step: Callable[[FineTuningProgress], None] | None = None,
) -> CalibratedNetwork:
    """The network, its float ONNX graph too, with other weights and biases; every activation keeps its scale.

    Adam, whose rate falls along a cosine from epoch to epoch.

    Raises BadData when the loss is not a number, or the weights left what the scales can bear.
    """
    with_weights_of(network.onnx, network.graph)  # refuse what cannot be put back before the work, not after it
    student = SimulatedNetwork(network.graph, network.affine, recipe.in_int8)
    teacher = SimulatedNetwork(network.graph, network.affine, in_int8=False).requires_grad_(False)
    optimizer = torch.optim.Adam(student.parameters(), lr=recipe.learning_rate)
    for epoch in range(1, recipe.epochs + 1):
        rate = recipe.learning_rate * (1 + math.cos(math.pi * (epoch - 1) / recipe.epochs)) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss_sum, right, seen = 0.0, 0, 0
        for images, labels in batches(epoch):
            stored, target = student.images_as_held(images), torch.from_numpy(labels)
            logits = student(stored)
            loss = (1 - recipe.distillation) * F.cross_entropy(logits, target)
            if recipe.distillation > 0:
                loss = loss + recipe.distillation * _divergence(logits, teacher(stored), recipe.temperature)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen += len(labels)
            loss_sum += float(loss.detach()) * len(labels)
            right += int((logits.detach().argmax(1) == target).sum())
            if not math.isfinite(loss_sum):
                raise BadData(f"fine-tuning diverged in epoch {epoch}")
            if on_step is not None:
                on_step(FineTuningProgress(epoch, seen, loss_sum / seen, right / seen))
    changed = student.changed_graph()
    if recipe.in_int8:
        require_scales_hold(changed, network.affine)
    return replace(network, graph=changed, onnx=with_weights_of(network.onnx, changed))


def _divergence(logits: torch.Tensor, wanted: torch.Tensor, temperature: float) -> torch.Tensor:
    """Kullback-Leibler divergence of softened softmaxes, times T^2 so that its gradients keep their size."""
    ours, theirs = F.log_softmax(logits / temperature, 1), F.log_softmax(wanted / temperature, 1)
    return F.kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature**2


def simulated_outputs(network: CalibratedNetwork, images: Array, batch: int = 64) -> Array:
    """int8 [N, elements]: the `.tflite`'s first output as the simulation computes it."""
    module = SimulatedNetwork(network.graph, network.affine)
    parts = [module.images_as_held(images[start : start + batch]) for start in range(0, len(images), batch)]
    return np.concatenate([module.int8_tensors(part)[network.graph.outputs[0]].reshape(len(part), -1) for part in parts])
