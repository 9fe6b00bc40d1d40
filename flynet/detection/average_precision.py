"""Average precision as COCO computes it, for boxes. No torch here.

Precision is read at 101 recalls, for each class and each of ten overlaps from 0.50 to 0.95; the mean over those is AP.
Source: the COCO detection challenge's evaluation and its reference implementation, whose order and ties are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .objects import Boxes, Detections, Objects

Doubles = npt.NDArray[np.float64]

OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST_OF_A_CLASS = 100  # of a picture's boxes; the reference counts them class by class


@dataclass(frozen=True)
class AveragePrecision:
    """Mean over the classes that occur: over all overlaps, at 0.50 and at 0.75."""

    ap: float
    ap50: float
    ap75: float


def average_precision(found: Sequence[Detections], truth: Sequence[Objects], classes: int) -> AveragePrecision:
    """Of the same pictures, in the same order; 0 where no object is in any of them."""
    of_classes = [_of_class(found, truth, label) for label in range(classes)]
    known = [values for values in of_classes if values is not None]
    mean = np.mean(known, axis=0) if known else np.zeros(len(OVERLAPS))
    return AveragePrecision(float(mean.mean()), float(mean[0]), float(mean[5]))


@dataclass(frozen=True, eq=False)
class _Judged:
    """A picture's boxes of one class, best first: scores [N]; right and ignored [overlaps, N]."""

    scores: Doubles
    right: npt.NDArray[np.bool_]
    ignored: npt.NDArray[np.bool_]


def _of_class(found: Sequence[Detections], truth: Sequence[Objects], label: int) -> Doubles | None:
    """[overlaps], None for a class without an object."""
    count = sum(int(((objects.labels == label) & ~objects.crowd).sum()) for objects in truth)
    if not count:
        return None
    judged = [_judge(*pair, label) for pair in zip(found, truth, strict=True)]
    order = np.argsort(-np.concatenate([picture.scores for picture in judged]), kind="stable")
    right = np.concatenate([picture.right for picture in judged], axis=1)[:, order]
    ignored = np.concatenate([picture.ignored for picture in judged], axis=1)[:, order]
    return np.array([_area(*row, count) for row in zip(right, ignored, strict=True)])


def _area(right: npt.NDArray[np.bool_], ignored: npt.NDArray[np.bool_], count: int) -> float:
    """The mean of the precision at RECALLS; it is the best at that recall or a higher one, 0 where none is reached."""
    hits, misses = np.cumsum(right & ~ignored), np.cumsum(~right & ~ignored)
    precision = hits / np.maximum(hits + misses, 1)
    best_from_here = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(best_from_here[np.searchsorted(hits / count, RECALLS, side="left")].mean())


def _judge(found: Detections, truth: Objects, label: int) -> _Judged:
    """Each box, best first, takes the free object that it overlaps most, at each of OVERLAPS; what takes a crowd is ignored.

    Of objects that are overlapped alike the last is taken. A crowd is never used up.
    """
    mine = np.flatnonzero(found.labels == label)
    mine = mine[np.argsort(-found.scores[mine], kind="stable")][:MOST_OF_A_CLASS]
    scores, chosen = found.scores[mine].astype(np.float64), truth.labels == label
    right, ignored = np.zeros((2, len(OVERLAPS), len(mine)), bool)
    if not chosen.any():
        return _Judged(scores, right, ignored)
    single, crowd = (truth.boxes[chosen & which] for which in (~truth.crowd, truth.crowd))
    shared, in_crowd = _overlaps(found.boxes[mine], single, False), _overlaps(found.boxes[mine], crowd, True)
    free = np.ones((len(OVERLAPS), len(single)), bool)
    rows = np.arange(len(OVERLAPS))
    for index in range(len(mine)):
        if len(single):
            possible = np.where(free, shared[index], -1.0)
            last_best = len(single) - 1 - possible[:, ::-1].argmax(1)
            right[:, index] = possible[rows, last_best] >= OVERLAPS
            free[rows[right[:, index]], last_best[right[:, index]]] = False
        if len(crowd):
            ignored[:, index] = ~right[:, index] & (in_crowd[index].max() >= OVERLAPS)
    return _Judged(scores, right, ignored)


def _overlaps(one: Boxes, other: Boxes, is_crowd: bool) -> Doubles:
    """Intersection over union of each pair [len(one), len(other)]; over the first's area where the other is a crowd."""
    a, b = one.astype(np.float64)[:, None], other.astype(np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.maximum(sides, 0).prod(2)
    area, other_area = (a[..., 2:] - a[..., :2]).prod(2), (b[..., 2:] - b[..., :2]).prod(2)
    whole = area + np.zeros_like(other_area) if is_crowd else area + other_area - shared
    overlaps: Doubles = shared / np.maximum(whole, 1e-12)
    return overlaps
