"""`flynet-tiny train`: images, a progress bar, a checkpoint."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadData, OutputFailed
from ..flynet.data import ImageSet, digits, folder
from .console import Reporter
from .detecting import COCO, train_on_coco
from .network import NetworkRequest

if TYPE_CHECKING:
    from ..flynet.train import Progress


def train_network(
    data: str,
    request: NetworkRequest,
    epochs: int | None,
    batch: int | None,
    seed: int,
    out: Path,
) -> None:
    """Train on `data`, print what was reached, and write the checkpoint whole or not at all."""
    if data.startswith(COCO):
        train_on_coco(data, request, epochs, batch, out)
        return
    asked = request.config()  # bad options, before anything is loaded
    _require_writable(out)
    reporter = Reporter()
    train_set, held_out = _images(data, asked.resolution, asked.channels)
    config = replace(request, classes=len(train_set.class_names)).config()
    with reporter.step("train") as step:
        from ..flynet.checkpoint import Metadata, save_checkpoint
        from ..flynet.train import Recipe, train

        recipe = Recipe()
        if epochs is not None:
            recipe = replace(recipe, epochs=epochs)
        if batch is not None:
            recipe = replace(recipe, batch=batch)

        def on_step(progress: Progress) -> None:
            step.progress((progress.epoch - 1) * progress.steps + progress.step, progress.epochs * progress.steps)
            if progress.step == progress.steps:
                reporter.line("", f"epoch {progress.epoch:>3}  loss {progress.loss:.3f}  training {progress.accuracy:.2%}")

        model, metrics = train(config, train_set, held_out, recipe=recipe, seed=seed, on_step=on_step)
        save_checkpoint(out, model, Metadata(config, asdict(metrics), train_set.class_names, data))
        step.say(f"{config.name}, {metrics.accuracy:.2%} of {len(held_out)} held-out images right -> {out}")


def _images(data: str, resolution: int, channels: int) -> tuple[ImageSet, ImageSet]:
    """Training and held-out images: the digits' fixed split, or a folder's `train` and `val`."""
    if data == "digits":
        return digits(resolution, channels)
    root = Path(data)
    if not ((root / "train").is_dir() and (root / "val").is_dir()):
        raise BadData(f"{root} must hold the folders train/CLASS/ and val/CLASS/ with pictures")
    train_set = folder(root, resolution, channels, split="train")
    held_out = folder(root, resolution, channels, split="val")
    if train_set.class_names != held_out.class_names:
        raise BadData(f"{root}/train and {root}/val do not hold the same classes")
    return train_set, held_out


def _require_writable(out: Path) -> None:
    """Fail before the training, not after it."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        probe = out.with_name(f".{out.name}.probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputFailed(f"cannot write {out}: {error.strerror}") from error
