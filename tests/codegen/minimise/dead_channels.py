"""Small networks some of whose channels never change or are not read, as `.tflite` files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...small_models import Sketch
from ...stateful_models import StatefulSketch

OUT_OF_REACH = 500_000  # of any sum of a few products, and of what the scales can bring back into int8


def set_channel(s: Sketch, layer: str, channel: int, bias: int, weight: int = 0) -> None:
    """Give all weights of one output channel of a layer the same value."""
    weights, biases = s.tensors[f"{layer}_w"], s.tensors[f"{layer}_b"]
    assert weights.data is not None
    assert biases.data is not None
    values, sums = weights.data.copy(), biases.data.copy()
    if weights.shape[0] == 1 and weights.axis in (3, None) and len(weights.shape) == 4 and weights.shape[3] == len(sums):
        values[..., channel] = weight
    else:
        values[channel] = weight
    sums[channel] = bias
    s.tensors[f"{layer}_w"], s.tensors[f"{layer}_b"] = replace(weights, data=values), replace(biases, data=sums)


def set_reads(s: Sketch, layer: str, channel: int, weight: int = 0) -> None:
    """Give all weights with which a CONV_2D or FULLY_CONNECTED reads one input channel the same value."""
    weights = s.tensors[f"{layer}_w"]
    assert weights.data is not None
    values = weights.data.copy()
    values[..., channel] = weight
    s.tensors[f"{layer}_w"] = replace(weights, data=values)


def clamp(s: Sketch, activation: str) -> None:
    """The latest operator's fused activation."""
    s.ops[-1].options["fusedActivationFunction"] = activation  # type: ignore[index]


def separable(padding: str = "SAME", zero_point: int = -128, dead: int = OUT_OF_REACH, seed: int = 0) -> Sketch:
    """1x1 convolution to `a` (RELU), depthwise 3x3 to `b` (RELU), 1x1 to `y`; channels 1 and 4 of `a` do not change.

    dead  minus their bias: OUT_OF_REACH gives the smallest value, which is the padding's where the zero point is -128
    """
    s = Sketch(seed)
    side = 6 if padding == "SAME" else 4
    s.act("x", (1, 6, 6, 3))
    s.act("a", (1, 6, 6, 6), 0.03, zero_point)
    s.conv("x", "a", 6)
    clamp(s, "RELU")
    for channel in (1, 4):
        set_channel(s, "a", channel, -dead)
    s.act("b", (1, side, side, 6), 0.03, zero_point)
    s.depthwise("a", "b", 1, 3, padding)
    clamp(s, "RELU")
    s.act("y", (1, side, side, 4))
    s.conv("b", "y", 4)
    return s


def separable_file(padding: str = "SAME", zero_point: int = -128, dead: int = OUT_OF_REACH, seed: int = 0) -> bytes:
    """The file of `separable`."""
    return separable(padding, zero_point, dead, seed).file(("x",), ("y",))


def residual(both: bool, seed: int = 0) -> bytes:
    """`a` = conv(x), `b` = conv(a), `y` = conv(a + b): channel 2 of `a` never changes; channel 2 of `b` neither where `both`."""
    s = Sketch(seed)
    maps = (1, 4, 4, 5)
    s.act("x", maps)
    s.act("a", maps)
    s.conv("x", "a", 5)
    set_channel(s, "a", 2, 700)
    s.act("b", maps)
    s.conv("a", "b", 5)
    if both:
        set_channel(s, "b", 2, -300)
    s.act("sum", maps)
    s.op("ADD", ("a", "b"), "sum", fusedActivationFunction="NONE")
    s.act("y", (1, 4, 4, 3))
    s.conv("sum", "y", 3)
    return s.file(("x",), ("y",))


def streaming(start: np.ndarray | int = -128, unread: int | None = None, seed: int = 0) -> bytes:
    """`a` = conv(x), a row at a time; `b` = depthwise over the last 3 rows and this one; `y` = conv(b).

    Channels 1 and 4 of `a` are always -128.

    start   of the variable `old` [1, 3, 2, 6]
    unread  a channel that `y` does not read
    """
    s = StatefulSketch(seed)
    s.act("x", (1, 1, 2, 3))
    s.act("a", (1, 1, 2, 6), 0.03, -128)
    s.conv("x", "a", 6)
    clamp(s, "RELU")
    for channel in (1, 4):
        set_channel(s, "a", channel, -OUT_OF_REACH)
    for name, rows in (("old", 3), ("all", 4), ("kept", 3)):
        s.like(name, "a", (1, rows, 2, 6))
    s.begins("rows", "old", start)
    s.read("rows", "old")
    s.op("CONCATENATION", ("old", "a"), "all", axis=1, fusedActivationFunction="NONE")
    s.op("SLICE", ("all", s.const("begin", [0, 1, 0, 0]), s.const("size", [1, 3, 2, 6])), "kept")
    s.assign("rows", "kept")
    s.act("b", (1, 4, 2, 6), 0.03, -128)
    s.depthwise("all", "b", 1, 3)
    clamp(s, "RELU")
    s.act("y", (1, 4, 2, 4))
    s.conv("b", "y", 4)
    if unread is not None:
        set_reads(s, "y", unread)
    return s.file()
