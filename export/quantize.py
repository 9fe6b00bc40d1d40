"""The int8 network: activations by their calibrated scales, weights and biases rounded, everything as a `.tflite` description.

Weights are symmetric in [-127, 127] with a scale for each output channel; the h filters of one channel of a multihead depthwise
convolution share theirs, so that requantize(max(acc)) equals max(requantize(acc)). Biases are int32 at input scale * weight
scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .activation_scales import Affine, calibrated_tensors, choose_scales
from .calibrate import Calibration
from .float_graph import Array, FloatGraph, FloatOp, FloatTensor, Kind
from .pointwise import function_table
from .tflite_writer import ModelSpec, OpSpec, TensorSpec

_LARGEST_BIAS = 2**29
_SMALLEST_FACTOR = 2.0**-28  # of an accumulator to the output; below 2^-31 LiteRT makes it 0
_FORBIDDEN_OPERATORS = {"DEQUANTIZE"}


@dataclass(frozen=True, eq=False)
class Quantized:
    """The int8 network and what its tensors stand for: the float tensors (by the same names) and their quantizations.

    measured  the tensors whose whole calibrated range their scale holds
    """

    model: ModelSpec
    tensors: Mapping[str, FloatTensor]
    affine: Mapping[str, Affine]
    measured: frozenset[str]


def quantize(graph: FloatGraph, calibration: Calibration) -> Quantized:
    """The lowered network in int8. Every activation keeps its tensor's name; constants have short ones."""
    return quantize_with(*choose_scales(graph, calibration))


def quantize_with(graph: FloatGraph, affine: Mapping[str, Affine]) -> Quantized:
    """The same with given activation scales; the graph is the one that `choose_scales` returned, its weights may have changed."""
    model = _Writer(graph, affine).run()
    _check(model)
    return Quantized(model, graph.tensors, affine, frozenset(calibrated_tensors(graph)))


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """Weights and bias of a convolution; one scale for each output channel."""

    weights: Array
    bias: Array
    scales: Array


def quantize_layer(op: FloatOp, input_scale: float, output_scale: float) -> QuantizedLayer:
    """int8 weights and int32 bias of a CONV_2D or DEPTHWISE_CONV_2D.

    A channel's scale is the largest weight over 127, raised where the bias would leave int32 or the multiplier would vanish.
    """
    assert op.weights is not None
    weights = op.weights.astype(np.float64)
    depthwise = op.kind is Kind.DEPTHWISE_CONV_2D
    channels = weights.shape[3] if depthwise else weights.shape[0]
    largest = np.abs(weights).max(axis=(0, 1, 2) if depthwise else (1, 2, 3))
    bias = np.zeros(channels) if op.bias is None else np.asarray(op.bias, np.float64)
    scales = np.maximum(largest / 127, np.abs(bias) / (input_scale * _LARGEST_BIAS))
    scales = np.maximum(scales, output_scale / input_scale * _SMALLEST_FACTOR)
    if depthwise:
        heads = op.depth_multiplier
        scales = np.repeat(scales.reshape(-1, heads).max(axis=1), heads)
    scales = scales.astype(np.float32).astype(np.float64)
    by_channel = scales if depthwise else scales.reshape(-1, 1, 1, 1)
    return QuantizedLayer(
        np.clip(np.round(weights / by_channel), -127, 127).astype(np.int8),
        np.round(bias / (input_scale * scales)).astype(np.int32),
        scales,
    )


