"""How a training is run, whatever is trained. No torch here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .recipe import Recipe
from .state import Progress, TrainingState

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, eq=False)
class TrainingSettings:
    """The same recipe, seed and thread count give the same weights.

    start     weights to begin from: the paper trains with quantization noise in a second stage, from a float network
    resume    what `on_epoch` was given after an epoch, together with the weights of then as `start`
    device    None is the processor
    on_epoch  called by rank 0 after each epoch, with the model as it trains on
    """

    recipe: Recipe
    seed: int = 0
    start: nn.Module | None = None
    resume: TrainingState | None = None
    device: torch.device | None = None
    mixed_precision: bool = False
    on_step: Callable[[Progress], None] | None = None
    on_epoch: Callable[[nn.Module, TrainingState], None] | None = None
