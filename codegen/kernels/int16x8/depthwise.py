"""DEPTHWISE_CONV_2D on int16."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...build import Build
from ...ir import ConvAttrs, Graph, Op
from ..base import KernelCall
from ..parameters import KernelParameters, array, code, data, size
from .products import sums_of


@dataclass(frozen=True, eq=False)
class DepthwiseConv16(KernelParameters):
    """Windows over [in_h, in_w, channels], `multiplier` outputs for each channel; `words` of `scales` for each output channel."""

    template: ClassVar[str] = "int16x8/depthwise_conv_2d"
    shown: ClassVar[Mapping[str, str]] = {"c": "channels"}

    scale: str = code()
    is_wide: bool = code()
    is_clamped: bool = code()
    has_heads: bool = code()
    words: int = code()
    in_h: int = size()
    in_w: int = size()
    channels: int = size()
    multiplier: int = size()
    out_h: int = size()
    out_w: int = size()
    c_out: int = size()
    kernel_h: int = size()
    kernel_w: int = size()
    stride_h: int = size()
    stride_w: int = size()
    dilation_h: int = size()
    dilation_w: int = size()
    pad_top: int = size()
    pad_left: int = size()
    low: int = data()
    high: int = data()
    weights: npt.NDArray[np.int8] = array()
    scales: npt.NDArray[np.int32] = array()

    @property
    def name(self) -> str:
        return "depthwise_conv_2d_16"

    @property
    def summary(self) -> str:
        return "Depthwise convolution of int16 values with int8 weights, one output after the other."

    @property
    def stored(self) -> str:
        return "int8"


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a DEPTHWISE_CONV_2D on int16."""
    assert isinstance(op.attrs, ConvAttrs)
    _, in_h, in_w, channels = graph.tensor(op.inputs[0]).shape
    _, out_h, out_w, c_out = graph.tensor(op.output).shape
    sums, window = sums_of(op, graph), op.attrs.window
    parameters = DepthwiseConv16(
        scale=sums.scale,
        is_wide=sums.is_wide,
        is_clamped=sums.is_clamped,
        has_heads=op.attrs.depth_multiplier > 1,
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
        low=sums.low,
        high=sums.high,
        weights=sums.filters.T.astype(np.int8).reshape(-1),
        scales=sums.channel_words().reshape(-1),
    )
    return KernelCall(
        parameters,
        (op.inputs[0],),
        op.outputs,
        accumulator=None if sums.is_wide else (-int(sums.largest.max()), int(sums.largest.max())),
    )
