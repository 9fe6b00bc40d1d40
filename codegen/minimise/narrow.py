"""The graph without the channels that go: weights, shapes and places narrowed, constants folded into the biases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..ir import Attrs, DType, GatherAttrs, Graph, Op, OpKind, SliceAttrs, Tensor, Variable
from .channels import Mask, constant_channels, groups_of, reading_of, weights_by_channel
from .intervals import Bounds, bias_of, channels_of

Int64 = npt.NDArray[np.int64]


def narrowed(
    source: Graph, bounds: Mapping[str, Bounds], kept: Mapping[str, Mask], equal: Mapping[str, Int64] | None = None
) -> Graph:
    """The graph that computes the kept channels alone; an operator none of whose channels is kept goes.

    kept   as `kept_channels` gives it of the same `equal`: closed, so that no operator lacks what it reads
    """
    return _Narrowing(source, bounds, kept, equal or {}).graph()


class _Narrowing:
    """Makes the operators and tensors of the narrowed graph one by one."""

    def __init__(self, source: Graph, bounds: Mapping[str, Bounds], kept: Mapping[str, Mask], equal: Mapping[str, Int64]):
        self._source, self._bounds, self._kept, self._equal = source, bounds, kept, equal
        self._made: dict[str, Tensor] = {}

    def graph(self) -> Graph:
        ops = tuple(self._narrowed(op) for op in self._source.ops if any(self._kept[name].any() for name in op.outputs))
        for tensor in self._source.activations():
            count = int(self._kept[tensor.name].sum())
            if tensor.shape and count < channels_of(tensor):
                self._made[tensor.name] = replace(tensor, shape=(*tensor.shape[:-1], count))
        variables = (self._variable(v) for v in self._source.variables if self._kept[v.before].any())
        return replace(self._source, variables=tuple(variables)).with_ops(ops, self._made)

    def _variable(self, variable: Variable) -> Variable:
        """A variable with the start values of its channels that stay."""
        start = variable.start
        return replace(variable, start=start[..., self._kept[variable.before]]) if start.shape else variable

    def _narrowed(self, op: Op) -> Op:
        kept = self._kept
        if all(kept[name].all() for name in (*op.inputs, *op.outputs) if name in kept):
            return op
        weights = weights_by_channel(op, self._source)
        if weights is not None:
            return self._weighted(op, weights)
        results = np.flatnonzero(kept[op.output])
        if op.kind is OpKind.DEPTHWISE_CONV_2D:
            constants = (self._taken(name, op, results) for name in op.inputs[1:])
            return replace(op, inputs=(op.inputs[0], *constants))
        inputs = (name if name in kept else self._operand(name, op, results) for name in op.inputs)
        return replace(op, inputs=tuple(n for n in inputs if n not in kept or kept[n].any()), attrs=self._attrs(op, results))

    def _attrs(self, op: Op, results: Int64) -> Attrs:
        """Places along the last axis are counted among the channels that stay."""
        places = np.cumsum(self._kept[op.inputs[0]]) - 1 if op.inputs[0] in self._kept else np.zeros(0, np.int64)
        if isinstance(op.attrs, SliceAttrs):
            first = places[op.attrs.begin[-1] + op.attrs.strides[-1] * results[0]]
            return replace(op.attrs, begin=(*op.attrs.begin[:-1], int(first)))
        if isinstance(op.attrs, GatherAttrs) and op.attrs.axis == len(self._source.tensor(op.inputs[0]).shape) - 1:
            return replace(op.attrs, indices=tuple(int(places[op.attrs.indices[result]]) for result in results))
        return op.attrs

    def _operand(self, name: str, op: Op, results: Int64) -> str:
        """A constant operand of an elementwise operator, with the channels of its result."""
        channels = self._source.tensor(op.output).shape[-1]
        return self._taken(name, op, results) if channels_of(self._source.tensor(name)) == channels else name

    def _taken(self, name: str, op: Op, channels: Int64) -> str:
        """Some channels of a constant."""
        return self._constant(self._source.tensor(name), op, np.take(self._source.tensor(name).constant(), channels, axis=-1))

    def _weighted(self, op: Op, weights: npt.NDArray[np.generic]) -> Op:
        """A CONV_2D or FULLY_CONNECTED: what a constant adds to every sum goes to the bias, a copy's weights to its first's.

        An output that stays and never changes has weights of 0, and as its bias that of its sums which is nearest to 0.
        """
        source, output = self._source.tensor(op.inputs[0]), self._source.tensor(op.output)
        rows, columns = self._kept[output.name], self._kept[source.name]
        folded = ~columns & constant_channels(source.name, self._source, self._bounds)
        values = self._bounds[source.name].of(len(columns))[0][folded] - source.zero_point
        summed = reading_of(op, weights, self._source, self._bounds, rows, self._equal.get(source.name)).weights
        bias = bias_of(op, self._source) + summed.sum(axis=1)[:, folded] @ values
        fixed = constant_channels(output.name, self._source, self._bounds)
        sums = self._bounds[output.name].accumulators
        assert sums is not None
        summed[fixed], bias[fixed] = 0, np.clip(0, *sums)[fixed]
        constant = self._source.tensor(op.inputs[1])
        shape = (int(rows.sum()), *constant.shape[1:-1], -1)
        groups = groups_of(op, self._source)
        blocks = [np.split(part, groups, axis=2)[group] for group, part in enumerate(np.split(summed, groups))]
        each = zip(blocks, np.split(rows, groups), np.split(columns, groups), strict=True)
        narrow = [block[which][:, :, reads] for block, which, reads in each if which.any()]
        inputs = [source.name, self._constant(constant, op, np.concatenate(narrow).astype(weights.dtype).reshape(shape))]
        if len(op.inputs) > 2:
            inputs.append(self._constant(self._source.tensor(op.inputs[2]), op, bias[rows].astype(np.int32)))
        elif bias.any():
            new = Tensor(f"{output.name}_bias", (len(bias),), DType.INT32)
            inputs.append(self._constant(new, op, bias[rows].astype(np.int32)))
        return replace(op, inputs=tuple(inputs))

    def _constant(self, like: Tensor, op: Op, data: npt.NDArray[np.generic]) -> str:
        """A constant of the narrowed graph in place of one that was read; scales of its own are those of the kept outputs."""
        quantization = like.quantization
        if quantization is not None and quantization.axis is not None:
            stay = np.flatnonzero(self._kept[op.output])
            scales = tuple(quantization.scales[i] for i in stay)
            quantization = replace(quantization, scales=scales, zero_points=tuple(quantization.zero_points[i] for i in stay))
        name = f"{like.name}_of_{op.output}"
        while name in self._source.tensors or name in self._made:
            name += "_"
        self._made[name] = Tensor(name, data.shape, like.dtype, quantization, data, source_name=like.source_name)
        return name
