"""The training loop, for any task: any recipe, one process or several, continued where it was stopped.

Everything random depends on the seed, the epoch and the images' indices, so that a resumed run and a run over several processes
see the same batches. After each epoch a copy of the network is finished as if training ended there: BN statistics are estimated
anew, since running averages lag behind the weights. Such copies are measured on held-out images, and kept as best and last.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import BadData, Diverged
from ..data.images import Floats, Indices
from ..networks.bn_statistics import estimate_bn_statistics, set_bn_momentum
from .distributed import distribute, my_share, rank, summed, undistribute
from .optimization import Optimization
from .settings import TrainingSettings
from .state import Best, Progress, TrainingState

# Enough for BN statistics: "Rethinking 'Batch' in BatchNorm" finds no gain from more than some thousand images
STATISTICS_IMAGES = 4096
# a batch of few images has less variance than all images have: a detector trained in eights lost half its AP to such statistics
STATISTICS_BATCH = 64
# Steps without finite gradients that are passed over: the scale of float16 begins at 2^16, and each halves it
MOST_SKIPPED_IN_A_ROW = 20

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Batch:
    """images [N, C, H, W], and for each of them what the network should say: the task's own."""

    images: Floats
    targets: Any


@dataclass(frozen=True, eq=False)
class Outcome:
    """Of one batch: the mean loss, and how many images were classified right, for tasks that classify."""

    loss: Tensor
    right: int | None = None


class Task(Protocol):
    """What a network is trained to do, and on which images.

    score  which figure of `measure` says how good an epoch is
    """

    @property
    def score(self) -> str: ...

    def __len__(self) -> int:
        """How many images there are to train on."""
        ...

    def batch(self, chosen: Indices, mine: slice, seed: int, epoch: int) -> Batch:
        """The images of `chosen[mine]`, augmented. It is called ahead, from another thread."""
        ...

    def prepare(self, model: nn.Module, progress: float) -> None:
        """Before each step; `progress` goes from 0 to 1 over the whole training."""
        ...

    def outcome(self, forward: nn.Module, images: Tensor, targets: Any) -> Outcome:
        """The mean over the processes of their losses is that of the whole batch."""
        ...

    def finish(self, model: nn.Module) -> None:
        """Give a copy of the network what it will have after the last step, besides weights."""
        ...

    def figures(self) -> Mapping[str, float]:
        """What else the history should hold of the epoch under way."""
        ...

    def measure(self, model: nn.Module) -> Mapping[str, float]:
        """How well a finished network does on held-out images. All processes call it."""
        ...


