"""How to train: the paper's recipes for classifiers and detectors, and those for small data. No torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

from ...errors import UsageError

SMALL_DATA_BN_MOMENTUM = 0.1
PAPER_BN_MOMENTUM = 0.01
DETECTION_CLIP_NORM = 10.0
SMALL_MODEL_PARAMS = 1_600_000  # below, the paper regularizes less (section 4.1)


class Optimizer(Enum):
    """What takes the steps."""

    ADAMW = "adamw"
    SGD = "sgd"


class Schedule(Enum):
    """The learning rate's course, step by step."""

    ONE_CYCLE = "one cycle"
    COSINE = "cosine"
    MILESTONES = "milestones"


@dataclass(frozen=True)
class Distillation:
    """The loss is (1 - alpha) * cross entropy + alpha * T^2 * KL(teacher || student), both softened by the temperature T.

    Source: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network".
    """

    temperature: float = 4.0
    alpha: float = 0.5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UsageError(f"the distillation's temperature must be above 0, not {self.temperature:g}")
        if not 0 <= self.alpha <= 1:
            raise UsageError(f"the distillation's alpha must be 0 to 1, not {self.alpha:g}")


@dataclass(frozen=True)
class Recipe:
    """The defaults are the small-data preset.

    temperature_start  T of the softmax over heads falls along a cosine from here to the configuration's
    milestones         epochs after which the learning rate is multiplied by 0.1
    clip_norm          the gradient is never longer than this; 0 is no limit
    """

    epochs: int = 10
    batch: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    temperature_start: float = 1.0
    bn_momentum: float = SMALL_DATA_BN_MOMENTUM
    optimizer: Optimizer = Optimizer.ADAMW
    schedule: Schedule = Schedule.ONE_CYCLE
    momentum: float = 0.9  # of SGD
    milestones: tuple[int, ...] = ()
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"epochs must be at least 1, not {self.epochs}")
        if self.batch < 2:
            raise UsageError(f"the batch must hold at least 2 images, not {self.batch}: batch normalization compares them")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"the learning rate must be above 0, not {self.learning_rate:g}")

    def changed(self, epochs: int | None = None, batch: int | None = None, learning_rate: float | None = None) -> Recipe:
        """With what is given in place of its own; the milestones keep their places in the whole."""
        epochs = self.epochs if epochs is None else epochs
        batch = self.batch if batch is None else batch
        learning_rate = self.learning_rate if learning_rate is None else learning_rate
        milestones = tuple(round(at * epochs / self.epochs) for at in self.milestones)
        return replace(self, epochs=epochs, batch=batch, learning_rate=learning_rate, milestones=milestones)

    def as_dict(self) -> Mapping[str, Any]:
        """Plain values, for a checkpoint."""
        plain = {"optimizer": self.optimizer.value, "schedule": self.schedule.value, "milestones": list(self.milestones)}
        return {**asdict(self), **plain}


def paper_detection_recipe() -> Recipe:
    """FlyNet paper, section 4.2. The batch and the limit of the gradient are ours: the paper does not say them."""
    return Recipe(
        epochs=26,
        batch=16,
        learning_rate=2.5e-3,
        weight_decay=4e-5,
        bn_momentum=PAPER_BN_MOMENTUM,
        optimizer=Optimizer.SGD,
        schedule=Schedule.MILESTONES,
        milestones=(16, 22),
        clip_norm=DETECTION_CLIP_NORM,
    )


def small_detection_recipe() -> Recipe:
    """AdamW with two milestones: some hundred pictures."""
    return Recipe(
        epochs=30,
        batch=8,
        learning_rate=2e-3,
        schedule=Schedule.MILESTONES,
        milestones=(20, 27),
        clip_norm=DETECTION_CLIP_NORM,
    )


def small_recipe() -> Recipe:
    """AdamW with one cycle: some thousand images, some minutes on a CPU."""
    return Recipe()


def paper_recipe(params: int, second_stage: bool = False) -> Recipe:
    """FlyNet paper, section 4.1: momentum SGD, cosine from 0.4, 150 epochs of mini-batches of 64, weight decay by size.

    second_stage  from a pretrained float network with quantization noise: momentum 0.9 instead of 0.2 (section 4.3)
    """
    return Recipe(
        epochs=150,
        batch=64,
        learning_rate=0.4,
        weight_decay=1e-5 if params < SMALL_MODEL_PARAMS else 4e-5,
        temperature_start=10.0,
        bn_momentum=PAPER_BN_MOMENTUM,
        optimizer=Optimizer.SGD,
        schedule=Schedule.COSINE,
        momentum=0.9 if second_stage else 0.2,
    )
