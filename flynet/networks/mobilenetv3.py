"""MobileNetV3-Small in PyTorch, the peer from which FlyNet descends. Source: "Searching for MobileNetV3"."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .classifier_config import make_divisible
from .flynet_config import Activation
from .mobilenetv3_config import (
    LAST_EXPANSION,
    MOBILE_STAGES,
    SQUEEZE,
    STEM_CHANNELS,
    MobileNetV3Config,
    MobileStage,
)

_BN_EPS, _BN_MOMENTUM = 1e-3, 0.01
_DROPOUT = 0.2


def _conv_bn(c_in: int, c_out: int, kernel: int, stride: int, groups: int, activation: Activation | None) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(c_in, c_out, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out, _BN_EPS, _BN_MOMENTUM),
    ]
    if activation is not None:
        layers.append(nn.ReLU() if activation is Activation.RELU else nn.Hardswish())
    return nn.Sequential(*layers)


class SqueezeExcite(nn.Module):
    """x * hard_sigmoid(W2 relu(W1 mean(x) + b1) + b2), one gate for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        squeezed = make_divisible(channels // SQUEEZE)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.relu, self.gate = nn.ReLU(), nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        gated: Tensor = x * self.gate(self.expand(self.relu(self.reduce(mean))))
        return gated


class MobileBlock(nn.Module):
    """Expand, depthwise, squeeze and excite, project; the identity is added where the shapes agree."""

    def __init__(self, stage: MobileStage, c_in: int, expand: int, c_out: int):
        super().__init__()
        layers: list[nn.Module] = []
        if expand != c_in:
            layers.append(_conv_bn(c_in, expand, 1, 1, 1, stage.activation))
        layers.append(_conv_bn(expand, expand, stage.kernel, stage.stride, expand, stage.activation))
        if stage.has_squeeze:
            layers.append(SqueezeExcite(expand))
        layers.append(_conv_bn(expand, c_out, 1, 1, 1, None))
        self.layers = nn.Sequential(*layers)
        self.has_identity = stage.stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out + x if self.has_identity else out


class MobileNetV3Small(nn.Module):
    """[N, channels, H, W] -> logits [N, classes]"""

    def __init__(self, config: MobileNetV3Config):
        super().__init__()
        self.config = config
        c = config.scaled(STEM_CHANNELS)
        self.stem = _conv_bn(config.channels, c, 3, 2, 1, Activation.HARD_SWISH)
        blocks = []
        for stage in MOBILE_STAGES:
            expand, out = config.scaled(stage.expand), config.scaled(stage.out)
            blocks.append(MobileBlock(stage, c, expand, out))
            c = out
        self.blocks = nn.Sequential(*blocks)
        last, hidden = LAST_EXPANSION * c, config.hidden_channels
        self.last = _conv_bn(c, last, 1, 1, 1, Activation.HARD_SWISH)
        self.head = nn.Sequential(
            nn.Linear(last, hidden), nn.Hardswish(), nn.Dropout(_DROPOUT), nn.Linear(hidden, config.classes)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.last(self.blocks(self.stem(x)))
        logits: Tensor = self.head(maps.mean((2, 3)))
        return logits


def build_mobilenetv3(config: MobileNetV3Config, seed: int) -> MobileNetV3Small:
    """A fresh network whose weights depend on the seed alone; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MobileNetV3Small(config)
