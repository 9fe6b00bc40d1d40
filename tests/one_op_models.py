"""One-operator `.tflite` models with seeded weights and quantization, for every operator that the compiler knows.

Each builder takes shapes and options, draws the rest from its seed, and returns the file's bytes. `CASES` has for each operator a
function from a seed to a model of random shape, so that a sweep is `CASES[name](seed)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flynet_tiny.codegen.activations import ACTIVATIONS as DESCRIBED
from flynet_tiny.codegen.activations import FUSED_CLAMPS, UNIT_OUTPUT
from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite

Rng = np.random.Generator
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Quant:
    """A per-tensor quantization."""

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", float(np.float32(self.scale)))


def random_quant(rng: Rng, low: float = 0.002, high: float = 0.2) -> Quant:
    """A scale between low and high, sometimes a power of two (ties); a zero point, sometimes an extreme one."""
    scale = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if rng.random() < 0.25:
        scale = 2.0 ** round(np.log2(scale))
    zero_point = int(rng.choice([-128, 127, 0])) if rng.random() < 0.4 else int(rng.integers(-128, 128))
    return Quant(scale, zero_point)


def activation(name: str, shape: Sequence[int], quant: Quant) -> TensorSpec:
    """An int8 activation tensor."""
    return TensorSpec(name, tuple(shape), "int8", (quant.scale,), (quant.zero_point,))


def indices(name: str, values: object) -> TensorSpec:
    """A constant int32 tensor."""
    data = np.asarray(values, np.int32)
    return TensorSpec(name, data.shape, "int32", data=data)


def model_of(tensors: Sequence[TensorSpec], op: OpSpec, inputs: Sequence[str] = ("x",)) -> bytes:
    """The file of one operator whose output is `y`."""
    return write_tflite(ModelSpec(tuple(tensors), (op,), tuple(inputs), ("y",)))


def _same_or_valid(size: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    return -(-size // stride) if padding == "SAME" else (size - (kernel - 1) * dilation - 1) // stride + 1


def _weight_scales(rng: Rng, channels: int, per_channel: bool) -> tuple[float, ...]:
    scales = np.float32(np.exp(rng.uniform(np.log(0.001), np.log(0.05), channels if per_channel else 1)))
    if rng.random() < 0.2:
        scales = np.exp2(np.round(np.log2(scales)))
    return tuple(float(s) for s in scales)


def _weights(rng: Rng, shape: Shape) -> np.ndarray:
    kind = rng.random()
    if kind < 0.1:
        return np.full(shape, rng.choice([-127, 127]), np.int8)
    return rng.integers(-127, 128, shape).astype(np.int8)


def _output_quant(rng: Rng, input_scale: float, weight_scales: Sequence[float], depth: int, tie: bool) -> Quant:
    """An output scale that spreads the results over int8; sometimes so small that the multiplier is above 1."""
    typical = input_scale * float(np.mean(weight_scales)) * np.sqrt(depth) * 74 * 74
    scale = typical / 40 * float(np.exp(rng.uniform(-1.5, 1.5)))
    if rng.random() < 0.1:
        scale = input_scale * float(np.max(weight_scales)) / float(rng.uniform(0.5, 6))
    if tie:
        scale = 2.0 ** round(np.log2(scale))
    return Quant(scale, random_quant(rng).zero_point)


def _bias(rng: Rng, channels: int, depth: int, scales: Sequence[float], given: np.ndarray | None = None) -> TensorSpec:
    data = rng.integers(-3000 * depth, 3000 * depth + 1, channels).astype(np.int32) if given is None else given
    zero_points = (0,) * len(scales)
    return TensorSpec("b", (channels,), "int32", tuple(scales), zero_points, 0 if len(scales) > 1 else None, data)


def conv_2d(
    seed: int = 0,
    input_hwc: tuple[int, int, int] = (9, 7, 5),
    c_out: int = 8,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: str = "SAME",
    fused_activation: str = "NONE",
    per_channel: bool = True,
    bias: bool = True,
    input_quant: Quant | None = None,
    output_quant: Quant | None = None,
    weight_scales: Sequence[float] | None = None,
    groups: int = 1,
) -> bytes:
    """CONV_2D of [1, h, w, c_in] to [1, h', w', c_out]; LiteRT refuses one without bias."""
    rng = np.random.default_rng(seed)
    h, w, c_in = input_hwc
    depth = kernel[0] * kernel[1] * c_in // groups
    options = {
        "strideH": stride[0], "strideW": stride[1], "dilationHFactor": dilation[0], "dilationWFactor": dilation[1],
        "padding": padding, "fusedActivationFunction": fused_activation,
    }  # fmt: skip
    weights = _weights(rng, (c_out, *kernel, c_in // groups))
    return _convolution(
        rng, "CONV_2D", (1, h, w, c_in), weights, 0, depth, options, per_channel, bias, input_quant, output_quant, weight_scales
    )


def depthwise_conv_2d(
    seed: int = 0,
    input_hwc: tuple[int, int, int] = (9, 7, 5),
    multiplier: int = 1,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: str = "SAME",
    fused_activation: str = "NONE",
    per_channel: bool = True,
    bias: bool = True,
    input_quant: Quant | None = None,
    output_quant: Quant | None = None,
    weight_scales: Sequence[float] | None = None,
) -> bytes:
    """DEPTHWISE_CONV_2D of [1, h, w, c] to [1, h', w', c * multiplier]."""
    rng = np.random.default_rng(seed)
    h, w, channels = input_hwc
    options = {
        "strideH": stride[0], "strideW": stride[1], "dilationHFactor": dilation[0], "dilationWFactor": dilation[1],
        "padding": padding, "fusedActivationFunction": fused_activation, "depthMultiplier": multiplier,
    }  # fmt: skip
    weights = _weights(rng, (1, *kernel, channels * multiplier))
    depth = kernel[0] * kernel[1]
    return _convolution(
        rng,
        "DEPTHWISE_CONV_2D",
        (1, h, w, channels),
        weights,
        3,
        depth,
        options,
        per_channel,
        bias,
        input_quant,
        output_quant,
        weight_scales,
    )


def _convolution(
    rng: Rng, opcode: str, shape: Shape, weights: np.ndarray, axis: int, depth: int, options: Mapping[str, object],
    per_channel: bool, bias: bool, input_quant: Quant | None, output_quant: Quant | None, weight_scales: Sequence[float] | None,
) -> bytes:  # fmt: skip
    c_out = weights.shape[axis]
    source = input_quant or random_quant(rng)
    scales = tuple(weight_scales or _weight_scales(rng, c_out, per_channel))
    result = output_quant or _output_quant(rng, source.scale, scales, depth, tie=rng.random() < 0.2)
    height, width = (
        _same_or_valid(
            shape[1 + i], weights.shape[1 + i], options["stride" + n], options[f"dilation{n}Factor"], options["padding"]
        )
        for i, n in enumerate("HW")
    )
    tensors = [
        activation("x", shape, source),
        TensorSpec("w", weights.shape, "int8", scales, (0,) * len(scales), axis if per_channel else None, weights),
        activation("y", (1, height, width, c_out), result),
    ]
    inputs = ["x", "w"]
    if bias:
        tensors.append(_bias(rng, c_out, depth, [float(np.float32(source.scale * s)) for s in scales]))
        inputs.append("b")
    return model_of(tensors, OpSpec(opcode, tuple(inputs), ("y",), options))


def fully_connected(
    seed: int = 0,
    input_shape: Shape = (1, 37),
    c_out: int = 10,
    fused_activation: str = "NONE",
    per_channel: bool = False,
    bias: bool = True,
    input_quant: Quant | None = None,
    output_quant: Quant | None = None,
    depth: int | None = None,
    weight_scales: Sequence[float] | None = None,
    biases: Sequence[int] | None = None,
) -> bytes:
    """FULLY_CONNECTED of [..., depth] flattened to rows, to [rows, c_out]."""
    rng = np.random.default_rng(seed)
    depth = depth or input_shape[-1]
    source = input_quant or random_quant(rng)
    scales = tuple(weight_scales or _weight_scales(rng, c_out, per_channel))
    result = output_quant or _output_quant(rng, source.scale, scales, depth, tie=rng.random() < 0.2)
    rows = int(np.prod(input_shape)) // depth
    weights = _weights(rng, (c_out, depth))
    tensors = [
        activation("x", input_shape, source),
        TensorSpec("w", (c_out, depth), "int8", scales, (0,) * len(scales), 0 if per_channel else None, weights),
        activation("y", (rows, c_out), result),
    ]  # fmt: skip
    inputs = ["x", "w"]
    if bias:
        given = None if biases is None else np.asarray(biases, np.int32)
        tensors.append(_bias(rng, c_out, depth, [float(np.float32(source.scale) * np.float32(s)) for s in scales], given))
        inputs.append("b")
    options = {"fusedActivationFunction": fused_activation}
    return model_of(tensors, OpSpec("FULLY_CONNECTED", tuple(inputs), ("y",), options))


def binary(
    opcode: str,
    seed: int = 0,
    left: Shape = (1, 5, 6, 7),
    right: Shape = (1, 5, 6, 7),
    fused_activation: str = "NONE",
    left_quant: Quant | None = None,
    right_quant: Quant | None = None,
    output_quant: Quant | None = None,
    constant_right: bool = False,
) -> bytes:
    """ADD, SUB, MUL, MAXIMUM, MINIMUM or SQUARED_DIFFERENCE of two broadcast tensors `x` and `z`."""
    rng = np.random.default_rng(seed)
    a, b = left_quant or random_quant(rng), right_quant or random_quant(rng)
    spread = float(np.exp(rng.uniform(-1, 1.5)))
    typical = {
        "ADD": max(a.scale, b.scale),
        "SUB": max(a.scale, b.scale),
        "MUL": a.scale * b.scale * 80,
        "SQUARED_DIFFERENCE": max(a.scale, b.scale) ** 2 * 100,
        "MAXIMUM": a.scale,
        "MINIMUM": a.scale,
    }[opcode]
    scale = typical * spread
    if rng.random() < 0.2:
        scale = 2.0 ** round(np.log2(scale))
    result = output_quant or Quant(scale, random_quant(rng).zero_point)
    if opcode in ("MAXIMUM", "MINIMUM"):
        b = result = a
    data = rng.integers(-128, 128, right).astype(np.int8) if constant_right else None
    tensors = [
        activation("x", left, a),
        TensorSpec("z", tuple(right), "int8", (b.scale,), (b.zero_point,), data=data),
        activation("y", np.broadcast_shapes(left, right), result),
    ]
    options = {"fusedActivationFunction": fused_activation} if opcode in ("ADD", "SUB", "MUL") else {}
    return model_of(tensors, OpSpec(opcode, ("x", "z"), ("y",), options), ("x",) if constant_right else ("x", "z"))


def unary(
    opcode: str,
    seed: int = 0,
    shape: Shape = (1, 4, 8, 8),
    input_quant: Quant | None = None,
    output_quant: Quant | None = None,
    **options: float,
) -> bytes:
    """An activation; parameters that are not given are drawn."""
    rng = np.random.default_rng(seed)
    source = input_quant or random_quant(rng, 0.005, 0.3)
    if opcode in ROOTS and input_quant is None:
        source = Quant(source.scale, -128)
    if opcode == "NEG" and output_quant is None:
        source = output_quant = Quant(source.scale, 0)
    if DESCRIBED[opcode].unit_output:
        result = Quant(*UNIT_OUTPUT)
    else:
        factor = float(np.exp(rng.uniform(-1.5, 1.5))) if rng.random() < 0.8 else 1.0
        result = output_quant or Quant(source.scale * factor, random_quant(rng).zero_point)
    op = OpSpec(opcode, ("x",), ("y",), random_parameters(opcode, rng) | options)
    return model_of([activation("x", shape, source), activation("y", shape, result)], op)


def random_parameters(opcode: str, rng: Rng) -> dict[str, float]:
    """An activation's parameters by name: 0, 1, small as trained ones are, or anything up to 2, of either sign."""

    def drawn() -> float:
        value = rng.choice([0.0, 1.0, 0.01, -0.5]) if rng.random() < 0.4 else rng.uniform(-2, 2) * 10 ** -rng.uniform(0, 3)
        return float(np.float32(value))

    return {
        parameter.name: drawn() if parameter.letter == "f" else bool(rng.random() < 0.5)
        for parameter in DESCRIBED[opcode].parameters
    }


