"""Fuse the attention's gate (a MUL by one coefficient for each channel) into the operator that reads the gated maps."""

from __future__ import annotations

from ..ir import FusedPattern, Graph, Op, OpKind
from .chains import Chain, Readers, fuse, is_channel_scale


def fuse_mul_depthwise(graph: Graph) -> Graph:
    """The gate and the depthwise convolution behind it: the gated maps never exist, each value is gated as it is widened."""

    def find(op: Op, readers: Readers) -> Chain | None:
        chain = readers.chain(op, (OpKind.DEPTHWISE_CONV_2D,)) if is_channel_scale(op, graph) else None
        return chain if chain is not None and chain[1].inputs[0] == op.output else None

    return fuse(graph, FusedPattern.MUL_DEPTHWISE, find)


ADD_PIXELS = 400  # below, the table of a channel's products costs more than it saves


def fuse_mul_add(graph: Graph) -> Graph:
    """The gate and the residual's addition on large maps: both are one look-up and one product for each value."""

    def find(op: Op, readers: Readers) -> Chain | None:
        chain = readers.chain(op, (OpKind.ADD,)) if is_channel_scale(op, graph) else None
        if chain is None:
            return None
        gated, other = graph.tensor(op.output), [name for name in chain[1].inputs if name != op.output]
        large = gated.shape[1] * gated.shape[2] >= ADD_PIXELS
        alike = len(other) == 1 and graph.tensor(other[0]).shape == gated.shape and not graph.tensor(other[0]).is_constant
        return chain if large and alike else None

    return fuse(graph, FusedPattern.MUL_ADD, find)
