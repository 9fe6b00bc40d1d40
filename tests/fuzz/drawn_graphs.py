"""Random networks as `.tflite` files: every operator, the chains that passes fuse, their near misses, forks and several outputs.

A seed gives one file. Sizes are small, so that one graph goes through all judges in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from flynet_tiny.codegen.activations import ACTIVATIONS, UNIT_OUTPUT

from ..one_op_models import random_parameters
from ..small_models import Sketch

Shape = tuple[int, ...]
MAX_ELEMENTS = 2500


class _Drawing:
    """A sketch that grows by random operators; `maps` are the tensors that later ones may read."""

    def __init__(self, seed: int) -> None:
        self.s = Sketch(seed)
        self.rng = self.s.rng
        self.maps: list[str] = []
        self.read: set[str] = set()
        self._count = 0

    def shape(self, name: str) -> Shape:
        return self.s.tensors[name].shape

    def new(self) -> str:
        self._count += 1
        return f"t{self._count}"

    def below(self, high: int) -> int:
        return int(self.rng.integers(high))

    def some(self, values: tuple[object, ...]) -> object:
        return values[self.below(len(values))]

    def pick(self, wanted: Callable[[Shape], bool] = lambda shape: True) -> str | None:
        """A tensor that is fit, more likely a late one."""
        fit = [name for name in self.maps if wanted(self.shape(name))]
        return fit[-1 - min(len(fit) - 1, int(self.rng.geometric(0.5)) - 1)] if fit else None

    def image(self) -> str | None:
        return self.pick(lambda shape: len(shape) == 4)

    def op(self, opcode: str, inputs: tuple[str, ...], output: str, **options: object) -> str:
        self.read |= set(inputs)
        return self.s.op(opcode, inputs, output, **options)

    def binary(self, opcode: str, a: str, b: str, output: str) -> str:
        options = {} if opcode in ("SQUARED_DIFFERENCE", "MAXIMUM") else {"fusedActivationFunction": self.activation()}
        return self.op(opcode, (a, b), output, **options)

    def activation(self) -> str:
        return str(self.some(("NONE", "NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")))

    # each of these adds operators and returns its result, or None where nothing fits

    def convolution(self) -> str | None:
        source = self.image()
        if source is None:
            return None
        _, h, w, c = self.shape(source)
        kernel, stride, padding = int(self.some((1, 1, 3, 5))), int(self.some((1, 1, 2))), str(self.some(("SAME", "VALID")))
        if padding == "VALID" and min(h, w) < kernel:
            padding = "SAME"
        out = tuple(-(-d // stride) if padding == "SAME" else (d - kernel) // stride + 1 for d in (h, w))
        self.read.add(source)
        if self.below(2):
            channels = 1 + self.below(16)
            output = self.s.act(self.new(), (1, *out, channels))
            self.s.conv(source, output, channels, kernel, padding, stride)
        else:
            heads = int(self.some((1, 1, 2, 3)))
            output = self.s.act(self.new(), (1, *out, c * heads))
            self.s.depthwise(source, output, heads, kernel, padding, stride)
        self.s.ops[-1].options["fusedActivationFunction"] = self.activation()
        return output

    def elementwise(self) -> str | None:
        source = self.pick()
        if source is None:
            return None
        opcode = str(self.some(tuple(ACTIVATIONS)))
        parameters = random_parameters(opcode, self.rng)
        quantization = UNIT_OUTPUT if ACTIVATIONS[opcode].unit_output else ()
        return self.op(opcode, (source,), self.s.act(self.new(), self.shape(source), *quantization), **parameters)

    def pair(self) -> str | None:
        """ADD, SUB, MUL or SQUARED_DIFFERENCE of two tensors of one shape, or of a map and a vector."""
        a = self.pick()
        if a is None:
            return None
        shape = self.shape(a)
        fits = (shape, (1, 1, 1, shape[-1])) if len(shape) == 4 else (shape,)
        b = self.pick(lambda other: other in fits)
        assert b is not None
        if self.below(4) == 0 and self.shape(b) == shape:
            a, b = b, a
        opcode = str(self.some(("ADD", "ADD", "SUB", "MUL", "MUL", "SQUARED_DIFFERENCE")))
        return self.binary(opcode, a, b, self.s.act(self.new(), shape))

    def maximum(self) -> str | None:
        a = self.pick()
        if a is None:
            return None
        b = self.op(
            "QUANTIZE", (self.pick(lambda other: other == self.shape(a)) or a,), self.s.like(self.new(), a, self.shape(a))
        )
        return self.op("MAXIMUM", (a, b), self.s.like(self.new(), a, self.shape(a)))

    def pool(self) -> str | None:
        source = self.image()
        if source is None:
            return None
        _, h, w, c = self.shape(source)
        kernel, stride, padding = 1 + self.below(3), 1 + self.below(2), str(self.some(("SAME", "VALID")))
        if padding == "VALID" and min(h, w) < kernel:
            padding = "SAME"
        out = tuple(-(-d // stride) if padding == "SAME" else (d - kernel) // stride + 1 for d in (h, w))
        return self.op(
            str(self.some(("AVERAGE_POOL_2D", "MAX_POOL_2D"))), (source,), self.s.like(self.new(), source, (1, *out, c)),
            strideH=stride, strideW=stride, filterHeight=kernel, filterWidth=kernel, padding=padding,
            fusedActivationFunction=self.activation(),
        )  # fmt: skip

    def mean(self, source: str | None = None, spatial: bool = False) -> str | None:
        source = source or self.image()
        if source is None:
            return None
        axes = [1, 2] if spatial or self.below(3) else sorted({1 + self.below(3) for _ in range(2)})
        shape = tuple(1 if i in axes else d for i, d in enumerate(self.shape(source)))
        return self.op("MEAN", (source, self.s.const(self.new(), axes)), self.s.act(self.new(), shape), keepDims=True)

    def statistics(self) -> str | None:
        """Mean and variance of a map, sometimes with one axis less (a near miss of the fused pair)."""
        source = self.image()
        if source is None:
            return None
        shape = self.shape(source)
        first = self.mean(source, spatial=self.below(4) > 0)
        assert first is not None
        square = self.op("SQUARED_DIFFERENCE", (source, first), self.s.act(self.new(), shape, 0.05))
        variance = self.mean(square, spatial=self.below(4) > 0)
        self.maps.append(first)
        if self.below(4) == 0:
            self.maps.append(square)
        return variance

    def gate(self) -> str | None:
        """A map times one coefficient a channel, then what often follows: a depthwise convolution, an addition, a Max-out."""
        source = self.image()
        if source is None:
            return None
        vector = self.pick(lambda shape: shape == (1, 1, 1, self.shape(source)[3])) or self.mean(source, spatial=True)
        assert vector is not None
        gates = self.op("LOGISTIC", (vector,), self.s.act(self.new(), self.shape(vector), 1 / 256, -128))
        gated = self.binary("MUL", source, gates, self.s.act(self.new(), self.shape(source)))
        if self.below(5) == 0:
            self.maps.append(gated)
        following = self.below(4)
        if following == 0:
            self.read.add(gated)
            output = self.s.act(self.new(), self.shape(gated))
            self.s.depthwise(gated, output, 1, int(self.some((3, 5))))
            return output
        if following == 1:
            other = self.pick(lambda shape: shape == self.shape(gated)) or source
            return self.binary("ADD", gated, other, self.s.act(self.new(), self.shape(gated)))
        return self.max_out(gated) if following == 2 else gated

    def max_out(self, source: str | None = None) -> str | None:
        """[1, H, W, C * h] -> the largest of each h channels, sometimes over the wrong axis."""
        source = source or self.image()
        if source is None:
            return None
        _, h, w, c = self.shape(source)
        heads = next((n for n in (3, 2) if c % n == 0), 1)
        split: Shape = (1, h * w, c // heads, heads)
        axis = 3 if self.below(5) else 2
        left = (1, h * w, split[2] if axis == 3 else heads)
        self.op("RESHAPE", (source, self.s.const(self.new(), split)), parts := self.s.like(self.new(), source, split))
        largest = self.op(
            "REDUCE_MAX", (parts, self.s.const(self.new(), [axis])), self.s.like(self.new(), source, left), keepDims=False
        )
        result: Shape = (1, h, w, left[2])
        return self.op("RESHAPE", (largest, self.s.const(self.new(), result)), self.s.like(self.new(), source, result))

    def two_depthwise(self) -> str | None:
        """Two depthwise convolutions over one map, of one window or nearly so."""
        source = self.image()
        if source is None:
            return None
        shape, kernel = self.shape(source), int(self.some((3, 5)))
        self.read.add(source)
        first, second = self.s.act(self.new(), shape), self.s.act(self.new(), shape)
        self.s.depthwise(source, first, 1, kernel)
        self.s.depthwise(source, second, 1, kernel if self.below(4) else 3)
        if self.below(3) == 0:
            self.s.ops[-1 - self.below(2)].options["fusedActivationFunction"] = self.activation()
        self.maps.append(first)
        return second

    def shift_max(self) -> str | None:
        """Channels gathered, both maps scaled, added, once or twice, and the larger sum."""
        source = self.image()
        if source is None:
            return None
        shape = self.shape(source)
        c = shape[3]
        order = np.roll(np.arange(c), 1 + self.below(c)) if self.below(3) else self.rng.permutation(c)
        shifted = self.op("GATHER", (source, self.s.const(self.new(), order)), self.s.like(self.new(), source, shape), axis=3)
        sums = []
        like = None
        for _ in range(1 + self.below(2)):
            terms = []
            for name in (source, shifted):
                vector = self.mean(source, spatial=True)
                assert vector is not None
                terms.append(self.binary("MUL", name, vector, self.s.act(self.new(), shape)))
            total = self.s.act(self.new(), shape) if like is None else self.s.like(self.new(), like, shape)
            like = total
            sums.append(self.op("ADD", (terms[0], terms[1]), total, fusedActivationFunction="NONE"))
        if len(sums) == 1:
            return sums[0]
        return self.op("MAXIMUM", (sums[0], sums[1]), self.s.like(self.new(), sums[0], shape))

    def move(self) -> str | None:
        """PAD, SLICE, STRIDED_SLICE, TRANSPOSE, GATHER, RESHAPE or CONCATENATION."""
        source = self.image()
        if source is None:
            return None
        _, h, w, c = shape = self.shape(source)
        kind = self.below(7)
        new: Shape
        if kind == 0:
            pads = [[0, 0], *([self.below(3), self.below(3)] for _ in range(2)), [0, self.below(2) * self.below(3)]]
            new = tuple(d + a + b for d, (a, b) in zip(shape, pads, strict=True))
            return self.op("PAD", (source, self.s.const(self.new(), pads)), self.s.like(self.new(), source, new))
        if kind == 1:
            begin = [0, self.below(h), self.below(w), self.below(c)]
            new = (1, *(1 + self.below(d - b) for d, b in zip(shape[1:], begin[1:], strict=True)))
            bounds = (self.s.const(self.new(), begin), self.s.const(self.new(), new))
            return self.op("SLICE", (source, *bounds), self.s.like(self.new(), source, new))
        if kind == 2:
            strides = [1, 1 + self.below(2), 1 + self.below(2), 1]
            new = tuple(-(-d // t) for d, t in zip(shape, strides, strict=True))
            constants = tuple(self.s.const(self.new(), values) for values in ([0] * 4, shape, strides))
            return self.op(
                "STRIDED_SLICE", (source, *constants), self.s.like(self.new(), source, new),
                beginMask=0, endMask=0, ellipsisMask=0, newAxisMask=0, shrinkAxisMask=0,
            )  # fmt: skip
        if kind == 3:
            order = [0, *(1 + self.rng.permutation(3))]
            new = tuple(shape[i] for i in order)
            return self.op("TRANSPOSE", (source, self.s.const(self.new(), order)), self.s.like(self.new(), source, new))
        if kind == 4:
            taken = self.rng.integers(0, c, 1 + self.below(2 * c))
            new = (*shape[:3], len(taken))
            return self.op("GATHER", (source, self.s.const(self.new(), taken)), self.s.like(self.new(), source, new), axis=3)
        if kind == 5:
            new = (1, w, h, c)
            return self.op("RESHAPE", (source, self.s.const(self.new(), new)), self.s.like(self.new(), source, new))
        other = self.pick(lambda one: len(one) == 4 and one[:3] == shape[:3]) or source
        alike = self.op("QUANTIZE", (other,), self.s.like(self.new(), source, self.shape(other)))
        new = (*shape[:3], c + self.shape(other)[3])
        return self.op(
            "CONCATENATION", (source, alike), self.s.like(self.new(), source, new), axis=3, fusedActivationFunction="NONE"
        )

    def scores(self) -> str | None:
        """FULLY_CONNECTED and SOFTMAX."""
        source = self.pick(lambda shape: int(np.prod(shape)) <= 400)
        if source is None:
            return None
        elements, classes = int(np.prod(self.shape(source))), 1 + self.below(12)
        flat = self.op(
            "RESHAPE", (source, self.s.const(self.new(), [1, elements])), self.s.like(self.new(), source, (1, elements))
        )
        logits = self.s.act(self.new(), (1, classes), 0.1)
        self.read.add(flat)
        self.s.fully_connected(flat, logits, classes)
        self.maps.append(logits)
        return self.op("SOFTMAX", (logits,), self.s.act(self.new(), (1, classes), 1 / 256, -128), beta=1.0)


STEPS: tuple[Callable[[_Drawing], str | None], ...] = (
    _Drawing.convolution, _Drawing.convolution, _Drawing.convolution, _Drawing.elementwise, _Drawing.elementwise, _Drawing.pair,
    _Drawing.pair, _Drawing.maximum, _Drawing.pool, _Drawing.mean, _Drawing.statistics, _Drawing.gate, _Drawing.gate,
    _Drawing.max_out, _Drawing.two_depthwise, _Drawing.shift_max, _Drawing.move, _Drawing.move, _Drawing.scores,
)  # fmt: skip


def kill_channels(sketch: Sketch, seed: int) -> None:
    """Make channels that never change (weights of 0, or a bias out of reach), some that hardly do, and some that are not read."""
    rng = np.random.default_rng(seed)
    for op in sketch.ops:
        if op.opcode not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED") or len(op.inputs) < 3 or rng.random() < 0.2:
            continue
        weights, bias = (sketch.tensors[name] for name in op.inputs[1:3])
        assert weights.data is not None
        assert bias.data is not None
        values, sums = weights.data.copy(), bias.data.copy()
        outputs = np.moveaxis(values, 3 if op.opcode == "DEPTHWISE_CONV_2D" else 0, 0)  # views
        kinds = rng.choice(5, len(outputs), p=(0.4, 0.2, 0.2, 0.15, 0.05))
        outputs[kinds == 1] = 0
        outputs[kinds == 2] = rng.integers(-1, 2, outputs[kinds == 2].shape)
        sums[kinds == 2] = rng.choice([-1, 1], int((kinds == 2).sum())) * 500_000
        near = outputs[kinds == 3]  # at the edge of never changing
        outputs[kinds == 3] = np.where(rng.random(near.shape) < 0.1, np.sign(near), 0)
        if op.opcode != "DEPTHWISE_CONV_2D":
            values[..., rng.random(values.shape[-1]) < 0.15] = 0
        sketch.tensors[weights.name], sketch.tensors[bias.name] = replace(weights, data=values), replace(bias, data=sums)


def copy_channels(sketch: Sketch, seed: int) -> None:
    """Make odd output channels equal to the one before, and weights small enough that two can be added up."""
    rng = np.random.default_rng([seed, 5])
    for op in sketch.ops:
        if op.opcode not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED") or len(op.inputs) < 3 or rng.random() < 0.4:
            continue
        weights, bias = (sketch.tensors[name] for name in op.inputs[1:3])
        assert weights.data is not None
        assert bias.data is not None
        values, sums, scales = weights.data // int(rng.integers(1, 3)), bias.data.copy(), np.array(weights.scales)
        outputs = np.moveaxis(values, 3 if op.opcode == "DEPTHWISE_CONV_2D" else 0, 0)  # views
        copies = 1 + 2 * np.flatnonzero(rng.random(len(outputs) // 2) < 0.6)
        for array in (outputs, sums) if len(scales) == 1 else (outputs, sums, scales):
            array[copies] = array[copies - 1]
        sketch.tensors[weights.name] = replace(weights, data=values, scales=tuple(scales.tolist()))
        sketch.tensors[bias.name] = replace(bias, data=sums)


def draw(seed: int, dead_channels: bool = False) -> bytes:
    """A file of 3 to 14 random steps, some of which are several operators; the same for the same seed.

    dead_channels  many channels never change, are equal or are not read; every map ends in a convolution, which needs none of
                   those
    """
    drawing = _Drawing(seed)
    rng = drawing.rng
    inputs = []
    for i in range(1 + int(rng.random() < 0.2)):
        shape = (1, int(rng.integers(1, 10)), int(rng.integers(1, 10)), int(rng.integers(1, 13)))
        inputs.append(drawing.s.act(f"x{i}", shape))
    drawing.maps += inputs
    for step in range(int(rng.integers(3, 15))):
        place = 0 if dead_channels and not step else int(rng.integers(len(STEPS)))
        result = STEPS[place](drawing)
        if result is not None and np.prod(drawing.shape(result)) <= MAX_ELEMENTS:
            drawing.maps.append(result)
    written = [output for op in drawing.s.ops for output in op.outputs]
    if not written:
        return draw(seed + (1 << 32), dead_channels)
    ends = [name for name in written if name not in drawing.read]
    inner = [name for name in written if name in drawing.read]
    if inner and rng.random() < 0.2:
        ends.append(inner[int(rng.integers(len(inner)))])
    if dead_channels:
        for i, name in enumerate(ends):
            if len(drawing.shape(name)) == 4:
                ends[i] = drawing.s.act(drawing.new(), (*drawing.shape(name)[:3], 2))
                drawing.s.conv(name, ends[i], 2)
        kill_channels(drawing.s, seed)
        copy_channels(drawing.s, seed)
    return drawing.s.file(tuple(inputs), tuple(ends))
