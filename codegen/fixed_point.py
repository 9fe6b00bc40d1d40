"""The integer arithmetic of LiteRT's reference kernels, written down once.

The NumPy reference, the ONNX twin and the emitted C all take their multipliers, shifts and tables from here. "Double rounding"
is `MultiplyByQuantizedMultiplier` without TFLITE_SINGLE_ROUNDING: SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Int = npt.NDArray[np.integer]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
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
    The high multiply rounds half up, the right shift rounds half away from zero. A left shift saturates at int32, as in the
    emitted C (LiteRT would wrap; only sums that are far outside of int8 get there).
    Source: MultiplyByQuantizedMultiplier, double rounding.
    """
    acc64 = np.asarray(acc, np.int64)
    shift64 = np.asarray(shift, np.int64)
    left, right = np.maximum(shift64, 0), np.maximum(-shift64, 0)
    shifted: Int64 = np.clip(acc64 << np.minimum(left, 31), -(1 << 31), (1 << 31) - 1) if np.any(left) else acc64
    high = (shifted * np.asarray(multiplier, np.int64) + (1 << 30)) >> 31
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    result: Int64 = (high + half - ((high < 0) & (right > 0))) >> right
    return result


LARGEST_REDUCED = 0x7FFF0000  # Q31 multipliers from here on become 0x7FFF in Q15
MOST_REDUCED_SHIFT = 14  # of a Q15 multiplier; beyond, LiteRT's rounding term is a shift by less than nothing


def reduced_multiplier(multiplier: Int | int) -> Int64:
    """A Q31 multiplier in Q15, as LiteRT uses it for int64 accumulators."""
    wide = np.asarray(multiplier, np.int64)
    return np.where(wide < LARGEST_REDUCED, (wide + (1 << 15)) >> 16, (1 << 15) - 1)


def requantize_64(acc: Int, multiplier: Int | int, shift: Int | int) -> Int64:
    """Bring int64 accumulators to the output scale: the multiplier reduced to Q15, one rounding, half up.

    |acc| < 2^47 and shift <= 14; the result must fit int32, where LiteRT cuts it.
    Source: MultiplyByQuantizedMultiplier of an int64.
    """
    total = 15 - np.asarray(shift, np.int64)
    rounded: Int64 = (np.asarray(acc, np.int64) * reduced_multiplier(multiplier) + (np.int64(1) << (total - 1))) >> total
    return rounded


def requantize_single_rounding(acc: Int, multiplier: Int | int, shift: Int | int) -> Int64:
    """Bring accumulators to the output scale with one rounding, half up: (acc * m + 2^(30 - s)) >> (31 - s).

    With the factors of `fully_connected_multiplier` this is what FULLY_CONNECTED computes.
    """
    total = 31 - np.asarray(shift, np.int64)
    rounded: Int64 = (np.asarray(acc, np.int64) * np.asarray(multiplier, np.int64) + (np.int64(1) << (total - 1))) >> total
    return rounded


def convolution_factor(input_scale: float, weight_scale: float, output_scale: float) -> float:
    """s_in * s_w / s_out, each a float32 value, in double precision."""
    return float(np.float32(input_scale)) * float(np.float32(weight_scale)) / float(np.float32(output_scale))


def requantize_in_double(acc: Int, factor: npt.ArrayLike) -> Int64:
    """acc * factor in double precision, rounded half away from zero: FULLY_CONNECTED of the pinned LiteRT.

    Source: reference_integer_ops::FullyConnected with the scales as arguments. Older LiteRT and TFLite Micro use `requantize`.
    """
    real = np.asarray(acc, np.float64) * np.asarray(factor, np.float64)
    whole = np.trunc(real)
    rounded: Int64 = (whole + np.sign(real) * (np.abs(real - whole) >= 0.5)).astype(np.int64)
    return rounded


def convolution_multiplier(input_scale: float, weight_scale: float, output_scale: float) -> Multiplier:
    """The Q31 form of `convolution_factor`."""
    return quantize_multiplier(convolution_factor(input_scale, weight_scale, output_scale))


@dataclass(frozen=True)
class AddMultipliers:
    """ADD and SUB: inputs shifted left by `left_shift`, rescaled to twice the larger input scale, summed, rescaled."""

    left_shift: int
    input1: Multiplier
    input2: Multiplier
    output: Multiplier


