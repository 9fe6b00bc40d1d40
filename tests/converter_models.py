"""Small files in the forms that converters write: float ends, shape arithmetic, odd biases, dilation by batches, odd ends.

Each builder takes a seed, draws what it can, and returns the file's bytes. `KINDS` names them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from flynet_tiny.export.tflite_writer import OpSpec, TensorSpec

from .small_models import Sketch

Shape = tuple[int, ...]


class Forms(Sketch):
    """A sketch with tensors that are not int8."""

    def plain(self, name: str, shape: Shape, dtype: str = "float32") -> str:
        """A tensor without quantization that is computed at run time, or an end."""
        self.tensors[name] = TensorSpec(name, shape, dtype)
        return name

    def bytes8(self, name: str, shape: Shape, like: str) -> str:
        """A uint8 tensor with the values of an int8 one."""
        spec = self.tensors[like]
        self.tensors[name] = TensorSpec(name, shape, "uint8", spec.scales, (spec.zero_points[0] + 128,))
        return name

    def whole(self, name: str, values: object, dtype: str = "int32") -> str:
        """A constant of integers or floats."""
        data = np.asarray(values, dtype)
        self.tensors[name] = TensorSpec(name, data.shape, dtype, data=data)
        return name

    def stored(self, name: str, values: np.ndarray, scale: float, zero_point: int = 0) -> str:
        """A constant of int8 values."""
        self.tensors[name] = TensorSpec(name, values.shape, "int8", (float(np.float32(scale)),), (zero_point,), data=values)
        return name

    def reshape(self, source: str, output: str) -> str:
        """A RESHAPE whose shape is an option, as old converters wrote it."""
        return self.op("RESHAPE", (source,), output, newShape=self.tensors[output].shape)

    def split(self, opcode: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        """A SPLIT or SPLIT_V."""
        self.ops.append(OpSpec(opcode, inputs, outputs, {"numSplits": len(outputs)}))

    def ints(self, *shape: int) -> np.ndarray:
        return self.rng.integers(-127, 128, shape).astype(np.int8)

    def dense(self, source: str, output: str, weights: str, bias: str = "") -> str:
        inputs = (source, weights, *([bias] if bias else []))
        return self.op("FULLY_CONNECTED", inputs, output, fusedActivationFunction="NONE", weightsFormat="DEFAULT")


def float_ends(seed: int) -> bytes:
    """QUANTIZE, CONV_2D, DEQUANTIZE, sometimes with what is left to the caller behind it."""
    s = Forms(seed)
    h, w, c = (int(v) for v in s.rng.integers(3, 9, 3))
    s.act("x", (1, h, w, c))
    s.act("y", (1, h, w, 4), 0.9)
    s.op("QUANTIZE", (s.plain("in", (1, h, w, c)),), "x")
    s.conv("x", "y", 4, 3, "SAME")
    s.op("DEQUANTIZE", ("y",), s.plain("real", (1, h, w, 4)))
    last, kind = "real", seed % 5
    if kind == 1:
        last = s.op("SOFTMAX", ("real",), s.plain("shares", (1, h, w, 4)), beta=1.0)
    elif kind == 2:
        last = s.op("LOGISTIC", ("real",), s.plain("gates", (1, h, w, 4)))
    elif kind == 3:
        s.op("SOFTMAX", ("real",), s.plain("shares", (1, h, w, 4)), beta=1.0)
        s.reshape("shares", s.plain("flat", (h * w, 4)))
        last = s.op("ARG_MAX", ("flat", s.whole("axis", 1)), s.plain("best", (h * w,), "int32"), outputType=vars_of("int32"))
    elif kind == 4:
        last = s.op("LOG_SOFTMAX", ("real",), s.plain("logs", (1, h, w, 4)))
    return s.file(("in",), (last,))


def float_ends_moved(seed: int) -> bytes:
    """Moves between the float ends and the int8 core: RESHAPE, TRANSPOSE to channels last, PAD with 0, EXPAND_DIMS, SQUEEZE."""
    s = Forms(seed)
    h, w, c = (int(v) for v in s.rng.integers(2, 7, 3))
    s.plain("in", (1, c, h, w))
    s.op("TRANSPOSE", ("in", s.whole("nhwc", [0, 2, 3, 1])), s.plain("last", (1, h, w, c)))
    s.op("PAD", ("last", s.whole("pads", [[0, 0], [1, 2], [0, 1], [0, 0]])), s.plain("padded", (1, h + 3, w + 1, c)))
    s.op("QUANTIZE", ("padded",), s.act("x", (1, h + 3, w + 1, c)))
    s.act("y", (1, h + 3, w + 1, 4), 0.9)
    s.conv("x", "y", 4)
    s.op("DEQUANTIZE", ("y",), s.plain("real", (1, h + 3, w + 1, 4)))
    s.reshape("real", s.plain("rows", (1, 1, (h + 3) * (w + 1), 4)))
    s.op("SQUEEZE", ("rows",), s.plain("out", ((h + 3) * (w + 1), 4)), squeezeDims=[0, 1])
    outputs = ("out", "y") if seed % 2 else ("out",)
    if seed % 3 == 0:
        s.op("SOFTMAX", ("out",), s.plain("shares", ((h + 3) * (w + 1), 4)), beta=1.0)
        outputs = ("shares", *outputs)
    return s.file(("in",), outputs)


def float_ends_many(seed: int) -> bytes:
    """Two float inputs and an int8 one, one of them quantized twice to one scale; a float output, an int8 one, one twice."""
    s = Forms(seed)
    shape = (1, int(s.rng.integers(2, 9)))
    s.act("a", shape)
    s.like("a2", "a", shape)
    for name in ("b", "c"):
        s.act(name, shape)
    s.plain("in0", shape)
    s.plain("in1", shape)
    s.op("QUANTIZE", ("in0",), "a")
    s.op("QUANTIZE", ("in1",), "b")
    s.op("QUANTIZE", ("in0",), "a2")
    for left, right, name in (("a", "b", "sum"), ("a2", "c", "sum2"), ("sum", "sum2", "y")):
        s.op("ADD", (left, right), s.act(name, shape, 0.1), fusedActivationFunction="NONE")
    s.op("DEQUANTIZE", ("y",), s.plain("real", shape))
    return s.file(("in1", "c", "in0"), ("real", "sum", "y", "sum"))


def uint8_ends(seed: int) -> bytes:
    """uint8 at both ends, with a move in uint8."""
    s = Forms(seed)
    h, w = (int(v) for v in s.rng.integers(2, 7, 2))
    s.act("x", (1, h, w, 3))
    s.act("y", (1, h, w, 4), 0.9)
    s.bytes8("in", (1, h * w * 3), "x")
    s.reshape("in", s.bytes8("map", (1, h, w, 3), "x"))
    s.op("QUANTIZE", ("map",), "x")
    s.conv("x", "y", 4)
    s.op("QUANTIZE", ("y",), s.bytes8("out", (1, h, w, 4), "y"))
    return s.file(("in",), ("out",))


def uint8_scales(seed: int) -> bytes:
    """uint8 ends whose scales are not those of the int8 tensors behind them, and uint8 in the middle: every pair of QUANTIZE."""
    s = Forms(seed)
    h, w = (int(v) for v in s.rng.integers(2, 7, 2))

    def unsigned(name: str) -> str:
        scale, zero = float(np.float32(s.rng.choice([0.03, 2.0**-4, 0.07]))), int(s.rng.choice([0, 128, 255, 97]))
        s.tensors[name] = TensorSpec(name, (1, h, w, 3), "uint8", (scale,), (zero,))
        return name

    s.op("QUANTIZE", (unsigned("in"),), s.act("x", (1, h, w, 3)))
    first = "in"
    if seed % 3:
        first = s.op("QUANTIZE", ("in",), unsigned("in_again"))
    s.op("QUANTIZE", (first,), s.act("z", (1, h, w, 3)))
    s.op("ADD", ("x", "z"), s.act("a", (1, h, w, 3)), fusedActivationFunction="NONE")
    s.op("QUANTIZE", ("a",), unsigned("middle"))
    s.op("QUANTIZE", ("middle",), s.act("b", (1, h, w, 3)))
    s.conv("b", s.act("y", (1, h, w, 3), 0.9), 3)
    s.op("QUANTIZE", ("y",), unsigned("out"))
    return s.file(("in",), ("out", "middle") if seed % 2 else ("out",))


def splits(seed: int) -> bytes:
    """SPLIT into equal parts and SPLIT_V into others, one of them left to be found, with negative axes."""
    s = Forms(seed)
    h, w, c = (int(v) for v in s.rng.integers(1, 5, 3))
    shape, sizes = (1, 2 * h, w, c + 3), [int(v) for v in s.rng.multinomial(c, [1 / 3] * 3) + 1]
    s.act("x", shape)
    for name in ("upper", "lower"):
        s.like(name, "x", (1, h, w, c + 3))
    s.split("SPLIT", (s.whole("axis", [1 - 4 * (seed % 2)] if seed % 3 else 1), "x"), ("upper", "lower"))
    s.op("ADD", ("lower", "upper"), s.act("sum", (1, h, w, c + 3)), fusedActivationFunction="NONE")
    parts = tuple(s.like(f"part{i}", "sum", (1, h, w, size)) for i, size in enumerate(sizes))
    wanted = [-1 if seed % 2 and i == seed % 3 else size for i, size in enumerate(sizes)]
    s.split("SPLIT_V", ("sum", s.whole("sizes", wanted), s.whole("last", -1)), parts)
    s.conv(parts[1], s.act("y", (1, h, w, 4), 0.9), 4)
    return s.file(("x",), ("y", parts[0], parts[2]))


def shape_arithmetic(seed: int) -> bytes:
    """What Keras writes for Reshape and Flatten on an unknown batch, and for Dense on more than two dimensions."""
    s = Forms(seed)
    rows, depth, units = (int(v) for v in s.rng.integers(2, 9, 3))
    dtype = "int64" if seed % 3 == 2 else "int32"
    s.act("x", (1, rows, depth))
    s.op("SHAPE", ("x",), s.plain("shape", (3,), dtype), outType=vars_of(dtype))
    s.op("GATHER", ("shape", s.whole("head", [0, 1])), s.plain("dims", (2,), dtype), axis=0)
    s.op("REDUCE_PROD", ("dims", s.whole("zero", [0])), s.plain("count", (), dtype), keepDims=False)
    s.op("STRIDED_SLICE", ("shape", s.whole("b", [2]), s.whole("e", [3]), s.whole("one", [1])), s.plain("last", (), dtype),
         shrinkAxisMask=1)  # fmt: skip
    s.op("PACK", ("count", "last"), s.plain("wanted", (2,), dtype), axis=0, valuesCount=2)
    s.op("CAST", ("wanted",), s.plain("wanted32", (2,), "int32"))
    s.op("RESHAPE", ("x", "wanted32"), s.like("flat", "x", (1, 1)))  # the converter does not know it: 1 for each dimension
    s.stored("w", s.ints(units, depth), 0.01)
    s.dense("flat", s.act("made", (1, units), 0.5), "w")
    s.op("CONCATENATION", ("dims", s.whole("units", [units], dtype)), s.plain("back", (3,), dtype), axis=0)
    s.op("CAST", ("back",), s.plain("back32", (3,), "int32"))
    s.op("RESHAPE", ("made", "back32"), s.like("maps", "made", (1, rows, units)))
    s.op("MUL", (s.whole("r", rows), s.whole("u", units)), s.plain("size", (), "int32"), fusedActivationFunction="NONE")
    s.op("FILL", (s.whole("two", [1]), s.whole("batch", 1)), s.plain("ones", (1,), "int32"))
    s.op("EXPAND_DIMS", ("size", "zero0"), s.plain("sizes", (1,), "int32"))
    s.whole("zero0", 0)
    s.op("CONCATENATION", ("ones", "sizes"), s.plain("flatshape", (2,), "int32"), axis=0)
    s.op("RESHAPE", ("maps", "flatshape"), s.like("y", "made", (1, rows * units)))
    return s.file(("x",), ("y",))


def vars_of(dtype: str) -> int:
    """The schema's code of an integer type."""
    return {"int32": 2, "int64": 4}[dtype]


