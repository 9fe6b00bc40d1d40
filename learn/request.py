"""What the user asked for of a training. No torch here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..deploy.network import NetworkRequest
from ..flynet.training.recipe import Distillation, Recipe

MOST_DECODING_THREADS = 16


@dataclass(frozen=True)
class RecipeRequest:
    """A recipe by name ("small", "paper"; None: the data decide), and what to change in it (None: nothing)."""

    name: str | None = None
    epochs: int | None = None
    batch: int | None = None
    learning_rate: float | None = None

    def changed(self, recipe: Recipe) -> Recipe:
        return recipe.changed(self.epochs, self.batch, self.learning_rate)


@dataclass(frozen=True)
class TeacherRequest:
    """A network whose logits are learned too: a checkpoint, or `torchvision:NAME`."""

    network: str
    distillation: Distillation = Distillation()  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class Hardware:
    """Where a training runs: "auto", "cpu" or "cuda"; `workers` are threads that decode pictures, None: by the cores."""

    device: str = "auto"
    mixed_precision: bool = False
    workers: int | None = None

    @property
    def decoding_threads(self) -> int:
        """What was asked for, or this process' share of the machine's cores."""
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        return self.workers or max(1, min(MOST_DECODING_THREADS, (os.cpu_count() or 1) // processes))


@dataclass(frozen=True)
class TrainingRequest:
    """A training on `data` ("digits", a folder by splits and classes, or `coco:DIR`), whose network is written to `out`.

    start   a checkpoint whose weights the training begins with
    resume  go on where an interrupted training of `out` was stopped
    """

    data: str
    network: NetworkRequest
    out: Path
    recipe: RecipeRequest = RecipeRequest()
    teacher: TeacherRequest | None = None
    hardware: Hardware = Hardware()
    start: Path | None = None
    resume: bool = False
    seed: int = 0
    tensorboard: Path | None = None
