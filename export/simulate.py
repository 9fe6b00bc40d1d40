"""A lowered network as a torch module: in float, or in the int8 arithmetic of the file that the exporter writes.

Weights and biases are parameters. In each forward pass `quantize_layer` itself gives their int8 and int32 values and scales, and
`integer_operators` what LiteRT's reference kernels make of them: the simulated tensors are the `.tflite`'s, byte for byte.
Gradients are those of the float operators, straight through every rounding; they stop where an activation is clipped.

In int8 a tensor holds stored - zero point, whole numbers in float32; in float, real numbers. Sums of products are whole numbers
as well, and exact: in float32 where none can reach 2^24, else in float64. Every tensor has one more dimension in front than in
the `.tflite`: the images of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..codegen.fixed_point import Int64
from ..errors import BadModel
from .activation_scales import Affine
from .float_graph import Array, FloatGraph, FloatOp, Kind
from .float_operators import FLOAT_OPERATORS, MOVES, WEIGHTED, activated, convolve, pool_sums
from .integer_operators import INTEGER_OPERATORS, averaged, convolved, int8_result, stored_bounds
from .quantize import quantize_layer

_EXACT_IN_FLOAT32 = 2**24
_KNOWN = WEIGHTED | MOVES.keys() | INTEGER_OPERATORS.keys() | {Kind.AVERAGE_POOL_2D}


class SimulatedNetwork(nn.Module):
    """graph   with the QUANTIZEs that `choose_scales` puts in
    affine     the quantization of every tensor
    in_int8    False computes in float; then the quantization says no more than where a Clip's bounds lie
    """

    def __init__(self, graph: FloatGraph, affine: Mapping[str, Affine], in_int8: bool = True):
        super().__init__()
        unknown = sorted({op.kind.value for op in graph.ops if op.kind not in _KNOWN})
        if unknown:
            raise BadModel(f"fine-tuning cannot simulate {', '.join(unknown)}; export without --qat-epochs")
        self.graph = graph
        self.affine = affine
        self.in_int8 = in_int8
        self.weights, self.biases = nn.ParameterDict(), nn.ParameterDict()
        self._constants: dict[str, Tensor] = {}
        for index, op in enumerate(graph.ops):
            if op.weights is not None:
                self.weights[str(index)] = nn.Parameter(_float32(op.weights))
                if op.bias is not None:
                    self.biases[str(index)] = nn.Parameter(_float32(op.bias))
        for name, tensor in graph.tensors.items():
            if tensor.data is not None:
                self._constants[name] = self._held(name, _float32(tensor.data))[None]

    def forward(self, images: Tensor) -> Tensor:
        """The first output as real numbers [N, elements], of images as the input tensor holds them ([N, *its shape])."""
        name = self.graph.outputs[0]
        return self._run(images)[name].flatten(1) * self._scale(name)

    @torch.no_grad()
    def int8_tensors(self, images: Tensor) -> dict[str, Array]:
        """Every activation as the `.tflite` holds it: int8 [N, *its shape] by name."""
        assert self.in_int8
        return {
            name: (value.numpy() + self.affine[name].zero_point).astype(np.int8)
            for name, value in self._run(images).items()
            if name not in self._constants
        }

    def images_as_held(self, images: Array) -> Tensor:
        """Images [N, C, H, W] in the order of the input tensor."""
        tensor = self.graph.tensors[self.graph.inputs[0]]
        return _float32(np.stack([tensor.stored(image[None]) for image in images]))

    def changed_graph(self) -> FloatGraph:
        """The graph with the weights and biases of now."""
        ops = [self._now(index, op) if op.weights is not None else op for index, op in enumerate(self.graph.ops)]
        return replace(self.graph, ops=tuple(ops))

    def _run(self, images: Tensor) -> dict[str, Tensor]:
        values = dict(self._constants)
        (name,) = self.graph.inputs
        values[name] = self._held(name, images)
        for index, op in enumerate(self.graph.ops):
            inputs = [values[name] for name in op.inputs]
            found = self._convolution(index, op, inputs[0]) if op.weights is not None else self._operator(op, inputs)
            clips = op.saturates and not self.in_int8
            values[op.output] = found.clamp(*self.affine[op.output].bounds) if clips else found
        return values

    def _operator(self, op: FloatOp, inputs: list[Tensor]) -> Tensor:
        shape = self.graph.tensors[op.output].shape
        function = FLOAT_OPERATORS[op.kind]
        if not self.in_int8 or op.kind in MOVES:
            return function(op, inputs, shape)
        real = function(op, [x * self._scale(name) for x, name in zip(inputs, op.inputs, strict=True)], shape)
        sources, result = [self.affine[name] for name in op.inputs], self.affine[op.output]
        if op.kind is Kind.AVERAGE_POOL_2D:
            sums, counts = pool_sums(op, inputs[0])
            stored = averaged(op, _whole(sums), _whole(counts), result)
        else:
            stored = int8_result(op, [_whole(x) for x in inputs], sources, result)
        return self._exactly(op, real / result.scale, stored.reshape(real.shape))

    def _convolution(self, index: int, op: FloatOp, x: Tensor) -> Tensor:
        weights: Tensor = self.weights[str(index)]
        bias: Tensor | None = self.biases[str(index)] if op.bias is not None else None
        if not self.in_int8:
            sums = convolve(op, x, weights)
            return activated(op, sums if bias is None else sums + bias)
        source, result = self.affine[op.inputs[0]], self.affine[op.output]
        layer = quantize_layer(self._now(index, op), source.scale, result.scale)
        depthwise = op.kind is Kind.DEPTHWISE_CONV_2D
        scales = _float32(layer.scales)
        steps = weights / (scales if depthwise else scales.reshape(-1, 1, 1, 1))
        steps = straight_through(steps, _float32(layer.weights))
        most = np.abs(layer.weights.astype(np.int64)).sum(axis=(0, 1, 2) if depthwise else (1, 2, 3)).max() * 255
        wide = torch.float32 if most < _EXACT_IN_FLOAT32 else torch.float64
        sums = convolve(op, x.to(wide), steps.to(wide))
        stored = convolved(op, _whole(sums) + layer.bias.astype(np.int64), layer.scales, source, result)
        real = sums.float() * (scales * (source.scale / result.scale))
        return self._exactly(op, real if bias is None else real + bias / result.scale, stored)

    def _exactly(self, op: FloatOp, value: Tensor, stored: Int64) -> Tensor:
        """What the int8 operator stored, with the gradient of `value`, in units of the output's scale, inside its range."""
        result = self.affine[op.output]
        low, high = stored_bounds(op, result)
        centred = torch.from_numpy((stored - result.zero_point).astype(np.float32))
        return straight_through(value, centred, low - result.zero_point, high - result.zero_point)

    def _held(self, name: str, value: Tensor) -> Tensor:
        """Real numbers as the tensor holds them: rounded half to even, as the exporter rounds constants and images."""
        if not self.in_int8:
            return value
        affine = self.affine[name]
        return (value / affine.scale).round().clamp(-128 - affine.zero_point, 127 - affine.zero_point)

    def _scale(self, name: str) -> float:
        return self.affine[name].scale if self.in_int8 else 1.0

    def _now(self, index: int, op: FloatOp) -> FloatOp:
        bias = self.biases[str(index)].detach().numpy().copy() if op.bias is not None else None
        return replace(op, weights=self.weights[str(index)].detach().numpy().copy(), bias=bias)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, instead: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward((value >= low) & (value <= high))
        return instead

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None


def straight_through(value: Tensor, instead: Tensor, low: float = -np.inf, high: float = np.inf) -> Tensor:
    """`instead`, with the gradient of `value` where that lies in [low, high], and none outside."""
    found: Tensor = _StraightThrough.apply(value, instead, low, high)  # type: ignore[no-untyped-call]
    return found


def _whole(value: Tensor) -> Int64:
    """Whole numbers in float as integers."""
    found: Int64 = value.detach().round().to(torch.int64).numpy()
    return found


def _float32(array: Array) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))  # a copy: the optimizer writes into it
