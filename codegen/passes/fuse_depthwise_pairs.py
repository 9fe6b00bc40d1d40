"""Fuse two depthwise convolutions that slide the same window over the same map: the map is widened once."""

from __future__ import annotations

from collections.abc import Iterator

from ..ir import FusedPattern, Graph, Op, OpKind
from .chains import Chain, Readers, fuse


def fuse_depthwise_pairs(graph: Graph) -> Graph:
    """A block's multihead depthwise convolution and its strided residual, or the two halves of such a residual."""
    return fuse(graph, FusedPattern.DEPTHWISE_PAIR, _find)


def _find(op: Op, readers: Readers) -> Iterator[Chain]:
    if op.kind is OpKind.DEPTHWISE_CONV_2D:
        others = readers.all(op.inputs[0])
        yield from ((op, other) for other in others if other is not op and other.kind is OpKind.DEPTHWISE_CONV_2D)
