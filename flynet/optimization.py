"""One step down the gradient: the optimizer, its schedule, mixed precision, and all of that as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import BadCheckpoint
from .recipe import Optimizer, Recipe, Schedule

MILESTONE_FACTOR = 0.1


class Optimization:
    """What makes the steps of a training over `epochs * steps` steps, after a recipe."""

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int, device: torch.device, mixed_precision: bool):
        self._parameters = list(model.parameters())
        self._clip_norm = recipe.clip_norm
        self._optimizer = _optimizer(self._parameters, recipe)
        self._schedule = _schedule(self._optimizer, recipe, steps)
        # bfloat16 has float32's range; float16 on a GPU needs its loss scaled
        self._type = torch.float16 if device.type == "cuda" else torch.bfloat16
        self._scaler = torch.amp.GradScaler(device.type, enabled=mixed_precision and device.type == "cuda")
        self._device, self._mixed_precision = device, mixed_precision

    @property
    def learning_rate(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def precision(self) -> torch.autocast:
        """The context for the forward pass."""
        return torch.autocast(self._device.type, self._type, enabled=self._mixed_precision)

    def step(self, loss: Tensor) -> None:
        self._optimizer.zero_grad()
        self._scaler.scale(loss).backward()
        if self._clip_norm:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._schedule.step()

    def state(self) -> dict[str, Mapping[str, Any]]:
        return {name: part.state_dict() for name, part in self._parts().items()}

    def restore(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Go on from what `state` gave; BadCheckpoint when it is of something else."""
        try:
            for name, part in self._parts().items():
                part.load_state_dict(dict(state[name]))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BadCheckpoint(f"the interrupted training's state is damaged: {error}") from error

    def _parts(self) -> dict[str, Any]:
        return {"optimizer": self._optimizer, "schedule": self._schedule, "scaler": self._scaler}


def _optimizer(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer is Optimizer.ADAMW:
        return torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(parameters, recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay)


def _schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    total = steps * recipe.epochs
    if recipe.schedule is Schedule.ONE_CYCLE:
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=total)
    if recipe.schedule is Schedule.COSINE:
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    at = [milestone * steps for milestone in recipe.milestones]
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, at, MILESTONE_FACTOR)
