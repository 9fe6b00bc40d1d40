"""What CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED have in common: operands, requantization, an activation table."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...errors import UnsupportedOperators
from ..activations import activation_table
from ..ir import ClampAttrs, ConvAttrs, FusedAttrs, FusedPattern, Graph, Op, Window
from ..reference import channel_multipliers

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


def convolution(op: Op, graph: Graph) -> Convolution:
    """Take apart a convolution, alone or as a step of a fused operator: the first, but behind a channel scale."""
    step, table = op, None
    if isinstance(op.attrs, FusedAttrs):
        step = op.attrs.body[1 if op.attrs.pattern is FusedPattern.MUL_DEPTHWISE else 0]
        if op.attrs.pattern is FusedPattern.PRODUCER_TABLE:
            last = op.attrs.body[-1]
            ends = graph.tensor(last.inputs[0]), graph.tensor(last.output)
            table = activation_table(last.kind, *ends, last.parameters)
    x, y = graph.tensor(step.inputs[0]), graph.tensor(step.output)
    weights = graph.tensor(step.inputs[1]).constant().astype(np.int8)
    multiplier, shift = channel_multipliers(step, graph, max_bits=62)
    _require_words(step, multiplier)
    bias = graph.tensor(step.inputs[2]).constant().astype(np.int64).reshape(-1) if len(step.inputs) > 2 else 0 * shift
    attrs = step.attrs
    assert isinstance(attrs, ConvAttrs | ClampAttrs)
    if isinstance(attrs, ConvAttrs):
        window, rows, columns = _touching(attrs.window, x.shape, y.shape)
        step, weights = replace(step, attrs=replace(attrs, window=window)), weights[:, rows, columns]
    return Convolution(
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
        raise UnsupportedOperators(
            [
                f"{step.label}: in {wide.size} of {multiplier.size} channels (the first is {wide[0]}) no 32-bit multiplier "
                "rounds like LiteRT (convert the layer as a 1x1 CONV_2D)"
            ]
        )


def clamped_table(conv: Convolution) -> Int8:
    """The activation's table behind the convolution's own clamp."""
    assert conv.table is not None
    index = np.clip(np.arange(-128, 128), conv.activation_min, conv.activation_max) + 128
    return conv.table[index]
