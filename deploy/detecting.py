"""`flynet-tiny train --data coco:DIR`: a detector on the network's backbone, and a checkpoint for `export --backbone`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..errors import OutputFailed, UsageError
from ..flynet.coco import CocoSet, load_coco
from ..flynet.config import FlyNetConfig
from ..flynet.detector_config import DetectorConfig
from .console import Reporter
from .network import NetworkRequest

if TYPE_CHECKING:
    from ..flynet.detection import DetectionProgress, DetectionRecipe
    from ..flynet.model import FlyNet

COCO = "coco:"
SMALL_DATA_PICTURES = 2000  # fewer pictures are trained with the schedule for small data


def train_on_coco(
    data: str, request: NetworkRequest, epochs: int | None, batch: int | None, out: Path, start: Path | None = None
) -> None:
    """Train a RetinaNet on the pictures of a COCO folder, print AP50, and write the checkpoint whole or not at all.

    data   "coco:DIR";  start: a classifier's checkpoint for the backbone to begin with (the paper fine-tunes such a one)
    """
    asked = request.config()
    if not isinstance(asked, FlyNetConfig):
        raise UsageError(f"detection needs a FlyNet's backbone; {asked.name} is none")
    _require_writable(out)
    reporter = Reporter()
    root = Path(data.removeprefix(COCO))
    train_set, held_out = load_coco(root, "train"), load_coco(root, "val")
    config = DetectorConfig(asked, len(train_set.class_names))
    with reporter.step("train") as step:
        from ..flynet.checkpoint import Metadata, save_checkpoint
        from ..flynet.detection import train_detector

        recipe = _recipe(train_set, epochs, batch)
        network = None if start is None else _classifier(start)
        if network is not None:
            given = replace(network.config, resolution=asked.resolution, classes=asked.classes)
            if given != replace(asked, classes=asked.classes):
                raise UsageError(f"{start} is {given.name}, which is not the network asked for, {asked.name}")

        def on_step(progress: DetectionProgress) -> None:
            step.progress((progress.epoch - 1) * progress.steps + progress.step, progress.epochs * progress.steps)
            if progress.step == progress.steps:
                reporter.line("", f"epoch {progress.epoch:>3}  loss {progress.loss:.3f}")

        model, metrics = train_detector(
            config, train_set, held_out, recipe=recipe, seed=request.seed, start=network, on_step=on_step
        )
        save_checkpoint(out, model, Metadata(config, asdict(metrics), train_set.class_names, data))
        step.say(f"{config.name}, AP50 {metrics.ap50:.1%} of {len(held_out)} held-out pictures -> {out}")


def _recipe(train_set: CocoSet, epochs: int | None, batch: int | None) -> DetectionRecipe:
    from ..flynet.detection import PAPER, SMALL_DATA

    recipe = SMALL_DATA if len(train_set) < SMALL_DATA_PICTURES else PAPER
    if epochs is not None:
        recipe = recipe.scaled_to(epochs)
    return recipe if batch is None else replace(recipe, batch=batch)


def _classifier(path: Path) -> FlyNet:
    from ..flynet.checkpoint import load_checkpoint

    model, metadata = load_checkpoint(path)
    if not isinstance(metadata.config, FlyNetConfig):
        raise UsageError(f"{path} is a {metadata.config.name}; a detector begins with a FlyNet's checkpoint")
    return cast("FlyNet", model)


def _require_writable(out: Path) -> None:
    """Fail before the training, not after it."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        probe = out.with_name(f".{out.name}.probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputFailed(f"cannot write {out}: {error.strerror}") from error
