"""Attention over the heads and Max-out in one kernel: the scaled maps of the heads never exist."""

from __future__ import annotations

from ..fixed_point import mul_multiplier
from ..ir import ClampAttrs, FusedAttrs, Graph, Op
from .base import KernelCall
from .broadcast import unroll
from .exact import fit_product_requant
from .mul import MAX_LANE_SHIFT, pair_products, requant_scalars, requant_shape


def select(op: Op, graph: Graph) -> KernelCall:
    """The kernel call of MUL by per-channel coefficients, RESHAPE, REDUCE_MAX over the heads, RESHAPE."""
    assert isinstance(op.attrs, FusedAttrs)
    mul = op.attrs.body[0]
    assert isinstance(mul.attrs, ClampAttrs)
    maps, coefficients, scaled = (graph.tensor(name) for name in (*mul.inputs, mul.output))
    factor = mul_multiplier(maps.scale, coefficients.scale, scaled.scale)
    requant = fit_product_requant(pair_products(maps, coefficients), factor, scaled.zero_point)
    num_channels = graph.tensor(op.output).shape[-1]
    heads = coefficients.num_elements // num_channels
    pixels = graph.tensor(op.output).num_elements // num_channels
    return KernelCall(
        template="mul_max",
        shape={
            "pixels": pixels,
            "c": num_channels,
            "heads": heads,
            "steps": unroll(pixels - (heads == 3), 6),
            "has_lanes": 2 <= heads <= 5 and maps.num_elements >= 4 and requant.left <= MAX_LANE_SHIFT,
            **requant_shape(requant, mul.attrs.activation_min, mul.attrs.activation_max),
        },
        inputs=(maps.name, coefficients.name),
        outputs=(op.output,),
        scalars={
            "offset0": -maps.zero_point,
            "offset1": -coefficients.zero_point,
            **requant_scalars(requant),
        },
    )
