"""Functions of int16 values, as LiteRT's reference kernels compute them: slopes, LOGISTIC, TANH and SOFTMAX.

Where an int8 function is a table of 256 entries, an int16 one is arithmetic: `SLOPED` are rescaled by one factor above 0 and one
below; LOGISTIC and TANH interpolate in a table of the sigmoid, SOFTMAX in two tables, the same for every model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .activations import FUSED_CLAMPS, INT32, PerTensor
from .fixed_point import Int, Int64, Multiplier, quantize_multiplier, requantize

INT16_LIMITS = -(1 << 15), (1 << 15) - 1
UNIT_SCALE_16 = 2.0**-15  # of what LOGISTIC, TANH and SOFTMAX make; the zero point is 0

# --- slopes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slopes:
    """(v * above where v >= 0, else v * below) + zero point, clamped; v is the value without its zero point.

    negates  whether the product with `below` is negated: a slope below 0
    """

    above: Multiplier
    below: Multiplier
    negates: bool
    low: int
    high: int

    def of(self, values: Int, source: PerTensor, result: PerTensor) -> Int64:
        """The stored results of stored values."""
        v = values.astype(np.int64) - source.zero_point
        below = requantize(v, self.below.multiplier, self.below.shift) * (-1 if self.negates else 1)
        scaled = np.where(v >= 0, requantize(v, self.above.multiplier, self.above.shift), below)
        stored: Int64 = np.clip(scaled + result.zero_point, self.low, self.high)
        return stored


SLOPED = ("LEAKY_RELU", "QUANTIZE", "RELU", "RELU6")
"""Operators that `slopes` knows; QUANTIZE also between int8 and int16."""


def slopes(
    name: str, source: PerTensor, result: PerTensor, limits: tuple[int, int], parameters: tuple[float, ...] = ()
) -> Slopes:
    """The arithmetic of an operator of `SLOPED`; `limits` are those of the result's type.

    QUANTIZE divides the scales in double, the others in float32. Raises ValueError for a slope that is not finite.
    """
    single = float(np.float32(source.scale) / np.float32(result.scale))
    if name == "QUANTIZE":
        factor = quantize_multiplier(float(np.float32(source.scale)) / float(np.float32(result.scale)))
        return Slopes(factor, factor, False, *limits)
    above = quantize_multiplier(single)
    if name == "LEAKY_RELU":
        if not math.isfinite(parameters[0]):
            raise ValueError(f"a slope of {parameters[0]}")
        slope = float(np.float32(np.float32(source.scale) * np.float32(parameters[0])) / np.float32(result.scale))
        return Slopes(above, quantize_multiplier(abs(slope)), slope < 0, *limits)
    return Slopes(above, above, False, *FUSED_CLAMPS[name].stored(result.scale, result.zero_point, limits))


# --- LOGISTIC and TANH ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def sigmoid_knots() -> Int64:
    """[256]: 65536 / (1 + exp(-k / 24)), moved by half of the interpolation's error in the middle of a step.

    Source: the published table of LiteRT's 16-bit LOGISTIC and TANH, which this equals in all entries.
    """

    def sigmoid(k: float) -> float:
        return 65536 / (1 + math.exp(-k / 24))

    knots = [
        math.floor(sigmoid(k) + (sigmoid(k + 0.5) - (sigmoid(k) + sigmoid(k + 1)) / 2) / 2 + 0.5) for k in range(255)
    ]  # fmt: skip
    return np.array([*(min(65535, knot) for knot in knots), 65535], np.int64)


@dataclass(frozen=True)
class KnotInput:
    """An input in units of the table: (x * multiplier + rounding) >> shift, 512 (LOGISTIC) or 256 (TANH) to a knot."""

    multiplier: int
    shift: int

    @property
    def rounding(self) -> int:
        return 1 << (self.shift - 1) if self.shift else 0

    @property
    def is_in_int32(self) -> bool:
        """Whether no int16 value leaves int32 on its way."""
        return (1 << 15) * self.multiplier + self.rounding < INT32

    def of(self, values: Int) -> Int64:
        """Of stored int16 values."""
        found: Int64 = (values.astype(np.int64) * self.multiplier + self.rounding) >> self.shift
        return found


def log2_of(scale: float) -> int | None:
    """The logarithm of a scale that LiteRT takes for a power of two: within 0.001, in float32; else None."""
    exact = np.float32(np.float32(math.log(np.float32(scale))) * (np.float32(1) / np.float32(math.log(np.float32(2)))))
    nearest = np.float32(math.floor(abs(float(exact)) + 0.5) * (1 if exact >= 0 else -1))
    return int(nearest) if abs(float(np.float32(exact - nearest))) < 1e-3 else None


def knot_input(name: str, scale: float) -> KnotInput:
    """How LOGISTIC or TANH take an input of a scale; scales that are powers of two are exact."""
    exponent = log2_of(scale)
    if exponent is not None and exponent + 12 in ((0,) if name == "LOGISTIC" else (0, 1)):
        return KnotInput(3 << (exponent + 12), 0)
    real, shift = float(np.float32(scale)) * 4096 * 3, 0
    while real <= 32767 / 2 and shift <= 30:
        shift, real = shift + 1, 2 * real
    return KnotInput(int(real), shift)


def logistic_16(values: Int, scale: float) -> Int64:
    """The sigmoid of stored int16 values, in Q0.15."""
    v, knots = knot_input("LOGISTIC", scale).of(values), sigmoid_knots()
    inner = np.minimum(np.abs(v) >> 9, 254)
    between = (knots[inner] << 9) + (np.abs(v) & 511) * (knots[inner + 1] - knots[inner])
    reached = np.where(np.abs(v) >> 9 >= 255, 32767 << 10, between)
    found: Int64 = np.where(v >= 0, reached + (1 << 9), (1 << 25) - reached + (1 << 9) - 1) >> 10
    return found


def tanh_16x8(values: Int, scale: float) -> Int64:
    """The hyperbolic tangent of stored int16 values, in Q0.15."""
    v, knots = knot_input("TANH", scale).of(values), sigmoid_knots()
    inner = np.minimum(np.abs(v) >> 8, 254)
    between = (knots[inner] << 8) + (np.abs(v) & 255) * (knots[inner + 1] - knots[inner])
    reached = np.where(np.abs(v) >> 8 >= 255, 65535 << 8, between)
    found: Int64 = np.where(v >= 0, reached - (1 << 23) + (1 << 7), -reached + (1 << 23) + (1 << 7) - 1) >> 8
    return found


# --- SOFTMAX --------------------------------------------------------------------------------------------------------

MOST_SOFTMAX_16 = 1 << 16  # elements of a row, whose exponentials then sum to less than 2^31


@lru_cache(maxsize=1)
def softmax_tables() -> tuple[Int64, Int64]:
    """int16[513] each: exp over [-10, 0] and 1 / (1 + x) over [0, 1], in Q0.15. Source: LUTPopulate of int16."""
    return _knots(math.exp, -10.0, 0.0), _knots(lambda x: 1 / (1 + x), 0.0, 1.0)


def _knots(function: Callable[[float], float], begin: float, end: float) -> Int64:
    """512 equal steps, each knot moved by half of the interpolation's error in the middle of its step."""
    step = (end - begin) / 512

    def scaled(x: float) -> float:
        return 32768 * function(x)

    found = []
    for k in range(512):
        here, middle, after = (scaled(x) for x in (begin + k * step, begin + k * step + step / 2, begin + (k + 1) * step))
        knot = _rounded(here)
        error = _rounded((after + knot) / 2) - _rounded(middle)
        found.append(knot - _rounded(error / 2))
    return np.clip(np.array([*found, _rounded(scaled(end))], np.int64), *INT16_LIMITS)


