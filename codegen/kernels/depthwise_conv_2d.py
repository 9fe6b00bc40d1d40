"""DEPTHWISE_CONV_2D, with or without an activation table."""

from __future__ import annotations

from ..ir import Graph, Op
from .base import KernelCall, SamePlace
from .convolution import convolution, plain_arrays, plain_scalars, window_shape


def select(op: Op, graph: Graph) -> KernelCall:
    """The kernel of a DEPTHWISE_CONV_2D, alone or with the table of its activation."""
    return depthwise_call(op, graph, is_max=False)


def depthwise_call(op: Op, graph: Graph, is_max: bool) -> KernelCall:
    """A depthwise convolution; `is_max` keeps the largest of each channel's filters."""
    conv = convolution(op, graph)
    heads = conv.attrs.depth_multiplier
    shape = {**window_shape(conv), "heads": heads, "is_max": is_max}
    plane = conv.input_shape[1] * conv.input_shape[2]
    in_place = is_max or heads == 1
    return KernelCall(
        "depthwise_conv_2d",
        shape,
        (op.inputs[0],),
        op.outputs,
        arrays=plain_arrays(conv),
        scalars=plain_scalars(conv),
        scratch_bytes=plane,
        sharing={op.inputs[0]: SamePlace()} if in_place else {},
    )
