"""A file that the writer makes is loaded and computed by LiteRT as described."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from flynet_tiny.codegen.activations import ACTIVATIONS
from flynet_tiny.export.tflite_writer import OPTIONS_TABLES, ModelSpec, OpSpec, TensorSpec, write_tflite

from ..one_op_models import CASES


def run(model: bytes, *inputs: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def int8(name: str, shape: tuple[int, ...], scale: float = 0.5, zero_point: int = 3) -> TensorSpec:
    return TensorSpec(name, shape, "int8", (scale,), (zero_point,))


def int32(name: str, values: list) -> TensorSpec:
    data = np.array(values, np.int32)
    return TensorSpec(name, data.shape, "int32", data=data)


def unpack(model: bytes) -> schema.ModelT:
    return schema.ModelT.InitFromPackedBuf(bytearray(model), 0)


X = (1, 4, 6, 8)
WINDOW = {"padding": "VALID", "strideH": 1, "strideW": 2, "filterHeight": 2, "filterWidth": 2}
CONV = {"padding": "SAME", "strideH": 1, "strideW": 1}
WEIGHTS = TensorSpec("w", (5, 3, 3, 8), "int8", (0.01,) * 5, (0,) * 5, axis=0, data=np.ones((5, 3, 3, 8), np.int8))
BIAS = TensorSpec("b", (5,), "int32", (0.005,) * 5, (0,) * 5, axis=0, data=np.arange(5))
DW_WEIGHTS = TensorSpec("w", (1, 3, 3, 16), "int8", (0.01,) * 16, (0,) * 16, axis=3, data=np.ones((1, 3, 3, 16), np.int8))
DW_BIAS = TensorSpec("b", (16,), "int32", (0.005,) * 16, (0,) * 16, axis=0, data=np.arange(16))
FC_WEIGHTS = TensorSpec("w", (5, 8), "int8", (0.01,), (0,), data=np.arange(-20, 20).reshape(5, 8))
FC_BIAS = TensorSpec("b", (5,), "int32", (0.005,), (0,), data=np.arange(5))

ONE_OP_MODELS = [
    ("CONV_2D", [int8("x", X), WEIGHTS, BIAS], int8("y", (1, 4, 6, 5)), CONV),
    ("DEPTHWISE_CONV_2D", [int8("x", X), DW_WEIGHTS, DW_BIAS], int8("y", (1, 4, 6, 16)), {**CONV, "depthMultiplier": 2}),
    ("FULLY_CONNECTED", [int8("x", (1, 8)), FC_WEIGHTS, FC_BIAS], int8("y", (1, 5)), {"fusedActivationFunction": "RELU"}),
    ("ADD", [int8("x", X), int8("x2", X)], int8("y", X, 1.0), {"fusedActivationFunction": "RELU6"}),
    ("SUB", [int8("x", X), int8("x2", X)], int8("y", X, 1.0), {}),
    ("MUL", [int8("x", X), int8("x2", (1, 1, 1, 8))], int8("y", X, 1.0), {}),
    ("MAXIMUM", [int8("x", X), int8("x2", X)], int8("y", X), {}),
    ("SQUARED_DIFFERENCE", [int8("x", X), int8("x2", (1, 1, 1, 8))], int8("y", X, 1.0), {}),
    ("MEAN", [int8("x", X), int32("axes", [1, 2])], int8("y", (1, 1, 1, 8)), {"keepDims": True}),
    ("REDUCE_MAX", [int8("x", X), int32("axes", [3])], int8("y", (1, 4, 6)), {"keepDims": False}),
    ("AVERAGE_POOL_2D", [int8("x", X)], int8("y", (1, 3, 3, 8)), WINDOW),
    ("MAX_POOL_2D", [int8("x", X)], int8("y", (1, 3, 3, 8)), WINDOW),
    ("SOFTMAX", [int8("x", (1, 8))], int8("y", (1, 8), 1 / 256, -128), {"beta": 1.0}),
    ("LOGISTIC", [int8("x", X)], int8("y", X, 1 / 256, -128), {}),
    ("HARD_SWISH", [int8("x", X)], int8("y", X), {}),
    ("RELU", [int8("x", X)], int8("y", X), {}),
    ("RELU6", [int8("x", X)], int8("y", X), {}),
    ("QUANTIZE", [int8("x", X)], int8("y", X, 0.7, -5), {}),
    ("CONCATENATION", [int8("x", X), int8("x2", X)], int8("y", (1, 4, 6, 16)), {"axis": 3}),
    ("SLICE", [int8("x", X), int32("begin", [0, 1, 0, 2]), int32("size", [1, 2, 6, 3])], int8("y", (1, 2, 6, 3)), {}),
    (
        "STRIDED_SLICE",
        [int8("x", X), int32("begin", [0, 1, 0, 2]), int32("end", [1, 4, 6, 8]), int32("strides", [1, 2, 3, 1])],
        int8("y", (1, 2, 2, 6)),
        {},
    ),
    ("PAD", [int8("x", X), int32("pads", [[0, 0], [1, 0], [2, 1], [0, 3]])], int8("y", (1, 5, 9, 11)), {}),
    ("RESHAPE", [int8("x", X)], int8("y", (1, 24, 4, 2)), {"newShape": (1, 24, 4, 2)}),
    ("RESHAPE", [int8("x", X), int32("shape", [1, 24, 4, 2])], int8("y", (1, 24, 4, 2)), {}),
]


@pytest.mark.parametrize(("opcode", "inputs", "output", "options"), ONE_OP_MODELS, ids=lambda v: v if isinstance(v, str) else "")
def test_litert_runs_every_operator_of_the_table(opcode, inputs, output, options):
    activations = tuple(t.name for t in inputs if t.data is None)
    model = write_tflite(
        ModelSpec((*inputs, output), (OpSpec(opcode, tuple(t.name for t in inputs), ("y",), options),), activations, ("y",))
    )
    random = np.random.default_rng(0)
    values = [random.integers(-128, 128, t.shape).astype(np.int8) for t in inputs if t.data is None]
    result = run(model, *values)
    assert result.shape == output.shape
    assert result.min() < result.max()


def test_a_padded_convolution_has_the_value_computed_by_hand():
    tensors = (int8("x", X), WEIGHTS, BIAS, int8("y", (1, 4, 6, 5), 1.0, -7))
    model = write_tflite(ModelSpec(tensors, (OpSpec("CONV_2D", ("x", "w", "b"), ("y",), CONV),), ("x",), ("y",)))
    x = np.full(X, 103, np.int8)  # (103 - 3) * 0.5 = 50.0
    result = run(model, x)
    inner = 9 * 8 * 50.0 * 0.01  # nine taps, eight channels; the bias is too small to show
    assert (result[0, 1:3, 1:5] == round(inner) - 7).all()
    corner = 4 * 8 * 50.0 * 0.01
    assert (result[0, 0, 0] == round(corner) - 7).all()


def test_slice_reads_its_constants():
    tensors = (int8("x", X), int32("begin", [0, 1, 0, 2]), int32("size", [1, 2, 6, 3]), int8("y", (1, 2, 6, 3)))
    model = write_tflite(ModelSpec(tensors, (OpSpec("SLICE", ("x", "begin", "size"), ("y",)),), ("x",), ("y",)))
    x = np.random.default_rng(1).integers(-128, 128, X).astype(np.int8)
    np.testing.assert_array_equal(run(model, x), x[:, 1:3, :, 2:5])


def test_the_file_has_the_identifier_the_version_and_an_empty_first_buffer():
    model = write_tflite(ModelSpec((int8("x", X), int8("y", X)), (OpSpec("RELU", ("x",), ("y",)),), ("x",), ("y",)))
    assert model[4:8] == b"TFL3"
    parsed = unpack(model)
    assert parsed.version == 3
    assert parsed.buffers[0].data is None
    assert parsed.operatorCodes[0].builtinCode == parsed.operatorCodes[0].deprecatedBuiltinCode == schema.BuiltinOperator.RELU


# The lowest version of each operator that takes int8, as TFLite's converter writes it (register.cc lists what a runtime takes).
INT8_VERSIONS = {
    **{name: activation.version for name, activation in ACTIVATIONS.items()},
    **dict.fromkeys(("HARD_SWISH", "QUANTIZE", "RESHAPE"), 1),
    **dict.fromkeys(("ADD", "SUB", "MUL", "MAXIMUM", "SQUARED_DIFFERENCE", "MEAN", "REDUCE_MAX", "SOFTMAX", "LOGISTIC"), 2),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "RELU", "RELU6", "CONCATENATION", "GATHER", "SLICE"), 2),
    **dict.fromkeys(("STRIDED_SLICE", "TRANSPOSE", "PAD"), 2),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), 3),
    "FULLY_CONNECTED": 4,
    **dict.fromkeys(("BATCH_MATMUL", "BROADCAST_TO", "DEPTH_TO_SPACE", "DIV", "L2_NORMALIZATION", "MINIMUM", "MIRROR_PAD"), 2),
    **dict.fromkeys(("PACK", "REDUCE_MIN", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SPACE_TO_DEPTH", "TILE"), 2),
    **dict.fromkeys(("CAST", "PRELU"), 1),
    "TRANSPOSE_CONV": 2,
}


@pytest.mark.parametrize("opcode", sorted(CASES))
def test_an_int8_operator_has_the_version_that_learnt_int8(opcode: str) -> None:
    """A runtime that knows only older versions must refuse the file, not compute something else."""
    parsed = unpack(CASES[opcode](0))
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    found = {names[code.builtinCode]: code.version for code in parsed.operatorCodes}
    assert opcode in found or opcode == "TABLE"
    assert found == {name: INT8_VERSIONS[name] for name in found}


def test_equal_constants_share_a_buffer_and_constants_are_aligned():
    ones = np.ones(37, np.int8)
    tensors = [TensorSpec(f"c{i}", (37,), "int8", (0.1 * (i + 1),), (0,), data=ones) for i in range(3)]
    tensors.append(TensorSpec("d", (3,), "int32", data=np.array([1, 2, 3])))
    model = write_tflite(ModelSpec(tuple(tensors), (), ("c0",), ("c0",)))
    parsed = unpack(model)
    assert [t.buffer for t in parsed.subgraphs[0].tensors] == [1, 1, 1, 2]
    assert model.index(ones.tobytes()) % 16 == 0
    assert model.index(np.array([1, 2, 3], np.int32).tobytes()) % 16 == 0


def test_equal_zero_points_are_stored_once():
    def size(tensors: int) -> int:
        return len(
            write_tflite(
                ModelSpec(
                    tuple(
                        TensorSpec(str(i), (500,), "int32", (1.0 + i,) * 500, (0,) * 500, 0, np.zeros(500))
                        for i in range(tensors)
                    ),
                    (),
                    (),
                    (),
                )
            )
        )

    assert size(3) - size(2) < 500 * 4 + 150  # the scales differ, the zero points (500 * 8) and the data do not


def test_a_code_above_127_is_in_the_new_field_only():
    tensors = (TensorSpec("x", (2,), "float32"), TensorSpec("y", (2,), "float32"))
    parsed = unpack(write_tflite(ModelSpec(tensors, (OpSpec("GELU", ("x",), ("y",)),), ("x",), ("y",))))
    assert parsed.operatorCodes[0].builtinCode == schema.BuiltinOperator.GELU > 127
    assert parsed.operatorCodes[0].deprecatedBuiltinCode == 127


def test_wrong_models_can_be_written():
    tensors = (
        TensorSpec("x", (2, 2), "float32"),
        TensorSpec("w", (9,), "int8", (1.0, 2.0), (0,), axis=0, data=np.zeros(3)),
        TensorSpec("y", (2, 2), "uint8", (0.1,), (300,)),
    )
    parsed = unpack(write_tflite(ModelSpec(tensors, (OpSpec("ADD", ("x", "w", ""), ("y",)),), ("x",), ("y",))))
    x, w, y = parsed.subgraphs[0].tensors
    assert x.type == schema.TensorType.FLOAT32
    assert x.quantization is None
    assert list(w.quantization.scale) == [1.0, 2.0]
    assert list(w.quantization.zeroPoint) == [0]
    assert list(y.quantization.zeroPoint) == [300]
    assert list(parsed.subgraphs[0].operators[0].inputs) == [0, 1, -1]


@pytest.mark.parametrize(
    ("opcode", "inputs", "options", "message"),
    [
        ("NO_SUCH_OP", ("x",), {}, "no operator 'NO_SUCH_OP'"),
        ("RELU", ("z",), {}, "no tensor is named 'z'"),
        ("RELU", ("x",), {"padding": "SAME"}, "takes no options"),
        ("SOFTMAX", ("x",), {"alpha": 1.0}, "no field 'alpha'"),
        ("ADD", ("x", "x"), {"fusedActivationFunction": "SWISH"}, "'SWISH' is not a value"),
    ],
)
def test_unknown_words_are_refused(opcode, inputs, options, message):
    tensors = (int8("x", X), int8("y", X))
    with pytest.raises(ValueError, match=message):
        write_tflite(ModelSpec(tensors, (OpSpec(opcode, inputs, ("y",), options),), ("x",), ("y",)))


def test_every_options_table_is_in_the_schema():
    for opcode, table in OPTIONS_TABLES.items():
        assert isinstance(getattr(schema.BuiltinOperator, opcode), int)
        assert isinstance(getattr(schema.BuiltinOptions, table), int)
