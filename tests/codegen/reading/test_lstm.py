"""What an LSTM must be; what LiteRT refuses, or runs with operands that it misreads or ignores, is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.ir import DType, LstmAttrs, OpKind
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel, UnsupportedOperators
from flynet_tiny.export.tflite_writer import TensorSpec

from ...small_models import Sketch
from ...stateful_models import lstm, lstm_sketch


def changed(change: Callable[[Sketch], None]) -> bytes:
    s = lstm_sketch()
    change(s)
    return s.file(("x",), ("y",))


def tensor(name: str, **fields: object) -> Callable[[Sketch], None]:
    def change(s: Sketch) -> None:
        s.tensors[name] = replace(s.tensors[name], **fields)  # type: ignore[arg-type]

    return change


def operand(place: int, name: str) -> Callable[[Sketch], None]:
    def change(s: Sketch) -> None:
        inputs = s.ops[0].inputs
        s.ops[0] = replace(s.ops[0], inputs=(*inputs[:place], name, *inputs[place + 1 :]))

    return change


def option(**options: object) -> Callable[[Sketch], None]:
    def change(s: Sketch) -> None:
        s.ops[0] = replace(s.ops[0], options={**s.ops[0].options, **options})

    return change


def op(**fields: object) -> Callable[[Sketch], None]:
    def change(s: Sketch) -> None:
        s.ops[0] = replace(s.ops[0], **fields)  # type: ignore[arg-type]

    return change


def both(*changes: Callable[[Sketch], None]) -> Callable[[Sketch], None]:
    def change(s: Sketch) -> None:
        s.tensors["p"] = TensorSpec("p", (7,), "int16", (1e-4,), (0,), data=np.ones(7, np.int16))
        for each in changes:
            each(s)

    return change


def projected(units: int) -> Callable[[Sketch], None]:
    def change(s: Sketch) -> None:
        s.tensors["j"] = TensorSpec("j", (units, 7), "int8", (1e-2,), (0,), data=np.ones((units, 7), np.int8))
        s.tensors["h"] = replace(s.tensors["h"], shape=(1, units))
        operand(16, "j")(s)

    return change


def normalised(s: Sketch) -> None:
    for i, gate in enumerate("ifco"):
        s.tensors[f"n{gate}"] = TensorSpec(f"n{gate}", (7,), "int16", (3e-5,), (0,), data=np.ones(7, np.int16))
        s.tensors[f"inner{i}"] = TensorSpec(f"inner{i}", (0,), "int16", (1e-3,), (0,))
        operand(20 + i, f"n{gate}")(s)


def projected_steeply(s: Sketch) -> None:
    projected(7)(s)
    s.tensors["j"] = replace(s.tensors["j"], scales=(1e9,))


def test_its_states_are_variables_that_it_changes_in_their_place() -> None:
    graph = read_tflite(lstm(3))
    (found,) = graph.ops
    assert found.kind is OpKind.UNIDIRECTIONAL_SEQUENCE_LSTM
    hidden, cell = graph.variables
    assert (found.inputs[1], found.inputs[2]) == (hidden.before, cell.before)
    assert found.outputs[1:] == (hidden.after, cell.after)
    assert (graph.tensor(hidden.before).dtype, graph.tensor(cell.before).dtype) == (DType.INT8, DType.INT16)
    assert (hidden.start == graph.tensor(hidden.before).zero_point).all()
    assert not cell.start.any()
    made = compile_tflite(lstm(3), "net")
    for variable in made.graph.variables:
        assert made.plan.tensor_offset(variable.before) == made.plan.tensor_offset(variable.after)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (tensor("h", is_variable=False), "is not marked as a variable"),
        (tensor("c", dtype="int8"), "is INT8; INT16 is what LiteRT takes it for"),
        (tensor("h", dtype="int16"), "is INT16; INT8 is what LiteRT takes it for"),
        (op(intermediates=("inner0", "inner1")), "it needs five intermediates"),
        (tensor("inner4", scales=(), zero_points=()), "it needs five intermediates"),
        (tensor("inner4", dtype="int16"), "it needs five intermediates"),
        (operand(12, ""), "only some are there"),
        (operand(5, ""), "only some are there"),
        (operand(1, ""), "only some are there"),
        (operand(13, ""), "input 13 is missing"),
        (both(operand(10, "p")), "only some are there"),
        (both(operand(10, "p"), operand(11, "p")), "has no peephole, and another gate differs"),
        (both(operand(9, "p"), both(operand(10, "p"), operand(11, "p")), projected(4)), "LiteRT reads out of bounds"),
        (operand(20, "bi"), "of its normalization's operands"),
        (both(normalised, tensor("inner1", dtype="float32")), "first four intermediates must be INT16"),
        (operand(17, "bi"), "a projection's bias without its weights"),
        (op(outputs=("y", "x")), "1 are needed"),
        (tensor("wi", shape=(7, 5), data=np.zeros((7, 5), np.int8)), r"must be constant int8 \[7, 6\]"),
        (tensor("h", shape=(1, 6)), "states are int8 \\[1, units\\]"),
        (tensor("h", shape=(1, 1 << 27)), "states are int8 \\[1, units\\]"),
        (tensor("h", zero_points=(1 << 40,)), "zero point outside"),
    ],
)
def test_what_means_nothing_is_refused(change: Callable[[Sketch], None], message: str) -> None:
    with pytest.raises(BadModel, match=message):
        read_tflite(changed(change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (both(normalised, tensor("nf", scales=(2.0**-12,))), "Scales of normalization"),
        (both(normalised, tensor("inner2", scales=(1.5,))), "Scales of normalization"),
        (both(normalised, tensor("no", zero_points=(1,))), "zero points are 0"),
        (both(normalised, tensor("nc", dtype="int32", data=np.ones(7, np.int32))), "is INT32"),
        (projected_steeply, "stay inside int32 likewise"),
        (tensor("x", dtype="float32"), "its data are FLOAT32"),
        (tensor("c", scales=(2.0**-12 * 1.0005,)), "power of two"),
        (tensor("c", scales=(2.0**-16,)), "power of two"),
        (tensor("c", scales=(2.0**-8,)), "power of two"),
        (tensor("c", zero_points=(1,)), "its zero point 0"),
        (tensor("wf", zero_points=(3,)), "weights' zero points are 0"),
        (tensor("ro", scales=(0.1,) * 7, zero_points=(0,) * 7, axis=0), "7 scales along axis 0; one scale can be"),
        (tensor("y", scales=(0.5,)), "has the hidden state's scale"),
        (tensor("inner4", zero_points=(200,)), "a zero point of int8"),
        (option(fusedActivationFunction="NONE"), "fused activation is TANH"),
        (option(diagonalRecurrentTensors=True), "no weights are diagonal"),
        (option(cellClip=-1.0), "no clip is negative"),
        (option(projClip=-1.0), "no clip is negative"),
        (tensor("bo", data=np.full(7, -(1 << 31), np.int32)), "stay inside int32"),
        (option(timeMajor=True), r"\[time, 1, channels\]"),
    ],
)
def test_what_is_not_compiled_is_named(change: Callable[[Sketch], None], message: str) -> None:
    with pytest.raises(UnsupportedOperators, match=message):
        read_tflite(changed(change))


def test_clips_whose_quotient_is_infinite_are_cut_like_any_other() -> None:
    """pytest makes an error of NumPy's warning."""
    graph = read_tflite(changed(option(cellClip=3e38, projClip=3e38)))
    (attrs,) = (op.attrs for op in graph.ops if isinstance(op.attrs, LstmAttrs))
    assert (attrs.cell_clip, attrs.output_clip) == (32767, 127)