ROOTS = ("SQRT", "RSQRT")  # which have no value below 0


def softmax(seed: int = 0, shape: Shape = (1, 10), beta: float = 1.0, input_quant: Quant | None = None) -> bytes:
    """SOFTMAX over the last axis."""
    source = input_quant or random_quant(np.random.default_rng(seed), 0.005, 0.5)
    tensors = [activation("x", shape, source), activation("y", shape, Quant(1 / 256, -128))]
    return model_of(tensors, OpSpec("SOFTMAX", ("x",), ("y",), {"beta": beta}))


def reduce(
    opcode: str,
    seed: int = 0,
    shape: Shape = (1, 7, 5, 6),
    axes: Sequence[int] = (1, 2),
    keep_dims: bool = True,
    input_quant: Quant | None = None,
    output_quant: Quant | None = None,
) -> bytes:
    """MEAN, REDUCE_MAX or REDUCE_MIN over any axes."""
    rng = np.random.default_rng(seed)
    source = input_quant or random_quant(rng)
    result = source
    if opcode == "MEAN" and rng.random() < 0.8:
        result = output_quant or Quant(source.scale * float(np.exp(rng.uniform(-2.5, 0.7))), random_quant(rng).zero_point)
    gone = {a % len(shape) for a in axes}
    kept = [1 if i in gone else d for i, d in enumerate(shape) if keep_dims or i not in gone]
    tensors = [activation("x", shape, source), indices("axes", list(axes)), activation("y", kept, result)]
    return model_of(tensors, OpSpec(opcode, ("x", "axes"), ("y",), {"keepDims": keep_dims}))


