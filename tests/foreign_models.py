"""Float ONNX files as strangers write them: of any opset, with free axes, functions, branches, weights in other files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

FLOAT = onnx.TensorProto.FLOAT


def classifier(opset: int = 17, shape: tuple[int | str, ...] = ("N", 3, "H", "W"), classes: int = 4) -> onnx.ModelProto:
    """Convolution, batch norm, ReLU6, mean, a flattening that reads the batch from its input, fully connected, softmax."""
    random = np.random.default_rng(0)

    def normal(name: str, *sizes: int) -> onnx.TensorProto:
        return numpy_helper.from_array((random.normal(size=sizes) * 0.4).astype(np.float32), name)

    constants = [
        normal("w1", 8, 3, 3, 3),
        *(normal(name, 8) for name in ("gain", "shift", "mean")),
        numpy_helper.from_array(random.uniform(0.5, 2, 8).astype(np.float32), "variance"),
        numpy_helper.from_array(np.float32(0), "low"),
        numpy_helper.from_array(np.float32(6), "high"),
        numpy_helper.from_array(np.array(0), "first"),
        numpy_helper.from_array(np.array([0]), "axis0"),
        numpy_helper.from_array(np.array([-1]), "rest"),
        numpy_helper.from_array(np.array([2, 3]), "axes"),
        normal("w2", classes, 8),
        normal("b2", classes),
    ]
    mean_inputs, mean_axes = (["r1", "axes"], {}) if opset >= 18 else (["r1"], {"axes": [2, 3]})
    batch_inputs, batch_axes = (["batch", "axis0"], {}) if opset >= 13 else (["batch"], {"axes": [0]})
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], "/conv/Conv", kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c1", "gain", "shift", "mean", "variance"], ["n1"], "/norm/BatchNormalization"),
        helper.make_node("Clip", ["n1", "low", "high"], ["r1"], "/relu6/Clip"),
        helper.make_node("ReduceMean", mean_inputs, ["m1"], "/pool/ReduceMean", keepdims=1, **mean_axes),
        helper.make_node("Shape", ["m1"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "first"], ["batch"], axis=0),
        helper.make_node("Unsqueeze", batch_inputs, ["batch1"], **batch_axes),
        helper.make_node("Concat", ["batch1", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["m1", "target"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w2", "b2"], ["scores"], "/fc/Gemm", transB=1),
        helper.make_node("Softmax", ["scores"], ["y"], "/softmax/Softmax", axis=1),
    ]
    read = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, [shape[0], classes])],
        [tensor for tensor in constants if tensor.name in read],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7, producer_name="a stranger")


def two_inputs() -> onnx.ModelProto:
    """A map and a vector of features, whose sums of products are the scores."""
    random = np.random.default_rng(1)
    constants = {"w1": random.normal(size=(6, 2, 3, 3)) * 0.3, "w2": random.normal(size=(5, 6)) * 0.5}
    nodes = [
        helper.make_node("Conv", ["map", "w1"], ["c"], "conv", kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("Gemm", ["features", "w2"], ["g"], "gemm"),
        helper.make_node("Add", ["f", "g"], ["y"], "sum"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [
            helper.make_tensor_value_info("map", FLOAT, [1, 2, 8, 8]),
            helper.make_tensor_value_info("features", FLOAT, ["batch", 5]),
        ],
        [helper.make_tensor_value_info("y", FLOAT, ["batch", 6])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def edited(model: onnx.ModelProto, edit: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    """A copy, changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    edit(copy)
    return copy


def with_external_weights(model: onnx.ModelProto, location: str, offset: int = 0, length: int | None = None) -> bytes:
    """The model with its first weights in another file."""

    def move(copy: onnx.ModelProto) -> None:
        tensor = copy.graph.initializer[0]
        size = len(tensor.raw_data) if length is None else length
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", str(offset)), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)

    return edited(model, move).SerializeToString()
