"""`flynet-tiny train`: images, a progress bar, a checkpoint."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadData, OutputFailed, UsageError
from ..flynet.data import ImageSet, digits, folder
from ..flynet.networks import NetworkConfig, config_to_dict
from .console import Reporter
from .detecting import COCO, train_on_coco
from .network import NetworkRequest

if TYPE_CHECKING:
    from torch import nn

    from ..flynet.train import Progress


def train_network(
    data: str,
    request: NetworkRequest,
    epochs: int | None,
    batch: int | None,
    seed: int,
    out: Path,
    start: Path | None = None,
) -> None:
    """Train on `data`, print what was reached, and write the checkpoint whole or not at all.

    start  a checkpoint whose weights the network (of a detector, the backbone) begins with
    """
    if data.startswith(COCO):
        train_on_coco(data, request, epochs, batch, out, start)
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

        first = None if start is None else _weights(start, config)
        model, metrics = train(config, train_set, held_out, recipe=recipe, seed=seed, start=first, on_step=on_step)
        save_checkpoint(out, model, Metadata(config, asdict(metrics), train_set.class_names, data))
        step.say(f"{config.name}, {metrics.accuracy:.2%} of {len(held_out)} held-out images right -> {out}")


_NOT_IN_WEIGHTS = ("resolution", "temperature", "quantization_levels")


def _weights(start: Path, config: NetworkConfig) -> nn.Module:
    """The checkpoint's network; UsageError when its weights are of another one."""
    from ..flynet.checkpoint import load_checkpoint

    model, metadata = load_checkpoint(start)
    given, wanted = config_to_dict(metadata.config), config_to_dict(config)
    for key in {**wanted, **given}:
        if key not in _NOT_IN_WEIGHTS and given.get(key) != wanted.get(key):
            raise UsageError(
                f"{start} has {key} {given.get(key)}, the network to train {wanted.get(key)}; --start needs the same"
            )
    return model


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
