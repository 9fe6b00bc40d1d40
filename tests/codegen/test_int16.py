"""int16 activations: the interpreter against LiteRT's reference kernels, the golden twin, and what the reader refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.activations_16 import knot_input, sigmoid_knots, softmax_tables
from flynet_tiny.codegen.ir import INT16_KINDS, Graph
from flynet_tiny.codegen.supported_ops import SUPPORTED_16
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel, UnsupportedOperators
from flynet_tiny.export.tflite_writer import ModelSpec, OpSpec, TensorSpec, write_tflite
from flynet_tiny.verify.compare import compare_judges, require_equal
from flynet_tiny.verify.inputs import NamedInputs, extreme_inputs
from flynet_tiny.verify.litert import LiteRt, LiteRtProcess
from flynet_tiny.verify.onnx_twin import OnnxTwin

from ..int16_models import CASES_16, UNIT, binary16, data16, mean16, quantize16, small_network, unary16, weighted
from ..judges import ReferenceJudge
from ..one_op_models import model_of

EVERY = np.arange(-(1 << 15), 1 << 15).astype(np.int16)


@pytest.fixture(scope="module")
def litert() -> Iterator[LiteRtProcess]:
    with LiteRtProcess() as process:
        yield process


def saturating(graph: Graph, seed: int) -> list[NamedInputs]:
    """The extremes, noise, and noise of which half is at the ends of the type."""
    rng = np.random.default_rng(seed)
    ends = {}
    for tensor in (graph.tensor(name) for name in graph.inputs):
        low, high = tensor.dtype.limits
        mixed = np.where(
            rng.random(tensor.shape) < 0.5, rng.choice([low, high], tensor.shape), rng.integers(low, high, tensor.shape)
        )
        ends[tensor.name] = mixed.astype(tensor.dtype.value)
    return [*extreme_inputs(graph, 1, seed), NamedInputs("ends", ends)]


def assert_exact(model: bytes, litert: LiteRtProcess, seed: int = 0, twin: bool = True) -> Graph:
    """Interpreter, LiteRT and, if it is to be, the golden twin agree in every byte."""
    graph = read_tflite(model)
    judges = [LiteRt(graph, model, process=litert), *([OnnxTwin(graph)] if twin else [])]
    require_equal(compare_judges(graph, ReferenceJudge(graph), judges, saturating(graph, seed)))
    return graph


def test_every_kind_has_rules_and_models() -> None:
    assert {kind.value for kind in INT16_KINDS} == set(SUPPORTED_16) == set(CASES_16)


@pytest.mark.parametrize("name", sorted(CASES_16))
def test_every_operator_is_bit_exact(name: str, litert: LiteRtProcess) -> None:
    for seed in range(8):
        assert_exact(CASES_16[name](seed), litert, seed, twin=seed < 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES_16))
def test_every_operator_is_bit_exact_in_a_wide_sweep(name: str, litert: LiteRtProcess) -> None:
    for seed in range(1000, 1100):
        assert_exact(CASES_16[name](seed), litert, seed)


def test_a_network_is_bit_exact(litert: LiteRtProcess) -> None:
    assert_exact(small_network(), litert)


def test_multipliers_of_one_and_more_and_ties(litert: LiteRtProcess) -> None:
    for exponent in (-16, -13, -10, -9, -7):
        scale = 2.0**exponent * 2.0**-7
        assert_exact(weighted("FULLY_CONNECTED", 3, (2, 5), 3, output_scale=scale), litert, twin=False)
        assert_exact(weighted("CONV_2D", 3, (1, 2, 3, 2), 3, (1, 1), output_scale=scale), litert, twin=False)
        assert_exact(weighted("CONV_2D", 3, (1, 2, 3, 2), 3, (1, 1), output_scale=scale, bias="int32"), litert, twin=False)
        assert_exact(quantize16(0, ("int8", "int16"), (2.0**exponent, scale)), litert, twin=False)


@pytest.mark.parametrize("name", ["LOGISTIC", "TANH"])
def test_curves_are_exact_for_every_value(name: str, litert: LiteRtProcess) -> None:
    for scale in (2.0**-12, 2.0**-11, 2.0**-13, 2.0**-12 * 1.0005, 1e-4, 3e-4, 0.01, 5.0):
        model = unary16(name, 0, (1 << 16,), scale)
        graph = read_tflite(model)
        expected = LiteRt(graph, model, process=litert).run({"x": EVERY})["y"]
        assert np.array_equal(reference.run(graph, {"x": EVERY})["y"], expected), scale


def test_the_knots_are_those_of_the_published_tables() -> None:
    """First entries and last, as LiteRT's sources have them."""
    assert sigmoid_knots()[:5].tolist() == [32768, 33451, 34133, 34813, 35493]
    assert sigmoid_knots()[-3:].tolist() == [65534, 65534, 65535]
    exponentials, reciprocals = softmax_tables()
    assert (exponentials[0], exponentials[-1], reciprocals[0], reciprocals[-1]) == (2, 32767, 32767, 16384)
    assert knot_input("TANH", 2.0**-11).multiplier == 6


# --- refusals -------------------------------------------------------------------------------------------------------


