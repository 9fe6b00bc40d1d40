"""MDW_MAX: a depthwise convolution with several filters a channel, of which the largest output is kept."""

from __future__ import annotations

from ..ir import Graph, Op
from .base import KernelCall
from .depthwise_conv_2d import depthwise_call


def select(op: Op, graph: Graph) -> KernelCall:
    """The kernel of a fused multihead depthwise convolution and Max-out."""
    return depthwise_call(op, graph, is_max=True)