def pool_2d(
    opcode: str,
    seed: int = 0,
    input_hwc: tuple[int, int, int] = (9, 7, 5),
    kernel: tuple[int, int] = (2, 2),
    stride: tuple[int, int] = (2, 2),
    padding: str = "VALID",
    fused_activation: str = "NONE",
    quant: Quant | None = None,
) -> bytes:
    """AVERAGE_POOL_2D or MAX_POOL_2D."""
    quant = quant or random_quant(np.random.default_rng(seed))
    h, w, c = input_hwc
    out = [_same_or_valid(d, k, s, 1, padding) for d, k, s in zip((h, w), kernel, stride, strict=True)]
    options = {
        "strideH": stride[0], "strideW": stride[1], "filterHeight": kernel[0], "filterWidth": kernel[1],
        "padding": padding, "fusedActivationFunction": fused_activation,
    }  # fmt: skip
    tensors = [activation("x", (1, h, w, c), quant), activation("y", (1, *out, c), quant)]
    return model_of(tensors, OpSpec(opcode, ("x",), ("y",), options))


def concatenation(seed: int = 0, shapes: Sequence[Shape] = ((1, 3, 4, 5), (1, 3, 4, 2)), axis: int = -1) -> bytes:
    """CONCATENATION of inputs x0, x1, ... along an axis."""
    quant = random_quant(np.random.default_rng(seed))
    names = tuple(f"x{i}" for i in range(len(shapes)))
    out = list(shapes[0])
    out[axis] = sum(s[axis] for s in shapes)
    tensors = [*(activation(n, s, quant) for n, s in zip(names, shapes, strict=True)), activation("y", out, quant)]
    return model_of(tensors, OpSpec("CONCATENATION", names, ("y",), {"axis": axis}), names)


def slice_(seed: int = 0, shape: Shape = (1, 7, 6, 5), begin: Shape = (0, 2, 1, 0), size: Shape = (1, 3, -1, 4)) -> bytes:
    """SLICE; a size of -1 takes the rest."""
    quant = random_quant(np.random.default_rng(seed))
    out = [d - b if n == -1 else n for d, b, n in zip(shape, begin, size, strict=True)]
    tensors = [activation("x", shape, quant), indices("begin", begin), indices("size", size), activation("y", out, quant)]
    return model_of(tensors, OpSpec("SLICE", ("x", "begin", "size"), ("y",)))


def strided_slice(
    seed: int = 0,
    shape: Shape = (1, 7, 6, 5),
    begin: Shape = (0, 1, 5, 0),
    end: Shape = (1, 7, 0, 5),
    strides: Shape = (1, 2, -2, 1),
    begin_mask: int = 0,
    end_mask: int = 0,
    shrink_axis_mask: int = 0,
) -> bytes:
    """STRIDED_SLICE with any masks but ellipsis and new axis."""
    quant = random_quant(np.random.default_rng(seed))
    out = []
    for i, d in enumerate(shape):
        if shrink_axis_mask >> i & 1:
            continue
        first = None if begin_mask >> i & 1 else begin[i]
        last = None if end_mask >> i & 1 else end[i]
        out.append(len(range(d)[slice(first, last, strides[i])]))
    tensors = [
        activation("x", shape, quant), indices("begin", begin), indices("end", end), indices("strides", strides),
        activation("y", out, quant),
    ]  # fmt: skip
    options = {"beginMask": begin_mask, "endMask": end_mask, "shrinkAxisMask": shrink_axis_mask}
    return model_of(tensors, OpSpec("STRIDED_SLICE", ("x", "begin", "end", "strides"), ("y",), options))


