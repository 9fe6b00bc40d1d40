"""Scales that must be shared are, scales that LiteRT cannot take do not occur, and the numbers stay close to float."""

from __future__ import annotations

import numpy as np
import pytest

from flynet_tiny.codegen.ir import Graph, OpKind
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel
from flynet_tiny.export.activation_scales import Affine
from flynet_tiny.export.float_graph import FloatOp, Kind
from flynet_tiny.export.quantize import quantize_layer
from flynet_tiny.export.tflite_export import ExportResult, export_tflite
from flynet_tiny.verify.litert import LiteRt, Resolver

from .onnx_models import OnnxModel, eca, max_out


def export(m: OnnxModel, images: np.ndarray | None = None) -> tuple[ExportResult, Graph]:
    result = export_tflite(m.build(), [m.images() if images is None else images], name="test")
    return result, read_tflite(result.tflite)


def quantization(graph: Graph, tensor: str) -> tuple[float, int]:
    return graph.tensor(tensor).scale, graph.tensor(tensor).zero_point


def ops(graph: Graph, *kinds: OpKind):
    return [op for op in graph.ops if op.kind in kinds]


def assert_error_below_steps(
    result: ExportResult, graph: Graph, images: np.ndarray, steps: float, tolerance: float = 0.0
) -> None:
    """The int8 output, dequantized, is within some output steps of float; LiteRT runs in a child, for it may abort."""
    output = graph.outputs[0]
    session = result.float_graph.session(result.float_graph.outputs)
    layout = next(o for o in reversed(result.origins) if o.value == result.float_graph.outputs[0]).tensor
    with LiteRt(graph, result.tflite, Resolver.BUILTIN_REF) as litert:
        for image in images:
            (real,) = session.run(None, {"x": image[None]})
            stored = litert.run({graph.inputs[0]: result.quantize_input(image[None])})[output]
            scale, zero_point = quantization(graph, output)
            difference = (stored.astype(float) - zero_point) * scale - layout.stored(real).reshape(stored.shape)
            assert np.abs(difference).max() <= steps * scale + tolerance


def test_reduce_max_has_the_scale_of_its_input():
    m = OnnxModel(1, 12, 4, 4)
    max_out(m, eca(m, "x", 12, 3), 4, 3, 4, 4)
    _, graph = export(m)
    (op,) = ops(graph, OpKind.REDUCE_MAX)
    assert quantization(graph, op.inputs[0]) == quantization(graph, op.output)


def test_maps_before_a_max_out_hold_only_what_can_be_the_maximum():
    m = OnnxModel(1, 8, 8, 8)
    maps = m("Mul", "x", m.conv("x", 8, 8))
    max_out(m, maps, 2, 4, 8, 8)
    images = m.images()
    result, graph = export(m, images)
    (op,) = ops(graph, OpKind.REDUCE_MAX)
    session = result.float_graph.session([maps, result.float_graph.outputs[0]])
    found = [session.run(None, {"x": image[None]}) for image in images]
    low, best = (min(float(values[index].min()) for values in found) for index in (0, 1))
    scale, zero_point = quantization(graph, op.output)
    held = scale * (-128 - zero_point)
    assert low < 1.5 * held, "the smallest map element is far outside"
    assert held <= best + scale
    assert_error_below_steps(result, graph, images, 3.0)


def test_concatenated_convolutions_write_with_one_scale_and_no_quantize():
    m = OnnxModel(1, 4, 4, 4)
    m("Concat", m.conv("x", 4, 3), m("Relu", m.conv("x", 4, 5)), axis=1)
    images = m.images()
    result, graph = export(m, images)
    assert ops(graph, OpKind.QUANTIZE) == []
    (concat,) = ops(graph, OpKind.CONCATENATION)
    assert len({quantization(graph, name) for name in (*concat.inputs, concat.output)}) == 1
    assert_error_below_steps(result, graph, images, 2.5)


