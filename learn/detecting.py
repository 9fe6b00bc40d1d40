"""`flynet-tiny train --data coco:DIR`: a detector on the network's backbone, and a checkpoint for `export --backbone`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..deploy.console import Reporter
from ..errors import BadData, UsageError
from ..flynet.detection.coco import CocoSet, load_coco
from ..flynet.detection.detector_config import DetectorConfig
from ..flynet.networks.flynet_config import FlyNetConfig
from ..flynet.networks.network_config import NetworkConfig
from ..flynet.training.recipe import Recipe, paper_detection_recipe, small_detection_recipe
from .request import TrainingRequest
from .training_run import Training, check_in_first_process, require_same

if TYPE_CHECKING:
    from torch import nn

COCO = "coco:"
SMALL_DATA_PICTURES = 2000  # fewer pictures are trained with the recipe for small data


def detector_training(request: TrainingRequest, asked: NetworkConfig, reporter: Reporter) -> Training:
    """A RetinaNet on the pictures of a COCO folder, judged by COCO's average precision."""
    if not isinstance(asked, FlyNetConfig):
        raise UsageError(f"detection needs a FlyNet's backbone; {asked.name} is not one")
    if request.teacher is not None:
        raise UsageError("--teacher is for classifiers; a detector begins with a trained classifier: --start")
    root = Path(request.data.removeprefix(COCO))
    with reporter.step("data") as step, ThreadPoolExecutor(request.hardware.decoding_threads) as pool:
        train_set, held_out = load_coco(root, "train"), load_coco(root, "val")
        if train_set.class_names != held_out.class_names:
            raise BadData(f"{root}: the training and the validation pictures do not have the same categories")
        odd = check_in_first_process([partial(part.check, pool) for part in (train_set, held_out)], step)
        step.say(f"{len(train_set):,} and {len(held_out):,} held-out pictures of {len(train_set.class_names)} categories", *odd)
    config = DetectorConfig(asked, len(train_set.class_names))
    from ..flynet.training.detection import DetectionMetrics, train_detector

    recipe = _recipe(request, train_set)
    return Training(
        config=config,
        recipe=recipe,
        class_names=train_set.class_names,
        held_out=f"{len(held_out)} held-out pictures",
        shown={"ap": "AP", "ap50": "AP50", "ap75": "AP75"},
        train=partial(train_detector, config, train_set, held_out, workers=request.hardware.decoding_threads),
        metrics=lambda epoch: DetectionMetrics.after(epoch, len(held_out)),
        start=partial(_start, request.start, config),
    )


def _recipe(request: TrainingRequest, train_set: CocoSet) -> Recipe:
    name = request.recipe.name or ("small" if len(train_set) < SMALL_DATA_PICTURES else "paper")
    recipe = small_detection_recipe() if name == "small" else paper_detection_recipe()
    return request.recipe.changed(recipe)


def _start(file: Path | None, config: DetectorConfig) -> nn.Module | None:
    """A classifier's checkpoint for the backbone to begin with (the paper fine-tunes such a one), or a detector's."""
    from ..flynet.checkpoint import load_checkpoint

    if file is None:
        return None
    model, metadata = load_checkpoint(file)
    given = metadata.config
    if isinstance(given, FlyNetConfig):
        if _backbone(given) != _backbone(config.backbone):
            raise UsageError(f"{file} is {given.name}, which is not the network asked for, {config.backbone.name}")
    elif isinstance(given, DetectorConfig):
        require_same(file, given, config, "--start needs the same", but=("resolution",))
    else:
        raise UsageError(f"{file} is a {given.name}; a detector begins with a FlyNet's checkpoint")
    return model


def _backbone(config: FlyNetConfig) -> FlyNetConfig:
    """What the backbone's weights depend on."""
    return replace(config, resolution=224, classes=2, quantization_levels=0)
