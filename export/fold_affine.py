"""Products and sums with constants go into the layer before; what finds none becomes a 1x1 depthwise convolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .onnx_graph import Array, Node, OnnxGraph
from .pointwise import pointwise_functions

_LAYERS = ("Conv", "Gemm", "MatMul")
_VIEWS = ("Reshape", "Transpose", "ReduceMean")  # y = f(x) with f(c * x) = c * f(x)


def fold_affine(graph: OnnxGraph) -> OnnxGraph:
    """Without Mul, Div, Add and Sub by constants, as far as they scale or shift whole channels or everything."""
    return _Folding(graph).run()


class _Folding:
    def __init__(self, graph: OnnxGraph):
        self.graph = graph
        self.uses = graph.uses()
        tables, inside = pointwise_functions(graph)
        self.of_tables = inside | tables.keys()
        self.nodes: dict[str, Node] = {}  # by output, in order: what stands so far
        self.constants: dict[str, Array] = {}
        self.alias: dict[str, str] = {}  # values that turned out to be others, unchanged
        self.own: dict[str, str] = {}  # depthwise layers made here, by output: what they read
        self.changed = False

    def run(self) -> OnnxGraph:
        for node in self.graph.nodes:
            node = replace(node, inputs=tuple(self.alias.get(name, name) for name in node.inputs))
            affine = None if node.output in self.of_tables else self._affine(node)
            if affine is not None:
                value, factor, offset = affine
                if self._fold(node, value, factor, offset) or self._as_depthwise(node, value, factor, offset):
                    self.changed = True
                    continue
            self.nodes[node.output] = node
        if not self.changed:
            return self.graph
        outputs = tuple(self.alias.get(name, name) for name in self.graph.outputs)
        return replace(self.graph, outputs=outputs).rewritten(self.nodes.values(), self.constants)

    def _constant(self, name: str) -> Array | None:
        return self.constants.get(name, self.graph.constants.get(name))

    def _affine(self, node: Node) -> tuple[str, Array, Array] | None:
        """(x, factor, offset) of a node that computes factor * x + offset with constants; both are float64."""
        if node.op not in ("Mul", "Div", "Add", "Sub"):
            return None
        a, b = node.inputs
        for value, other, is_first in ((a, b, True), (b, a, False)):
            constant = self._constant(other)
            if constant is None or self.graph.shapes[value] != self.graph.shapes[node.output]:
                continue
            c, one, zero = constant.astype(np.float64), np.array(1.0), np.array(0.0)
            if node.op == "Mul":
                return value, c, zero
            if node.op == "Add":
                return value, one, c
            if node.op == "Div" and is_first:
                return value, 1.0 / c, zero
            if node.op == "Sub":
                return (value, one, -c) if is_first else (value, -one, c)
        return None

    def _fold(self, node: Node, value: str, factor: Array, offset: Array) -> bool:
        """Into the layer that makes `value`; a scalar factor also through views and sums."""
        if self.uses[value] != 1:
            return False
        layer = self.nodes.get(value)
        if layer is None:
            return False
        if layer.op in _LAYERS:
            channels = self._by_channel(node, layer.op == "MatMul", factor, offset)
            if channels is None or (layer.op == "MatMul" and channels[1].any()):
                return False
            scaled = self._scaled_layer(layer, *channels)
            if scaled is None:
                return False
            # the layer now makes the node's value, and has its name
            del self.nodes[value]
            source = self.own.pop(value, None)
            if source is not None:
                if self._is_neutral(scaled):
                    self.alias[node.output] = source
                    return True
                self.own[node.output] = source
            self.nodes[node.output] = replace(scaled, outputs=node.outputs)
            return True
        if factor.size != 1 or offset.any() or not self._can_scale(value):
            return False
        self._scale(value, float(factor.reshape(())), node.output)
        return True

    def _is_neutral(self, depthwise: Node) -> bool:
        """Whether a layer made here multiplies by 1 and adds 0: two constants that cancelled."""
        factor, offset = (self.constants[name] for name in depthwise.inputs[1:])
        return bool(np.allclose(factor, 1.0, rtol=1e-6) and np.allclose(offset, 0.0, atol=1e-12))

    def _by_channel(self, node: Node, last_axis: bool, factor: Array, offset: Array) -> tuple[Array, Array] | None:
        """Factor and offset as one value for each channel (axis 1, or the last one), None where they vary inside a channel."""
        shape = self.graph.shapes[node.output]
        axis = len(shape) - 1 if last_axis else 1
        if len(shape) < 2:
            return None
        along = tuple(size if index == axis else 1 for index, size in enumerate(shape))
        result = []
        for constant in (factor, offset):
            if constant.ndim > len(shape):
                return None
            padded = constant.reshape((1,) * (len(shape) - constant.ndim) + constant.shape)
            if any(size != 1 and index != axis for index, size in enumerate(padded.shape)):
                return None
            result.append(np.broadcast_to(padded, along).reshape(-1))
        return result[0], result[1]

    def _scaled_layer(self, layer: Node, factor: Array, offset: Array) -> Node | None:
        """The layer with factor * y + offset as its output; None when its weights are not constant."""
        weights = self._constant(layer.inputs[1])
        bias = self._constant(layer.inputs[2]) if len(layer.inputs) > 2 and layer.inputs[2] else np.zeros(())
        if weights is None or bias is None:
            return None
        if layer.op == "Conv" or (layer.op == "Gemm" and layer.attrs.get("transB", 0)):
            by_row = factor.reshape((-1,) + (1,) * (weights.ndim - 1))
        else:
            by_row = factor
        name = f"{layer.output}/scaled_weight"
        self.constants[name] = (weights * by_row).astype(np.float32)
        inputs: tuple[str, ...] = (layer.inputs[0], name)
        if layer.op != "MatMul":
            bias_factor = layer.attrs.get("beta", 1.0) if layer.op == "Gemm" else 1.0
            new_bias = bias_factor * np.broadcast_to(bias.reshape(-1) if bias.ndim else bias, factor.shape) * factor + offset
            if new_bias.any() or len(layer.inputs) > 2:
                self.constants[f"{layer.output}/scaled_bias"] = new_bias.astype(np.float32)
                inputs = (*inputs, f"{layer.output}/scaled_bias")
        attrs = {**layer.attrs, "beta": 1.0} if layer.op == "Gemm" else layer.attrs
        return replace(layer, inputs=inputs, attrs=attrs)

    def _can_scale(self, value: str) -> bool:
        node = self.nodes.get(value)
        if node is None or self.uses[value] != 1:
            return False
        if node.op in _LAYERS:
            return self._constant(node.inputs[1]) is not None
        if node.op == "Add":
            return node.inputs[0] != node.inputs[1] and all(self._can_scale(name) for name in node.inputs)
        return node.op in _VIEWS and self._can_scale(node.inputs[0])

    def _scale(self, value: str, factor: float, new_name: str) -> None:
        """Make `new_name` = factor * value in place of `value`, by scaling the layers that it comes from."""
        node = self.nodes[value]
        order = list(self.nodes)
        if node.op in _LAYERS:
            last_axis = node.op == "MatMul" or (node.op == "Gemm" and not node.attrs.get("transB", 0))
            channels = self._constant(node.inputs[1]).shape[-1 if last_axis else 0]  # type: ignore[union-attr]
            scaled = self._scaled_layer(node, np.full(channels, factor), np.zeros(channels))
            assert scaled is not None
            made = replace(scaled, outputs=(new_name,))
        else:
            upstream = node.inputs if node.op == "Add" else node.inputs[:1]
            names = tuple(f"{name}/scaled" for name in upstream)
            for name, new in zip(upstream, names, strict=True):
                self._scale(name, factor, new)
            made = replace(node, inputs=(*names, *node.inputs[len(names) :]), outputs=(new_name,))
            order = list(self.nodes)
        self.nodes = {(new_name if name == value else name): (made if name == value else self.nodes[name]) for name in order}
        self.uses[new_name] = self.uses[new_name] or 1
        self._shape(new_name, value)

    def _shape(self, name: str, like: str) -> None:
        if name not in self.graph.shapes:
            self.graph = replace(self.graph, shapes={**self.graph.shapes, name: self.graph.shapes[like]})

    def _as_depthwise(self, node: Node, value: str, factor: Array, offset: Array) -> bool:
        """A map's channels scaled and shifted on their own are a 1x1 depthwise convolution."""
        channels = self._by_channel(node, False, factor, offset)
        if channels is None or len(self.graph.shapes[node.output]) != 4:
            return False
        weights, bias = channels
        count = len(weights)
        self.constants[f"{node.output}/factor"] = weights.reshape(count, 1, 1, 1).astype(np.float32)
        self.constants[f"{node.output}/offset"] = bias.astype(np.float32)
        self.own[node.output] = value
        self.nodes[node.output] = replace(
            node,
            op="Conv",
            inputs=(value, f"{node.output}/factor", f"{node.output}/offset"),
            attrs={"group": count, "kernel_shape": [1, 1]},
        )
        return True
