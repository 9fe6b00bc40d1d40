"""Functions of one value, however many ONNX nodes say them: one table of 256 entries each in int8.

A function is a term over one value: a node's operator on terms and constants of one element. Nodes that TFLite has operators for
stay what they are (Relu, Sigmoid, x * Sigmoid(x), ...); a term that holds any other becomes a table from the value that it starts
from to the value that others read, with one rounding in all: GELU by erf, Mish, SELU, 1 / sqrt(variance + epsilon).

torch is imported where a table is made: a network without one needs none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MissingExtra
from .onnx_graph import Array, Node, OnnxGraph
from .onnx_nodes import clamp_of

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Term:
    """An operator on terms; `operands` are terms, numbers, or None for the value itself."""

    op: str
    operands: tuple[Term | float | None, ...]
    attributes: tuple[tuple[str, float], ...] = ()

    def at(self, value: Tensor) -> Tensor:
        """The function of every element."""
        import torch

        from .pointwise_torch import FUNCTIONS

        found = [
            value if operand is None else operand.at(value) if isinstance(operand, Term) else torch.full_like(value, operand)
            for operand in self.operands
        ]
        return FUNCTIONS[self.op](dict(self.attributes), *found)


@dataclass(frozen=True)
class PointwiseFunction:
    """The value that it is of, and what it computes."""

    source: str
    term: Term


def function_table(term: Term, scale: float, zero_point: int, result_scale: float, result_zero_point: int) -> Array:
    """int8[256], entry x + 128 of stored x: in double, rounded half away from zero; what is no number is 0."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtra(["torch"], "torch") from error
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
    if node.op not in _KNOWN or len(node.outputs) != 1 or graph.shapes.get(node.output) is None:
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


_NEEDS_TABLE = frozenset(
    [
        "Abs",
        "Acos",
        "Asin",
        "Atan",
        "Ceil",
        "Celu",
        "Cos",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "Log",
        "Mish",
        "Neg",
        "PRelu",
        "Reciprocal",
        "Round",
        "Selu",
        "Shrink",
        "Sign",
        "Sin",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Tan",
        "ThresholdedRelu",
    ]
)
_CLAMPS = frozenset({"Clip", "Max", "Min"})
_KNOWN = _NEEDS_TABLE | frozenset(
    ["Add", "Clip", "Div", "HardSigmoid", "HardSwish", "LeakyRelu", "Max", "Min", "Mul", "Pow", "Relu", "Sigmoid", "Sub", "Tanh"]
)
