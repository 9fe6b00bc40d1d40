"""Small multi-operator `.tflite` files for the tests of the passes."""

from __future__ import annotations

import numpy as np

from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite


class Sketch:
    """Collects tensors and operators; every activation has its own scale unless one is given."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors: dict[str, TensorSpec] = {}
        self.ops: list[OpSpec] = []

    def act(self, name: str, shape: tuple[int, ...], scale: float = 0.0, zero_point: int | None = None) -> str:
        scale = float(np.float32(scale or self.rng.uniform(0.02, 0.06)))
        zero = int(self.rng.integers(-20, 20)) if zero_point is None else zero_point
        self.tensors[name] = TensorSpec(name, shape, "int8", (scale,), (zero,))
        return name

    def like(self, name: str, source: str, shape: tuple[int, ...]) -> str:
        """An activation with the scale and zero point of another one."""
        spec = self.tensors[source]
        return self.act(name, shape, spec.scales[0], spec.zero_points[0])

    def const(self, name: str, values: object) -> str:
        data = np.asarray(values, np.int32)
        self.tensors[name] = TensorSpec(name, data.shape, "int32", data=data)
        return name

    def op(self, opcode: str, inputs: tuple[str, ...], output: str, **options: object) -> str:
        self.ops.append(OpSpec(opcode, inputs, (output,), options))
        return output

    def conv(self, source: str, output: str, c_out: int, kernel: int = 1, padding: str = "VALID", stride: int = 1) -> str:
        c_in = self.tensors[source].shape[3]
        return self._weighted("CONV_2D", source, output, (c_out, kernel, kernel, c_in), 0, padding, stride, {})

    def depthwise(self, source: str, output: str, heads: int = 1, kernel: int = 3, padding: str = "SAME", stride: int = 1) -> str:
        c_out = self.tensors[source].shape[3] * heads
        shape = (1, kernel, kernel, c_out)
        return self._weighted("DEPTHWISE_CONV_2D", source, output, shape, 3, padding, stride, {"depthMultiplier": heads}, heads)

    def fully_connected(self, source: str, output: str, c_out: int) -> str:
        """Per-tensor weights and a bias over a source of one row."""
        c_in = self.tensors[source].shape[-1]
        data = self.rng.integers(-127, 128, (c_out, c_in)).astype(np.int8)
        self.tensors[f"{output}_w"] = TensorSpec(f"{output}_w", data.shape, "int8", (0.01,), (0,), None, data)
        bias = self.rng.integers(-2000, 2000, c_out).astype(np.int32)
        self.tensors[f"{output}_b"] = TensorSpec(f"{output}_b", (c_out,), "int32", data=bias)
        return self.op("FULLY_CONNECTED", (source, f"{output}_w", f"{output}_b"), output, fusedActivationFunction="NONE")

    def _weighted(
        self, opcode: str, source: str, output: str, shape: tuple[int, ...], axis: int, padding: str, stride: int,
        options: dict[str, object], tied: int = 1,
    ) -> str:  # fmt: skip
        channels = shape[axis]
        scales = np.repeat(self.rng.uniform(0.002, 0.02, channels // tied), tied).astype(np.float32)
        data = self.rng.integers(-127, 128, shape).astype(np.int8)
        zero_points = (0,) * channels
        self.tensors[f"{output}_w"] = TensorSpec(
            f"{output}_w", shape, "int8", tuple(map(float, scales)), zero_points, axis if channels > 1 else None, data
        )
        bias = self.rng.integers(-2000, 2000, channels).astype(np.int32)
        self.tensors[f"{output}_b"] = TensorSpec(f"{output}_b", (channels,), "int32", data=bias)
        return self.op(
            opcode, (source, f"{output}_w", f"{output}_b"), output, strideH=stride, strideW=stride, padding=padding,
            dilationHFactor=1, dilationWFactor=1, fusedActivationFunction="NONE", **options,
        )  # fmt: skip

    def file(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> bytes:
        return write_tflite(ModelSpec(tuple(self.tensors.values()), tuple(self.ops), inputs, outputs))


def attention_block(height: int = 6, width: int = 5, channels: int = 8, heads: int = 3, seed: int = 0) -> bytes:
    """A FlyNet block in small: PAD + expand + HARD_SWISH, sigmoid attention, MDW, softmax attention, Max-out, residual ADD."""
    s = Sketch(seed)
    maps = (1, height, width, channels)
    s.act("x", maps)
    s.like("padded", "x", (1, height + 2, width + 2, channels))
    s.op("PAD", ("x", s.const("pads", [[0, 0], [1, 1], [1, 1], [0, 0]])), "padded")
    s.act("expanded", maps)
    s.conv("padded", "expanded", channels, 3)
    s.act("active", maps)
    s.op("HARD_SWISH", ("expanded",), "active")
    s.act("gate", (1, 1, 1, channels), 1 / 256, -128)
    s.op("LOGISTIC", (_scores(s, "active", channels, "e"),), "gate")
    s.act("attended", maps)
    s.op("MUL", ("active", "gate"), "attended", fusedActivationFunction="NONE")
    head_maps = (1, height, width, channels * heads)
    s.act("heads", head_maps)
    s.depthwise("attended", "heads", heads)
    scores = _scores(s, "heads", channels * heads, "h")
    s.op("RESHAPE", (scores, s.const("shape_s", [1, 1, channels, heads])), s.like("split", scores, (1, 1, channels, heads)))
    s.act("soft", (1, 1, channels, heads), 1 / 256, -128)
    s.op("SOFTMAX", ("split",), "soft", beta=1.0)
    s.op(
        "RESHAPE", ("soft", s.const("shape_v", [1, 1, 1, channels * heads])), s.like("gates", "soft", (1, 1, 1, channels * heads))
    )
    s.act("selected", head_maps)
    s.op("MUL", ("heads", "gates"), "selected", fusedActivationFunction="NONE")
    _max_out(s, "selected", maps, heads, "maxed")
    s.act("y", maps)
    s.op("ADD", ("maxed", "x"), "y", fusedActivationFunction="NONE")
    return s.file(("x",), ("y",))


def mdw_max_out(height: int = 5, width: int = 4, channels: int = 6, heads: int = 3, seed: int = 0) -> bytes:
    """Multihead-depthwise convolution and Max-out with nothing between them."""
    s = Sketch(seed)
    s.act("x", (1, height, width, channels))
    s.act("heads", (1, height, width, channels * heads))
    s.depthwise("x", "heads", heads)
    _max_out(s, "heads", (1, height, width, channels), heads, "y")
    return s.file(("x",), ("y",))


def _scores(s: Sketch, source: str, channels: int, tag: str) -> str:
    """Mean and variance over the map, two 1-channel convolutions over the channels, their sum: [1, 1, 1, channels]."""
    vector, line = (1, 1, 1, channels), (1, 1, channels, 1)
    s.act(f"{tag}_mean", vector)
    s.op("MEAN", (source, s.const(f"{tag}_axes", [1, 2])), f"{tag}_mean", keepDims=True)
    s.act(f"{tag}_square", s.tensors[source].shape, 0.05)
    s.op("SQUARED_DIFFERENCE", (source, f"{tag}_mean"), f"{tag}_square")
    s.act(f"{tag}_variance", vector)
    s.op("MEAN", (f"{tag}_square", f"{tag}_axes"), f"{tag}_variance", keepDims=True)
    s.const(f"{tag}_line", list(line))
    for part in ("mean", "variance"):
        s.op("RESHAPE", (f"{tag}_{part}", f"{tag}_line"), s.like(f"{tag}_{part}_line", f"{tag}_{part}", line))
        s.act(f"{tag}_{part}_score", line)
        weights = s.rng.integers(-127, 128, (1, 1, 7, 1)).astype(np.int8)
        s.tensors[f"{tag}_{part}_w"] = TensorSpec(f"{tag}_{part}_w", (1, 1, 7, 1), "int8", (0.01,), (0,), None, weights)
        s.tensors[f"{tag}_{part}_b"] = TensorSpec(f"{tag}_{part}_b", (1,), "int32", data=np.zeros(1, np.int32))
        s.op(
            "CONV_2D", (f"{tag}_{part}_line", f"{tag}_{part}_w", f"{tag}_{part}_b"), f"{tag}_{part}_score", strideH=1, strideW=1,
            padding="SAME", dilationHFactor=1, dilationWFactor=1, fusedActivationFunction="NONE",
        )  # fmt: skip
    s.act(f"{tag}_sum", line)
    s.op("ADD", (f"{tag}_mean_score", f"{tag}_variance_score"), f"{tag}_sum", fusedActivationFunction="NONE")
    s.op("RESHAPE", (f"{tag}_sum", s.const(f"{tag}_vector", list(vector))), s.like(f"{tag}_scores", f"{tag}_sum", vector))
    return f"{tag}_scores"


def _max_out(s: Sketch, source: str, maps: tuple[int, ...], heads: int, output: str) -> None:
    n, h, w, c = maps
    s.op(
        "RESHAPE", (source, s.const(f"{output}_a", [n, h * w, c, heads])), s.like(f"{output}_split", source, (n, h * w, c, heads))
    )
    s.like(f"{output}_flat", source, (n, h * w, c))
    s.op("REDUCE_MAX", (f"{output}_split", s.const(f"{output}_axis", [3])), f"{output}_flat", keepDims=False)
    s.op("RESHAPE", (f"{output}_flat", s.const(f"{output}_b", list(maps))), s.like(output, source, maps))
