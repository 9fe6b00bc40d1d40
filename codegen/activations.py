"""The activations, each described once: int8 functions of one value, which become tables of 256 entries.

Whatever knows an activation derives from `ACTIVATIONS`: the reader's codes and options, the rules, the verifier, the reference,
both ONNX networks, the kernels, the fused chains, the exporter's integers. `FUSED_CLAMPS` are those that other operators fuse.
The arithmetic is that of LiteRT's reference kernels.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .fixed_point import Int8, Int64, Multiplier, inverse_sqrt, quantize_multiplier, requantize

Float32 = npt.NDArray[np.float32]

INT32 = 1 << 31


class PerTensor(Protocol):
    """Anything with one scale and one zero point: a Quantization, or the tensor that carries it."""

    @property
    def scale(self) -> float: ...

    @property
    def zero_point(self) -> int: ...


# --- clamps ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clamp:
    """Bounds of real values; None bounds nothing."""

    low: float | None = None
    high: float | None = None

    def stored(self, scale: float, zero_point: int, limits: tuple[int, int] = (-128, 127)) -> tuple[int, int]:
        """The bounds as stored values, rounded half away from zero; the type's own limits where there are none."""

        def rounded(real: float) -> int:
            ratio = float(np.float32(np.float32(real) / np.float32(scale)))
            return zero_point + int(math.copysign(math.floor(abs(ratio) + 0.5), ratio))

        low = limits[0] if self.low is None else max(limits[0], rounded(self.low))
        high = limits[1] if self.high is None else min(limits[1], rounded(self.high))
        return low, high

    def is_in_int32(self, scale: float) -> bool:
        """Whether the bounds over the scale are; LiteRT refuses others or wraps around."""
        return max(abs(self.low or 0.0), abs(self.high or 0.0)) / scale < INT32 - 256


FUSED_CLAMPS: Mapping[str, Clamp] = {
    "NONE": Clamp(),
    "RELU": Clamp(0.0),
    "RELU_N1_TO_1": Clamp(-1.0, 1.0),
    "RELU6": Clamp(0.0, 6.0),
}
"""The fused activations by name, in the order of the schema's codes."""
_RELU_0_TO_1 = Clamp(0.0, 1.0)  # an operator, never fused


def activation_bounds(name: str, scale: float, zero_point: int, limits: tuple[int, int] = (-128, 127)) -> tuple[int, int]:
    """Bounds of a fused activation in a type of such limits, as TFLite computes them."""
    return FUSED_CLAMPS[name].stored(scale, zero_point, limits)


# --- tables: int8[256], entry `x + 128` belongs to the stored value x -----------------------------------------------


def _centred(source: PerTensor) -> Int64:
    return np.arange(-128, 128, dtype=np.int64) - source.zero_point


def _int8(stored: Int64) -> Int8:
    return np.clip(stored, -128, 127).astype(np.int8)


