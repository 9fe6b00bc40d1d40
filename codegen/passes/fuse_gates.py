"""Fuse the attention's gate (a MUL by one coefficient for each channel) into the operator that reads the gated maps."""

from __future__ import annotations

from collections.abc import Iterator

from ..ir import FusedPattern, Graph, Op, OpKind
from .chains import Chain, Readers, fuse


def fuse_mul_depthwise(graph: Graph) -> Graph:
    """The gate and the depthwise convolution behind it: the gated maps never exist, each value is gated as it is widened."""

    def find(op: Op, readers: Readers) -> Iterator[Chain]:
        if op.kind is OpKind.MUL:
            yield from readers.chains(op, (OpKind.DEPTHWISE_CONV_2D,))

    return fuse(graph, FusedPattern.MUL_DEPTHWISE, find)


ADD_PIXELS = 400  # below, the table of a channel's products costs more than it saves


def fuse_mul_add(graph: Graph) -> Graph:
    """The gate and the residual's addition on large maps: both are one look-up and one product for each value."""

    def find(op: Op, readers: Readers) -> Iterator[Chain]:
        if op.kind is not OpKind.MUL:
            return
        gated = graph.tensor(op.output)
        if gated.shape and gated.num_elements >= ADD_PIXELS * gated.shape[-1]:
            yield from readers.chains(op, (OpKind.ADD,))

    return fuse(graph, FusedPattern.MUL_ADD, find)