class _Writer:
    """Collects the tensors and operators of the `.tflite`; equal integer constants are one tensor."""

    def __init__(self, graph: FloatGraph, affine: Mapping[str, Affine]):
        self.graph = graph
        self.affine = affine
        self.tensors: dict[str, TensorSpec] = {}
        self.ops: list[OpSpec] = []

    def run(self) -> ModelSpec:
        for name in self.graph.inputs:
            self._activation(name)
        for index, op in enumerate(self.graph.ops):
            for name in op.inputs:
                if self.graph.tensors[name].data is not None:
                    self._constant_operand(name)
            inputs = op.inputs
            if op.weights is not None:
                inputs = (*inputs, *self._layer(index, op))
            inputs = (*inputs, *(self._parameter(array) for array in op.parameters))
            self._activation(op.output)
            if op.kind is Kind.TABLE:
                self._table(op)
                continue
            self.ops.append(OpSpec(op.kind.value, inputs, (op.output,), _without_defaults(op.options)))
        return ModelSpec(tuple(self.tensors.values()), tuple(self.ops), self.graph.inputs, self.graph.outputs)

    def _activation(self, name: str) -> None:
        found = self.affine[name]
        shape = self.graph.tensors[name].shape
        self.tensors[name] = TensorSpec(name, shape, "int8", (found.scale,), (found.zero_point,))

    def _constant_operand(self, name: str) -> None:
        data, found = self.graph.tensors[name].data, self.affine[name]
        assert data is not None
        stored = np.clip(np.round(data / found.scale) + found.zero_point, -128, 127).astype(np.int8)
        self.tensors[name] = TensorSpec(name, stored.shape, "int8", (found.scale,), (found.zero_point,), data=stored)

    def _layer(self, index: int, op: FloatOp) -> tuple[str, str]:
        input_scale = self.affine[op.inputs[0]].scale
        layer = quantize_layer(op, input_scale, self.affine[op.output].scale)
        zeros = (0,) * len(layer.scales)
        weights, bias = f"w{index}", f"b{index}"
        axis = 3 if op.kind is Kind.DEPTHWISE_CONV_2D else 0
        self.tensors[weights] = TensorSpec(
            weights, layer.weights.shape, "int8", tuple(layer.scales.tolist()), zeros, axis, layer.weights
        )
        bias_scales = tuple((layer.scales * input_scale).tolist())
        self.tensors[bias] = TensorSpec(bias, layer.bias.shape, "int32", bias_scales, zeros, 0, layer.bias)
        return weights, bias

    def _table(self, op: FloatOp) -> None:
        """A function of one value: its byte as an index into 256 entries. All runtimes have CAST and GATHER."""
        source, result = self.affine[op.inputs[0]], self.affine[op.output]
        table = function_table(op.options["term"], source.scale, source.zero_point, result.scale, result.zero_point)
        shape, name = self.graph.tensors[op.output].shape, f"{op.output}/table"
        stored = TensorSpec(name, (256,), "int8", (result.scale,), (result.zero_point,), data=np.roll(table, 128))
        byte, place = TensorSpec(f"{name}_byte", shape, "uint8"), TensorSpec(f"{name}_place", shape, "int32")
        self.tensors.update({tensor.name: tensor for tensor in (stored, byte, place)})
        types = {dtype: vars(schema.TensorType)[dtype.upper()] for dtype in ("int8", "uint8", "int32")}
        to_byte = {"inDataType": types["int8"], "outDataType": types["uint8"]}
        to_place = {"inDataType": types["uint8"], "outDataType": types["int32"]}
        self.ops.append(OpSpec("CAST", op.inputs, (byte.name,), to_byte))
        self.ops.append(OpSpec("CAST", (byte.name,), (place.name,), to_place))
        self.ops.append(OpSpec("GATHER", (name, place.name), (op.output,), {"axis": 0}))

    def _parameter(self, array: Array) -> str:
        name = "i" + "_".join(str(part) for part in (*array.shape, *array.reshape(-1).tolist()))
        self.tensors.setdefault(name, TensorSpec(name, array.shape, "int32", data=array))
        return name


def _without_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """The schema's defaults need not be written."""
    defaults = {"fusedActivationFunction": "NONE", "dilationHFactor": 1, "dilationWFactor": 1}
    return {name: value for name, value in options.items() if defaults.get(name) != value}


def _check(model: ModelSpec) -> None:
    """What the result promises: int8 throughout, no conversion but of a byte to its place in a table."""
    constants = {tensor.name for tensor in model.tensors if tensor.data is not None}
    casts = {op.outputs[0] for op in model.ops if op.opcode == "CAST"}
    for tensor in model.tensors:
        if tensor.name in casts:
            continue
        is_int32_constant = tensor.dtype == "int32" and tensor.name in constants
        assert tensor.dtype == "int8" or is_int32_constant, f"{tensor.name} is {tensor.dtype}"
        assert is_int32_constant or tensor.scales, f"{tensor.name} has no scale"
        assert len(tensor.scales) == len(tensor.zero_points), f"{tensor.name} has not as many zero points as scales"
        assert all(scale > 0 and np.isfinite(scale) for scale in tensor.scales), f"{tensor.name} has a scale that is none"
    found = _FORBIDDEN_OPERATORS.intersection(op.opcode for op in model.ops)
    assert not found, f"the result holds {found}"
