"""The rewritings of a file model: what is left of it, what is noted, what is refused, and what a hostile file cannot make."""

from __future__ import annotations

import numpy as np
import pytest

from flynet_tiny.codegen.ir import OpKind, Quantization
from flynet_tiny.codegen.reading.constant_arithmetic import Evaluation, NotFoldable, evaluate
from flynet_tiny.codegen.reading.file_model import FileModel, FileOp, FileTensor
from flynet_tiny.codegen.reading.fold_constants import BUDGET_BYTES, fold_constants
from flynet_tiny.codegen.reading.normalise import normalise
from flynet_tiny.codegen.reading.parse import parse
from flynet_tiny.codegen.reading.schema import ElementType
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel, FlynetError, UnsupportedOperators
from flynet_tiny.export.tflite_writer import TensorSpec
from flynet_tiny.quoting import NO_TEXT

from ...converter_models import KINDS, Forms, uint8_scales


def normalised(data: bytes) -> FileModel:
    return normalise(parse(data), len(data))


def opcodes(model: FileModel) -> list[str]:
    return [op.opcode for op in model.ops]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("float_ends", ["CONV_2D"]),
        ("float_ends_moved", ["TRANSPOSE", "PAD", "CONV_2D", "RESHAPE", "RESHAPE"]),
        ("float_ends_many", ["RESHAPE", "ADD", "ADD", "ADD"]),
        ("uint8_ends", ["RESHAPE", "CONV_2D"]),
        ("shape_arithmetic", ["RESHAPE", "FULLY_CONNECTED", "RESHAPE", "RESHAPE"]),
        ("reshape_kinds", ["RESHAPE"] * 10 + ["CONV_2D"]),
        ("folded_weights", ["FULLY_CONNECTED", "FULLY_CONNECTED", "ADD"]),
        ("int64_operands", ["PAD", "SLICE", "GATHER", "TRANSPOSE", "RESHAPE", "MEAN"]),
        ("int4_weights", ["CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED"]),
        ("odd_biases", ["CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED"]),
    ],
)
def test_each_form_becomes_what_the_builder_knows(kind: str, expected: list[str]) -> None:
    model = normalised(KINDS[kind](1))
    assert opcodes(model) == expected
    assert all(t.type is ElementType.INT8 for t in (*model.inputs, *model.outputs))


def test_tensors_that_stay_keep_their_index() -> None:
    for kind, build in KINDS.items():
        data = build(1)
        indices = [t.index for op in normalised(data).ops for t in op.outputs if t.index is not None]
        known = {t.index: t.source_name.raw for op in parse(data).ops for t in (*op.inputs, *op.outputs) if t is not None}
        assert len(indices) == len(set(indices)), kind
        for op in normalised(data).ops:
            assert all(t.index is None or known[t.index] == t.source_name.raw for t in op.outputs), kind


def test_a_dilated_convolution_has_the_paddings_minus_the_crops() -> None:
    graph = read_tflite(KINDS["dilated_conv_1d"](0))
    convolution = next(op for op in graph.ops if op.kind is OpKind.CONV_2D)
    assert convolution.attrs.window.dilation_w > 1
    pad = next(op for op in graph.ops if op.kind is OpKind.PAD)
    assert pad.attrs.after == (0, 0, 0)  # causal: what was padded behind is cropped again


def test_what_is_left_to_the_caller_is_named_in_order() -> None:
    graph = read_tflite(KINDS["float_ends"](3))
    assert graph.file_outputs[0].left_to_caller == ("SOFTMAX", "RESHAPE", "ARG_MAX")
    assert graph.notes == (
        "input in, output best: float32 in the file, int8 in the C, with scale and zero point in the header",
        "output best: SOFTMAX, then RESHAPE, then ARG_MAX behind it is left to the caller",
    )


def test_folding_is_counted() -> None:
    assert read_tflite(KINDS["shape_arithmetic"](0)).notes == ("12 operators of shape arithmetic and constants folded",)


# --- what is refused ------------------------------------------------------------------------------------------------


def in_the_middle(opcode: str, **options: object) -> bytes:
    """An int8 network with one float operator between DEQUANTIZE and QUANTIZE."""
    s = Forms()
    s.act("x", (1, 4))
    s.op("RELU", ("x",), s.act("a", (1, 4)))
    s.op("DEQUANTIZE", ("a",), s.plain("real", (1, 4)))
    s.op(opcode, ("real",), s.plain("made", (1, 4)), **options)
    s.op("QUANTIZE", ("made",), s.act("b", (1, 4)))
    s.op("RELU", ("b",), s.act("y", (1, 4)))
    return s.file(("x",), ("y",))


