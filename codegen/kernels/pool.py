"""AVERAGE_POOL_2D and MAX_POOL_2D: windows of any size, stride and padding; four channels at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..build import Build
from ..ir import Graph, Op, OpKind, PoolAttrs
from .base import KernelCall, RowSchedule
from .parameters import KernelParameters, code, size

LANE_COLUMNS = 255  # int8 values that an int16 lane can sum
MOST_PLACES = 9  # of a window that is read without loops


@dataclass(frozen=True, eq=False)
class Pool(KernelParameters):
    """Windows over [in_h, in_w, channels].

    row_bytes   from one input row to the next
    fours       groups of four channels, then `rest` single ones
    fits_lanes  whether the columns of a window can be summed in int16
    whole       rows and columns of a small window that always lies inside the map: it is read without loops; None: loops
    row_step, column_step  from a window to the one below, and to the next
    """

    shown: ClassVar[Mapping[str, str]] = {"c": "channels"}
    in_h: int = size()
    in_w: int = size()
    out_h: int = size()
    out_w: int = size()
    channels: int = size()
    row_bytes: int = size()
    fours: int = size()
    rest: int = code()
    has_fours: bool = code()
    kernel_h: int = size()
    kernel_w: int = size()
    fits_lanes: bool = code()
    stride_h: int = size()
    stride_w: int = size()
    pad_top: int = size()
    pad_left: int = size()
    low: int = code()
    high: int = code()
    whole: tuple[int, int] | None = code()
    row_step: int = size()
    column_step: int = size()

    @property
    def places(self) -> int:
        """Of a window that is read without loops."""
        assert self.whole is not None
        return self.whole[0] * self.whole[1]


class AveragePool(Pool):
    template: ClassVar[str] = "average_pool_2d"

    @property
    def summary(self) -> str:
        return "Average pooling: the mean of a window's real positions, rounded half away from zero."


class MaxPool(Pool):
    template: ClassVar[str] = "max_pool_2d"

    @property
    def summary(self) -> str:
        return "Max pooling: the largest of a window's real positions."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a pooling operator; padded positions do not count."""
    assert isinstance(op.attrs, PoolAttrs)
    (_, in_h, in_w, c), (_, out_h, out_w, _) = graph.tensor(op.inputs[0]).shape, graph.tensor(op.output).shape
    window = op.attrs.window
    first_rows = [max(0, y * window.stride_h - window.pad_top) for y in range(out_h)]
    schedule = RowSchedule(
        tuple((y + 1) * out_w * c for y in range(out_h)),
        tuple(row * in_w * c for row in first_rows),
    )
    make = AveragePool if op.kind is OpKind.AVERAGE_POOL_2D else MaxPool
    parameters = make(
        in_h=in_h,
        in_w=in_w,
        out_h=out_h,
        out_w=out_w,
        channels=c,
        row_bytes=in_w * c,
        fours=c // 4,
        rest=c % 4,
        has_fours=c >= 4,
        kernel_h=window.kernel_h,
        kernel_w=window.kernel_w,
        fits_lanes=window.kernel_w <= LANE_COLUMNS,
        stride_h=window.stride_h,
        stride_w=window.stride_w,
        pad_top=window.pad_top,
        pad_left=window.pad_left,
        low=op.attrs.activation_min,
        high=op.attrs.activation_max,
        whole=(window.kernel_h, window.kernel_w) if _is_whole(op, graph) else None,
        row_step=window.stride_h * in_w * c,
        column_step=window.stride_w * c,
    )
    return KernelCall(parameters, (op.inputs[0],), (op.output,), sharing={op.inputs[0]: schedule})


def _is_whole(op: Op, graph: Graph) -> bool:
    """Whether windows are small, all inside the map, and their results need no clamp; the mean of 2, 4 or 8 is a shift."""
    assert isinstance(op.attrs, PoolAttrs)
    (_, in_h, in_w, c), (_, out_h, out_w, _) = graph.tensor(op.inputs[0]).shape, graph.tensor(op.output).shape
    w = op.attrs.window
    is_inside = w.pad_top == w.pad_left == 0
    is_inside &= (out_h - 1) * w.stride_h + w.kernel_h <= in_h and (out_w - 1) * w.stride_w + w.kernel_w <= in_w
    places = w.kernel_h * w.kernel_w
    fits = places <= MOST_PLACES if op.kind is OpKind.MAX_POOL_2D else places in (2, 4, 8)
    return is_inside and fits and c >= 4 and (op.attrs.activation_min, op.attrs.activation_max) == (-128, 127)
