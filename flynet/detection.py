"""Training of a detector: the paper's fine-tuning schedule, and one for small data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import BadData, UsageError
from .blocks import BN_MOMENTUM
from .bn_statistics import estimate_bn_statistics, set_bn_momentum
from .boxes import Detections, average_precision
from .coco import CocoSet
from .detector import RetinaNet, build_detector
from .detector_config import DetectorConfig
from .model import FlyNet
from .recipe import SMALL_DATA_BN_MOMENTUM


@dataclass(frozen=True)
class DetectionRecipe:
    """How to fine-tune; the defaults are the paper's (section 4.2). The batch is ours: the paper does not say it.

    milestones  epochs after which the learning rate is multiplied by 0.1
    adaptive    AdamW in place of SGD with momentum 0.9
    bn_momentum  of the running statistics while training; afterwards they are estimated again in any case
    """

    epochs: int = 26
    batch: int = 16
    learning_rate: float = 2.5e-3
    milestones: tuple[int, ...] = (16, 22)
    weight_decay: float = 4e-5
    adaptive: bool = False
    bn_momentum: float = BN_MOMENTUM

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise UsageError(f"epochs and batch must be at least 1, not {self.epochs} and {self.batch}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"the learning rate must be above 0, not {self.learning_rate:g}")

    def scaled_to(self, epochs: int) -> DetectionRecipe:
        """The same schedule over another number of epochs."""
        milestones = tuple(round(milestone * epochs / self.epochs) for milestone in self.milestones)
        return replace(self, epochs=epochs, milestones=milestones)


PAPER = DetectionRecipe()
SMALL_DATA = DetectionRecipe(30, 8, 2e-3, (20, 27), weight_decay=1e-2, adaptive=True, bn_momentum=SMALL_DATA_BN_MOMENTUM)
MOMENTUM, CLIP_NORM = 0.9, 10.0
STATISTICS_PICTURES = 512  # for the estimate of the BN statistics after training


@dataclass(frozen=True)
class DetectionProgress:
    """One step; `loss` is the epoch's mean so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class DetectionMetrics:
    """`ap50` on the held-out pictures; `loss` is the last epoch's mean."""

    ap50: float
    loss: float
    epochs: int
    images: int


def train_detector(
    config: DetectorConfig,
    data: CocoSet,
    held_out: CocoSet,
    *,
    recipe: DetectionRecipe = PAPER,
    seed: int = 0,
    start: FlyNet | None = None,
    on_step: Callable[[DetectionProgress], None] | None = None,
) -> tuple[RetinaNet, DetectionMetrics]:
    """A trained detector in inference mode, and its AP50. Same seed and thread count, same weights.

    start  a trained classifier, whose stem and blocks the backbone begins with
    """
    if len(data.class_names) != config.classes or data.class_names != held_out.class_names:
        raise BadData("training and held-out pictures must have the detector's classes")
    model = build_detector(config, seed)
    set_bn_momentum(model, recipe.bn_momentum)
    if start is not None:
        kept = {name: value for name, value in start.state_dict().items() if not name.startswith("head.")}
        try:
            model.pyramid.body.load_state_dict(kept)
        except RuntimeError as error:
            raise UsageError(f"the given network is {start.config.name}, the backbone {config.backbone.name}") from error
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer: torch.optim.Optimizer = (
        torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        if recipe.adaptive
        else torch.optim.SGD(parameters, recipe.learning_rate, MOMENTUM, weight_decay=recipe.weight_decay)
    )
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(recipe.milestones), 0.1)
    random = np.random.default_rng(seed)
    steps = -(-len(data) // recipe.batch)
    mean = 0.0
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        total = 0.0
        for step, (images, targets) in enumerate(_batches(data, config, recipe.batch, random, random.permutation(len(data))), 1):
            if len(images) == 1:
                _freeze_norms(model)  # a batch norm on a map of 1x1 has nothing to compare
            loss = model.loss(images, targets)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
            optimizer.step()
            model.train()
            total += float(loss.detach())
            mean = total / step
            if not math.isfinite(mean):
                raise BadData(f"training diverged in epoch {epoch} (loss {mean}); try a lower learning rate")
            if on_step is not None:
                on_step(DetectionProgress(epoch, recipe.epochs, step, steps, mean))
        schedule.step()
    some = random.permutation(len(data))[:STATISTICS_PICTURES]
    estimate_bn_statistics(model, (images for images, _ in _batches(data, config, recipe.batch, random, some)))
    return model, DetectionMetrics(evaluate_detector(model, held_out), mean, recipe.epochs, len(held_out))


def evaluate_detector(model: RetinaNet, data: CocoSet) -> float:
    """AP50 of the pictures, in the network's pixels."""
    model.eval()
    found: list[Detections] = []
    truth = []
    for index in range(len(data)):
        image, boxes, labels = data.load(index, model.config.resolution, model.config.channels)
        found += model.detect(torch.from_numpy(image[None]))
        truth.append((boxes, labels))
    return average_precision(found, truth, model.config.classes)


def _batches(
    data: CocoSet, config: DetectorConfig, size: int, random: np.random.Generator, order: npt.NDArray[np.int64]
) -> Iterator[tuple[Tensor, list[tuple[Tensor, Tensor]]]]:
    """The pictures of `order`, each mirrored or not."""
    for begin in range(0, len(order), size):
        loaded = [
            data.load(int(index), config.resolution, config.channels, mirrored=bool(random.random() < 0.5))
            for index in order[begin : begin + size]
        ]
        images = torch.from_numpy(np.stack([image for image, _, _ in loaded]))
        yield images, [(torch.from_numpy(boxes), torch.from_numpy(labels)) for _, boxes, labels in loaded]


def _freeze_norms(model: RetinaNet) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
