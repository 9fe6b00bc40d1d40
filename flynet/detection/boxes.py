"""Boxes of a detector: overlap, anchors, what a box is to an anchor, suppression. Boxes are x0, y0, x1, y1.

Sources: "Focal Loss for Dense Object Detection" (anchors, matching); "Faster R-CNN" (the parametrization of a box).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

ANCHOR_SCALES = tuple(4 * 2 ** (octave / 3) for octave in range(3))  # sides in strides, at ratio 1
ANCHOR_RATIOS = (0.5, 1.0, 2.0)  # height over width
ANCHORS_PER_PLACE = len(ANCHOR_SCALES) * len(ANCHOR_RATIOS)
_LONGEST_STEP = math.log(1000 / 16)  # a box is at most this often its anchor's side, as a logarithm


def overlaps(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of each pair, [len(one), len(other)]."""
    low = torch.maximum(one[:, None, :2], other[None, :, :2])
    high = torch.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = (high - low).clamp_min(0).prod(2)
    return shared / (_areas(one)[:, None] + _areas(other)[None] - shared).clamp_min(1e-9)


def anchors(sizes: Sequence[tuple[int, int]], strides: Sequence[int]) -> Tensor:
    """Anchors of all maps, [places * ANCHORS_PER_PLACE, 4], map after map, row after row; `sizes` are heights and widths."""
    made = []
    shapes = torch.tensor([(s / math.sqrt(r), s * math.sqrt(r)) for s in ANCHOR_SCALES for r in ANCHOR_RATIOS])
    for (height, width), stride in zip(sizes, strides, strict=True):
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        centres = torch.stack((x, y), 2).reshape(-1, 1, 2) * stride
        half = shapes * (stride / 2)
        made.append(torch.cat((centres - half, centres + half), 2).reshape(-1, 4))
    return torch.cat(made)


def encode(boxes: Tensor, at: Tensor) -> Tensor:
    """Boxes as their anchors see them: shift of the centre in sides, logarithm of the sides' ratio."""
    sides, anchor_sides = boxes[:, 2:] - boxes[:, :2], at[:, 2:] - at[:, :2]
    shift = (boxes[:, :2] + boxes[:, 2:] - at[:, :2] - at[:, 2:]) / (2 * anchor_sides)
    return torch.cat((shift, (sides / anchor_sides).log()), 1)


def decode(deltas: Tensor, at: Tensor) -> Tensor:
    """The boxes that `encode` was given."""
    anchor_sides = at[:, 2:] - at[:, :2]
    centres = (at[:, :2] + at[:, 2:]) / 2 + deltas[:, :2] * anchor_sides
    half = deltas[:, 2:].clamp_max(_LONGEST_STEP).exp() * anchor_sides / 2
    return torch.cat((centres - half, centres + half), 1)


def match(at: Tensor, boxes: Tensor) -> Tensor:
    """For each anchor the index of its box, -1 for background (overlap below 0.4), -2 for neither (below 0.5).

    A box whose best overlap is smaller still gets the anchors that reach it.
    """
    if not len(boxes):
        return torch.full((len(at),), -1, device=at.device)
    found = overlaps(at, boxes)
    best, index = found.max(1)
    matched = torch.where(best >= 0.5, index, torch.where(best < 0.4, -1, -2))
    highest = found.amax(0)
    anchor, box = torch.nonzero((found == highest) & (highest > 0), as_tuple=True)
    matched[anchor] = box
    return matched


def suppress(boxes: Tensor, scores: Tensor, threshold: float = 0.5) -> Tensor:
    """Indices of the boxes that stay, best score first: none overlaps a better one by more than `threshold`."""
    order = scores.argsort(descending=True, stable=True)
    found = overlaps(boxes, boxes)
    kept: list[int] = []
    gone = torch.zeros(len(boxes), dtype=torch.bool)
    for index in order.tolist():
        if not gone[index]:
            kept.append(index)
            gone |= found[index] > threshold
    return torch.tensor(kept, dtype=torch.int64)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)
