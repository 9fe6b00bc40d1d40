"""MUL_ADD: maps gated by one coefficient for each channel, plus other maps.

A channel's gated value, already on the scale of the sum, is a function of the int8 value alone: a table of 256 words, made once
for each channel. An element then is one look-up, one product, one saturation.
"""

from __future__ import annotations

import numpy as np

from ..build import Build
from ..ir import FusedAttrs, Graph, Op
from .add import Sum
from .base import ConstArray, KernelCall, SamePlace, ShapeValue, untyped_call
from .broadcast import unroll
from .exact import fit_affine
from .gate import gate_of
from .mul import requant_scalars, requant_shape
from .table import by_unsigned_byte


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a fused gate and ADD."""
    assert isinstance(op.attrs, FusedAttrs)
    mul, add = op.attrs.body
    gate = gate_of(mul, graph, build.costs)
    (other,) = (name for name in add.inputs if name != mul.output)
    sum_ = Sum(add, graph.tensor(mul.output), graph.tensor(other), graph.tensor(add.output))
    num_channels = graph.tensor(gate.coefficients).num_elements
    pixels = graph.tensor(other).num_elements // num_channels
    affine = fit_affine(sum_.expected, *sum_.reals, sum_.low, sum_.high, fraction=0)
    shape: dict[str, ShapeValue] = {
        "pixels": pixels,
        "c": num_channels,
        "steps": unroll(pixels, 8),
        "is_affine": affine is not None,
        "sum_low": sum_.low,
        "sum_high": sum_.high,
        **requant_shape(gate.requant, gate.activation_min, gate.activation_max),
    }
    scalars = {"offset0": gate.maps_offset, "offset1": gate.coefficients_offset, **requant_scalars(gate.requant)}
    arrays: tuple[ConstArray, ...] = ()
    if affine is not None:
        shape["sum_shift"] = affine.shift
        scalars |= {"factor0": affine.factor0, "factor1": affine.factor1, "bias": affine.bias}
    else:  # both on the sum's input scale, by tables
        requant = sum_.requant
        arrays = tuple(ConstArray(f"table{i}", by_unsigned_byte(term.astype(np.int32))) for i, term in enumerate(sum_.terms))
        shape |= requant.shape("sum")
        scalars |= requant.scalars("sum")
    return untyped_call(
        template="mul_add",
        shape=shape,
        inputs=(gate.maps, gate.coefficients, other),
        outputs=(op.output,),
        arrays=arrays,
        scalars=scalars,
        scratch_bytes=1024,
        sharing={gate.maps: SamePlace(), other: SamePlace()},
    )
