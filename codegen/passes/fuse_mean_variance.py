"""Fuse the mean and the variance of a map, so that the map of squared differences never exists."""

from __future__ import annotations

from ..ir import FusedPattern, Graph, Op, OpKind, ReduceAttrs
from .chains import Chain, Readers, fuse


def fuse_mean_variance(graph: Graph) -> Graph:
    """MEAN over height and width, SQUARED_DIFFERENCE of map and mean, MEAN again: one operator with two outputs.

    FlyNet paper, eq. 2. Each step keeps its own int8 rounding.
    """
    return fuse(graph, FusedPattern.MEAN_VARIANCE, _find)


def _is_spatial_mean(op: Op) -> bool:
    return op.kind is OpKind.MEAN and op.attrs == ReduceAttrs((1, 2), keep_dims=True)


def _find(op: Op, readers: Readers) -> Chain | None:
    if not _is_spatial_mean(op):
        return None
    for square in readers.all(op.output):
        if square.kind is OpKind.SQUARED_DIFFERENCE and square.inputs == (op.inputs[0], op.output):
            last = readers.only(square.output)
            if last is not None and _is_spatial_mean(last):
                return (op, square, last)
    return None
