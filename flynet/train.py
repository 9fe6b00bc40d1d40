"""Training on small data: AdamW with one cycle, random shifts, BN statistics re-estimated at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import BadData, UsageError
from .data import Floats, ImageSet, shift_at_random
from .model import FlyNet
from .networks import NetworkConfig, build_network

SMALL_DATA_BN_MOMENTUM = 0.1


@dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the small-data preset.

    temperature_start  T of the softmax over heads falls along a cosine from here to the configuration's
    """

    epochs: int = 10
    batch: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    temperature_start: float = 1.0
    bn_momentum: float = SMALL_DATA_BN_MOMENTUM

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"epochs must be at least 1, not {self.epochs}")
        if self.batch < 2:
            raise UsageError(f"the batch must hold at least 2 images, not {self.batch}: batch normalization compares them")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"the learning rate must be above 0, not {self.learning_rate:g}")


@dataclass(frozen=True)
class Progress:
    """One training step. `loss` and `accuracy` are running means over the epoch; `held_out` is known at an epoch's end."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    held_out: float | None = None


@dataclass(frozen=True)
class Metrics:
    """Shares of images classified right, and the last epoch's mean loss."""

    accuracy: float
    train_accuracy: float
    loss: float
    epochs: int
    images: int


def train(
    config: NetworkConfig,
    data: ImageSet,
    held_out: ImageSet,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    start: nn.Module | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> tuple[nn.Module, Metrics]:
    """A trained network in inference mode, and its accuracy on `held_out`. Same seed and thread count, same weights.

    start  weights to begin from: the paper trains with quantization noise in a second stage, from a float network
    """
    recipe = recipe or Recipe()
    labels = _check(config, data, held_out)
    model = build_network(config, seed)
    if start is not None:
        model.load_state_dict(start.state_dict())
    set_bn_momentum(model, recipe.bn_momentum)
    steps = len(data) // recipe.batch or 1
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps * recipe.epochs)
    random = np.random.default_rng(seed)
    loss_mean = accuracy = 0.0
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        order = random.permutation(len(data))
        loss_sum, right, seen = 0.0, 0, 0
        for step in range(1, steps + 1):
            set_temperature(model, _temperature(recipe, config, (epoch - 1 + step / steps) / recipe.epochs))
            chosen = order[(step - 1) * recipe.batch : step * recipe.batch]
            images = torch.from_numpy(shift_at_random(data.images[chosen], random))
            target = labels[torch.from_numpy(chosen)]
            logits = model(images)
            loss = F.cross_entropy(logits, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            seen += len(chosen)
            loss_sum += float(loss.detach()) * len(chosen)
            right += int((logits.detach().argmax(1) == target).sum())
            loss_mean, accuracy = loss_sum / seen, right / seen
            if not math.isfinite(loss_mean):
                raise BadData(f"training diverged in epoch {epoch} (loss {loss_mean}); try a lower learning rate")
            if on_step is not None:
                on_step(Progress(epoch, recipe.epochs, step, steps, loss_mean, accuracy))
    estimate_bn_statistics(model, (shift_at_random(batch, random) for batch in data.batches(recipe.batch)))
    return model, Metrics(evaluate(model, held_out), accuracy, loss_mean, recipe.epochs, len(held_out))


def estimate_bn_statistics(model: nn.Module, batches: Iterable[Floats | Tensor]) -> None:
    """Set every BN's running statistics to the plain mean over these images; the model is left in inference mode.

    After training the running averages lag behind the weights; an untrained network has none at all. Each batch counts by
    its number of images; a single image left over at the end is passed over, since a BN on 1x1 maps has nothing to compare.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    seen = 0
    with torch.no_grad():
        for batch in batches:
            images = torch.as_tensor(batch)
            if len(images) == 1 and seen:
                continue
            seen += len(images)
            for norm in norms:
                norm.momentum = len(images) / seen
            _run_for_statistics(model, images)
    model.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    if not seen:
        raise BadData("BN statistics cannot be estimated from no image")


def _run_for_statistics(model: nn.Module, images: Tensor) -> None:
    try:
        model(images)
    except ValueError as error:  # torch: "Expected more than 1 value per channel when training"
        if len(images) > 1:
            raise
        raise BadData("BN statistics cannot be estimated from a single image at this resolution; give at least 2") from error


def evaluate(model: nn.Module, data: ImageSet, batch: int = 128) -> float:
    """The share of images whose largest logit is their label's."""
    if data.labels is None:
        raise BadData("these images have no labels, so there is no accuracy")
    right, start = 0, 0
    model.eval()
    with torch.no_grad():
        for images in data.batches(batch):
            found = model(torch.from_numpy(images)).argmax(1).numpy()
            right += int((found == data.labels[start : start + len(images)]).sum())
            start += len(images)
    return right / len(data)


def set_bn_momentum(model: nn.Module, momentum: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = momentum


def set_temperature(model: nn.Module, temperature: float) -> None:
    """T of every softmax over heads, where the network has one."""
    if isinstance(model, FlyNet):
        model.set_temperature(temperature)


def _temperature(recipe: Recipe, config: NetworkConfig, progress: float) -> float:
    """From the recipe's to the configuration's temperature along a cosine, `progress` 0 to 1."""
    end = getattr(config, "temperature", 1.0)
    return end + (recipe.temperature_start - end) * 0.5 * (1 + math.cos(math.pi * progress))


def _check(config: NetworkConfig, data: ImageSet, held_out: ImageSet) -> Tensor:
    """The training labels; BadData when the images do not fit the network."""
    for images in (data, held_out):
        if images.labels is None:
            raise BadData("training needs labelled images: one folder for each class")
        if images.images.shape[1:] != config.input_shape[1:]:
            raise BadData(f"images are {list(images.images.shape[1:])}, {config.name} takes {list(config.input_shape[1:])}")
        if images.labels.min() < 0 or images.labels.max() >= config.classes:
            raise BadData(f"labels reach {images.labels.max()}, the network has {config.classes} classes")
    if len(data) < 2:
        raise BadData("training needs at least 2 images")
    assert data.labels is not None
    return torch.from_numpy(data.labels)