def gather(seed: int = 0, shape: Shape = (1, 3, 4, 6), taken: Sequence[int] = (3, 4, 5, 0, 1, 2), axis: int = 3) -> bytes:
    """GATHER along an axis."""
    quant = random_quant(np.random.default_rng(seed))
    out = list(shape)
    out[axis] = len(taken)
    tensors = [activation("x", shape, quant), indices("taken", list(taken)), activation("y", out, quant)]
    return model_of(tensors, OpSpec("GATHER", ("x", "taken"), ("y",), {"axis": axis}))


def transpose(seed: int = 0, shape: Shape = (1, 12, 2, 3), permutation: Sequence[int] = (0, 1, 3, 2)) -> bytes:
    """TRANSPOSE."""
    quant = random_quant(np.random.default_rng(seed))
    out = [shape[axis] for axis in permutation]
    tensors = [activation("x", shape, quant), indices("permutation", list(permutation)), activation("y", out, quant)]
    return model_of(tensors, OpSpec("TRANSPOSE", ("x", "permutation"), ("y",)))


def pad(seed: int = 0, shape: Shape = (1, 4, 5, 3), pads: Sequence[tuple[int, int]] = ((0, 0), (1, 2), (3, 0), (0, 0))) -> bytes:
    """PAD with the zero point, before and after each axis."""
    quant = random_quant(np.random.default_rng(seed))
    out = [d + a + b for d, (a, b) in zip(shape, pads, strict=True)]
    tensors = [activation("x", shape, quant), indices("pads", pads), activation("y", out, quant)]
    return model_of(tensors, OpSpec("PAD", ("x", "pads"), ("y",)))


def reshape(seed: int = 0, shape: Shape = (1, 4, 5, 6), new_shape: Shape = (1, 20, 3, 2)) -> bytes:
    """RESHAPE."""
    quant = random_quant(np.random.default_rng(seed))
    tensors = [activation("x", shape, quant), indices("shape", new_shape), activation("y", new_shape, quant)]
    return model_of(tensors, OpSpec("RESHAPE", ("x", "shape"), ("y",), {"newShape": new_shape}))


def prelu(seed: int = 0, shape: Shape = (1, 3, 4, 5), alpha: Shape = (5,), quants: Sequence[Quant] = ()) -> bytes:
    """PRELU by a constant alpha."""
    rng = np.random.default_rng(seed)
    source, slope = quants[:2] or (random_quant(rng), random_quant(rng, 0.001, 0.02))
    result = quants[2] if quants else Quant(source.scale * float(np.exp(rng.uniform(-1, 1))), random_quant(rng).zero_point)
    slopes = rng.integers(-128, 128, alpha).astype(np.int8)
    tensors = [
        activation("x", shape, source),
        TensorSpec("a", alpha, "int8", (slope.scale,), (slope.zero_point,), data=slopes),
        activation("y", shape, result),
    ]
    return model_of(tensors, OpSpec("PRELU", ("x", "a"), ("y",)))


def division(
    seed: int = 0, shape: Shape = (1, 3, 4, 5), divisor: int = 100, fused_activation: str = "NONE", quants: Sequence[Quant] = ()
) -> bytes:
    """DIV by a constant of one element."""
    rng = np.random.default_rng(seed)
    source, other = quants[:2] or (random_quant(rng), random_quant(rng))
    scale = source.scale / other.scale / 2.0 ** rng.uniform(7.01, 9)
    result = quants[2] if quants else Quant(scale, random_quant(rng).zero_point)
    by = divisor if divisor != other.zero_point else divisor + (1 if divisor < 0 else -1)
    tensors = [
        activation("x", shape, source),
        TensorSpec("d", (1,), "int8", (other.scale,), (other.zero_point,), data=np.array([by], np.int8)),
        activation("y", shape, result),
    ]
    return model_of(tensors, OpSpec("DIV", ("x", "d"), ("y",), {"fusedActivationFunction": fused_activation}))


def batch_matmul(
    seed: int = 0,
    left: Shape = (2, 3, 5),
    right: Shape = (2, 5, 4),
    adj_x: bool = False,
    adj_y: bool = False,
    constant: str = "",
    quants: Sequence[Quant] = (),
) -> bytes:
    """BATCH_MATMUL; constant  the name of an operand that is one ("x" or "z")."""
    rng = np.random.default_rng(seed)
    a, b = quants[:2] or (random_quant(rng), random_quant(rng))
    depth = left[-2 if adj_x else -1]
    scale = a.scale * b.scale * np.sqrt(depth) * 100 * float(np.exp(rng.uniform(-1.5, 1)))
    result = quants[2] if quants else Quant(scale, random_quant(rng).zero_point)
    out = (
        *np.broadcast_shapes(left[:-2], right[:-2]), left[-1 if adj_x else -2], right[-2 if adj_y else -1]
    )  # fmt: skip
    data = {name: rng.integers(-128, 128, s).astype(np.int8) for name, s in (("x", left), ("z", right)) if name == constant}
    tensors = [
        TensorSpec("x", left, "int8", (a.scale,), (a.zero_point,), data=data.get("x")),
        TensorSpec("z", right, "int8", (b.scale,), (b.zero_point,), data=data.get("z")),
        activation("y", out, result),
    ]
    options = {"adjX": adj_x, "adjY": adj_y}
    inputs = tuple(name for name in ("x", "z") if name != constant)
    return model_of(tensors, OpSpec("BATCH_MATMUL", ("x", "z"), ("y",), options), inputs)


