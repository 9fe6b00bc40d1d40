"""What CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED have in common: operands, requantization, an activation table."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..int8_functions import function_table
from ..ir import ClampAttrs, ConvAttrs, FusedAttrs, FusedPattern, Graph, Op, OpKind, Window
from ..reference import channel_multipliers, fully_connected_multipliers, no_multiplier
from .accumulators import accumulator_bounds, is_fast
from .small_sums import SMALL, ChannelScale, small_sums

Int8 = npt.NDArray[np.int8]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution's operands, taken apart.

    op                    whose window has no outer taps that meet nothing but padding: they would add zero
    weights               of that window: `[c_out, ...]` or, for depthwise, `[1, kernel_h, kernel_w, c_out]`
    bias, multiplier, shift  [c_out]; shift > 0 is a left shift
    output_zero_point     one for all channels, or [c_out]
    table                 256 entries for the values -128..127 of a fused activation, or None
    """

    op: Op
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    input_zero_point: int
    output_zero_point: int | Int64
    weights: Int8
    bias: Int64
    multiplier: Int64
    shift: Int64
    activation_min: int
    activation_max: int
    table: Int8 | None

    @property
    def attrs(self) -> ConvAttrs:
        assert isinstance(self.op.attrs, ConvAttrs)
        return self.op.attrs

    @property
    def filters(self) -> Int64:
        """The weights of each output channel, [c_out, k]."""
        if self.op.kind is OpKind.DEPTHWISE_CONV_2D:
            return self.weights.reshape(-1, self.weights.shape[3]).T.astype(np.int64)
        return self.weights.reshape(self.weights.shape[0], -1).astype(np.int64)


def lying(conv: Convolution) -> Convolution:
    """A convolution over a map of width 1 as one over a map of height 1, whose bytes are the same; any other as it is.

    Of a kernel row that reaches into the padding on both sides, the tap on the map is left.
    """
    w = conv.attrs.window
    _, in_h, in_w, c_in = conv.input_shape
    _, out_h, out_w, c_out = conv.output_shape
    column, between = divmod(w.pad_left, w.dilation_w)
    if in_w != 1 or out_w != 1 or in_h == 1 or between or column >= w.kernel_w:
        return conv
    weights = conv.weights[:, :, column : column + 1].swapaxes(1, 2)
    window = Window(1, w.kernel_h, 1, w.stride_h, 1, w.dilation_h, pad_left=w.pad_top, pad_right=w.pad_bottom)
    op = replace(conv.op, attrs=replace(conv.attrs, window=window))
    return replace(conv, op=op, input_shape=(1, 1, in_h, c_in), output_shape=(1, 1, out_h, c_out), weights=weights)


def convolution(op: Op, graph: Graph) -> Convolution:
    """Take apart a convolution, alone or as a step of a fused operator: the first, but behind a channel scale.

    Channels whose accumulators would be large become equal ones with small ones, but for those of a maximum, scaled alike.
    """
    step, table, is_max = op, None, False
    if isinstance(op.attrs, FusedAttrs):
        step = op.attrs.body[1 if op.attrs.pattern is FusedPattern.MUL_DEPTHWISE else 0]
        is_max = op.attrs.pattern is FusedPattern.MDW_MAX
        if op.attrs.pattern is FusedPattern.PRODUCER_TABLE:
            table = function_table(op.attrs.body[-1], graph)
    x, y = graph.tensor(step.inputs[0]), graph.tensor(step.output)
    weights = graph.tensor(step.inputs[1]).constant().astype(np.int8)
    multipliers_of = fully_connected_multipliers if step.kind is OpKind.FULLY_CONNECTED else channel_multipliers
    multiplier, shift = multipliers_of(step, graph)
    bias = graph.tensor(step.inputs[2]).constant().astype(np.int64).reshape(-1) if len(step.inputs) > 2 else 0 * shift
    attrs = step.attrs
    assert isinstance(attrs, ConvAttrs | ClampAttrs)
    if isinstance(attrs, ConvAttrs):
        window, rows, columns = _touching(attrs.window, x.shape, y.shape)
        step, weights = replace(step, attrs=replace(attrs, window=window)), weights[:, rows, columns]
    conv = Convolution(
        step,
        x.shape,
        y.shape,
        x.zero_point,
        y.zero_point,
        weights,
        bias,
        multiplier,
        shift,
        attrs.activation_min,
        attrs.activation_max,
        table,
    )
    conv = conv if is_max else _with_small_sums(conv)
    _require_words(step, conv.multiplier)
    return conv