def test_a_value_that_others_read_keeps_its_scale_and_is_requantized_for_the_concatenation():
    m = OnnxModel(1, 4, 4, 4)
    narrow = m("Sigmoid", "x")
    wide = m("Mul", m.conv("x", 4, 4), np.float32(20))
    m("Concat", narrow, wide, m("Slice", wide, np.array([0]), np.array([2]), np.array([1])), axis=1)
    images = m.images()
    result, graph = export(m, images)
    (concat,) = ops(graph, OpKind.CONCATENATION)
    assert len({quantization(graph, name) for name in (*concat.inputs, concat.output)}) == 1
    (logistic,) = ops(graph, OpKind.LOGISTIC)
    assert quantization(graph, logistic.output) == (1 / 256, -128)
    assert [op.inputs for op in ops(graph, OpKind.QUANTIZE)] == [(logistic.output,)]
    assert len(ops(graph, OpKind.RESHAPE)) == 2, "a QUANTIZE to the scale that a value has moves nothing"
    assert_error_below_steps(result, graph, images, 2.5)


def test_maximum_and_average_pool_have_one_scale():
    m = OnnxModel(1, 4, 4, 4)
    x = m("Max", m.conv("x", 4, 4), "x")
    m("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    images = m.images()
    result, graph = export(m, images)
    for op in ops(graph, OpKind.MAXIMUM, OpKind.AVERAGE_POOL_2D):
        names = [name for name in (*op.inputs, op.output) if not graph.tensor(name).is_constant]
        assert len({quantization(graph, name) for name in names}) == 1
    assert_error_below_steps(result, graph, images, 2.5)


@pytest.mark.parametrize(("low", "high"), [(-0.5, 0.7), (-1.0, 0.0), (0.0, 0.4)])
@pytest.mark.parametrize("is_fused", [True, False])
def test_a_clip_is_the_saturation_of_int8(low, high, is_fused):
    m = OnnxModel(1, 4, 4, 4)
    m("Clip", m.conv("x", 4, 4) if is_fused else "x", np.float32(low), np.float32(high))
    images = 3 * m.images()
    result, graph = export(m, images)
    assert [op.kind for op in graph.ops] == [OpKind.CONV_2D if is_fused else OpKind.RELU if low == 0 else OpKind.QUANTIZE]
    scale, zero_point = quantization(graph, graph.outputs[0])
    np.testing.assert_allclose((scale * (-128 - zero_point), scale * (127 - zero_point)), (low, high), atol=scale)
    assert_error_below_steps(result, graph, images, 1.0, tolerance=2 * result.input_scale)


def test_nothing_widens_a_range_that_clips():
    m = OnnxModel(1, 4, 4, 4)
    clipped = m("Clip", m.conv("x", 4, 4), np.float32(-0.5), np.float32(0.5))
    m("Concat", clipped, m("Mul", m.conv("x", 4, 4), np.float32(20)), axis=1)
    images = m.images()
    result, graph = export(m, images)
    (quantize,) = ops(graph, OpKind.QUANTIZE)
    assert quantization(graph, quantize.inputs[0])[0] == pytest.approx(1 / 255, rel=0.02)
    assert_error_below_steps(result, graph, images, 2.5)


def test_zero_is_exact_everywhere():
    m = OnnxModel(1, 4, 4, 4)
    m.conv(m("Sigmoid", m.conv("x", 4, 4)), 4, 4)
    _, graph = export(m, np.abs(m.images()) + 5.0)
    assert all(-128 <= t.zero_point <= 127 for t in graph.activations())
    assert quantization(graph, graph.inputs[0])[1] == -128  # images far above zero: the range is widened to hold it


def test_bounds_of_an_affine_quantization():
    assert Affine.over(-1.0, 1.01) == Affine(float(np.float32(2.01 / 255)), -1)
    assert Affine.over(0.0, 25.5).zero_point == -128
    assert Affine.over(-25.5, -1.0).zero_point == 127
    assert Affine.over(0.0, 0.0).scale == float(np.float32(1 / 255))
    assert Affine.over(-1e-20, 1e-20).scale == 2.0**-40


def layer(weights: np.ndarray, bias: np.ndarray | None = None, heads: int = 0) -> FloatOp:
    kind = Kind.DEPTHWISE_CONV_2D if heads else Kind.CONV_2D
    return FloatOp(kind, ("x",), "y", "test", {"depthMultiplier": heads} if heads else {}, weights, bias)


def test_weights_reach_127_in_every_channel_and_never_128():
    weights = np.random.default_rng(0).normal(size=(5, 3, 3, 4))
    found = quantize_layer(layer(weights), 0.1, 0.1)
    assert (np.abs(found.weights.astype(int)).max(axis=(1, 2, 3)) == 127).all()
    np.testing.assert_allclose(found.weights * found.scales.reshape(-1, 1, 1, 1), weights, atol=found.scales.max() / 2)


def test_the_heads_of_a_channel_share_the_largest_scale():
    weights = np.random.default_rng(0).normal(size=(1, 3, 3, 12))
    found = quantize_layer(layer(weights, heads=3), 0.1, 0.1)
    expected = np.abs(weights).reshape(9, 4, 3).max(axis=(0, 2)) / 127
    np.testing.assert_allclose(found.scales.reshape(4, 3), np.repeat(expected[:, None], 3, axis=1), rtol=1e-6)


@pytest.mark.parametrize("bias", [1e-3, 1.0, 1e6])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-9, 1.0])
def test_biases_stay_inside_int32_and_multipliers_above_zero(size, bias):
    weights = np.full((2, 1, 1, 3), size)
    found = quantize_layer(layer(weights, np.array([bias, -bias])), 0.01, bias / 100)
    assert (np.abs(found.bias.astype(np.int64)) <= 2**29 + 128).all()
    half_step = found.scales.max() * 0.01 * 0.501
    np.testing.assert_allclose(found.bias * found.scales * 0.01, [bias, -bias], rtol=1e-6, atol=half_step)
    assert (0.01 * found.scales / (bias / 100) >= 2.0**-31).all()


