"""FULLY_CONNECTED, with or without an activation table."""

from __future__ import annotations

import math

from ..ir import Graph, Op
from .base import KernelCall
from .convolution import convolution, plain_arrays, plain_scalars


def select(op: Op, graph: Graph) -> KernelCall:
    """The kernel of a FULLY_CONNECTED, alone or with the table of its activation."""
    conv = convolution(op, graph)
    c_out, c_in = conv.weights.shape
    shape = {"batch": math.prod(conv.output_shape) // c_out, "c_in": c_in, "c_out": c_out, "has_table": conv.table is not None}
    return KernelCall(
        "fully_connected", shape, (op.inputs[0],), op.outputs, arrays=plain_arrays(conv), scalars=plain_scalars(conv)
    )
