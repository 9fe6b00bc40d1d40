"""Every operator through the whole export: LiteRT loads the file with every resolver, and int8 is close to float."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType
from torch import nn

from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadData, BadModel, UnsupportedOperators
from flynet_tiny.export.onnx_export import export_onnx
from flynet_tiny.export.sqnr import measure_sqnr
from flynet_tiny.export.tflite_export import ExportResult, export_tflite
from flynet_tiny.flynet.data.images import source
from flynet_tiny.flynet.networks.bn_statistics import estimate_bn_statistics
from flynet_tiny.flynet.networks.flynet import build
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig

from .onnx_models import OnnxModel, eca, litert_output, max_out
from .test_lower import CASES

RESOLVERS = [OpResolverType.AUTO, OpResolverType.BUILTIN, OpResolverType.BUILTIN_REF]


def export(m: OnnxModel, *outputs: str) -> tuple[ExportResult, np.ndarray]:
    images = m.images()
    return export_tflite(m.build(*outputs), [images], name="test"), images


def assert_close_everywhere(result: ExportResult, images: np.ndarray, at_least_db: float) -> None:
    noise = measure_sqnr(result, [images])
    assert {layer.value: layer.sqnr_db for layer in noise if layer.sqnr_db < at_least_db} == {}


def assert_loads_with_every_resolver(result: ExportResult, image: np.ndarray, mean: float = 0.5) -> None:
    """XNNPACK and the optimised kernels may round differently; over a deep network that adds up."""
    stored = result.quantize_input(image)
    reference, *others = (litert_output(result.tflite, stored, resolver) for resolver in reversed(RESOLVERS))
    for other in others:
        difference = np.abs(other.astype(int) - reference)
        assert difference.max() <= 16 * mean
        assert difference.mean() <= mean


@pytest.mark.parametrize("name", CASES)
def test_int8_is_close_to_float_in_every_tensor(name):
    result, images = export(CASES[name][0]())
    read_tflite(result.tflite)  # our compiler takes what our exporter writes
    assert_loads_with_every_resolver(result, images[:1])
    assert_close_everywhere(result, images[:4], 18.0)


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 5])
def test_a_multihead_block_with_attention_where_channels_equal_height_and_width(heads):
    m = OnnxModel(1, 8, 8, 8)
    x = m("HardSwish", m.conv("x", 8, 8, kernel=1))
    maps = m.conv(eca(m, x, 8), 8, 8 * heads, kernel=5, group=8)
    maps = eca(m, maps, 8 * heads, heads) if heads > 1 else maps
    reduced = max_out(m, maps, 8, heads, 8, 8)
    m("Add", m.conv(eca(m, reduced, 8), 8, 8, kernel=1), x)
    result, images = export(m)
    assert_loads_with_every_resolver(result, images[:1])
    assert_close_everywhere(result, images[:4], 14.0)
    weights = next(t for t in read_tflite(result.tflite).tensors.values() if t.shape == (1, 5, 5, 8 * heads))
    scales = np.array(weights.quantization.scales).reshape(8, heads)
    assert (scales == scales[:, :1]).all(), "the heads of a channel share their scale"
    assert len(set(scales[:, 0].tolist())) == 8


class TinyNet(nn.Module):
    """Not a FlyNet: any module goes in."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 16, 3, 1, 1, groups=8), nn.Hardswish(),
            nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(256, 10), nn.Softmax(1))

    def forward(self, x):
        return self.classifier(self.features(x))


def test_a_torch_module_goes_through():
    images = np.random.default_rng(0).normal(size=(16, 3, 16, 16)).astype(np.float32)
    result = export_tflite(export_onnx(TinyNet(), (1, 3, 16, 16)), [images[:8], images[8:]], name="tiny")
    assert result.calibration_images == 16
    assert_loads_with_every_resolver(result, images[:1])
    assert_close_everywhere(result, images[:4], 20.0)
    graph = read_tflite(result.tflite)
    assert graph.tensor(graph.inputs[0]).shape == (1, 16, 16, 3)
    assert graph.tensor(graph.outputs[0]).shape == (1, 10)
    assert (graph.tensor(graph.outputs[0]).scale, graph.tensor(graph.outputs[0]).zero_point) == (1 / 256, -128)


class FlyNetStart(nn.Module):
    """The stem and block 2: strides, MDW, every attention, Max-out, a low residual that concatenates."""

    def __init__(self, config: FlyNetConfig) -> None:
        super().__init__()
        network = build(config, 0)
        self.stem, self.block = network.stem, network.blocks[1]

    def forward(self, x):
        x = self.stem(x)
        return self.block(x, x)[0]


