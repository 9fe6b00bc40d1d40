"""GhostNet in PyTorch: half of a layer's channels are made of the other half by a depthwise convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..classifier_config import make_divisible
from .bottlenecks import SqueezeExcite, conv_norm
from .specs import Gate, Nonlinearity, Squeeze

_RELU, _NONE = Nonlinearity.RELU, Nonlinearity.NONE
_ROWS = (
    # kernel, expand, out, squeeze, stride
    (3, 16, 16, False, 1),
    (3, 48, 24, False, 2),
    (3, 72, 24, False, 1),
    (5, 72, 40, True, 2),
    (5, 120, 40, True, 1),
    (3, 240, 80, False, 2),
    (3, 200, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 480, 112, True, 1),
    (3, 672, 112, True, 1),
    (5, 672, 160, True, 2),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
)
_HIDDEN = 1280


class GhostModule(nn.Module):
    """1x1 to half of the channels, and a depthwise 3x3 of those beside them. Source: "GhostNet", section 3.1."""

    def __init__(self, channels: int, out: int, activation: Nonlinearity):
        super().__init__()
        self.out = out
        half = -(-out // 2)
        self.primary = conv_norm(channels, half, 1, activation=activation)
        self.cheap = conv_norm(half, half, 3, groups=half, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        primary = self.primary(x)
        return torch.cat((primary, self.cheap(primary)), 1)[:, : self.out]


class _GhostBottleneck(nn.Module):
    def __init__(self, channels: int, kernel: int, expand: int, out: int, has_squeeze: bool, stride: int):
        super().__init__()
        layers: list[nn.Module] = [GhostModule(channels, expand, _RELU)]
        if stride > 1:
            layers.append(conv_norm(expand, expand, kernel, stride, expand))
        if has_squeeze:
            layers.append(SqueezeExcite(expand, Squeeze(make_divisible(expand / 4, 4), _RELU, Gate.HARD_SIGMOID)))
        layers.append(GhostModule(expand, out, _NONE))
        self.layers = nn.Sequential(*layers)
        self.beside: nn.Module = nn.Identity()
        if stride > 1 or channels != out:
            self.beside = nn.Sequential(conv_norm(channels, channels, kernel, stride, channels), conv_norm(channels, out, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x) + self.beside(x)
        return out


class GhostNet(nn.Module):
    """Han et al., "GhostNet", table 7. [N, channels, H, W] -> logits [N, classes]"""

    def __init__(self, width: float, channels: int, classes: int):
        super().__init__()
        c = make_divisible(16 * width, 4)
        blocks: list[nn.Module] = [conv_norm(channels, c, 3, 2, activation=_RELU)]
        inner = c
        for kernel, expand, out, has_squeeze, stride in _ROWS:
            inner, made = make_divisible(expand * width, 4), make_divisible(out * width, 4)
            blocks.append(_GhostBottleneck(c, kernel, inner, made, has_squeeze, stride))
            c = made
        blocks.append(conv_norm(c, inner, 1, activation=_RELU))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Linear(inner, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, classes))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(x).mean((2, 3)))
        return logits
