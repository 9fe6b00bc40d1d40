"""Fuse Max-out (RESHAPE, REDUCE_MAX over the heads, RESHAPE) into what makes the heads' maps."""

from __future__ import annotations

from collections.abc import Callable

from ..ir import FusedPattern, Graph, Op, OpKind, ReduceAttrs
from .chains import Chain, Readers, fuse, is_channel_scale


def fuse_mdw_max(graph: Graph) -> Graph:
    """Multihead-depthwise convolution, then Max-out: the maps of the heads never exist (FlyNet paper, section 3.2)."""
    return fuse(graph, FusedPattern.MDW_MAX, _finder(lambda op: op.kind is OpKind.DEPTHWISE_CONV_2D, graph))


def fuse_mul_max(graph: Graph) -> Graph:
    """The heads' maps times one coefficient each, then Max-out: the scaled maps never exist."""
    return fuse(graph, FusedPattern.MUL_MAX, _finder(lambda op: is_channel_scale(op, graph), graph))


def _finder(makes_heads: Callable[[Op], bool], graph: Graph) -> Callable[[Op, Readers], Chain | None]:
    def find(op: Op, readers: Readers) -> Chain | None:
        if not makes_heads(op):
            return None
        chain = readers.chain(op, (OpKind.RESHAPE, OpKind.REDUCE_MAX, OpKind.RESHAPE))
        return chain if chain is not None and _is_max_out(chain, graph) else None

    return find


def _is_max_out(chain: Chain, graph: Graph) -> bool:
    """[1, H, W, C*h] -> [1, H*W, C, h] -> max over h -> [1, H, W, C]."""
    maps, split, _, result = (graph.tensor(op.output).shape for op in chain)
    reduce = chain[2].attrs
    assert isinstance(reduce, ReduceAttrs)
    last_axis = reduce.axes == (len(split) - 1,)
    whole_channels = len(maps) == 4 and len(split) >= 2 and split[-2] * split[-1] == maps[3]
    return last_axis and whole_channels and result == (*maps[:3], split[-2])
