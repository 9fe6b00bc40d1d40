"""A lowered network computes in float what the ONNX graph computes, tensor by tensor, without a TRANSPOSE."""

from __future__ import annotations

import numpy as np
import pytest

from flynet_tiny.errors import UnsupportedOperators
from flynet_tiny.export.lower import lower
from flynet_tiny.export.onnx_graph import load_onnx
from flynet_tiny.export.simplify import simplify

from .onnx_models import OnnxModel, eca, float_tflite, max_out, run_litert

CASES: dict[str, tuple] = {}


def case(*kinds: str):
    """Register a model with the kinds of operators that it must become (RESHAPE left out), in order."""

    def register(build):
        CASES[build.__name__] = (build, list(kinds))
        return build

    return register


@case("CONV_2D")
def conv_same():
    m = OnnxModel(1, 3, 8, 8)
    m.conv("x", 3, 5)
    return m


@case("CONV_2D")
def input_with_channels_last_that_the_model_transposes():
    m = OnnxModel(1, 6, 5, 3)
    m("Relu", m.conv(m("Transpose", "x", perm=[0, 3, 1, 2]), 3, 4))
    return m


@case("PAD", "CONV_2D")
def conv_stride_2_with_torch_padding():
    m = OnnxModel(1, 3, 8, 8)
    m.conv("x", 3, 5, stride=2)
    return m


@case("CONV_2D")
def conv_stride_2_on_an_odd_map_is_same():
    m = OnnxModel(1, 3, 7, 9)
    m.conv("x", 3, 5, stride=2)
    return m


@case("CONV_2D")
def conv_auto_pad_same_upper():
    m = OnnxModel(1, 3, 8, 8)
    m("Conv", "x", m.normal(4, 3, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2])
    return m


@case("PAD", "CONV_2D")
def conv_auto_pad_same_lower():
    m = OnnxModel(1, 3, 8, 8)
    m("Conv", "x", m.normal(4, 3, 3, 3), auto_pad="SAME_LOWER", strides=[2, 2])
    return m


@case("CONV_2D")
def conv_auto_pad_valid():
    m = OnnxModel(1, 3, 8, 8)
    m("Conv", "x", m.normal(4, 3, 3, 2), auto_pad="VALID", strides=[3, 1])
    return m


@case("CONV_2D")
def conv_that_leaves_the_last_rows_unread():
    m = OnnxModel(1, 3, 8, 8)
    m.conv("x", 3, 4, kernel=2, stride=3, pad=0)
    return m


@case("PAD", "CONV_2D")
def conv_padded_on_one_side():
    m = OnnxModel(1, 3, 6, 7)
    m("Conv", "x", m.normal(4, 3, 3, 3), pads=[2, 0, 0, 1])
    return m


@case("CONV_2D")
def conv_dilated():
    m = OnnxModel(1, 4, 9, 9)
    m("Conv", "x", m.normal(4, 4, 3, 3), pads=[2, 2, 2, 2], dilations=[2, 2])
    return m


@case("DEPTHWISE_CONV_2D")
def depthwise():
    m = OnnxModel(1, 6, 6, 6)
    m.conv("x", 6, 6, group=6)
    return m


@case("PAD", "DEPTHWISE_CONV_2D")
def multihead_depthwise_5x5_stride_2():
    m = OnnxModel(1, 4, 4, 4)
    m.conv("x", 4, 12, kernel=5, stride=2, group=4)
    return m


