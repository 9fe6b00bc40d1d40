"""Convolutions that int8 computes better in parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .onnx_graph import Array, Node, OnnxGraph
from .onnx_nodes import add_constant


def split_concat_convolutions(graph: OnnxGraph) -> OnnxGraph:
    """A 1-D convolution over concatenated channels becomes the sum of convolutions over each: every part keeps its own scale."""
    producers, uses = graph.producers(), graph.uses()
    constants: dict[str, Array] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        concat = producers.get(node.inputs[0]) if node.op == "Conv" and len(graph.shapes[node.inputs[0]]) == 3 else None
        splits = concat is not None and concat.op == "Concat" and concat.attrs["axis"] in (1, -2)
        if concat is None or not splits or uses[concat.output] > 1 or _groups(node, graph) != 1:
            nodes.append(node)
            continue
        weights = graph.constants[node.inputs[1]]
        sums, start = "", 0
        for index, part in enumerate(concat.inputs):
            end = start + graph.shapes[part][1]
            part_weights = add_constant(constants, f"{node.output}/weight{index}", weights[:, start:end])
            bias = node.inputs[2:3] if index == 0 else ()
            partial = f"{node.output}/part{index}"
            nodes.append(replace(node, inputs=(part, part_weights, *bias), outputs=(partial,)))
            if index:
                total = node.output if index == len(concat.inputs) - 1 else f"{node.output}/sum{index}"
                nodes.append(replace(node, op="Add", inputs=(sums, partial), outputs=(total,), attrs={}))
            sums, start = partial if not index else total, end
    return graph.rewritten(nodes, constants) if constants else graph


def split_group_sums(graph: OnnxGraph) -> OnnxGraph:
    """A 1x1 convolution with one output for each group: a depthwise scaling, then the mean over the group.

    The group's size goes into the weights. Other groups stay: CONV_2D has them.
    """
    constants: dict[str, Array] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        groups = _groups(node, graph) if node.op == "Conv" else 0
        if groups < 2 or graph.shapes[node.inputs[0]][1] == groups or len(graph.shapes[node.inputs[0]]) != 4:
            nodes.append(node)
        elif graph.shapes[node.output][1] == groups and graph.shapes[node.output] == _pointwise_shape(node, graph):
            nodes.extend(_scale_and_sum(node, graph, constants))
        else:
            nodes.append(node)
    return graph.rewritten(nodes, constants) if constants else graph


def _groups(node: Node, graph: OnnxGraph) -> int:
    """The groups of a convolution, 0 when its weights are not constant."""
    return int(node.attrs.get("group", 1)) if all(name in graph.constants for name in node.inputs[1:] if name) else 0


def _pointwise_shape(node: Node, graph: OnnxGraph) -> tuple[int, ...] | None:
    """The output shape of a 1x1 convolution of stride 1 without padding, None for any other."""
    weights = graph.shapes[node.inputs[1]]
    batch, _, h, w = graph.shapes[node.inputs[0]]
    plain = weights[2:] == (1, 1) and set(node.attrs.get("strides", [1])) == {1} and not any(node.attrs.get("pads", []))
    return (batch, weights[0], h, w) if plain else None


def _scale_and_sum(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> Iterator[Node]:
    weights = graph.constants[node.inputs[1]]
    groups, size = weights.shape[:2]
    batch, _, h, w = graph.shapes[node.inputs[0]]
    scale = add_constant(constants, f"{node.output}/scale", (weights * size).reshape(groups * size, 1, 1, 1))
    bias: tuple[str, ...] = ()
    if len(node.inputs) > 2:
        bias = (add_constant(constants, f"{node.output}/bias", np.repeat(graph.constants[node.inputs[2]], size)),)
    scaled, grouped = f"{node.output}/scaled", f"{node.output}/grouped"
    shape = add_constant(constants, f"{node.output}/by_group", np.array([batch, groups, size, h, w]))
    axes = add_constant(constants, f"{node.output}/axes", np.array([2]))
    attrs = {"group": groups * size, "kernel_shape": [1, 1]}
    yield replace(node, inputs=(node.inputs[0], scale, *bias), outputs=(scaled,), attrs=attrs)
    yield replace(node, op="Reshape", inputs=(scaled, shape), outputs=(grouped,), attrs={})
    yield replace(node, op="ReduceMean", inputs=(grouped, axes), attrs={"keepdims": 0})
