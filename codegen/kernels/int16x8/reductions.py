"""MEAN, AVERAGE_POOL_2D and MAX_POOL_2D on int16."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...build import Build
from ...fixed_point import mean_multiplier
from ...ir import Graph, Op, OpKind, PoolAttrs, ReduceAttrs
from ..base import KernelCall, RowSchedule
from ..parameters import KernelParameters, code, data, size
from ..reduction import reduction_nest

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Mean16(KernelParameters):
    """Loops over the axes that stay, and in them over those that vanish; strides in elements."""

    template: ClassVar[str] = "int16x8/mean"

    kept_sizes: Shape = size()
    kept_strides: Shape = size()
    reduced_sizes: Shape = size(inner=True)
    reduced_strides: Shape = size(inner=True)
    multiplier: int = data()
    shift: int = data()

    @property
    def name(self) -> str:
        return "mean_16"

    @property
    def summary(self) -> str:
        return "Means of int16 values: sums in 32 bits, requantized with the division folded in."


@dataclass(frozen=True, eq=False)
class Pool16(KernelParameters):
    """Windows over [in_h, in_w, channels], rows of `row_values` values; places outside of the map do not count."""

    template: ClassVar[str] = "int16x8/pool"
    shown: ClassVar[Mapping[str, str]] = {"c": "channels"}

    is_average: bool = code()
    in_h: int = size()
    in_w: int = size()
    channels: int = size()
    row_values: int = size()
    out_h: int = size()
    out_w: int = size()
    kernel_h: int = size()
    kernel_w: int = size()
    stride_h: int = size()
    stride_w: int = size()
    pad_top: int = size()
    pad_left: int = size()
    low: int = data()
    high: int = data()

    @property
    def name(self) -> str:
        return "average_pool_2d_16" if self.is_average else "max_pool_2d_16"

    @property
    def summary(self) -> str:
        what = "mean, rounded half away from zero," if self.is_average else "largest"
        return f"The {what} of the real positions of windows of int16 values."


def select_mean(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a MEAN on int16."""
    assert isinstance(op.attrs, ReduceAttrs)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    nest = reduction_nest(source.shape, op.attrs.axes)
    factor = mean_multiplier(source.scale, output.scale, nest.count)
    run = ((nest.run,), (1,))
    more_kept, more_reduced = (((), ()), run) if nest.run_is_reduced else (run, ((), ()))
    return KernelCall(
        Mean16(
            nest.kept_sizes + more_kept[0],
            nest.kept_strides + more_kept[1],
            nest.reduced_sizes + more_reduced[0],
            nest.reduced_strides + more_reduced[1],
            factor.multiplier,
            factor.shift,
        ),
        (source.name,),
        (op.output,),
        accumulator=(-(nest.count << 15), nest.count << 15),
    )


def select_pool(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a pool on int16; a row of outputs is written behind what it was made of."""
    assert isinstance(op.attrs, PoolAttrs)
    _, in_h, in_w, channels = graph.tensor(op.inputs[0]).shape
    _, out_h, out_w, _ = graph.tensor(op.output).shape
    window = op.attrs.window
    first_rows = [max(0, y * window.stride_h - window.pad_top) for y in range(out_h)]
    parameters = Pool16(
        is_average=op.kind is OpKind.AVERAGE_POOL_2D,
        in_h=in_h,
        in_w=in_w,
        channels=channels,
        row_values=in_w * channels,
        out_h=out_h,
        out_w=out_w,
        kernel_h=window.kernel_h,
        kernel_w=window.kernel_w,
        stride_h=window.stride_h,
        stride_w=window.stride_w,
        pad_top=window.pad_top,
        pad_left=window.pad_left,
        low=op.attrs.activation_min,
        high=op.attrs.activation_max,
    )
    schedule = RowSchedule(
        tuple(2 * (y + 1) * out_w * channels for y in range(out_h)),
        tuple(2 * row * in_w * channels for row in first_rows),
    )
    return KernelCall(parameters, (op.inputs[0],), (op.output,), sharing={op.inputs[0]: schedule})
