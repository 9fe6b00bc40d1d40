"""Graphs of many operators: for each shape of graph a `.tflite` with about as many operators as are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite

MAPS = (1, 4, 4, 8)
SCALES = (0.05, 0.043, 0.061)


class _Chart:
    """Collects tensors and operators; activations take one of a few scales, so that rounding differs from place to place."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors: list[TensorSpec] = []
        self.ops: list[OpSpec] = []

    def act(self, name: str, shape: tuple[int, ...] = MAPS, scale: float | None = None) -> str:
        chosen = SCALES[len(self.tensors) % len(SCALES)] if scale is None else scale
        self.tensors.append(TensorSpec(name, shape, "int8", (float(np.float32(chosen)),), (3,)))
        return name

    def op(
        self, opcode: str, inputs: tuple[str, ...], shape: tuple[int, ...] = MAPS, scale: float | None = None, **options: object
    ) -> str:
        output = self.act(f"t{len(self.ops)}", shape, scale)
        self.ops.append(OpSpec(opcode, inputs, (output,), options))
        return output

    def add(self, left: str, right: str) -> str:
        return self.op("ADD", (left, right), fusedActivationFunction="NONE")

    def move(self, opcode: str, inputs: tuple[str, ...], shape: tuple[int, ...], **options: object) -> str:
        """An operator that keeps the scale."""
        return self.op(opcode, inputs, shape, SCALES[0], **options)

    def conv(self, source: str, opcode: str = "CONV_2D", kernel: int = 1, padding: str = "SAME") -> str:
        channels = MAPS[3]
        is_depthwise = opcode == "DEPTHWISE_CONV_2D"
        shape = (1, kernel, kernel, channels) if is_depthwise else (channels, kernel, kernel, channels)
        tag = len(self.ops)
        weights = self.rng.integers(-127, 128, shape).astype(np.int8)
        bias = self.rng.integers(-500, 500, channels).astype(np.int32)
        axis = 3 if is_depthwise else 0
        self.tensors.append(TensorSpec(f"w{tag}", shape, "int8", (0.01,) * channels, (0,) * channels, axis, weights))
        self.tensors.append(TensorSpec(f"b{tag}", (channels,), "int32", data=bias))
        depth = {"depthMultiplier": 1} if is_depthwise else {}
        return self.op(opcode, (source, f"w{tag}", f"b{tag}"), padding=padding, strideH=1, strideW=1, **depth)

    def integers(self, name: str, values: object) -> str:
        data = np.asarray(values, np.int32)
        self.tensors.append(TensorSpec(name, data.shape, "int32", data=data))
        return name

    def sum_of(self, names: list[str]) -> str:
        """Added one after the other."""
        total = names[0]
        for name in names[1:]:
            total = self.add(total, name)
        return total

    def file(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> bytes:
        return write_tflite(ModelSpec(tuple(self.tensors), tuple(self.ops), inputs, outputs))


def add_chain(count: int) -> bytes:
    """Each sum is added to the one before it."""
    c = _Chart()
    before = last = c.act("x")
    for _ in range(count):
        before, last = last, c.add(last, before)
    return c.file(("x",), (last,))


def doubled(count: int) -> bytes:
    """Each tensor is added to itself."""
    c = _Chart()
    last = c.act("x")
    for _ in range(count):
        last = c.add(last, last)
    return c.file(("x",), (last,))


def reshape_chain(count: int) -> bytes:
    """RESHAPEs one after the other, an operator at each end."""
    c = _Chart()
    last = c.op("RELU", (c.act("x"),), scale=SCALES[0])
    shapes = ((4, 32), (128,), MAPS)
    names = [c.integers(f"shape{i}", shape) for i, shape in enumerate(shapes)]
    for i in range(count - 2):
        last = c.move("RESHAPE", (last, names[i % 3]), shapes[i % 3], newShape=list(shapes[i % 3]))
    return c.file(("x",), (c.op("RELU", (last,), c.tensors[-1].shape),))


def reshape_fan(count: int) -> bytes:
    """RESHAPEs of one tensor, of which each second one is a graph output."""
    c = _Chart()
    c.act("x")
    last = c.op("RELU", ("x",), scale=SCALES[0])
    c.integers("shape", (4, 32))
    views = [c.move("RESHAPE", (last, "shape"), (4, 32), newShape=[4, 32]) for _ in range(count - 1)]
    return c.file(("x",), tuple(views[::2]))


def conv_chain(count: int) -> bytes:
    """Pointwise and depthwise convolutions in turn, each with weights of its own."""
    c = _Chart()
    last = c.act("x")
    for i in range(count):
        last = c.conv(last, "DEPTHWISE_CONV_2D", 3) if i % 2 else c.conv(last)
    return c.file(("x",), (last,))


def padded_convs(count: int) -> bytes:
    """PAD and a 3x3 convolution in turn."""
    c = _Chart()
    last = c.act("x", scale=SCALES[0])
    c.integers("pads", [[0, 0], [1, 1], [1, 1], [0, 0]])
    for _ in range(count // 2):
        scale = next(t.scales[0] for t in reversed(c.tensors) if t.name == last)
        last = c.conv(c.op("PAD", (last, "pads"), (1, 6, 6, 8), scale), kernel=3, padding="VALID")
    return c.file(("x",), (last,))


def residual_ladder(count: int) -> bytes:
    """A convolution, an activation, and the sum with what went in."""
    c = _Chart()
    last = c.act("x")
    for _ in range(count // 3):
        last = c.add(c.op("HARD_SWISH", (c.conv(last),)), last)
    return c.file(("x",), (last,))


def fan_out(count: int) -> bytes:
    """One tensor read by half of the operators, which are then summed."""
    c = _Chart()
    c.act("x")
    return c.file(("x",), (c.sum_of([c.op("HARD_SWISH", ("x",)) for _ in range((count + 1) // 2)]),))


def depthwise_fan(count: int) -> bytes:
    """Depthwise convolutions that all slide the same window over the input."""
    c = _Chart()
    c.act("x")
    return c.file(("x",), tuple(c.conv("x", "DEPTHWISE_CONV_2D", 3) for _ in range(count)))


def branches(count: int, width: int = 50) -> bytes:
    """Chains side by side from one tensor, joined at their ends."""
    c = _Chart()
    c.act("x")
    ends = []
    for _ in range(width):
        last = "x"
        for _ in range(count // width - 2):
            last = c.op("HARD_SWISH", (last,))
        ends.append(c.op("HARD_SWISH", (last,), scale=SCALES[0]))
    joined = c.move("CONCATENATION", tuple(ends), (1, 4, 4, 8 * width), axis=3, fusedActivationFunction="NONE")
    return c.file(("x",), (joined,))


def concatenations(count: int, wide: int = 64) -> bytes:
    """Operators in groups, each group joined, and the means of the joined maps added."""
    c = _Chart()
    c.act("x")
    c.integers("axes", [1, 2])
    means = []
    for _ in range(max(1, count // (wide + 3))):
        parts = tuple(c.op("HARD_SWISH", ("x",), scale=SCALES[0]) for _ in range(wide))
        joined = c.move("CONCATENATION", parts, (1, 4, 4, 8 * wide), axis=3, fusedActivationFunction="NONE")
        means.append(c.op("MEAN", (joined, "axes"), (1, 1, 1, 8 * wide), keepDims=True))
    total = means[0]
    for mean in means[1:]:
        total = c.op("ADD", (total, mean), (1, 1, 1, 8 * wide), fusedActivationFunction="NONE")
    return c.file(("x",), (total,))


def many_inputs(count: int) -> bytes:
    """As many graph inputs as operators, summed."""
    c = _Chart()
    names = [c.act(f"x{i}") for i in range(count + 1)]
    return c.file(tuple(names), (c.sum_of(names),))


def many_outputs(count: int) -> bytes:
    """Every operator reads the input and is an output."""
    c = _Chart()
    c.act("x")
    outputs = [c.op("HARD_SWISH", ("x",)) for _ in range(count)]
    return c.file(("x",), tuple(outputs))


def nested(count: int) -> bytes:
    """A chain whose every tensor is read again on the way back: all are live in the middle."""
    c = _Chart()
    down = [c.act("x")]
    for _ in range(count // 2):
        down.append(c.op("HARD_SWISH", (down[-1],)))
    last = down.pop()
    while down:
        last = c.add(last, down.pop())
    return c.file(("x",), (last,))


def tangle(count: int) -> bytes:
    """Sums of two tensors that were made any time before."""
    c = _Chart()
    names = [c.act("x"), c.act("x2")]
    unread = set(names)
    for _ in range(count // 2):
        left, right = (names[int(i)] for i in c.rng.integers(0, len(names), 2))
        unread -= {left, right}
        names.append(c.add(left, right))
        unread.add(names[-1])
    return c.file(("x", "x2"), (c.sum_of([name for name in names if name in unread]),))


def shrinking(count: int) -> bytes:
    """Depthwise convolutions with ever fewer rows: each is as crowded a moment as the one before, nearly."""
    c = _Chart()
    rows = count + 2
    last = c.act("x", (1, rows, 4, 2))
    weights = c.rng.integers(-127, 128, (1, 2, 1, 2)).astype(np.int8)
    c.tensors.append(TensorSpec("w", weights.shape, "int8", (0.01, 0.01), (0, 0), 3, weights))
    c.tensors.append(TensorSpec("b", (2,), "int32", data=np.zeros(2, np.int32)))
    for i in range(count):
        last = c.op(
            "DEPTHWISE_CONV_2D",
            (last, "w", "b"),
            (1, rows - i - 1, 4, 2),
            padding="VALID",
            strideH=1,
            strideW=1,
            depthMultiplier=1,
        )
    return c.file(("x",), (last,))


def heads(count: int) -> bytes:
    """Blocks of a multihead depthwise convolution and a pointwise one beside a shortcut, on maps of all sizes."""
    c = _Chart()
    size, channels = 96, 2
    last = c.act("x", (1, size, size, channels))
    for i in range(count // 3):
        w = c.rng.integers(-127, 128, (1, 3, 3, 3 * channels)).astype(np.int8)
        v = c.rng.integers(-127, 128, (channels, 1, 1, 3 * channels)).astype(np.int8)
        c.tensors.append(TensorSpec(f"dw{i}", w.shape, "int8", (0.01,) * 3 * channels, (0,) * 3 * channels, 3, w))
        c.tensors.append(TensorSpec(f"pw{i}", v.shape, "int8", (0.01,) * channels, (0,) * channels, 0, v))
        smaller = size - 1 if size > 3 and i % 4 == 0 else size
        shape = (1, smaller, smaller)
        if smaller < size:
            last = c.op(
                "SLICE",
                (last, c.integers(f"at{i}", [0, 0, 0, 0]), c.integers(f"of{i}", [*shape, channels])),
                (*shape, channels),
                next(t.scales[0] for t in reversed(c.tensors) if t.name == last),
            )
        size = smaller
        maps = c.op(
            "DEPTHWISE_CONV_2D", (last, f"dw{i}"), (*shape, 3 * channels), padding="SAME", strideH=1, strideW=1, depthMultiplier=3
        )
        mixed = c.op("CONV_2D", (maps, f"pw{i}"), (*shape, channels), padding="SAME", strideH=1, strideW=1)
        last = c.op("ADD", (mixed, last), (*shape, channels), fusedActivationFunction="NONE")
    return c.file(("x",), (last,))


KINDS: Mapping[str, Callable[[int], bytes]] = {
    made.__name__: made
    for made in (
        add_chain, doubled, reshape_chain, reshape_fan, conv_chain, padded_convs, residual_ladder, fan_out, depthwise_fan,
        branches, concatenations, many_inputs, many_outputs, nested, tangle, shrinking, heads,
    )
}  # fmt: skip
