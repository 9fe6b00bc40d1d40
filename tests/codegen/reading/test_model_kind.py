from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel, UnsupportedOperators
from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite

from ...one_op_models import conv_2d, fully_connected, pool_2d
from .bombs import RELU, plain
from .operand_mutants import MUTATIONS, pack, unpack


def _typed(data: bytes, **types: str) -> bytes:
    """The file with other types at places of its one operator: `input0="UINT8"`."""
    model = unpack(data)
    for place, name in types.items():
        MUTATIONS[f"type {name}"](model, -1 if place == "output" else int(place.removeprefix("input")))
        if place != "output" and name == "FLOAT32":
            model.subgraphs[0].tensors[model.subgraphs[0].operators[0].inputs[int(place[-1])]].buffer = 0
    return pack(model)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_typed(fully_connected(), input0="INT4"), r"INT4 are not supported there.*\(tensors 'x' \(INT4\)\)"),
        (_typed(conv_2d(), input0="FLOAT32", output="FLOAT32"), r"only its weights are int8 \(dynamic-range quantization\)"),
        (_typed(conv_2d(bias=False), input0="FLOAT32", output="FLOAT32", input1="FLOAT32"), "it is a float model"),
        (_typed(conv_2d(), input0="UINT8", input1="UINT8", output="UINT8"), "quantized to uint8, as older converters did"),
    ],
)
def test_a_model_of_other_types_says_what_it_is(data: bytes, message: str) -> None:
    with pytest.raises(BadModel, match=message) as caught:
        read_tflite(data)
    assert str(caught.value).startswith("not an int8 model: ")
    assert "\n" not in str(caught.value)


def _open_input(signature: tuple[int, ...] | None, size: int = 1) -> bytes:
    """A 2x2 pool over a map of a size, which the file's signature may leave open."""
    model = unpack(pool_2d("MAX_POOL_2D", input_hwc=(size, size, 3), padding="SAME"))
    model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shapeSignature = signature
    return pack(model)


@pytest.mark.parametrize(("signature", "size"), [(None, 1), ((1, 1, 1, 3), 1), ((-1, 1, 1, 3), 1), ((-1, -1, -1, 3), 6)])
def test_sizes_that_the_file_fixes_need_no_note(signature: tuple[int, ...] | None, size: int) -> None:
    """An open batch, as Keras writes it, is 1; where sizes beside it are open, they have been set to something."""
    assert read_tflite(_open_input(signature, size)).notes == ()


@pytest.mark.parametrize("signature", [(-1, -1, -1, 3), (1, 1, -1, 3), (1, -1, 1, 3)])
def test_an_input_of_open_size_is_noted(signature: tuple[int, ...]) -> None:
    (note,) = read_tflite(_open_input(signature)).notes
    assert f"no fixed size in the file, {list(signature)}, and is taken as [1, 1, 1, 3]" in note


def test_a_window_too_large_for_an_input_of_open_size_says_why() -> None:
    model = unpack(conv_2d(input_hwc=(3, 3, 2), padding="VALID"))
    x = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    x.shape, x.shapeSignature = (1, 1, 1, 2), (1, -1, -1, 2)
    with pytest.raises(BadModel, match=r"padded input of 1x1; input 'x' has no fixed size in the file, \[1, -1, -1, 2\]"):
        read_tflite(pack(model))


def test_float16_weights_are_named_though_they_are_unpacked_first() -> None:
    tensors = (
        TensorSpec("x", (1, 4), "float32"),
        TensorSpec("half", (2, 8), data=np.zeros((2, 8), np.int8)),
        TensorSpec("w", (2, 4), "float32"),
        TensorSpec("y", (1, 2), "float32"),
    )
    ops = (OpSpec("DEQUANTIZE", ("half",), ("w",), {}), OpSpec("FULLY_CONNECTED", ("x", "w"), ("y",), {}))
    model = unpack(write_tflite(ModelSpec(tensors, ops, ("x",), ("y",))))
    half = model.subgraphs[0].tensors[1]
    half.shape, half.type = (2, 4), schema.TensorType.FLOAT16
    with pytest.raises(BadModel, match="its weights are float16 and it computes in float"):
        read_tflite(pack(model))


def test_operators_without_a_kernel_come_before_types_and_shapes() -> None:
    """A recurrent float network with a tensor that has no elements: the operators say more than its types and shapes do."""
    tensors = (TensorSpec("x", (1, 4), "float32"), TensorSpec("h", (0,), "float32"), TensorSpec("y", (1, 4), "float32"))
    ops = (
        OpSpec("UNIDIRECTIONAL_SEQUENCE_RNN", ("x", "h"), ("y",), {}),
        OpSpec("RELU", ("x",), ("h",), {}),
        OpSpec("CUMSUM", ("x",), ("h",), {}),
    )
    with pytest.raises(UnsupportedOperators) as caught:
        read_tflite(write_tflite(ModelSpec(tensors, ops, ("x",), ("y",))))
    assert [text.split(" ")[2] for text in caught.value.found] == ["UNIDIRECTIONAL_SEQUENCE_RNN", "CUMSUM"]
    assert "of recurrent layers UNIDIRECTIONAL_SEQUENCE_LSTM and SVDF" in caught.value.found[0]


def test_a_float_model_with_operators_without_a_kernel_says_both() -> None:
    tensors = (TensorSpec("x", (1, 4), "float32"), TensorSpec("y", (1, 4), "float32"))
    data = write_tflite(ModelSpec(tensors, (OpSpec("CUMSUM", ("x",), ("y",), {}),), ("x",), ("y",)))
    with pytest.raises(UnsupportedOperators, match=r"op 0 CUMSUM -> 'y' has no kernel; besides, it is a float model"):
        read_tflite(data)


@pytest.mark.parametrize(
    ("custom_code", "message"),
    [
        ("ethos-u", r"CUSTOM 'ethos-u' -> 'y' has no kernel \(compiled by Vela for an Ethos-U; give the file from before Vela\)"),
        ("edgetpu-custom-op", "give the file from before edgetpu_compiler"),
        ("FlexErf", r"CUSTOM 'FlexErf' .* convert without SELECT_TF_OPS"),
        ("mine\x1b[2J\n", r"CUSTOM 'mine\\x1b\[2J\\x0a' -> 'y' has no kernel \(custom operators have no kernel"),
    ],
)
def test_custom_operators_are_named_as_the_file_does(custom_code: str, message: str) -> None:
    file = plain()
    file.codes = [file.code(32, custom_code)]
    with pytest.raises(UnsupportedOperators, match=message) as caught:
        read_tflite(file.bytes())
    assert str(caught.value).isprintable()


def test_operators_of_called_subgraphs_are_listed() -> None:
    file = plain(builtin=119)  # WHILE
    file.copies_of_subgraph = 2
    with pytest.raises(UnsupportedOperators, match="2 WHILE, the first: op 0 WHILE") as caught:
        read_tflite(file.bytes())
    assert [problem.startswith("subgraph 1 op 0 WHILE") for problem in caught.value.found] == [False, True]


def test_subgraphs_that_nothing_calls_are_not_looked_at() -> None:
    file = plain(RELU)
    file.copies_of_subgraph = 2
    assert [op.kind.value for op in read_tflite(file.bytes()).ops] == ["RELU"]
