"""MDW_MAX: a depthwise convolution with several filters a channel, of which the largest output is kept."""

from __future__ import annotations

from ..build import Build
from ..ir import Graph, Op
from .base import KernelCall
from .convolution import convolution
from .depthwise import depthwise_call


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a fused multihead depthwise convolution and Max-out."""
    conv = convolution(op, graph)
    return depthwise_call(conv, conv.attrs.depth_multiplier, True, op.inputs[0], op.outputs, build)
