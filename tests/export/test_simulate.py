"""The simulation is the float network without quantization, and with it the `.tflite`, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from flynet_tiny.errors import BadModel
from flynet_tiny.export import simulate
from flynet_tiny.export.activation_scales import Affine
from flynet_tiny.export.float_graph import FloatGraph, FloatOp, Kind
from flynet_tiny.export.quantize import quantize_layer, quantize_with
from flynet_tiny.export.simulate import SimulatedNetwork, straight_through
from flynet_tiny.export.sqnr import litert_reference
from flynet_tiny.export.tflite_export import CalibratedNetwork
from flynet_tiny.export.tflite_writer import write_tflite
from flynet_tiny.flynet.networks.bn_statistics import estimate_bn_statistics
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig
from flynet_tiny.flynet.register import build_network

from .lowered_graphs import CASES, Sketch
from .zoo import Clipped, calibrated, images

SEEDS = 30


@dataclass(frozen=True)
class Compared:
    bytes: int
    differing: tuple[str, ...]


@pytest.fixture(scope="module")
def flynet() -> tuple[nn.Module, CalibratedNetwork]:
    model = build_network(FlyNetConfig(width=0.3, resolution=32, classes=7), 0)
    estimate_bn_statistics(model, [images(side=32)])
    return model, calibrated(model, 32)


def compare(graph: FloatGraph, affine: Mapping[str, Affine], pictures: torch.Tensor) -> Compared:
    """Every tensor of the simulation and of LiteRT's reference kernels on the exported file."""
    model = quantize_with(graph, affine).model
    simulated = SimulatedNetwork(graph, affine).int8_tensors(pictures)
    run = litert_reference(write_tflite(model))
    computed = {tensor.name: index for index, tensor in enumerate(model.tensors) if tensor.name in simulated}
    count, differing = 0, []
    for index in range(len(pictures)):
        for name, stored in zip(computed, run([simulated[graph.inputs[0]][index]], tuple(computed.values())), strict=True):
            count += stored.size
            differing += [f"{name}[{place}]" for place in np.flatnonzero(stored != simulated[name][index])]
    return Compared(count, tuple(differing))


@pytest.mark.parametrize("case", CASES)
def test_every_byte_of_an_operator_is_litert_s(case: str) -> None:
    for seed in range(SEEDS):
        rng = np.random.default_rng([seed, len(case)])
        graph, affine = CASES[case](rng)
        source = affine[graph.inputs[0]]
        stored = rng.integers(-128, 128, (3, *graph.tensors[graph.inputs[0]].shape))
        stored[1] = rng.choice([-128, 127], stored[1].shape)
        pictures = torch.from_numpy(((stored - source.zero_point) * source.scale).astype(np.float32))
        found = compare(graph, affine, pictures)
        assert found.bytes > 0
        assert found.differing == (), f"seed {seed}"


def test_cases_hold_every_kind_that_is_simulated() -> None:
    made = {op.kind for case in CASES.values() for seed in range(3) for op in case(np.random.default_rng(seed))[0].ops}
    assert made == simulate._KNOWN


def test_every_byte_of_networks_is_litert_s(network: CalibratedNetwork, flynet: tuple[nn.Module, CalibratedNetwork]) -> None:
    for net, side, count in ((network, 13, 24), (flynet[1], 32, 6)):
        pictures = SimulatedNetwork(net.graph, net.affine).images_as_held(images(count, side))
        found = compare(net.graph, net.affine, pictures)
        assert found.bytes > 100_000
        assert found.differing == ()


def test_zoo_holds_most_kinds(network: CalibratedNetwork) -> None:
    kinds = {op.kind for op in network.graph.ops}
    assert {Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D, Kind.MAXIMUM, Kind.REDUCE_MAX, Kind.SOFTMAX, Kind.SLICE} <= kinds
    assert {Kind.CONCATENATION, Kind.MAX_POOL_2D, Kind.AVERAGE_POOL_2D, Kind.LOGISTIC, Kind.HARD_SWISH, Kind.MEAN} <= kinds