def table(seed: int = 0, shape: Shape = (1, 3, 4, 5)) -> bytes:
    """Any function of one value: CAST, CAST and GATHER from a constant."""
    rng = np.random.default_rng(seed)
    source, result = random_quant(rng), random_quant(rng)
    entries = rng.integers(-128, 128, 256).astype(np.int8)
    tensors = (
        activation("x", shape, source),
        TensorSpec("bytes", shape, "uint8"),
        TensorSpec("places", shape, "int32"),
        TensorSpec("t", (256,), "int8", (result.scale,), (result.zero_point,), data=entries),
        activation("y", shape, result),
    )
    ops = (
        OpSpec("CAST", ("x",), ("bytes",), {"inDataType": 9, "outDataType": 3}),
        OpSpec("CAST", ("bytes",), ("places",), {"inDataType": 3, "outDataType": 2}),
        OpSpec("GATHER", ("t", "places"), ("y",), {"axis": 0}),
    )
    return write_tflite(ModelSpec(tensors, ops, ("x",), ("y",)))


def l2_normalization(seed: int = 0, shape: Shape = (2, 3, 7), quant: Quant | None = None) -> bytes:
    """L2_NORMALIZATION over the last axis."""
    source = quant or random_quant(np.random.default_rng(seed))
    tensors = [activation("x", shape, source), activation("y", shape, Quant(1 / 128, 0))]
    return model_of(tensors, OpSpec("L2_NORMALIZATION", ("x",), ("y",), {"fusedActivationFunction": "NONE"}))


def moved(opcode: str, seed: int, shape: Shape, out: Shape, steering: Sequence[TensorSpec] = (), **options: object) -> bytes:
    """An operator that moves elements of `x` to `y` as constants and options say."""
    quant = random_quant(np.random.default_rng(seed))
    tensors = [activation("x", shape, quant), *steering, activation("y", out, quant)]
    return model_of(tensors, OpSpec(opcode, ("x", *(t.name for t in steering)), ("y",), options))


def transpose_conv(
    seed: int = 0,
    input_hwc: tuple[int, int, int] = (4, 3, 5),
    c_out: int = 4,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (2, 2),
    padding: str = "SAME",
    more: tuple[int, int] = (0, 0),
    fused_activation: str = "NONE",
    per_channel: bool = True,
    bias: bool = True,
) -> bytes:
    """TRANSPOSE_CONV; more  rows and columns beyond the fewest (SAME: below the most) that the data's size stands for."""
    rng = np.random.default_rng(seed)
    h, w, c_in = input_hwc
    source = random_quant(rng)
    scales = _weight_scales(rng, c_out, per_channel)
    result = _output_quant(rng, source.scale, scales, kernel[0] * kernel[1] * c_in, tie=rng.random() < 0.2)
    out = [
        d * s - m if padding == "SAME" else (d - 1) * s + k + m
        for d, s, k, m in zip((h, w), stride, kernel, more, strict=True)
    ]  # fmt: skip
    weights = _weights(rng, (c_out, *kernel, c_in))
    tensors = [
        indices("shape", [1, *out, c_out]),
        TensorSpec("w", weights.shape, "int8", scales, (0,) * len(scales), 0 if per_channel else None, weights),
        activation("x", (1, h, w, c_in), source),
        activation("y", (1, *out, c_out), result),
    ]
    inputs = ["shape", "w", "x"]
    if bias:
        tensors.append(_bias(rng, c_out, kernel[0] * kernel[1] * c_in, [float(np.float32(source.scale * s)) for s in scales]))
        inputs.append("b")
    options = {"strideH": stride[0], "strideW": stride[1], "padding": padding, "fusedActivationFunction": fused_activation}
    return model_of(tensors, OpSpec("TRANSPOSE_CONV", tuple(inputs), ("y",), options))


# --- random shapes ------------------------------------------------------------------------------------------------------

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")  # in this order seeds draw them
assert set(ACTIVATIONS) == set(FUSED_CLAMPS)


