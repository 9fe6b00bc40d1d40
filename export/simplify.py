"""Rewrites of a float ONNX graph that leave fewer kinds of nodes to lower; its values stay the same numbers.

Every pass takes a graph and returns a graph (the same object where it found nothing). What remains afterwards: Conv with one
group or depthwise, Gemm, MatMul, Relu, Clip, HardSwish, Sigmoid, Softmax, ReduceMean, ReduceMax, Add, Sub, Mul, Max, Concat,
Slice, Pad, MaxPool, AveragePool, Reshape, Transpose, and whatever is not supported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .fold_affine import fold_affine
from .onnx_graph import Array, Node, OnnxGraph, fold_constants

MAX_GROUPS = 16  # a grouped convolution becomes so many convolutions of slices at most


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
        split_groups,
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
    if node.op == "Slice" and _all_constant(node, 4, graph, lambda steps: (steps > 0).all(), if_absent=True):
        return first
    if node.op == "Pad" and _all_constant(node, 1, graph, lambda pads: not pads.any()):
        return first
    if node.op in ("ReduceMean", "ReduceMax", "ReduceSum") and reduced_size(node, graph) == 1:
        return first
    if node.op == "Transpose" and list(node.attrs.get("perm", ())) == sorted(node.attrs.get("perm", (1, 0))):
        return first
    if node.op == "Cast" and node.attrs.get("to") == 1:
        return first
    return _neutral_operand(node, graph)


def _all_constant(node: Node, index: int, graph: OnnxGraph, holds: Callable[[Array], bool], if_absent: bool = False) -> bool:
    """Whether an input is constant and something holds for it."""
    if len(node.inputs) <= index or not node.inputs[index]:
        return if_absent
    constant = graph.constants.get(node.inputs[index])
    return constant is not None and bool(holds(constant))


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


def recognise_activations(graph: OnnxGraph) -> OnnxGraph:
    """x * HardSigmoid(x) and x * Clip(x + 3, 0, 6) / 6 in any spelling become HardSwish; a Clip at 0 becomes Relu."""
    producers = graph.producers()

    def hard_sigmoid_of(name: str, factor: float) -> str | None:
        """x where `name` is factor * HardSigmoid(x)."""
        node = producers.get(name)
        if node is None:
            return None
        if node.op == "HardSigmoid" and math.isclose(factor, 1.0):
            slope, offset = node.attrs.get("alpha", 0.2), node.attrs.get("beta", 0.5)
            return node.inputs[0] if math.isclose(slope, 1 / 6, rel_tol=1e-4) and math.isclose(offset, 0.5) else None
        if node.op in ("Div", "Mul"):
            scaled = scalar_operand(node, graph)
            if scaled is not None:
                value, constant = scaled
                return hard_sigmoid_of(value, factor * (constant if node.op == "Div" else 1 / constant))
        if clip_bounds(node, graph) == (0.0, 6.0) and math.isclose(factor, 6.0, rel_tol=1e-5):
            inner = producers.get(node.inputs[0])
            shifted = scalar_operand(inner, graph) if inner is not None and inner.op == "Add" else None
            return shifted[0] if shifted is not None and shifted[1] == 3.0 else None
        return None

    def hard_swish_input(node: Node, factor: float = 1.0) -> str | None:
        """x where `node` computes factor * HardSwish(x)."""
        if node.op in ("Mul", "Div"):
            scaled = scalar_operand(node, graph)
            if scaled is not None:
                inner = producers.get(scaled[0])
                change = scaled[1] if node.op == "Div" else 1 / scaled[1]
                return None if inner is None else hard_swish_input(inner, factor * change)
        if node.op == "Mul":
            a, b = node.inputs
            for x, gate in ((a, b), (b, a)):
                if hard_sigmoid_of(gate, factor) == x:
                    return x
        return None

    nodes, changed = [], False
    for node in graph.nodes:
        x = hard_swish_input(node)
        if x is not None:
            node, changed = replace(node, op="HardSwish", inputs=(x,), attrs={}), True
        elif clip_bounds(node, graph) == (0.0, math.inf):
            node, changed = replace(node, op="Relu", inputs=(_activation_input(node, graph),), attrs={}), True
        nodes.append(node)
    return graph.rewritten(nodes) if changed else graph


def _activation_input(node: Node, graph: OnnxGraph) -> str:
    return next(name for name in node.inputs if name not in graph.constants)


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


def scalar_operand(node: Node, graph: OnnxGraph) -> tuple[str, float] | None:
    """(x, c) of a node with two inputs, one of them a constant of one element (of Div and Sub: the second one)."""
    a, b = node.inputs[:2]
    for x, other in ((a, b), (b, a)) if node.op not in ("Div", "Sub") else ((a, b),):
        constant = graph.constants.get(other)
        if constant is not None and constant.size == 1 and x not in graph.constants:
            return x, float(constant.reshape(()))
    return None


def expand_composites(graph: OnnxGraph) -> OnnxGraph:
    """Global pools, ReduceSum, Pow(x, 2), MatMul, BatchNormalization, Max of many, Split and scalar Gather in simpler words."""
    constants: dict[str, Array] = {}
    nodes: list[Node] = []
    changed = False
    for node in graph.nodes:
        expanded = _EXPANSIONS[node.op](node, graph, constants) if node.op in _EXPANSIONS else None
        nodes.extend(expanded if expanded is not None else [node])
        changed = changed or expanded is not None
    return graph.rewritten(nodes, constants) if changed else graph


def _expand_global_pool(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node]:
    axes = _constant(constants, f"{node.output}/axes", np.arange(2, len(graph.shapes[node.inputs[0]])))
    op = "ReduceMean" if node.op == "GlobalAveragePool" else "ReduceMax"
    return [replace(node, op=op, inputs=(node.inputs[0], axes), attrs={"keepdims": 1})]


def _expand_sum(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node]:
    count = _constant(constants, f"{node.output}/count", np.float32(reduced_size(node, graph)))
    mean = f"{node.output}/mean"
    return [replace(node, op="ReduceMean", outputs=(mean,)), replace(node, op="Mul", inputs=(mean, count), attrs={})]


def _expand_square(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    exponent = graph.constants.get(node.inputs[1])
    if exponent is None or not np.all(exponent == 2) or exponent.size != 1:
        return None
    return [replace(node, op="Mul", inputs=(node.inputs[0], node.inputs[0]), attrs={})]


def _expand_batch_norm(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    if any(name not in graph.constants for name in node.inputs[1:]) or node.attrs.get("training_mode", 0):
        return None
    scale, shift, mean, variance = (graph.constants[name].astype(np.float64) for name in node.inputs[1:5])
    factor = scale / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
    along = (1, -1) + (1,) * (len(graph.shapes[node.inputs[0]]) - 2)
    scaled = f"{node.output}/scaled"
    factors = _constant(constants, f"{node.output}/factor", factor.reshape(along).astype(np.float32))
    offsets = _constant(constants, f"{node.output}/offset", (shift - mean * factor).reshape(along).astype(np.float32))
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
    target = _constant(constants, f"{node.output}/shape", np.array(graph.shapes[node.output]))
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
    "Split": _expand_split,
    "Gather": _expand_gather,
}


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


def split_concat_convolutions(graph: OnnxGraph) -> OnnxGraph:
    """A 1-D convolution over concatenated channels becomes the sum of convolutions over each: every part keeps its own scale."""
    producers, uses = graph.producers(), graph.uses()
    constants: dict[str, Array] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        concat = producers.get(node.inputs[0]) if node.op == "Conv" and len(graph.shapes[node.inputs[0]]) == 3 else None
        splits = concat is not None and concat.op == "Concat" and concat.attrs["axis"] in (1, -2)
        if concat is None or not splits or node.attrs.get("group", 1) != 1 or uses[concat.output] > 1:
            nodes.append(node)
            continue
        weights = graph.constants[node.inputs[1]]
        sums, start = "", 0
        for index, part in enumerate(concat.inputs):
            end = start + graph.shapes[part][1]
            part_weights = _constant(constants, f"{node.output}/weight{index}", weights[:, start:end])
            bias = node.inputs[2:3] if index == 0 else ()
            partial = f"{node.output}/part{index}"
            nodes.append(replace(node, inputs=(part, part_weights, *bias), outputs=(partial,)))
            if index:
                total = node.output if index == len(concat.inputs) - 1 else f"{node.output}/sum{index}"
                nodes.append(replace(node, op="Add", inputs=(sums, partial), outputs=(total,), attrs={}))
            sums, start = partial if not index else total, end
    return graph.rewritten(nodes, constants) if constants else graph


def split_groups(graph: OnnxGraph) -> OnnxGraph:
    """Grouped convolutions that are not depthwise in simpler words.

    1x1 with one output for each group: a depthwise scaling, then the mean over the group (times its size, in the weights).
    Up to MAX_GROUPS others: convolutions of slices, concatenated.
    """
    constants: dict[str, Array] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        groups = node.attrs.get("group", 1) if node.op == "Conv" else 1
        if groups == 1 or graph.shapes[node.inputs[0]][1] == groups or len(graph.shapes[node.inputs[0]]) != 4:
            nodes.append(node)
        elif graph.shapes[node.output][1] == groups and graph.shapes[node.output] == _pointwise_shape(node, graph):
            nodes.extend(_scale_and_sum(node, graph, constants))
        elif groups <= MAX_GROUPS:
            nodes.extend(_convolve_slices(node, graph, constants))
        else:
            nodes.append(node)
    return graph.rewritten(nodes, constants) if constants else graph


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
    scale = _constant(constants, f"{node.output}/scale", (weights * size).reshape(groups * size, 1, 1, 1))
    bias: tuple[str, ...] = ()
    if len(node.inputs) > 2:
        bias = (_constant(constants, f"{node.output}/bias", np.repeat(graph.constants[node.inputs[2]], size)),)
    scaled, grouped = f"{node.output}/scaled", f"{node.output}/grouped"
    shape = _constant(constants, f"{node.output}/by_group", np.array([batch, groups, size, h, w]))
    axes = _constant(constants, f"{node.output}/axes", np.array([2]))
    attrs = {"group": groups * size, "kernel_shape": [1, 1]}
    yield replace(node, inputs=(node.inputs[0], scale, *bias), outputs=(scaled,), attrs=attrs)
    yield replace(node, op="Reshape", inputs=(scaled, shape), outputs=(grouped,), attrs={})
    yield replace(node, op="ReduceMean", inputs=(grouped, axes), attrs={"keepdims": 0})


def _convolve_slices(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> Iterator[Node]:
    groups = node.attrs["group"]
    weights = graph.constants[node.inputs[1]]
    per_input, per_output = weights.shape[1], weights.shape[0] // groups
    parts = []
    for index in range(groups):
        taken, part = f"{node.output}/slice{index}", f"{node.output}/part{index}"
        yield slice_node(node, node.inputs[0], taken, 1, index * per_input, (index + 1) * per_input, constants)
        rows = slice(index * per_output, (index + 1) * per_output)
        part_weights = _constant(constants, f"{node.output}/weight{index}", weights[rows])
        bias: tuple[str, ...] = ()
        if len(node.inputs) > 2:
            bias = (_constant(constants, f"{node.output}/bias{index}", graph.constants[node.inputs[2]][rows]),)
        yield replace(node, inputs=(taken, part_weights, *bias), outputs=(part,), attrs={**node.attrs, "group": 1})
        parts.append(part)
    yield replace(node, op="Concat", inputs=tuple(parts), attrs={"axis": 1})


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
        padding = _constant(constants, f"{node.output}/pads", pads.reshape(-1))
        nodes.append(replace(node, op="Pad", inputs=(moving[0], padding), attrs={}))
    return graph.rewritten(nodes, constants) if constants else graph


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
    """How many elements each output of a Reduce node sees."""
    axes = reduced_axes(node, graph)
    return -1 if axes is None else math.prod(graph.shapes[node.inputs[0]][axis] for axis in axes)


def slice_node(origin: Node, value: str, output: str, axis: int, start: int, end: int, constants: dict[str, Array]) -> Node:
    """A Slice of one axis, in place of (a part of) `origin`."""
    parts = (("starts", start), ("ends", end), ("axes", axis))
    names = tuple(_constant(constants, f"{output}/{part}", np.array([number])) for part, number in parts)
    return replace(origin, op="Slice", inputs=(value, *names), outputs=(output,), attrs={})


def _constant(constants: dict[str, Array], name: str, value: Array) -> str:
    constants[name] = np.asarray(value)
    return name
