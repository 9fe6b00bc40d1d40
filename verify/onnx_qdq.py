"""The network as an ordinary onnxruntime user has it: float operators between QuantizeLinear and DequantizeLinear.

onnxruntime fuses these into kernels that round in float, so the results lie beside the exact ones: they are statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from ..codegen.activations import ACTIVATIONS
from ..codegen.ir import (
    ACTIVATION_KINDS,
    ClampAttrs,
    ConvAttrs,
    Graph,
    Op,
    OpKind,
    PoolAttrs,
    ReduceAttrs,
    SoftmaxAttrs,
    Tensor,
    works_on_int16,
)
from .onnx_geometry import convolution_geometry, dilations, groups_of, weights_oihw
from .onnx_graph import OnnxGraph
from .onnx_twin import exact_emitter

Stored = npt.NDArray[np.integer]

# onnxruntime's exceptions share no base but Exception; these are all that its sessions raise
ORT_ERRORS: tuple[type[Exception], ...] = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


def build_qdq(graph: Graph) -> onnx.ModelProto:
    """The QDQ model of a graph as read; its outputs are the graph's. Raises TypeError where it has activations of int16."""
    if any(works_on_int16(op, graph) for op in graph.ops):
        raise TypeError("int16 activations are not tried in float operators between QuantizeLinear and DequantizeLinear")
    out = OnnxGraph(graph)
    for op in graph.ops:
        out.scope = op.output
        emit = _EMITTERS.get(op.kind) or exact_emitter(op, graph)  # moves and maxima need no float
        emit(op, out)
    for name, data in graph.constant_outputs().items():
        out.node("Identity", out.constant(data, np.int8), output=name)
    return out.model([graph.tensor(name) for name in _made(graph)])


def _made(graph: Graph) -> list[str]:
    """The outputs and next values of variables that the model computes, each once; an input that is an output is known."""
    return [name for name in dict.fromkeys(graph.results) if name not in graph.given]


class QdqOnnxRuntime:
    """The QDQ model in onnxruntime; only the graph's outputs."""

    name = "qdq_onnxruntime"

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.reset()
        self._outputs = _made(graph)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        model = build_qdq(graph).SerializeToString(deterministic=True)
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def reset(self) -> None:
        """Give the variables their start values."""
        self._state: Mapping[str, npt.NDArray[np.generic]] = self._graph.start_state()

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Stored]:
        """The outputs of one inference by name."""
        feeds = {name: np.asarray(inputs[name], self._graph.tensor(name).dtype.value) for name in self._graph.inputs}
        feeds |= {name: np.asarray(value) for name, value in self._state.items()}
        values: dict[str, Stored] = feeds | dict(zip(self._outputs, self._session.run(self._outputs, feeds), strict=True))
        self._state = self._graph.next_state(values)
        return values


def _dequantized(out: OnnxGraph, value: str, tensor: Tensor) -> str:
    scale, zero_point = out.constant(np.float32(tensor.scale), np.float32), out.constant(tensor.zero_point, np.int8)
    return out.node("DequantizeLinear", value, scale, zero_point)


def _real(out: OnnxGraph, name: str) -> str:
    return _dequantized(out, out.activation(name), out.source.tensor(name))


def _quantized(op: Op, out: OnnxGraph, value: str, output: str | None) -> str:
    """int8 in the output's quantization, with the fused activation as a clamp."""
    result = out.source.tensor(op.output)
    low, high = -128, 127
    if isinstance(op.attrs, ClampAttrs | ConvAttrs | PoolAttrs):
        low, high = op.attrs.activation_min, op.attrs.activation_max
    scale, zero_point = out.constant(np.float32(result.scale), np.float32), out.constant(result.zero_point, np.int8)
    if (low, high) == (-128, 127):
        return out.node("QuantizeLinear", value, scale, zero_point, output=output)
    stored = out.node("QuantizeLinear", value, scale, zero_point)
    return out.node("Clip", stored, out.constant(low, np.int8), out.constant(high, np.int8), output=output)


def _weights_and_bias(op: Op, out: OnnxGraph, weights: npt.NDArray[np.generic]) -> list[str]:
    """Weights (output channels first) and bias, dequantized by channel."""
    source, quantization = out.source.tensor(op.inputs[0]), out.source.tensor(op.inputs[1]).quantization
    assert quantization is not None
    scales = np.array(quantization.scales, np.float32)
    if len(scales) == 1:
        scales = np.repeat(scales, weights.shape[0])
    real = [out.node("DequantizeLinear", out.constant(weights, np.int8), out.constant(scales, np.float32), axis=0)]
    if len(op.inputs) > 2:
        bias = out.constant(out.source.tensor(op.inputs[2]).constant().reshape(-1), np.int32)  # a file may hold [1, N]
        real.append(out.node("DequantizeLinear", bias, out.constant(scales * np.float32(source.scale), np.float32), axis=0))
    return real


