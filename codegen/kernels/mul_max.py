"""Attention over the heads and Max-out in one kernel: the scaled maps of the heads never exist.

In stripes the output follows the maps through the same memory. A pixel's heads free more bytes than its output takes, so each
stripe may be larger than the one before by as many times as there are heads; the distance is the output of the first, smallest.
"""

from __future__ import annotations

from itertools import accumulate

from ..build import Build
from ..fixed_point import mul_multiplier
from ..ir import ClampAttrs, FusedAttrs, Graph, Op
from .base import KernelCall, RowSchedule, untyped_call
from .broadcast import unroll
from .exact import fit_product_requant
from .mul import MAX_LANE_SHIFT, pair_products, requant_scalars, requant_shape


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
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
    has_lanes = 2 <= heads <= 5 and maps.num_elements >= 4 and requant.left <= MAX_LANE_SHIFT
    first = int(has_lanes and heads == 3)  # the pixel at the head of a stripe that is not part of the loop
    steps = unroll(pixels - first, 6) if has_lanes else 1
    turns = _turns(pixels, first, steps, heads, build.bands.count)
    ends = list(accumulate(first + steps * count for count in turns))
    rest, ends[-1] = pixels - ends[-1], pixels
    begins = [0, *ends[:-1]]
    is_striped = len(turns) > 1
    schedule = RowSchedule(tuple(num_channels * end for end in ends), tuple(num_channels * heads * begin for begin in begins))
    return untyped_call(
        template="mul_max",
        shape={
            "pixels": pixels,
            "c": num_channels,
            "heads": heads,
            "has_lanes": has_lanes,
            "steps": steps,
            "turns": turns,
            "rest": rest,
            "is_striped": is_striped,
            **requant_shape(requant, mul.attrs.activation_min, mul.attrs.activation_max),
        },
        inputs=(maps.name, coefficients.name),
        outputs=(op.output,),
        scalars={
            "offset0": -maps.zero_point,
            "offset1": -coefficients.zero_point,
            **requant_scalars(requant),
        },
        sharing={maps.name: schedule} if is_striped else {},
    )


def _turns(pixels: int, first: int, steps: int, heads: int, stripes: int) -> tuple[int, ...]:
    """Of each stripe: the turns of `steps` pixels that follow its `first`, `heads` times those of the one before."""
    stripes = max(1, min(stripes, pixels // (first + steps)))
    turns = (pixels - first * stripes) // steps
    parts = list(accumulate(heads**stripe for stripe in range(stripes)))
    ends = [max(min(stripe, turns), turns * part // parts[-1]) for stripe, part in enumerate(parts, 1)]
    return tuple(end - begin for begin, end in zip([0, *ends], ends, strict=False))
