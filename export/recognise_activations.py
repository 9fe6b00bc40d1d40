"""Activations in all the spellings of exporters, under one name each."""

from __future__ import annotations

import math
from dataclasses import replace

from .onnx_graph import Node, OnnxGraph
from .onnx_nodes import clip_bounds, scalar_operand


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
