"""Every part of the paper's network is deployed in small: ONNX, int8, C, all runtimes equal, two of them emulated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from flynet_tiny.api.commands import export_network
from flynet_tiny.codegen.build import build_named
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.deploy.network import NetworkRequest, quantize_images
from flynet_tiny.deploy.proof import Runtimes, prove, test_inputs
from flynet_tiny.deploy.request import DeploymentRequest
from flynet_tiny.export.onnx_export import export_onnx
from flynet_tiny.export.sqnr import measure_sqnr
from flynet_tiny.export.tflite_export import export_tflite
from flynet_tiny.flynet.data.images import photos
from flynet_tiny.flynet.networks.bn_statistics import estimate_bn_statistics
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig, HeadAttention, Reduction, Residual, Statistics
from flynet_tiny.flynet.networks.micronet_config import MicroNetConfig
from flynet_tiny.flynet.networks.mobilenetv3_config import MobileNetV3Config
from flynet_tiny.flynet.networks.network_config import NetworkConfig
from flynet_tiny.flynet.register import build_network
from flynet_tiny.verify.host_c import HostLibrary

test_inputs.__test__ = False

SMALL = {"width": 0.3, "heads": 2, "classes": 5}
SIGMOID = HeadAttention.SIGMOID
SUM, FUNNEL, AFFINE = Reduction.SUM_RELU, Reduction.FUNNEL_MAX_OUT, Reduction.AFFINE_RELU
VARIANTS = {
    "sum, mixer, conv3x3, grey": FlyNetConfig(
        **SMALL, resolution=16, channels=1, reduction=SUM, head_attention=SIGMOID, residual=Residual.CONV3X3
    ),
    "funnel, T = 3, dw-pw": FlyNetConfig(**SMALL, resolution=32, reduction=FUNNEL, temperature=3.0, residual=Residual.DW_PW),
    "affine, no residual": FlyNetConfig(**SMALL, resolution=16, reduction=AFFINE, residual=Residual.NONE),
    "plain ECA, mobilenetv3": FlyNetConfig(
        **SMALL, resolution=16, statistics=Statistics.MEAN, head_attention=SIGMOID, residual=Residual.MOBILENETV3
    ),
}
PEERS = {
    "mobilenetv3-small-0.35x": MobileNetV3Config(0.35, resolution=64, classes=5),
    "micronet-m0": MicroNetConfig("m0", resolution=48, classes=5),
}
MORE = {
    "micronet-m1": MicroNetConfig("m1", resolution=32, classes=5),
    "micronet-m2": MicroNetConfig("m2", resolution=64, classes=5),
    "micronet-m3": MicroNetConfig("m3", resolution=48, classes=5),
    "no attention, q6": FlyNetConfig(**SMALL, resolution=16, statistics=Statistics.NONE, quantization_levels=6),
    "sum, softmax, no residual": FlyNetConfig(**SMALL, resolution=32, reduction=SUM, residual=Residual.NONE),
    "funnel, one head, mixer": FlyNetConfig(
        width=0.3, heads=1, classes=5, resolution=16, reduction=FUNNEL, head_attention=SIGMOID
    ),
    "funnel, softmax, conv3x3": FlyNetConfig(**SMALL, resolution=32, reduction=FUNNEL, residual=Residual.CONV3X3),
    "affine, no attention": FlyNetConfig(**SMALL, resolution=32, reduction=AFFINE, statistics=Statistics.NONE),
    "plain ECA, softmax, five heads": FlyNetConfig(width=0.5, heads=5, classes=5, resolution=32, statistics=Statistics.MEAN),
    "no attention, no residual": FlyNetConfig(**SMALL, resolution=16, statistics=Statistics.NONE, residual=Residual.NONE),
}


def small(config: NetworkConfig) -> torch.nn.Module:
    torch.set_num_threads(1)
    model = build_network(config, 3)
    estimate_bn_statistics(model, photos(config.resolution, config.channels, 8).batches(8))
    return model


@pytest.mark.parametrize("name", [*VARIANTS, *PEERS, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)])
def test_every_runtime_agrees_on_every_tensor_of_a_variant(name: str) -> None:
    config = (VARIANTS | PEERS | MORE)[name]
    model, images = small(config), photos(config.resolution, config.channels, 8)
    onnx = export_onnx(model, config.input_shape)
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    logits = session.run(None, {"input": images.images[:1]})[0]
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(torch.from_numpy(images.images[:1])).numpy(), atol=1e-5, rtol=1e-3)
    exported = export_tflite(onnx, images.batches(4), name="net")
    noise_db = {layer.value: layer.sqnr_db for layer in measure_sqnr(exported, [images.images])}
    assert min(db for value, db in noise_db.items() if value.startswith(("stem", "block1.", "block2."))) > 10
    assert noise_db["output"] > 0, "the logits have nothing to do with the float network's"
    tflite = exported.tflite
    compiled = compile_tflite(tflite, "net", build_named("stm32f412"))
    graph = compiled.source_graph
    real = quantize_images(images.images, graph.tensor(graph.inputs[0]))
    with HostLibrary(compiled.library) as host:
        inputs = test_inputs(compiled, {graph.inputs[0]: real}, 2, 0)
        found = prove(Runtimes(compiled, tflite, host, None), inputs, lambda done, of: None)
    assert [(pair.pair, pair.differing) for pair in found.pairs] == [
        ("onnxruntime = litert", 0),
        ("onnxruntime = C on the host", 0),
    ]
    assert found.pairs[0].tensors >= len(graph.ops)


def test_the_variants_cover_every_choice() -> None:
    configs = [config for config in (VARIANTS | MORE).values() if isinstance(config, FlyNetConfig)]
    assert {config.reduction for config in configs} == set(Reduction)
    assert {config.residual for config in configs} == set(Residual)
    assert {config.statistics for config in configs} == set(Statistics)
    assert {config.head_attention for config in configs} == set(HeadAttention)


@pytest.mark.parametrize("name", ["flynet-h3-0.5x-mixer-funnel", pytest.param("flynet-h3-0.5x-affine", marks=pytest.mark.slow)])
def test_a_network_by_name_runs_emulated(tmp_path: Path, name: str) -> None:
    request = NetworkRequest(model=name, resolution=16, classes=3)
    out = tmp_path / "out"
    report = json.loads(export_network(request, DeploymentRequest("stm32f412", out, as_json=True)))
    assert report["model"]["name"] == name
    assert report["fits"] is True
    assert [pair["differing"] for pair in report["verification"]] == [0, 0, 0]


def test_a_backbone_gives_four_maps_on_the_emulated_board(tmp_path: Path) -> None:
    request = NetworkRequest(width=0.3, heads=2, resolution=32, channels=1, backbone=True)
    out = tmp_path / "out"
    report = json.loads(export_network(request, DeploymentRequest("stm32f412", out, as_json=True)))
    assert report["model"]["name"] == "flynet-h2-0.3x-backbone"
    assert report["model"]["outputs"] == [[8, 8, 8], [4, 4, 8], [2, 2, 16], [1, 1, 32]]
    assert [pair["differing"] for pair in report["verification"]] == [0, 0, 0]
    graph = read_tflite((out / "model.tflite").read_bytes(), "net")
    assert len(graph.outputs) == 4
    header = (out / "flynet_h2_0_3x_backbone.h").read_text()
    for index, size in enumerate((512, 128, 64, 32)):
        assert f"FLYNET_H2_0_3X_BACKBONE_OUTPUT{index}_BYTES {size}" in " ".join(header.split())
    assert report["accuracy"] == {"not_done": "the network is UNTRAINED"}
