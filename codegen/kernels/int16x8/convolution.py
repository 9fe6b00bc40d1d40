"""CONV_2D and FULLY_CONNECTED on int16: two columns of values at a time, multiplied with two output channels at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...build import Build
from ...ir import ConvAttrs, Graph, Op, Window, conv_groups
from ..base import KernelCall
from ..im2col import window_schedule
from ..parameters import KernelParameters, array, code, data, size
from .products import PackedProducts, ProductKernel, Sums, packed_products, sums_of


@dataclass(frozen=True, eq=False)
class Convolution16(KernelParameters):
    """Windows over [in_h, in_w, channels] as columns in scratch; where a column is a pixel, it is read where it lies.

    kernel    the function of the products
    run       channels of a group, at each place of a window;  rest  zeros behind a column of `column` values
    group_..  of one group: its outputs, the bytes of its weights, the words of its channels
    """

    template: ClassVar[str] = "int16x8/convolution"
    shown: ClassVar[Mapping[str, str]] = {"c": "channels", "to": "c_out"}

    operator: str = code()
    kernel: ProductKernel = code()
    is_direct: bool = code()
    has_groups: bool = code()
    in_h: int = size()
    in_w: int = size()
    channels: int = size()
    out_w: int = size()
    pixels: int = size()
    c_out: int = size()
    kernel_h: int = size()
    kernel_w: int = size()
    stride_h: int = size()
    stride_w: int = size()
    dilation_h: int = size()
    dilation_w: int = size()
    pad_top: int = size()
    pad_left: int = size()
    run: int = size()
    rest: int = size()
    column: int = size()
    twos: int = size()
    is_odd: int = size()
    count: int = size()
    groups: int = size()
    group_out: int = size()
    group_weights: int = size()
    group_words: int = size()
    low: int = data()
    high: int = data()
    weights: npt.NDArray[np.integer] = array()
    scales: npt.NDArray[np.int32] = array()

    @property
    def name(self) -> str:
        return f"{self.operator}_16"

    @property
    def summary(self) -> str:
        how = "read where they lie" if self.is_direct else "copied into scratch as columns"
        return f"Convolution of int16 values with int8 weights: two pixels at a time, {how}, with two output channels at a time."

    @property
    def stored(self) -> str:
        return "int8"

    @property
    def helpers(self) -> tuple[ProductKernel, ...]:
        return (self.kernel,)


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a CONV_2D on int16."""
    assert isinstance(op.attrs, ConvAttrs)
    _, in_h, in_w, channels = graph.tensor(op.inputs[0]).shape
    _, out_h, out_w, _ = graph.tensor(op.output).shape
    groups = conv_groups(op, graph)
    sums = sums_of(op, graph)
    return _call(
        op, "conv_2d", sums, packed_products(sums, groups, build), op.attrs.window, groups, (in_h, in_w, channels), (out_h, out_w)
    )


def select_fully_connected(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a FULLY_CONNECTED on int16: a convolution over its rows."""
    sums = sums_of(op, graph)
    c_out, c_in = sums.filters.shape
    rows = math.prod(graph.tensor(op.output).shape) // c_out
    packed = packed_products(sums, 1, build)
    return _call(op, "fully_connected", sums, packed, Window(1, 1), 1, (1, rows, c_in), (1, rows))


def _call(
    op: Op,
    operator: str,
    sums: Sums,
    packed: PackedProducts,
    window: Window,
    groups: int,
    input_hwc: tuple[int, int, int],
    output_hw: tuple[int, int],
) -> KernelCall:
    in_h, in_w, channels = input_hwc
    c_out, depth = sums.filters.shape
    is_direct = window == Window(1, 1) and groups == 1 and packed.column == depth
    parameters = Convolution16(
        operator=operator,
        kernel=packed.kernel,
        is_direct=is_direct,
        has_groups=groups > 1,
        in_h=in_h,
        in_w=in_w,
        channels=channels,
        out_w=output_hw[1],
        pixels=math.prod(output_hw),
        c_out=c_out,
        kernel_h=window.kernel_h,
        kernel_w=window.kernel_w,
        stride_h=window.stride_h,
        stride_w=window.stride_w,
        dilation_h=window.dilation_h,
        dilation_w=window.dilation_w,
        pad_top=window.pad_top,
        pad_left=window.pad_left,
        run=channels // groups,
        rest=packed.column - depth,
        column=packed.column,
        twos=packed.twos,
        is_odd=packed.is_odd,
        count=packed.count,
        groups=groups,
        group_out=c_out // groups,
        group_weights=packed.weights_bytes,
        group_words=packed.words,
        low=sums.low,
        high=sums.high,
        weights=packed.weights,
        scales=packed.channels,
    )
    by_turns = groups if not is_direct else 2  # what is read where it lies is read while outputs are written
    schedule = window_schedule((in_h, in_w, 2 * channels), output_hw, 2 * c_out, window, 2, by_turns)
    is_narrow = not sums.is_wide
    bounds = (-int(sums.largest.max()), int(sums.largest.max()))
    return KernelCall(
        parameters,
        (op.inputs[0],),
        op.outputs,
        scratch_bytes=0 if is_direct else 2 * 2 * packed.column,
        sharing={op.inputs[0]: schedule},
        accumulator=bounds if is_narrow else None,
    )
