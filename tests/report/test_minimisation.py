from __future__ import annotations

from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.report.minimisation import minimisation_of

from ..codegen.minimise.dead_channels import residual, separable, separable_file, streaming


def test_layers_are_counted_and_every_tensor_is_named() -> None:
    found = minimisation_of(compile_tflite(separable_file(), "net"))
    assert (found.channels, found.constant, found.unread) == (16, 4, 0)
    assert [(tensor.name, tensor.constant, tensor.unread) for tensor in found.tensors] == [("a", (1, 4), ()), ("b", (1, 4), ())]
    assert (found.staying, found.operators) == ((), ())


def test_a_constant_that_stays_is_counted_and_said() -> None:
    found = minimisation_of(compile_tflite(residual(both=False), "net"))
    assert (found.constant, found.tensors) == (1, ())
    assert [(layer.name, layer.constant) for layer in found.staying] == [("a", (2,))]
    assert found.line == "1 of 13 channels never change (1 of them stay)"


def test_operators_that_went_say_why() -> None:
    """`y` and `flat` are read by nobody, the second RELU never bites."""
    s = separable()
    s.op("RELU", ("b",), s.like("c", "b", (1, 6, 6, 6)))
    s.op("MEAN", ("c", s.const("axes", [1, 2])), s.act("flat", (1, 1, 1, 6)), keepDims=True)
    s.act("z", (1, 6, 6, 2))
    s.conv("c", "z", 2)
    found = minimisation_of(compile_tflite(s.file(("x",), ("z",)), "net"))
    assert [(op.op, op.name, op.why) for op in found.operators] == [
        ("CONV_2D", "y", "nobody reads it"), ("RELU", "c", "it never bites"), ("MEAN", "flat", "nobody reads it"),
    ]  # fmt: skip
    assert found.unread == 4
    assert found.line.endswith("; operators that went: 3")


def test_variables_are_named_with_their_intervals() -> None:
    found = minimisation_of(compile_tflite(streaming(), "net"))
    (variable,) = found.state
    assert (variable.name, variable.title, variable.lowest) == ("old", "rows", -128)
    assert {tensor.name: (tensor.op, tensor.constant) for tensor in found.tensors}["old"] == ("VARIABLE", (1, 4))
