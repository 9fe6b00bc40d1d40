"""BatchNormalization out of a float ONNX file: into the layer before it, or a layer of its own. No torch here."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

Doubles = npt.NDArray[np.float64]


def fold_batch_norm(proto: onnx.ModelProto) -> None:
    """A BatchNormalization whose input is one convolution's or fully connected layer's alone goes into its weights and bias."""
    graph = proto.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input) + Counter(value.name for value in graph.output)
    producers = {node.output[0]: node for node in graph.node}
    folded = []
    for node in graph.node:
        conv = producers.get(node.input[0]) if node.op_type == "BatchNormalization" else None
        if conv is None or not _has_output_rows(conv) or uses[node.input[0]] > 1 or uses[conv.input[1]] > 1:
            continue
        if not _are_constant((*conv.input[1:], *node.input[1:5]), tensors) or _is_training(node):
            continue
        gain, shift = _affine(node, tensors)
        weights = numpy_helper.to_array(tensors[conv.input[1]]).astype(np.float64)
        weights *= gain.reshape(-1, *[1] * (weights.ndim - 1))
        if len(conv.input) > 2 and conv.input[2]:
            shift = shift + gain * numpy_helper.to_array(tensors[conv.input[2]])
        bias = _unused(f"{conv.output[0]}.bias", tensors)
        tensors[conv.input[1]].CopyFrom(numpy_helper.from_array(weights.astype(np.float32), conv.input[1]))
        graph.initializer.append(numpy_helper.from_array(shift.astype(np.float32), bias))
        tensors[bias] = graph.initializer[-1]
        replace_field(conv.input, [*conv.input[:2], bias])
        conv.output[0] = node.output[0]
        folded.append(node)
    for node in folded:
        graph.node.remove(node)


def _are_constant(names: Iterable[str], tensors: Mapping[str, onnx.TensorProto]) -> bool:
    return all(name in tensors for name in names if name)


def _is_training(norm: onnx.NodeProto) -> bool:
    """Whether it takes the statistics of its batch: a model that was exported in training."""
    return any(attribute.name == "training_mode" and attribute.i for attribute in norm.attribute)


def _unused(name: str, taken: Mapping[str, onnx.TensorProto]) -> str:
    while name in taken:
        name += "_"
    return name


def _has_output_rows(layer: onnx.NodeProto) -> bool:
    """Whether the first axis of a node's weights is that of its output channels: of a Conv, and of the Gemm of a Linear."""
    attributes = {attribute.name: attribute for attribute in layer.attribute}
    plain = all(attributes[name].f == 1.0 for name in ("alpha", "beta") if name in attributes)
    return layer.op_type == "Conv" or (
        layer.op_type == "Gemm" and plain and "transB" in attributes and attributes["transB"].i == 1
    )


def replace_batch_norm(proto: onnx.ModelProto) -> None:
    """A BatchNormalization that no layer could take in becomes a 1x1 depthwise convolution, of a vector a product and a sum."""
    graph = proto.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            nodes.append(node)
            continue
        rank = len(_shape(graph, node.output[0]))
        gain, shift = _affine(node, tensors)
        data, result = node.input[0], node.output[0]
        weight, bias, scaled = f"{result}.weight", f"{result}.bias", f"{result}.scaled"
        weights = gain.astype(np.float32)
        if rank > 2:
            weights = weights.reshape(-1, *[1] * (rank - 1))
            made = [onnx.helper.make_node("Conv", [data, weight, bias], [result], node.name, group=len(gain))]
        else:
            made = [
                onnx.helper.make_node("Mul", [data, weight], [scaled], f"{node.name}.scaled"),
                onnx.helper.make_node("Add", [scaled, bias], [result], node.name),
            ]
        graph.initializer.append(numpy_helper.from_array(weights, weight))
        graph.initializer.append(numpy_helper.from_array(shift.astype(np.float32), bias))
        for part in made:
            part.metadata_props.extend(node.metadata_props)
        nodes += made
    replace_field(graph.node, nodes)


def drop_zero_bias(proto: onnx.ModelProto) -> None:
    """The exporter gives a convolution without bias one of zeros."""
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        biased = node.op_type == "Conv" and len(node.input) > 2 and node.input[2] in tensors
        if biased and not numpy_helper.to_array(tensors[node.input[2]]).any():
            del node.input[2]


def _affine(norm: onnx.NodeProto, tensors: Mapping[str, onnx.TensorProto]) -> tuple[Doubles, Doubles]:
    """The gain and the shift of each channel that a BatchNormalization is in inference."""
    epsilon = next((attribute.f for attribute in norm.attribute if attribute.name == "epsilon"), 1e-5)
    gain, shift, mean, variance = (numpy_helper.to_array(tensors[name]).astype(np.float64) for name in norm.input[1:5])
    gain = gain / np.sqrt(variance + epsilon)
    return gain, shift - mean * gain


def replace_field(field: Any, items: Iterable[Any]) -> None:
    """Set a repeated protobuf field, whose messages cannot be assigned."""
    kept = [copy.copy(item) for item in items]
    del field[:]
    field.extend(kept)


def _shape(graph: onnx.GraphProto, name: str) -> tuple[int, ...]:
    value = next(value for value in (*graph.value_info, *graph.output) if value.name == name)
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
