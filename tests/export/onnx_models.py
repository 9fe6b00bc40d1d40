"""Small ONNX models, built node by node with seeded weights, and ways to run what export makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from onnx import helper, numpy_helper

from flynet_tiny.export.float_graph import FloatGraph
from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite


class OnnxModel:
    """A model under construction with one float input "x"; calling it adds a node and returns its output's name."""

    def __init__(self, *shape: int, opset: int = 20, seed: int = 0):
        self.shape = shape
        self.opset = opset
        self.random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, np.ndarray] = {}

    def __call__(self, op: str, *inputs: str | np.ndarray, outputs: int = 1, **attrs: object) -> str:
        names = [name if isinstance(name, str) else self.constant(name) for name in inputs]
        made = [f"v{len(self._nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        self._nodes.append(helper.make_node(op, names, made, name=f"n{len(self._nodes)}", **attrs))
        return made[0]

    def constant(self, values: object) -> str:
        array = np.asarray(values)
        name = f"c{len(self._constants)}"
        self._constants[name] = array.astype(np.float32) if array.dtype == np.float64 else array
        return name

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        return (self.random.normal(size=shape) * scale).astype(np.float32)

    def conv(
        self, x: str, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, pad: int | None = None, **attrs: object
    ) -> str:
        """A 2-D convolution with bias."""
        group = attrs.get("group", 1)
        weights = self.normal(c_out, c_in // group, kernel, kernel, scale=(c_in // group * kernel**2) ** -0.5)
        pads = [kernel // 2 if pad is None else pad] * 4
        return self("Conv", x, weights, self.normal(c_out, scale=0.3), strides=[stride] * 2, pads=pads, **attrs)

    def mean(self, x: str, axes: Sequence[int] = (2, 3), keepdims: int = 1) -> str:
        return self("ReduceMean", x, np.array(axes), keepdims=keepdims)

    def reshape(self, x: str, *shape: int) -> str:
        return self("Reshape", x, np.array(shape))

    def build(self, *outputs: str) -> bytes:
        """The file; the last node's output is the model's unless others are named."""
        names = outputs or (self._nodes[-1].output[0],)
        graph = helper.make_graph(
            self._nodes,
            "test",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, self.shape)],
            [helper.make_empty_tensor_value_info(name) for name in names],
            [numpy_helper.from_array(value, name) for name, value in self._constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        return inferred.SerializeToString()

    def images(self, count: int = 16) -> np.ndarray:
        """Inputs for calibration and comparison, each with some structure: its own offset and contrast."""
        offset, contrast = self.random.normal(size=(2, count, *(1 for _ in self.shape[1:])))
        noise = self.random.normal(size=(count, *self.shape[1:]))
        return (noise * (1 + np.abs(contrast)) + offset).astype(np.float32)


def eca(m: OnnxModel, x: str, channels: int, heads: int = 1, temperature: float = 1.0, concat: bool = False) -> str:
    """Channel attention as flynet/networks/blocks.py writes it: x * sigmoid(s), or x * softmax over heads."""
    mean = m.mean(x)
    difference = m("Sub", x, mean)
    variance = m.mean(m("Mul", difference, difference))
    statistics = [m.reshape(value, 1, 1, channels) for value in (mean, variance)]
    weights = m.normal(1, 2, 7, scale=0.5)
    if concat:
        s = m("Conv", m("Concat", *statistics, axis=1), weights, pads=[3, 3])
    else:
        s = m("Add", *(m("Conv", v, weights[:, i : i + 1], pads=[3, 3]) for i, v in enumerate(statistics)))
    if heads == 1:
        gate = m("Sigmoid", s)
    else:
        by_head = m.reshape(s, 1, channels // heads, heads)
        if temperature != 1.0:
            by_head = m("Div", by_head, np.float32(temperature))
        gate = m("Softmax", by_head, axis=2)
    return m("Mul", x, m.reshape(gate, 1, channels, 1, 1))


def max_out(m: OnnxModel, x: str, channels: int, heads: int, height: int, width: int) -> str:
    """The maximum over the heads of each channel; map index = channel * heads + head."""
    return m("ReduceMax", m.reshape(x, 1, channels, heads, height, width), np.array([2]), keepdims=0)


def float_tflite(graph: FloatGraph) -> bytes:
    """A lowered network as a float32 `.tflite`, whose tensors have the lowered network's order."""
    tensors = [TensorSpec(t.name, t.shape, "float32", data=t.data) for t in graph.tensors.values()]
    ops = []
    for index, op in enumerate(graph.ops):
        inputs = list(op.inputs)
        if op.weights is not None:
            channels = graph.tensors[op.output].shape[3]
            bias = np.zeros(channels) if op.bias is None else op.bias
            tensors.append(TensorSpec(f"w{index}", op.weights.shape, "float32", data=op.weights))
            tensors.append(TensorSpec(f"b{index}", (channels,), "float32", data=bias))
            inputs += [f"w{index}", f"b{index}"]
        for number, parameter in enumerate(op.parameters):
            tensors.append(TensorSpec(f"p{index}_{number}", parameter.shape, "int32", data=parameter))
            inputs.append(f"p{index}_{number}")
        ops.append(OpSpec(op.kind.value, tuple(inputs), (op.output,), op.options))
    return write_tflite(ModelSpec(tuple(tensors), tuple(ops), graph.inputs, graph.outputs))


def run_litert(model: bytes, image: np.ndarray, indices: Sequence[int]) -> list[np.ndarray]:
    """Tensors of one inference with LiteRT's reference kernels; `image` is stored as the model takes it."""
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return [interpreter.get_tensor(index) for index in indices]


def litert_output(model: bytes, image: np.ndarray, resolver: OpResolverType) -> np.ndarray:
    """The first output of one inference with any resolver."""
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
