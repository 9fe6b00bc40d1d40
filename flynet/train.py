"""The training loop: any recipe, one process or several, continued where it was stopped.

Everything random depends on the seed, the epoch and the images' indices, so that a resumed run and a run over several processes
see the same batches. BN statistics are re-estimated at the end: running averages lag behind the weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import BadCheckpoint, BadData
from .data import Floats, Indices
from .distributed import distribute, my_share, rank, summed, undistribute
from .networks import NetworkConfig, build_network
from .recipe import Distillation, Optimizer, Recipe

STATISTICS_IMAGES = 10_000  # enough for BN statistics


class TrainingImages(Protocol):
    """What trains: an ImageSet, or a FolderStream."""

    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def labels(self) -> npt.NDArray[np.int64] | None: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def training_batch(self, chosen: Indices, mine: slice, seed: int, epoch: int) -> Floats: ...
    def batches(self, size: int) -> Iterator[Floats]: ...


@dataclass(frozen=True)
class Progress:
    """One training step. `loss` and `accuracy` are running means over the epoch, of this process' images."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class EpochMetrics:
    """An epoch: mean loss, shares of images classified right while training and held out, and how fast it went."""

    epoch: int
    loss: float
    train_accuracy: float
    held_out_accuracy: float
    learning_rate: float
    temperature: float
    images_per_s: float


@dataclass(frozen=True)
class Metrics:
    """Shares of images classified right, and the last epoch's mean loss."""

    accuracy: float
    train_accuracy: float
    loss: float
    epochs: int
    images: int


@dataclass(frozen=True)
class TrainingState:
    """All that a training needs to go on after `epoch`, besides the weights; plain values and tensors only."""

    epoch: int
    recipe: Mapping[str, Any]
    seed: int
    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]
    scaler: Mapping[str, Any]
    random: Tensor
    history: tuple[Mapping[str, float], ...]

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "history": [dict(epoch) for epoch in self.history]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingState:
        return cls(**{**values, "history": tuple(values["history"])})


