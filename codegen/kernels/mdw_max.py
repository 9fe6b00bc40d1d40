"""MDW_MAX: a depthwise convolution with several filters a channel, of which the largest output is kept."""

from __future__ import annotations

from ..ir import Graph, Op
from .base import KernelCall
from .convolution import convolution
from .depthwise import depthwise_call
from .effort import BALANCED, Effort


def select(op: Op, graph: Graph, effort: Effort = BALANCED) -> KernelCall:
    """The kernel of a fused multihead depthwise convolution and Max-out."""
    conv = convolution(op, graph)
    return depthwise_call(conv, conv.attrs.depth_multiplier, True, op.inputs[0], op.outputs, effort)
