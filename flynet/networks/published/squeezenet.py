"""SqueezeNet in PyTorch: a fire module squeezes the channels, then expands them by 1x1 and 3x3 filters side by side."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_ROWS = ((16, 128), (16, 128), (32, 256), (32, 256), (48, 384), (48, 384), (64, 512), (64, 512))  # squeezed, out
_POOLED_BEFORE = (0, 2, 4)  # of the fire modules, by a 3x3 of stride 2


class Fire(nn.Module):
    """[N, channels, H, W] -> [N, out, H, W]. Source: Iandola et al., "SqueezeNet", section 3.2."""

    def __init__(self, channels: int, squeezed: int, out: int):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, out // 2, 1)
        self.expand3x3 = nn.Conv2d(squeezed, out // 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat((F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))), 1)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 as its authors released it. [N, channels, H, W] -> logits [N, classes]"""

    def __init__(self, width: float, channels: int, classes: int):
        super().__init__()
        c = round(64 * width)
        self.stem = nn.Conv2d(channels, c, 3, 2)
        fires: list[nn.Module] = []
        for index, (squeezed, out) in enumerate(_ROWS):
            if index in _POOLED_BEFORE:
                fires.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            made = 2 * round(out * width / 2)
            fires.append(Fire(c, round(squeezed * width), made))
            c = made
        self.fires = nn.Sequential(*fires)
        self.classify = nn.Conv2d(c, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = F.relu(self.classify(self.fires(F.relu(self.stem(x)))))
        return maps.mean((2, 3))