def hazard(build, images: np.ndarray):
    m = OnnxModel(1, *images.shape[1:])
    build(m)
    return m, images.astype(np.float32)


NOISE = np.random.default_rng(3).normal(size=(6, 4, 4, 4))
CONSTANT_MAPS = np.broadcast_to(np.arange(1.0, 25.0).reshape(6, 4, 1, 1), (6, 4, 4, 4))


def variance(m):
    m.mean(m("Pow", m("Sub", "x", m.mean("x")), np.float32(2)))


def cancelling_sum(m):
    weights = m.normal(4, 4, 1, 1)
    m("Add", m("Conv", "x", weights), m("Conv", "x", -weights))


def dead_relu(m):
    x = m("Relu", m("Conv", "x", m.normal(4, 4, 3, 3), np.full(4, -1e4, np.float32), pads=[1, 1, 1, 1]))
    m.conv(x, 4, 4)


def dead_relu_of_large_sums(m):
    m("Relu", m("Conv", "x", m.normal(4, 4, 1, 1, scale=1e8), np.full(4, -1e10, np.float32)))


def saturated_hard_swish(m):
    m("HardSwish", m("Conv", "x", m.normal(4, 4, 1, 1), np.full(4, -50.0, np.float32)))


def hard_swish(m):
    m("HardSwish", "x")


def dead_channels(m):
    weights = m.normal(4, 4, 3, 3)
    weights[1] = 0
    bias = np.array([0, 0, 1, 1], np.float32)
    m("Conv", "x", weights, bias, pads=[1, 1, 1, 1])


def tiny_weights_large_bias(m):
    m("Conv", "x", m.normal(4, 4, 3, 3, scale=1e-20), np.array([-2, 0, 1, 3], np.float32))


def tiny_logits(m):
    m("Softmax", m("Conv", "x", m.normal(4, 4, 1, 1, scale=1e-12)), axis=1)


