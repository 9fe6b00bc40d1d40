"""Fuse the attention's channel scale (a MUL by one coefficient for each channel) into the operator that reads the scaled maps."""

from __future__ import annotations

from collections.abc import Iterator

from ..ir import FusedPattern, Graph, Op, OpKind
from .chains import Chain, Readers, fuse


def fuse_mul_depthwise(graph: Graph) -> Graph:
    """The scale and the depthwise convolution behind it: the scaled maps never exist, each value is scaled as it is widened."""

    def find(op: Op, readers: Readers) -> Iterator[Chain]:
        if op.kind is OpKind.MUL:
            yield from readers.chains(op, (OpKind.DEPTHWISE_CONV_2D,))

    return fuse(graph, FusedPattern.MUL_DEPTHWISE, find)


ADD_PIXELS = 400  # below, the table of a channel's products costs more than it saves


def fuse_mul_add(graph: Graph) -> Graph:
    """The scale and the residual's addition on large maps: both are one look-up and one product for each value."""

    def find(op: Op, readers: Readers) -> Iterator[Chain]:
        if op.kind is not OpKind.MUL:
            return
        scaled = graph.tensor(op.output)
        if scaled.shape and scaled.num_elements >= ADD_PIXELS * scaled.shape[-1]:
            yield from readers.chains(op, (OpKind.ADD,))

    return fuse(graph, FusedPattern.MUL_ADD, find)
