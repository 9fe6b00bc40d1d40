"""Parallel convolutions whose sum is one convolution: the branches of RepVGG, MobileOne and their kind.

Source: Ding et al., "RepVGG", section 3.3. Sums of weights are made in float64 and rounded to float32 once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .onnx_graph import Array, Node, OnnxGraph


def merge_branches(graph: OnnxGraph) -> OnnxGraph:
    """A sum of two convolutions of one value is one convolution, where the smaller window lies in the larger one.

    Grouped and dense branches merge where that has no more weights than both together. Each branch must be read by the sum alone.
    """
    uses = graph.uses()
    producers: dict[str, Node] = {}
    constants = dict(graph.constants)
    made: dict[str, Array] = {}
    for node in graph.nodes:
        branches = [producers.get(name) for name in node.inputs] if node.op == "Add" else []
        if len(branches) == 2 and all(branch is not None and uses[branch.output] == 1 for branch in branches):
            first, second = (branch for branch in branches if branch is not None)
            if first is not second and (merged := _merged(first, second, node, graph, constants)):
                node, weights, bias = merged
                made |= {node.inputs[1]: weights, node.inputs[2]: bias}
                constants |= made
        for name in node.outputs:
            producers[name] = node
    if not made:
        return graph
    nodes = [producers[node.output] for node in graph.nodes]
    return graph.rewritten(nodes, made)


def _merged(
    first: Node, second: Node, total: Node, graph: OnnxGraph, constants: Mapping[str, Array]
) -> tuple[Node, Array, Array] | None:
    """The convolution with its weights [O, I / groups, kh, kw] and bias [O], None where there is none."""
    for branch in (first, second):
        if branch.op != "Conv" or any(name not in constants for name in branch.inputs[1:] if name):
            return None
        if len(graph.shapes[branch.inputs[0]]) != 4 or branch.attrs.get("auto_pad", b"NOTSET") not in (b"NOTSET", "NOTSET"):
            return None
    if first.inputs[0] != second.inputs[0] or _strides(first) != _strides(second):
        return None
    large, small = sorted((first, second), key=lambda branch: math.prod(constants[branch.inputs[1]].shape[2:]), reverse=True)
    groups = math.gcd(*(int(branch.attrs.get("group", 1)) for branch in (large, small)))
    weights, inner = (_dense(branch, groups, constants) for branch in (large, small))
    if weights.size > constants[large.inputs[1]].size + constants[small.inputs[1]].size:
        return None
    dilations = [int(d) for d in large.attrs.get("dilations", (1, 1))]
    if any(size > 1 and list(small.attrs.get("dilations", (1, 1))) != dilations for size in inner.shape[2:]):
        return None
    places = []
    for axis in (0, 1):
        ahead = _pads(large)[axis] - _pads(small)[axis]
        at = ahead // dilations[axis]
        if ahead % dilations[axis] or at < 0 or at + inner.shape[2 + axis] > weights.shape[2 + axis]:
            return None
        places.append(slice(at, at + inner.shape[2 + axis]))
    weights[:, :, places[0], places[1]] += inner
    bias = sum(
        (
            constants[branch.inputs[2]].astype(np.float64)
            for branch in (large, small)
            if len(branch.inputs) > 2 and branch.inputs[2]
        ),
        np.zeros(weights.shape[0]),
    )
    names = (f"{total.output}/merged_weights", f"{total.output}/merged_bias")
    attrs = {**large.attrs, "group": groups}
    node = replace(large, inputs=(large.inputs[0], *names), outputs=total.outputs, attrs=attrs)
    return node, weights.astype(np.float32), np.asarray(bias).astype(np.float32)


def _dense(branch: Node, groups: int, constants: Mapping[str, Array]) -> Array:
    """The weights of a branch, float64, written for a smaller number of groups that divides its own."""
    weights = constants[branch.inputs[1]].astype(np.float64)
    own = int(branch.attrs.get("group", 1))
    ratio, (out, inner) = own // groups, weights.shape[:2]
    wide = np.zeros((out, inner * ratio, *weights.shape[2:]))
    for channel in range(out):
        at = (channel // (out // own)) % ratio * inner
        wide[channel, at : at + inner] = weights[channel]
    return wide


def _strides(node: Node) -> tuple[int, ...]:
    return tuple(node.attrs.get("strides", (1, 1)))


def _pads(node: Node) -> tuple[int, ...]:
    return tuple(node.attrs.get("pads", (0, 0, 0, 0)))