def shuffled(m: OnnxModel, x: str, groups: int, channels: int, h: int = 5, w: int = 4) -> str:
    """A channel shuffle as torch writes it."""
    split = m("Transpose", m.reshape(x, 1, groups, channels // groups, h, w), perm=[0, 2, 1, 3, 4])
    return m.reshape(split, 1, channels, h, w)


@case("CONV_2D", "DEPTHWISE_CONV_2D", "HARD_SWISH", "CONV_2D")
def a_shuffle_before_a_depthwise_and_a_dense_convolution_moves_nothing():
    m = OnnxModel(1, 6, 5, 4)
    x = shuffled(m, m.conv("x", 6, 12, kernel=1, group=3), 3, 12)
    x = m("HardSwish", m.conv(x, 12, 24, group=12))
    m.conv(x, 24, 5, kernel=1)
    return m


@case("CONV_2D", "GATHER", "CONV_2D", "GATHER", "CONV_2D")
def a_shuffle_before_groups_is_a_gather():
    m = OnnxModel(1, 6, 5, 4)
    x = shuffled(m, m.conv("x", 6, 24, kernel=1, group=3), 3, 24)
    x = shuffled(m, m.conv(x, 24, 12, kernel=1, group=4), 3, 12)
    m.conv(shuffled(m, x, 6, 12), 12, 6, group=2)
    return m


@case("CONV_2D", "CONV_2D")
def a_shuffle_inside_of_groups_moves_nothing():
    m = OnnxModel(1, 8, 3, 3)
    x = m.conv("x", 8, 8, kernel=1, group=2)
    split = m("Transpose", m.reshape(x, 1, 2, 2, 2, 3, 3), perm=[0, 1, 3, 2, 4, 5])
    m.conv(m.reshape(split, 1, 8, 3, 3), 8, 4, kernel=1, group=2)
    return m


@case("CONV_2D", "MEAN", "CONV_2D", "MUL", "GATHER", "ADD", "GATHER")
def a_shuffled_map_is_gated_and_meets_another():
    m = OnnxModel(1, 6, 5, 4)
    x = m.conv("x", 6, 6, kernel=1, group=2)
    y = shuffled(m, x, 2, 6)
    gate = m.conv(m.mean(y, keepdims=1), 6, 6, kernel=1)  # its filters follow the map's channels
    m("Add", m("Mul", y, gate), "x")
    return m


@case("CONV_2D", "GATHER", "ADD", "GATHER")
def channels_are_gathered_in_the_order_in_which_they_lie():
    m = OnnxModel(1, 6, 5, 4)
    x = shuffled(m, m.conv("x", 6, 6, kernel=1, group=2), 2, 6)
    rolled = m("Gather", x, np.array([5, 0, 1, 2, 3, -2]), axis=1)
    m("Gather", m("Add", rolled, x), np.array([1, 4]), axis=1)
    return m


@case("CONV_2D", "GATHER", "GATHER", "CONCATENATION", "PAD", "CONV_2D")
def halves_of_a_shuffled_map_are_gathered():
    m = OnnxModel(1, 6, 5, 4)
    x = shuffled(m, m.conv("x", 6, 12, kernel=1, group=3), 3, 12)
    halves = [m("Slice", x, np.array([start]), np.array([start + 6]), np.array([1])) for start in (0, 6)]
    m.conv(m("Concat", *reversed(halves), axis=1), 12, 4, stride=2)
    return m


@case("CONV_2D", "GATHER", "SLICE")
def a_shuffled_map_is_cropped():
    m = OnnxModel(1, 6, 5, 4)
    x = shuffled(m, m.conv("x", 6, 12, kernel=1, group=3), 3, 12)
    m("Slice", x, np.array([1, 2]), np.array([4, 12]), np.array([2, 1]))
    return m


@case("PAD", "CONV_2D")
def branches_of_one_input_are_one_convolution():
    m = OnnxModel(1, 6, 8, 8)
    dense = m("Add", m.conv("x", 6, 12, stride=2), m.conv("x", 6, 12, kernel=1, stride=2))
    m("Add", m.conv("x", 6, 12, stride=2, group=3), dense)
    return m


@case("DEPTHWISE_CONV_2D")
def grouped_branches_and_a_scaled_identity_are_one_depthwise_convolution():
    m = OnnxModel(1, 6, 8, 8)
    m("Relu", m("Add", m("Add", m.conv("x", 6, 6, group=6), m.conv("x", 6, 6, group=6, kernel=1)), m.conv("x", 6, 6, 5, group=6)))
    return m


@case("CONV_2D")
def a_batch_norm_beside_a_convolution_is_part_of_it():
    """RepVGG as other exporters write it."""
    m = OnnxModel(1, 6, 8, 8)
    parameters = [m.normal(6), m.normal(6), m.normal(6), 1 + np.abs(m.normal(6))]
    m("Relu", m("Add", m.conv("x", 6, 6), m("BatchNormalization", "x", *parameters)))
    return m


@case("DEPTHWISE_CONV_2D", "CONV_2D", "ADD", "CONV_2D", "CONV_2D", "ADD", "ADD", "ADD")
def branches_that_one_convolution_does_not_hold_stay():
    """A dense 3x3 would have more weights; 3x3 windows of other dilations; a branch that something else reads."""
    m = OnnxModel(1, 6, 8, 8)
    apart = m("Add", m.conv("x", 6, 6, group=6), m.conv("x", 6, 6, kernel=1))
    wide = m.conv("x", 6, 6, pad=2, dilations=[2, 2])
    m("Add", m("Add", m("Add", wide, m.conv("x", 6, 6)), wide), apart)
    return m


@case("CONV_2D")
def grouped():
    m = OnnxModel(1, 6, 5, 5)
    m.conv("x", 6, 12, group=3)
    return m


@case("DEPTHWISE_CONV_2D", "MEAN", "RELU")
def learned_combination_of_heads():
    m = OnnxModel(1, 12, 4, 4)
    m("Relu", m.conv("x", 12, 4, kernel=1, group=4))
    return m


@case("CONV_2D")
def conv_batch_norm_relu_is_one_operator():
    m = OnnxModel(1, 3, 6, 6)
    x = m.conv("x", 3, 4)
    x = m("BatchNormalization", x, m.normal(4), m.normal(4), m.normal(4), np.abs(m.normal(4)) + 0.5, epsilon=1e-3)
    m("Relu", x)
    return m


@case("DEPTHWISE_CONV_2D", "CONV_2D")
def batch_norm_on_the_input_is_a_depthwise_layer():
    m = OnnxModel(1, 4, 4, 4)
    x = m("BatchNormalization", "x", m.normal(4), m.normal(4), m.normal(4), np.abs(m.normal(4)) + 0.5)
    m.conv(x, 4, 4)
    return m


@case("CONV_2D")
def conv_clip_0_to_6():
    m = OnnxModel(1, 3, 4, 4)
    m("Clip", m.conv("x", 3, 4), np.float32(0), np.float32(6))
    return m


@case("CONV_2D", "RELU", "ADD")
def relu_of_a_value_that_others_read_stays():
    m = OnnxModel(1, 4, 4, 4)
    x = m.conv("x", 4, 4)
    m("Add", m("Relu", x), x)
    return m


@case("RELU6", "RELU")
def activations_on_the_input():
    m = OnnxModel(1, 4, 4, 4)
    m("Max", m("Clip", "x", np.float32(0), np.float32(6)), np.float32(0))
    return m


@case("TANH", "CONV_2D", "LEAKY_RELU", "CONV_2D", "LEAKY_RELU")
def slopes_below_zero():
    m = OnnxModel(1, 4, 4, 4)
    x = m("LeakyRelu", m.conv(m("Tanh", "x"), 4, 6), alpha=0.2)
    m("LeakyRelu", m.conv(x, 6, 4))
    return m


@case("HARD_SWISH", "HARD_SWISH", "HARD_SWISH", "HARD_SWISH", "LOGISTIC")
def hard_swish_in_every_spelling():
    m = OnnxModel(1, 4, 4, 4)
    x = m("HardSwish", "x")
    x = m("Mul", x, m("HardSigmoid", x, alpha=1 / 6, beta=0.5))
    gate = m("Clip", m("Add", x, np.float32(3)), np.float32(0), np.float32(6))
    x = m("Div", m("Mul", x, gate), np.float32(6))
    gate = m("Clip", m("Add", np.float32(3), x), np.float32(0), np.float32(6))
    x = m("Mul", m("Mul", gate, np.float32(1 / 6)), x)
    m("Sigmoid", x)
    return m


@case("MEAN", "CONV_2D")
def global_average_pool_flatten_gemm():
    m = OnnxModel(1, 8, 5, 5)
    x = m("Flatten", m("GlobalAveragePool", "x"))
    m("Gemm", x, m.normal(10, 8), m.normal(10), transB=1)
    return m


@case("CONV_2D", "CONV_2D")
def flatten_of_a_map_permutes_the_columns():
    m = OnnxModel(1, 4, 4, 4)
    x = m("Flatten", m.conv("x", 4, 4))
    m("Gemm", x, m.normal(64, 5), m.normal(5), alpha=0.5, beta=2.0)
    return m


@case("CONV_2D", "CONV_2D")
def matmul_and_bias():
    m = OnnxModel(1, 4, 4, 4)
    x = m.reshape(m.conv("x", 4, 4), 1, -1)
    m("Relu", m("Add", m("MatMul", x, m.normal(64, 5)), m.normal(5)))
    return m


@case("CONV_2D")
def matmul_over_tokens():
    m = OnnxModel(1, 4, 3, 3)
    tokens = m("Transpose", m.reshape("x", 1, 4, 9), perm=[0, 2, 1])
    m("MatMul", tokens, m.normal(4, 6))
    return m


@case("SOFTMAX")
def softmax_over_channels():
    m = OnnxModel(1, 5, 4, 4)
    m("Softmax", "x", axis=1)
    return m


@case("REDUCE_MAX")
def global_max_pool():
    m = OnnxModel(1, 5, 4, 4)
    m("GlobalMaxPool", "x")
    return m


@case("ADD", "SUB", "MUL", "MAXIMUM", "MAXIMUM")
def arithmetic():
    m = OnnxModel(1, 4, 4, 4)
    x = m("Add", "x", "x")
    y = m("Sub", x, "x")
    m("Max", m("Mul", x, y), y, "x")
    return m


@case("MEAN", "ADD", "MUL")
def broadcast_of_a_pixel_and_fused_relu():
    m = OnnxModel(1, 4, 3, 3)
    mean = m.mean("x")
    m("Mul", mean, m("Relu", m("Add", mean, "x")))
    return m


@case("MUL", "ADD")
def constants_of_a_whole_map():
    m = OnnxModel(1, 4, 4, 4)
    m("Add", m("Mul", "x", m.normal(1, 4, 4, 4)), m.normal(4, 4))
    return m


@case("DEPTHWISE_CONV_2D", "DEPTHWISE_CONV_2D")
def constants_by_channel_around_an_input():
    m = OnnxModel(1, 3, 4, 4)
    x = m("Div", m("Sub", "x", m.normal(1, 3, 1, 1)), np.float32(0.3))
    m("Conv", x, m.normal(3, 1, 3, 3), group=3)
    return m


@case("CONV_2D")
def constants_after_a_convolution():
    m = OnnxModel(1, 3, 4, 4)
    x = m("Mul", m.conv("x", 3, 4), m.normal(1, 4, 1, 1))
    x = m("Sub", np.float32(1), x)
    m("Div", m("Add", x, m.normal(4, 1, 1)), np.float32(4))
    return m


@case("MEAN", "SQUARED_DIFFERENCE", "MEAN")
def variance_by_power():
    m = OnnxModel(1, 4, 4, 4)
    m.mean(m("Pow", m("Sub", "x", m.mean("x")), np.float32(2)), keepdims=0)
    return m


@case("MEAN", "DEPTHWISE_CONV_2D")
def sum_over_the_heads():
    m = OnnxModel(1, 12, 4, 4)
    m("ReduceSum", m.reshape("x", 1, 4, 3, 4, 4), np.array([2]), keepdims=0)
    return m


@case("MEAN")
def sum_divided_by_the_count_is_a_mean():
    m = OnnxModel(1, 4, 5, 5)
    m("Div", m("ReduceSum", "x", np.array([2, 3]), keepdims=1), np.float32(25))
    return m


@case("CONCATENATION", "SLICE", "STRIDED_SLICE", "PAD")
def movers():
    m = OnnxModel(1, 4, 4, 4)
    x = m("Concat", "x", "x", axis=1)
    x = m("Slice", x, np.array([1, -3]), np.array([7, 2**40]), np.array([1, 2]))
    x = m("Slice", x, np.array([0, 0]), np.array([6, 4]), np.array([1, 3]), np.array([2, 2]))
    m("Pad", x, np.array([0, 1, 0, 2, 0, 3, 0, 0]))
    return m


@case("CONCATENATION")
def concat_of_widths():
    m = OnnxModel(1, 4, 4, 4)
    m("Concat", "x", "x", "x", axis=-1)
    return m


@case("PAD")
def concat_with_zeros_is_a_padding():
    m = OnnxModel(1, 4, 4, 4)
    m("Concat", np.zeros((1, 1, 4, 4), np.float32), "x", np.zeros((1, 2, 4, 4), np.float32), axis=1)
    return m


@case("SLICE", "SLICE", "MUL")
def split_and_gather():
    m = OnnxModel(1, 6, 4, 4)
    m("Split", "x", axis=1, num_outputs=2, outputs=2)
    picked = m("Gather", "x", np.array(-1), axis=1)
    m("Mul", "v0_1", m("Unsqueeze", picked, np.array([1])))
    return m


@case("MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "AVERAGE_POOL_2D")
def poolings():
    m = OnnxModel(1, 4, 9, 9)
    x = m("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = m("AveragePool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    m("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    return m


@case("RELU", "PAD", "MAX_POOL_2D")
def max_pool_with_torch_padding_after_a_relu():
    m = OnnxModel(1, 4, 8, 8)
    m("MaxPool", m("Relu", "x"), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    return m


ATTENTION = ["MEAN", "SQUARED_DIFFERENCE", "MEAN", "CONV_2D", "CONV_2D", "ADD"]


@case(*ATTENTION, "LOGISTIC", "MUL")
def attention():
    m = OnnxModel(1, 8, 8, 8)
    eca(m, "x", 8)
    return m


@case(*ATTENTION, "LOGISTIC", "MUL")
def attention_with_one_convolution_of_two_channels_is_split():
    m = OnnxModel(1, 8, 8, 8)
    eca(m, "x", 8, concat=True)
    return m


@case(*ATTENTION, "SOFTMAX", "MUL", "REDUCE_MAX")
def attention_over_heads_with_a_temperature():
    m = OnnxModel(1, 12, 4, 4)
    max_out(m, eca(m, "x", 12, heads=3, temperature=2.5, concat=True), 4, 3, 4, 4)
    return m


@case("CONV_2D", "LOGISTIC", "MUL")
def attention_on_a_map_of_one_pixel_has_no_variance():
    m = OnnxModel(1, 8, 1, 1)
    eca(m, "x", 8, concat=True)
    return m


@case("REDUCE_MAX", "CONV_2D")
def heads_that_are_the_slower_axis():
    m = OnnxModel(1, 12, 4, 4)
    x = m("ReduceMax", m.reshape("x", 1, 3, 4, 4, 4), np.array([1]), keepdims=0)
    m.conv(x, 4, 4)
    return m


@case("REDUCE_MAX", "ADD", "PAD")
def max_out_and_high_residual():
    m = OnnxModel(1, 12, 3, 3)
    x = max_out(m, "x", 6, 2, 3, 3)
    bridged = m("Slice", "x", np.array([0]), np.array([6]), np.array([1]))
    m("Pad", m("Add", x, bridged), np.array([0, 0, 0, 0, 0, 2, 0, 0]))
    return m


CASES["max_out_and_high_residual"] = (max_out_and_high_residual, ["REDUCE_MAX", "SLICE", "ADD", "PAD"])


@case("CONV_2D")
def one_dimensional_convolution():
    m = OnnxModel(1, 3, 10)
    m("Conv", "x", m.normal(5, 3, 3), m.normal(5), pads=[1, 1])
    return m


@case("CONV_2D")
def layout_changes_of_another_framework_cost_nothing():
    m = OnnxModel(1, 6, 6, 4)  # an exporter that keeps N, H, W, C and transposes around each operator
    x = m("Transpose", m.reshape("x", 1, 4, 36), perm=[0, 2, 1])
    x = m("Transpose", x, perm=[0, 2, 1])
    m.conv(m.reshape(x, 1, 6, 6, 4), 6, 3)
    return m


CASES.pop("layout_changes_of_another_framework_cost_nothing")


@case("CONV_2D", "MEAN")
def transposes_that_cancel():
    m = OnnxModel(1, 4, 4, 4)
    x = m("Transpose", m.conv("x", 4, 4), perm=[0, 2, 3, 1])
    m.mean(m("Relu", x), axes=[1, 2])
    return m


CASES["transposes_that_cancel"] = (transposes_that_cancel, ["CONV_2D", "RELU", "MEAN"])


@pytest.mark.parametrize("name", CASES)
def test_the_lowered_network_computes_the_same_values(name):
    build, kinds = CASES[name]
    model = build()
    original = load_onnx(model.build())
    graph = simplify(original)
    lowered = lower(graph)
    assert [op.kind.value for op in lowered.ops if op.kind.value != "RESHAPE"] == kinds
    image = model.images(1)
    expected = original.session(original.outputs).run(None, {"x": image})
    simplified = graph.session(graph.outputs).run(None, {"x": image})
    for a, b in zip(expected, simplified, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
    values = graph.session(lowered.values(), optimize=False).run(None, {"x": image})
    by_name = dict(zip(lowered.values(), values, strict=True))
    held = [(index, tensor) for index, tensor in enumerate(lowered.tensors.values()) if tensor.value is not None]
    stored = lowered.tensors[lowered.inputs[0]].stored(image)
    results = run_litert(float_tflite(lowered), stored, [index for index, _ in held])
    for (_, tensor), result in zip(held, results, strict=True):
        np.testing.assert_allclose(result, tensor.stored(by_name[tensor.value]), rtol=1e-4, atol=1e-5, err_msg=tensor.name)


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 5])
def test_max_out_is_reduce_max_over_the_last_of_four_dimensions(heads):
    m = OnnxModel(1, 4, 4, 4)
    maps = m.conv("x", 4, 4 * heads, group=4)
    max_out(m, maps, 4, heads, 4, 4)
    lowered = lower(simplify(load_onnx(m.build())))
    kinds = [op.kind.value for op in lowered.ops]
    if heads == 1:  # the maximum of one is that one
        assert kinds == ["DEPTHWISE_CONV_2D"]
        return
    assert kinds == ["DEPTHWISE_CONV_2D", "RESHAPE", "REDUCE_MAX", "RESHAPE"]
    assert [lowered.tensors[op.output].shape for op in lowered.ops[1:]] == [(1, 16, 4, heads), (1, 16, 4), (1, 4, 4, 4)]
    assert lowered.ops[2].parameters[0].tolist() == [3]


def test_equal_means_are_computed_once():
    m = OnnxModel(1, 4, 4, 4)
    a, b = m.mean("x", keepdims=0), m.mean("x", keepdims=1)
    m("Add", m("Unsqueeze", a, np.array([2, 3])), m("Sigmoid", b))
    lowered = lower(simplify(load_onnx(m.build())))
    assert [op.kind.value for op in lowered.ops] == ["MEAN", "LOGISTIC", "ADD"]


def test_all_unsupported_nodes_are_named_at_once():
    m = OnnxModel(1, 4, 4, 4)
    x = m("LogSoftmax", "x")
    x = m.conv(x, 4, 4)
    x = m("CumSum", x, np.array(1))
    y = m("LpNormalization", "x")
    m("Add", x, y)
    with pytest.raises(UnsupportedOperators) as error:
        lower(simplify(load_onnx(m.build())))
    assert len(error.value.found) == 3
    assert "LogSoftmax 'n0' (leave it to the caller)" in error.value.found[0]
    assert "CumSum 'n2'" in error.value.found[1]
    assert "LpNormalization 'n3'" in error.value.found[2]


def refused(build) -> str:
    m = OnnxModel(1, 4, 4, 4)
    build(m)
    with pytest.raises(UnsupportedOperators) as error:
        lower(simplify(load_onnx(m.build())))
    return str(error.value)


def transposes(build) -> int:
    m = OnnxModel(1, 4, 4, 4)
    build(m)
    return sum(op.kind.value == "TRANSPOSE" for op in lower(simplify(load_onnx(m.build()))).ops)


def test_what_no_order_of_memory_fits_is_transposed_once():
    assert transposes(lambda m: m.conv(m("Transpose", "x", perm=[0, 2, 1, 3]), 4, 4)) == 1
    assert transposes(lambda m: m("Concat", "x", m("Transpose", "x", perm=[0, 2, 3, 1]), axis=1)) == 1
    assert transposes(lambda m: m("Softmax", "x", axis=3)) == 2
    assert transposes(lambda m: m.conv(m.reshape("x", 1, 8, 2, 4), 8, 2)) == 1
    assert transposes(lambda m: m.reshape(m("Relu", "x"), 1, 64)) == 1


def test_other_things_that_no_kernel_does_are_refused_with_the_reason():
    assert "may be negative" in refused(lambda m: m("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]))
    assert "only zeros" in refused(lambda m: m("Pad", "x", np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.float32(1)))
    assert "weights are not constant" in refused(
        lambda m: m("Conv", "x", m.reshape("x", 16, 1, 2, 2), pads=[1, 1, 1, 1], group=4)
    )
    assert "weights are not constant" in refused(lambda m: m("Gemm", m.reshape("x", 1, 64), m.reshape("x", 64, 1)))
    assert "reads past 1 elements for 55" in refused(
        lambda m: m(
            "Resize",
            m.mean("x"),
            "",
            np.array([1, 1, 55, 1], np.float32),
            mode="linear",
            coordinate_transformation_mode="asymmetric",
        )
    )
