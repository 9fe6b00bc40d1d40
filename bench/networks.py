"""Whole networks for the benchmark, as graphs with seeded weights.

MobileNetV1 0.25 at 96x96x3 with 2 classes has the shapes of MLPerf Tiny's visual wake words (7.49 M MACs), but random weights:
the public file needs more instructions, since one weight of -128 changes how a layer is stored.
"""

from __future__ import annotations

import numpy as np

from ..codegen.ir import (
    Attrs,
    ConvAttrs,
    DType,
    Graph,
    NoAttrs,
    Op,
    OpKind,
    PoolAttrs,
    Quantization,
    SoftmaxAttrs,
    Tensor,
    Window,
)
from ..codegen.verify_graph import verify_graph

# Output channels and stride of the thirteen depthwise-separable blocks at width 1.0 (Howard et al. 2017, table 1).
MOBILENET_V1 = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)),
    *((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
    *((1024, 2), (1024, 1)),
)


class _Builder:
    """Appends operators to a chain; activations are RELU's, so their zero point is -128."""

    def __init__(self, name: str, shape: tuple[int, ...], seed: int):
        self._name = name
        self._rng = np.random.default_rng(seed)
        self._ops: list[Op] = []
        self._tensors = [Tensor("input", shape, DType.INT8, Quantization((float(np.float32(2 / 255)),), (-1,)))]

    @property
    def last(self) -> Tensor:
        return next(t for t in reversed(self._tensors) if not t.is_constant)

    def append(self, kind: OpKind, shape: tuple[int, ...], quantization: Quantization, attrs: Attrs, *constants: Tensor) -> None:
        source = self.last
        output = Tensor(f"t{len(self._ops)}", shape, DType.INT8, quantization)
        self._tensors += [*constants, output]
        names = (source.name, *(c.name for c in constants))
        self._ops.append(Op(kind, names, (output.name,), attrs, len(self._ops)))

    def conv(self, c_out: int, kernel: int, stride: int, is_depthwise: bool = False, is_linear: bool = False) -> None:
        """A convolution with TFLite's SAME padding and a RELU (or linear), scaled so that the outputs spread over int8."""
        source = self.last
        _, h, w, c = source.shape
        pads = [max(0, (-(-size // stride) - 1) * stride + kernel - size) for size in (h, w)]
        window = Window(kernel, kernel, stride, stride, 1, 1, pads[0] // 2, -(-pads[0] // 2), pads[1] // 2, -(-pads[1] // 2))
        shape = (1, kernel, kernel, c) if is_depthwise else (c_out, kernel, kernel, c)
        axis, fan_in = (3, kernel * kernel) if is_depthwise else (0, kernel * kernel * c)
        tag = f"w{len(self._ops)}"
        channels = shape[axis]
        scales = self._rng.uniform(0.5, 1.0, channels).astype(np.float32) * np.float32(0.03 / np.sqrt(fan_in))
        weights = Tensor(
            tag, shape, DType.INT8, Quantization(tuple(float(s) for s in scales), (0,) * channels, axis),
            self._rng.integers(-127, 128, shape).astype(np.int8),
        )  # fmt: skip
        bias = Tensor(f"{tag}_bias", (channels,), DType.INT32, None, self._rng.integers(-500, 500, channels).astype(np.int32))
        zero_point = 3 if is_linear else -128
        attrs = ConvAttrs(window, -128, 127, 1 if is_depthwise else 0)
        output = Quantization((source.scale,), (zero_point,))
        kind = OpKind.DEPTHWISE_CONV_2D if is_depthwise else OpKind.CONV_2D
        self.append(kind, (1, *window.output_hw(h, w), channels), output, attrs, weights, bias)

    def graph(self) -> Graph:
        tensors = {t.name: t for t in self._tensors}
        return verify_graph(Graph(self._name, tensors, tuple(self._ops), ("input",), (self.last.name,)))


def mobilenet_v1(width: float = 0.25, resolution: int = 96, classes: int = 2, seed: int = 0) -> Graph:
    """MobileNetV1 with seeded weights: [1, resolution, resolution, 3] -> softmax over `classes`."""
    b = _Builder("mobilenet_v1", (1, resolution, resolution, 3), seed)
    b.conv(int(32 * width), 3, 2)
    for channels, stride in MOBILENET_V1:
        b.conv(0, 3, stride, is_depthwise=True)
        b.conv(int(channels * width), 1, 1)
    _, h, w, c = b.last.shape
    pooled = b.last.quantization
    assert pooled is not None
    b.append(OpKind.AVERAGE_POOL_2D, (1, 1, 1, c), pooled, PoolAttrs(Window(h, w, 1, 1)))
    b.conv(classes, 1, 1, is_linear=True)
    logits = b.last.quantization
    assert logits is not None
    b.append(OpKind.RESHAPE, (1, classes), logits, NoAttrs())
    b.append(OpKind.SOFTMAX, (1, classes), Quantization((1 / 256,), (-128,)), SoftmaxAttrs(1.0))
    return b.graph()
