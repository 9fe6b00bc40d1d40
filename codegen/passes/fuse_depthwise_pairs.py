"""Fuse two depthwise convolutions that slide the same window over the same map: the map is widened once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..ir import ConvAttrs, FusedPattern, Graph, Op, OpKind
from .chains import Chain, Readers, fuse


def fuse_depthwise_pairs(graph: Graph) -> Graph:
    """A block's multihead depthwise convolution and its strided residual, or the two halves of such a residual."""
    alike: dict[tuple[str, ConvAttrs], list[Op]] = {}
    for op in graph.ops:
        if op.kind is OpKind.DEPTHWISE_CONV_2D and isinstance(op.attrs, ConvAttrs):
            alike.setdefault((op.inputs[0], replace(op.attrs, depth_multiplier=0)), []).append(op)
    partners = {first.output: second for group in alike.values() for first, second in zip(group[::2], group[1::2], strict=False)}

    def find(op: Op, readers: Readers) -> Iterator[Chain]:
        if op.output in partners:
            yield (op, partners[op.output])

    return fuse(graph, FusedPattern.DEPTHWISE_PAIR, find)