def test_sums_beyond_float32_are_exact() -> None:
    """Sums of 300 channels and 3x3 taps reach 2^25, the bias brings them back, and the output's scale is eight of their units."""
    rng = np.random.default_rng(0)
    s = Sketch(rng, channels=300)
    s.affine[s.input] = Affine(0.01, -128)
    weights = rng.uniform(0.5, 1, (2, 3, 3, 300)).astype(np.float32)
    pictures = np.full((4, 1, 7, 6, 300), 2.51) + rng.choice([0, 0.01], (4, 1, 7, 6, 300), p=[0.999, 0.001])
    fine = Affine(float(np.float32(0.01 * weights.max() / 127 * 8)), 0)
    layer = quantize_layer(FloatOp(Kind.CONV_2D, (), "", "", weights=weights), 0.01, fine.scale)
    bias = -251 * layer.weights.astype(np.int64).sum(axis=(1, 2, 3)) * 0.01 * layer.scales
    options = {"padding": "VALID", "strideH": 1, "strideW": 1}
    more = {"options": options, "weights": weights, "bias": bias.astype(np.float32)}
    conv = s.add(Kind.CONV_2D, [s.input], (1, 5, 4, 2), fine, **more)
    graph, affine = s.finish(conv)
    held = torch.from_numpy(pictures.astype(np.float32))
    assert np.unique(SimulatedNetwork(graph, affine).int8_tensors(held)[conv]).size > 10
    assert compare(graph, affine, held).differing == ()


def test_without_quantization_it_is_the_float_network(zoo: nn.Module, network: CalibratedNetwork) -> None:
    module = SimulatedNetwork(network.graph, network.affine, in_int8=False)
    with torch.no_grad():
        found = module(module.images_as_held(images()))
        torch.testing.assert_close(found, zoo(torch.from_numpy(images())), atol=2e-5, rtol=1e-4)


def test_without_quantization_a_clip_keeps_its_bounds() -> None:
    torch.manual_seed(0)
    model = Clipped().eval()
    net = calibrated(model)
    assert any(op.saturates for op in net.graph.ops)
    module = SimulatedNetwork(net.graph, net.affine, in_int8=False)
    with torch.no_grad():
        found, expected = module(module.images_as_held(images())), model(torch.from_numpy(images()))
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)  # int8 puts a bound on a multiple of its scale
    assert compare(net.graph, net.affine, module.images_as_held(images())).differing == ()


@pytest.mark.slow
def test_without_quantization_it_is_a_flynet(flynet: tuple[nn.Module, CalibratedNetwork]) -> None:
    module = SimulatedNetwork(flynet[1].graph, flynet[1].affine, in_int8=False)
    with torch.no_grad():
        expected = flynet[0](torch.from_numpy(images(4, 32)))
        torch.testing.assert_close(module(module.images_as_held(images(4, 32))), expected, atol=1e-3, rtol=1e-3)


def test_weights_are_rounded_as_the_exporter_rounds_them(network: CalibratedNetwork) -> None:
    """With int8's weights put in place of the float ones nothing changes."""
    module = SimulatedNetwork(network.graph, network.affine)
    held = module.images_as_held(images())
    before = module(held).detach()
    with torch.no_grad():
        for index, weights in module.weights.items():
            op = network.graph.ops[int(index)]
            layer = quantize_layer(op, network.affine[op.inputs[0]].scale, network.affine[op.output].scale)
            scales = layer.scales if op.kind is Kind.DEPTHWISE_CONV_2D else layer.scales.reshape(-1, 1, 1, 1)
            weights.copy_(torch.from_numpy((layer.weights * scales).astype(np.float32)))
    assert torch.equal(module(held).detach(), before)


def test_gradient_passes_inside_the_range_only() -> None:
    value = torch.tensor([-139.0, -0.6, 0.1, 0.6, 118.0], requires_grad=True)
    rounded = straight_through(value, torch.tensor([-138.0, -1.0, 0.0, 1.0, 117.0]), -138, 117)
    assert rounded.tolist() == [-138, -1, 0, 1, 117]
    rounded.sum().backward()
    assert value.grad is not None
    assert value.grad.tolist() == [0, 1, 1, 1, 0]


def test_gradients_are_near_those_of_the_float_network(network: CalibratedNetwork) -> None:
    gradients = []
    for in_int8 in (False, True):
        module = SimulatedNetwork(network.graph, network.affine, in_int8)
        module(module.images_as_held(images())).square().sum().backward()
        gradients.append([weights.grad for weights in module.weights.values()])
    for exact, rounded in zip(*gradients, strict=True):
        assert exact is not None
        assert rounded is not None
        assert torch.cosine_similarity(exact.flatten(), rounded.flatten(), 0) > 0.95


def test_kind_that_is_not_simulated_is_named(network: CalibratedNetwork) -> None:
    class Other:
        value = "EXP"

    ops = (replace(network.graph.ops[0], kind=Other()), *network.graph.ops[1:])
    with pytest.raises(BadModel, match="cannot simulate EXP"):
        SimulatedNetwork(replace(network.graph, ops=ops), network.affine)