@pytest.mark.parametrize(("opcode", "options"), [("SOFTMAX", {"beta": 1.0}), ("TANH", {}), ("LOGISTIC", {}), ("EXP", {})])
def test_a_float_operator_in_the_middle_is_refused_by_name(opcode: str, options: dict[str, object]) -> None:
    with pytest.raises(UnsupportedOperators, match=f"{opcode} -> 'made'"):
        read_tflite(in_the_middle(opcode, **options))


def test_dequantize_and_quantize_to_the_same_scale_are_nothing() -> None:
    """Moves between them move int8; another scale is refused."""
    for scale in (0.05, 0.06):
        s = Forms()
        s.op("RELU", (s.act("x", (1, 6)),), s.act("a", (1, 6), 0.05, 3))
        s.op("DEQUANTIZE", ("a",), s.plain("real", (1, 6)))
        s.reshape("real", s.plain("turned", (2, 3)))
        s.op("QUANTIZE", ("turned",), s.act("b", (2, 3), scale, 3))
        s.op("RELU", ("b",), s.act("y", (2, 3)))
        data = s.file(("x",), ("y",))
        if scale == 0.05:
            assert opcodes(normalised(data)) == ["RELU", "RESHAPE", "RELU"]
        else:
            with pytest.raises(UnsupportedOperators, match="DEQUANTIZE -> 'real'"):
                read_tflite(data)


def test_a_float_input_quantized_in_two_ways_is_refused() -> None:
    s = Forms()
    s.plain("in", (1, 4))
    for name in ("a", "b"):
        s.op("QUANTIZE", ("in",), s.act(name, (1, 4)))
    s.op("ADD", ("a", "b"), s.act("y", (1, 4), 0.1), fusedActivationFunction="NONE")
    with pytest.raises(FlynetError):
        read_tflite(s.file(("in",), ("y",)))


def test_a_dilation_with_a_stride_is_refused() -> None:
    s = Forms()
    s.act("x", (1, 8, 8, 2))
    s.op("SPACE_TO_BATCH_ND", ("x", s.whole("block", [2, 2]), s.whole("pads", [[0, 0], [0, 0]])), s.like("b", "x", (4, 4, 4, 2)))
    s.conv("b", s.act("c", (4, 2, 2, 3)), 3, 2, "VALID", 2)
    s.op("BATCH_TO_SPACE_ND", ("c", "block", s.whole("crops", [[0, 0], [0, 0]])), s.like("y", "c", (1, 4, 4, 3)))
    with pytest.raises(UnsupportedOperators, match="SPACE_TO_BATCH_ND"):
        read_tflite(s.file(("x",), ("y",)))


def dilated(scale: float) -> bytes:
    """A convolution by batches whose first operator gives another scale than it gets, or the same."""
    s = Forms()
    s.act("x", (1, 4, 4, 2), 0.05, 3)
    s.op(
        "SPACE_TO_BATCH_ND",
        ("x", s.whole("block", [2, 2]), s.whole("none", [[0, 0], [0, 0]])),
        s.act("b", (4, 2, 2, 2), scale, 3),
    )
    s.conv("b", s.act("c", (4, 2, 2, 3), 0.9), 3)
    s.op("BATCH_TO_SPACE_ND", ("c", "block", "none"), s.like("y", "c", (1, 4, 4, 3)))
    return s.file(("x",), ("y",))


def test_batches_of_another_scale_are_not_dropped() -> None:
    assert opcodes(normalised(dilated(0.05))) == ["CONV_2D"]
    with pytest.raises(UnsupportedOperators, match="SPACE_TO_BATCH_ND"):
        read_tflite(dilated(0.02))


def test_what_joins_two_outputs_is_not_left_to_the_caller() -> None:
    """The caller would get only one of them."""
    s = Forms()
    s.plain("in", (1, 4))
    s.op("QUANTIZE", ("in",), s.act("x", (1, 4)))
    for name in ("a", "b"):
        s.op("RELU", ("x",), s.act(name, (1, 4)))
        s.op("DEQUANTIZE", (name,), s.plain(f"{name}_real", (1, 4)))
        s.op("SOFTMAX", (f"{name}_real",), s.plain(f"{name}_shares", (1, 4)), beta=1.0)
    s.op("CONCATENATION", ("a_shares", "b_shares"), s.plain("out", (1, 8)), axis=1, fusedActivationFunction="NONE")
    with pytest.raises(UnsupportedOperators, match="CONCATENATION -> 'out'"):
        read_tflite(s.file(("in",), ("out",)))