def reshape_kinds(seed: int) -> bytes:
    """All that only changes the shape, one after the other, then a convolution."""
    s = Forms(seed)
    width, c = (int(v) for v in s.rng.integers(2, 9, 2))
    s.act("x", (1, width, c))
    s.op("EXPAND_DIMS", ("x", s.whole("axis", int(s.rng.choice([1, -3])))), s.like("e", "x", (1, 1, width, c)))
    s.op("TRANSPOSE", ("e", s.whole("perm", [0, 2, 1, 3])), s.like("t", "x", (1, width, 1, c)))
    s.op("QUANTIZE", ("t",), s.like("q", "x", (1, width, 1, c)))
    s.op("PACK", ("q",), s.like("p", "x", (1, 1, width, 1, c)), axis=0, valuesCount=1)
    s.op("SQUEEZE", ("p",), s.like("sq", "x", (width, c)), squeezeDims=[0, 1, 3])
    s.op("SLICE", ("sq", s.whole("begin", [0, 0]), s.whole("size", [-1, c])), s.like("all", "x", (width, c)))
    everything = (s.whole("b", [0, 0]), s.whole("e2", [0, 0]), s.whole("s1", [1, 1]))
    s.op("STRIDED_SLICE", ("all", *everything), s.like("st", "x", (width, c)), beginMask=3, endMask=3)
    s.op("PAD", ("st", s.whole("none", [[0, 0], [0, 0]])), s.like("pad", "x", (width, c)))
    s.op("CONCATENATION", ("pad",), s.like("cat", "x", (width, c)), axis=0, fusedActivationFunction="NONE")
    s.op("RESHAPE", ("cat", s.whole("shape", [1, 1, -1, c])), s.like("m", "x", (1, 1, width, c)))
    s.conv("m", s.act("y", (1, 1, width, 4), 0.9), 4)
    return s.file(("x",), ("y",))


