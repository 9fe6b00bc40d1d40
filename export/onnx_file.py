"""A float ONNX graph as a file of ours. No torch here."""

from __future__ import annotations

from collections import Counter

import onnx

from .onnx_graph import OnnxGraph

PRODUCER = "flynet-tiny"


def onnx_file(graph: OnnxGraph) -> bytes:
    """The graph as an ONNX file with the names of its nodes and values; the same graph gives the same bytes."""
    model = onnx.load_from_string(graph.model(()))
    infos = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, graph.shapes[name]) for name in graph.outputs]
    model.graph.output.extend(infos)
    names = Counter(node.name for node in graph.nodes)
    for node, proto in zip(graph.nodes, model.graph.node, strict=True):
        proto.name = node.name if node.name and names[node.name] == 1 else node.output
    model.producer_name, model.graph.name = PRODUCER, "main"
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
