"""Rewrites of a float ONNX graph that leave fewer kinds of nodes to lower; its values stay the same numbers.

Every pass takes a graph and returns a graph (the same object where it found nothing). What remains afterwards: Conv,
Gemm, MatMul, Relu, Clip, HardSwish, Sigmoid, Softmax, ReduceMean, ReduceMax, Add, Sub, Mul, Max, Concat,
Slice, Gather, Pad, MaxPool, AveragePool, Reshape, Transpose, and whatever is not supported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .expand_composites import expand_composites
from .fold_affine import fold_affine
from .merge_branches import merge_branches
from .onnx_graph import Array, Node, OnnxGraph, fold_constants
from .onnx_nodes import add_constant, reduced_size
from .recognise_activations import recognise_activations
from .split_convolutions import split_concat_convolutions, split_group_sums


def simplify(graph: OnnxGraph) -> OnnxGraph:
    """The graph after all passes; they run in this order."""
    passes: tuple[Callable[[OnnxGraph], OnnxGraph], ...] = (
        rename_views,
        recognise_activations,
        expand_composites,
        drop_identities,
        fold_zero_differences,
        drop_identities,
        split_concat_convolutions,
        fold_affine,
        merge_branches,
        split_group_sums,
        pad_instead_of_concat,
        drop_identities,
    )
    for run in passes:
        changed = run(graph)
        if changed is not graph:
            graph = fold_constants(changed)
    return graph


def rename_views(graph: OnnxGraph) -> OnnxGraph:
    """Flatten, Squeeze, Unsqueeze and Reshape become Reshape to the shape that they produce."""
    views = [node for node in graph.nodes if node.op in ("Flatten", "Squeeze", "Unsqueeze", "Reshape")]
    if not views:
        return graph
    constants = {f"{node.output}/shape": np.array(graph.shapes[node.output], np.int64) for node in views}
    return graph.rewritten(
        [
            replace(node, op="Reshape", inputs=(node.inputs[0], f"{node.output}/shape"), attrs={}) if node in views else node
            for node in graph.nodes
        ],
        constants,
    )


def drop_identities(graph: OnnxGraph) -> OnnxGraph:
    """Without the nodes that return their input as it is; what reads them reads their input."""
    alias: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        node = replace(node, inputs=tuple(alias.get(name, name) for name in node.inputs))
        kept = _identity_of(node, graph)
        if kept is None:
            nodes.append(node)
        else:
            alias[node.output] = alias.get(kept, kept)
    if not alias:
        return graph
    return replace(graph, outputs=tuple(alias.get(name, name) for name in graph.outputs)).rewritten(nodes)


def _identity_of(node: Node, graph: OnnxGraph) -> str | None:
    """The input that a node returns unchanged, None when it does something."""
    first = node.inputs[0] if node.inputs else ""
    if node.op in ("Identity", "Dropout"):
        return first
    if not first or graph.shapes.get(first) != graph.shapes.get(node.output):
        return _neutral_operand(node, graph)
    if node.op in ("Reshape", "Expand") or (node.op in ("Concat", "Max") and len(node.inputs) == 1):
        return first
    if node.op == "Slice" and _all_constant(node, 4, graph, lambda steps: bool((steps > 0).all()), if_absent=True):
        return first
    if node.op == "Pad" and _all_constant(node, 1, graph, lambda pads: not bool(pads.any())):
        return first
    if node.op in ("ReduceMean", "ReduceMax", "ReduceSum") and reduced_size(node, graph) == 1:
        return first
    if node.op == "Transpose" and list(node.attrs.get("perm", ())) == sorted(node.attrs.get("perm", (1, 0))):
        return first
    if node.op == "CastLike" or (node.op == "Cast" and node.attrs.get("to") == 1):
        return first
    return _neutral_operand(node, graph)


def _all_constant(node: Node, index: int, graph: OnnxGraph, holds: Callable[[Array], bool], if_absent: bool = False) -> bool:
    """Whether an input is constant and something holds for it."""
    if len(node.inputs) <= index or not node.inputs[index]:
        return if_absent
    constant = graph.constants.get(node.inputs[index])
    return constant is not None and holds(constant)


def _neutral_operand(node: Node, graph: OnnxGraph) -> str | None:
    """x of x + 0, x - 0, x * 1 and x / 1."""
    neutral = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0}.get(node.op)
    if neutral is None:
        return None
    a, b = node.inputs
    for kept, other in ((a, b), (b, a)) if node.op in ("Add", "Mul") else ((a, b),):
        constant = graph.constants.get(other)
        if constant is not None and np.all(constant == neutral) and graph.shapes.get(kept) == graph.shapes[node.output]:
            return kept
    return None


def fold_zero_differences(graph: OnnxGraph) -> OnnxGraph:
    """x - mean(x) over a 1x1 map is 0: the variance branch of an attention on such a map becomes a constant and goes."""
    producers = graph.producers()

    def origin(name: str) -> str:
        """The value that `name` shows, through views and reductions over axes of 1."""
        node = producers.get(name)
        while node is not None:
            reduces_nothing = node.op in ("ReduceMean", "ReduceMax") and reduced_size(node, graph) == 1
            if node.op != "Reshape" and not reduces_nothing:
                break
            name = node.inputs[0]
            node = producers.get(name)
        return name

    constants = {
        f"{node.output}/zero": np.zeros(graph.shapes[node.output], np.float32)
        for node in graph.nodes
        if node.op == "Sub" and origin(node.inputs[0]) == origin(node.inputs[1]) and _same_size(node, graph)
    }
    if not constants:
        return graph
    return graph.rewritten(
        [
            replace(node, op="Identity", inputs=(f"{node.output}/zero",), attrs={})
            if f"{node.output}/zero" in constants
            else node
            for node in graph.nodes
        ],
        constants,
    )


def _same_size(node: Node, graph: OnnxGraph) -> bool:
    return len({math.prod(graph.shapes[name]) for name in (*node.inputs, *node.outputs)}) == 1


def pad_instead_of_concat(graph: OnnxGraph) -> OnnxGraph:
    """A concatenation of one value with constant zeros is a padding."""
    constants: dict[str, Array] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        moving = [name for name in node.inputs if name not in graph.constants] if node.op == "Concat" else []
        zeros = all(not graph.constants[name].any() for name in node.inputs if name in graph.constants)
        if len(moving) != 1 or len(node.inputs) == 1 or not zeros:
            nodes.append(node)
            continue
        rank = len(graph.shapes[node.output])
        axis = node.attrs["axis"] % rank
        place = node.inputs.index(moving[0])
        pads = np.zeros((2, rank), np.int64)
        pads[0, axis] = sum(graph.shapes[name][axis] for name in node.inputs[:place])
        pads[1, axis] = sum(graph.shapes[name][axis] for name in node.inputs[place + 1 :])
        padding = add_constant(constants, f"{node.output}/pads", pads.reshape(-1))
        nodes.append(replace(node, op="Pad", inputs=(moving[0], padding), attrs={}))
    return graph.rewritten(nodes, constants) if constants else graph