def add_multipliers(scale1: float, scale2: float, output_scale: float, left_shift: int = 20) -> AddMultipliers:
    """The three factors of ADD and SUB; the left shift is 20 for int8, 15 for int16."""
    s1, s2, so = (float(np.float32(s)) for s in (scale1, scale2, output_scale))
    twice = 2.0 * max(s1, s2)
    return AddMultipliers(
        left_shift,
        quantize_multiplier(s1 / twice),
        quantize_multiplier(s2 / twice),
        quantize_multiplier(twice / ((1 << left_shift) * so)),
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


GATE_SCALE = 2.0**-12  # of a gate's int16, unless it is normalised


def lstm_gate_multiplier(operand_scale: float, weight_scale: float, gate_scale: float = GATE_SCALE) -> Multiplier:
    """The factor that takes a sum of products to a gate's int16; LiteRT computes it in float32."""
    product = np.float32(np.float32(weight_scale) * np.float32(operand_scale))
    return quantize_multiplier(float(np.float32(product / np.float32(gate_scale))))


def lstm_hidden_multiplier(hidden_scale: float) -> Multiplier:
    """The factor that takes a product of two Q0.15 numbers to the hidden state's scale."""
    return quantize_multiplier(float(np.float32(2.0**-15 / float(np.float32(hidden_scale)) * 2.0**-15)))


def lstm_peephole_multiplier(cell_scale: float, weight_scale: float, gate_scale: float = GATE_SCALE) -> Multiplier:
    """The factor that takes a product of cell state and peephole weight to a gate's int16."""
    product = float(np.float32(cell_scale)) * float(np.float32(weight_scale))
    return quantize_multiplier(float(np.float32(product / float(np.float32(gate_scale)))))


def lstm_norm_multiplier(weight_scale: float) -> Multiplier:
    """The factor that takes a normalised value, times 2^10, to a gate's int16 with 12 bits behind the point."""
    factor = quantize_multiplier(float(np.float32(weight_scale)))
    return Multiplier(factor.multiplier, factor.shift + 12)


def inverse_square_root(value: int) -> Multiplier:
    """1 / sqrt(value) of 0 < value <= 2^30, by five Newton steps in Q3.28; the shift is to the right."""
    if value <= 1:
        return Multiplier((1 << 31) - 1, 0)
    right = 11
    while value >= 1 << 29:
        value //= 4
        right += 1
    twos = (31 - value.bit_length()) // 2 - 1
    right, value = right - twos, value << 2 * twos
    half = ((value >> 1) + 1) >> 1
    x = 1 << 28
    for _ in range(5):
        cube = _saturated(_high(_high(x, x), x) << 6)
        x = _saturated((_high((1 << 28) + (1 << 27), x) - _high(half, cube)) << 3)
    x = _high(x, INVERSE_ROOT_OF_2)
    return Multiplier(x << max(-right, 0), -max(right, 0))


INVERSE_ROOT_OF_2 = 1518500250  # in Q31


def _high(a: int, b: int) -> int:
    return (a * b + (1 << 30)) >> 31


def _saturated(value: int) -> int:
    return max(-(1 << 31), min((1 << 31) - 1, value))


def svdf_newest_multiplier(data_scale: float, weight_scale: float, state_scale: float) -> Multiplier:
    """The factor that takes a sum of products to the state's scale; LiteRT computes it in float32."""
    return mul_multiplier(data_scale, weight_scale, state_scale)


def svdf_output_multiplier(state_scale: float, tap_scale: float, output_scale: float) -> Multiplier:
    """The factor that takes a sum over the memory to the output's scale, in float32 as well."""
    return mul_multiplier(state_scale, tap_scale, output_scale)


def mean_multiplier(input_scale: float, output_scale: float, num_elements: int) -> Multiplier:
    """The factor of MEAN with the division by the element count folded in.

    Applied to sum(x) - num_elements * zero_point. Source: QuantizedMeanOrSum: the multiplier is widened by k bits, then
    divided (truncated) by the count: k = min(bit_length(count) - 1, 32, 31 + shift).
    """
    base = quantize_multiplier(float(np.float32(input_scale)) / float(np.float32(output_scale)))
    k = min(num_elements.bit_length() - 1, 32, 31 + base.shift)
    return Multiplier((base.multiplier << k) // num_elements, base.shift - k)


@lru_cache(maxsize=1 << 14)
def fully_connected_multiplier(factor: float, low: int, high: int, max_bits: int = 62) -> Multiplier | None:
    """An integer factor that reproduces `requantize_in_double` for every accumulator of an interval, or None.

    low, high  the least and the largest accumulator
    max_bits   the widest multiplier wanted; 31 keeps it in an int32
    For low <= acc <= high, `requantize_single_rounding(acc, m, s)` equals it wherever the result is in -255..255; beyond, both
    are beyond. Both grow with acc, so it suffices that they step from k - 1 to k at the same accumulator for every k, and agree
    at the ends; each step bounds m from one side or both, and the narrowest multiplier within all bounds is taken (a tie needs
    one just above the factor, since half up must become half away). The product stays below 2^62. None where double precision
    rounds ties of one factor to both sides, and where large accumulators leave no room for the bits that it takes.
    """
    exponent = math.frexp(factor)[1]
    if exponent < -61:  # an accumulator of 32 bits comes nowhere near one half
        return Multiplier(1, -31)
    reached, missed = _steps_in_double(factor, low, high)
    room = 62 - max(-low, high, 1).bit_length()
    for bits in range(max(min(31, 62 + exponent), exponent + 1), min(max_bits, room, 62 + exponent) + 1):
        total = bits - exponent
        least, most = 1, (1 << bits) - 1
        for k, acc in reached:
            least, most = _at_least((2 * k - 1) << (total - 1), acc, least, most)
        for k, acc in missed:
            least, most = _below((2 * k - 1) << (total - 1), acc, least, most)
        if least <= most:
            nearest = math.floor(math.ldexp(factor, total) + 0.5)
            return Multiplier(min(max(nearest, least), most), 31 - total)
    return None


def _steps_in_double(factor: float, low: int, high: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(k, acc) for the k in -255..256 that matter between low and high: the smallest accumulator that `requantize_in_double`
    takes to k or more, and the largest that it does not."""
    first, last = (int(k) for k in np.clip(requantize_in_double(np.array([low, high]), factor), -256, 256))
    levels = np.arange(first + 1, last + 1, dtype=np.int64)
    near = np.ceil((levels - 0.5) / factor).astype(np.int64)[:, np.newaxis] + np.arange(-2, 3)
    steps = near[:, 0] + (requantize_in_double(near, factor) < levels[:, np.newaxis]).sum(axis=1)
    reached = [(int(k), int(acc)) for k, acc in zip(levels, steps, strict=True)]
    missed = [(k, acc - 1) for k, acc in reached]
    return [*([(first, low)] if first > -256 else []), *reached], [*missed, *([(last + 1, high)] if last < 256 else [])]


def _at_least(threshold: int, acc: int, low: int, high: int) -> tuple[int, int]:
    """The bounds of m narrowed by acc * m >= threshold."""
    if acc > 0:
        return max(low, -(-threshold // acc)), high
    return low, (min(high, threshold // acc) if acc < 0 else high)


def _below(threshold: int, acc: int, low: int, high: int) -> tuple[int, int]:
    """The bounds of m narrowed by acc * m < threshold."""
    if acc < 0:
        return max(low, threshold // acc + 1), high
    return low, (min(high, (threshold - 1) // acc) if acc > 0 else high)


def _high_mul(a: Int64 | int, b: Int64 | int) -> Int64:
    """SaturatingRoundingDoublingHighMul in 32 bits, for operands that are not both -2^31."""
    product: Int64 = (np.asarray(a, np.int64) * np.asarray(b, np.int64) + (1 << 30)) >> 31
    return product


def rounding_divide_by_pot(value: Int64, exponent: Int64 | int) -> Int64:
    """value / 2^exponent rounded half away from zero; exponent >= 0."""
    exponent = np.asarray(exponent, np.int64)
    half = np.where(exponent > 0, np.int64(1) << np.maximum(exponent - 1, 0), 0)
    result: Int64 = (value + half - ((value < 0) & (exponent > 0))) >> exponent
    return result


def _saturate32(value: Int64) -> Int64:
    return np.clip(value, -(1 << 31), (1 << 31) - 1)


def inverse_sqrt(value: Int64) -> tuple[Int64, Int64]:
    """1 / sqrt(value) of values from 1 to 2^29 - 1 as (Q31 multiplier, shift), five Newton steps in Q3.28.

    Source: GetInvSqrtQuantizedMultiplierExp.
    """
    value = np.asarray(value, np.int64)
    assert ((value >= 1) & (value < 1 << 29)).all()
    twos = (31 - _bit_length(value)) // 2 - 1
    half = rounding_divide_by_pot((value << (2 * twos)) >> 1, 1)
    x = np.full_like(value, 1 << 28)
    for _ in range(5):
        cube = _saturate32(_high_mul(_high_mul(x, x), x) << 6)
        x = _saturate32((_high_mul(3 << 27, x) - _high_mul(half, cube)) << 3)
    x = _high_mul(x, SQRT_HALF)
    shift = 11 - twos
    x = np.where(shift < 0, x << np.maximum(-shift, 0), x)
    is_one = value == 1
    return np.where(is_one, (1 << 31) - 1, x), np.where(is_one, 0, -np.maximum(shift, 0))


SQRT_HALF = 1518500250  # in Q31


def _bit_length(value: Int64) -> Int64:
    """The number of bits of values from 0 to 2^32 - 1."""
    found: Int64 = (np.asarray(value)[..., np.newaxis] >= np.int64(1) << np.arange(32, dtype=np.int64)).sum(axis=-1)
    return found


def bilinear_places(size: int, wanted: int, align: bool, half: bool) -> tuple[Int64, Int64, Int64]:
    """Of each of `wanted` elements made of `size`: the one below, the one above, and 1024ths of the one above.

    The one below is not clamped at the end: where it is `size` or more, LiteRT reads past its input.
    Source: ComputeInterpolationValuesInteger.
    """
    if align and wanted > 1:
        factor = (((size - 1) << 10) + (wanted - 1) // 2) // (wanted - 1)
    else:
        factor = ((size << 10) + wanted // 2) // wanted
    place = np.arange(wanted, dtype=np.int64) * factor + (factor // 2 - 512 if half else 0)
    below = np.maximum(np.trunc(place / 1024).astype(np.int64), 0)
    above = np.minimum(np.trunc((place + 1023) / 1024).astype(np.int64), size - 1)
    return below, above, place - 1024 * below


def prelu_multipliers(input_scale: float, alpha_scale: float, output_scale: float) -> tuple[Multiplier, Multiplier]:
    """PRELU's factors of what is not below 0 and of a product with alpha; both in FLOAT32."""
    above = np.float32(input_scale) / np.float32(output_scale)
    below = np.float32(np.float32(input_scale) * np.float32(alpha_scale)) / np.float32(output_scale)
    return quantize_multiplier(float(above)), quantize_multiplier(float(below))


def matmul_multiplier(scale1: float, scale2: float, output_scale: float) -> Multiplier:
    """BATCH_MATMUL's factor: a FLOAT32 product of the inputs' scales, divided in double."""
    return quantize_multiplier(float(np.float32(scale1) * np.float32(scale2)) / float(np.float32(output_scale)))


def division_multiplier(scale1: float, scale2: float, output_scale: float) -> Multiplier:
    """DIV's factor, in FLOAT32; above all others where it is too large for a float."""
    with np.errstate(over="ignore", divide="ignore"):
        factor = float(np.float32(scale1) / np.float32(np.float32(scale2) * np.float32(output_scale)))
    return quantize_multiplier(min(factor, 2.0**32))


def quotients(dividends: Int64, divisor: int, factor: Multiplier) -> Int64:
    """dividends / divisor on the output's scale, before the zero point: reciprocal by three Newton steps, two products.

    Right where the factor's shift is floor(log2(|divisor|)) or more. Source: DivElementwise.
    """
    dividends = np.asarray(dividends, np.int64) * (1 if divisor > 0 else -1)
    divisor = abs(divisor)
    headroom = 32 - divisor.bit_length()
    half = (divisor << headroom) >> 1
    x = np.int64(PLUS_48_OVER_17) + _high_mul(half, MINUS_32_OVER_17)
    for _ in range(3):
        x = x + _saturate32(_high_mul(x, (1 << 29) - _high_mul(half, x)) << 2)
    reciprocal = _saturate32(x << 1)
    left = 31 - _bit_length(np.where(dividends >= 0, dividends, ~dividends))
    quotient = _high_mul(dividends << left, reciprocal)
    return rounding_divide_by_pot(_high_mul(quotient, factor.multiplier), 31 - headroom + left - factor.shift)


# exp(-2^k) for k = -2 .. 4 in Q31: a negative Q5.26 number is the sum of a rest in [-1/4, 0) and these powers.
_EXP_OF_MINUS_POWER = ((-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242))
_EXP_OF_MINUS_EIGHTH = 1895147668
_ONE_THIRD = 715827883


def _exp_of_negative(value_q26: Int64) -> Int64:
    """exp(x) in Q31 of x <= 0 in Q5.26: gemmlowp's exp_on_negative_values."""
    quarter = 1 << 24
    rest = (value_q26 & (quarter - 1)) - quarter
    x = (rest << 5) + (1 << 28)  # Q31, Taylor expansion around -1/8
    x2 = _high_mul(x, x)
    x3 = _high_mul(x2, x)
    x4 = _high_mul(x2, x2)
    tail = rounding_divide_by_pot(_high_mul(rounding_divide_by_pot(x4, 2) + x3, _ONE_THIRD) + x2, 1)
    result = _EXP_OF_MINUS_EIGHTH + _high_mul(_EXP_OF_MINUS_EIGHTH, x + tail)
    powers = rest - value_q26
    for exponent, factor in _EXP_OF_MINUS_POWER:
        result = np.where((powers & (1 << (26 + exponent))) != 0, _high_mul(result, factor), result)
    return np.where(value_q26 == 0, (1 << 31) - 1, result)


def softmax_exp_table(scale: float, beta: float) -> Int32:
    """int32[256]: exp(-d * scale * beta) in Q31 for d = max - x; 0 where LiteRT skips the element.

    Source: PreprocessSoftmaxScaling, CalculateInputRadius (5 integer bits).
    """
    real = min(float(np.float32(beta)) * float(np.float32(scale)) * (1 << 26), float((1 << 31) - 1))
    if real <= 1.0:
        raise ValueError(f"SOFTMAX needs scale * beta above 2^-26, not {scale * beta:g}")
    factor = quantize_multiplier(real)
    radius = math.floor(31 * (1 << 26) / (1 << factor.shift))
    distance = np.arange(256, dtype=np.int64)
    scaled = _high_mul(-np.minimum(distance, radius) << factor.shift, factor.multiplier)
    return np.where(distance <= radius, _exp_of_negative(scaled), 0).astype(np.int32)


SOFTMAX_SUM_SHIFT = 12  # the sum is Q12.19: each Q31 exponential is divided by 2^12, rounding half away
SOFTMAX_ABORT_Q19 = 512 << 19  # from this sum on LiteRT's last shift is above 31, and gemmlowp aborts the process
SOFTMAX_MAX_DEPTH = 4095  # a longer row could overflow LiteRT's int32 sum
PLUS_48_OVER_17, MINUS_32_OVER_17 = 1515870810, -1010580540  # Q2.29; the first guess of the reciprocal is 48/17 - 32/17 d


def softmax_exponentials(values: Int64, scale: float, beta: float) -> tuple[Int64, Int64]:
    """exp of each value less its row's largest in Q31 [..., depth], and each row's sum of them in Q12.19 [..., 1]."""
    table = softmax_exp_table(scale, beta).astype(np.int64)
    exponential: Int64 = table[values.max(axis=-1, keepdims=True) - values]
    total: Int64 = rounding_divide_by_pot(exponential, SOFTMAX_SUM_SHIFT).sum(axis=-1, keepdims=True)
    return exponential, total


def softmax_reciprocal(total_q19: Int64) -> tuple[Int64, Int64]:
    """The reciprocal of a Q12.19 sum as (Q31 scale, right shift) for `softmax_output`.

    The sum is normalised to [1, 2), 1/(1+x) comes from three Newton steps (gemmlowp's one_over_one_plus_x_for_x_in_0_1).
    """
    headroom = 32 - np.floor(np.log2(total_q19.astype(np.float64))).astype(np.int64) - 1  # leading zeros of 32 bits
    half_denominator = (total_q19 << headroom) >> 1
    x = PLUS_48_OVER_17 + _high_mul(half_denominator, MINUS_32_OVER_17)
    for _ in range(3):
        error = (1 << 29) - _high_mul(half_denominator, x)
        x = x + _saturate32(_high_mul(x, error) << 2)
    return _saturate32(x << 1), SOFTMAX_SUM_SHIFT - headroom + 31 - 8


def softmax_output(exponential_q31: Int64, scale_q31: Int64, shift: Int64) -> Int8:
    """int8 with scale 1/256 and zero point -128 from an element's exponential and the row's reciprocal."""
    return np.clip(rounding_divide_by_pot(_high_mul(scale_q31, exponential_q31), shift) - 128, -128, 127).astype(np.int8)
