"""What a float ONNX graph holds, counted."""

from __future__ import annotations

import math
from collections import Counter

from .onnx_graph import Node, OnnxGraph


def operators(graph: OnnxGraph) -> dict[str, int]:
    """How many nodes of each kind, the most frequent first."""
    return dict(sorted(Counter(node.op for node in graph.nodes).items(), key=lambda found: (-found[1], found[0])))


def macs(graph: OnnxGraph) -> int:
    """Multiply-accumulates of convolutions, transposed ones and products of matrices, for one input."""
    return sum(_macs(node, graph) for node in graph.nodes)


def _macs(node: Node, graph: OnnxGraph) -> int:
    if node.op not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return 0
    given, weights = (graph.shapes[name] for name in node.inputs[:2])
    results = math.prod(graph.shapes[node.output])
    if node.op == "Conv":
        return results * math.prod(weights[1:])
    if node.op == "ConvTranspose":
        return math.prod(given) * math.prod(weights[1:])
    return results * (given[0] if node.op == "Gemm" and node.attrs.get("transA", 0) else given[-1])
