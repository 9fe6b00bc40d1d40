"""MUL_DEPTHWISE: maps gated by one coefficient for each channel, then a depthwise convolution."""

from __future__ import annotations

from ..build import Build
from ..ir import FusedAttrs, Graph, Op
from .base import KernelCall
from .convolution import convolution
from .depthwise import depthwise_call
from .gate import gate_of


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a fused gate and depthwise convolution."""
    assert isinstance(op.attrs, FusedAttrs)
    gate = gate_of(op.attrs.body[0], graph, build.costs)
    conv = convolution(op, graph)
    return depthwise_call(conv, conv.attrs.depth_multiplier, False, gate.maps, op.outputs, build, gate)
