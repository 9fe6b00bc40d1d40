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


def _expand_norm(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    """ReduceL2: the root of a mean of squares times their count."""
    size = reduced_size(node, graph)
    if size < 1:
        return None
    count = add_constant(constants, f"{node.output}/count", np.array(size, np.float32))
    squares, mean, total = (f"{node.output}/{part}" for part in ("squares", "mean", "total"))
    return [
        replace(node, op="Mul", inputs=(node.inputs[0], node.inputs[0]), outputs=(squares,), attrs={}),
        replace(node, op="ReduceMean", inputs=(squares, *node.inputs[1:]), outputs=(mean,)),
        replace(node, op="Mul", inputs=(mean, count), outputs=(total,), attrs={}),
        replace(node, op="Sqrt", inputs=(total,), attrs={}),
    ]


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


def _expand_div(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    """A product with the reciprocal, which is a table."""
    dividend, divisor = node.inputs
    if divisor in graph.constants or dividend in graph.constants:
        return None
    inverse = f"{node.output}/inverse"
    return [
        replace(node, op="Reciprocal", inputs=(divisor,), outputs=(inverse,)),
        replace(node, op="Mul", inputs=(dividend, inverse)),
    ]


def _normalised(node: Node, value: str, axes: Array, epsilon: float, output: str, constants: dict[str, Array]) -> list[Node]:
    """(x - mean) / sqrt(variance + epsilon)."""

    def name(part: str) -> str:
        return f"{node.output}/{part}"

    over = add_constant(constants, name("axes"), axes)
    small = add_constant(constants, name("epsilon"), np.array(epsilon, np.float32))
    steps: list[tuple[str, tuple[str, ...], str]] = [
        ("ReduceMean", (value, over), name("mean")),
        ("Sub", (value, name("mean")), name("centred")),
        ("Mul", (name("centred"), name("centred")), name("squares")),
        ("ReduceMean", (name("squares"), over), name("variance")),
        ("Add", (name("variance"), small), name("above")),
        ("Sqrt", (name("above"),), name("deviation")),
        ("Reciprocal", (name("deviation"),), name("inverse")),
        ("Mul", (name("centred"), name("inverse")), output),
    ]
    return [
        replace(node, op=op, inputs=inputs, outputs=(made,), attrs={"keepdims": 1} if op == "ReduceMean" else {})
        for op, inputs, made in steps
    ]


def _scaled(node: Node, value: str, factor: str, offset: str) -> list[Node]:
    scaled = f"{node.output}/scaled" if offset else node.output
    nodes = [replace(node, op="Mul", inputs=(value, factor), outputs=(scaled,), attrs={})]
    return [*nodes, replace(node, op="Add", inputs=(scaled, offset), outputs=node.outputs[:1], attrs={})] if offset else nodes


def _expand_layer_norm(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    if any(name not in graph.constants for name in node.inputs[1:] if name) or any(node.outputs[1:]):
        return None
    rank = len(graph.shapes[node.inputs[0]])
    axes = np.arange(node.attrs.get("axis", -1) % rank, rank)
    normal = f"{node.output}/normal"
    nodes = _normalised(node, node.inputs[0], axes, node.attrs.get("epsilon", 1e-5), normal, constants)
    return [*nodes, *_scaled(node, normal, node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else "")]


def _expand_instance_norm(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    if any(name not in graph.constants for name in node.inputs[1:]):
        return None
    rank = len(graph.shapes[node.inputs[0]])
    along = (1, -1) + (1,) * (rank - 2)
    normal = f"{node.output}/normal"
    nodes = _normalised(node, node.inputs[0], np.arange(2, rank), node.attrs.get("epsilon", 1e-5), normal, constants)
    factor, offset = (
        add_constant(constants, f"{node.output}/{part}", graph.constants[name].reshape(along))
        for part, name in zip(("factor", "offset"), node.inputs[1:3], strict=True)
    )
    return [*nodes, *_scaled(node, normal, factor, offset)]


def _expand_blocks(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node]:
    """DepthToSpace and SpaceToDepth: Reshape, Transpose, Reshape."""
    n, c, h, w = graph.shapes[node.inputs[0]]
    block = int(node.attrs["blocksize"])
    if node.op == "SpaceToDepth":
        shape, order = (n, c, h // block, block, w // block, block), (0, 3, 5, 1, 2, 4)
    elif node.attrs.get("mode", b"DCR") in (b"CRD", "CRD"):
        shape, order = (n, c // block**2, block, block, h, w), (0, 1, 4, 2, 5, 3)
    else:
        shape, order = (n, block, block, c // block**2, h, w), (0, 3, 4, 1, 5, 2)
    return _regrouped(node, node.inputs[0], shape, order, graph.shapes[node.output], constants)


def _regrouped(
    node: Node, value: str, shape: tuple[int, ...], order: tuple[int, ...], result: tuple[int, ...], constants: dict[str, Array]
) -> list[Node]:
    apart, moved = f"{node.output}/apart", f"{node.output}/moved"
    first = add_constant(constants, f"{node.output}/apart_shape", np.array(shape))
    last = add_constant(constants, f"{node.output}/shape", np.array(result))
    return [
        replace(node, op="Reshape", inputs=(value, first), outputs=(apart,), attrs={}),
        replace(node, op="Transpose", inputs=(apart,), outputs=(moved,), attrs={"perm": order}),
        replace(node, op="Reshape", inputs=(moved, last), attrs={}),
    ]


def _expand_transposed_conv(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    """A convolution that makes all outputs of a stride as channels, then their places: no zeros are multiplied but at its rim.

    Output row q * stride + r is the sum over taps j of row q - j times weights row r + j * stride + pad, where there is one.
    """
    weights = graph.constants.get(node.inputs[1])
    bias = graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    source, result = graph.shapes[node.inputs[0]], graph.shapes[node.output]
    if weights is None or weights.ndim != 4 or node.attrs.get("group", 1) != 1 or (len(node.inputs) > 2 and bias is None):
        return None
    strides, pads = node.attrs.get("strides", (1, 1)), node.attrs.get("pads", (0, 0, 0, 0))
    if set(node.attrs.get("dilations", (1, 1))) != {1} or _is_auto(node) or node.attrs.get("output_shape"):
        return None
    taps, around, steps = [], [], []
    for axis in (0, 1):
        stride, pad, kernel, size = strides[axis], pads[axis], weights.shape[2 + axis], result[2 + axis]
        last = max((kernel - 1 - r - pad) // stride for r in range(stride))
        reached = [j for j in range(-pad - 1, last + 1) if any(0 <= r + j * stride + pad < kernel for r in range(stride))]
        if not reached or max(reached) < 0:
            return None
        first, last = min(reached), max(reached)
        taps.append([[r + j * stride + pad for j in range(last, first - 1, -1)] for r in range(stride)])
        steps.append(-(-size // stride))
        around.append((last, steps[-1] - 1 - first - (source[2 + axis] - 1)))
    if min(min(pair) for pair in around) < 0:
        return None
    channels, phases = weights.shape[1], strides[0] * strides[1]
    folded = np.zeros((*strides, channels, weights.shape[0], len(taps[0][0]), len(taps[1][0])), np.float32)
    for r, rows in enumerate(taps[0]):
        for s, columns in enumerate(taps[1]):
            for y, ky in enumerate(rows):
                for x, kx in enumerate(columns):
                    if 0 <= ky < weights.shape[2] and 0 <= kx < weights.shape[3]:
                        folded[r, s, :, :, y, x] = weights[:, :, ky, kx].T
    name = node.output
    inputs = [node.inputs[0], add_constant(constants, f"{name}/folded", folded.reshape(phases * channels, *folded.shape[3:]))]
    if bias is not None:
        inputs.append(add_constant(constants, f"{name}/tiled", np.tile(bias, phases)))
    attrs = {"pads": [around[0][0], around[1][0], around[0][1], around[1][1]], "kernel_shape": list(folded.shape[4:])}
    deep, wide = (name, name) if phases == 1 else (f"{name}/deep", f"{name}/wide")
    nodes = [replace(node, op="Conv", inputs=tuple(inputs), outputs=(deep,), attrs=attrs)]
    if phases == 1:
        return nodes
    whole = (result[0], channels, steps[0] * strides[0], steps[1] * strides[1])
    wide = name if whole == result else wide
    shape = (result[0], *strides, channels, *steps)
    nodes += _regrouped(replace(node, outputs=(wide,)), deep, shape, (0, 3, 4, 1, 5, 2), whole, constants)
    if whole != result:
        ends = add_constant(constants, f"{name}/ends", np.array(result[2:]))
        starts = add_constant(constants, f"{name}/starts", np.array((0, 0)))
        axes = add_constant(constants, f"{name}/axes", np.array((2, 3)))
        nodes.append(replace(node, op="Slice", inputs=(wide, starts, ends, axes), attrs={}))
    return nodes


def _is_auto(node: Node) -> bool:
    return node.attrs.get("auto_pad", b"NOTSET") not in (b"NOTSET", "NOTSET")


def _expand_places(node: Node, graph: OnnxGraph, constants: dict[str, Array]) -> list[Node] | None:
    """Whatever takes each axis by places of its own, as Tile, a nearest Resize or a mirrored Pad do: Gathers."""
    source, result = graph.shapes[node.inputs[0]], graph.shapes[node.output]
    if node.op == "Slice":
        steps = graph.constants.get(node.inputs[4]) if len(node.inputs) > 4 else None
        if steps is None or steps.min() > 0:
            return None
    if node.op == "Pad" and node.attrs.get("mode", b"constant") in (b"constant", "constant"):
        return None
    if node.op == "Resize" and node.attrs.get("mode", b"nearest") not in (b"nearest", "nearest"):
        return None
    if any(name not in graph.constants for name in node.inputs[1:] if name):
        return None
    padded = (1,) * (len(result) - len(source)) + source
    numbers = np.arange(np.prod(source), dtype=np.float32).reshape(source)
    if numbers.size >= 1 << 24:
        return None
    alone = OnnxGraph(
        (replace(node, inputs=("places", *node.inputs[1:]), outputs=("moved",)),),
        {name: graph.constants[name] for name in node.inputs[1:] if name},
        {"places": source},
        ("places",),
        ("moved",),
        graph.opset,
    )
    (moved,) = alone.session(["moved"]).run(None, {"places": numbers})
    found = np.stack(np.unravel_index(moved.astype(np.int64), padded))  # [rank, *result]
    places = [np.moveaxis(found[axis], axis, 0).reshape(result[axis], -1) for axis in range(len(result))]
    if any((part != part[:, :1]).any() for part in places):
        return None
    nodes, value = [], node.inputs[0]
    if padded != source:
        shape = add_constant(constants, f"{node.output}/padded", np.array(padded))
        nodes.append(replace(node, op="Reshape", inputs=(value, shape), outputs=(f"{node.output}/same",), attrs={}))
        value = f"{node.output}/same"
    moving = [axis for axis in reversed(range(len(result))) if places[axis][:, 0].tolist() != list(range(padded[axis]))]
    for axis in moving:
        indices = add_constant(constants, f"{node.output}/places{axis}", places[axis][:, 0])
        output = node.output if axis == moving[-1] else f"{node.output}/gathered{axis}"
        nodes.append(replace(node, op="Gather", inputs=(value, indices), outputs=(output,), attrs={"axis": axis}))
        value = output
    return nodes if moving else None


_EXPANSIONS: dict[str, Callable[[Node, OnnxGraph, dict[str, Array]], list[Node] | None]] = {
    "GlobalAveragePool": _expand_global_pool,
    "GlobalMaxPool": _expand_global_pool,
    "ReduceSum": _expand_sum,
    "ReduceL2": _expand_norm,
    "Pow": _expand_square,
    "MatMul": _expand_matmul,
    "Max": _expand_max,
    "BatchNormalization": _expand_batch_norm,
    "HardSigmoid": _expand_hard_sigmoid,
    "Split": _expand_split,
    "Gather": _expand_gather,
    "Div": _expand_div,
    "LayerNormalization": _expand_layer_norm,
    "InstanceNormalization": _expand_instance_norm,
    "DepthToSpace": _expand_blocks,
    "SpaceToDepth": _expand_blocks,
    "ConvTranspose": _expand_transposed_conv,
    "Tile": _expand_places,
    "Expand": _expand_places,
    "Resize": _expand_places,
    "Pad": _expand_places,
    "Slice": _expand_places,
}
