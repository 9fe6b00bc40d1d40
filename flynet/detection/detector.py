"""RetinaNet on a FlyNet backbone, small and in plain torch; and the same backbone in torchvision's detectors, where installed.

Source: "Focal Loss for Dense Object Detection". The pyramid begins at stride 8 and ends at 128.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import UsageError
from ..networks.flynet import FlyNet
from .backbone import STRIDES, FlyNetBackbone, FlyNetPyramid
from .boxes import ANCHORS_PER_PLACE, anchors, decode, encode, match, suppress
from .detector_config import DetectorConfig
from .objects import Detections
from .torchvision_import import import_torchvision

FIRST, EXTRA = 1, 2
PYRAMID_STRIDES = (*STRIDES[FIRST:], 64, 128)
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
BOX_BETA = 1 / 9
PRIOR = 0.01  # share of anchors that are objects when training begins
HEAD_CONVOLUTIONS = 2
CANDIDATES = 300  # anchors of an image that are looked at in inference
MAX_DETECTIONS = 100


class RetinaNet(nn.Module):
    """[N, channels, H, W] -> class logits [N, anchors, classes] and box deltas [N, anchors, 4]."""

    def __init__(self, config: DetectorConfig):
        super().__init__()
        self.config = config
        self.pyramid = FlyNetPyramid(FlyNetBackbone(FlyNet(config.backbone)), config.pyramid_channels, FIRST, EXTRA)
        self.classify = _head(config.pyramid_channels, ANCHORS_PER_PLACE * config.classes, -math.log((1 - PRIOR) / PRIOR))
        self.regress = _head(config.pyramid_channels, ANCHORS_PER_PLACE * 4)
        self.anchors: Tensor
        self.register_buffer("anchors", _anchors(config.resolution), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = list(self.pyramid(x).values())
        logits = [_by_anchor(self.classify(features), self.config.classes) for features in maps]
        deltas = [_by_anchor(self.regress(features), 4) for features in maps]
        return torch.cat(logits, 1), torch.cat(deltas, 1)

    def loss(self, logits: Tensor, deltas: Tensor, targets: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, int]:
        """(focal loss of the classes and smooth L1 of the boxes, summed; the number of anchors that hold an object).

        targets  (boxes [N, 4], labels [N]) of each image
        """
        logits, deltas = logits.float(), deltas.float()
        wanted = torch.zeros_like(logits)
        counted = torch.ones_like(logits[..., 0])
        box_loss = 0 * deltas.sum()  # where no object is, the boxes' weights still take part
        objects = 0
        for index, (boxes, labels) in enumerate(targets):
            matched = match(self.anchors, boxes)
            held = matched >= 0
            counted[index, matched == -2] = 0
            wanted[index, held, labels[matched[held]]] = 1
            objects += int(held.sum())
            if len(boxes):
                aim = encode(boxes[matched[held]], self.anchors[held])
                box_loss = box_loss + F.smooth_l1_loss(deltas[index, held], aim, reduction="sum", beta=BOX_BETA)
        return (_focal_loss(logits, wanted) * counted[..., None]).sum() + box_loss, objects

    @torch.no_grad()
    def detect(self, images: Tensor, threshold: float = 0.05) -> list[Detections]:
        """What is found in each image, at most MAX_DETECTIONS."""
        logits, deltas = self(images)
        return [self._detections(scores, delta, threshold) for scores, delta in zip(logits.sigmoid(), deltas, strict=True)]

    def _detections(self, scores: Tensor, deltas: Tensor, threshold: float) -> Detections:
        flat = scores.reshape(-1)
        best, index = flat.topk(min(CANDIDATES, len(flat)))
        index, best = index[best > threshold], best[best > threshold]
        anchor, labels = index // self.config.classes, index % self.config.classes
        boxes = decode(deltas[anchor], self.anchors[anchor]).clamp(0, self.config.resolution)
        apart = labels[:, None] * (2.0 * self.config.resolution)  # boxes of two classes never overlap
        kept = suppress((boxes + apart).cpu(), best.cpu())[:MAX_DETECTIONS].numpy()
        return Detections(boxes.cpu().numpy()[kept], best.cpu().numpy()[kept], labels.cpu().numpy()[kept])


def build_detector(config: DetectorConfig, seed: int) -> RetinaNet:
    """A fresh detector whose weights depend on the seed alone; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RetinaNet(config)


def torchvision_detector(kind: str, backbone: FlyNetBackbone, classes: int, out_channels: int = 256, **options: Any) -> nn.Module:
    """torchvision's "faster-rcnn" or "retinanet" around a FlyNet backbone; `classes` counts the background.

    MissingTool without torchvision (the extra `detection`); its compiled operators must be of the installed torch's kind.
    """
    detection = import_torchvision("models.detection")
    anchor_utils = import_torchvision("models.detection.anchor_utils")
    if kind not in ("faster-rcnn", "retinanet"):
        raise UsageError(f"unknown detector {kind!r}; torchvision's faster-rcnn and retinanet are known")
    is_retinanet = kind == "retinanet"
    pyramid = FlyNetPyramid(backbone, out_channels, FIRST if is_retinanet else 0, EXTRA if is_retinanet else 0)
    strides = PYRAMID_STRIDES if is_retinanet else STRIDES
    scales = (4.0, 4 * 2 ** (1 / 3), 4 * 2 ** (2 / 3)) if is_retinanet else (8.0,)
    sizes = tuple(tuple(round(stride * scale) for scale in scales) for stride in strides)
    generator = anchor_utils.AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
    if is_retinanet:
        detector: nn.Module = detection.RetinaNet(pyramid, classes, anchor_generator=generator, **options)
    else:
        detector = detection.FasterRCNN(pyramid, classes, rpn_anchor_generator=generator, **options)
    return detector


def _anchors(side: int) -> Tensor:
    """[anchors, 4] for square images."""
    sizes = []
    for _ in range(int(math.log2(PYRAMID_STRIDES[0]))):
        side = -(-side // 2)
    for _ in PYRAMID_STRIDES:
        sizes.append((side, side))
        side = -(-side // 2)
    return anchors(sizes, PYRAMID_STRIDES)


def _head(channels: int, out_channels: int, bias: float = 0.0) -> nn.Sequential:
    """`bias` is where every output begins."""
    sizes = [channels] * HEAD_CONVOLUTIONS + [out_channels]
    convolutions = [nn.Conv2d(channels, size, 3, padding=1) for size in sizes]
    for layer in convolutions:
        assert layer.bias is not None
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.constant_(layer.bias, bias if layer is convolutions[-1] else 0.0)
    *inner, last = convolutions
    return nn.Sequential(*(layer for convolution in inner for layer in (convolution, nn.ReLU())), last)


def _by_anchor(x: Tensor, values: int) -> Tensor:
    """[N, anchors * values, H, W] -> [N, H * W * anchors, values]"""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)


def _focal_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    cross_entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    probability = logits.sigmoid()
    missed = torch.where(wanted > 0, 1 - probability, probability)
    return torch.where(wanted > 0, FOCAL_ALPHA, 1 - FOCAL_ALPHA) * missed**FOCAL_GAMMA * cross_entropy
