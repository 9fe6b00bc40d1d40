"""The integer arithmetic of LiteRT's reference kernels, written down once.

The NumPy reference, the ONNX twin and the emitted C all take their multipliers, shifts and tables from here. "Double rounding"
is `MultiplyByQuantizedMultiplier` without TFLITE_SINGLE_ROUNDING: SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int = npt.NDArray[np.integer]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Multiplier:
    """A real factor as multiplier * 2^(shift - 31); multiplier is 0 or in [2^30, 2^31), shift > 0 is a left shift."""

    multiplier: int
    shift: int


def quantize_multiplier(real: float) -> Multiplier:
    """The closest Q31 multiplier and shift of a non-negative real factor.

    Source: QuantizeMultiplier in TFLite's quantization_util: frexp, round half away, renormalise when it rounds up to
    2^31, flush to zero below 2^-31 and saturate above 2^30.
    """
    if not math.isfinite(real) or real < 0:
        raise ValueError(f"a multiplier must be finite and not negative, not {real}")
    if real == 0.0:
        return Multiplier(0, 0)
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return Multiplier(0, 0)
    if shift > 30:
        return Multiplier((1 << 31) - 1, 30)
    return Multiplier(multiplier, shift)


def requantize(acc: Int, multiplier: Int | int, shift: Int | int) -> Int64:
    """Bring accumulators to the output scale with double rounding, before the zero point and the clamp.

    acc         [..., c_out] int32 values
    multiplier  scalar or [c_out], Q31;  shift scalar or [c_out], > 0 is a left shift
    The high multiply rounds half up, the right shift rounds half away from zero.
    Source: MultiplyByQuantizedMultiplier, double rounding.
    """
    acc64 = np.asarray(acc, np.int64)
    shift64 = np.asarray(shift, np.int64)
    left, right = np.maximum(shift64, 0), np.maximum(-shift64, 0)
    high = ((acc64 << left) * np.asarray(multiplier, np.int64) + (1 << 30)) >> 31
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    result: Int64 = (high + half - ((high < 0) & (right > 0))) >> right
    return result


def requantize_single_rounding(acc: Int, multiplier: Int | int, shift: Int | int) -> Int64:
    """FULLY_CONNECTED of the pinned LiteRT rounds once: (acc * m + 2^(30 - s)) >> (31 - s)."""
    total = 31 - np.asarray(shift, np.int64)
    rounded: Int64 = (np.asarray(acc, np.int64) * np.asarray(multiplier, np.int64) + (np.int64(1) << (total - 1))) >> total
    return rounded


def convolution_multiplier(input_scale: float, weight_scale: float, output_scale: float) -> Multiplier:
    """The factor s_in * s_w / s_out, each a float32 value, in double precision."""
    return quantize_multiplier(float(np.float32(input_scale)) * float(np.float32(weight_scale)) / float(np.float32(output_scale)))


@dataclass(frozen=True)
class AddMultipliers:
    """ADD and SUB: inputs shifted left by `left_shift`, rescaled to twice the larger input scale, summed, rescaled."""

    left_shift: int
    input1: Multiplier
    input2: Multiplier
    output: Multiplier


def add_multipliers(scale1: float, scale2: float, output_scale: float) -> AddMultipliers:
    """The three factors of ADD and SUB (left shift 20)."""
    s1, s2, so = (float(np.float32(s)) for s in (scale1, scale2, output_scale))
    twice = 2.0 * max(s1, s2)
    return AddMultipliers(
        20, quantize_multiplier(s1 / twice), quantize_multiplier(s2 / twice), quantize_multiplier(twice / ((1 << 20) * so))
    )


def squared_difference_multipliers(scale1: float, scale2: float, output_scale: float) -> AddMultipliers:
    """The three factors of SQUARED_DIFFERENCE (left shift 7); the output's factor must be below 1, or LiteRT aborts."""
    s1, s2, so = (float(np.float32(s)) for s in (scale1, scale2, output_scale))
    twice = 2.0 * max(s1, s2)
    real = twice * twice / ((1 << 14) * so)
    if real >= 1.0:
        raise ValueError(f"SQUARED_DIFFERENCE needs an output scale above {twice * twice / (1 << 14):g}, not {so:g}")
    return AddMultipliers(7, quantize_multiplier(s1 / twice), quantize_multiplier(s2 / twice), quantize_multiplier(real))


def mul_multiplier(scale1: float, scale2: float, output_scale: float) -> Multiplier:
    """The factor of MUL, which LiteRT computes in float32 (TFLite Micro uses double, and differs in rare places)."""
    return quantize_multiplier(float(np.float32(np.float32(np.float32(scale1) * np.float32(scale2)) / np.float32(output_scale))))


def mean_multiplier(input_scale: float, output_scale: float, num_elements: int) -> Multiplier:
    """The factor of MEAN with the division by the element count folded in.

    Applied to sum(x) - num_elements * zero_point. Source: QuantizedMeanOrSum: the multiplier is widened by k bits, then
    divided (truncated) by the count: k = min(bit_length(count) - 1, 32, 31 + shift).
    """
    base = quantize_multiplier(float(np.float32(input_scale)) / float(np.float32(output_scale)))
    k = min(num_elements.bit_length() - 1, 32, 31 + base.shift)
    return Multiplier((base.multiplier << k) // num_elements, base.shift - k)


def activation_bounds(name: str, scale: float, zero_point: int) -> tuple[int, int]:
    """int8 bounds of a fused activation NONE, RELU, RELU6 or RELU_N1_TO_1, rounded half away as TFLite does."""

    def stored(real: float) -> int:
        ratio = np.float32(np.float32(real) / np.float32(scale))
        return zero_point + int(math.copysign(math.floor(abs(float(ratio)) + 0.5), float(ratio)))

    low, high = -128, 127
    if name in ("RELU", "RELU6"):
        low = max(low, stored(0.0))
    if name == "RELU6":
        high = min(high, stored(6.0))
    if name == "RELU_N1_TO_1":
        low, high = max(low, stored(-1.0)), min(high, stored(1.0))
    return low, high
