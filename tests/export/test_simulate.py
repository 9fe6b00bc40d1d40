"""The simulation is the float network without quantization, and stays close to LiteRT with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from flynet_tiny.errors import BadData, UsageError
from flynet_tiny.export.activation_scales import Affine
from flynet_tiny.export.finetune import FineTuningProgress, FineTuningRecipe, fine_tune, simulated_outputs
from flynet_tiny.export.float_graph import Kind
from flynet_tiny.export.onnx_export import export_onnx
from flynet_tiny.export.quantize import quantize_layer
from flynet_tiny.export.simulate import SimulatedNetwork, fake_quantize
from flynet_tiny.export.sqnr import litert_reference
from flynet_tiny.export.tflite_export import CalibratedNetwork, calibrate_network, export_tflite, write_network
from flynet_tiny.flynet.bn_statistics import estimate_bn_statistics
from flynet_tiny.flynet.config import FlyNetConfig
from flynet_tiny.flynet.networks import build_network


class Zoo(nn.Module):
    """One of nearly everything: odd strides and paddings, heads, pools, gates, joins, slices."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.heads = nn.Conv2d(8, 16, 3, padding=1, groups=8, bias=False)
        self.dilated = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.down = nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8)
        self.gate = nn.Linear(8, 8)
        self.classify = nn.Linear(10, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.hardswish(self.stem(x))
        n, c, h, w = x.shape
        heads = self.heads(x).reshape(n, c, 2, h, w).amax(2)
        x = torch.maximum(x, heads) - F.relu(self.dilated(x)) * 0.5
        x = F.relu6(self.down(x)) + F.max_pool2d(F.relu(x), 2, ceil_mode=True)
        x = F.avg_pool2d(x, 3, 1, 1)
        mean = x.mean((2, 3), keepdim=True)
        variance = (x - mean).square().mean((2, 3))
        x = x * torch.sigmoid(self.gate(variance)).reshape(n, c, 1, 1)
        pooled = x.mean((2, 3))
        share = torch.softmax(pooled[:, :2], 1)
        return self.classify(torch.cat([pooled, share], 1))


def images(count: int = 24, side: int = 13) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (count, 3, side, side)).astype(np.float32)


def calibrated(model: nn.Module, side: int = 13) -> CalibratedNetwork:
    return calibrate_network(export_onnx(model, (1, 3, side, side)), [images(side=side)])


@pytest.fixture(scope="module")
def zoo() -> nn.Module:
    torch.manual_seed(0)
    return Zoo().eval()


@pytest.fixture(scope="module")
def network(zoo: nn.Module) -> CalibratedNetwork:
    return calibrated(zoo)


def test_zoo_holds_most_kinds(network: CalibratedNetwork) -> None:
    kinds = {op.kind for op in network.graph.ops}
    assert {Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D, Kind.MAXIMUM, Kind.REDUCE_MAX, Kind.SOFTMAX, Kind.SLICE} <= kinds
    assert {Kind.CONCATENATION, Kind.MAX_POOL_2D, Kind.AVERAGE_POOL_2D, Kind.LOGISTIC, Kind.HARD_SWISH, Kind.MEAN} <= kinds


def test_without_quantization_it_is_the_float_network(zoo: nn.Module, network: CalibratedNetwork) -> None:
    module = SimulatedNetwork(network.graph, None)
    with torch.no_grad():
        torch.testing.assert_close(module(module.stored(images())), zoo(torch.from_numpy(images())), atol=2e-5, rtol=1e-4)


@pytest.mark.slow
def test_without_quantization_it_is_a_flynet() -> None:
    model = build_network(FlyNetConfig(width=0.3, resolution=32, classes=7), 0)
    estimate_bn_statistics(model, [images(side=32)])
    network = calibrated(model, 32)
    module = SimulatedNetwork(network.graph, None)
    with torch.no_grad():
        expected = model(torch.from_numpy(images(4, 32)))
        torch.testing.assert_close(module(module.stored(images(4, 32))), expected, atol=1e-3, rtol=1e-3)


