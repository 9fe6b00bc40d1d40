"""The float ONNX model of a lowered network whose weights have changed: what lowering did to the weights, undone.

Lowering only puts weights into another order. Lowered with its weights' numbers in place of their values, a graph tells where
each weight went.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import BadModel
from .float_graph import Array, FloatGraph, FloatOp
from .lower import lower
from .onnx_graph import Node, OnnxGraph

_LAYERS = ("Conv", "Gemm", "MatMul")


def with_weights_of(graph: OnnxGraph, tuned: FloatGraph) -> OnnxGraph:
    """The simplified graph `graph`, from which `tuned` was lowered, with the weights and biases that `tuned` has now."""
    graph, layers = _own_weights(graph)
    starts = np.cumsum([0, *(graph.constants[name].size for name in layers)])
    flat = np.concatenate([graph.constants[name].reshape(-1) for name in layers]).astype(np.float32)
    numbered = {
        name: np.arange(start, start + graph.constants[name].size, dtype=np.float64).reshape(graph.constants[name].shape)
        for name, start in zip(layers, starts, strict=False)
    }
    lowered = lower(replace(graph, constants={**graph.constants, **numbered}))
    for origin, op in zip(_weighted(lowered), _weighted(tuned), strict=True):
        for numbers, values in ((origin.weights, op.weights), (origin.bias, op.bias)):
            if numbers is None or values is None:
                assert numbers is values, op.node
                continue
            places = np.asarray(numbers).astype(np.int64)
            if not np.array_equal(places, numbers) or np.unique(places).size != places.size:
                raise BadModel(f"the weights of {op.node} cannot be traced back to the float model; export without --qat-epochs")
            flat[places] = values
    constants = {
        name: flat[start : start + graph.constants[name].size].reshape(graph.constants[name].shape)
        for name, start in zip(layers, starts, strict=False)
    }
    return replace(graph, constants={**graph.constants, **constants})


def _weighted(graph: FloatGraph) -> list[FloatOp]:
    return [op for op in graph.ops if op.weights is not None]


def _own_weights(graph: OnnxGraph) -> tuple[OnnxGraph, list[str]]:
    """(the graph where each layer has weights that no other reads, with a Gemm's factors in them; the names of those)."""
    constants, own, nodes = dict(graph.constants), [], []
    for node in graph.nodes:
        if node.op not in _LAYERS or node.inputs[1] not in graph.constants:
            nodes.append(node)
            continue
        weights, bias = _values(node, graph)
        inputs = [node.inputs[0], f"{node.output}.weight"]
        constants[inputs[1]] = weights
        if bias is not None:
            inputs.append(f"{node.output}.bias")
            constants[inputs[2]] = bias
        own += inputs[1:]
        attrs = {name: value for name, value in node.attrs.items() if name not in ("alpha", "beta")}
        nodes.append(replace(node, inputs=tuple(inputs), attrs=attrs))
    return replace(graph, constants=constants).rewritten(nodes, {name: constants[name] for name in own}), own


def _values(node: Node, graph: OnnxGraph) -> tuple[Array, Array | None]:
    """A layer's weights, and its bias with one value for each channel."""
    weights = np.array(graph.constants[node.inputs[1]])
    has_bias = len(node.inputs) > 2 and bool(node.inputs[2])
    bias = np.array(graph.constants[node.inputs[2]]) if has_bias else None
    if node.op == "Gemm":
        weights = weights * node.attrs.get("alpha", 1.0)
        channels = weights.shape[0 if node.attrs.get("transB", 0) else 1]
        if bias is not None:
            bias = np.broadcast_to(bias.reshape(-1) * node.attrs.get("beta", 1.0), (channels,))
    return weights.astype(np.float32), None if bias is None else bias.astype(np.float32)
