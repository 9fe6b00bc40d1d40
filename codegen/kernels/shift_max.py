"""SHIFT_MAX: MicroNet's Dynamic Shift-Max in one kernel, whose output may take the place of its input.

The largest of one or two sums, each of a channel and of a shifted channel, both times a computed coefficient. Some pixels at a
time are copied aside; then each channel of them is computed and written where the copied ones were. Seven operators, whose
outputs would lie in memory side by side, need that of one.
"""

from __future__ import annotations

import numpy as np

from ..build import Build
from ..ir import FusedAttrs, GatherAttrs, Graph, Op, OpKind
from .add import Sum
from .base import ConstArray, KernelCall, ShapeValue, elementwise_schedule, untyped_call
from .broadcast import unroll
from .exact import fit_affine
from .gate import gate_of
from .gather import offset_array
from .table import by_unsigned_byte

MOST_PIXELS, MOST_COPIED_BYTES = 128, 20_480
TABLE_PIXELS, TABLE_COPIED_BYTES = 500, 12_800  # from so many pixels on, a channel's products are tables, made for each copy
TABLES_BYTES = 2048


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of GATHER, MUL, MUL, ADD and, where there are two sums, MUL, MUL, ADD, MAXIMUM."""
    assert isinstance(op.attrs, FusedAttrs)
    body = {step.output: step for step in op.attrs.body}
    gather = op.attrs.body[0]
    assert isinstance(gather.attrs, GatherAttrs)
    adds = [step for step in op.attrs.body if step.kind is OpKind.ADD]
    muls = [body[name] for add in adds for name in add.inputs]
    gates = [gate_of(mul, graph, build.costs) for mul in muls]
    sums = [Sum(add, *(graph.tensor(name) for name in (*add.inputs, add.output))) for add in adds]
    num_channels = len(gather.attrs.indices)
    pixels = graph.tensor(op.output).num_elements // num_channels
    copied, has_tables = _pixels_at_once(pixels, num_channels)
    shape: dict[str, ShapeValue] = {
        "pixels": pixels,
        "c": num_channels,
        "copied": copied,
        "has_tables": has_tables,
        "steps": unroll(copied, 8),
        "is_shifted": tuple(int(mul.inputs[0] == gather.output) for mul in muls),
        "left": tuple(gate.requant.left for gate in gates),
        "right": tuple(gate.requant.right for gate in gates),
        "sign_correction": tuple(int(gate.requant.sign_correction) for gate in gates),
        "mul_low": tuple(gate.activation_min for gate in gates),
        "mul_high": tuple(gate.activation_max for gate in gates),
        "sum_low": tuple(sum_.low for sum_ in sums),
        "sum_high": tuple(sum_.high for sum_ in sums),
    }
    scalars = {"offset": gates[0].maps_offset}
    for i, gate in enumerate(gates):
        scalars[f"coefficients{i}_offset"] = gate.coefficients_offset
        scalars[f"product{i}_multiplier"] = gate.requant.multiplier
        scalars[f"product{i}_offset"] = gate.requant.offset
    arrays = [ConstArray("shifted", offset_array(np.array(gather.attrs.indices)))]
    shifts = []
    for i, sum_ in enumerate(sums):
        affine = fit_affine(sum_.expected, *sum_.reals, sum_.low, sum_.high, fraction=0)
        if affine is not None:
            shifts.append(affine.shift)
            scalars |= {f"sum{i}_factor0": affine.factor0, f"sum{i}_factor1": affine.factor1, f"sum{i}_bias": affine.bias}
        else:  # both on the sum's input scale, by tables
            shifts.append(-1)
            requant = sum_.requant
            arrays += [ConstArray(f"sum{i}_table{j}", by_unsigned_byte(t.astype(np.int32))) for j, t in enumerate(sum_.terms)]
            shape |= requant.shape(f"sum{i}")
            scalars |= requant.scalars(f"sum{i}")
    shape["sum_shift"] = tuple(shifts)
    source = gather.inputs[0]
    return untyped_call(
        template="shift_max",
        shape=shape,
        inputs=(source, *(gate.coefficients for gate in gates)),
        outputs=(op.output,),
        arrays=tuple(arrays),
        scalars=scalars,
        scratch_bytes=copied * num_channels + (TABLES_BYTES if has_tables else copied),
        sharing={source: elementwise_schedule(pixels * num_channels)},
    )


def _pixels_at_once(pixels: int, num_channels: int) -> tuple[int, bool]:
    """How many pixels are copied aside, a divisor of all, and whether they are worth tables."""

    def largest_divisor(most: int) -> int:
        return max(count for count in range(1, max(1, min(most, pixels)) + 1) if pixels % count == 0)

    for_tables = largest_divisor(TABLE_COPIED_BYTES // num_channels)
    if for_tables >= TABLE_PIXELS:
        return for_tables, True
    return largest_divisor(min(MOST_PIXELS, MOST_COPIED_BYTES // num_channels)), False
