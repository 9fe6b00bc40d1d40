"""CONV_2D, with or without an activation table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from ..build import Build
from ..ir import Graph, Op
from .base import KernelCall
from .conv_1d import conv_1d_call, is_conv_1d
from .convolution import Convolution, convolution, lying
from .depthwise import depthwise_call
from .gemm import Gemm, GemmKernel, gemm, own_function, pack_weights
from .im2col import Im2col, joins_rest, pair_order, window_runs, window_schedule
from .parameters import KernelParameters, code, data, group, size
from .pointwise import pointwise


@dataclass(frozen=True, eq=False)
class Conv2D(KernelParameters):
    """Parameters of `conv_2d.c.j2`: the map and the window are code.

    column_words  of the widened windows of a tile
    group_out     output channels of a group
    """

    template: ClassVar[str] = "conv_2d"
    shown: ClassVar[Mapping[str, str]] = {"to": "gemm_stride"}

    im2col: Im2col = code()
    tiles: int = code()
    rest_pixels: int = code()
    group_out: int = size()
    tile_output: int = size()
    column_words: int = size()
    input_zero_point: int | None = data()
    gemm: Gemm = group()

    @property
    def name(self) -> str:
        m, window = self.im2col, self.im2col.window
        is_strided = (window.stride_h, window.stride_w) != (1, 1)
        stride = f"_s{window.stride_h}x{window.stride_w}" if is_strided else ""
        return f"conv_{window.kernel_h}x{window.kernel_w}{stride}_{m.h}x{m.w}x{m.c}"

    @property
    def summary(self) -> str:
        m, at_once = self.im2col, self.gemm.kernel.pixels
        window, groups = m.window, f", {m.groups} groups" if m.groups > 1 else ""
        return (
            f"{window.kernel_h}x{window.kernel_w} convolution, stride {window.stride_h}x{window.stride_w}, "
            f"of a [{m.h},{m.w},{m.c}] map{groups}. The windows of {at_once} pixel{'s' * (at_once > 1)} are widened to int16 "
            "pairs in `column`, then multiplied with two output channels at a time."
        )

    @property
    def stored(self) -> str:
        return self.gemm.stored

    @property
    def helpers(self) -> tuple[GemmKernel, ...]:
        return (self.gemm.kernel, self.gemm.rest) if self.rest_pixels else (self.gemm.kernel,)


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of a CONV_2D, alone or with the table of its activation."""
    conv = lying(convolution(op, graph))
    _, in_h, in_w, c_in = conv.input_shape
    _, out_h, out_w, c_out = conv.output_shape
    share = conv.weights.shape[3]
    groups = c_in // share
    if is_conv_1d(conv):
        return conv_1d_call(conv, op.inputs[0], op.outputs, build)
    if c_in == c_out == 1:  # one map, one filter: a depthwise convolution reads it with less work
        return depthwise_call(conv, 1, False, op.inputs[0], op.outputs, build)
    if is_pointwise(conv) and groups == 1:
        return pointwise(conv, "conv_1x1", out_h * out_w, op, build)
    window = conv.attrs.window
    run_bytes, num_runs = window_runs(window, share, groups > 1)
    joined = joins_rest(run_bytes, num_runs, window.kernel_h)
    m = Im2col(
        in_h,
        in_w,
        c_in,
        out_w,
        window,
        groups,
        share,
        run_bytes,
        num_runs,
        joined,
        reaches_outside(conv),
        build.level.side_by_side,
    )
    packed = pack_weights(conv, pair_order(run_bytes, num_runs, joined), out_h * out_w, build, groups=groups)
    product, own = gemm(conv, packed, out_h * out_w, build, groups)
    pixels = product.kernel.pixels
    tiles, rest = divmod(out_h * out_w, pixels)
    column_words = packed.pairs * pixels
    zero_point = conv.input_zero_point if m.is_padded else None
    num_twos = tiles * groups * (c_out // groups // 2)
    parameters = Conv2D(m, tiles, rest, c_out // groups, pixels * c_out, column_words, zero_point, product)
    return KernelCall(
        parameters,
        (op.inputs[0],),
        op.outputs,
        scratch_bytes=4 * column_words + m.patch_bytes,
        sharing={op.inputs[0]: window_schedule((in_h, in_w, c_in), (out_h, out_w), c_out, window, pixels, groups)},
        accumulator=packed.accumulator,
        own=own_function(replace(parameters, gemm=own), product.kernel, own.kernel, num_twos, build),
    )


def is_pointwise(conv: Convolution) -> bool:
    """1x1, stride 1, no padding: the pixels' windows follow each other in memory."""
    w = conv.attrs.window
    return (w.kernel_h, w.kernel_w, w.stride_h, w.stride_w) == (1, 1, 1, 1) and conv.input_shape[:3] == conv.output_shape[:3]


def reaches_outside(conv: Convolution) -> bool:
    """Whether a window touches the padding."""
    w = conv.attrs.window
    _, in_h, in_w, _ = conv.input_shape
    _, out_h, out_w, _ = conv.output_shape
    last_y = (out_h - 1) * w.stride_h - w.pad_top + (w.kernel_h - 1) * w.dilation_h
    last_x = (out_w - 1) * w.stride_w - w.pad_left + (w.kernel_w - 1) * w.dilation_w
    return w.pad_top > 0 or w.pad_left > 0 or last_y >= in_h or last_x >= in_w
