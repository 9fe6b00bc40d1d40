"""What CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED have in common: operands, requantization, an activation table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import UnsupportedOperators
from ..activations import activation_table
from ..ir import ClampAttrs, ConvAttrs, FusedAttrs, FusedPattern, Graph, Op
from ..reference import channel_multipliers

Int8 = npt.NDArray[np.int8]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution's operands, taken apart.

    weights               as in the file: `[c_out, ...]` or, for depthwise, `[1, kernel_h, kernel_w, c_out]`
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
    assert isinstance(step.attrs, ConvAttrs | ClampAttrs)
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
        step.attrs.activation_min,
        step.attrs.activation_max,
        table,
    )


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