def train(
    config: NetworkConfig,
    data: TrainingImages,
    held_out: TrainingImages,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    start: nn.Module | None = None,
    resume: TrainingState | None = None,
    teacher: nn.Module | None = None,
    distillation: Distillation | None = None,
    device: torch.device | None = None,
    mixed_precision: bool = False,
    on_step: Callable[[Progress], None] | None = None,
    on_epoch: Callable[[nn.Module, TrainingState], None] | None = None,
) -> tuple[nn.Module, Metrics]:
    """A trained network in inference mode, and its accuracy on `held_out`. Same seed and thread count, same weights.

    start     weights to begin from: the paper trains with quantization noise in a second stage, from a float network
    resume    what `on_epoch` was given after an epoch, together with the weights of then as `start`
    teacher   its logits are the soft targets of `distillation`
    on_epoch  called by rank 0 after each epoch
    """
    recipe, device = recipe or Recipe(), device or torch.device("cpu")
    labels = _check(config, data, held_out)
    model = build_network(config, seed)
    if start is not None:
        model.load_state_dict(start.state_dict())
    set_bn_momentum(model, recipe.bn_momentum)
    model.to(device, memory_format=torch.channels_last if device.type == "cuda" else torch.preserve_format)
    loop = _Loop(model, recipe, max(1, len(data) // recipe.batch), device, mixed_precision)
    torch.manual_seed(seed)
    history: list[Mapping[str, float]] = []
    if resume is not None:
        history = list(loop.restore(resume, seed))
    share = my_share(min(recipe.batch, len(data)))
    soft = _Teacher(teacher.to(device).eval(), distillation or Distillation()) if teacher is not None else None
    for epoch in range(len(history) + 1, recipe.epochs + 1):
        began = time.monotonic()
        model.train()
        order = np.random.default_rng((seed, epoch)).permutation(len(data))
        loss_sum, right, seen = 0.0, 0, 0
        for step in range(1, loop.steps + 1):
            _set_temperature(model, recipe, config, (epoch - 1 + step / loop.steps) / recipe.epochs)
            chosen = order[(step - 1) * recipe.batch : step * recipe.batch]
            images = torch.from_numpy(data.training_batch(chosen, share, seed, epoch)).to(device)
            target = labels[torch.from_numpy(chosen[share])].to(device)
            loss, logits = loop.step(images, target, soft)
            seen += len(target)
            loss_sum += loss * len(target)
            right += int((logits.argmax(1) == target).sum())
            if not math.isfinite(loss_sum):
                raise BadData(f"training diverged in epoch {epoch} (loss {loss_sum / seen}); try a lower learning rate")
            if on_step is not None:
                on_step(Progress(epoch, recipe.epochs, step, loop.steps, loss_sum / seen, right / seen))
        loss_sum, all_right, all_seen = summed([loss_sum, right, seen], device)
        if rank() == 0:
            found = EpochMetrics(
                epoch, loss_sum / all_seen, all_right / all_seen, evaluate(model, held_out), loop.learning_rate,
                _temperature(recipe, config, epoch / recipe.epochs), all_seen / (time.monotonic() - began),
            )  # fmt: skip
            history.append(asdict(found))
            if on_epoch is not None:
                on_epoch(model, loop.state(epoch, seed, history))
        else:
            history.append({})
    undistribute(model)
    if rank() == 0:
        estimate_bn_statistics(model, _statistics_batches(data, recipe.batch, seed))
    model.eval()
    last = history[-1]
    accuracy = evaluate(model, held_out) if rank() == 0 else 0.0
    return model, Metrics(accuracy, last.get("train_accuracy", 0.0), last.get("loss", 0.0), recipe.epochs, len(held_out))


@dataclass(frozen=True, eq=False)
class _Teacher:
    model: nn.Module
    how: Distillation

    def loss(self, images: Tensor, logits: Tensor, hard: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.model(images)
        t = self.how.temperature
        soft = F.kl_div(F.log_softmax(logits / t, 1), F.log_softmax(wanted / t, 1), reduction="batchmean", log_target=True)
        return (1 - self.how.alpha) * hard + self.how.alpha * t * t * soft


class _Loop:
    """The optimizer, its schedule, and one step with them."""

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int, device: torch.device, mixed_precision: bool):
        self.steps = steps
        self._recipe, self._device, self._mixed = recipe, device, mixed_precision
        total = steps * recipe.epochs
        if recipe.optimizer is Optimizer.ADAMW_ONE_CYCLE:
            self._optimizer: torch.optim.Optimizer = torch.optim.AdamW(
                model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
            )
            self._schedule: Any = torch.optim.lr_scheduler.OneCycleLR(self._optimizer, recipe.learning_rate, total_steps=total)
        else:
            self._optimizer = torch.optim.SGD(
                model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
            )
            self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, total)
        # bfloat16 has float32's range; float16 on a GPU needs its loss scaled
        self._scaler = torch.amp.GradScaler(device.type, enabled=mixed_precision and device.type == "cuda")
        self._type = torch.float16 if device.type == "cuda" else torch.bfloat16
        self._model = distribute(model)

    @property
    def learning_rate(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def step(self, images: Tensor, target: Tensor, teacher: _Teacher | None) -> tuple[float, Tensor]:
        """One step down the gradient: (loss, logits)."""
        if self._device.type == "cuda":
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, self._type, enabled=self._mixed):
            logits = self._model(images)
            loss = F.cross_entropy(logits, target)
            if teacher is not None:
                loss = teacher.loss(images, logits, loss)
        self._optimizer.zero_grad()
        self._scaler.scale(loss).backward()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._schedule.step()
        return float(loss.detach()), logits.detach()

    def state(self, epoch: int, seed: int, history: list[Mapping[str, float]]) -> TrainingState:
        return TrainingState(
            epoch,
            _plain(self._recipe),
            seed,
            self._optimizer.state_dict(),
            self._schedule.state_dict(),
            self._scaler.state_dict(),
            torch.get_rng_state(),
            tuple(history),
        )

    def restore(self, state: TrainingState, seed: int) -> tuple[Mapping[str, float], ...]:
        if (dict(state.recipe), state.seed) != (_plain(self._recipe), seed):
            raise BadCheckpoint(
                "the interrupted training had another recipe or seed; give the same options, or leave --resume out"
            )
        try:
            self._optimizer.load_state_dict(dict(state.optimizer))
            self._schedule.load_state_dict(dict(state.schedule))
            self._scaler.load_state_dict(dict(state.scaler))
            torch.set_rng_state(state.random)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BadCheckpoint(f"the interrupted training's state is damaged: {error}") from error
        return state.history


def _plain(recipe: Recipe) -> dict[str, Any]:
    return {**asdict(recipe), "optimizer": recipe.optimizer.value}


def _statistics_batches(data: TrainingImages, batch: int, seed: int) -> Iterator[Floats]:
    """Images as in training, for BN statistics."""
    order = np.random.default_rng((seed, 0)).permutation(len(data))[:STATISTICS_IMAGES]
    for first in range(0, len(order), batch):
        yield data.training_batch(order[first : first + batch], slice(None), seed, 0)


def estimate_bn_statistics(model: nn.Module, batches: Iterable[Floats | Tensor]) -> None:
    """Set every BN's running statistics to the plain mean over these images; the model is left in inference mode.

    After training the running averages lag behind the weights; an untrained network has none at all. Each batch counts by
    its number of images; a single image left over at the end is passed over, since a BN on 1x1 maps has nothing to compare.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    device = next(model.parameters()).device
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    seen = 0
    with torch.no_grad():
        for batch in batches:
            images = torch.as_tensor(batch).to(device)
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


def evaluate(model: nn.Module, data: TrainingImages, batch: int = 128) -> float:
    """The share of images whose largest logit is their label's."""
    if data.labels is None:
        raise BadData("these images have no labels, so there is no accuracy")
    right, start = 0, 0
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        for images in data.batches(batch):
            found = model(torch.from_numpy(images).to(device)).argmax(1).cpu().numpy()
            right += int((found == data.labels[start : start + len(images)]).sum())
            start += len(images)
    return right / len(data)


def set_bn_momentum(model: nn.Module, momentum: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = momentum


def _set_temperature(model: nn.Module, recipe: Recipe, config: NetworkConfig, progress: float) -> None:
    """Anneal the softmax over heads, where the network has one."""
    if hasattr(model, "set_temperature"):
        model.set_temperature(_temperature(recipe, config, progress))


def _temperature(recipe: Recipe, config: NetworkConfig, progress: float) -> float:
    """From the recipe's to the configuration's temperature along a cosine, `progress` 0 to 1."""
    last = float(getattr(config, "temperature", 1.0))
    return last + (recipe.temperature_start - last) * 0.5 * (1 + math.cos(math.pi * progress))


def _check(config: NetworkConfig, data: TrainingImages, held_out: TrainingImages) -> Tensor:
    """The training labels; BadData when the images do not fit the network."""
    for images in (data, held_out):
        if images.labels is None:
            raise BadData("training needs labelled images: one folder for each class")
        if tuple(images.shape) != tuple(config.input_shape[1:]):
            raise BadData(f"images are {list(images.shape)}, {config.name} takes {list(config.input_shape[1:])}")
        if images.labels.min() < 0 or images.labels.max() >= config.classes:
            raise BadData(f"labels reach {images.labels.max()}, the network has {config.classes} classes")
    if len(data) < 2:
        raise BadData("training needs at least 2 images")
    assert data.labels is not None
    return torch.from_numpy(data.labels)
