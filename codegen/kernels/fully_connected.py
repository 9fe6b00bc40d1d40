"""FULLY_CONNECTED, with or without an activation table: a pointwise convolution over its rows that rounds once."""

from __future__ import annotations

import math

from ..build import Build
from ..ir import Graph, Op, Window
from .base import KernelCall, ShapeValue, untyped_call
from .convolution import convolution
from .products import pair_order, product_arrays, product_scalars, product_shape, products, window_schedule


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a FULLY_CONNECTED, alone or with the table of its activation."""
    conv = convolution(op, graph)
    c_out, c_in = conv.weights.shape
    rows = math.prod(conv.output_shape) // c_out
    packed = products(conv, pair_order(c_in, 1, joined=False), rows, build, once=True)
    shape: dict[str, ShapeValue] = {
        **product_shape(conv, packed, rows, build),
        "rows": rows,
        "c_in": c_in,
        "c_out": c_out,
        "run_bytes": c_in,
        "num_runs": 1,
        "joins_rest": False,
        "pointwise": True,
        "patch_bytes": 0,
        "groups": 1,
        "group_in": c_in,
        "group_out": c_out,
    }
    pixels = shape["pixels"]
    assert isinstance(pixels, int)
    return untyped_call(
        "fully_connected",
        shape,
        (op.inputs[0],),
        op.outputs,
        arrays=product_arrays(conv, packed),
        scalars=product_scalars(shape, conv),
        scratch_bytes=4 * packed.pairs * pixels,
        sharing={op.inputs[0]: window_schedule((rows, 1, c_in), (rows, 1), c_out, Window(1, 1), pixels)},
    )