def test_a_block_of_flynet_goes_through():
    config = FlyNetConfig(width=0.4, resolution=32, classes=10)
    images = source("digits", 32, 3, 48).images
    network = FlyNetStart(config)
    estimate_bn_statistics(network, [images])
    result = export_tflite(export_onnx(network, config.input_shape), [images], name="start")
    assert_loads_with_every_resolver(result, images[:1])
    assert_close_everywhere(result, images[:4], 5.0)  # means of normalised maps are near 0, and noisy
    assert measure_sqnr(result, [images[:4]])[-1].sqnr_db > 15.0
    kinds = Counter(op.kind.value for op in read_tflite(result.tflite).ops)
    assert kinds["REDUCE_MAX"] == kinds["SOFTMAX"] == kinds["CONCATENATION"] == 1
    assert (kinds["LOGISTIC"], kinds["SQUARED_DIFFERENCE"], kinds["MUL"], kinds["QUANTIZE"]) == (3, 4, 4, 0)


@pytest.mark.slow
@pytest.mark.parametrize("heads", [1, 2, 3, 4, 5])
def test_whole_flynets_go_through(heads):
    config = FlyNetConfig(width=0.4, heads=heads, resolution=32, classes=10)
    images = source("digits", 32, 3, 64).images
    network = build(config, 0)
    estimate_bn_statistics(network, [images])
    result = export_tflite(export_onnx(network, config.input_shape), [images], name="flynet")
    assert_loads_with_every_resolver(result, images[:1], mean=8.0)
    assert measure_sqnr(result, [images[:8]])[-1].sqnr_db > 10.0


def test_clips_from_zero_saturate_at_their_bound():
    """A HardSigmoid goes into the convolution before it; both clamps are int8's own, at 0 and at the calibrated bound."""
    m = OnnxModel(1, 4, 6, 6)
    gate = m("HardSigmoid", m.conv("x", 4, 4), alpha=1 / 6, beta=0.5)
    m("Clip", gate, np.float32(0), np.float32(0.75))
    result, images = export(m)
    assert [op.kind.value for op in read_tflite(result.tflite).ops] == ["CONV_2D", "RELU"]
    assert_close_everywhere(result, images, 30)


def test_several_outputs_are_written():
    m = OnnxModel(1, 4, 4, 4)
    a = m.conv("x", 4, 4)
    b = m("Relu", a)
    result, _ = export(m, a, b)
    graph = read_tflite(result.tflite)
    assert [graph.producer(name).kind.value for name in graph.outputs] == ["CONV_2D", "RELU"]


def test_the_same_model_and_images_give_the_same_bytes():
    first, _ = export(CASES["attention"][0]())
    second, _ = export(CASES["attention"][0]())
    assert first.tflite == second.tflite


def test_quantized_inputs_are_in_the_order_of_the_file():
    m = OnnxModel(1, 3, 2, 2)
    m("Relu", "x")
    result, images = export(m)
    stored = result.quantize_input(images)
    assert stored.shape == (16, 2, 2, 3)
    real = (stored.astype(float) - result.input_zero_point) * result.input_scale
    np.testing.assert_allclose(real.transpose(0, 3, 1, 2), images, atol=result.input_scale)


def test_an_older_opset_goes_through():
    m = OnnxModel(1, 4, 6, 6, opset=13)
    m("ReduceMean", m.conv("x", 4, 4), axes=[2, 3], keepdims=0)
    result, images = export(m)
    assert_close_everywhere(result, images, 20.0)


@pytest.mark.parametrize("cut", [0, 10, 200, -20])
def test_a_truncated_model_is_refused(cut):
    with pytest.raises(BadModel):
        export_tflite(CASES["attention"][0]().build()[:cut], [np.zeros((1, 8, 8, 8))], name="test")


def test_bad_models_are_refused_by_name():
    relu = OnnxModel(2, 4, 4, 4)
    relu("Relu", "x")
    with pytest.raises(BadModel, match="batch of 2"):
        export_tflite(relu.build(), [np.zeros((2, 4, 4, 4))], name="test")
    with pytest.raises(BadModel, match="not a readable ONNX model"):
        export_tflite("/nowhere/model.onnx", [], name="test")
    nothing = OnnxModel(1, 4, 4, 4)
    nothing("Identity", "x")
    with pytest.raises(BadModel, match="no operators"):
        export_tflite(nothing.build(), [np.zeros((1, 4, 4, 4))], name="test")
    constant = OnnxModel(1, 4, 4, 4)
    constant("Sub", "x", "x")
    with pytest.raises(BadModel, match="does not depend"):
        export_tflite(constant.build(), [np.zeros((1, 4, 4, 4))], name="test")
    elu = OnnxModel(1, 4)
    elu("Hardmax", "x")
    with pytest.raises(UnsupportedOperators, match="Hardmax"):
        export_tflite(elu.build(), [np.zeros((1, 4))], name="test")


def test_bad_images_are_refused():
    m = OnnxModel(1, 3, 4, 4)
    m("Relu", "x")
    for batches, message in [
        ([], "no calibration images"),
        ([np.zeros((1, 4, 4, 3))], r"\[N, 3, 4, 4\]"),
        ([np.full((1, 3, 4, 4), np.nan)], "NaN"),
    ]:
        with pytest.raises(BadData, match=message):
            export_tflite(m.build(), batches, name="test")
