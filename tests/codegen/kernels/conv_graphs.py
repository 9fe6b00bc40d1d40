"""One-operator graphs of convolutions, straight in the IR: any window, any padding, fused tables and Max-out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from flynet_tiny.codegen.ir import (
    Attrs,
    ClampAttrs,
    ConvAttrs,
    DType,
    FusedAttrs,
    FusedPattern,
    Graph,
    NoAttrs,
    Op,
    OpKind,
    Quantization,
    ReduceAttrs,
    Tensor,
    Window,
)

Rng = np.random.Generator


@dataclass(frozen=True)
class Numbers:
    """How a layer's numbers are drawn.

    output_steps  so many steps of the output are one standard deviation of the accumulator; a large
              value saturates everything and gives multipliers above 1
    weights   "random", "extreme" (all -127 or 127), "lowest" (-128 is frequent), "rarely lowest" (one in 64 is -128) or "zero"
    spread    per-channel weight scales lie within this factor
    large_biases  every third channel has a tiny weight scale and a bias of up to 2^30 near the border of two outputs
    """

    output_steps: float = 40.0
    weights: str = "random"
    spread: float = 8.0
    per_channel: bool = True
    has_bias: bool = True
    input_zero_point: int | None = None
    output_zero_point: int | None = None
    activation: tuple[int, int] = (-128, 127)
    power_of_two: bool = False
    tied_heads: bool = True
    large_biases: bool = False


def conv_2d(
    seed: int, hwc: tuple[int, int, int], c_out: int, window: Window, numbers: Numbers | None = None, groups: int = 1
) -> Graph:
    """[1, h, w, c_in] -> [1, h', w', c_out]"""
    numbers = numbers or Numbers()
    h, w, c_in = hwc
    out_h, out_w = window.output_hw(h, w)
    attrs = ConvAttrs(window, *numbers.activation)
    shape = (c_out, window.kernel_h, window.kernel_w, c_in // groups)
    return _layer(seed, OpKind.CONV_2D, (1, h, w, c_in), (1, out_h, out_w, c_out), shape, 0, attrs, numbers, heads=1)


def depthwise(seed: int, hwc: tuple[int, int, int], heads: int, window: Window, numbers: Numbers | None = None) -> Graph:
    """[1, h, w, c] -> [1, h', w', c * heads]"""
    numbers = numbers or Numbers()
    h, w, c = hwc
    out_h, out_w = window.output_hw(h, w)
    attrs = ConvAttrs(window, *numbers.activation, depth_multiplier=heads)
    shape = (1, window.kernel_h, window.kernel_w, c * heads)
    out_shape = (1, out_h, out_w, c * heads)
    return _layer(seed, OpKind.DEPTHWISE_CONV_2D, (1, h, w, c), out_shape, shape, 3, attrs, numbers, heads)


def fully_connected(seed: int, batch: int, c_in: int, c_out: int, numbers: Numbers | None = None) -> Graph:
    """[batch, c_in] -> [batch, c_out]"""
    numbers = numbers or Numbers()
    attrs = ClampAttrs(*numbers.activation)
    return _layer(seed, OpKind.FULLY_CONNECTED, (batch, c_in), (batch, c_out), (c_out, c_in), 0, attrs, numbers, heads=1)


def _layer(
    seed: int,
    kind: OpKind,
    in_shape: tuple[int, ...],
    out_shape: tuple[int, ...],
    weights_shape: tuple[int, ...],
    axis: int,
    attrs: Attrs,
    numbers: Numbers,
    heads: int,
) -> Graph:
    rng = np.random.default_rng(seed)
    c_out = weights_shape[axis]
    depth = int(np.prod(weights_shape)) // c_out
    weights = _weights(rng, weights_shape, numbers.weights)
    scales = _weight_scales(rng, c_out, heads, numbers)
    input_scale = 0.0235
    typical = input_scale * float(np.median(scales)) * np.sqrt(depth) * 74 * 74
    output_scale = typical / numbers.output_steps
    if numbers.power_of_two:
        output_scale, input_scale = 2.0 ** round(np.log2(output_scale)), 2.0**-5
    input_zp = int(rng.integers(-128, 128)) if numbers.input_zero_point is None else numbers.input_zero_point
    output_zp = int(rng.integers(-100, 100)) if numbers.output_zero_point is None else numbers.output_zero_point
    large = np.arange(1, c_out if numbers.large_biases and len(scales) == c_out else 0, 3)
    factors = np.exp2(rng.uniform(-27, -22, large.size))
    scales = _replaced(scales, large, factors * output_scale / input_scale)
    tensors = [
        Tensor("x", in_shape, DType.INT8, _per_tensor(input_scale, input_zp)),
        Tensor(
            "w", weights_shape, DType.INT8, Quantization(scales, (0,) * len(scales), axis if len(scales) > 1 else None), weights
        ),
        Tensor("y", out_shape, DType.INT8, _per_tensor(output_scale, output_zp)),
    ]
    inputs = ("x", "w")
    if numbers.has_bias:
        largest = int(74 * 74 * np.sqrt(depth))
        bias = rng.integers(-largest, largest + 1, c_out).astype(np.int32)
        borders = (rng.integers(-7, 7, large.size) + 0.5) / factors
        bias[large] = (bias[large] // 4 + borders).clip(-(1 << 30), 1 << 30).astype(np.int32)
        bias_quant = Quantization((1.0,) * len(scales), (0,) * len(scales), 0 if len(scales) > 1 else None)
        tensors.append(Tensor("b", (c_out,), DType.INT32, bias_quant, bias))
        inputs = ("x", "w", "b")
    op = Op(kind, inputs, ("y",), attrs, 0)
    return Graph("layer", {t.name: t for t in tensors}, (op,), ("x",), ("y",))


def with_weights(graph: Graph, weights: np.ndarray) -> Graph:
    """The layer with other weights of the same shape."""
    return replace(graph, tensors={**graph.tensors, "w": replace(graph.tensor("w"), data=weights)})


def _replaced(scales: tuple[float, ...], places: np.ndarray, values: np.ndarray) -> tuple[float, ...]:
    changed = np.float32(scales)
    changed[places] = values
    return tuple(float(s) for s in changed)


def _per_tensor(scale: float, zero_point: int) -> Quantization:
    return Quantization((float(np.float32(scale)),), (zero_point,))


def _weights(rng: Rng, shape: tuple[int, ...], kind: str) -> np.ndarray:
    if kind == "extreme":
        return np.full(shape, rng.choice([-127, 127]), np.int8)
    if kind == "lowest":
        return rng.choice(np.array([-128, -128, -127, -1, 0, 127], np.int8), shape)
    if kind == "rarely lowest":
        return np.where(rng.random(shape) < 1 / 64, -128, rng.integers(-127, 128, shape)).astype(np.int8)
    if kind == "zero":
        return np.zeros(shape, np.int8)
    return rng.integers(-127, 128, shape).astype(np.int8)


def _weight_scales(rng: Rng, c_out: int, heads: int, numbers: Numbers) -> tuple[float, ...]:
    if not numbers.per_channel:
        return (0.0078125,) if numbers.power_of_two else (0.011,)
    half = np.log(numbers.spread) / 2
    scales = 0.01 * np.exp(rng.uniform(-half, half, c_out))
    if numbers.tied_heads:
        scales = np.repeat(scales[::heads], heads)
    if numbers.power_of_two:
        scales = np.exp2(np.round(np.log2(scales)))
    return tuple(float(s) for s in np.float32(scales))


def with_max(graph: Graph) -> Graph:
    """A depthwise convolution followed by Max-out over its heads, as the passes fuse it."""
    op = graph.ops[0]
    assert isinstance(op.attrs, ConvAttrs)
    heads = op.attrs.depth_multiplier
    maps = graph.tensor("y")
    _, h, w, channels = maps.shape
    split = replace(maps, name="y_split", shape=(1, h * w, channels // heads, heads))
    best = replace(maps, name="y_best", shape=(1, h * w, channels // heads))
    result = replace(maps, name="y_max", shape=(1, h, w, channels // heads))
    body = (
        op,
        Op(OpKind.RESHAPE, ("y",), ("y_split",), NoAttrs(), 1),
        Op(OpKind.REDUCE_MAX, ("y_split",), ("y_best",), ReduceAttrs((3,), False), 2),
        Op(OpKind.RESHAPE, ("y_best",), ("y_max",), NoAttrs(), 3),
    )
    return _fused(graph, FusedPattern.MDW_MAX, body, (split, best, result))


def with_table(graph: Graph, kind: OpKind = OpKind.HARD_SWISH) -> Graph:
    """A convolution followed by an activation of one value, as the passes fuse it."""
    source = graph.tensor("y")
    unit = Quantization((1 / 256,), (-128,))  # the only output that LOGISTIC has
    quantization = unit if kind is OpKind.LOGISTIC else _per_tensor(source.scale * 0.7, 3)
    result = replace(source, name="y_table", quantization=quantization)
    body = (graph.ops[0], Op(kind, ("y",), ("y_table",), NoAttrs(), 1))
    return _fused(graph, FusedPattern.PRODUCER_TABLE, body, (result,))


def with_gate(graph: Graph, seed: int) -> Graph:
    """A depthwise convolution behind a MUL by one coefficient for each channel, as the passes fuse them."""
    rng = np.random.default_rng(seed + 5)
    (conv,) = graph.ops
    gated = replace(graph.tensor("x"), name="gated")
    maps = replace(gated, name="x", quantization=_per_tensor(0.01 * rng.uniform(0.5, 3), int(rng.integers(-128, 128))))
    unit = Quantization((1 / 256,), (-128,))
    quantization = unit if rng.random() < 0.6 else _per_tensor(0.01, int(rng.integers(-128, 128)))
    coefficients = replace(gated, name="s", shape=(1, 1, 1, maps.shape[3]), quantization=quantization)
    scale = maps.scale * coefficients.scale * rng.choice([20.0, 120.0, 250.0, 1.0])
    gated = replace(gated, quantization=_per_tensor(scale, gated.zero_point))
    clamp = ClampAttrs(*((-128, 127), (-70, 100), (-128, 90))[int(rng.integers(0, 3))])
    body = (Op(OpKind.MUL, ("x", "s"), ("gated",), clamp, 0), replace(conv, inputs=("gated", *conv.inputs[1:])))
    op = Op(OpKind.FUSED, ("x", "s", *conv.inputs[1:]), ("y",), FusedAttrs(FusedPattern.MUL_DEPTHWISE, body), 0)
    tensors = {**graph.tensors, **{t.name: t for t in (maps, coefficients, gated)}}
    return Graph(graph.name, tensors, (op,), ("x", "s"), ("y",))


def with_second(graph: Graph, other: Graph) -> Graph:
    """Two depthwise convolutions over the input of the first, as the passes fuse them."""
    (first,), (second,) = graph.ops, other.ops
    renamed = {name: name if name == "x" else f"{name}2" for name in other.tensors}
    tensors = {renamed[n]: replace(t, name=renamed[n]) for n, t in other.tensors.items() if n != "x"}
    second = replace(second, inputs=tuple(renamed[n] for n in second.inputs), outputs=("y2",))
    inputs = (*first.inputs, *second.inputs[1:])
    op = Op(OpKind.FUSED, inputs, ("y", "y2"), FusedAttrs(FusedPattern.DEPTHWISE_PAIR, (first, second)), 0)
    return Graph(graph.name, {**graph.tensors, **tensors}, (op,), ("x",), ("y", "y2"))


def _fused(graph: Graph, pattern: FusedPattern, body: tuple[Op, ...], added: tuple[Tensor, ...]) -> Graph:
    op = Op(OpKind.FUSED, ("x",), (body[-1].output,), FusedAttrs(pattern, body), 0)
    tensors = {**graph.tensors, **{t.name: t for t in added}}
    return Graph(graph.name, tensors, (op,), ("x",), (body[-1].output,))


def random_input(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """Random bytes for the graph's inputs, a quarter of them extreme."""
    rng = np.random.default_rng(seed + 77)
    inputs = {}
    for name in graph.inputs:
        shape = graph.tensor(name).shape
        values = rng.integers(-128, 128, shape)
        extreme = rng.choice([-128, 127], shape)
        inputs[name] = np.where(rng.random(shape) < 0.25, extreme, values).astype(np.int8)
    return inputs
