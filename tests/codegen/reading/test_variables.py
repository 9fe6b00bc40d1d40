"""What a file may do with variables; what LiteRT runs without meaning anything is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from flynet_tiny.codegen.ir import OpKind
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel, UnsupportedOperators
from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite

from ...stateful_models import HANDLE, Initialisation, StatefulSketch, constant_variable, delay, read_again, ring

SHAPE = (1, 4)


def plain(change: Callable[[StatefulSketch], None] = lambda s: None) -> bytes:
    """y = old + x, and the variable is x; `change` comes before the file is written."""
    s = sketch()
    change(s)
    return s.file()


def sketch() -> StatefulSketch:
    s = StatefulSketch()
    s.act("x", SHAPE, 0.5, 3)
    s.like("old", "x", SHAPE)
    s.begins("v", "old")
    s.read("v", "old")
    s.act("y", SHAPE)
    s.op("ADD", ("old", "x"), "y", fusedActivationFunction="NONE")
    s.assign("v", "x")
    return s


def requantized(s: StatefulSketch, name: str, scale: float = 0.5, zero_point: int = 3) -> None:
    s.tensors[name] = replace(s.tensors[name], scales=(scale,), zero_points=(zero_point,))


def test_a_variable_is_its_first_value_its_next_one_and_its_start() -> None:
    graph = read_tflite(plain())
    (variable,) = graph.variables
    assert (variable.before, str(variable.name)) == ("old", "v")
    assert graph.tensor("old").source_index is not None, "LiteRT shows it"
    assert graph.tensor(variable.after).source_index is None
    assert [op.kind for op in graph.ops] == [OpKind.ADD, OpKind.ASSIGN_VARIABLE]
    assert graph.ops[-1].inputs == ("x",)
    assert variable.start.shape == SHAPE
    assert variable.start.dtype == np.int8


def test_values_between_assignments_are_tensors_of_their_own() -> None:
    graph = read_tflite(read_again())
    assert len(graph.variables) == 1
    shown = {op.output: op.inputs[0] for op in graph.ops if op.kind is OpKind.RESHAPE}
    assert shown == {"read1": "more0", "read2": "more1"}
    assert [op.inputs for op in graph.ops if op.kind is OpKind.ASSIGN_VARIABLE] == [("more1",)], "the last one alone counts"


def test_what_no_inference_hands_on_is_no_variable() -> None:
    graph = read_tflite(constant_variable())
    (variable,) = graph.variables
    assert variable.before == variable.after == "fixed", "read, never assigned"


def test_a_variable_that_is_assigned_its_own_value_stays() -> None:
    (variable,) = read_tflite(plain(lambda s: s.assign("v", "old"))).variables
    assert variable.after == "old"


def test_container_and_name_name_a_variable() -> None:
    """Two handles of one pair are one variable; another container is another variable, which has no value."""
    data = sketch().spec(("x",), ("y",))
    again = [TensorSpec("again", (), HANDLE), TensorSpec("other", (), HANDLE), replace(data.tensors[1], name="more")]

    def with_handle(container: str) -> bytes:
        ops = (
            *data.ops,
            OpSpec("VAR_HANDLE", (), ("again",), {"container": container, "sharedName": "v"}),
            OpSpec("READ_VARIABLE", ("again",), ("more",)),
        )
        return write_tflite(replace(data, tensors=(*data.tensors, *again), ops=ops))

    assert len(read_tflite(with_handle("")).variables) == 1
    with pytest.raises(BadModel, match="its variable has no value"):
        read_tflite(with_handle("elsewhere"))


def test_one_subgraph_called_twice_runs_once_and_two_run_in_order() -> None:
    s = sketch()
    s.ops.insert(1, s.ops[0])
    assert np.array_equal(read_tflite(s.file()).variables[0].start, read_tflite(plain()).variables[0].start)
    data = sketch().spec(("x",), ("y",))
    later = Initialisation()
    later.assign("v", TensorSpec("later", SHAPE, "int8", (0.5,), (3,), None, np.full(SHAPE, 7, np.int8)))
    both = (*data.others, ModelSpec(tuple(later.tensors), tuple(later.ops), (), ()))
    ops = (data.ops[0], OpSpec("CALL_ONCE", (), (), {"initSubgraphIndex": 2}), *data.ops[1:])
    assert (read_tflite(write_tflite(replace(data, ops=ops, others=both))).variables[0].start == 7).all()


def _other_start(s: StatefulSketch, shape: tuple[int, ...] = SHAPE, scale: float = 0.5, zero_point: int = 3) -> None:
    data = np.zeros(shape, np.int8)
    s.start.tensors[1] = TensorSpec("v_start", shape, "int8", (scale,), (zero_point,), None, data)


def _assigned_shape(s: StatefulSketch) -> None:
    s.like("flat", "x", (4,))
    s.op("RESHAPE", ("x", s.const("shape", [4])), "flat")
    s.assign("v", "flat")


def _assigned_scale(s: StatefulSketch) -> None:
    s.op("QUANTIZE", ("x",), s.act("fine", SHAPE, 0.25, 3))
    s.assign("v", "fine")


def _second_read_larger(s: StatefulSketch) -> None:
    s.like("second", "x", (1, 8))
    s.read("v", "second")


def _no_start(s: StatefulSketch) -> None:
    s.start.ops.clear()
    s.start.tensors.clear()


def _no_call(s: StatefulSketch) -> None:
    s.ops.pop(0)


def _late_handle(s: StatefulSketch) -> None:
    s.ops.insert(2, s.ops.pop(1))


def _two_handles(s: StatefulSketch) -> None:
    s.tensors["v_handle"] = TensorSpec("v_handle", (2,), HANDLE)


def _missing_subgraph(s: StatefulSketch) -> None:
    s.call_once(5)


def _own_subgraph(s: StatefulSketch) -> None:
    s.call_once(0)


def _start_with_input(s: StatefulSketch) -> None:
    s.start.inputs = ("v_start",)


def _no_operands(s: StatefulSketch) -> None:
    s.ops.append(OpSpec("ASSIGN_VARIABLE", ("v_handle",), ()))


def _no_handle(s: StatefulSketch) -> None:
    s.ops.append(OpSpec("READ_VARIABLE", ("x",), (s.like("z", "x", SHAPE),)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: requantized(s, "old", 0.25), "scale and zero point"),
        (lambda s: requantized(s, "old", 0.5, 4), "scale and zero point"),
        (lambda s: _other_start(s, (1, 3)), r"has shape \[1, 4\], and another value of its variable, .*\[1, 3\]; LiteRT copies"),
        (lambda s: _other_start(s, (4, 1)), "shape"),
        (lambda s: _other_start(s, scale=0.25), "scale and zero point 0.5 and 3, and another .*0.25 and 3"),
        (lambda s: _other_start(s, zero_point=0), "scale and zero point"),
        (_assigned_shape, "shape"),
        (_assigned_scale, "scale and zero point"),
        (_second_read_larger, "shape"),
        (_no_start, "its variable has no value: neither CALL_ONCE nor an operator before assigns it"),
        (_no_call, "its variable has no value"),
        (_late_handle, "used before its VAR_HANDLE"),
        (_two_handles, r"RESOURCE \[2\], not one handle"),
        (_missing_subgraph, "subgraph 5 is meant, but there are 2"),
        (_own_subgraph, "its own subgraph"),
        (_start_with_input, "subgraph 1 has inputs or outputs"),
        (_no_operands, "1 inputs and 0 outputs, 2 and 0 are needed"),
        (_no_handle, "is no variable's handle"),
    ],
)
def test_what_means_nothing_is_refused(change: Callable[[StatefulSketch], None], message: str) -> None:
    with pytest.raises(BadModel, match=message) as error:
        read_tflite(plain(change))
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 3


def _late_call(s: StatefulSketch) -> None:
    s.ops.append(s.ops.pop(0))
    s.ops.insert(1, OpSpec("ASSIGN_VARIABLE", ("v_handle", "x"), ()))


def _computed_start(s: StatefulSketch) -> None:
    s.start.ops.insert(0, OpSpec("ADD", ("v_start", "v_start"), ("v_sum",)))
    s.start.tensors.append(TensorSpec("v_sum", SHAPE, "int8", (0.5,), (3,)))


def _assigned_constant(s: StatefulSketch) -> None:
    s.tensors["c"] = TensorSpec("c", SHAPE, "int8", (0.5,), (3,), None, np.zeros(SHAPE, np.int8))
    s.assign("v", "c")


def _unknown_in_start(s: StatefulSketch) -> None:
    s.start.ops.append(OpSpec("FLOOR", ("v_start",), ("v_floor",)))
    s.start.tensors.append(TensorSpec("v_floor", SHAPE, "int8", (0.5,), (3,)))


def _int16(s: StatefulSketch) -> None:
    s.tensors["wide"] = TensorSpec("wide", SHAPE, "int16", (0.5,), (0,))
    s.read("w", "wide")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_late_call, "in the first inference alone, behind operators that use its variable"),
        (_computed_start, "subgraph 1 op 0 ADD -> 'v_sum': CALL_ONCE runs it; only"),
        (_unknown_in_start, "subgraph 1 op 2 FLOOR -> 'v_floor': CALL_ONCE runs it; only"),
        (_assigned_constant, "assigns a constant in every inference"),
        (_int16, "a variable of INT16; those of INT8 are compiled"),
    ],
)
def test_what_is_not_compiled_is_named(change: Callable[[StatefulSketch], None], message: str) -> None:
    with pytest.raises(UnsupportedOperators, match=message) as error:
        read_tflite(plain(change))
    assert error.value.exit_code == 4


def test_a_handle_is_no_end_of_a_model() -> None:
    with pytest.raises(BadModel, match=r"not an int8 model: .*\(RESOURCE\)"):
        read_tflite(write_tflite(sketch().spec(("x",), ("y", "v_handle"))))


def test_an_operator_may_not_write_a_variable() -> None:
    s = sketch()
    s.op("RELU", ("x",), "old")
    with pytest.raises(BadModel, match="is an input of the model, a variable or was written before"):
        read_tflite(s.file())


@pytest.mark.parametrize("data", [ring(), delay()])
def test_a_file_cut_anywhere_is_refused(data: bytes) -> None:
    for end in range(8, len(data), 37):
        with pytest.raises((BadModel, UnsupportedOperators)):
            read_tflite(data[:end])
