"""Constructs of compact networks in PyTorch: exported, and int8 the same in the reference, in LiteRT and in C."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.build import LEVELS, build_for
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.targets import get_target
from flynet_tiny.export.onnx_export import export_onnx
from flynet_tiny.export.tflite_export import export_tflite
from flynet_tiny.flynet.networks.presets import PRESETS, preset
from flynet_tiny.verify.host_c import HostLibrary
from flynet_tiny.verify.litert import LiteRt

DOCUMENT = Path(__file__).parents[2] / "TECHNIQUES.md"


class CrossStagePartial(nn.Module):
    """Half of the channels go through, the other half beside."""

    def __init__(self) -> None:
        super().__init__()
        self.through = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 1))
        self.last = nn.Conv2d(12, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        beside, entering = x.chunk(2, 1)
        return self.last(torch.cat((beside, self.through(entering)), 1))


class Shift(nn.Module):
    """Each fourth of the channels moves by one pixel, zeros follow; then a 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(12, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right, up, down = x.chunk(4, 1)
        moved = (
            F.pad(left, (0, 1, 0, 0))[:, :, :, 1:],
            F.pad(right, (1, 0, 0, 0))[:, :, :, :-1],
            F.pad(up, (0, 0, 0, 1))[:, :, 1:],
            F.pad(down, (0, 0, 1, 0))[:, :, :-1],
        )
        return self.mix(torch.cat(moved, 1))


class StaticMask(nn.Module):
    """Positions that a constant mask leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(12, 8, 3, padding=1)
        self.register_buffer("mask", (torch.arange(100) % 3 > 0).float().reshape(1, 1, 10, 10))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x)) * self.mask


def asymmetric() -> nn.Module:
    dense = nn.Conv2d(12, 8, (1, 5), padding=(0, 2))
    return nn.Sequential(
        dense, nn.ReLU(), nn.Conv2d(8, 8, (3, 1), (2, 1), (1, 0), groups=8), nn.Conv2d(8, 8, (1, 3), padding=(0, 1), groups=8)
    )


def resnext() -> nn.Module:
    return nn.Sequential(nn.Conv2d(12, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1, groups=4), nn.ReLU(), nn.Conv2d(16, 6, 1))


MODULES = {
    "asymmetric": asymmetric,
    "cross stage partial": CrossStagePartial,
    "resnext": resnext,
    "shift": Shift,
    "static mask": StaticMask,
}


@pytest.mark.parametrize("name", MODULES)
def test_a_construct_is_the_same_in_c(name: str) -> None:
    torch.manual_seed(0)
    images = np.random.default_rng(0).normal(0, 1, (8, 12, 10, 10)).astype(np.float32)
    exported = export_tflite(export_onnx(MODULES[name](), (1, 12, 10, 10)), [images], name="net")
    compiled = compile_tflite(exported.tflite, "net", build_for(get_target("stm32f412"), LEVELS["balanced"]))
    graph = compiled.source_graph
    inputs = [{graph.inputs[0]: image} for image in exported.quantize_input(images)[:, None]]
    with HostLibrary(compiled.library) as host:
        results = host.run_many([{compiled.library.inputs[0].name: image[graph.inputs[0]]} for image in inputs], trace=False)
    with LiteRt(graph, exported.tflite) as litert:
        for image, result in zip(inputs, results, strict=True):
            expected = reference.run(graph, image)[graph.outputs[0]]
            assert np.array_equal(litert.run(image)[graph.outputs[0]], expected)
            assert np.array_equal(result.outputs[compiled.library.outputs[0].name].reshape(-1), expected.reshape(-1))


def test_networks_of_the_document_have_their_names() -> None:
    names = re.findall(r"`([a-z0-9]+(?:-[a-z0-9.]+)+)`", DOCUMENT.read_text(encoding="utf-8"))
    assert len(names) > 15
    assert {name for name in names if name not in PRESETS and preset(name).name != name} == set()
