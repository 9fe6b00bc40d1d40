"""Training of a classifier: cross entropy, a teacher where there is one, and the share of images that are right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import BadData
from ..data.images import Floats, Indices
from ..networks.flynet import FlyNet
from ..networks.network_config import NetworkConfig
from ..register import build_network
from .distributed import rank, summed, world_size
from .loop import Batch, Outcome, ahead, to_device, train
from .recipe import Distillation
from .settings import TrainingSettings

EVALUATION_BATCH = 128


class LabelledImages(Protocol):
    """An ImageSet, or a FolderStream."""

    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def labels(self) -> npt.NDArray[np.int64] | None: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def training_batch(self, chosen: Indices, mine: slice, seed: int, epoch: int) -> Floats: ...
    def part(self, begin: int, end: int) -> Floats: ...


@dataclass(frozen=True)
class Metrics:
    """Shares of images classified right, and the last epoch's mean loss."""

    accuracy: float
    train_accuracy: float
    loss: float
    epochs: int
    images: int

    @classmethod
    def after(cls, epoch: Mapping[str, float], images: int) -> Metrics:
        """Those of a line of the history."""
        return cls(epoch["held_out_accuracy"], epoch["train_accuracy"], epoch["loss"], int(epoch["epoch"]), images)


def train_classifier(
    config: NetworkConfig,
    train_set: LabelledImages,
    held_out: LabelledImages,
    settings: TrainingSettings,
    teacher: Teacher | None = None,
) -> tuple[nn.Module, Metrics]:
    """A trained network in inference mode, and its accuracy on `held_out`."""
    labels = _check(config, train_set, held_out)
    model = build_network(config, settings.seed)
    if settings.start is not None:
        model.load_state_dict(settings.start.state_dict())
    if teacher is not None:
        teacher.model.to(settings.device or torch.device("cpu")).eval()
    temperature = _Annealing(settings.recipe.temperature_start, float(getattr(config, "temperature", 1.0)))
    history = train(_Classification(train_set, labels, held_out, temperature, teacher), model, settings)
    return model, Metrics.after(history[-1], len(held_out))


def evaluate_classifier(model: nn.Module, data: LabelledImages) -> float:
    """The share of images whose largest logit is their label's. Several processes share the work."""
    if data.labels is None:
        raise BadData("these images have no labels, so there is no accuracy")
    right = 0
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        begins = range(rank() * EVALUATION_BATCH, len(data), world_size() * EVALUATION_BATCH)
        parts = [(begin, min(begin + EVALUATION_BATCH, len(data))) for begin in begins]
        for (begin, end), images in zip(parts, ahead(lambda i: data.part(*parts[i]), len(parts)), strict=True):
            found = model(to_device(images, device)).argmax(1).cpu().numpy()
            right += int((found == data.labels[begin:end]).sum())
    (all_right,) = summed([right], device)
    return all_right / len(data)


@dataclass(frozen=True, eq=False)
class Teacher:
    """A network that a student learns from: its logits are the soft targets."""

    model: nn.Module
    how: Distillation

    def loss(self, images: Tensor, logits: Tensor, hard: Tensor) -> Tensor:
        """`hard` is the student's cross entropy with the labels."""
        with torch.no_grad():
            wanted = self.model(images)
        t = self.how.temperature
        soft = F.kl_div(F.log_softmax(logits / t, 1), F.log_softmax(wanted / t, 1), reduction="batchmean", log_target=True)
        return (1 - self.how.alpha) * hard + self.how.alpha * t * t * soft


@dataclass(frozen=True)
class _Annealing:
    """The temperature of the softmax over heads falls along a cosine."""

    first: float
    last: float

    def at(self, progress: float) -> float:
        """`progress` goes from 0 to 1."""
        return self.last + (self.first - self.last) * 0.5 * (1 + math.cos(math.pi * progress))


class _Classification:
    """The task of the training loop."""

    def __init__(
        self, data: LabelledImages, labels: Tensor, held_out: LabelledImages, annealing: _Annealing, teacher: Teacher | None
    ):
        self._data, self._labels, self._held_out = data, labels, held_out
        self._annealing, self._teacher = annealing, teacher
        self._temperature = annealing.first
        self.score = "held_out_accuracy"

    def __len__(self) -> int:
        return len(self._data)

    def batch(self, chosen: Indices, mine: slice, seed: int, epoch: int) -> Batch:
        return Batch(self._data.training_batch(chosen, mine, seed, epoch), self._labels[torch.from_numpy(chosen[mine])])

    def prepare(self, model: nn.Module, progress: float) -> None:
        self._temperature = self._annealing.at(progress)
        _set_temperature(model, self._temperature)

    def outcome(self, forward: nn.Module, images: Tensor, targets: Any) -> Outcome:
        labels = targets.to(images.device)
        logits = forward(images)
        loss = F.cross_entropy(logits, labels)
        if self._teacher is not None:
            loss = self._teacher.loss(images, logits, loss)
        return Outcome(loss, int((logits.argmax(1) == labels).sum()))

    def finish(self, model: nn.Module) -> None:
        """A checkpoint's temperature is the configuration's, whenever it was written."""
        _set_temperature(model, self._annealing.last)

    def figures(self) -> Mapping[str, float]:
        return {"temperature": self._temperature}

    def measure(self, model: nn.Module) -> Mapping[str, float]:
        return {"held_out_accuracy": evaluate_classifier(model, self._held_out)}


def _set_temperature(model: nn.Module, temperature: float) -> None:
    if isinstance(model, FlyNet):
        model.set_temperature(temperature)


def _check(config: NetworkConfig, data: LabelledImages, held_out: LabelledImages) -> Tensor:
    """The training labels; BadData when the images do not fit the network."""
    for images in (data, held_out):
        if images.labels is None:
            raise BadData("training needs labelled images: one folder for each class")
        if tuple(images.shape) != tuple(config.input_shape[1:]):
            raise BadData(f"images are {list(images.shape)}, {config.name} takes {list(config.input_shape[1:])}")
        if images.labels.min() < 0 or images.labels.max() >= config.classes:
            raise BadData(f"labels reach {images.labels.max()}, the network has {config.classes} classes")
    assert data.labels is not None
    return torch.from_numpy(data.labels)