def folded_weights(seed: int) -> bytes:
    """Weights that come through DEQUANTIZE and QUANTIZE, TRANSPOSE, CONCATENATION, GATHER, SLICE, PAD and SPLIT."""
    s = Forms(seed)
    depth, units = int(s.rng.integers(2, 7)), 4
    s.act("x", (1, depth))
    s.stored("raw", s.ints(depth, units), 0.02)
    spec = s.tensors["raw"]

    def like(name: str, shape: Shape) -> str:
        s.tensors[name] = TensorSpec(name, shape, "int8", spec.scales, (0,))
        return name

    s.op("TRANSPOSE", ("raw", s.whole("perm", [1, 0])), like("turned", (units, depth)))
    s.op("DEQUANTIZE", ("turned",), s.plain("real", (units, depth)))
    s.tensors["finer"] = TensorSpec("finer", (units, depth), "int8", (float(np.float32(0.0117)),), (0,))
    s.op("QUANTIZE", ("real",), "finer")
    s.dense("x", s.act("made", (1, units), 0.5), "finer")
    s.ops.append(_split(s, like, units, depth))
    s.op("CONCATENATION", ("lower", "upper"), like("swapped", (units, depth)), axis=0, fusedActivationFunction="NONE")
    s.op("GATHER", ("swapped", s.whole("rows", [3, 0, 1, 1])), like("picked", (units, depth)), axis=0)
    s.op("PAD", ("picked", s.whole("pads", [[0, 0], [0, 2]])), like("wide", (units, depth + 2)))
    s.op("SLICE", ("wide", s.whole("begin", [0, 1]), s.whole("size", [-1, depth])), like("cut", (units, depth)))
    s.dense("x", s.act("other", (1, units), 0.5), "cut")
    s.op("ADD", ("made", "other"), s.act("y", (1, units), 0.9), fusedActivationFunction="NONE")
    return s.file(("x",), ("y",))


