"""FULLY_CONNECTED, with or without an activation table: a pointwise convolution over its rows that rounds once."""

from __future__ import annotations

import math

from ..build import Build
from ..ir import Graph, Op
from .base import KernelCall
from .convolution import convolution
from .pointwise import pointwise


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a FULLY_CONNECTED, alone or with the table of its activation."""
    conv = convolution(op, graph)
    rows = math.prod(conv.output_shape) // conv.weights.shape[0]
    return pointwise(conv, "fully_connected", rows, op, build, once=True)
