"""What an SVDF must be; what LiteRT refuses, or runs with operands that it misreads or ignores, is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.ir import DType, OpKind
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel, UnsupportedOperators

from ...small_models import Sketch
from ...stateful_models import svdf, svdf_sketch


def tensor(name: str, **fields: object) -> Callable[[Sketch], None]:
    def change(s: Sketch) -> None:
        s.tensors[name] = replace(s.tensors[name], **fields)  # type: ignore[arg-type]

    return change


def option(**options: object) -> Callable[[Sketch], None]:
    def change(s: Sketch) -> None:
        s.ops[0] = replace(s.ops[0], options={**s.ops[0].options, **options})

    return change


def changed(change: Callable[[Sketch], None]) -> bytes:
    s = svdf_sketch(c_in=5, units=2, rank=2, memory=3, has_bias=True)
    change(s)
    return s.file(("x",), ("y",))


def test_its_state_is_a_variable_that_it_changes_in_its_place() -> None:
    graph = read_tflite(svdf(2))
    (op,), (state,) = graph.ops, graph.variables
    assert op.kind is OpKind.SVDF
    assert (op.inputs[1], op.outputs[1]) == (state.before, state.after)
    assert graph.tensor(state.before).dtype is DType.INT16
    assert not state.start.any()
    made = compile_tflite(svdf(2), "net")
    (variable,) = made.graph.variables
    assert made.plan.tensor_offset(variable.before) == made.plan.tensor_offset(variable.after)
    assert "net_reset" in made.library.files["net.h"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (tensor("state", is_variable=False), "is not marked as a variable"),
        (tensor("state", dtype="int8"), "is INT8; INT16 is what LiteRT takes it for"),
        (tensor("state", shape=(1, 11)), r"must be int16 \[1, 12\]"),
        (tensor("w", shape=(4, 4), data=np.zeros((4, 4), np.int8)), r"must be constant int8 \[4, 5\]"),
        (tensor("b", shape=(3,), data=np.zeros(3, np.int32)), "2 constant int32"),
        (tensor("y", shape=(1, 3)), "output has shape"),
    ],
)
def test_what_means_nothing_is_refused(change: Callable[[Sketch], None], message: str) -> None:
    with pytest.raises(BadModel, match=message):
        read_tflite(changed(change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (option(rank=0), "The rank divides"),
        (option(rank=3), "The rank divides"),
        (option(fusedActivationFunction="NONE"), "fused activation is RELU"),
        (option(fusedActivationFunction="SIGN_BIT"), "fused activation is RELU"),  # a number beyond ours
        (tensor("x", shape=(2, 5)), "one row of data"),
        (tensor("x", dtype="int16"), "its data are INT16"),
        (tensor("state", zero_points=(1,)), "zero points of the state"),
        (tensor("t", zero_points=(1,)), "zero points of the state"),
        (tensor("w", zero_points=(1,)), "zero points of the state"),
        (tensor("state", scales=(1e-9,)), "data's sums"),
        (tensor("y", scales=(1e-12,)), "below the output's"),
    ],
)
def test_what_is_not_compiled_is_named(change: Callable[[Sketch], None], message: str) -> None:
    with pytest.raises(UnsupportedOperators, match=message):
        read_tflite(changed(change))