def _round_half_away(real: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.trunc(real + np.copysign(0.5, real))


def _in_float32(function: Callable[[Float32], Float32], source: PerTensor, result: PerTensor) -> Int8:
    """A float function of every value, all steps in float32. Source: LUTPopulate."""
    real = np.float32(source.scale) * _centred(source).astype(np.float32)
    with np.errstate(over="ignore"):  # infinity saturates like any large value
        scaled = (function(real) * (np.float32(1) / np.float32(result.scale))).astype(np.float64)
    return _int8(_round_half_away(np.clip(scaled, -1024, 1024)).astype(np.int64) + result.zero_point)


def _sigmoid(real: Float32) -> Float32:
    with np.errstate(over="ignore"):
        exponential = np.exp(-real.astype(np.float64)).astype(np.float32)  # correctly rounded expf
    found: Float32 = np.float32(1) / (np.float32(1) + exponential)
    return found


def _of_c_library(name: str) -> Callable[[Float32], Float32]:
    """A float32 function of this machine's C library, which LiteRT calls as well.

    C libraries differ in its last bit, which decides an entry where the output's scale puts a value on a tie: 91 of 256,000 tanhf
    that were put there on purpose, none of 102,400 others, between glibc 2.36's and the correctly rounded one.
    """

    def of_each(real: Float32) -> Float32:
        try:
            library = ctypes.CDLL("libm.so.6")
        except OSError:  # another C library; Python itself is linked with it
            library = ctypes.CDLL(None)
        function = library[name]
        function.argtypes, function.restype = [ctypes.c_float], ctypes.c_float
        return np.array([function(value) for value in real.tolist()], np.float32)

    return of_each


def _gelu(source: PerTensor, result: PerTensor, approximate: float) -> Int8:
    """x * the normal distribution up to x, by erfc or by tanh; every step in float32."""

    def by_tanh(v: Float32) -> Float32:
        cubic = v + ((np.float32(0.044715) * v) * v) * v
        return (np.float32(0.5) * v) * (np.float32(1) + _of_c_library("tanhf")(np.float32(math.sqrt(2 / math.pi)) * cubic))

    def by_erfc(v: Float32) -> Float32:
        return (np.float32(0.5) * v) * _of_c_library("erfcf")(v * np.float32(-math.sqrt(0.5)))

    return _in_float32(by_tanh if approximate else by_erfc, source, result)


def _log(source: PerTensor, result: PerTensor) -> Int8:
    """The natural logarithm; -128 of what is not above 0."""
    lowest = np.float32(np.float32(-128 - result.zero_point) * np.float32(result.scale))

    def function(v: Float32) -> Float32:
        found = np.full_like(v, lowest)
        found[v > 0] = _of_c_library("logf")(v[v > 0])
        return found

    return _in_float32(function, source, result)


def _sqrt(source: PerTensor, result: PerTensor) -> Int8:
    """The square root, TRUNCATED towards 0 after a float32 division."""
    real = np.sqrt(np.float32(source.scale) * np.maximum(_centred(source), 0).astype(np.float32))
    quotient = (real / np.float32(result.scale)).astype(np.float64)
    return _int8(np.trunc(np.clip(quotient, -1024, 1024)).astype(np.int64) + result.zero_point)


def _rsqrt(source: PerTensor, result: PerTensor) -> Int8:
    """1 / sqrt(x) in fixed point; 127 of 0."""
    values = np.maximum(_centred(source), 1)
    multiplier, shift = inverse_sqrt(values)
    roots = requantize(np.ones_like(values), multiplier, shift + 20)
    factor = _rsqrt_factor(source, result)
    stored = requantize(roots, factor.multiplier, factor.shift - 20) + result.zero_point
    return _int8(np.where(_centred(source) > 0, stored, 127))


def _rsqrt_factor(source: PerTensor, result: PerTensor) -> Multiplier:
    product = np.float32(np.sqrt(np.float32(source.scale))) * np.float32(result.scale)
    return quantize_multiplier(1.0 / float(np.float32(product)))


def _neg(source: PerTensor, result: PerTensor) -> Int8:
    """The stored byte negated, of -128 itself."""
    return (-np.arange(-128, 128)).astype(np.int8)


def _float32_quotient(source: PerTensor, result: PerTensor) -> float:
    return float(np.float32(source.scale) / np.float32(result.scale))


def _rescaled(values: Int64, factor: float, zero_point: int) -> Int64:
    found = quantize_multiplier(factor)
    return requantize(values, found.multiplier, found.shift) + zero_point


def _clamp_table(clamp: Clamp, source: PerTensor, result: PerTensor) -> Int8:
    """The value between bounds; the factor is a FLOAT32 quotient of the scales."""
    low, high = clamp.stored(result.scale, result.zero_point)
    scaled = _rescaled(_centred(source), _float32_quotient(source, result), result.zero_point)
    return np.minimum(np.maximum(scaled, low), high).astype(np.int8)


def _abs(source: PerTensor, result: PerTensor) -> Int8:
    """The value's distance from 0; the factor is a FLOAT32 quotient, equal scales are not rescaled."""
    return _int8(_rescaled(np.abs(_centred(source)), _float32_quotient(source, result), result.zero_point))


def _leaky_relu(source: PerTensor, result: PerTensor, alpha: float) -> Int8:
    """x, or alpha * x below 0; both factors are FLOAT32. A negative factor is that of the absolute value, negated."""
    values, below = _centred(source), _leaky_factor(source, result, alpha)
    above = _rescaled(values, _float32_quotient(source, result), 0)
    scaled = _rescaled(values, abs(below), 0) * (-1 if below < 0 else 1)
    return _int8(np.where(values < 0, scaled, above) + result.zero_point)


def _leaky_factor(source: PerTensor, result: PerTensor, alpha: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(np.float32(source.scale) * np.float32(alpha)) / np.float32(result.scale))


def quantize_table(source: PerTensor, result: PerTensor) -> Int8:
    """QUANTIZE from int8 to int8; the factor is a double quotient of the scales."""
    factor = float(np.float32(source.scale)) / float(np.float32(result.scale))
    return _int8(_rescaled(_centred(source), factor, result.zero_point))


def _saturate16(value: Int64) -> Int64:
    return np.clip(value, -(1 << 15), (1 << 15) - 1)


def _wrap16(value: Int64) -> Int64:
    return value.astype(np.int16).astype(np.int64)


def _high_mul16(value: Int64, multiplier: int) -> Int64:
    """SaturatingRoundingDoublingHighMul in 16 bits; the multiplier is positive, so it never saturates."""
    return (value * multiplier + (1 << 14)) >> 15


def _divide_by_pot16(value: Int64, exponent: int) -> Int64:
    """RoundingDivideByPOT on int16, whose mask wraps at exponents of 16 and more (gemmlowp's own behaviour)."""
    mask = int(np.int64((1 << exponent) - 1).astype(np.int16))
    remainder = value & mask
    threshold = (mask >> 1) + (value < 0)
    return _wrap16((value >> exponent) + (remainder > threshold))


def _int16_multiplier(real: float) -> Multiplier:
    """A factor as a Q15 multiplier and a shift."""
    wide = quantize_multiplier(real)
    return Multiplier(min((wide.multiplier + (1 << 15)) >> 16, (1 << 15) - 1), wide.shift)


def _hard_swish_output(source: PerTensor, result: PerTensor) -> Multiplier:
    """The Q15 factor of HARD_SWISH from its input, shifted left by 7 bits, to its output; LiteRT refuses a shift above 0."""
    return _int16_multiplier(float(np.float32(1 / 128) * np.float32(source.scale) / np.float32(result.scale)))


def _hard_swish(source: PerTensor, result: PerTensor) -> Int8:
    """x * relu6(x + 3) / 6 of every int8 value, in LiteRT's 16-bit fixed point (a float formula differs).

    The input is shifted left by 7 bits; once it is brought to the output scale, once to [-1, 1] over [-3, 3] with
    saturation; the product of the two is truncated, then rounded to the output.
    """
    high_resolution_scale = np.float32(1 / 128) * np.float32(source.scale)
    output = _hard_swish_output(source, result)
    reluish = _int16_multiplier(float(high_resolution_scale / (np.float32(3) / np.float32(32768))))
    if output.shift > 0:
        raise ValueError(f"HARD_SWISH needs an output scale above {source.scale / 128:g}, not {result.scale:g}")

    high_resolution = _centred(source) << 7
    on_output_scale = _high_mul16(high_resolution, output.multiplier)

    gate = high_resolution
    if reluish.shift > 0:
        gate = _saturate16(gate << (reluish.shift - 1))
    gate = _high_mul16(gate, reluish.multiplier)
    if reluish.shift > 0:
        gate = _saturate16(gate << 1)
    if reluish.shift < 0:
        gate = _divide_by_pot16(gate, -reluish.shift)
    gate = (gate + (1 << 15)) >> 1

    product = gate * on_output_scale
    truncated = np.sign(product) * (np.abs(product) >> 15)
    shifted = _wrap16(_divide_by_pot16(truncated, -output.shift) + result.zero_point)
    return _int8(shifted)


# --- rules: under which the table is LiteRT's; a docstring is the rule's message and its line in SUPPORTED_OPS.md ----


UNIT_OUTPUT = (1 / 256, -128)  # scale and zero point


def unit_output(source: PerTensor, result: PerTensor) -> bool:
    """The output's scale is 1/256 and its zero point -128."""
    return (result.scale, result.zero_point) == UNIT_OUTPUT


def no_wrap_of_values(source: PerTensor, result: PerTensor) -> bool:
    """The largest value, shifted left where the multiplier is 1 or more, stays inside int32; beyond, LiteRT wraps around."""
    in_double = source.scale / result.scale  # QUANTIZE; RELU and RELU6 divide in float32
    return all(_is_in_int32(source, factor) for factor in (in_double, float(np.float32(in_double))))


def _is_in_int32(source: PerTensor, factor: float) -> bool:
    """Whether the largest value, shifted left as the factor's multiplier wants it, is."""
    return math.isfinite(factor) and largest_value(source) << max(quantize_multiplier(factor).shift, 0) < INT32


def largest_value(source: PerTensor) -> int:
    """The largest distance of an int8 value from the zero point."""
    return max(127 - source.zero_point, 128 + source.zero_point)


def _bound_of_relu6(source: PerTensor, result: PerTensor) -> bool:
    """6 over the output's scale is inside int32; beyond, LiteRT refuses or wraps around."""
    return FUSED_CLAMPS["RELU6"].is_in_int32(result.scale)


def _bound_of_1(source: PerTensor, result: PerTensor) -> bool:
    """1 over the output's scale is inside int32; beyond, LiteRT refuses or wraps around."""
    return _RELU_0_TO_1.is_in_int32(result.scale)


def _no_wrap_of_slopes(source: PerTensor, result: PerTensor, alpha: float) -> bool:
    """alpha is finite, and the largest value, shifted left where a slope's multiplier is 1 or more, stays inside int32."""
    factors = _float32_quotient(source, result), abs(_leaky_factor(source, result, alpha))
    return all(_is_in_int32(source, factor) for factor in factors)


def _no_values_below_0(source: PerTensor, result: PerTensor) -> bool:
    """The input's zero point is -128, so that no value is below 0; of those LiteRT reports an error."""
    return source.zero_point == -128


def _rsqrt_in_int32(source: PerTensor, result: PerTensor) -> bool:
    """The root of the input's scale times the output's scale is 2^-19 to 2^10; beyond, LiteRT shifts by too many bits."""
    return -10 <= _rsqrt_factor(source, result).shift <= 20


def _negates(source: PerTensor, result: PerTensor) -> bool:
    """Both zero points are 0 and the scales are equal; LiteRT negates the stored byte, whatever they are."""
    return source.zero_point == result.zero_point == 0 and source.scale == result.scale


def _hard_swish_scale(source: PerTensor, result: PerTensor) -> bool:
    """The output's scale is above 1/128 of the input's; LiteRT refuses one below."""
    return _hard_swish_output(source, result).shift <= 0


# --- the descriptions -----------------------------------------------------------------------------------------------

Table = Callable[..., Int8]  # of source, result and the parameters
Rule = Callable[..., bool]  # of the same


@dataclass(frozen=True)
class Parameter:
    """A field of an activation's options in the file, 0 where it is not given; slots count in order."""

    name: str
    letter: str = "f"  # of its type, as `struct` has it; "?" is a flag


@dataclass(frozen=True)
class Onnx:
    """The float operator of ONNX that computes an activation.

    operator  its name, "" where the activation computes nothing
    inputs    its constants, after the value
    then      an operator of its result
    The activation's parameters are its attributes of the same names.
    """

    operator: str
    inputs: tuple[float, ...] = ()
    then: str = ""


@dataclass(frozen=True)
class Activation:
    """An int8 function of one value.

    code           TFLite's builtin operator
    table          int8[256] from the two quantizations and the parameters
    rules          under which LiteRT computes that table; they are asked of any scales, zero points and parameters
    version        in which TFLite's operator learnt int8
    options_table  its name in the schema, "" where there is none
    unit_output    whether its output always has `UNIT_OUTPUT`
    """

    code: int
    table: Table
    rules: tuple[Rule, ...]
    onnx: Onnx
    version: int = 2
    options_table: str = ""
    parameters: tuple[Parameter, ...] = ()
    unit_output: bool = False

    def values(self, options: Mapping[str, float]) -> tuple[float, ...]:
        """The parameters in order from options by name."""
        return tuple(float(options[parameter.name]) for parameter in self.parameters)


ACTIVATIONS: Mapping[str, Activation] = {
    "HARD_SWISH": Activation(117, _hard_swish, (_hard_swish_scale,), Onnx("HardSwish"), 1, "HardSwishOptions"),
    "LOGISTIC": Activation(14, partial(_in_float32, _sigmoid), (unit_output,), Onnx("Sigmoid"), unit_output=True),
    "TANH": Activation(28, partial(_in_float32, _of_c_library("tanhf")), (), Onnx("Tanh")),
    "RELU": Activation(19, partial(_clamp_table, FUSED_CLAMPS["RELU"]), (no_wrap_of_values,), Onnx("Relu")),
    "RELU6": Activation(
        21, partial(_clamp_table, FUSED_CLAMPS["RELU6"]), (no_wrap_of_values, _bound_of_relu6), Onnx("Clip", (0.0, 6.0))
    ),
    "LEAKY_RELU": Activation(
        98, _leaky_relu, (_no_wrap_of_slopes,), Onnx("LeakyRelu"), 1, "LeakyReluOptions", (Parameter("alpha"),)
    ),
    "RELU_N1_TO_1": Activation(
        20, partial(_clamp_table, FUSED_CLAMPS["RELU_N1_TO_1"]), (no_wrap_of_values, _bound_of_1), Onnx("Clip", (-1.0, 1.0)), 1
    ),
    "RELU_0_TO_1": Activation(
        152, partial(_clamp_table, _RELU_0_TO_1), (no_wrap_of_values, _bound_of_1), Onnx("Clip", (0.0, 1.0)), 1
    ),
    "ABS": Activation(101, _abs, (no_wrap_of_values,), Onnx("Abs"), options_table="AbsOptions"),
    "EXP": Activation(47, partial(_in_float32, _of_c_library("expf")), (), Onnx("Exp"), 1, "ExpOptions"),
    "LOG": Activation(73, _log, (), Onnx("Log"), 1),
    "SQRT": Activation(75, _sqrt, (_no_values_below_0,), Onnx("Sqrt"), 1),
    "RSQRT": Activation(76, _rsqrt, (_no_values_below_0, _rsqrt_in_int32), Onnx("Sqrt", then="Reciprocal"), 1),
    "NEG": Activation(59, _neg, (_negates,), Onnx("Neg"), 1, "NegOptions"),
    "GELU": Activation(150, _gelu, (), Onnx("Gelu"), 1, "GeluOptions", (Parameter("approximate", "?"),)),
    "QUANTIZE": Activation(114, quantize_table, (no_wrap_of_values,), Onnx(""), 1, "QuantizeOptions"),
}
"""The activations by TFLite's name, which is that of their `OpKind`."""

ALTERNATIVES: Mapping[str, str] = {
    "ELU": "LiteRT's reference kernels have none: use a TABLE, as `export` does, or RELU",
}
"""What to use for those that are not described above."""


def activation_table(kind: Enum, source: PerTensor, result: PerTensor, parameters: tuple[float, ...] = ()) -> Int8:
    """int8[256]: what an operator of one int8 value gives; entry `x + 128` belongs to the stored value x.

    kind            named like the activation
    source, result  the quantization (or the tensor) of the input and of the output
    parameters      of a TABLE its 256 entries
    """
    if kind.name == "TABLE":
        return np.array(parameters, np.int8)
    return ACTIVATIONS[kind.name].table(source, result, *parameters)
