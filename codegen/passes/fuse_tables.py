"""Fuse an int8 activation into the convolution that feeds it: a 256-entry table, looked up on each requantized output."""

from __future__ import annotations

from ..ir import FusedPattern, Graph, Op, OpKind
from .chains import Chain, Readers, fuse

_PRODUCERS = (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D, OpKind.FULLY_CONNECTED)
_TABLES = (OpKind.HARD_SWISH, OpKind.LOGISTIC, OpKind.RELU, OpKind.RELU6, OpKind.QUANTIZE)


def fuse_tables(graph: Graph) -> Graph:
    """CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED, then HARD_SWISH, LOGISTIC, RELU, RELU6 or QUANTIZE: one operator."""
    return fuse(graph, FusedPattern.PRODUCER_TABLE, _find)


def _find(op: Op, readers: Readers) -> Chain | None:
    if op.kind not in _PRODUCERS:
        return None
    following = readers.only(op.output)
    return (op, following) if following is not None and following.kind in _TABLES else None
