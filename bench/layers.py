"""The layers that the peers were measured on, as graphs of one operator.

int8, zero points not zero, per-channel weight scales, bias, clamped to int8: the conditions of the peers' figures in peers.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from ..codegen.ir import (
    ClampAttrs,
    ConvAttrs,
    DType,
    Graph,
    NoAttrs,
    Op,
    OpKind,
    Quantization,
    ReduceAttrs,
    Tensor,
    Window,
)

INPUT = Quantization((float(np.float32(0.047)),), (-5,))
OUTPUT = Quantization((float(np.float32(0.061)),), (9,))


def _activation(name: str, shape: tuple[int, ...], quantization: Quantization) -> Tensor:
    return Tensor(name, shape, DType.INT8, quantization)


def _constants(name: str, shape: tuple[int, ...], axis: int, tied: int = 1) -> tuple[Tensor, Tensor]:
    """Seeded weights with one scale for each `tied` output channels, and biases, of a size that uses the int8 range."""
    rng = np.random.default_rng(len(name) + sum(shape))
    channels = shape[axis]
    depth = int(np.prod(shape)) // channels
    fan_in = 0.02 / np.sqrt(depth)
    scales = np.repeat(rng.uniform(0.5 * fan_in, fan_in, channels // tied), tied).astype(np.float32)
    weights = rng.integers(-127, 128, shape).astype(np.int8)
    bias = rng.integers(-2000, 2000, channels).astype(np.int32)
    quantization = Quantization(tuple(float(s) for s in scales), (0,) * channels, axis)
    return (
        Tensor(f"{name}_weights", shape, DType.INT8, quantization, weights),
        Tensor(f"{name}_bias", (channels,), DType.INT32, None, bias),
    )


def _graph(name: str, ops: tuple[Op, ...], tensors: tuple[Tensor, ...], inputs: tuple[str, ...] = ("input",)) -> Graph:
    return Graph(name, {t.name: t for t in tensors}, ops, inputs, ("output",))


def _conv(name: str, hwc: tuple[int, int, int], c_out: int, kernel: int = 1, stride: int = 1, pad: int = 0) -> Graph:
    weights, bias = _constants(name, (c_out, kernel, kernel, hwc[2]), 0)
    window = Window(kernel, kernel, stride, stride, 1, 1, pad, pad, pad, pad)
    op = Op(OpKind.CONV_2D, ("input", weights.name, bias.name), ("output",), ConvAttrs(window), 0)
    out = _activation("output", (1, *window.output_hw(*hwc[:2]), c_out), OUTPUT)
    return _graph(name, (op,), (_activation("input", (1, *hwc), INPUT), weights, bias, out))


def _depthwise(name: str, hwc: tuple[int, int, int], kernel: int, stride: int = 1, heads: int = 1) -> Graph:
    """Depthwise, padded by half the kernel; with several heads followed by the maximum over them, scales head-tied."""
    h, w, c = hwc
    pad = kernel // 2
    weights, bias = _constants(name, (1, kernel, kernel, c * heads), 3, tied=heads)
    window = Window(kernel, kernel, stride, stride, 1, 1, pad, pad, pad, pad)
    out_h, out_w = window.output_hw(h, w)
    attrs = ConvAttrs(window, depth_multiplier=heads)
    source = _activation("input", (1, h, w, c), INPUT)
    maps_name = "output" if heads == 1 else "heads"
    maps = _activation(maps_name, (1, out_h, out_w, c * heads), OUTPUT)
    conv = Op(OpKind.DEPTHWISE_CONV_2D, ("input", weights.name, bias.name), (maps_name,), attrs, 0)
    if heads == 1:
        return _graph(name, (conv,), (source, weights, bias, maps))
    split = _activation("split", (1, out_h * out_w, c, heads), OUTPUT)
    flat = _activation("flat", (1, out_h * out_w, c), OUTPUT)
    out = _activation("output", (1, out_h, out_w, c), OUTPUT)
    steps = (
        conv,
        Op(OpKind.RESHAPE, ("heads",), ("split",), NoAttrs(), 1),
        Op(OpKind.REDUCE_MAX, ("split",), ("flat",), ReduceAttrs((3,), keep_dims=False), 2),
        Op(OpKind.RESHAPE, ("flat",), ("output",), NoAttrs(), 3),
    )
    return _graph(name, steps, (source, weights, bias, maps, split, flat, out))


def _fully_connected(name: str, c_in: int, c_out: int) -> Graph:
    weights, bias = _constants(name, (c_out, c_in), 0)
    op = Op(OpKind.FULLY_CONNECTED, ("input", weights.name, bias.name), ("output",), ClampAttrs(), 0)
    return _graph(name, (op,), (_activation("input", (1, c_in), INPUT), weights, bias, _activation("output", (1, c_out), OUTPUT)))


def _add(name: str, hwc: tuple[int, int, int]) -> Graph:
    op = Op(OpKind.ADD, ("input", "other"), ("output",), ClampAttrs(), 0)
    other = _activation("other", (1, *hwc), Quantization((float(np.float32(0.031)),), (17,)))
    tensors = (_activation("input", (1, *hwc), INPUT), other, _activation("output", (1, *hwc), OUTPUT))
    return _graph(name, (op,), tensors, ("input", "other"))


LAYERS: Mapping[str, Callable[[], Graph]] = {
    "PW1": partial(_conv, "pw1", (56, 56, 8), 32),
    "PW2": partial(_conv, "pw2", (28, 28, 40), 16),
    "PW3": partial(_conv, "pw3", (14, 14, 96), 40),
    "PW4": partial(_conv, "pw4", (7, 7, 232), 40),
    "STEM": partial(_conv, "stem", (224, 224, 3), 8, 3, 2, 1),
    "DW3": partial(_depthwise, "dw3", (28, 28, 40), 3),
    "DW5": partial(_depthwise, "dw5", (14, 14, 96), 5),
    "DW3s2": partial(_depthwise, "dw3s2", (56, 56, 32), 3, 2),
    "MDW3": partial(_depthwise, "mdw3", (28, 28, 40), 3, 1, 3),
    "MDW5": partial(_depthwise, "mdw5", (14, 14, 96), 5, 1, 3),
    "FC1": partial(_fully_connected, "fc1", 232, 408),
    "FC2": partial(_fully_connected, "fc2", 408, 1000),
    "ADD": partial(_add, "add", (14, 14, 40)),
}
"""Each layer's graph by the name that peers.json uses."""
