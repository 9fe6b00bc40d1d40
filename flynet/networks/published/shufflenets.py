"""ShuffleNet V1 and V2 in PyTorch: groups of channels that are mixed by a shuffle."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .bottlenecks import conv_norm
from .specs import Nonlinearity

_RELU = Nonlinearity.RELU
_REPEATS = (4, 8, 4)
V1_GROUPS = 3
V1_CHANNELS = 240  # of the first stage at width 1 with three groups; each further stage has twice as many
V2_CHANNELS: Mapping[float, tuple[int, int, int, int]] = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}


def shuffle(x: Tensor, groups: int) -> Tensor:
    """[N, C, H, W] with channel g * (C / groups) + i moved to i * groups + g."""
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class _UnitV1(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1; a strided unit is set beside the pooled input."""

    def __init__(self, channels: int, out: int, stride: int, reduce_groups: int):
        super().__init__()
        self.stride = stride
        made = out - channels if stride > 1 else out
        inner = out // 4
        self.reduce = conv_norm(channels, inner, 1, groups=reduce_groups, activation=_RELU)
        self.depthwise = conv_norm(inner, inner, 3, stride, inner)
        self.expand = conv_norm(inner, made, 1, groups=V1_GROUPS)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.expand(self.depthwise(shuffle(self.reduce(x), V1_GROUPS)))
        if self.stride > 1:
            return F.relu(torch.cat((F.avg_pool2d(x, 3, 2, 1), out), 1))
        return F.relu(x + out)


class ShuffleNetV1(nn.Module):
    """Zhang et al., "ShuffleNet", table 1 with three groups. [N, channels, H, W] -> logits [N, classes]"""

    def __init__(self, width: float, channels: int, classes: int):
        super().__init__()
        c = 24
        self.stem = conv_norm(channels, c, 3, 2, activation=_RELU)
        units: list[nn.Module] = []
        for stage, repeats in enumerate(_REPEATS):
            out = int(V1_CHANNELS * 2**stage * width) // (4 * V1_GROUPS) * 4 * V1_GROUPS
            for index in range(repeats):
                units.append(_UnitV1(c, out, 2 if index == 0 else 1, V1_GROUPS if units else 1))
                c = out
        self.units = nn.Sequential(*units)
        self.classify = nn.Linear(c, classes)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.units(F.max_pool2d(self.stem(x), 3, 2, 1))
        logits: Tensor = self.classify(maps.mean((2, 3)))
        return logits


class _UnitV2(nn.Module):
    """Half of the channels go through 1x1, depthwise 3x3, 1x1; a strided unit has both halves made of all of them."""

    def __init__(self, channels: int, out: int, stride: int):
        super().__init__()
        half = out // 2
        entering = channels if stride > 1 else half
        self.beside = (
            nn.Sequential(conv_norm(channels, channels, 3, 2, channels), conv_norm(channels, half, 1, activation=_RELU))
            if stride > 1
            else None
        )
        self.through = nn.Sequential(
            conv_norm(entering, half, 1, activation=_RELU),
            conv_norm(half, half, 3, stride, half),
            conv_norm(half, half, 1, activation=_RELU),
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, entering = x.chunk(2, 1) if self.beside is None else (self.beside(x), x)
        return shuffle(torch.cat((kept, self.through(entering)), 1), 2)


class ShuffleNetV2(nn.Module):
    """Ma et al., "ShuffleNet V2", table 5. [N, channels, H, W] -> logits [N, classes]"""

    def __init__(self, width: float, channels: int, classes: int):
        super().__init__()
        *stages, last = V2_CHANNELS[width]
        c = 24
        self.stem = conv_norm(channels, c, 3, 2, activation=_RELU)
        units: list[nn.Module] = []
        for out, repeats in zip(stages, _REPEATS, strict=True):
            for index in range(repeats):
                units.append(_UnitV2(c, out, 2 if index == 0 else 1))
                c = out
        self.units = nn.Sequential(*units)
        self.last = conv_norm(c, last, 1, activation=_RELU)
        self.classify = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.last(self.units(F.max_pool2d(self.stem(x), 3, 2, 1)))
        logits: Tensor = self.classify(maps.mean((2, 3)))
        return logits
