"""What single ONNX nodes say: bounds, axes, constant operands; and nodes that several passes make."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from .onnx_graph import Array, Node, OnnxGraph


def clip_bounds(node: Node, graph: OnnxGraph) -> tuple[float, float] | None:
    """The bounds of a Clip, of Max(x, constant) and of Min(x, constant); None for any other node."""
    if node.op in ("Max", "Min") and len(node.inputs) == 2:
        bound = scalar_operand(node, graph)
        return None if bound is None else (bound[1], math.inf) if node.op == "Max" else (-math.inf, bound[1])
    if node.op != "Clip":
        return None
    bounds = [-math.inf, math.inf]
    for index, name in enumerate(node.inputs[1:3]):
        if name:
            if name not in graph.constants:
                return None
            bounds[index] = float(graph.constants[name])
    return bounds[0], math.inf if bounds[1] >= np.finfo(np.float32).max else bounds[1]


def clamp_of(node: Node, graph: OnnxGraph) -> str | None:
    """The TFLite activation that does what a Relu or a Clip around 0 does; None for any other node.

    Other bounds than 0 and 6 need none: the output's calibrated range ends at the bound, where int8 saturates (`saturates`).
    """
    if node.op == "Relu":
        return "RELU"
    low, high = clip_bounds(node, graph) or (math.nan, math.nan)
    if not (low <= 0.0 <= high and low < high):
        return None
    return "NONE" if low < 0.0 else "RELU6" if high == 6.0 else "RELU"


def saturates(node: Node, graph: OnnxGraph) -> bool:
    """Whether a Clip has a bound that its `clamp_of` does not keep."""
    low, high = clip_bounds(node, graph) or (-math.inf, math.inf)
    return -math.inf < low < 0.0 or (high < math.inf and (low, high) != (0.0, 6.0))


def scalar_operand(node: Node, graph: OnnxGraph) -> tuple[str, float] | None:
    """(x, c) of a node with two inputs, one of them a constant of one element (of Div and Sub: the second one)."""
    a, b = node.inputs[:2]
    for x, other in ((a, b), (b, a)) if node.op not in ("Div", "Sub") else ((a, b),):
        constant = graph.constants.get(other)
        if constant is not None and constant.size == 1 and x not in graph.constants:
            return x, float(constant.reshape(()))
    return None


def reduced_axes(node: Node, graph: OnnxGraph) -> tuple[int, ...] | None:
    """The axes of a Reduce node, sorted and not negative; None when they are not constant."""
    rank = len(graph.shapes[node.inputs[0]])
    axes: Any = node.attrs.get("axes")
    if len(node.inputs) > 1 and node.inputs[1]:
        if node.inputs[1] not in graph.constants:
            return None
        axes = graph.constants[node.inputs[1]].tolist()
    if not axes:
        return () if node.attrs.get("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted(axis % rank for axis in axes))


def reduced_size(node: Node, graph: OnnxGraph) -> int:
    """How many elements each output of a Reduce node sees, -1 when its axes are not constant."""
    axes = reduced_axes(node, graph)
    return -1 if axes is None else math.prod(graph.shapes[node.inputs[0]][axis] for axis in axes)


def slice_node(origin: Node, value: str, output: str, axis: int, start: int, end: int, constants: dict[str, Array]) -> Node:
    """A Slice of one axis, in place of (a part of) `origin`."""
    parts = (("starts", start), ("ends", end), ("axes", axis))
    names = tuple(add_constant(constants, f"{output}/{part}", np.array([number])) for part, number in parts)
    return replace(origin, op="Slice", inputs=(value, *names), outputs=(output,), attrs={})


def add_constant(constants: dict[str, Array], name: str, value: Array) -> str:
    """The name, under which the value now is a constant."""
    constants[name] = np.asarray(value)
    return name
