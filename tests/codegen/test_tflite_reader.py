from __future__ import annotations

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from flynet_tiny.codegen.ir import ConvAttrs, OpKind, SliceAttrs, Window
from flynet_tiny.codegen.reading.compose import COMPOSED
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel, FlynetError, UnsupportedOperators
from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite

from ..one_op_models import CASES, conv_2d


def int8(name: str, shape: tuple[int, ...], scale: float = 0.1, zero_point: int = 3) -> TensorSpec:
    return TensorSpec(name, shape, "int8", (scale,), (zero_point,))


def int32(name: str, values: object) -> TensorSpec:
    data = np.asarray(values, np.int32)
    return TensorSpec(name, data.shape, "int32", data=data)


def one_op(opcode: str, tensors: list[TensorSpec], inputs: tuple[str, ...], **options: object) -> bytes:
    return write_tflite(ModelSpec(tuple(tensors), (OpSpec(opcode, inputs, ("y",), options),), ("x",), ("y",)))


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("seed", range(5))
def test_every_operator_is_read(name: str, seed: int) -> None:
    graph = read_tflite(CASES[name](seed))
    kinds = {op.kind.value for op in graph.ops}
    assert kinds & {name, "RESHAPE"} or name in COMPOSED  # a move of nothing is a RESHAPE


def test_same_padding_is_larger_at_the_bottom_and_right() -> None:
    graph = read_tflite(conv_2d(0, (8, 8, 3), 4, (3, 3), (2, 2)))
    attrs = graph.ops[0].attrs
    assert isinstance(attrs, ConvAttrs)
    assert attrs.window == Window(3, 3, 2, 2, pad_top=0, pad_bottom=1, pad_left=0, pad_right=1)


def test_names_are_unique_c_identifiers() -> None:
    tensors = [int8("x", (1, 4)), int8("serving/default:0", (1, 4)), int8("Serving default 0", (1, 4)), int8("y", (1, 4))]
    ops = (
        OpSpec("RELU", ("x",), ("serving/default:0",), {}),
        OpSpec("RELU", ("serving/default:0",), ("Serving default 0",), {}),
        OpSpec("RELU", ("Serving default 0",), ("y",), {}),
    )
    graph = read_tflite(write_tflite(ModelSpec(tuple(tensors), ops, ("x",), ("y",))))
    assert [op.output for op in graph.ops] == ["serving_default_0", "Serving_default_0_2", "y"]


def test_a_long_name_keeps_its_start_and_its_end() -> None:
    long = "functional_1/block_7_expand/Conv2D;" + "x" * 600 + "/block_7_expand_relu/Relu6"
    relu = OpSpec("RELU", ("x",), (long,), {})
    graph = read_tflite(write_tflite(ModelSpec((int8("x", (1, 4)), int8(long, (1, 4))), (relu,), ("x",), (long,))))
    assert graph.ops[0].output == "functional_1_7_expand_relu_Relu6"


def test_shrunk_axis_becomes_a_slice_and_a_reshape() -> None:
    tensors = [int8("x", (2, 5, 3)), int32("b", [1, 4, 0]), int32("e", [2, 0, 3]), int32("s", [1, -2, 1]), int8("y", (2, 3))]
    data = one_op("STRIDED_SLICE", tensors, ("x", "b", "e", "s"), shrinkAxisMask=1)
    first, second = read_tflite(data).ops
    assert (first.kind, second.kind) == (OpKind.STRIDED_SLICE, OpKind.RESHAPE)
    assert first.attrs == SliceAttrs((1, 4, 0), (1, -2, 1))


def test_float_tensors_are_refused_by_name_as_a_bad_model() -> None:
    data = one_op("RELU", [TensorSpec("x", (1, 4), "float32"), TensorSpec("y", (1, 4), "float32")], ("x",))
    with pytest.raises(BadModel, match=r"not an int8 model.*'x' \(FLOAT32\)") as caught:
        read_tflite(data)
    assert caught.value.exit_code == 3


