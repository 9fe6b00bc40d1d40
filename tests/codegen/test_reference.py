"""The interpreter against LiteRT's reference kernels: every operator, every tensor, zero differing bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen import fixed_point as fp
from flynet_tiny.codegen import reference
from flynet_tiny.codegen.activations import ACTIVATIONS
from flynet_tiny.codegen.ir import FusedAttrs, FusedPattern, Graph, Op, OpKind, macs
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.verify.compare import Comparison, require_equal
from flynet_tiny.verify.inputs import extreme_inputs
from flynet_tiny.verify.litert import LiteRt, LiteRtProcess

from ..one_op_models import (
    CASES,
    ROOTS,
    Quant,
    binary,
    conv_2d,
    depthwise_conv_2d,
    fully_connected,
    pool_2d,
    reduce,
    softmax,
    unary,
)

EXTREMES = (-128, -127, -1, 0, 1, 126, 127)


@pytest.fixture(scope="module")
def litert() -> Iterator[LiteRtProcess]:
    with LiteRtProcess() as process:
        yield process


def assert_exact(model: bytes, litert: LiteRtProcess, num_noise: int = 2, seed: int = 0) -> Graph:
    """Run both on the extremes and on noise; not one byte may differ."""
    graph = read_tflite(model)
    judge = LiteRt(graph, model, process=litert)
    comparison = Comparison(graph, "litert", "reference")
    for named in extreme_inputs(graph, num_noise, seed):
        comparison.add(judge.run(named.values), reference.run(graph, named.values), named.name)
    require_equal([comparison.result])
    return graph


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_operator_is_bit_exact(name: str, litert: LiteRtProcess) -> None:
    for seed in range(20):
        assert_exact(CASES[name](seed), litert, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES))
def test_every_operator_is_bit_exact_in_a_wide_sweep(name: str, litert: LiteRtProcess) -> None:
    for seed in range(1000, 1600):
        assert_exact(CASES[name](seed), litert, num_noise=4, seed=seed)


sizes = st.integers(1, 9)
kernels = st.tuples(st.integers(1, 5), st.integers(1, 5))
strides = st.tuples(st.integers(1, 3), st.integers(1, 3))
zero_points = st.sampled_from(EXTREMES)
seeds = st.integers(0, 10**6)
drawn = settings(max_examples=60, deadline=None, derandomize=True)


@drawn
@given(sizes, sizes, st.integers(1, 9), st.integers(1, 9), kernels, strides, zero_points, zero_points, seeds)
def test_padded_convolutions_of_any_shape_are_exact(
    litert: LiteRtProcess, h: int, w: int, c_in: int, c_out: int, kernel: tuple[int, int], stride: tuple[int, int],
    zero_in: int, zero_out: int, seed: int,
) -> None:  # fmt: skip
    quants = {"input_quant": Quant(0.05, zero_in), "output_quant": Quant(0.9, zero_out)}
    assert_exact(conv_2d(seed, (h, w, c_in), c_out, kernel, stride, **quants), litert, 1, seed)
    assert_exact(depthwise_conv_2d(seed, (h, w, c_in), c_out, kernel, stride, **quants), litert, 1, seed)


@pytest.mark.parametrize("size", [1, 3, 8])
def test_equal_channels_height_and_width_are_not_confused(size: int, litert: LiteRtProcess) -> None:
    assert_exact(conv_2d(size, (size, size, size), size, (3, 3)), litert)
    assert_exact(depthwise_conv_2d(size, (size, size, size), 3, (3, 3)), litert)
    assert_exact(reduce("MEAN", size, (1, size, size, size), (1, 2)), litert)


@pytest.mark.parametrize("builder", [conv_2d, depthwise_conv_2d])
@pytest.mark.parametrize("exponent", [-9, -6, -3, -1, 0, 2])
def test_power_of_two_scales_round_ties_alike(builder: object, exponent: int, litert: LiteRtProcess) -> None:
    for seed in range(4):
        model = builder(  # type: ignore[operator]
            seed, (7, 7, 3), weight_scales=[2.0**-5], per_channel=False,
            input_quant=Quant(2.0**-5, 3), output_quant=Quant(2.0 ** (-10 - exponent), -5),
        )  # fmt: skip
        assert_exact(model, litert)


@pytest.mark.parametrize("exponent", [-9, -6, -3, -1, 0, 2])
@pytest.mark.parametrize("per_channel", [False, True])
def test_fully_connected_rounds_ties_once(exponent: int, per_channel: bool, litert: LiteRtProcess) -> None:
    for seed in range(4):
        model = fully_connected(
            seed, (3, 19), 6, per_channel=per_channel, weight_scales=[2.0**-5] * (6 if per_channel else 1),
            input_quant=Quant(2.0**-5, -7), output_quant=Quant(2.0 ** (-10 - exponent), 11),
        )  # fmt: skip
        assert_exact(model, litert)


def test_fully_connected_rounds_in_double(litert: LiteRtProcess) -> None:
    """Accumulators so near to a tie that the Q31 factor of a convolution rounds them the other way: LiteRT follows the double."""
    rng = np.random.default_rng(0)
    told_apart = 0
    for _ in range(30):
        source, weight, result = (float(np.float32(rng.uniform(*r))) for r in ((0.03, 0.1), (5e-7, 5e-6), (0.02, 0.2)))
        factor = fp.convolution_factor(source, weight, result)
        ties = np.ceil((np.arange(-100, 101) + 0.5) / factor).astype(np.int64)
        acc = np.concatenate([ties - 1, ties])
        q31 = fp.quantize_multiplier(factor)
        wrong = np.flatnonzero(
            fp.requantize_in_double(acc, factor) != fp.requantize_single_rounding(acc, q31.multiplier, q31.shift)
        )[:8]
        if len(wrong) == 0:
            continue
        told_apart += len(wrong)
        model = fully_connected(
            0, (1, 3), len(wrong), input_quant=Quant(source, 5), output_quant=Quant(result, 0), weight_scales=[weight],
            biases=acc[wrong],
        )  # fmt: skip
        graph = read_tflite(model)
        inputs = {"x": np.full((1, 3), 5, np.int8)}
        expected = LiteRt(graph, model, process=litert).run(inputs)["y"]
        assert np.array_equal(reference.run(graph, inputs)["y"], expected)
    assert told_apart > 20


@pytest.mark.parametrize("factor", [1.0, 1.7, 5.0, 40.0])
def test_multipliers_above_one_are_exact(factor: float, litert: LiteRtProcess) -> None:
    for seed in range(4):
        quants = {"input_quant": Quant(0.1, 5), "output_quant": Quant(0.1 * 0.02 / factor, -9)}
        assert_exact(conv_2d(seed, (4, 4, 2), 3, (1, 1), weight_scales=[0.02], per_channel=False, **quants), litert)
        assert_exact(fully_connected(seed, (1, 4), 3, weight_scales=[0.02], **quants), litert)
        assert_exact(reduce("MEAN", seed, input_quant=Quant(0.1, 5), output_quant=Quant(0.1 / factor, -9)), litert)
        pair = {"left_quant": Quant(0.2, 5), "right_quant": Quant(0.1, -128)}
        assert_exact(binary("MUL", seed, output_quant=Quant(0.02 / factor, 0), **pair), litert)
        assert_exact(binary("ADD", seed, output_quant=Quant(0.2 / factor, 0), **pair), litert)


@pytest.mark.parametrize("opcode", ["ADD", "SUB", "MUL", "SQUARED_DIFFERENCE"])
@pytest.mark.parametrize("zero_left", EXTREMES)
def test_every_pair_of_values_is_exact(opcode: str, zero_left: int, litert: LiteRtProcess) -> None:
    """All 65,536 pairs of stored values, broadcast from a column and a row."""
    rng = np.random.default_rng(zero_left + 200)
    for power_of_two in (False, True):
        left, right = (2.0**-4, 2.0**-6) if power_of_two else rng.uniform(0.01, 0.2, 2)
        scale = {"ADD": 0.25, "SUB": 0.25, "MUL": 0.125, "SQUARED_DIFFERENCE": 4.0}[opcode] * (
            1 if power_of_two else rng.uniform(0.2, 2)
        )
        model = binary(
            opcode, 0, (256, 1), (1, 256), left_quant=Quant(left, zero_left),
            right_quant=Quant(right, int(rng.integers(-128, 128))), output_quant=Quant(scale, int(rng.integers(-128, 128))),
        )  # fmt: skip
        graph = read_tflite(model)
        every = np.arange(-128, 128).astype(np.int8)
        inputs = {"x": every.reshape(256, 1), "z": every.reshape(1, 256)}
        expected = LiteRt(graph, model, process=litert).run(inputs)["y"]
        assert np.array_equal(reference.run(graph, inputs)["y"], expected)


def test_the_factor_of_mul_is_a_float32(litert: LiteRtProcess) -> None:
    """Scales whose factor is nearly a power of two, so that ties fall by its last bits: LiteRT follows the float32."""
    every = np.arange(-128, 128).astype(np.int8)
    inputs = {"x": every.reshape(256, 1), "z": every.reshape(1, 256)}
    products = every.astype(np.int64).reshape(256, 1) * every
    rng = np.random.default_rng(4)
    told_apart = 0
    for _ in range(40):
        left, right = (float(np.float32(v)) for v in rng.uniform(0.01, 0.2, 2))
        result = float(np.float32(left * right * 2.0 ** rng.integers(2, 7)))
        single, double = fp.mul_multiplier(left, right, result), fp.convolution_multiplier(left, right, result)
        scaled = (np.clip(fp.requantize(products, f.multiplier, f.shift), -128, 127) for f in (single, double))
        if np.array_equal(*scaled):
            continue
        told_apart += 1
        quants = {"left_quant": Quant(left, 0), "right_quant": Quant(right, 0), "output_quant": Quant(result, 0)}
        model = binary("MUL", 0, (256, 1), (1, 256), **quants)
        graph = read_tflite(model)
        expected = LiteRt(graph, model, process=litert).run(inputs)["y"]
        assert np.array_equal(reference.run(graph, inputs)["y"], expected)
    assert told_apart > 10


@pytest.mark.parametrize("opcode", ACTIVATIONS)
def test_tables_are_exact_for_every_value(opcode: str, litert: LiteRtProcess) -> None:
    for seed in range(60):
        wide = np.random.default_rng(seed).uniform(-14, 5)
        factor = np.random.default_rng(seed + 1).uniform(0.02, 3)
        source, result = Quant(2.0**wide, seed * 4 - 128), Quant(2.0**wide * factor, 127 - seed)
        if opcode == "NEG":
            source = result = Quant(2.0**wide, 0)
        elif opcode in ROOTS:
            source = Quant(2.0**wide, -128)
        if opcode == "RSQRT":
            result = Quant(2.0 ** (-wide / 2) * factor, 127 - seed)
        model = unary(opcode, seed, (256,), source, result)
        graph = read_tflite(model)
        inputs = {"x": np.arange(-128, 128).astype(np.int8)}
        expected = LiteRt(graph, model, process=litert).run(inputs)["y"]
        assert np.array_equal(reference.run(graph, inputs)["y"], expected), (source, result)


@pytest.mark.parametrize("scale", [2.0**-13, 0.004, 0.03, 0.1, 0.5, 3.0])
@pytest.mark.parametrize("depth", [1, 2, 7, 64, 511])
def test_softmax_is_exact(scale: float, depth: int, litert: LiteRtProcess) -> None:
    for beta in (1.0, 0.3):
        assert_exact(softmax(0, (5, depth), beta, Quant(scale, 17)), litert, num_noise=3)


def test_softmax_shares_are_exact_to_the_last_newton_step(litert: LiteRtProcess) -> None:
    """Many short rows: large shares, where a reciprocal that is off by 1e-5 shows."""
    for depth in (2, 3, 4):
        assert_exact(softmax(0, (6000, depth), 1.0, Quant(0.006, 17)), litert, num_noise=2)


@pytest.mark.parametrize("opcode", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pools_count_only_real_positions(opcode: str, litert: LiteRtProcess) -> None:
    for kernel in ((2, 2), (3, 3), (5, 4), (1, 7)):
        assert_exact(pool_2d(opcode, 0, (7, 7, 3), kernel, (2, 1), "SAME"), litert, num_noise=4)


def test_mean_over_any_axes_is_exact(litert: LiteRtProcess) -> None:
    for axes in ((0,), (1,), (3,), (1, 2), (-1, -2), (0, 1, 2, 3), (2, 1, 2)):
        assert_exact(reduce("MEAN", 3, (2, 5, 6, 7), axes), litert, num_noise=3)


def test_a_fused_operator_means_its_body() -> None:
    graph = read_tflite(conv_2d(0, (5, 5, 3), 4))
    step = graph.ops[0]
    fused = Op(OpKind.FUSED, step.inputs, step.outputs, FusedAttrs(FusedPattern.PRODUCER_TABLE, (step,)))
    inputs = extreme_inputs(graph)[-1].values
    whole, parts = reference.run(graph.with_ops((fused,)), inputs), reference.run(graph, inputs)
    assert whole.keys() == parts.keys()
    assert all(np.array_equal(whole[name], parts[name]) for name in parts)


def test_a_large_convolution_takes_less_than_a_second_for_ten_million_macs() -> None:
    from time import perf_counter

    graph = read_tflite(conv_2d(0, (56, 56, 32), 96, (1, 1)))
    inputs = extreme_inputs(graph)[-1].values
    start = perf_counter()
    reference.run(graph, inputs)
    assert (perf_counter() - start) / macs(graph.ops[0], graph) < 1e-7
