"""Fuse the mean and the variance of a map, so that the map of squared differences never exists."""

from __future__ import annotations

from collections.abc import Iterator

from ..ir import FusedPattern, Graph, Op, OpKind
from .chains import Chain, Readers, fuse


def fuse_mean_variance(graph: Graph) -> Graph:
    """MEAN over height and width, SQUARED_DIFFERENCE of map and mean, MEAN again: one operator with two outputs.

    FlyNet paper, eq. 2. Each step keeps its own int8 rounding.
    """
    return fuse(graph, FusedPattern.MEAN_VARIANCE, _find)


def _find(op: Op, readers: Readers) -> Iterator[Chain]:
    if op.kind is OpKind.MEAN:
        for square in readers.all(op.output):
            last = readers.only(square.output)
            if last is not None:
                yield (op, square, last)
