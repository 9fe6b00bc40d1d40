"""What a training says while it runs, and what it keeps after each epoch to go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import BadCheckpoint
from .recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Progress:
    """One step. `loss` and `accuracy` (None where nothing is classified) are means over the epoch, of this process' images."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float | None


@dataclass(frozen=True, eq=False)
class Best:
    """The network after the epoch that did best on held-out images: finished weights, as a checkpoint holds them."""

    epoch: int
    score: float
    weights: Mapping[str, Tensor]

    def as_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "score": self.score, "weights": dict(self.weights)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Best:
        return cls(int(values["epoch"]), float(values["score"]), dict(values["weights"]))

    def require(self, model: nn.Module) -> None:
        """BadCheckpoint when these are the weights of another network."""
        wanted = {name: (values.shape, values.dtype) for name, values in model.state_dict().items()}
        found = {name: (getattr(v, "shape", None), getattr(v, "dtype", None)) for name, v in self.weights.items()}
        if wanted != found:
            raise BadCheckpoint("the interrupted training's best epoch is of another network")


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
    best: Best

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "history": [dict(epoch) for epoch in self.history], "best": self.best.as_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingState:
        """The state that `as_dict` wrote; BadCheckpoint when it is none."""
        try:
            return cls(**{**values, "history": tuple(values["history"]), "best": Best.from_dict(values["best"])})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
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