def refusal(model: bytes) -> str:
    with pytest.raises(UnsupportedOperators) as caught:
        read_tflite(model)
    return str(caught.value)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (weighted("CONV_2D", bias=None), "There is a bias"),
        (weighted("CONV_2D", bias="int32", optioned="FLOAT32"), "quantized_bias_type"),
        (weighted("CONV_2D", bias="int64", optioned="INT32"), "quantized_bias_type"),
        (weighted("FULLY_CONNECTED", shape=(1, 8), bias="int32", optioned="INT64"), "quantized_bias_type"),
        (weighted("DEPTHWISE_CONV_2D", shape=(1, 5, 5, 4), bias="int32"), "is INT32, INT64 is needed"),
        (weighted("CONV_2D", output_scale=1e-12), "below 2^31 on the output's scale"),
        (weighted("FULLY_CONNECTED", shape=(1, 8), output_scale=2e-12), "below 2^31 on the output's scale"),
        (weighted("CONV_2D", shape=(1, 9, 9, 80), bias="int32"), "or 2^31 and shifted left"),
        (binary16("ADD", scales=(1e-3, 1e-3, 5e-8)), "max(s1, s2) / 2^14"),
        (binary16("SUB", scales=(1e-3, 1e-3, 5e-8)), "max(s1, s2) / 2^14"),
        (binary16("ADD", scales=(2.0**-9, 2.0**-10, 2.0**-8), pot=True), "one is the same"),
        (binary16("SUB", scales=(2.0**-9, 2.0**-10, 2.0**-10), pot=True), "no input's is above the output's"),
        (binary16("ADD", left=(2, 3), right=(3,), scales=(2.0**-9, 2.0**-9, 2.0**-9), pot=True), "both inputs have one shape"),
        (binary16("MUL", scales=(1.0, 1.0, 1e-3)), "stays inside int32"),
        (unary16("LOGISTIC", source=5.4), "below 5.3"),
        (unary16("TANH", result=2.0**-14), "2^-15"),
        (unary16("SOFTMAX", source=5.1, beta=1.0), "below 5"),
        (unary16("LEAKY_RELU", source=1.0, result=1e-6, alpha=0.1), "stays inside int32"),
        (unary16("LEAKY_RELU", result=1e-3, alpha=float("nan")), "Slopes are finite"),
        (unary16("RELU6", source=1e-9, result=2e-9), "6 over the output's scale"),
        (unary16("HARD_SWISH"), "has no kernel for int16 activations"),
        (mean16(shape=(1, 300, 300, 1)), "less than 65,536 elements"),
    ],
)  # fmt: skip
def test_what_litert_computes_wrongly_or_aborts_on_is_refused(model: bytes, reason: str) -> None:
    assert reason in refusal(model)


def test_data_of_several_types_and_zero_points_are_refused() -> None:
    eight = TensorSpec("z", (1, 4), "int8", (0.1,), (0,))
    mixed = model_of([data16("x", (1, 4), 1e-3), eight, data16("y", (1, 4), 1e-3)], OpSpec("ADD", ("x", "z"), ("y",)), ("x", "z"))
    assert "is INT8, INT16 is needed" in refusal(mixed)
    shifted = replace(data16("x", (1, 4), 1e-3), zero_points=(3,))
    model = model_of([shifted, data16("y", (1, 4), 1e-3)], OpSpec("RELU", ("x",), ("y",)))
    assert "The zero points of int16 data are 0" in refusal(model)
    unscaled = replace(data16("x", (1, 4), 1e-3), scales=(), zero_points=())
    with pytest.raises(BadModel, match="is int16 without a scale"):
        read_tflite(model_of([unscaled, data16("y", (1, 4), 1e-3)], OpSpec("RELU", ("x",), ("y",))))


def test_moves_demand_one_scale() -> None:
    tensors = [data16("x0", (1, 4), 1e-3), data16("x1", (1, 4), 2e-3), data16("y", (1, 8), 1e-3)]
    model = model_of(tensors, OpSpec("CONCATENATION", ("x0", "x1"), ("y",), {"axis": 1}), ("x0", "x1"))
    assert "exactly the output's scale" in refusal(model)


def test_a_quantize_to_another_scale_is_no_reshape(litert: LiteRtProcess) -> None:
    graph = assert_exact(quantize16(2, ("int16", "int16"), (1e-3, 2e-3)), litert)
    assert [op.kind.value for op in graph.ops] == ["QUANTIZE"]
    same = read_tflite(quantize16(2, ("int16", "int16"), (1e-3, 1e-3)))
    assert [op.kind.value for op in same.ops] == ["RESHAPE"]


def test_float_ends_are_int16_in_the_c(litert: LiteRtProcess) -> None:
    """As converters write a 16x8 model by default: QUANTIZE first, DEQUANTIZE last."""
    tensors = (
        TensorSpec("given", (1, 6), "float32"),
        data16("x", (1, 6), 1e-3),
        data16("y", (1, 6), UNIT),
        TensorSpec("real", (1, 6), "float32"),
    )
    ops = (OpSpec("QUANTIZE", ("given",), ("x",)), OpSpec("TANH", ("x",), ("y",)), OpSpec("DEQUANTIZE", ("y",), ("real",)))
    model = write_tflite(ModelSpec(tensors, ops, ("given",), ("real",)))
    graph = assert_exact(model, litert)
    assert [op.kind.value for op in graph.ops] == ["TANH"]
    assert any("float32 in the file, int16 in the C" in note for note in graph.notes)
