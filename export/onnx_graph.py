"""A float ONNX graph of static shapes, as plain frozen data that passes can rewrite and onnxruntime can run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper, version_converter

from ..errors import BadModel, UnsupportedOperators

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

_OPSET = 20
_OLDEST_OPSET = 18  # in which ReduceMean takes its axes as an input, as ReduceMax does


@dataclass(frozen=True, eq=False)
class Node:
    """An ONNX operator. An input "" is left out."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def output(self) -> str:
        return self.outputs[0]

    @property
    def label(self) -> str:
        """How messages name the node."""
        return f"{self.op} {self.name or self.output!r}"


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """Nodes in order of execution, over named values; every value's shape is known."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, Shape]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int

    def uses(self) -> Counter[str]:
        """How often each value is read; the graph's outputs count once more."""
        return Counter(name for node in self.nodes for name in node.inputs if name) + Counter(self.outputs)

    def producers(self) -> dict[str, Node]:
        return {name: node for node in self.nodes for name in node.outputs if name}

    def rewritten(
        self, nodes: Iterable[Node], constants: Mapping[str, Array] | None = None, shapes: Mapping[str, Shape] | None = None
    ) -> OnnxGraph:
        """The graph with other nodes (and more constants and shapes); what nothing reads is dropped."""
        live = set(self.outputs)
        kept: list[Node] = []
        for node in reversed(list(nodes)):
            if live.intersection(node.outputs):
                kept.append(node)
                live.update(node.inputs)
        all_constants = {**self.constants, **(constants or {})}
        return replace(
            self,
            nodes=tuple(reversed(kept)),
            constants={name: value for name, value in all_constants.items() if name in live},
            shapes={**self.shapes, **{name: value.shape for name, value in (constants or {}).items()}, **(shapes or {})},
        )

    def model(self, outputs: Sequence[str], extra_nodes: Sequence[onnx.NodeProto] = ()) -> bytes:
        """The graph as an ONNX model with other outputs and more nodes."""
        float_type = onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            [_node_proto(node) for node in self.nodes] + list(extra_nodes),
            "graph",
            [helper.make_tensor_value_info(name, float_type, self.shapes[name]) for name in self.inputs],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = min(model.ir_version, 10)
        return bytes(model.SerializeToString())

    def session(
        self, outputs: Sequence[str], extra_nodes: Sequence[onnx.NodeProto] = (), optimize: bool = True
    ) -> ort.InferenceSession:
        """An onnxruntime session that computes `outputs`, in one thread: these networks are too small for more."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        if not optimize:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return ort.InferenceSession(self.model(outputs, extra_nodes), options, providers=["CPUExecutionProvider"])


def load_onnx(source: str | Path | bytes) -> OnnxGraph:
    """The graph of a float ONNX file, with constants folded and every shape known.

    The shapes are those of one run on zeros; a symbolic batch becomes 1. Raises BadModel for a file that cannot be read or
    run, or whose inputs are not float with a batch of one.
    """
    try:
        model = onnx.load_from_string(source) if isinstance(source, bytes) else onnx.load(str(source))
    except (OSError, ValueError) as error:
        raise BadModel(f"not a readable ONNX model: {str(error).splitlines()[0]}") from error
    except Exception as error:  # protobuf's DecodeError has no stable home
        if type(error).__name__ != "DecodeError":
            raise
        raise BadModel("not an ONNX model: the file is truncated or of another kind") from error
    return graph_of(model)


def graph_of(model: onnx.ModelProto) -> OnnxGraph:
    """The same of a model in memory."""
    check(model)
    foreign = sorted({node.domain for node in model.graph.node if node.domain not in ("", "ai.onnx")})
    if foreign or model.functions:
        found = [f"{n.op_type} of domain {n.domain!r}" for n in model.graph.node if n.domain in foreign]
        raise UnsupportedOperators(found or ["local functions: inline them first"])
    model = with_recent_opset(model)
    graph = OnnxGraph(
        nodes=tuple(node_of(node) for node in model.graph.node),
        constants={tensor.name: array_of(tensor) for tensor in model.graph.initializer},
        shapes={},
        inputs=(),
        outputs=tuple(value.name for value in model.graph.output),
        opset=opset_of(model),
    )
    inputs = {value.name: _input_shape(value) for value in model.graph.input if value.name not in graph.constants}
    if not inputs:
        raise BadModel("the model has no input")
    return fold_constants(replace(graph, shapes=inputs, inputs=tuple(inputs)))


def array_of(tensor: onnx.TensorProto) -> Array:
    """A constant's values; BadModel where they are not as many as its shape says, or of no known type."""
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise BadModel(f"the constant {tensor.name!r} does not hold what it says: {str(error).splitlines()[0]}") from error


def check(model: onnx.ModelProto) -> None:
    """BadModel for a model that is not what the ONNX specification says."""
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise BadModel(f"not a readable ONNX model: {str(error).splitlines()[0]}") from error


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators; 0 where the model does not say it."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def fold_constants(graph: OnnxGraph) -> OnnxGraph:
    """The graph with every node evaluated whose inputs are constants, and with every shape known."""
    if not graph.nodes:
        return graph
    feeds = {name: np.zeros(graph.shapes[name], np.float32) for name in graph.inputs}
    names = [name for node in graph.nodes for name in node.outputs if name]
    try:
        session = graph.session(names, optimize=False)
        values = dict(zip(names, session.run(names, feeds), strict=True))
    except Exception as error:  # onnxruntime's exceptions share no base but Exception
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        raise BadModel(f"onnxruntime cannot run the model: {str(error).splitlines()[0]}") from error
    constants = dict(graph.constants)
    nodes = []
    for node in graph.nodes:
        # a subgraph reads values that the node does not list
        has_subgraph = any(isinstance(value, onnx.GraphProto) for value in node.attrs.values())
        is_known = node.op in ("Shape", "Size") or all(name in constants for name in node.inputs if name)
        if is_known and not has_subgraph and not node.op.startswith("Random"):
            constants.update({name: values[name] for name in node.outputs if name})
        else:
            nodes.append(node)
    shapes = {name: tuple(value.shape) for name, value in values.items()}
    return graph.rewritten(nodes, constants, shapes)


def with_recent_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in an opset that the passes know; BadModel where it cannot be converted."""
    version = opset_of(model)
    if version >= _OLDEST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, _OPSET)
    except (RuntimeError, ValueError, version_converter.ConvertError) as error:
        raise BadModel(f"opset {version} cannot be converted ({str(error).splitlines()[0]}); export with opset 18") from error


def _input_shape(value: onnx.ValueInfoProto) -> Shape:
    tensor = value.type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        raise BadModel(f"input {value.name!r} is not float32")
    dims = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in tensor.shape.dim]
    if dims and dims[0] == 0:
        dims[0] = 1
    if not dims or any(dim < 1 for dim in dims):
        raise BadModel(f"input {value.name!r} has no static shape; export it with fixed height and width")
    if dims[0] != 1:
        raise BadModel(f"input {value.name!r} has a batch of {dims[0]}; export it with a batch of 1")
    return tuple(dims)


def node_of(proto: onnx.NodeProto) -> Node:
    attrs = {attribute.name: helper.get_attribute_value(attribute) for attribute in proto.attribute}
    return Node(proto.op_type, tuple(proto.input), tuple(proto.output), attrs, proto.name)


def _node_proto(node: Node) -> onnx.NodeProto:
    # without the name: a pass may make several nodes of one, and names must be unique
    return helper.make_node(node.op, list(node.inputs), list(node.outputs), **node.attrs)
