"""CONV_2D, with or without an activation table."""

from __future__ import annotations

from ..ir import Graph, Op
from .base import KernelCall
from .convolution import convolution, plain_arrays, plain_scalars, window_shape


def select(op: Op, graph: Graph) -> KernelCall:
    """The kernel of a CONV_2D, alone or with the table of its activation."""
    conv = convolution(op, graph)
    return KernelCall(
        "conv_2d", window_shape(conv), (op.inputs[0],), op.outputs, arrays=plain_arrays(conv), scalars=plain_scalars(conv)
    )
