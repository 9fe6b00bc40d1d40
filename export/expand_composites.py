"""ONNX operators that say in one word what simpler ones say in two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .onnx_graph import Array, Node, OnnxGraph
from .onnx_nodes import add_constant, reduced_size, slice_node


def expand_composites(graph: OnnxGraph) -> OnnxGraph:
    """Global pools, ReduceSum, Pow(x, 2), MatMul, BatchNormalization, HardSigmoid, Max of many, Split and Gather, simpler."""
    constants: dict[str, Array] = {}
    nodes: list[Node] = []
    changed = False
    for node in graph.nodes:
        expanded = _EXPANSIONS[node.op](node, graph, constants) if node.op in _EXPANSIONS else None
        nodes.extend(expanded if expanded is not None else [node])
        changed = changed or expanded is not None
    return graph.rewritten(nodes, constants) if changed else graph


def _expand_global_pool(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node]:
    axes = add_constant(constants, f"{node.output}/axes", np.arange(2, len(graph.shapes[node.inputs[0]])))
    op = "ReduceMean" if node.op == "GlobalAveragePool" else "ReduceMax"
    return [replace(node, op=op, inputs=(node.inputs[0], axes), attrs={"keepdims": 1})]


def _expand_sum(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    if reduced_size(node, graph) < 1:
        return None
    count = add_constant(constants, f"{node.output}/count", np.array(reduced_size(node, graph), np.float32))
    mean = f"{node.output}/mean"
    return [replace(node, op="ReduceMean", outputs=(mean,)), replace(node, op="Mul", inputs=(mean, count), attrs={})]


def _expand_square(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    exponent = graph.constants.get(node.inputs[1])
    if exponent is None or not np.all(exponent == 2) or exponent.size != 1:
        return None
    return [replace(node, op="Mul", inputs=(node.inputs[0], node.inputs[0]), attrs={})]


def _expand_hard_sigmoid(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node]:
    """clip(alpha * x + beta, 0, 1): the product and the sum go into the layer before."""
    alpha = add_constant(constants, f"{node.output}/alpha", np.array(node.attrs.get("alpha", 0.2), np.float32))
    beta = add_constant(constants, f"{node.output}/beta", np.array(node.attrs.get("beta", 0.5), np.float32))
    low = add_constant(constants, f"{node.output}/low", np.array(0, np.float32))
    high = add_constant(constants, f"{node.output}/high", np.array(1, np.float32))
    scaled, shifted = f"{node.output}/scaled", f"{node.output}/shifted"
    return [
        replace(node, op="Mul", inputs=(node.inputs[0], alpha), outputs=(scaled,), attrs={}),
        replace(node, op="Add", inputs=(scaled, beta), outputs=(shifted,), attrs={}),
        replace(node, op="Clip", inputs=(shifted, low, high), attrs={}),
    ]


def _expand_batch_norm(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    if any(name not in graph.constants for name in node.inputs[1:]) or node.attrs.get("training_mode", 0):
        return None
    scale, shift, mean, variance = (graph.constants[name].astype(np.float64) for name in node.inputs[1:5])
    factor = scale / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
    along = (1, -1) + (1,) * (len(graph.shapes[node.inputs[0]]) - 2)
    scaled = f"{node.output}/scaled"
    factors = add_constant(constants, f"{node.output}/factor", factor.reshape(along).astype(np.float32))
    offsets = add_constant(constants, f"{node.output}/offset", (shift - mean * factor).reshape(along).astype(np.float32))
    return [
        replace(node, op="Mul", inputs=(node.inputs[0], factors), outputs=(scaled,), attrs={}),
        replace(node, op="Add", inputs=(scaled, offsets), outputs=node.outputs[:1], attrs={}),
    ]


def _expand_matmul(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    is_layer = node.inputs[1] in graph.constants and all(len(graph.shapes[name]) == 2 for name in node.inputs)
    return [replace(node, op="Gemm")] if is_layer else None


def _expand_max(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    if len(node.inputs) < 3:
        return None
    nodes, left = [], node.inputs[0]
    for index, right in enumerate(node.inputs[1:], start=2):
        output = node.output if index == len(node.inputs) else f"{node.output}/first{index}"
        nodes.append(replace(node, inputs=(left, right), outputs=(output,)))
        left = output
    return nodes


def _expand_split(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node]:
    axis = node.attrs.get("axis", 0) % len(graph.shapes[node.inputs[0]])
    nodes, start = [], 0
    for output in node.outputs:
        end = start + graph.shapes[output][axis]
        nodes.append(slice_node(node, node.inputs[0], output, axis, start, end, constants))
        start = end
    return nodes


def _expand_gather(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    indices = graph.constants.get(node.inputs[1])
    if indices is None or indices.size != 1:
        return None
    shape = graph.shapes[node.inputs[0]]
    axis = node.attrs.get("axis", 0) % len(shape)
    index = int(indices.reshape(())) % shape[axis]
    taken = f"{node.output}/slice"
    target = add_constant(constants, f"{node.output}/shape", np.array(graph.shapes[node.output]))
    return [
        slice_node(node, node.inputs[0], taken, axis, index, index + 1, constants),
        replace(node, op="Reshape", inputs=(taken, target), attrs={}),
    ]


_EXPANSIONS: dict[str, Callable[[Node, OnnxGraph, dict[str, Array]], list[Node] | None]] = {
    "GlobalAveragePool": _expand_global_pool,
    "GlobalMaxPool": _expand_global_pool,
    "ReduceSum": _expand_sum,
    "Pow": _expand_square,
    "MatMul": _expand_matmul,
    "Max": _expand_max,
    "BatchNormalization": _expand_batch_norm,
    "HardSigmoid": _expand_hard_sigmoid,
    "Split": _expand_split,
    "Gather": _expand_gather,
}
