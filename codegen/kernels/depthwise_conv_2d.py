"""DEPTHWISE_CONV_2D, with or without an activation table."""

from __future__ import annotations

from ..build import Build
from ..ir import Graph, Op
from .base import KernelCall
from .convolution import convolution
from .depthwise import depthwise_call


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a DEPTHWISE_CONV_2D, alone or with the table of its activation."""
    conv = convolution(op, graph)
    return depthwise_call(conv, conv.attrs.depth_multiplier, False, op.inputs[0], op.outputs, build)
