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
