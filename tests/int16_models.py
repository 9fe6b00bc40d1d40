"""One-operator `.tflite` models with int16 activations and int8 weights, for every operator that is compiled on them.

As in `one_op_models`: `CASES_16[name](seed)` is a model of random shape, weights and scales.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite

from .one_op_models import indices, model_of

Rng = np.random.Generator
Shape = tuple[int, ...]

UNIT = 2.0**-15
ACTIVATIONS = ("NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def data16(name: str, shape: Sequence[int], scale: float, data: np.ndarray | None = None) -> TensorSpec:
    """An int16 tensor with zero point 0."""
    return TensorSpec(name, tuple(shape), "int16", (float(np.float32(scale)),), (0,), data=data)


def drawn_scale(rng: Rng, low: float, high: float) -> float:
    """A scale in between, one in four a power of two."""
    scale = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return float(np.float32(2.0 ** round(np.log2(scale)) if rng.random() < 0.25 else scale))


def bias_of(
    rng: Rng, channels: int, depth: int, scales: Sequence[float], dtype: str = "int64", large: bool = False
) -> TensorSpec:
    """A bias as large as half of the largest sum, or fifty times as large."""
    bound = depth * 127 * (1 << 15) // 2
    bound = min(bound, 1 << 30) if dtype == "int32" else bound
    data = rng.integers(-bound, bound + 1, channels) * (50 if large else 1)
    axis = 0 if len(scales) > 1 else None
    return TensorSpec("b", (channels,), dtype, tuple(scales), (0,) * len(scales), axis, data.astype(dtype))


def weighted(
    opcode: str,
    seed: int = 0,
    shape: Shape = (1, 5, 6, 7),
    c_out: int = 4,
    kernel: tuple[int, int] = (3, 3),
    stride: int = 1,
    dilation: int = 1,
    padding: str = "SAME",
    fused_activation: str = "NONE",
    groups: int = 1,
    bias: str | None = "int64",
    optioned: str | None = None,
    large_bias: bool = False,
    weights: np.ndarray | None = None,
    output_scale: float | None = None,
    per_channel: bool = True,
) -> bytes:
    """CONV_2D, DEPTHWISE_CONV_2D (c_out a multiple of the channels) or FULLY_CONNECTED (of [rows, depth]).

    bias      its type, None: there is none
    optioned  quantizedBiasType, by default as the bias is
    """
    rng = np.random.default_rng(seed)
    channels, is_depthwise = shape[-1], opcode == "DEPTHWISE_CONV_2D"
    if opcode == "FULLY_CONNECTED":
        weight_shape: Shape = (c_out, channels)
        out: Shape = (*shape[:-1], c_out)
        options: dict[str, object] = {"fusedActivationFunction": fused_activation}
    else:
        weight_shape = (1, *kernel, c_out) if is_depthwise else (c_out, *kernel, channels // groups)
        spans = [(k - 1) * dilation + 1 for k in kernel]
        same = padding == "SAME"
        out = (1, *(-(-n // stride) if same else (n - s) // stride + 1 for n, s in zip(shape[1:3], spans, strict=True)), c_out)
        options = {
            "strideH": stride, "strideW": stride, "dilationHFactor": dilation, "dilationWFactor": dilation,
            "padding": padding, "fusedActivationFunction": fused_activation,
        }  # fmt: skip
        if is_depthwise:
            options["depthMultiplier"] = c_out // channels
    if not is_depthwise and (optioned or bias == "int32"):
        options["quantizedBiasType"] = optioned or "INT32"
    if weights is None:
        weights = rng.integers(-127, 128, weight_shape) if rng.random() > 0.1 else np.full(weight_shape, -127)
    depth = int(np.prod(weight_shape)) // c_out
    axis = 3 if is_depthwise else 0
    count = c_out if per_channel else 1
    scales = [drawn_scale(rng, 1e-3, 5e-2) for _ in range(count)]
    source = drawn_scale(rng, 1e-5, 1e-3)
    typical = source * float(np.mean(scales)) * np.sqrt(depth) * 127 * float(np.exp(rng.uniform(-1.5, 1.0)))
    result = output_scale or float(np.float32(2.0 ** round(np.log2(typical)) if rng.random() < 0.2 else typical))
    tensors = [
        data16("x", shape, source),
        TensorSpec("w", weight_shape, "int8", tuple(scales), (0,) * count, axis if count > 1 else None, weights.astype(np.int8)),
        data16("y", out, result),
    ]
    inputs = ["x", "w"]
    if bias is not None:
        tensors.append(bias_of(rng, c_out, depth, [float(np.float32(source) * np.float32(s)) for s in scales], bias, large_bias))
        inputs.append("b")
    return model_of(tensors, OpSpec(opcode, tuple(inputs), ("y",), options))


def _random_weighted(opcode: str) -> Callable[[int], bytes]:
    def build(seed: int) -> bytes:
        rng = np.random.default_rng([seed, 50, len(opcode)])
        bias: str | None = "int32" if seed % 4 == 3 and opcode != "DEPTHWISE_CONV_2D" else "int64"
        bias = None if seed % 5 == 4 and opcode != "CONV_2D" else bias
        name = str(rng.choice(ACTIVATIONS))
        per_channel, large = bool(rng.random() < 0.7), seed % 6 == 5 and bias == "int64"
        if opcode == "FULLY_CONNECTED":
            shape = (int(rng.integers(1, 5)), int(rng.integers(1, 80)))
            return weighted(
                opcode, seed, shape, int(rng.integers(1, 24)), fused_activation=name, bias=bias, large_bias=large,
                per_channel=per_channel,
            )  # fmt: skip
        kernel, dilation = (int(rng.integers(1, 4)), int(rng.integers(1, 4))), 1 if rng.random() < 0.7 else 2
        padding = "SAME" if rng.random() < 0.6 else "VALID"
        spans = [(k - 1) * dilation for k in kernel]
        h, w = (int(rng.integers(1, 9)) + (s if padding == "VALID" else 0) for s in spans)
        channels = int(rng.integers(1, 9))
        groups = 2 if opcode == "CONV_2D" and channels % 2 == 0 and rng.random() < 0.2 else 1
        c_out = channels * int(rng.integers(1, 4)) if opcode != "CONV_2D" else int(rng.integers(1, 7)) * groups
        return weighted(
            opcode, seed, (1, h, w, channels), c_out, kernel, int(rng.integers(1, 3)), dilation, padding, name, groups, bias,
            large_bias=large, per_channel=per_channel,
        )  # fmt: skip

    return build


def binary16(
    opcode: str,
    seed: int = 0,
    left: Shape = (1, 3, 4, 6),
    right: Shape = (1, 3, 4, 6),
    scales: tuple[float, float, float] | None = None,
    fused_activation: str = "NONE",
    pot: bool = False,
    constant: bool = False,
) -> bytes:
    """ADD, SUB or MUL; `pot` is the option potScaleInt16."""
    rng = np.random.default_rng(seed)
    if scales is None:
        a, b = drawn_scale(rng, 1e-5, 1e-2), drawn_scale(rng, 1e-5, 1e-2)
        typical = (a * b * (1 << 15) if opcode == "MUL" else a + b) * float(np.exp(rng.uniform(-1, 0.7)))
        scales = a, b, float(np.float32(2.0 ** round(np.log2(typical)) if rng.random() < 0.3 else typical))
    data = rng.integers(-(1 << 15), 1 << 15, right).astype(np.int16) if constant else None
    shape = np.broadcast_shapes(left, right)
    tensors = [data16("x", left, scales[0]), data16("z", right, scales[1], data), data16("y", shape, scales[2])]
    options: dict[str, object] = {"fusedActivationFunction": fused_activation}
    if opcode != "MUL":
        options["potScaleInt16"] = pot
    return model_of(tensors, OpSpec(opcode, ("x", "z"), ("y",), options), ("x",) if constant else ("x", "z"))


def _random_binary(opcode: str) -> Callable[[int], bytes]:
    def build(seed: int) -> bytes:
        rng = np.random.default_rng([seed, 51])
        shapes = (((1, 5, 7), (1, 5, 7)), ((2, 5, 7), (7,)), ((1, 5, 7), (2, 1, 7)), ((1,), (2, 5, 7)), ((3, 1), (1, 130)))
        left, right = shapes[int(rng.integers(len(shapes)))]
        scales = None
        if seed % 3 == 2 and opcode != "MUL":
            left, right = (left, left) if opcode == "ADD" else (left, right)  # LiteRT aborts on a shifted ADD that broadcasts
            exponent, shift = int(rng.integers(-14, -6)), int(rng.integers(0, 6))
            pair = (2.0**exponent, 2.0 ** (exponent - shift))
            scales = (*(pair if rng.random() < 0.5 else pair[::-1]), 2.0**exponent)
        return binary16(opcode, seed, left, right, scales, str(rng.choice(ACTIVATIONS)), scales is not None, bool(seed % 4 == 1))

    return build


def unary16(
    opcode: str, seed: int = 0, shape: Shape = (1, 3, 5, 8), source: float = 1e-3, result: float = UNIT, **options: float
) -> bytes:
    """An operator of one int16 value, or SOFTMAX."""
    return model_of([data16("x", shape, source), data16("y", shape, result)], OpSpec(opcode, ("x",), ("y",), options))


def _random_sloped(opcode: str) -> Callable[[int], bytes]:
    def build(seed: int) -> bytes:
        rng = np.random.default_rng([seed, 52])
        source = drawn_scale(rng, 1e-5, 2e-3)
        options = {"alpha": float(np.float32(rng.choice([0.01, 0.3, 1.5, 0.0, -0.3])))} if opcode == "LEAKY_RELU" else {}
        return unary16(opcode, seed, (2, 300), source, source * float(np.exp(rng.uniform(-1, 1))), **options)

    return build


def _random_curve(opcode: str) -> Callable[[int], bytes]:
    def build(seed: int) -> bytes:
        rng = np.random.default_rng([seed, 53])
        source = drawn_scale(rng, 1e-5, 2e-3)
        if rng.random() < 0.4:
            source = float(rng.choice([2.0**-12, 2.0**-11, 2.0**-13, 2.0**-12 * 1.0005, 2.0**-12 * 1.0008, 0.01, 0.5, 3.0]))
        return unary16(opcode, seed, (2, 300), source)

    return build


def random_softmax(seed: int) -> bytes:
    """SOFTMAX of some rows."""
    rng = np.random.default_rng([seed, 54])
    shape = (int(rng.integers(1, 5)), int(rng.choice([1, 2, 10, 100, 700])))
    beta = float(rng.choice([1.0, 0.5, 2.0]))
    return unary16("SOFTMAX", seed, shape, drawn_scale(rng, 1e-5, 2e-3 if seed % 3 else 1.0), beta=beta)


def quantize16(seed: int = 0, types: tuple[str, str] | None = None, scales: tuple[float, float] | None = None) -> bytes:
    """QUANTIZE between int8 and int16, or from int16 to int16."""
    rng = np.random.default_rng([seed, 55])
    pair = types or (("int16", "int8"), ("int8", "int16"), ("int16", "int16"))[seed % 3]
    source, result = scales or (drawn_scale(rng, 1e-4, 1e-1), drawn_scale(rng, 1e-4, 1e-1))
    zeros = [0 if name == "int16" else int(rng.integers(-128, 128)) for name in pair]
    tensors = [
        TensorSpec(name, (1, 4, 50), dtype, (float(np.float32(scale)),), (zero,))
        for name, dtype, scale, zero in zip("xy", pair, (source, result), zeros, strict=True)
    ]
    return model_of(tensors, OpSpec("QUANTIZE", ("x",), ("y",)))


def mean16(seed: int = 0, shape: Shape = (1, 5, 6, 7), axes: Sequence[int] = (1, 2), result: float | None = None) -> bytes:
    """MEAN that keeps its dimensions."""
    rng = np.random.default_rng([seed, 56])
    source = drawn_scale(rng, 1e-5, 1e-2)
    scale = result or (source if seed % 4 == 0 else source * float(np.exp(rng.uniform(-2, 0.7))))
    kept = [1 if i in axes else d for i, d in enumerate(shape)]
    tensors = [data16("x", shape, source), indices("axes", list(axes)), data16("y", kept, scale)]
    return model_of(tensors, OpSpec("MEAN", ("x", "axes"), ("y",), {"keepDims": True}))


def random_mean(seed: int) -> bytes:
    """MEAN over any axes."""
    rng = np.random.default_rng([seed, 57])
    shape = tuple(int(n) for n in rng.integers(1, 9, 4))
    axes = sorted(int(a) for a in rng.choice(4, int(rng.integers(1, 5)), replace=False))
    return mean16(seed, (1, *shape[1:]), axes)


def _random_pool(opcode: str) -> Callable[[int], bytes]:
    def build(seed: int) -> bytes:
        rng = np.random.default_rng([seed, 58])
        kernel, stride = rng.integers(1, 4, 2), int(rng.integers(1, 3))
        padding = "SAME" if seed % 2 else "VALID"
        size = [int(rng.integers(0, 6)) + int(k) for k in kernel]
        out = [-(-n // stride) if seed % 2 else (n - int(k)) // stride + 1 for n, k in zip(size, kernel, strict=True)]
        channels, scale = int(rng.integers(1, 9)), drawn_scale(rng, 1e-5, 1e-2)
        options = {
            "strideH": stride, "strideW": stride, "filterHeight": int(kernel[0]), "filterWidth": int(kernel[1]),
            "padding": padding, "fusedActivationFunction": str(rng.choice(ACTIVATIONS)),
        }  # fmt: skip
        tensors = [data16("x", (1, *size, channels), scale), data16("y", (1, *out, channels), scale)]
        return model_of(tensors, OpSpec(opcode, ("x",), ("y",), options))

    return build


def _move(opcode: str, shape: Shape, out: Shape, constants: Mapping[str, object], **options: object) -> bytes:
    tensors = [data16("x", shape, 1e-3), *(indices(n, v) for n, v in constants.items()), data16("y", out, 1e-3)]
    return model_of(tensors, OpSpec(opcode, ("x", *constants), ("y",), options))


def random_concatenation(seed: int) -> bytes:
    """CONCATENATION of two inputs and, sometimes, a constant."""
    rng = np.random.default_rng([seed, 59])
    axis = int(rng.integers(0, 3))
    shapes = [[1, 3, 4] for _ in range(2 + seed % 2)]
    for shape in shapes:
        shape[axis] = int(rng.integers(1, 6))
    out = list(shapes[0])
    out[axis] = sum(shape[axis] for shape in shapes)
    names = tuple(f"x{i}" for i in range(len(shapes)))
    constant = rng.integers(-(1 << 15), 1 << 15, shapes[-1]).astype(np.int16) if len(shapes) == 3 else None
    tensors = [data16(n, s, 1e-3, constant if i == 2 else None) for i, (n, s) in enumerate(zip(names, shapes, strict=True))]
    op = OpSpec("CONCATENATION", names, ("y",), {"axis": axis})
    return model_of([*tensors, data16("y", out, 1e-3)], op, names[:2])


def random_slice(seed: int) -> bytes:
    """SLICE of rank 3."""
    rng = np.random.default_rng([seed, 60])
    shape = tuple(int(n) for n in rng.integers(1, 8, 3))
    begin = [int(rng.integers(0, n)) for n in shape]
    size = [int(rng.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True)]
    return _move("SLICE", shape, tuple(size), {"begin": begin, "size": size})


def random_strided_slice(seed: int) -> bytes:
    """STRIDED_SLICE of rank 3, with negative strides."""
    rng = np.random.default_rng([seed, 61])
    shape = tuple(int(n) for n in rng.integers(2, 9, 3))
    strides = [int(s) for s in rng.choice([-2, -1, 1, 2], 3)]
    begin = [n - 1 if s < 0 else 0 for n, s in zip(shape, strides, strict=True)]
    end = [-n - 1 if s < 0 else n for n, s in zip(shape, strides, strict=True)]
    out = tuple(len(range(n)[::s]) for n, s in zip(shape, strides, strict=True))
    return _move("STRIDED_SLICE", shape, out, {"begin": begin, "end": end, "strides": strides})


def random_gather(seed: int) -> bytes:
    """GATHER along one axis."""
    rng = np.random.default_rng([seed, 62])
    shape, axis = tuple(int(n) for n in rng.integers(1, 8, 3)), seed % 3
    taken = [int(i) for i in rng.integers(0, shape[axis], 5)]
    return _move("GATHER", shape, (*shape[:axis], 5, *shape[axis + 1 :]), {"taken": taken}, axis=axis)


def random_transpose(seed: int) -> bytes:
    """TRANSPOSE of rank 3."""
    rng = np.random.default_rng([seed, 63])
    shape, order = tuple(int(n) for n in rng.integers(2, 7, 3)), [int(a) for a in rng.permutation(3)]
    return _move("TRANSPOSE", shape, tuple(shape[a] for a in order), {"order": order})


def random_pad(seed: int) -> bytes:
    """PAD of rank 3."""
    rng = np.random.default_rng([seed, 64])
    shape, pads = tuple(int(n) for n in rng.integers(1, 6, 3)), rng.integers(0, 4, (3, 2))
    return _move("PAD", shape, tuple(int(a + n + b) for n, (a, b) in zip(shape, pads, strict=True)), {"pads": pads})


def reshape16(seed: int) -> bytes:
    """RESHAPE of some elements."""
    return _move("RESHAPE", (1, 2, 3, 4 + seed), (6, 4 + seed), {"shape": [6, 4 + seed]})


CASES_16: Mapping[str, Callable[[int], bytes]] = {
    **{name: _random_weighted(name) for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")},
    **{name: _random_binary(name) for name in ("ADD", "SUB", "MUL")},
    **{name: _random_sloped(name) for name in ("RELU", "RELU6", "LEAKY_RELU")},
    **{name: _random_curve(name) for name in ("LOGISTIC", "TANH")},
    "SOFTMAX": random_softmax,
    "QUANTIZE": quantize16,
    "MEAN": random_mean,
    "AVERAGE_POOL_2D": _random_pool("AVERAGE_POOL_2D"),
    "MAX_POOL_2D": _random_pool("MAX_POOL_2D"),
    "CONCATENATION": random_concatenation,
    "SLICE": random_slice,
    "STRIDED_SLICE": random_strided_slice,
    "GATHER": random_gather,
    "TRANSPOSE": random_transpose,
    "PAD": random_pad,
    "RESHAPE": reshape16,
}
"""For each operator: a model on int16 activations from a seed."""


def small_network(seed: int = 0) -> bytes:
    """A map through CONV_2D, DEPTHWISE_CONV_2D, a residual ADD, MEAN, FULLY_CONNECTED and SOFTMAX, all on int16."""
    rng = np.random.default_rng(seed)

    def layer(name: str, shape: Shape, depth: int, axis: int) -> list[TensorSpec]:
        count = shape[axis]
        scales = tuple(float(np.float32(s)) for s in rng.uniform(0.002, 0.01, count))
        weights = TensorSpec(
            f"{name}_w", shape, "int8", scales, (0,) * count, axis, rng.integers(-127, 128, shape).astype(np.int8)
        )
        bias = rng.integers(-(1 << 20), 1 << 20, count).astype(np.int64)
        return [weights, TensorSpec(f"{name}_b", (count,), "int64", data=bias)]

    tensors = [
        data16("x", (1, 12, 12, 3), 3e-5),
        *layer("conv", (8, 3, 3, 3), 27, 0),
        data16("maps", (1, 6, 6, 8), 1e-4),
        *layer("depthwise", (1, 3, 3, 8), 9, 3),
        data16("filtered", (1, 6, 6, 8), 1.5e-4),
        data16("summed", (1, 6, 6, 8), 2e-4),
        *layer("pointwise", (12, 1, 1, 8), 8, 0),
        data16("wide", (1, 6, 6, 12), 2e-4),
        indices("axes", [1, 2]),
        data16("mean", (1, 12), 1e-4),
        *layer("fc", (10, 12), 12, 0),
        data16("scores", (1, 10), 2e-4),
        data16("y", (1, 10), UNIT),
    ]
    window = {"strideH": 2, "strideW": 2, "padding": "SAME", "fusedActivationFunction": "RELU"}
    ops = (
        OpSpec("CONV_2D", ("x", "conv_w", "conv_b"), ("maps",), window),
        OpSpec(
            "DEPTHWISE_CONV_2D", ("maps", "depthwise_w", "depthwise_b"), ("filtered",),
            {**window, "strideH": 1, "strideW": 1, "depthMultiplier": 1},
        ),
        OpSpec("ADD", ("maps", "filtered"), ("summed",), {"potScaleInt16": False}),
        OpSpec("CONV_2D", ("summed", "pointwise_w", "pointwise_b"), ("wide",), {**window, "strideH": 1, "strideW": 1}),
        OpSpec("MEAN", ("wide", "axes"), ("mean",), {"keepDims": False}),
        OpSpec("FULLY_CONNECTED", ("mean", "fc_w", "fc_b"), ("scores",)),
        OpSpec("SOFTMAX", ("scores",), ("y",), {"beta": 1.0}),
    )  # fmt: skip
    return write_tflite(ModelSpec(tuple(tensors), ops, ("x",), ("y",)))