@pytest.mark.parametrize("target", ["x", "k", "y"])
def test_a_tensor_is_written_once(target: str) -> None:
    """An input, a constant, another operator's output: also by an operator that would be folded away."""
    s = Forms()
    s.act("x", (1, 4))
    s.op("RELU", ("x",), s.act("y", (1, 4)))
    s.stored("k", s.ints(1, 4), 0.05)
    s.stored("other", s.ints(1, 4), 0.05)
    s.op("EXPAND_DIMS", ("other", s.whole("axis", 0)), target)
    with pytest.raises(BadModel, match=f"it writes tensor . '{target}', which is"):
        read_tflite(s.file(("x",), ("y",)))


@pytest.mark.parametrize("wanted", [[3], [-1, 3], [-1, -1], [4, 2]])
def test_a_reshape_to_an_impossible_shape_is_refused(wanted: list[int]) -> None:
    s = Forms()
    s.op("RESHAPE", (s.act("x", (1, 4)), s.whole("wanted", wanted)), s.like("r", "x", (2, 2)))
    s.op("RELU", ("r",), s.act("y", (2, 2)))
    with pytest.raises(BadModel, match="RESHAPE -> 'r'"):
        read_tflite(s.file(("x",), ("y",)))


def test_a_batch_above_one_is_refused_in_words() -> None:
    s = Forms()
    s.act("x", (2, 4, 4, 3))
    s.conv("x", s.act("y", (2, 4, 4, 2)), 2)
    with pytest.raises(UnsupportedOperators, match=r"\[1, height, width, channels\]"):
        read_tflite(s.file(("x",), ("y",)))


# --- what a hostile file cannot make --------------------------------------------------------------------------------


def constant(values: object, dtype: str = "int32") -> FileTensor:
    data = np.asarray(values, dtype)
    return FileTensor(None, NO_TEXT, data.shape, ElementType[dtype.upper()], None, data)


def made(shape: tuple[int, ...], element: ElementType = ElementType.INT32) -> FileTensor:
    return FileTensor(None, NO_TEXT, shape, element)


HUGE = 1 << 27


