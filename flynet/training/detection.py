"""Training of a detector: its loss over all processes' objects, and COCO's average precision of held-out pictures."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import BadData, UsageError
from ..data.images import Floats, Indices
from ..detection.average_precision import AveragePrecision, average_precision
from ..detection.coco import CocoSet
from ..detection.detector import RetinaNet, build_detector
from ..detection.detector_config import DetectorConfig
from ..detection.objects import Detections, Objects
from ..networks.flynet import FlyNet
from .distributed import gathered, rank, summed, world_size
from .loop import Batch, Outcome, ahead, to_device, train
from .settings import TrainingSettings

EVALUATION_BATCH = 16


@dataclass(frozen=True)
class DetectionMetrics:
    """Average precision on the held-out pictures, and the last epoch's mean loss."""

    ap: float
    ap50: float
    ap75: float
    loss: float
    epochs: int
    images: int

    @classmethod
    def after(cls, epoch: Mapping[str, float], images: int) -> DetectionMetrics:
        """Those of a line of the history."""
        return cls(epoch["ap"], epoch["ap50"], epoch["ap75"], epoch["loss"], int(epoch["epoch"]), images)


def train_detector(
    config: DetectorConfig, train_set: CocoSet, held_out: CocoSet, settings: TrainingSettings, workers: int = 2
) -> tuple[RetinaNet, DetectionMetrics]:
    """A trained detector in inference mode, and its average precision.

    The settings' `start` is a classifier, whose stem and blocks the backbone begins with, or a detector.
    workers  threads that decode pictures
    """
    if len(train_set.class_names) != config.classes or train_set.class_names != held_out.class_names:
        raise BadData("training and held-out pictures must have the detector's classes")
    model = build_detector(config, settings.seed)
    if settings.start is not None:
        _begin_with(model, settings.start)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        history = train(_Detection(model, train_set, held_out, pool), model, settings)
    return model, DetectionMetrics.after(history[-1], len(held_out))


def evaluate_detector(model: RetinaNet, data: CocoSet, workers: int = 2) -> AveragePrecision:
    """In the network's pixels: a picture is scaled alike in both directions. Several processes share the work."""
    with ThreadPoolExecutor(max(1, workers)) as pool:
        return _evaluate(model, data, pool)


def _evaluate(model: RetinaNet, data: CocoSet, pool: ThreadPoolExecutor) -> AveragePrecision:
    model.eval()
    device, config = next(model.parameters()).device, model.config
    mine = range(rank(), len(data), world_size())
    parts = [mine[begin : begin + EVALUATION_BATCH] for begin in range(0, len(mine), EVALUATION_BATCH)]

    def load(index: int) -> tuple[Floats, Objects]:
        return data.load(index, config.resolution, config.channels)

    found: list[tuple[int, Detections, Objects]] = []
    for part, loaded in zip(parts, ahead(lambda i: list(pool.map(load, parts[i])), len(parts)), strict=True):
        detected = model.detect(to_device(np.stack([image for image, _ in loaded]), device))
        found += zip(part, detected, (objects for _, objects in loaded), strict=True)
    ordered = sorted(gathered(found), key=lambda entry: entry[0])
    return average_precision([entry[1] for entry in ordered], [entry[2] for entry in ordered], config.classes)


class _Detection:
    """The task of the training loop; a picture is mirrored by half of all times."""

    def __init__(self, model: RetinaNet, data: CocoSet, held_out: CocoSet, pool: ThreadPoolExecutor):
        self._model, self._data, self._held_out, self._pool = model, data, held_out, pool
        self.score = "ap"

    def __len__(self) -> int:
        return len(self._data)

    def batch(self, chosen: Indices, mine: slice, seed: int, epoch: int) -> Batch:
        config = self._model.config

        def load(index: int) -> tuple[Floats, Objects]:
            mirrored = bool(np.random.default_rng((seed, epoch, index)).random() < 0.5)
            return self._data.load(index, config.resolution, config.channels, mirrored)

        loaded = list(self._pool.map(load, chosen[mine].tolist()))
        return Batch(np.stack([image for image, _ in loaded]), [objects.single() for _, objects in loaded])

    def prepare(self, model: nn.Module, progress: float) -> None:
        """A detector keeps its backbone's temperature: it is fine-tuned from a trained classifier."""

    def outcome(self, forward: nn.Module, images: Tensor, targets: Any) -> Outcome:
        arrays = [(torch.from_numpy(found.boxes), torch.from_numpy(found.labels)) for found in targets]
        on_device = [(boxes.to(images.device), labels.to(images.device)) for boxes, labels in arrays]
        logits, deltas = forward(images)
        loss, objects = self._model.loss(logits, deltas, on_device)
        (all_objects,) = summed([objects], images.device)
        return Outcome(loss * world_size() / max(all_objects, 1))  # the processes' gradients are averaged

    def finish(self, model: nn.Module) -> None:
        """Its weights are all that it has."""

    def figures(self) -> Mapping[str, float]:
        return {}

    def measure(self, model: nn.Module) -> Mapping[str, float]:
        assert isinstance(model, RetinaNet)
        return asdict(_evaluate(model, self._held_out, self._pool))


def _begin_with(model: RetinaNet, start: nn.Module) -> None:
    if isinstance(start, RetinaNet):
        model.load_state_dict(start.state_dict())
        return
    assert isinstance(start, FlyNet)
    kept = {name: value for name, value in start.state_dict().items() if not name.startswith("head.")}
    try:
        model.pyramid.body.load_state_dict(kept)
    except RuntimeError as error:
        raise UsageError(f"the given network is {start.config.name}, the backbone {model.config.backbone.name}") from error
