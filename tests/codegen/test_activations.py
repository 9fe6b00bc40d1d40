"""The descriptions of activations: their clamps, what the schema says of them, and their tables beside real functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from flynet_tiny.codegen.activations import ACTIVATIONS, ALTERNATIVES, FUSED_CLAMPS, activation_bounds, activation_table
from flynet_tiny.codegen.ir import ActivationAttrs, NoAttrs, OpKind, Quantization
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.codegen.verify_graph import GraphError, verify_graph
from flynet_tiny.errors import UnsupportedOperators

from ..one_op_models import unary

REAL: Mapping[OpKind, Callable[[np.ndarray], np.ndarray]] = {
    OpKind.LOGISTIC: lambda x: 1 / (1 + np.exp(-x)),
    OpKind.HARD_SWISH: lambda x: x * np.clip(x + 3, 0, 6) / 6,
    OpKind.RELU: lambda x: np.maximum(x, 0),
    OpKind.RELU6: lambda x: np.clip(x, 0, 6),
    OpKind.QUANTIZE: lambda x: x,
}


def test_activation_bounds() -> None:
    assert activation_bounds("NONE", 0.1, 5) == (-128, 127)
    assert activation_bounds("RELU", 0.1, 5) == (5, 127)
    assert activation_bounds("RELU6", 0.1, 5) == (5, 65)
    assert activation_bounds("RELU_N1_TO_1", 0.125, 5) == (-3, 13)
    assert activation_bounds("RELU6", 0.5, -128) == (-128, -116)


def test_the_codes_and_options_are_the_schema_s() -> None:
    """Names, codes and fields, with the defaults that a file leaves out."""
    for name, activation in ACTIVATIONS.items():
        assert vars(schema.BuiltinOperator)[name] == activation.code
        if activation.options_table:
            assert activation.options_table in vars(schema.BuiltinOptions)
            fields = vars(getattr(schema, f"{activation.options_table}T")())
            assert fields == {parameter.name: 0 for parameter in activation.parameters}
        else:
            assert not activation.parameters
    for code, name in enumerate(FUSED_CLAMPS):
        assert vars(schema.ActivationFunctionType)[name] == code


def test_what_is_described_needs_no_alternative() -> None:
    assert not ACTIVATIONS.keys() & ALTERNATIVES.keys()


def test_a_table_says_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="HARD_SWISH needs an output scale"):
        activation_table(OpKind.HARD_SWISH, Quantization((1.0,), (0,)), Quantization((1 / 300,), (0,)))


@pytest.mark.parametrize("kind", REAL)
def test_a_table_is_near_its_real_function(kind: OpKind) -> None:
    source = Quantization((0.06,), (7,))
    result = Quantization((1 / 256,), (-128,)) if kind is OpKind.LOGISTIC else Quantization((0.05,), (-20,))
    table = activation_table(kind, source, result)
    real = REAL[kind]((np.arange(-128, 128) - 7) * np.float64(np.float32(0.06)))
    tolerance = 1.1 if kind is OpKind.HARD_SWISH else 0.51
    assert np.abs(table - np.clip(real / result.scale + result.zero_point, -128, 127)).max() < tolerance


@pytest.mark.parametrize("alpha", [np.nan, np.inf, -np.inf, 3e38, 2.0**28])
def test_a_slope_without_a_multiplier_is_refused(alpha: float) -> None:
    with pytest.raises(UnsupportedOperators, match="alpha is finite"):
        read_tflite(unary("LEAKY_RELU", 0, (1, 4), alpha=alpha))


def test_a_file_without_alpha_means_0() -> None:
    graph = read_tflite(unary("LEAKY_RELU", 0, (1, 4), alpha=0.0))  # flatbuffers leave the default out
    assert graph.ops[0].parameters == (0.0,)


@pytest.mark.parametrize(("kind", "attrs"), [(OpKind.LEAKY_RELU, NoAttrs()), (OpKind.RELU, ActivationAttrs((0.5,)))])
def test_an_activation_has_the_parameters_of_its_description(kind: OpKind, attrs: NoAttrs | ActivationAttrs) -> None:
    graph = read_tflite(unary("RELU", 0, (1, 4)))
    (op,) = graph.ops
    with pytest.raises(GraphError, match="parameters"):
        verify_graph(graph.with_ops((replace(op, kind=kind, attrs=attrs),)))
