"""MUL_DEPTHWISE: maps times one coefficient for each channel, then a depthwise convolution."""

from __future__ import annotations

from ..build import Build
from ..ir import FusedAttrs, Graph, Op
from .base import KernelCall
from .channel_scale import channel_scale
from .convolution import convolution
from .depthwise import depthwise_call


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a fused channel scale and depthwise convolution."""
    assert isinstance(op.attrs, FusedAttrs)
    scale = channel_scale(op.attrs.body[0], graph, build.costs)
    conv = convolution(op, graph)
    return depthwise_call(conv, conv.attrs.depth_multiplier, False, scale.maps, op.outputs, build, scale)
