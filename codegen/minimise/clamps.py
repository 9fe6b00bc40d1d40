"""Fused activations that never bite: no value that an operator can give without its clamp lies outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..ir import ClampAttrs, ConvAttrs, Graph, Op, OpKind, PoolAttrs
from .certificate import SimplifiedOperator
from .intervals import Bounds, bounds_of, works_on_int8

_LOWEST, _HIGHEST = -128, 127
_ROUNDS_TWICE = (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D)
_CLAMPED = (*_ROUNDS_TWICE, OpKind.FULLY_CONNECTED, OpKind.AVERAGE_POOL_2D, OpKind.MAX_POOL_2D)


def without_idle_clamps(graph: Graph, bounds: Mapping[str, Bounds]) -> tuple[Graph, tuple[SimplifiedOperator, ...]]:
    """The graph without clamps that never bite, and the operators that had them.

    A kind of operator keeps its clamps where its layers would need more different functions without. A convolution keeps a lower
    bound at its zero point or above: kernels round faster where what is negative is cut. Sums and products keep theirs: kernels
    know their formulas for all pairs of values, and more of them for fewer results.
    """
    found = {op.output: _unclamped(op, graph, bounds) for op in graph.ops}
    for kind in {op.kind for op in graph.ops}:
        layers = [op for op in graph.ops if op.kind is kind]
        if len({_form(found[op.output]) for op in layers}) > len({_form(op) for op in layers}):
            found |= {op.output: op for op in layers}
    changed = [op for op in graph.ops if found[op.output] is not op]
    if not changed:
        return graph, ()
    operators = tuple(SimplifiedOperator(op.output, op.kind.value, "its clamp never bites") for op in changed)
    return graph.with_ops(tuple(found[op.output] for op in graph.ops)), operators


def _form(op: Op) -> object:
    """What of a clamp is in the text of an operator's function."""
    attrs = op.attrs
    if not isinstance(attrs, ConvAttrs | ClampAttrs | PoolAttrs):
        return None
    if op.kind in (*_ROUNDS_TWICE, OpKind.FULLY_CONNECTED):
        return attrs.activation_min > _LOWEST, attrs.activation_max < _HIGHEST
    return attrs.activation_min, attrs.activation_max


def _unclamped(op: Op, graph: Graph, bounds: Mapping[str, Bounds]) -> Op:
    attrs = op.attrs
    if not isinstance(attrs, ConvAttrs | ClampAttrs | PoolAttrs) or op.kind not in _CLAMPED or not works_on_int8(op, graph):
        return op
    if (attrs.activation_min, attrs.activation_max) == (_LOWEST, _HIGHEST):
        return op
    free = bounds_of(replace(op, attrs=replace(attrs, activation_min=_LOWEST, activation_max=_HIGHEST)), graph, bounds)
    rounds_faster = op.kind in _ROUNDS_TWICE and attrs.activation_min >= graph.tensor(op.output).zero_point
    low = attrs.activation_min if rounds_faster or free.low.min() < attrs.activation_min else _LOWEST
    high = attrs.activation_max if free.high.max() > attrs.activation_max else _HIGHEST
    if (low, high) == (attrs.activation_min, attrs.activation_max):
        return op
    return replace(op, attrs=replace(attrs, activation_min=low, activation_max=high))
