"""The golden twin in onnxruntime against the interpreter, which is exact with LiteRT: every operator, zero differing bytes."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.verify.compare import Comparison, require_equal, rounding_statistics
from flynet_tiny.verify.inputs import extreme_inputs
from flynet_tiny.verify.onnx_qdq import QdqOnnxRuntime, build_qdq
from flynet_tiny.verify.onnx_twin import OnnxTwin, build_twin

from ..one_op_models import CASES, Quant, binary, conv_2d, depthwise_conv_2d, fully_connected, reduce, softmax

INTEGER_TYPES = {"UINT8", "INT8", "INT32", "INT64"}
FLOAT_OPERATORS = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "DynamicQuantizeLinear"}


def assert_exact(model: bytes, num_noise: int = 1, seed: int = 0) -> None:
    graph = read_tflite(model)
    twin = OnnxTwin(graph)
    comparison = Comparison(graph, twin.name, "reference")
    for named in extreme_inputs(graph, num_noise, seed):
        comparison.add(twin.run(named.values), reference.run(graph, named.values), named.name)
    require_equal([comparison.result])


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_operator_is_bit_exact(name: str) -> None:
    for seed in range(8):
        assert_exact(CASES[name](seed), seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES))
def test_every_operator_is_bit_exact_in_a_wide_sweep(name: str) -> None:
    for seed in range(1000, 1250):
        assert_exact(CASES[name](seed), num_noise=3, seed=seed)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)), st.integers(1, 5),
    st.tuples(st.integers(1, 5), st.integers(1, 5)), st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.sampled_from((-128, -1, 0, 127)), st.sampled_from((-128, 0, 1, 127)), st.integers(0, 10**6),
)  # fmt: skip
def test_padded_convolutions_of_any_shape_are_exact(
    hwc: tuple[int, int, int],
    channels: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    zero_in: int,
    zero_out: int,
    seed: int,
) -> None:
    quants = {"input_quant": Quant(0.05, zero_in), "output_quant": Quant(0.9, zero_out)}
    assert_exact(conv_2d(seed, hwc, channels, kernel, stride, **quants), seed=seed)
    assert_exact(depthwise_conv_2d(seed, hwc, channels, kernel, stride, **quants), seed=seed)


@pytest.mark.parametrize("exponent", [-9, -3, -1, 0, 2])
def test_power_of_two_scales_round_ties_alike(exponent: int) -> None:
    quants = {"input_quant": Quant(2.0**-5, 3), "output_quant": Quant(2.0 ** (-10 - exponent), -5), "weight_scales": [2.0**-5]}
    assert_exact(conv_2d(1, (7, 7, 3), per_channel=False, **quants), 4)
    assert_exact(fully_connected(2, (3, 19), 6, **quants), 4)
    assert_exact(reduce("MEAN", 3, (1, 4, 4, 9), input_quant=Quant(2.0**-4, 3), output_quant=Quant(2.0 ** (-4 - exponent), 3)), 4)


@pytest.mark.parametrize("opcode", ["ADD", "SUB", "MUL", "SQUARED_DIFFERENCE", "MAXIMUM"])
def test_every_pair_of_values_is_exact(opcode: str) -> None:
    graph = read_tflite(binary(opcode, 4, (256, 1), (1, 256)))
    every = np.arange(-128, 128).astype(np.int8)
    inputs = {"x": every.reshape(256, 1), "z": every.reshape(1, 256)}
    assert np.array_equal(OnnxTwin(graph).run(inputs)["y"], reference.run(graph, inputs)["y"])


@pytest.mark.parametrize("depth", [1, 2, 100, 1000, 4095])
def test_softmax_of_any_depth_is_exact(depth: int) -> None:
    assert_exact(softmax(0, (3, depth), 1.0, Quant(0.07, 5)), 2)


def test_softmax_shares_are_exact_to_the_last_newton_step() -> None:
    """Many short rows: large shares, where a reciprocal that is off by 1e-5 shows."""
    for depth in (2, 3, 4):
        assert_exact(softmax(0, (6000, depth), 1.0, Quant(0.006, 17)), 2)


def test_a_twin_holds_integers_only_and_names_every_activation() -> None:
    for name in CASES:
        graph = read_tflite(CASES[name](3))
        model = onnx.shape_inference.infer_shapes(build_twin(graph), strict_mode=True)
        assert not {node.op_type for node in model.graph.node} & FLOAT_OPERATORS
        held = {onnx.TensorProto.DataType.Name(t.data_type) for t in model.graph.initializer}
        held |= {onnx.TensorProto.DataType.Name(v.type.tensor_type.elem_type) for v in model.graph.value_info}
        assert held <= INTEGER_TYPES | {"BOOL"}, name
        assert {v.name for v in model.graph.output} == {t.name for t in graph.activations()} - set(graph.inputs)


def test_the_file_runs_in_plain_onnxruntime() -> None:
    graph = read_tflite(conv_2d(1))
    values = extreme_inputs(graph)[-1].values
    session = onnxruntime.InferenceSession(build_twin(graph).SerializeToString())
    (y,) = session.run(["y"], dict(values))
    assert np.array_equal(y, reference.run(graph, values)["y"])


def test_equal_graphs_give_equal_bytes_in_every_process() -> None:
    script = (
        "import hashlib, sys; from flynet_tiny.codegen.tflite_reader import read_tflite; "
        "from flynet_tiny.verify.onnx_twin import build_twin; "
        "model = build_twin(read_tflite(sys.stdin.buffer.read())); "
        "print(hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest())"
    )
    model = depthwise_conv_2d(5, multiplier=3)
    here = hashlib.sha256(build_twin(read_tflite(model)).SerializeToString(deterministic=True)).hexdigest()
    for hash_seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": hash_seed}
        there = subprocess.run([sys.executable, "-c", script], input=model, capture_output=True, check=True, env=environment)
        assert there.stdout.decode().strip() == here


@pytest.mark.parametrize("name", sorted(set(CASES) - {"NEG"}))  # LiteRT's negation of -128 wraps around
def test_the_qdq_network_is_near_but_need_not_be_equal(name: str) -> None:
    for seed in range(3):
        graph = read_tflite(CASES[name](seed))
        statistics = rounding_statistics(graph, OnnxTwin(graph), QdqOnnxRuntime(graph), extreme_inputs(graph))
        assert statistics.max_lsb <= 1


def test_the_qdq_network_computes_in_float() -> None:
    operators = {node.op_type for node in build_qdq(read_tflite(conv_2d(0))).graph.node}
    assert {"DequantizeLinear", "Conv", "QuantizeLinear"} <= operators