def _with_small_sums(conv: Convolution) -> Convolution:
    """The same layer with accumulators below SMALL and in the reach of the fast forms, where channels allow it."""
    filters = conv.filters
    low, high = accumulator_bounds(filters, conv.bias, conv.input_zero_point)
    largest = np.maximum(np.abs(low), np.abs(high))
    large = np.flatnonzero(~is_fast(conv.multiplier, conv.shift, largest) | (largest >= SMALL))
    if not large.size:
        return conv
    multiplier, shift, bias = conv.multiplier.copy(), conv.shift.copy(), conv.bias.copy()
    weights, zero_point = conv.weights.copy(), np.broadcast_to(np.int64(conv.output_zero_point), bias.shape).copy()
    by_channel = (
        weights.reshape(len(bias), -1) if conv.op.kind is not OpKind.DEPTHWISE_CONV_2D else weights.reshape(-1, len(bias)).T
    )
    once = conv.op.kind is OpKind.FULLY_CONNECTED
    for c in large.tolist():
        scale = ChannelScale(int(multiplier[c]), int(shift[c]), int(zero_point[c]), once)
        found = small_sums(scale, int(low[c]), int(high[c]), conv.activation_min, conv.activation_max)
        if found is not None:
            multiplier[c], shift[c], zero_point[c] = found.scale.multiplier, found.scale.shift, found.scale.zero_point
            bias[c] = 0 if found.is_constant else bias[c] - found.distance
            if found.is_constant:
                by_channel[c] = 0
    return replace(conv, weights=weights, bias=bias, multiplier=multiplier, shift=shift, output_zero_point=zero_point)


def _touching(window: Window, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> tuple[Window, slice, slice]:
    """The window without the outer rows and columns of taps that lie in the padding for every output, and which are left."""
    w = window
    top, bottom = _outside(w.kernel_h, w.dilation_h, w.stride_h, (w.pad_top, w.pad_bottom), input_shape[1], output_shape[1])
    left, right = _outside(w.kernel_w, w.dilation_w, w.stride_w, (w.pad_left, w.pad_right), input_shape[2], output_shape[2])
    kernel_h, kernel_w = w.kernel_h - top - bottom, w.kernel_w - left - right
    smaller = Window(
        kernel_h,
        kernel_w,
        w.stride_h,
        w.stride_w,
        w.dilation_h if kernel_h > 1 else 1,
        w.dilation_w if kernel_w > 1 else 1,
        w.pad_top - top * w.dilation_h,
        w.pad_bottom - bottom * w.dilation_h,
        w.pad_left - left * w.dilation_w,
        w.pad_right - right * w.dilation_w,
    )
    return smaller, slice(top, top + kernel_h), slice(left, left + kernel_w)


def _outside(taps: int, dilation: int, stride: int, pads: tuple[int, int], size: int, outputs: int) -> tuple[int, int]:
    """How many taps at the begin and at the end of a window meet the map in no output; no padding becomes negative."""
    starts = np.arange(outputs)[:, np.newaxis] * stride - pads[0]
    places = starts + np.arange(taps) * dilation
    meets = np.flatnonzero(((places >= 0) & (places < size)).any(axis=0))
    if meets.size == 0:
        return 0, 0
    return min(int(meets[0]), pads[0] // dilation), min(taps - 1 - int(meets[-1]), pads[1] // dilation)


def _require_words(step: Op, multiplier: Int64) -> None:
    """Refuse a FULLY_CONNECTED whose rounding in double needs a factor wider than the kernel's 32-bit words."""
    wide = np.flatnonzero(multiplier >= 1 << 31)
    if wide.size:
        raise no_multiplier(step, wide.tolist(), multiplier.size, "32-bit")


def clamped_table(conv: Convolution) -> Int8:
    """The activation's table behind the convolution's own clamp."""
    assert conv.table is not None
    index = np.clip(np.arange(-128, 128), conv.activation_min, conv.activation_max) + 128
    return conv.table[index]
