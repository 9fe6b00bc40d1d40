"""`flynet-tiny train`: a classifier on the digits or a folder of pictures, or a detector on COCO's layout."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..deploy.console import Reporter
from ..errors import BadCheckpoint, BadData, UsageError
from ..flynet.data.image_folder import FolderStream
from ..flynet.data.images import digits
from ..flynet.networks.presets import preset
from ..flynet.training.recipe import Recipe, paper_recipe, small_recipe
from ..quoting import ForeignText
from ..sources.extras import require_torch
from .detecting import COCO, detector_training
from .request import TrainingRequest
from .training_run import Training, check_in_first_process, require_same, run_training

if TYPE_CHECKING:
    from torch import nn

    from ..flynet.networks.network_config import NetworkConfig
    from ..flynet.training.classification import LabelledImages

DIGITS = "digits"


def train_network(request: TrainingRequest) -> None:
    """Train on the request's data, print what was reached, and write the checkpoint whole or not at all."""
    asked = request.network.config()  # bad options, before anything is loaded
    require_torch()
    prepare = detector_training if request.data.startswith(COCO) else _classifier_training
    run_training(request, partial(prepare, request, asked))


def _classifier_training(request: TrainingRequest, asked: NetworkConfig, reporter: Reporter) -> Training:
    with reporter.step("data") as step:
        train_set, held_out = _images(request, asked.resolution, asked.channels)
        odd = check_in_first_process([part.check for part in (train_set, held_out) if isinstance(part, FolderStream)], step)
        step.say(f"{len(train_set):,} and {len(held_out):,} held-out images of {len(train_set.class_names)} classes", *odd)
    with reporter.step("network") as step:
        found = _prepared(request, train_set, held_out)
        step.say(f"{found.config.name}, {found.recipe.epochs} epochs in batches of {found.recipe.batch}")
    return found


def _prepared(request: TrainingRequest, train_set: LabelledImages, held_out: LabelledImages) -> Training:
    config = replace(request.network, classes=len(train_set.class_names)).config()
    from ..flynet.counts import count_params
    from ..flynet.register import build_network
    from ..flynet.training.classification import Metrics, Teacher, train_classifier

    recipe = _recipe(request, count_params(build_network(config, 0)))
    soft = request.teacher
    teacher = None if soft is None else Teacher(_teacher(soft.network, config), soft.distillation)
    return Training(
        config=config,
        recipe=recipe,
        class_names=train_set.class_names,
        held_out=f"{len(held_out)} held-out images",
        shown={"accuracy": "right"},
        train=partial(train_classifier, config, train_set, held_out, teacher=teacher),
        metrics=lambda epoch: Metrics.after(epoch, len(held_out)),
        start=partial(_start, request.start, config),
    )


def _images(request: TrainingRequest, resolution: int, channels: int) -> tuple[LabelledImages, LabelledImages]:
    """Training and held-out images: the digits' fixed split, or a folder's `train` and `val`."""
    if request.data == DIGITS:
        return digits(resolution, channels)
    root = Path(request.data)
    if not root.is_dir():
        raise BadData(f"{root} is not a folder; --data takes digits, a folder with train/CLASS/ and val/CLASS/, or coco:DIR")
    if not ((root / "train").is_dir() and (root / "val").is_dir()):
        raise BadData(f"{root} must hold the folders train/CLASS/ and val/CLASS/ with pictures")
    train_set, held_out = (
        FolderStream(root, resolution, channels, split, request.hardware.decoding_threads) for split in ("train", "val")
    )
    if train_set.class_names != held_out.class_names:
        (only, *others) = sorted(set(train_set.class_names) ^ set(held_out.class_names))
        split = "train" if only in train_set.class_names else "val"
        more = f" (and {len(others)} more)" if others else ""
        raise BadData(f"{root}: train and val must hold the same classes; {ForeignText(only)!r} is in {split} alone{more}")
    if len(train_set.class_names) < 2:
        raise BadData(f"{root} holds one class, {ForeignText(train_set.class_names[0])!r}; a classifier needs at least two")
    return train_set, held_out


def _recipe(request: TrainingRequest, params: int) -> Recipe:
    """The recipe by name (digits: small, folders: the paper's), with the options that were given."""
    name = request.recipe.name or ("small" if request.data == DIGITS else "paper")
    recipe = small_recipe() if name == "small" else paper_recipe(params, second_stage=request.start is not None)
    if name == "paper" and request.network.model is not None:
        recipe = replace(recipe, temperature_start=preset(request.network.model).temperature_start)
    return request.recipe.changed(recipe)


_NOT_IN_WEIGHTS = ("resolution", "temperature", "quantization_levels")


def _start(file: Path | None, config: NetworkConfig) -> nn.Module | None:
    from ..flynet.checkpoint import load_checkpoint

    if file is None:
        return None
    model, metadata = load_checkpoint(file)
    require_same(file, metadata.config, config, "--start needs the same", but=_NOT_IN_WEIGHTS)
    return model


def _teacher(name: str, config: NetworkConfig) -> nn.Module:
    """A checkpoint of ours, or `torchvision:NAME` with its own weights."""
    if name.startswith("torchvision:"):
        from ..flynet.detection.torchvision_import import import_torchvision

        models = import_torchvision("models")
        try:
            found: nn.Module = models.get_model(name.removeprefix("torchvision:"), weights="DEFAULT")
        except (ValueError, OSError) as error:
            raise UsageError(f"--teacher {name}: {str(error).splitlines()[0]}") from error
        _require_scores(name, found, config)
        return found
    from ..flynet.checkpoint import load_checkpoint

    model, metadata = load_checkpoint(Path(name))
    if (metadata.config.classes, metadata.config.input_shape) != (config.classes, config.input_shape):
        raise BadCheckpoint(
            f"teacher {name} takes {list(metadata.config.input_shape[1:])} to {metadata.config.classes} classes, "
            f"{config.name} takes {list(config.input_shape[1:])} to {config.classes}"
        )
    return model


def _require_scores(name: str, teacher: nn.Module, config: NetworkConfig) -> None:
    """UsageError where somebody else's network gives no scores of the student's classes for the student's images."""
    import torch

    try:
        with torch.no_grad():
            found = teacher.eval()(torch.zeros(config.input_shape))
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"--teacher {name} cannot take images of {list(config.input_shape[1:])}") from error
    shape = list(getattr(found, "shape", ()))
    if shape != [1, config.classes]:
        raise UsageError(f"--teacher {name} gives {shape}, which are not scores of the {config.classes} classes")
