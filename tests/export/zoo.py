"""A network with one of nearly everything, and images for it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from flynet_tiny.export.onnx_export import export_onnx
from flynet_tiny.export.tflite_export import CalibratedNetwork, calibrate_network


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


class Clipped(nn.Module):
    """Bounds that TFLite has no activation for: a HardSigmoid's gate, and a Clip around 0."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.gate = nn.Conv2d(8, 8, 1)
        self.classify = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x).clamp(-0.5, 0.75)
        gate = F.hardsigmoid(self.gate(x.mean((2, 3), keepdim=True)) * 20)
        return self.classify((x * gate).mean((2, 3)))