def _rounded(real: float) -> int:
    """Half away from zero."""
    return int(math.copysign(math.floor(abs(real) + 0.5), real))


def interpolated(table: Int64, values: Int64) -> Int64:
    """The entry of each int16 value in a table of 513 knots, 128 values apart."""
    place = 256 + (values >> 7)
    found: Int64 = table[place] + (((table[place + 1] - table[place]) * (values & 127) + 64) >> 7)
    return found


def softmax_multiplier_16(scale: float, beta: float) -> Multiplier:
    """The factor that takes the distance from the largest value to the table of exp."""
    return quantize_multiplier(float(np.float32(scale) * np.float32(beta)) / (10.0 / 65535.0))


def softmax_16(values: Int, scale: float, beta: float) -> Int64:
    """SOFTMAX over the last axis of stored int16 values, in Q0.15."""
    factor = softmax_multiplier_16(scale, beta)
    exponentials, reciprocals = softmax_tables()
    x = values.astype(np.int64)
    distance = requantize(x - x.max(axis=-1, keepdims=True), factor.multiplier, factor.shift)
    e = interpolated(exponentials, np.clip(distance + 32767, *INT16_LIMITS))
    total = e.sum(axis=-1, keepdims=True)
    headroom = 31 - np.floor(np.log2(total.astype(np.float64))).astype(np.int64)  # leading zeros of 32 bits
    normalised = ((total << (headroom - 1)) + (1 << 13)) >> 14
    reciprocal = interpolated(reciprocals, np.clip(normalised - (1 << 15) - (1 << 16), *INT16_LIMITS))
    right = 31 - headroom
    shares: Int64 = np.clip((e * reciprocal + (np.int64(1) << (right - 1))) >> right, 0, INT16_LIMITS[1])
    return shares