def _split(s: Forms, like: Callable[[str, Shape], str], units: int, depth: int):
    from flynet_tiny.export.tflite_writer import OpSpec

    halves = (like("upper", (units // 2, depth)), like("lower", (units // 2, depth)))
    return OpSpec("SPLIT", (s.whole("axis0", 0), "turned"), halves, {"numSplits": 2})


def int64_operands(seed: int) -> bytes:
    """int64 paddings, begins and sizes, axes, permutations, shapes and indices."""
    s = Forms(seed)
    h, w, c = (int(v) for v in s.rng.integers(2, 6, 3))
    s.act("x", (1, h, w, c))
    s.op("PAD", ("x", s.whole("pads", [[0, 0], [1, 1], [0, 2], [0, 0]], "int64")), s.like("p", "x", (1, h + 2, w + 2, c)))
    s.op("SLICE", ("p", s.whole("begin", [0, 1, 0, 0], "int64"), s.whole("size", [1, h, w + 2, c], "int64")),
         s.like("s", "x", (1, h, w + 2, c)))  # fmt: skip
    s.op("GATHER", ("s", s.whole("taken", [0, 0, c - 1], "int64")), s.like("g", "x", (1, h, w + 2, 3)), axis=3)
    s.op("TRANSPOSE", ("g", s.whole("perm", [0, 2, 1, 3], "int64")), s.like("t", "x", (1, w + 2, h, 3)))
    s.op("RESHAPE", ("t", s.whole("shape", [1, -1, 3], "int64")), s.like("r", "x", (1, (w + 2) * h, 3)))
    s.op("MEAN", ("r", s.whole("axis", [1], "int64")), s.act("y", (1, 3)), keepDims=False)
    return s.file(("x",), ("y",))


def dilation_by_batches(seed: int) -> bytes:
    """SPACE_TO_BATCH_ND, CONV_2D or DEPTHWISE_CONV_2D, BATCH_TO_SPACE_ND, with paddings, crops, and what may stand between."""
    s = Forms(seed)
    depthwise, c, kernel = bool(seed % 2), int(s.rng.integers(2, 5)), int(s.rng.integers(1, 4))
    block = [int(v) for v in s.rng.integers(1, 4, 2)]
    block[0] += block == [1, 1]
    h, w = (int(v) for v in s.rng.integers(3, 9, 2))
    pads, inner, crops = [], [], []
    for size, b in zip((h, w), block, strict=True):
        before = int(s.rng.integers(0, 4))
        after = -(size + before) % b
        while (size + before + after) // b < kernel:
            after += b
        pads.append([before, after])
        inner.append((size + before + after) // b)
        room = b * (inner[-1] - kernel + 1) - 1
        crop = [int(s.rng.integers(0, min(room, 3) + 1)), 0]
        crop[1] = int(s.rng.integers(0, min(room - crop[0], 3) + 1))
        crops.append(crop)
    batches = block[0] * block[1]
    out_c = c if depthwise else 4
    s.act("x", (1, h, w, c))
    s.op("SPACE_TO_BATCH_ND", ("x", s.whole("block", block), s.whole("pads", pads)), s.like("b", "x", (batches, *inner, c)))
    made = tuple(i - kernel + 1 for i in inner)
    s.act("conv", (batches, *made, out_c), 0.9)
    if depthwise:
        s.depthwise("b", "conv", 1, kernel, "VALID")
    else:
        s.conv("b", "conv", 4, kernel, "VALID")
    last = "conv"
    if seed % 3 == 1:
        s.stored("more", s.ints(out_c), 0.3)
        last = s.op("ADD", ("conv", "more"), s.act("added", (batches, *made, out_c), 1.0), fusedActivationFunction="RELU")
    if seed % 5 == 2:
        last = s.op("HARD_SWISH", (last,), s.act("active", (batches, *made, out_c), 1.1))
    whole = tuple(m * b - sum(crop) for m, b, crop in zip(made, block, crops, strict=True))
    s.op("BATCH_TO_SPACE_ND", (last, "block", s.whole("crops", crops)), s.like("y", last, (1, *whole, out_c)))
    return s.file(("x",), ("y",))


def dilated_conv_1d(seed: int) -> bytes:
    """A causal dilated Conv1D: SPACE_TO_BATCH_ND of [1, time, c], EXPAND_DIMS, CONV_2D, SQUEEZE, ADD, BATCH_TO_SPACE_ND."""
    s = Forms(seed)
    c, kernel, block = (int(v) for v in s.rng.integers((2, 2, 2), (5, 4, 5)))
    time = int(s.rng.integers(block + 1, 20))
    before = block * (kernel - 1)
    after = -(time + before) % block
    inner = (time + before + after) // block
    s.act("x", (1, time, c))
    s.op(
        "SPACE_TO_BATCH_ND",
        ("x", s.whole("block", [block]), s.whole("pads", [[before, after]])),
        s.like("b", "x", (block, inner, c)),
    )
    s.op("EXPAND_DIMS", ("b", s.whole("axis", 1)), s.like("e", "x", (block, 1, inner, c)))
    s.act("conv", (block, 1, inner - kernel + 1, 4), 0.9)
    s._weighted("CONV_2D", "e", "conv", (4, 1, kernel, c), 0, "VALID", 1, {})
    s.op("SQUEEZE", ("conv",), s.like("sq", "conv", (block, inner - kernel + 1, 4)), squeezeDims=[1])
    last = "sq"
    if seed % 2:
        s.stored("more", s.ints(4), 0.3)
        last = s.op("ADD", ("sq", "more"), s.act("added", (block, inner - kernel + 1, 4), 1.0), fusedActivationFunction="RELU")
    shape = (1, time, 4)
    s.op("BATCH_TO_SPACE_ND", (last, "block", s.whole("crops", [[0, after]])), s.like("y", last, shape))
    return s.file(("x",), ("y",))


def odd_biases(seed: int) -> bytes:
    """Biases of shape [1, n], [n, 1] and [1, 1, 1, n], and channel axes that the loader of LiteRT refuses."""
    s = Forms(seed)
    h, w, c = (int(v) for v in s.rng.integers(2, 6, 3))
    s.act("x", (1, h, w, c))
    s.conv("x", s.act("a", (1, h, w, 4), 0.9), 4)
    s.depthwise("a", s.act("d", (1, h, w, 4), 2.0))
    s.op("MEAN", ("d", s.whole("axes", [1, 2])), s.act("m", (1, 4), 1.0), keepDims=False)
    s.stored("w", s.ints(5, 4), 0.01)
    bias = s.rng.integers(-2000, 2000, 5).astype(np.int32)
    shape = ((1, 5), (5, 1), (1, 1, 1, 5))[seed % 3]
    s.tensors["fb"] = TensorSpec("fb", shape, "int32", data=bias.reshape(shape))
    s.dense("m", s.act("y", (1, 5), 1.0), "w", "fb")
    scales = tuple(float(v) for v in np.float32(s.rng.uniform(0.001, 0.01, 4)))
    spec = s.tensors["d_b"]
    if seed % 2:  # the bias of a DEPTHWISE_CONV_2D with the axis of its weights
        s.tensors["d_b"] = TensorSpec("d_b", (4,), "int32", scales, (0,) * 4, 3, spec.data)
    else:
        weights, bias_spec = s.tensors["a_w"], s.tensors["a_b"]
        s.tensors["a_w"] = TensorSpec("a_w", weights.shape, "int8", weights.scales, weights.zero_points, 5, weights.data)
        s.tensors["a_b"] = TensorSpec("a_b", (1, 1, 1, 4), "int32", data=bias_spec.data.reshape(1, 1, 1, 4))
    return s.file(("x",), ("y",))


def odd_ends(seed: int) -> bytes:
    """A constant, an input, an inner tensor and one tensor twice as outputs; an input that nothing reads."""
    s = Forms(seed)
    shape = (1, int(s.rng.integers(2, 9)), 4)
    s.act("x", shape)
    s.act("unread", (1, 3))
    s.stored("fixed", s.ints(2, 3), 0.1, 5)
    s.op("RELU", ("x",), s.act("inner", shape))
    s.op("HARD_SWISH", ("inner",), s.act("y", shape))
    s.reshape("x", s.like("flat", "x", (shape[1] * 4,)))
    outputs = ["y", "fixed", "x", "inner", "y", "flat"]
    s.rng.shuffle(outputs)
    return s.file(("unread", "x") if seed % 2 else ("x", "unread"), tuple(outputs))


def only_moves(seed: int) -> bytes:
    """Nothing is computed: an input is given another shape."""
    s = Forms(seed)
    shape = tuple(int(v) for v in s.rng.integers(1, 7, 3))
    s.act("x", shape)
    s.reshape("x", s.like("y", "x", (int(np.prod(shape)),)))
    return s.file(("x",), ("y", "x") if seed % 2 else ("y",))


def int4_weights(seed: int) -> bytes:
    """Weights of four bits in all three operators that have weights; an odd count of them where the seed is odd."""
    s = Forms(seed)
    h, w = (int(v) for v in s.rng.integers(2, 6, 2))
    c = 3 if seed % 2 else 4
    s.act("x", (1, h, w, c))
    s.conv("x", s.act("a", (1, h, w, 5), 0.3), 5)
    s.depthwise("a", s.act("d", (1, h, w, 5), 0.3))
    s.op("MEAN", ("d", s.whole("axes", [1, 2])), s.act("m", (1, 5), 0.2), keepDims=False)
    s.fully_connected("m", s.act("y", (1, c), 0.2), c)
    for name in ("a_w", "d_w", "y_w"):
        spec = s.tensors[name]
        s.tensors[name] = replace(spec, dtype="int4", data=s.rng.integers(-8, 8, spec.shape).astype(np.int8))
    return s.file(("x",), ("y",))


def unpacked(seed: int) -> bytes:
    """UNPACK, and PACK of what came out."""
    s = Forms(seed)
    shape, num = [int(v) for v in s.rng.integers(1, 5, 2)], int(s.rng.integers(2, 5))
    axis = int(s.rng.integers(0, 3))
    s.act("x", (*shape[:axis], num, *shape[axis:]))
    parts = tuple(s.like(f"p{i}", "x", tuple(shape)) for i in range(num))
    s.ops.append(OpSpec("UNPACK", ("x",), parts, {"num": num, "axis": axis - 3 * int(s.rng.integers(0, 2))}))
    s.op("PACK", parts[::-1], s.like("y", "x", (num, *shape)), valuesCount=num, axis=0)
    return s.file(("x",), ("y",))


def upsampled(seed: int) -> bytes:
    """A decoder's end: a transposed convolution, both kinds of resizing, a mirrored border, tiles."""
    s = Forms(seed)
    h, w, c = (int(v) for v in s.rng.integers(2, 5, 3))
    s.act("x", (1, h, w, c))
    weights = s.stored("w", s.ints(3, 3, 3, c), 0.02)
    s.act("t", (1, 2 * h, 2 * w, 3), 0.3)
    s.op("TRANSPOSE_CONV", (s.whole("s", [1, 2 * h, 2 * w, 3]), weights, "x"), "t", strideH=2, strideW=2, padding="SAME")
    s.op("RESIZE_BILINEAR", ("t", s.whole("b", [3 * h, 4 * w])), s.like("r", "t", (1, 3 * h, 4 * w, 3)), halfPixelCenters=True)
    s.op("RESIZE_NEAREST_NEIGHBOR", ("r", s.whole("n", [4 * h, 5 * w])), s.like("q", "t", (1, 4 * h, 5 * w, 3)))
    s.op("MIRROR_PAD", ("q", s.whole("m", [[0, 0], [1, 1], [2, 0], [0, 0]])), s.like("p", "t", (1, 4 * h + 2, 5 * w + 2, 3)))
    s.op("TILE", ("p", s.whole("i", [1, 1, 1, 2])), s.like("y", "t", (1, 4 * h + 2, 5 * w + 2, 6)))
    return s.file(("x",), ("y",))


KINDS: Mapping[str, Callable[[int], bytes]] = {
    made.__name__: made
    for made in (
        float_ends, float_ends_moved, float_ends_many, uint8_ends, uint8_scales, splits, shape_arithmetic, reshape_kinds,
        folded_weights, int64_operands, dilation_by_batches, dilated_conv_1d, odd_biases, odd_ends, only_moves, int4_weights,
        unpacked, upsampled,
    )
}  # fmt: skip
"""Each kind: a seed to a file."""
