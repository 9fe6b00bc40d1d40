"""How to train: the paper's recipe, and one for small data. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from ..errors import UsageError

SMALL_DATA_BN_MOMENTUM = 0.1
PAPER_BN_MOMENTUM = 0.01
SMALL_MODEL_PARAMS = 1_600_000  # below, the paper regularizes less (section 4.1)


class Optimizer(Enum):
    """The optimizer and its learning rate's course."""

    ADAMW_ONE_CYCLE = "adamw"
    SGD_COSINE = "sgd"


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
    """

    epochs: int = 10
    batch: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    temperature_start: float = 1.0
    bn_momentum: float = SMALL_DATA_BN_MOMENTUM
    optimizer: Optimizer = Optimizer.ADAMW_ONE_CYCLE
    momentum: float = 0.9  # of SGD

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"epochs must be at least 1, not {self.epochs}")
        if self.batch < 2:
            raise UsageError(f"the batch must hold at least 2 images, not {self.batch}: batch normalization compares them")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"the learning rate must be above 0, not {self.learning_rate:g}")


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
        optimizer=Optimizer.SGD_COSINE,
        momentum=0.9 if second_stage else 0.2,
    )