def product_with_nothing(m):
    m("Mul", "x", m("Relu", m("Conv", "x", m.normal(4, 4, 1, 1), np.full(4, -1e3, np.float32))))


def mean_of_large_cancelling_maps(m):
    checkers = (np.indices((4, 4)).sum(axis=0) % 2 * 2 - 1).astype(np.float32)
    m.mean(m("Mul", np.broadcast_to(checkers, (1, 4, 4, 4)).astype(np.float32), m("Relu", "x")))


HAZARDS = [  # steps of the output, plus what the input's own steps make of a difference near 0
    (variance, NOISE, 3, 0.0),
    (variance, CONSTANT_MAPS, 1, 0.0),
    (variance, CONSTANT_MAPS + NOISE * 1e-3, 1, 0.1**2),
    (variance, np.zeros((2, 4, 4, 4)), 1, 0.0),
    (cancelling_sum, NOISE * 1e6, 2, 1e5),
    (dead_relu, NOISE, 2, 0.0),
    (dead_relu_of_large_sums, NOISE, 1, 0.0),
    (saturated_hard_swish, NOISE, 1, 0.0),
    (hard_swish, -np.linspace(2.999, 100, 6 * 64).reshape(6, 4, 4, 4), 1, 0.0),
    (dead_channels, NOISE, 2, 0.0),
    (tiny_weights_large_bias, NOISE, 1, 0.0),
    (tiny_logits, NOISE, 1, 0.0),
    (product_with_nothing, NOISE, 1, 0.0),
    (mean_of_large_cancelling_maps, CONSTANT_MAPS, 2, 0.0),
    (dead_channels, np.zeros((2, 4, 4, 4)), 1, 0.0),
    (dead_channels, NOISE * 1e-10, 2, 0.0),
    (dead_channels, NOISE * 1e8, 2, 0.0),
]


@pytest.mark.parametrize(("build", "images", "steps", "tolerance"), HAZARDS, ids=lambda v: getattr(v, "__name__", ""))
def test_litert_survives_what_is_constant_in_float(build, images, steps, tolerance):
    m, images = hazard(build, images)
    result, graph = export(m, images)
    assert_error_below_steps(result, graph, images, steps, tolerance)


def test_a_product_beyond_what_calibration_saw_saturates_and_does_not_wrap():
    m = OnnxModel(1, 2, 4, 4)
    sides = [m("Slice", "x", np.array([i]), np.array([i + 1]), np.array([1])) for i in (0, 1)]
    m("Mul", *sides)
    images = np.zeros((2, 2, 4, 4), np.float32)
    images[0, 0] = images[1, 1] = 1e6  # never both: the product is always 0
    result, graph = export(m, images)
    with LiteRt(graph, result.tflite, Resolver.BUILTIN_REF) as litert:
        stored = litert.run({graph.inputs[0]: result.quantize_input(np.full((1, 2, 4, 4), 5e5))})[graph.outputs[0]]
    assert (stored == 127).all()
    (mul,) = ops(graph, OpKind.MUL)
    factor = quantization(graph, mul.inputs[0])[0] * quantization(graph, mul.inputs[1])[0] / quantization(graph, mul.output)[0]
    assert factor * 255 * 255 < 2**31, "the largest product, shifted left, stays inside int32"


def test_a_range_that_int8_cannot_hold_is_refused():
    m, images = hazard(dead_channels, NOISE * 1e20)
    with pytest.raises(BadModel, match="int8 cannot hold"):
        export(m, images)


def test_no_activation_is_float_and_every_constant_is_used():
    m = OnnxModel(1, 8, 8, 8)
    eca(m, "x", 8)
    _, graph = export(m)
    used = {name for op in graph.ops for name in op.inputs}
    assert {name for name, t in graph.tensors.items() if t.is_constant} <= used
    assert {t.dtype.value for t in graph.activations()} == {"int8"}
