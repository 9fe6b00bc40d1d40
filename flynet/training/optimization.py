"""One step down the gradient: the optimizer, its schedule, mixed precision, and all of that as plain values.

A step whose gradients are not finite is passed over on every device, as torch's GradScaler does with float16.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import BadCheckpoint
from .precision import half_precision
from .recipe import Optimizer, Recipe, Schedule

MILESTONE_FACTOR = 0.1


class Optimization:
    """What makes the steps of a training over `epochs * steps` steps, after a recipe."""

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int, device: torch.device, mixed_precision: bool):
        self._parameters = list(model.parameters())
        self._clip_norm = recipe.clip_norm
        self._optimizer = _optimizer(self._parameters, recipe)
        self._schedule = _schedule(self._optimizer, recipe, steps)
        self._type = half_precision(device) if mixed_precision else None
        # bfloat16 has float32's range; float16 on a GPU needs its loss scaled
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._type is torch.float16)
        self._device = device

    @property
    def learning_rate(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def precision(self) -> torch.autocast:
        """The context for the forward pass."""
        return torch.autocast(self._device.type, self._type or torch.bfloat16, enabled=self._type is not None)

    def step(self, loss: Tensor) -> bool:
        """Whether the weights moved: where a gradient is not finite, only the schedule does."""
        self._optimizer.zero_grad()
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        taken = _are_finite([parameter.grad for parameter in self._parameters if parameter.grad is not None])
        if taken:
            if self._clip_norm:
                torch.nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
            self._scaler.step(self._optimizer)
        else:
            self._optimizer.zero_grad()
            self._optimizer.step()  # without gradients nothing moves; the schedule wants to have seen a step
        self._scaler.update()
        self._schedule.step()
        return taken

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


def _are_finite(gradients: list[Tensor]) -> bool:
    return bool(torch.nn.utils.get_total_norm(gradients, math.inf).isfinite())  # the largest magnitude, NaN where one is


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