def train(task: Task, model: nn.Module, settings: TrainingSettings) -> tuple[Mapping[str, float], ...]:
    """Train `model`, and leave it in inference mode: a line of figures for each epoch.

    `model` has the weights to begin from; `settings.start` is not looked at.
    """
    recipe, seed, resume = settings.recipe, settings.seed, settings.resume
    if len(task) < 2:
        raise BadData("training needs at least 2 images")
    device = settings.device or torch.device("cpu")
    size, steps = min(recipe.batch, len(task)), max(1, len(task) // recipe.batch)
    set_bn_momentum(model, recipe.bn_momentum)
    model.to(device, memory_format=torch.channels_last if device.type == "cuda" else torch.preserve_format)  # type: ignore[call-overload]
    optimization = Optimization(model, recipe, steps, device, settings.mixed_precision)
    history: list[Mapping[str, float]] = []
    best: Best | None = None
    if resume is not None:
        resume.require(recipe, seed, steps)
        resume.best.require(model)
        optimization.restore(resume.optimization)
        history, best = list(resume.history), resume.best
    forward = distribute(model)
    skipped = _Skipped()
    finished: nn.Module | None = None
    for epoch in range(len(history) + 1, recipe.epochs + 1):
        began, mean = time.monotonic(), _Mean(epoch)
        torch.manual_seed(int(np.random.default_rng((seed, epoch, rank())).integers(2**32)))  # Dropout
        model.train()
        skipped.in_epoch = 0
        for step, batch in enumerate(_batches(task, size, steps, seed, epoch), 1):
            task.prepare(model, (epoch - 1 + step / steps) / recipe.epochs)
            with optimization.precision():
                outcome = task.outcome(forward, to_device(batch.images, device), batch.targets)
            skipped.count(optimization.step(outcome.loss), epoch)
            mean.add(outcome, len(batch.images))
            if settings.on_step is not None:
                settings.on_step(Progress(epoch, recipe.epochs, step, steps, mean.loss, mean.accuracy))
        _require_numbers(model, epoch)
        mean.over_all_processes(device)
        seconds = time.monotonic() - began
        finished = _finished(task, model, seed, epoch)
        measured = task.measure(finished)
        best = _better(best, finished, epoch, measured[task.score])
        figures = {"epoch": epoch, **mean.figures(), "skipped_steps": skipped.in_epoch, **measured, **task.figures()}
        history.append({**figures, "learning_rate": optimization.learning_rate, "images_per_s": mean.images / seconds})
        if settings.on_epoch is not None and rank() == 0:
            state = TrainingState(epoch, recipe.as_dict(), seed, steps, optimization.state(), tuple(history), best)
            settings.on_epoch(model, state)
    undistribute(model)
    if sum(line["skipped_steps"] for line in history) == len(history) * steps:
        raise _diverged(recipe.epochs, "no step had finite gradients")
    finished = finished or _finished(task, model, seed, recipe.epochs)
    model.load_state_dict(finished.state_dict())
    task.finish(model)
    model.eval()
    return tuple(history)


def _finished(task: Task, model: nn.Module, seed: int, epoch: int) -> nn.Module:
    """What would be saved if training ended here, as a network of its own; the same in every process."""
    made = copy.deepcopy(model)
    undistribute(made)
    task.finish(made)
    estimate_bn_statistics(made, _statistics_images(task, seed))
    _require_numbers(made, epoch)
    return made


def _better(best: Best | None, finished: nn.Module, epoch: int, score: float) -> Best:
    """Of equals the later: it has been trained longer."""
    if best is not None and score < best.score:
        return best
    weights = {name: values.detach().cpu().clone() for name, values in finished.state_dict().items()}
    return Best(epoch, float(score), weights)


class _Skipped:
    """Counts the steps that were passed over, in the epoch and in a row."""

    def __init__(self) -> None:
        self.in_epoch, self._in_a_row = 0, 0

    def count(self, taken: bool, epoch: int) -> None:
        self.in_epoch += not taken
        self._in_a_row = 0 if taken else self._in_a_row + 1
        if self._in_a_row == MOST_SKIPPED_IN_A_ROW:
            raise _diverged(epoch, f"{MOST_SKIPPED_IN_A_ROW} steps in a row had gradients that are not finite")


def to_device(images: Floats, device: torch.device) -> Tensor:
    found = torch.from_numpy(images).to(device)
    return found.contiguous(memory_format=torch.channels_last) if device.type == "cuda" else found


class _Mean:
    """Loss and accuracy over an epoch's images so far."""

    def __init__(self, epoch: int):
        self.images, self._epoch = 0, epoch
        self._loss_sum, self._right, self._classifies = 0.0, 0, False

    def add(self, outcome: Outcome, images: int) -> None:
        self.images += images
        self._loss_sum += float(outcome.loss.detach()) * images
        if outcome.right is not None:
            self._classifies = True
            self._right += outcome.right
        if not math.isfinite(self._loss_sum):
            raise _diverged(self._epoch, f"loss {self.loss}")

    def over_all_processes(self, device: torch.device) -> None:
        self._loss_sum, right, images = summed([self._loss_sum, self._right, self.images], device)
        self._right, self.images = int(right), int(images)

    @property
    def loss(self) -> float:
        return self._loss_sum / self.images

    @property
    def accuracy(self) -> float | None:
        return self._right / self.images if self._classifies else None

    def figures(self) -> dict[str, float]:
        return {"loss": self.loss} | ({} if self.accuracy is None else {"train_accuracy": self.accuracy})


def _require_numbers(model: nn.Module, epoch: int) -> None:
    """Diverged where a weight or a statistic is none: after the last step there is no loss that would tell."""
    for name, values in model.state_dict().items():
        if not bool(values.isfinite().all()):
            raise _diverged(epoch, f"{name} is not finite")


def _diverged(epoch: int, sign: str) -> Diverged:
    return Diverged(f"training diverged in epoch {epoch} ({sign}); begin again with a lower learning rate")


def _batches(task: Task, size: int, steps: int, seed: int, epoch: int) -> Iterator[Batch]:
    """This process' shares of the epoch's batches; the last images of the epoch's order that fill none are left out."""
    order, share = np.random.default_rng((seed, epoch)).permutation(len(task)), my_share(size)
    return ahead(lambda step: task.batch(order[step * size : (step + 1) * size], share, seed, epoch), steps)


def ahead(make: Callable[[int], T], count: int) -> Iterator[T]:
    """make(0) to make(count - 1), each begun while the one before is in use: never more than two in memory."""
    if not count:
        return
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(make, 0)
        for index in range(1, count):
            current, following = following.result(), pool.submit(make, index)
            yield current
        yield following.result()


def _statistics_images(task: Task, seed: int) -> Iterator[Floats]:
    """Images as in training, for BN statistics, in batches of their own size."""
    order = np.random.default_rng((seed, 0)).permutation(len(task))[:STATISTICS_IMAGES]
    for first in range(0, len(order), STATISTICS_BATCH):
        yield task.batch(order[first : first + STATISTICS_BATCH], slice(None), seed, 0).images