def _convolution(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, ConvAttrs)
    source = out.source.tensor(op.inputs[0])
    data = _dequantized(out, out.nchw(op.inputs[0]), source)
    result = out.node(
        "Conv",
        data,
        *_weights_and_bias(op, out, weights_oihw(op, out.source)),
        group=groups_of(op, out.source),
        dilations=dilations(op.attrs.window),
        **convolution_geometry(op.attrs.window),
    )
    out.node("Transpose", _quantized(op, out, result, None), perm=[0, 2, 3, 1], output=op.output)


def _fully_connected(op: Op, out: OnnxGraph) -> None:
    source, result = out.source.tensor(op.inputs[0]), out.source.tensor(op.output)
    weights = out.source.tensor(op.inputs[1]).constant()
    rows = out.node("Reshape", out.activation(op.inputs[0]), out.int64([-1, weights.shape[1]]))
    product = out.node("Gemm", _dequantized(out, rows, source), *_weights_and_bias(op, out, weights), transB=1)
    out.node("Reshape", _quantized(op, out, product, None), out.int64(result.shape), output=op.output)


def _binary(op: Op, out: OnnxGraph) -> None:
    left, right = (_real(out, name) for name in op.inputs)
    if op.kind is OpKind.SQUARED_DIFFERENCE:
        difference = out.node("Sub", left, right)
        _quantized(op, out, out.node("Mul", difference, difference), op.output)
        return
    kind = {OpKind.ADD: "Add", OpKind.SUB: "Sub", OpKind.MUL: "Mul"}[op.kind]
    _quantized(op, out, out.node(kind, left, right), op.output)


def _mean(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, ReduceAttrs)
    axes = out.int64(op.attrs.axes)
    mean = out.node("ReduceMean", _real(out, op.inputs[0]), axes, keepdims=int(op.attrs.keep_dims))
    _quantized(op, out, mean, op.output)


def _average_pool(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, PoolAttrs)
    data = _dequantized(out, out.nchw(op.inputs[0]), out.source.tensor(op.inputs[0]))
    mean = out.node("AveragePool", data, count_include_pad=0, **convolution_geometry(op.attrs.window))
    out.node("Transpose", _quantized(op, out, mean, None), perm=[0, 2, 3, 1], output=op.output)


def _softmax(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, SoftmaxAttrs)
    scaled = out.node("Mul", _real(out, op.inputs[0]), out.constant(np.float32(op.attrs.beta), np.float32))
    _quantized(op, out, out.node("Softmax", scaled, axis=-1), op.output)


def _gelu(op: Op, out: OnnxGraph) -> None:
    """By the error function, whether the file's is approximate or not: ONNX has an operator from opset 20 on."""
    value = _real(out, op.inputs[0])
    error = out.node("Erf", out.node("Mul", value, out.constant(np.float32(0.5**0.5), np.float32)))
    one, half = (out.constant(np.float32(number), np.float32) for number in (1.0, 0.5))
    share = out.node("Mul", out.node("Add", error, one), half)
    _quantized(op, out, out.node("Mul", value, share), op.output)


def _activation(op: Op, out: OnnxGraph) -> None:
    activation = ACTIVATIONS[op.kind.value]
    value = _real(out, op.inputs[0])
    if activation.onnx.operator:
        constants = (out.constant(np.float32(bound), np.float32) for bound in activation.onnx.inputs)
        attributes: dict[str, Any] = {
            parameter.name: v for parameter, v in zip(activation.parameters, op.parameters, strict=True)
        }
        value = out.node(activation.onnx.operator, value, *constants, **attributes)
    if activation.onnx.then:
        value = out.node(activation.onnx.then, value)
    _quantized(op, out, value, op.output)


_EMITTERS: Mapping[OpKind, Callable[[Op, OnnxGraph], None]] = {
    OpKind.CONV_2D: _convolution,
    OpKind.DEPTHWISE_CONV_2D: _convolution,
    OpKind.FULLY_CONNECTED: _fully_connected,
    OpKind.ADD: _binary,
    OpKind.SUB: _binary,
    OpKind.MUL: _binary,
    OpKind.SQUARED_DIFFERENCE: _binary,
    OpKind.MEAN: _mean,
    OpKind.AVERAGE_POOL_2D: _average_pool,
    OpKind.SOFTMAX: _softmax,
    **dict.fromkeys(ACTIVATION_KINDS, _activation),
    OpKind.GELU: _gelu,
}