def _window(rng: Rng) -> dict[str, object]:
    """Kernel, stride, dilation, padding and a map that the window fits into; TFLite dilates only with stride 1."""
    kernel = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    dilated = rng.random() < 0.2
    dilation = (int(rng.integers(1, 4)), int(rng.integers(1, 4))) if dilated else (1, 1)
    stride = (1, 1) if dilated else (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = str(rng.choice(["SAME", "VALID"]))
    smallest = span if padding == "VALID" else [1, 1]
    h, w = (int(n + rng.integers(0, 9)) for n in smallest)
    return {"hw": (h, w), "kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding}


def random_conv_2d(seed: int) -> bytes:
    """CONV_2D of random shape."""
    rng = np.random.default_rng([seed, 1])
    window = _window(rng)
    h, w = window.pop("hw")
    if rng.random() < 0.2:
        window.update(kernel=(1, 1), dilation=(1, 1))
    channels = int(rng.integers(1, 20))
    size = channels if rng.random() < 0.2 else 0  # C == H == W tells swapped axes
    c_out = int(rng.integers(1, 20))
    groups = int(rng.integers(2, 6)) if rng.random() < 0.3 else 1
    if groups > 1:
        channels, c_out = int(rng.integers(1, 8)) * groups, int(rng.integers(1, 6)) * groups
    hwc = (max(h, size), max(w, size), channels)
    per_channel = bool(rng.random() < 0.8)
    activation = str(rng.choice(ACTIVATIONS))
    return conv_2d(seed, hwc, c_out, fused_activation=activation, per_channel=per_channel, groups=groups, **window)


def random_depthwise_conv_2d(seed: int) -> bytes:
    """DEPTHWISE_CONV_2D of random shape and depth multiplier."""
    rng = np.random.default_rng([seed, 2])
    window = _window(rng)
    h, w = window.pop("hw")
    channels, multiplier = int(rng.integers(1, 14)), int(rng.integers(1, 6))
    per_channel, bias = bool(rng.random() < 0.8), bool(rng.random() < 0.8)
    return depthwise_conv_2d(
        seed, (h, w, channels), multiplier, fused_activation=str(rng.choice(ACTIVATIONS)),
        per_channel=per_channel, bias=bias, **window,
    )  # fmt: skip


def random_fully_connected(seed: int) -> bytes:
    """FULLY_CONNECTED of random shape, per tensor or per channel."""
    rng = np.random.default_rng([seed, 3])
    depth, c_out = int(rng.integers(1, 300)), int(rng.integers(1, 40))
    shape = (int(rng.integers(1, 4)), depth) if rng.random() < 0.7 else (1, 1, 1, depth)
    per_channel, bias = bool(rng.random() < 0.5), bool(rng.random() < 0.8)
    return fully_connected(seed, shape, c_out, fused_activation=str(rng.choice(ACTIVATIONS)), per_channel=per_channel, bias=bias)


def _random_shape(rng: Rng, rank: int, highest: int = 7) -> Shape:
    return tuple(int(d) for d in rng.integers(1, highest + 1, rank))


def _random_broadcast(rng: Rng, highest_rank: int) -> tuple[Shape, Shape]:
    shape = _random_shape(rng, int(rng.integers(1, highest_rank + 1)), 5)
    other = tuple(1 if rng.random() < 0.35 else d for d in shape)[int(rng.integers(0, len(shape))) if rng.random() < 0.3 else 0 :]
    return (shape, other) if rng.random() < 0.5 else (other, shape)


def _random_binary(opcode: str, salt: int, highest_rank: int) -> Callable[[int], bytes]:
    def build(seed: int) -> bytes:
        rng = np.random.default_rng([seed, salt])
        left, right = _random_broadcast(rng, highest_rank)
        name = str(rng.choice(ACTIVATIONS)) if opcode in ("ADD", "SUB", "MUL") else "NONE"
        return binary(opcode, seed, left, right, name, constant_right=bool(rng.random() < 0.3))

    return build


def _random_unary(opcode: str, salt: int) -> Callable[[int], bytes]:
    return lambda seed: unary(opcode, seed, (*_random_shape(np.random.default_rng([seed, salt]), 1 + seed % 4), 64))


def random_softmax(seed: int) -> bytes:
    """SOFTMAX of random rank, depth and beta; LiteRT aborts when a row's exponentials sum to 512 and more."""
    rng = np.random.default_rng([seed, 5])
    shape = (*_random_shape(rng, int(rng.integers(0, 4)), 4), int(rng.choice([1, 2, 10, 100, 500])))
    return softmax(seed, shape, float(rng.choice([1.0, 0.5, 2.0, 0.1])))


def _random_reduce(opcode: str, salt: int) -> Callable[[int], bytes]:
    def build(seed: int) -> bytes:
        rng = np.random.default_rng([seed, salt])
        rank = int(rng.integers(2, 5))
        shape = _random_shape(rng, rank, 9)
        axes = rng.choice(rank, int(rng.integers(1, rank + (opcode == "MEAN"))), replace=False)
        signed = [int(a) - rank * int(rng.integers(0, 2)) for a in axes]
        return reduce(opcode, seed, shape, signed, bool(rng.random() < 0.5) or len(axes) == rank)

    return build


def _random_pool(opcode: str, salt: int) -> Callable[[int], bytes]:
    def build(seed: int) -> bytes:
        rng = np.random.default_rng([seed, salt])
        window = _window(rng)
        h, w = window.pop("hw")
        del window["dilation"]
        h, w = max(h, window["kernel"][0]), max(w, window["kernel"][1])
        return pool_2d(opcode, seed, (h, w, int(rng.integers(1, 12))), fused_activation=str(rng.choice(ACTIVATIONS)), **window)

    return build


def random_concatenation(seed: int) -> bytes:
    """CONCATENATION of two to four tensors of random rank."""
    rng = np.random.default_rng([seed, 8])
    rank = int(rng.integers(1, 6))
    shape, axis = list(_random_shape(rng, rank, 5)), int(rng.integers(0, rank))
    shapes = [(*shape[:axis], int(rng.integers(1, 6)), *shape[axis + 1 :]) for _ in range(int(rng.integers(2, 5)))]
    return concatenation(seed, shapes, axis - rank * int(rng.integers(0, 2)))


def random_slice(seed: int) -> bytes:
    """SLICE of random rank."""
    rng = np.random.default_rng([seed, 9])
    shape = _random_shape(rng, int(rng.integers(1, 6)), 8)
    begin = tuple(int(rng.integers(0, d)) for d in shape)
    size = tuple(-1 if rng.random() < 0.2 else int(rng.integers(1, d - b + 1)) for d, b in zip(shape, begin, strict=True))
    return slice_(seed, shape, begin, size)


def random_strided_slice(seed: int) -> bytes:
    """STRIDED_SLICE of random rank, with negative strides and indices, masks and dropped axes."""
    rng = np.random.default_rng([seed, 10])
    shape = _random_shape(rng, int(rng.integers(1, 6)), 8)
    begin, end, strides = [], [], []
    begin_mask = end_mask = shrink_axis_mask = 0
    for i, d in enumerate(shape):
        if rng.random() < 0.2 and shrink_axis_mask.bit_count() < len(shape) - 1:
            shrink_axis_mask |= 1 << i
            begin.append(int(rng.integers(-d, d)))
            end.append(begin[-1] + 1)
            strides.append(1)
            continue
        step = int(rng.choice([-2, -1, 1, 2, 3]))
        first = int(rng.integers(0, d))
        last = first + (1 if step > 0 else -1) * int(rng.integers(1, d + 1))
        begin.append(first - d if rng.random() < 0.3 else first)
        end.append(-d - 1 if last < 0 else last)
        strides.append(step)
        begin_mask |= int(rng.random() < 0.15) << i
        end_mask |= int(rng.random() < 0.15) << i
        if len(range(d)[slice(None if begin_mask >> i & 1 else first, end[-1], step)]) == 0:
            end_mask |= 1 << i  # a begin mask moved the start past the end
    return strided_slice(seed, shape, tuple(begin), tuple(end), tuple(strides), begin_mask, end_mask, shrink_axis_mask)


def random_gather(seed: int) -> bytes:
    """GATHER of random rank: anywhere, a rotation, or a channel shuffle."""
    rng = np.random.default_rng([seed, 13])
    shape = _random_shape(rng, int(rng.integers(1, 5)), 12)
    axis = int(rng.integers(0, len(shape)))
    size, kind = shape[axis], rng.random()
    if kind < 0.4:
        taken = rng.integers(0, size, int(rng.integers(1, 20)))
    elif kind < 0.7:
        taken = np.roll(np.arange(size), int(rng.integers(0, size)))
    else:
        divisors = [d for d in range(1, size + 1) if size % d == 0]
        taken = np.arange(size).reshape(int(rng.choice(divisors)), -1).T.reshape(-1)
    return gather(seed, shape, [int(index) for index in taken], axis - len(shape) * int(rng.integers(0, 2)))


def random_transpose(seed: int) -> bytes:
    """TRANSPOSE of random rank."""
    rng = np.random.default_rng([seed, 14])
    rank = int(rng.integers(1, 6))
    permutation = [int(axis) - rank * int(rng.random() < 0.2) for axis in rng.permutation(rank)]
    return transpose(seed, _random_shape(rng, rank, 7), permutation)


def random_pad(seed: int) -> bytes:
    """PAD of random rank."""
    rng = np.random.default_rng([seed, 11])
    shape = _random_shape(rng, int(rng.integers(1, 5)), 6)
    return pad(seed, shape, [(int(a), int(b)) for a, b in rng.integers(0, 4, (len(shape), 2))])


def random_reshape(seed: int) -> bytes:
    """RESHAPE between random ranks."""
    rng = np.random.default_rng([seed, 12])
    shape = _random_shape(rng, int(rng.integers(1, 6)), 6)
    size = int(np.prod(shape))
    divisors = [d for d in range(1, size + 1) if size % d == 0]
    first = int(rng.choice(divisors))
    return reshape(seed, shape, (1, first, size // first))


def random_transpose_conv(seed: int) -> bytes:
    """TRANSPOSE_CONV of random shape: kernels below, at and above the stride."""
    rng = np.random.default_rng([seed, 40])
    kernel, stride = ((int(rng.integers(1, 6)), int(rng.integers(1, 6))) for _ in range(2))
    padding = str(rng.choice(["SAME", "VALID"]))
    more = (int(rng.integers(0, stride[0])), int(rng.integers(0, stride[1])))
    hwc = (int(rng.integers(1, 7)), int(rng.integers(1, 7)), int(rng.integers(1, 9)))
    return transpose_conv(
        seed, hwc, int(rng.integers(1, 9)), kernel, stride, padding, more, str(rng.choice(ACTIVATIONS)),
        per_channel=bool(rng.random() < 0.7), bias=bool(rng.random() < 0.8),
    )  # fmt: skip


def random_tile(seed: int) -> bytes:
    """TILE of random rank."""
    rng = np.random.default_rng([seed, 41])
    shape = _random_shape(rng, int(rng.integers(1, 5)), 5)
    times = [int(n) for n in rng.integers(1, 4, len(shape))]
    return moved("TILE", seed, shape, tuple(d * n for d, n in zip(shape, times, strict=True)), [indices("multiples", times)])


def random_broadcast_to(seed: int) -> bytes:
    """BROADCAST_TO of random rank."""
    rng = np.random.default_rng([seed, 42])
    out = _random_shape(rng, int(rng.integers(1, 5)), 6)
    shape = tuple(1 if rng.random() < 0.4 else d for d in out)[int(rng.integers(0, len(out))) :]
    return moved("BROADCAST_TO", seed, shape, out, [indices("shape", list(out))])


def random_mirror_pad(seed: int) -> bytes:
    """MIRROR_PAD of random rank and mode."""
    rng = np.random.default_rng([seed, 43])
    shape, mode = _random_shape(rng, int(rng.integers(1, 5)), 6), str(rng.choice(["REFLECT", "SYMMETRIC"]))
    widths = [[int(rng.integers(0, d + (mode == "SYMMETRIC"))) for _ in range(2)] for d in shape]
    out = tuple(d + sum(pair) for d, pair in zip(shape, widths, strict=True))
    return moved("MIRROR_PAD", seed, shape, out, [indices("paddings", widths)], mode=mode)


def _random_resize(opcode: str, salt: int) -> Callable[[int], bytes]:
    def build(seed: int) -> bytes:
        rng = np.random.default_rng([seed, salt])
        h, w, c = (int(d) for d in rng.integers(1, 9, 3))
        out = [int(n * rng.integers(1, 4)) if rng.random() < 0.5 else int(rng.integers(1, 25)) for n in (h, w)]
        align, half = [(False, False), (True, False), (False, True)][int(rng.integers(0, 3))]
        size = indices("size", out)
        return moved(opcode, seed, (1, h, w, c), (1, *out, c), [size], alignCorners=align, halfPixelCenters=half)

    return build


def _random_blocks(opcode: str, salt: int) -> Callable[[int], bytes]:
    def build(seed: int) -> bytes:
        rng = np.random.default_rng([seed, salt])
        (h, w, c), block = (int(d) for d in rng.integers(1, 6, 3)), int(rng.integers(1, 5))
        wide, deep = (1, h * block, w * block, c), (1, h, w, c * block * block)
        return moved(opcode, seed, *((deep, wide) if opcode == "DEPTH_TO_SPACE" else (wide, deep)), blockSize=block)

    return build


def random_pack(seed: int) -> bytes:
    """PACK of one to four tensors of random rank."""
    rng = np.random.default_rng([seed, 47])
    shape, quant = _random_shape(rng, int(rng.integers(1, 5)), 5), random_quant(rng)
    axis, names = int(rng.integers(0, len(shape) + 1)), tuple(f"x{i}" for i in range(int(rng.integers(1, 5))))
    out = (*shape[:axis], len(names), *shape[axis:])
    tensors = [*(activation(n, shape, quant) for n in names), activation("y", out, quant)]
    options = {"valuesCount": len(names), "axis": axis - len(out) * int(rng.integers(0, 2))}
    return model_of(tensors, OpSpec("PACK", names, ("y",), options), names)


def random_prelu(seed: int) -> bytes:
    """PRELU of random rank, by an alpha of any shape that broadcasts."""
    rng = np.random.default_rng([seed, 50])
    shape = _random_shape(rng, int(rng.integers(1, 5)), 6)
    alpha = tuple(1 if rng.random() < 0.4 else d for d in shape)[int(rng.integers(0, len(shape))) :]
    return prelu(seed, shape, alpha)


def random_division(seed: int) -> bytes:
    """DIV by any constant."""
    rng = np.random.default_rng([seed, 51])
    divisor = int(rng.choice([-128, 127, 1, -1])) if rng.random() < 0.3 else int(rng.integers(-128, 128))
    return division(seed, _random_shape(rng, int(rng.integers(1, 5)), 6), divisor, str(rng.choice(ACTIVATIONS)))


def random_batch_matmul(seed: int) -> bytes:
    """BATCH_MATMUL of rank 2 to 5, batches that broadcast, either operand constant or none."""
    rng = np.random.default_rng([seed, 52])
    rows, depth, columns = (int(d) for d in rng.integers(1, 12, 3))
    batch = _random_shape(rng, int(rng.integers(0, 4)), 3)
    lefts, rights = (tuple(1 if rng.random() < 0.3 else d for d in batch) for _ in range(2))
    lefts = lefts[int(rng.integers(0, len(batch) + 1)) if rng.random() < 0.3 else 0 :]
    adj_x, adj_y = bool(rng.random() < 0.4), bool(rng.random() < 0.4)
    left = (*lefts, depth, rows) if adj_x else (*lefts, rows, depth)
    right = (*rights, columns, depth) if adj_y else (*rights, depth, columns)
    return batch_matmul(seed, left, right, adj_x, adj_y, str(rng.choice(["", "", "x", "z"])))


def random_table(seed: int) -> bytes:
    """Any table."""
    rng = np.random.default_rng([seed, 53])
    return table(seed, (*_random_shape(rng, int(rng.integers(0, 4)), 6), 64))


def random_l2_normalization(seed: int) -> bytes:
    """L2_NORMALIZATION of rows of 1 to 300."""
    rng = np.random.default_rng([seed, 54])
    depth = int(rng.choice([1, 2, 3, 300])) if rng.random() < 0.5 else int(rng.integers(1, 40))
    return l2_normalization(seed, (*_random_shape(rng, int(rng.integers(0, 4)), 4), depth))


CASES: Mapping[str, Callable[[int], bytes]] = {
    "CONV_2D": random_conv_2d,
    "DEPTHWISE_CONV_2D": random_depthwise_conv_2d,
    "FULLY_CONNECTED": random_fully_connected,
    "ADD": _random_binary("ADD", 20, 6),
    "SUB": _random_binary("SUB", 21, 5),
    "MUL": _random_binary("MUL", 22, 6),
    "MAXIMUM": _random_binary("MAXIMUM", 23, 5),
    "MINIMUM": _random_binary("MINIMUM", 48, 5),
    "SQUARED_DIFFERENCE": _random_binary("SQUARED_DIFFERENCE", 24, 4),
    "MEAN": _random_reduce("MEAN", 25),
    "REDUCE_MAX": _random_reduce("REDUCE_MAX", 26),
    "REDUCE_MIN": _random_reduce("REDUCE_MIN", 49),
    "AVERAGE_POOL_2D": _random_pool("AVERAGE_POOL_2D", 27),
    "MAX_POOL_2D": _random_pool("MAX_POOL_2D", 28),
    "SOFTMAX": random_softmax,
    "LOGISTIC": _random_unary("LOGISTIC", 29),
    "HARD_SWISH": _random_unary("HARD_SWISH", 30),
    "RELU": _random_unary("RELU", 31),
    "RELU6": _random_unary("RELU6", 32),
    "QUANTIZE": _random_unary("QUANTIZE", 33),
    "LEAKY_RELU": _random_unary("LEAKY_RELU", 34),
    "TANH": _random_unary("TANH", 35),
    "ABS": _random_unary("ABS", 36),
    "EXP": _random_unary("EXP", 55),
    "LOG": _random_unary("LOG", 56),
    "SQRT": _random_unary("SQRT", 57),
    "RSQRT": _random_unary("RSQRT", 58),
    "NEG": _random_unary("NEG", 59),
    "GELU": _random_unary("GELU", 60),
    "TABLE": random_table,
    "PRELU": random_prelu,
    "DIV": random_division,
    "BATCH_MATMUL": random_batch_matmul,
    "L2_NORMALIZATION": random_l2_normalization,
    "RESIZE_BILINEAR": _random_resize("RESIZE_BILINEAR", 61),
    "RELU_N1_TO_1": _random_unary("RELU_N1_TO_1", 37),
    "RELU_0_TO_1": _random_unary("RELU_0_TO_1", 38),
    "TRANSPOSE_CONV": random_transpose_conv,
    "TILE": random_tile,
    "BROADCAST_TO": random_broadcast_to,
    "MIRROR_PAD": random_mirror_pad,
    "RESIZE_NEAREST_NEIGHBOR": _random_resize("RESIZE_NEAREST_NEIGHBOR", 44),
    "DEPTH_TO_SPACE": _random_blocks("DEPTH_TO_SPACE", 45),
    "SPACE_TO_DEPTH": _random_blocks("SPACE_TO_DEPTH", 46),
    "PACK": random_pack,
    "CONCATENATION": random_concatenation,
    "SLICE": random_slice,
    "STRIDED_SLICE": random_strided_slice,
    "GATHER": random_gather,
    "TRANSPOSE": random_transpose,
    "PAD": random_pad,
    "RESHAPE": random_reshape,
}
"""For each operator: a model of random shape, weights and quantization from a seed."""