def litert(network: CalibratedNetwork, pictures: np.ndarray) -> np.ndarray:
    result = write_network(network, "net")
    run = litert_reference(result.tflite)
    index = result.origins[-1].index
    return np.stack([run(image[None], (index,))[0].reshape(-1) for image in result.quantize_input(pictures)])


def test_quantized_outputs_lie_within_two_units_of_litert(network: CalibratedNetwork) -> None:
    apart = np.abs(litert(network, images()).astype(int) - simulated_outputs(network, images()))
    assert apart.max() <= 2
    assert apart.mean() < 0.5


def test_single_convolution_differs_only_where_litert_rounds_twice() -> None:
    torch.manual_seed(1)
    network = calibrated(nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU()).eval())
    apart = np.abs(litert(network, images()).astype(int) - simulated_outputs(network, images()))
    assert apart.max() <= 1
    assert np.mean(apart > 0) < 0.005  # the first rounding is to about 2^-8 of a unit, and moves what lies that near a tie


def test_weights_are_rounded_as_the_exporter_rounds_them(network: CalibratedNetwork) -> None:
    """With int8's weights put in place of the float ones nothing changes."""
    module = SimulatedNetwork(network.graph, network.affine)
    before = module(module.stored(images())).detach()
    with torch.no_grad():
        for index, weights in module.weights.items():
            op = network.graph.ops[int(index)]
            layer = quantize_layer(op, network.affine[op.inputs[0]].scale, network.affine[op.output].scale)
            scales = layer.scales if op.kind is Kind.DEPTHWISE_CONV_2D else layer.scales.reshape(-1, 1, 1, 1)
            weights.copy_(torch.from_numpy((layer.weights * scales).astype(np.float32)))
    torch.testing.assert_close(module(module.stored(images())).detach(), before)


def test_gradient_passes_inside_the_range_only() -> None:
    value = torch.tensor([-100.0, -0.26, 0.1, 0.26, 100.0], requires_grad=True)
    rounded = fake_quantize(value, Affine(0.5, 10))
    assert rounded.tolist() == [0.5 * (-128 - 10), -0.5, 0.0, 0.5, 0.5 * (127 - 10)]
    rounded.sum().backward()
    assert value.grad is not None
    assert value.grad.tolist() == [0, 1, 1, 1, 0]


def learn(network: CalibratedNetwork, rate: float = 5e-3, epochs: int = 6) -> tuple[CalibratedNetwork, list[float]]:
    pictures, losses = images(), []
    labels = np.arange(len(pictures), dtype=np.int64) % 5

    def on_step(progress: FineTuningProgress) -> None:
        losses.append(progress.loss)

    recipe = FineTuningRecipe(epochs, rate, distillation=0.25)
    return fine_tune(network, lambda epoch: [(pictures, labels)], recipe, on_step), losses


def test_fine_tuning_learns_and_keeps_activation_scales(network: CalibratedNetwork) -> None:
    tuned, losses = learn(network)
    assert losses[-1] < losses[0]
    before, after = write_network(network, "net"), write_network(tuned, "net")
    assert before.tflite != after.tflite
    assert [origin.affine for origin in before.origins] == [origin.affine for origin in after.origins]
    apart = np.abs(litert(tuned, images()).astype(int) - simulated_outputs(tuned, images()))
    assert apart.max() <= 3


def test_fine_tuning_is_repeatable_and_leaves_the_original_alone(network: CalibratedNetwork) -> None:
    original = write_network(network, "net").tflite
    assert write_network(learn(network, epochs=2)[0], "net").tflite == write_network(learn(network, epochs=2)[0], "net").tflite
    assert write_network(network, "net").tflite == original


def test_two_halves_are_the_export(zoo: nn.Module, network: CalibratedNetwork) -> None:
    onnx = export_onnx(zoo, (1, 3, 13, 13))
    assert export_tflite(onnx, [images()], name="net").tflite == write_network(network, "net").tflite


def test_divergence_and_bad_recipes_are_named(network: CalibratedNetwork) -> None:
    with pytest.raises(BadData, match=r"diverged|grown too large"):
        learn(network, rate=1e30)
    with pytest.raises(UsageError, match="epochs"):
        FineTuningRecipe(0)
    with pytest.raises(UsageError, match="distillation"):
        FineTuningRecipe(1, distillation=2)
