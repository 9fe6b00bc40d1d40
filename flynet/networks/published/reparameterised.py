"""Networks that train with parallel branches and run without them: RepVGG and MobileOne in PyTorch.

A branch is a convolution with batch normalization; the export merges their sum into one convolution with a bias.
"""

from __future__ import annotations

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_REPVGG_REPEATS = (2, 4, 14, 1)
_CHANNELS = (64, 128, 256, 512)
_REPVGG_A0 = (0.75, 0.75, 0.75, 2.5)
_MOBILEONE_REPEATS = (2, 8, 10, 1)
_MOBILEONE_S0 = (0.75, 1.0, 1.0, 2.0)
_MOBILEONE_BRANCHES = 4


class BranchedConv(nn.Module):
    """relu(sum of branches): `count` k x k convolutions, a 1x1 where k > 1, the identity where shapes agree, each normalised."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1, count: int = 1):
        super().__init__()
        kernels = [kernel] * count + ([1] if kernel > 1 else [])
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, out, size, stride, size // 2, groups=groups, bias=False) for size in kernels
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(out) for _ in kernels)
        self.identity = nn.BatchNorm2d(channels) if channels == out and stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        branches = [norm(conv(x)) for conv, norm in zip(self.convs, self.norms, strict=True)]
        if self.identity is not None:
            branches.append(self.identity(x))
        return F.relu(reduce(torch.add, branches))


class _Plain(nn.Module):
    """Convolutions one after the other, a global mean and a fully connected layer."""

    def __init__(self, convs: list[nn.Module], channels: int, classes: int):
        super().__init__()
        self.convs = nn.Sequential(*convs)
        self.classify = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classify(self.convs(x).mean((2, 3)))
        return logits


class RepVgg(_Plain):
    """RepVGG-A0: Ding et al., "RepVGG", table 2. [N, channels, H, W] -> logits [N, classes]"""

    def __init__(self, width: float, channels: int, classes: int):
        outs = [int(c * multiplier * width) for c, multiplier in zip(_CHANNELS, _REPVGG_A0, strict=True)]
        c = min(64, outs[0])
        convs: list[nn.Module] = [BranchedConv(channels, c, 3, 2)]
        for out, repeats in zip(outs, _REPVGG_REPEATS, strict=True):
            for index in range(repeats):
                convs.append(BranchedConv(c, out, 3, 2 if index == 0 else 1))
                c = out
        super().__init__(convs, c, classes)


class MobileOne(_Plain):
    """MobileOne-S0: Vasu et al., "MobileOne", table 2, four branches. [N, channels, H, W] -> logits [N, classes]"""

    def __init__(self, width: float, channels: int, classes: int):
        outs = [int(c * multiplier * width) for c, multiplier in zip(_CHANNELS, _MOBILEONE_S0, strict=True)]
        c = min(64, outs[0])
        convs: list[nn.Module] = [BranchedConv(channels, c, 3, 2)]
        for out, repeats in zip(outs, _MOBILEONE_REPEATS, strict=True):
            for index in range(repeats):
                convs.append(BranchedConv(c, c, 3, 2 if index == 0 else 1, c, _MOBILEONE_BRANCHES))
                convs.append(BranchedConv(c, out, 1, count=_MOBILEONE_BRANCHES))
                c = out
        super().__init__(convs, c, classes)
