"""Fuse Max-out (RESHAPE, REDUCE_MAX over the heads, RESHAPE) into what makes the heads' maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..ir import FusedPattern, Graph, Op, OpKind
from .chains import Chain, Readers, fuse


def fuse_mdw_max(graph: Graph) -> Graph:
    """Multihead-depthwise convolution, then Max-out: the maps of the heads never exist (FlyNet paper, section 3.2)."""
    return fuse(graph, FusedPattern.MDW_MAX, _finder(OpKind.DEPTHWISE_CONV_2D))


def fuse_mul_max(graph: Graph) -> Graph:
    """The heads' maps times one coefficient each, then Max-out: the scaled maps never exist."""
    return fuse(graph, FusedPattern.MUL_MAX, _finder(OpKind.MUL))


def _finder(makes_heads: OpKind) -> Callable[[Op, Readers], Iterator[Chain]]:
    def find(op: Op, readers: Readers) -> Iterator[Chain]:
        if op.kind is makes_heads:
            yield from readers.chains(op, (OpKind.RESHAPE, OpKind.REDUCE_MAX, OpKind.RESHAPE))

    return find
