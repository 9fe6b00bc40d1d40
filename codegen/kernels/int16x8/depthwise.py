"""DEPTHWISE_CONV_2D on int16."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...build import DSP, Build
from ...ir import ConvAttrs, Graph, Op
from ..base import KernelCall
from ..parameters import KernelParameters, array, code, data, size
from .products import sums_of


@dataclass(frozen=True, eq=False)
class DepthwiseConv16(KernelParameters):
    """Windows over [in_h, in_w, channels], `multiplier` outputs for each channel; `words` of `scales` for each output channel.

    is_paired    two channels at a time, whose values and int16 weights are halves of words
    columns      of the kernel where channels are paired, else 0
    pixel_step, row_step, filter_row   values from one tap to the next, and to the one below; weights of one row
    twos, pixel_words, row_words       pairs of channels; words from one tap to the next, and to the one below
    """

    template: ClassVar[str] = "int16x8/depthwise_conv_2d"
    shown: ClassVar[Mapping[str, str]] = {"c": "channels"}

    scale: str = code()
    is_wide: bool = code()
    is_clamped: bool = code()
    has_heads: bool = code()
    is_paired: bool = code()
    columns: int = code()
    words: int = code()
    in_h: int = size()
    in_w: int = size()
    channels: int = size()
    multiplier: int = size()
    out_h: int = size()
    out_w: int = size()
    c_out: int = size(inner=True)
    kernel_h: int = size()
    kernel_w: int = size()
    stride_h: int = size()
    stride_w: int = size()
    dilation_h: int = size()
    dilation_w: int = size()
    pad_top: int = size()
    pad_left: int = size()
    pixel_step: int = size(inner=True)
    row_step: int = size()
    filter_row: int = size()
    twos: int = size(inner=True)
    pixel_words: int = size(inner=True)
    row_words: int = size()
    low: int = data()
    high: int = data()
    weights: npt.NDArray[np.integer] = array()
    scales: npt.NDArray[np.int32] = array()

    @property
    def name(self) -> str:
        return "depthwise_conv_2d_16"

    @property
    def summary(self) -> str:
        how = "two channels at a time" if self.is_paired else "one output after the other"
        return f"Depthwise convolution of int16 values with int8 weights, {how}."

    @property
    def stored(self) -> str:
        return "int16" if self.is_paired else "int8"


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a DEPTHWISE_CONV_2D on int16."""
    assert isinstance(op.attrs, ConvAttrs)
    _, in_h, in_w, channels = graph.tensor(op.inputs[0]).shape
    _, out_h, out_w, c_out = graph.tensor(op.output).shape
    sums, window = sums_of(op, graph), op.attrs.window
    is_paired = DSP in build.isa.chain and channels == c_out and channels % 2 == 0 and not sums.is_wide
    row_step = window.dilation_h * in_w * channels
    parameters = DepthwiseConv16(
        scale=sums.scale,
        is_wide=sums.is_wide,
        is_clamped=sums.is_clamped,
        has_heads=op.attrs.depth_multiplier > 1,
        is_paired=is_paired,
        columns=window.kernel_w if is_paired else 0,
        words=4 if sums.is_wide else 3,
        in_h=in_h,
        in_w=in_w,
        channels=channels,
        multiplier=op.attrs.depth_multiplier,
        out_h=out_h,
        out_w=out_w,
        c_out=c_out,
        kernel_h=window.kernel_h,
        kernel_w=window.kernel_w,
        stride_h=window.stride_h,
        stride_w=window.stride_w,
        dilation_h=window.dilation_h,
        dilation_w=window.dilation_w,
        pad_top=window.pad_top,
        pad_left=window.pad_left,
        pixel_step=window.dilation_w * channels,
        row_step=row_step,
        filter_row=window.kernel_w * c_out,
        twos=channels // 2,
        pixel_words=window.dilation_w * channels // 2,
        row_words=row_step // 2,
        low=sums.low,
        high=sums.high,
        weights=_pairs(sums.filters) if is_paired else sums.filters.T.astype(np.int8).reshape(-1),
        scales=sums.channel_words().reshape(-1),
    )
    return KernelCall(
        parameters,
        (op.inputs[0],),
        op.outputs,
        accumulator=None if sums.is_wide else (-int(sums.largest.max()), int(sums.largest.max())),
    )


def _pairs(filters: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Weights [c_out, taps], tap by tap, those of two channels as the halves of a word."""
    low, high = filters.T[:, 0::2], filters.T[:, 1::2]
    return ((low & 0xFFFF) | (high << 16)).astype(np.int32).reshape(-1)
