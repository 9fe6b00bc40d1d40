"""Fuse an int8 activation into the convolution that feeds it: a 256-entry table, looked up on each requantized output."""

from __future__ import annotations

from collections.abc import Iterator

from ..contracts import PRODUCERS
from ..ir import FusedPattern, Graph, Op
from .chains import Chain, Readers, fuse


def fuse_tables(graph: Graph) -> Graph:
    """CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED, then an activation: one operator."""
    return fuse(graph, FusedPattern.PRODUCER_TABLE, _find)


def _find(op: Op, readers: Readers) -> Iterator[Chain]:
    following = readers.only(op.output)
    if op.kind in PRODUCERS and following is not None:
        yield (op, following)