@pytest.mark.parametrize(
    ("opcode", "inputs", "shape", "options"),
    [
        ("FILL", (constant([HUGE]), constant(7)), (HUGE,), {}),
        ("RANGE", (constant(0), constant(HUGE), constant(1)), (HUGE,), {}),
        ("TILE", (constant([1, 2]), constant([HUGE // 2])), (HUGE,), {}),
        ("BROADCAST_TO", (constant(1), constant([HUGE])), (HUGE,), {}),
        ("PAD", (constant([1]), constant([[0, HUGE - 1]])), (HUGE,), {}),
        ("CONCATENATION", (constant(np.zeros(1 << 15)),) * 4096, (HUGE,), {"axis": 0, "fused_activation": 0}),
        ("PACK", (constant(np.zeros(1 << 15)),) * 4096, (4096, 1 << 15), {"axis": 0, "values_count": 4096}),
        ("ADD", (constant(np.zeros((1, 8192))), constant(np.zeros((8192, 1)))), (8192, 8192), {"fused_activation": 0}),
    ],
)
def test_little_never_becomes_much(
    opcode: str, inputs: tuple[FileTensor, ...], shape: tuple[int, ...], options: dict[str, int]
) -> None:
    for declared in (shape, (1,)):  # honest, and a lie that would pass the budget
        op = FileOp(0, opcode, inputs, (made(declared),), options)
        model = fold_constants(FileModel((op,), (), ()), 1000)
        assert opcodes(model) == [opcode]
        assert model.ops[0].output.shape == declared


def test_the_budget_is_for_all_operators_together() -> None:
    ops, tensor = [], constant(np.zeros(40_000))
    for _ in range(60):
        following = made((40_000,))
        ops.append(FileOp(len(ops), "NEG", (tensor,), (following,), {}))
        tensor = following
    left = len(fold_constants(FileModel(tuple(ops), (), (tensor,)), 0).ops)
    assert left == 60 - BUDGET_BYTES // 320_000  # 160,000 bytes read and made, each time


@pytest.mark.parametrize(
    ("opcode", "inputs", "options"),
    [
        ("DIV", (constant([1]), constant([0])), {"fused_activation": 0}),
        ("GATHER", (constant([1, 2]), constant([5])), {"axis": 0, "batch_dims": 0}),
        ("GATHER", (constant([1, 2]), constant([-1])), {"axis": 0, "batch_dims": 0}),
        ("RANGE", (constant(0), constant(3), constant(0)), {}),
        ("CONCATENATION", (constant([1]), constant([[1]])), {"axis": 0, "fused_activation": 0}),
        ("PACK", (constant([1]), constant([1])), {"axis": 9, "values_count": 2}),
        ("TRANSPOSE", (constant([[1]]), constant([0, 0])), {}),
        ("CAST", (constant([3e9], "float32"),), {}),
        ("REDUCE_PROD", (constant([1], "float32"), constant([0])), {"keep_dims": 0}),
        ("RESHAPE", (None, constant([1])), {}),
        ("SLICE", (constant([1, 2]), constant([-1]), constant([1])), {}),
    ],
)
def test_what_has_no_value_stays(opcode: str, inputs: tuple[FileTensor | None, ...], options: dict[str, int]) -> None:
    op = FileOp(0, opcode, inputs, (made((1,)),), options)
    with pytest.raises(NotFoldable):
        evaluate(Evaluation(op, tuple(None if t is None else t.data for t in inputs)))


def int8(values: object, scale: float, is_constant: bool = True) -> FileTensor:
    data = np.asarray(values, np.int8)
    quantization = Quantization((float(np.float32(scale)),), (0,))
    return FileTensor(None, NO_TEXT, data.shape, ElementType.INT8, quantization, data if is_constant else None)


@pytest.mark.parametrize(
    ("source", "scale", "expected"),
    [
        (constant([1.5], "float32"), 1.0, 2),
        (constant([-2.0e9], "float32"), 1.0, -128),
        (constant([2.2e9], "float32"), 1.0, None),
        (constant([np.nan], "float32"), 1.0, None),
        (int8([2], 0.5), 0.25, 4),
        (int8([2], 2.0**20), 0.25, 127),
        (int8([2], 2.0**21), 0.25, None),
    ],
)
def test_a_constant_is_quantized_where_c_defines_the_result(source: FileTensor, scale: float, expected: int | None) -> None:
    op = FileOp(0, "QUANTIZE", (source,), (int8([0], scale, is_constant=False),), {})
    evaluation = Evaluation(op, (source.data,))
    if expected is None:
        with pytest.raises(NotFoldable):
            evaluate(evaluation)
    else:
        assert evaluate(evaluation)[0].tolist() == [expected]


def test_integers_wrap_and_truncate_as_in_c() -> None:
    def value(opcode: str, *inputs: FileTensor, **options: int) -> list[int]:
        op = FileOp(0, opcode, inputs, (made((2,)),), options)
        return evaluate(Evaluation(op, tuple(t.data for t in inputs)))[0].tolist()

    assert value("MUL", constant([1 << 30, 3]), constant([4, 5]), fused_activation=0) == [0, 15]
    assert value("DIV", constant([-7, 7]), constant([2, -2]), fused_activation=0) == [-3, -3]
    assert value("DIV", constant([-(1 << 31), -(1 << 31)]), constant([2, 3]), fused_activation=0) == [-(1 << 30), -715827882]
    assert value("FLOOR_DIV", constant([-7, 7]), constant([2, 2])) == [-4, 3]
    assert value("CAST", constant([-1.9, 1.9], "float32")) == [-1, 1]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_damaged_files_end_in_one_of_our_errors(kind: str) -> None:
    """Bytes of each form, one at a time, set to what hurts most: never a traceback."""
    data = KINDS[kind](1)
    rng = np.random.default_rng(0)
    places = rng.choice(len(data), size=min(120, len(data)), replace=False)
    for place in places:
        for value in (0, 0xFF):
            damaged = bytearray(data)
            damaged[place] = value
            try:
                read_tflite(bytes(damaged))
            except (BadModel, UnsupportedOperators):
                continue


def test_a_byte_of_another_scale_is_requantized() -> None:
    graph = read_tflite(uint8_scales(0))
    quantized = [op for op in graph.ops if op.kind is OpKind.QUANTIZE]
    assert len(quantized) == 5
    assert [end.element for end in (*graph.file_inputs, *graph.file_outputs)] == ["uint8", "uint8"]
    given = graph.tensor(graph.inputs[0])
    assert given.source_index is None, "the file's tensor is uint8"
    assert -128 <= given.zero_point <= 127


def test_a_zero_point_that_no_byte_has_is_refused() -> None:
    s = Forms(0)
    s.act("x", (1, 4))
    s.tensors["in"] = TensorSpec("in", (1, 4), "uint8", (0.25,), (300,))
    s.op("QUANTIZE", ("in",), "x")
    s.op("ADD", ("x", "x"), s.act("y", (1, 4)), fusedActivationFunction="NONE")
    with pytest.raises(BadModel, match=r"zero point outside -128\.\.127"):
        read_tflite(s.file(("in",), ("y",)))
