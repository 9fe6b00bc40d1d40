"""Fuse two depthwise convolutions that slide the same window over the same map: the map is widened once."""

from __future__ import annotations

from ..ir import ConvAttrs, FusedPattern, Graph, Op, OpKind
from .chains import Chain, Readers, fuse


def fuse_depthwise_pairs(graph: Graph) -> Graph:
    """A block's multihead depthwise convolution and its strided residual, or the two halves of such a residual."""

    def find(op: Op, readers: Readers) -> Chain | None:
        if not _is_plain(op):
            return None
        for other in readers.all(op.inputs[0]):
            if other is not op and _is_plain(other) and _window(other) == _window(op):
                return (op, other)
        return None

    return fuse(graph, FusedPattern.DEPTHWISE_PAIR, find)


def _is_plain(op: Op) -> bool:
    """Whether an operator is a depthwise convolution without a clamp."""
    if op.kind is not OpKind.DEPTHWISE_CONV_2D:
        return False
    assert isinstance(op.attrs, ConvAttrs)
    return (op.attrs.activation_min, op.attrs.activation_max) == (-128, 127)


def _window(op: Op) -> object:
    assert isinstance(op.attrs, ConvAttrs)
    return op.attrs.window
