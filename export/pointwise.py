"""Functions of one value, however many ONNX nodes say them: one table of 256 entries each in int8.

A function is a term over one value: a node's operator on terms and constants of one element. Nodes that TFLite has operators for
stay what they are (Relu, Sigmoid, x * Sigmoid(x), ...); a term that holds any other becomes a table from the value that it starts
from to the value that others read, with one rounding in all: GELU by erf, Mish, SELU, 1 / sqrt(variance + epsilon).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .onnx_graph import Array, Node, OnnxGraph
from .onnx_nodes import clamp_of


@dataclass(frozen=True)
class Term:
    """An operator on terms; `operands` are terms, numbers, or None for the value itself."""

    op: str
    operands: tuple[Term | float | None, ...]
    attributes: tuple[tuple[str, float], ...] = ()

    def at(self, value: Tensor) -> Tensor:
        """The function of every element."""
        found = [
            value if operand is None else operand.at(value) if isinstance(operand, Term) else torch.full_like(value, operand)
            for operand in self.operands
        ]
        return _FUNCTIONS[self.op](dict(self.attributes), *found)


@dataclass(frozen=True)
class PointwiseFunction:
    """The value that it is of, and what it computes."""

    source: str
    term: Term


def function_table(term: Term, scale: float, zero_point: int, result_scale: float, result_zero_point: int) -> Array:
    """int8[256], entry x + 128 of stored x: in double, rounded half away from zero; what is no number is 0."""
    real = torch.from_numpy(scale * (np.arange(-128, 128, dtype=np.float64) - zero_point))
    found = np.nan_to_num(term.at(real).numpy(), nan=0.0, posinf=np.inf, neginf=-np.inf) / result_scale
    rounded = np.trunc(np.clip(found, -1024, 1024) + np.copysign(0.5, found))
    table: Array = np.clip(rounded + result_zero_point, -128, 127).astype(np.int8)
    return table


def pointwise_functions(graph: OnnxGraph) -> tuple[Mapping[str, PointwiseFunction], frozenset[str]]:
    """(the functions by the values that are to be tables, the values of which nothing but these is made)."""
    terms: dict[str, tuple[str, Term, bool]] = {}  # value -> where it starts, the term, whether it needs a table
    for node in graph.nodes:
        found = _term(node, graph, terms)
        if found is not None:
            terms[node.output] = found
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    tables: dict[str, PointwiseFunction] = {}
    wanted = set(graph.outputs)
    inner: set[str] = set()
    for node in reversed(graph.nodes):
        name = node.output
        if name not in terms or not terms[name][2]:
            continue
        source, term, _ = terms[name]
        goes_on = [terms[r.output] for r in readers.get(name, []) if r.output in terms]
        ends = name in wanted or len(goes_on) < len(readers.get(name, [])) or any(source != root for root, _, _ in goes_on)
        if ends:
            tables[name] = PointwiseFunction(source, term)
    for node in reversed(graph.nodes):  # what only terms of tables read
        name = node.output
        if name not in terms or name in tables or name in wanted:
            continue
        if all(r.output in inner or (r.output in tables and tables[r.output].source != name) for r in readers.get(name, [])):
            inner.add(name)
    return tables, frozenset(inner)


def _term(node: Node, graph: OnnxGraph, terms: Mapping[str, tuple[str, Term, bool]]) -> tuple[str, Term, bool] | None:
    if node.op not in _FUNCTIONS or len(node.outputs) != 1 or graph.shapes.get(node.output) is None:
        return None
    moving = list(dict.fromkeys(name for name in node.inputs if name and name not in graph.constants))
    if not moving or any(graph.shapes[name] != graph.shapes[node.output] for name in moving):
        return None
    needs_table = node.op in _NEEDS_TABLE or (node.op in _CLAMPS and len(moving) == 1 and clamp_of(node, graph) is None)
    needs_table = needs_table or (node.op == "Pow" and not _is_square(node, graph))
    needs_table = needs_table or (node.op == "Div" and node.inputs[0] in graph.constants)
    roots = {terms[name][0] if name in terms else name for name in moving}
    if len(roots) > 1:
        return None
    (root,) = roots
    operands: list[Term | float | None] = []
    for name in node.inputs:
        if name in graph.constants:
            if graph.constants[name].size != 1:
                return None
            operands.append(float(graph.constants[name].reshape(())))
        elif not name:
            return None
        elif name not in terms:
            operands.append(None)
        else:
            operands.append(terms[name][1])
            needs_table = needs_table or terms[name][2]
    attributes = tuple((key, float(value)) for key, value in sorted(node.attrs.items()) if isinstance(value, int | float))
    if isinstance(node.attrs.get("approximate"), bytes):
        attributes = (*attributes, ("tanh", float(node.attrs["approximate"] == b"tanh")))
    return root, Term(node.op, tuple(operands), attributes), needs_table


def _is_square(node: Node, graph: OnnxGraph) -> bool:
    exponent = graph.constants.get(node.inputs[1])
    return exponent is not None and exponent.size == 1 and float(exponent.reshape(())) == 2.0


def _clipped(attributes: Mapping[str, float], x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


def _selu(attributes: Mapping[str, float], x: Tensor) -> Tensor:
    alpha, gamma = attributes.get("alpha", 1.67326319217681884765625), attributes.get("gamma", 1.05070102214813232421875)
    return gamma * torch.where(x > 0, x, alpha * torch.expm1(torch.minimum(x, torch.zeros_like(x))))


def _celu(attributes: Mapping[str, float], x: Tensor) -> Tensor:
    alpha = attributes.get("alpha", 1.0)
    return x.clamp(min=0) + (alpha * torch.expm1(x / alpha)).clamp(max=0)


def _shrink(attributes: Mapping[str, float], x: Tensor) -> Tensor:
    bias, bound = attributes.get("bias", 0.0), attributes.get("lambd", 0.5)
    return torch.where(x < -bound, x + bias, torch.where(x > bound, x - bias, torch.zeros_like(x)))


def _plain(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda attributes, x: function(x)


def _pair(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda attributes, a, b: function(a, b)


_NEEDS_TABLE_FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {
    "Abs": _plain(torch.abs),
    "Acos": _plain(torch.acos),
    "Asin": _plain(torch.asin),
    "Atan": _plain(torch.atan),
    "Ceil": _plain(torch.ceil),
    "Celu": _celu,
    "Cos": _plain(torch.cos),
    "Elu": lambda attributes, x: torch.where(x > 0, x, attributes.get("alpha", 1.0) * torch.expm1(x.clamp(max=0))),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Floor": _plain(torch.floor),
    "Gelu": lambda attributes, x: F.gelu(x, approximate="tanh" if attributes.get("tanh") else "none"),
    "Log": _plain(torch.log),
    "Mish": _plain(F.mish),
    "Neg": _plain(torch.neg),
    "PRelu": lambda attributes, x, slope: torch.where(x >= 0, x, x * slope),
    "Reciprocal": _plain(torch.reciprocal),
    "Round": _plain(torch.round),
    "Selu": _selu,
    "Shrink": _shrink,
    "Sign": _plain(torch.sign),
    "Sin": _plain(torch.sin),
    "Softplus": _plain(F.softplus),
    "Softsign": _plain(F.softsign),
    "Sqrt": _plain(torch.sqrt),
    "Tan": _plain(torch.tan),
    "ThresholdedRelu": lambda attributes, x: torch.where(x > attributes.get("alpha", 1.0), x, torch.zeros_like(x)),
}
_NEEDS_TABLE = frozenset(_NEEDS_TABLE_FUNCTIONS)
_CLAMPS = frozenset({"Clip", "Max", "Min"})
_FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {
    **_NEEDS_TABLE_FUNCTIONS,
    "Add": _pair(torch.add),
    "Clip": _clipped,
    "Div": _pair(torch.div),
    "HardSigmoid": lambda attributes, x: (attributes.get("alpha", 0.2) * x + attributes.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": _plain(F.hardswish),
    "LeakyRelu": lambda attributes, x: torch.where(x >= 0, x, attributes.get("alpha", 0.01) * x),
    "Max": _pair(torch.maximum),
    "Min": _pair(torch.minimum),
    "Mul": _pair(torch.mul),
    "Pow": _pair(torch.pow),
    "Relu": _plain(torch.relu),
    "Sigmoid": _plain(torch.sigmoid),
    "Sub": _pair(torch.sub),
    "Tanh": _plain(torch.tanh),
}