def test_all_unsupported_operators_are_reported_at_once() -> None:
    tensors = [int8("x", (1, 4)), int8("a", (1, 4)), int8("b", (1, 4)), int8("y", (1, 4), 0.2)]
    ops = (
        OpSpec("ELU", ("x",), ("a",), {}),
        OpSpec("SIN", ("a",), ("b",), {}),
        OpSpec("LOGISTIC", ("b",), ("y",), {}),
    )
    with pytest.raises(UnsupportedOperators) as caught:
        read_tflite(write_tflite(ModelSpec(tuple(tensors), ops, ("x",), ("y",))))
    assert caught.value.exit_code == 4
    assert [part.split()[2] for part in caught.value.found] == ["ELU", "SIN", "LOGISTIC"]
    assert "1/256" in caught.value.found[2]


def test_scale_that_would_abort_litert_is_refused() -> None:
    tensors = [int8("x", (1, 4), 1.0), int8("y", (1, 4), 1 / 4096)]
    with pytest.raises(UnsupportedOperators, match="LiteRT aborts"):
        read_tflite(one_op("SQUARED_DIFFERENCE", tensors, ("x", "x")))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([int8("x", (1, 0)), int8("y", (1, 0))], "above 0"),
        ([int8("x", (1, 4), float("nan")), int8("y", (1, 4))], "finite"),
        ([int8("x", (1, 4), -1.0), int8("y", (1, 4))], "finite"),
        ([int8("x", (1, 4), 0.1, 300), int8("y", (1, 4))], "zero point"),
        ([int8("x", (1 << 20, 1 << 20)), int8("y", (1 << 20, 1 << 20))], "elements"),
        ([int8("x", (1,) * 7), int8("y", (1,) * 7)], "rank"),
        ([int8("x", (1, 4)), int8("y", (1, 5))], "gives"),
        ([TensorSpec("x", (1, 4), "int8"), int8("y", (1, 4))], "without a scale"),
    ],
)
def test_inconsistent_tensors_are_refused(tensors: list[TensorSpec], message: str) -> None:
    with pytest.raises(BadModel, match=message):
        read_tflite(one_op("RELU", tensors, ("x",)))


def test_short_constant_is_refused() -> None:
    data = one_op(
        "PAD",
        [int8("x", (1, 4)), TensorSpec("p", (2, 2), "int32", data=np.zeros((1, 2), np.int32)), int8("y", (1, 4))],
        ("x", "p"),
    )
    with pytest.raises(BadModel, match="bytes of data"):
        read_tflite(data)


@pytest.mark.parametrize("offset", [2, 1 << 12, 1 << 40])
def test_data_outside_of_the_flatbuffer_is_refused(offset: int) -> None:
    """Files above 2 GB keep their weights behind the FlatBuffer; read as no data, the weights would be an activation."""
    file = schema.ModelT.InitFromPackedBuf(bytearray(conv_2d(0)), 0)
    weights = file.subgraphs[0].tensors[file.subgraphs[0].operators[0].inputs[1]]
    buffer = file.buffers[weights.buffer]
    buffer.offset, buffer.size, buffer.data = offset, len(buffer.data), None
    builder = flatbuffers.Builder(1 << 12)
    builder.Finish(file.Pack(builder), file_identifier=b"TFL3")
    with pytest.raises(BadModel, match="outside the FlatBuffer"):
        read_tflite(bytes(builder.Output()))


def test_foreign_files_are_refused() -> None:
    for data in (b"", b"TFL3", b"\x7fELF" + bytes(100), b"\x1c\0\0\0TFL3" + bytes(8)):
        with pytest.raises(BadModel):
            read_tflite(data)


def test_truncated_file_is_refused_at_every_length() -> None:
    data = conv_2d(1)
    for length in range(0, len(data) - 1, 7):
        with pytest.raises(BadModel):
            read_tflite(data[:length])


@pytest.mark.parametrize("name", ["CONV_2D", "STRIDED_SLICE", "CONCATENATION", "SOFTMAX"])
def test_corrupt_bytes_never_raise_anything_but_our_errors(name: str) -> None:
    clean = CASES[name](3)
    rng = np.random.default_rng(0)
    for _ in range(1500):
        data = bytearray(clean)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))])
        try:
            read_tflite(bytes(data))
        except FlynetError:
            continue
