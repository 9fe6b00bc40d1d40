"""What a training says while it runs, and what it keeps after each epoch to go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BadCheckpoint
from .recipe import Recipe


@dataclass(frozen=True)
class Progress:
    """One step. `loss` and `accuracy` (None where nothing is classified) are means over the epoch, of this process' images."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float | None


@dataclass(frozen=True)
class TrainingState:
    """All that a training needs to go on after `epoch`, besides the weights; plain values and tensors only.

    history  a line of figures for each epoch
    """

    epoch: int
    recipe: Mapping[str, Any]
    seed: int
    steps: int
    optimization: Mapping[str, Mapping[str, Any]]
    history: tuple[Mapping[str, float], ...]

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "history": [dict(epoch) for epoch in self.history]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingState:
        """The state that `as_dict` wrote; BadCheckpoint when it is none."""
        try:
            return cls(**{**values, "history": tuple(values["history"])})
        except (KeyError, TypeError) as error:
            raise BadCheckpoint(f"the interrupted training's state is damaged: {error}") from error

    def require(self, recipe: Recipe, seed: int, steps: int) -> None:
        """BadCheckpoint when the training to go on with is another one."""
        if (dict(self.recipe), self.seed) != (recipe.as_dict(), seed):
            raise BadCheckpoint(
                "the interrupted training had another recipe or seed; give the same options, or leave --resume out"
            )
        if self.steps != steps:
            raise BadCheckpoint(
                f"the interrupted training had {self.steps} steps in an epoch, these images give {steps}; "
                "give the same images, or leave --resume out"
            )
