"""MUL: the product of the two centred values, requantized by one factor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..build import Build, Costs
from ..fixed_point import mul_multiplier
from ..ir import ClampAttrs, Graph, Op, Tensor
from .base import ConstArray, KernelCall, SamePlace, untyped_call
from .broadcast import broadcast_nest, elementwise_sharing, unroll
from .exact import INT8_VALUES, ProductRequant, fit_product_requant
from .table import table_call

MAX_LANE_SHIFT = 7  # a centred int8 value shifted left by this fits an int16 lane


def pair_products(first: Tensor, second: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """(a - z0) * (b - z1) for all pairs of int8 values: [a + 128, b + 128]."""
    return (INT8_VALUES - first.zero_point)[:, np.newaxis] * (INT8_VALUES - second.zero_point)[np.newaxis, :]


def requant_scalars(requant: ProductRequant) -> dict[str, int]:
    """The numbers of a product's requantization that differ from layer to layer of one shape."""
    return {"multiplier": requant.multiplier, "output_offset": requant.offset}


def requant_shape(requant: ProductRequant, low: int, high: int) -> dict[str, int | bool]:
    """What of a product's requantization is part of the code."""
    return {
        "left": requant.left,
        "right": requant.right,
        "sign_correction": requant.sign_correction,
        "low": low,
        "high": high,
    }


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a MUL; the operands are broadcast as NumPy does."""
    assert isinstance(op.attrs, ClampAttrs)
    first, second = (graph.tensor(name) for name in op.inputs)
    factor = mul_multiplier(first.scale, second.scale, graph.tensor(op.output).scale)
    if first.is_constant and not second.is_constant:
        first, second = second, first
    products = pair_products(first, second)
    requant = fit_product_requant(products, factor, graph.tensor(op.output).zero_point)
    low, high = op.attrs.activation_min, op.attrs.activation_max
    if second.is_constant and second.num_elements == 1:
        column = products[:, int(second.constant().reshape(-1)[0]) + 128]
        table = np.clip(requant.apply(column), low, high).astype(np.int8)
        return table_call(first.name, op.output, first.num_elements, table)
    if not second.is_constant and requant.left <= MAX_LANE_SHIFT:
        channels = _channels(first, second, op.output, requant, low, high, build.costs) or _channels(
            second, first, op.output, requant, low, high, build.costs
        )
        if channels is not None:
            return channels
    nest = broadcast_nest(first.shape, second.shape)
    inputs = (first.name,) if second.is_constant else (first.name, second.name)
    constant = (ConstArray("operand", second.constant().reshape(-1).astype(np.int8)),) if second.is_constant else ()
    return untyped_call(
        template="mul",
        shape={
            "loops": replace(nest.loops, count=0),  # type: ignore[dict-item]
            **requant_shape(requant, low, high),
            "is_constant": second.is_constant,
        },
        inputs=inputs,
        outputs=(op.output,),
        arrays=constant,
        scalars={
            "offset0": -first.zero_point,
            "offset1": -second.zero_point,
            **requant_scalars(requant),
            **({} if nest.sizes else {"loops_count": nest.run}),
        },
        sharing=elementwise_sharing(nest, inputs),
    )


def _channels(
    maps: Tensor, scales: Tensor, output: str, requant: ProductRequant, low: int, high: int, costs: Costs
) -> KernelCall | None:
    """The call for a map [pixels, C] times a vector [C], None for other shapes."""
    nest = broadcast_nest(maps.shape, scales.shape)
    num_channels = nest.run
    if (nest.strides0, nest.strides1, nest.step0, nest.step1) != ((num_channels,), (0,), 1, 1):
        return None
    pixels = nest.sizes[0]
    has_table = costs.product_lookup + costs.product_table / pixels < costs.product_lanes + requant.sign_correction
    return untyped_call(
        template="mul_channels",
        shape={
            "pixels": pixels,
            "c": num_channels,
            **requant_shape(requant, low, high),
            "has_table": has_table,
            "steps": unroll(pixels, 16 if has_table else 7),
        },
        inputs=(maps.name, scales.name),
        outputs=(output,),
        scalars={"offset0": -maps.zero_point, "offset1": -scales.zero_point, **requant_scalars(requant)},
        scratch_bytes=256 if has_table else 0,
        sharing={maps.name: SamePlace()},
    )
