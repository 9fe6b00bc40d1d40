"""MicroNet in PyTorch: 1x1 convolutions in groups with shuffles between, Dynamic Shift-Max for an activation.

Source: Li et al., "MicroNet: Improving Image Recognition with Extremely Low FLOPs", sections 3 and 4, with the shuffles and the
shifts of the authors' released networks. The tables are in micronet_config.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .classifier_config import make_divisible
from .micronet_config import MicroNetConfig, MicroStage, MicroTable

_REDUCTION = 8
_REACH = 2.0  # a coefficient leaves its start by so much at most


class ChannelShuffle(nn.Module):
    """Channel i of group g comes to place i * groups + g."""

    def __init__(self, groups: int):
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class DynamicShiftMax(nn.Module):
    """max over k of a_k(x) * x + b_k(x) * shifted(x), the coefficients one for each channel, from the channels' means.

    shifted(x) has at channel i of group g channel i + 1 of group g + 1, both round the end. Each coefficient is its start plus
    4 * (hard_sigmoid(z) - 0.5) = clip(2 z / 3, -2, 2), written here as a clip of what moves. With one term there is no maximum.
    """

    def __init__(self, channels: int, groups: int, reduction: int, terms: Sequence[tuple[float, float]]):
        super().__init__()
        squeezed = make_divisible(channels // reduction, 4)
        self.reduce, self.relu = nn.Linear(channels, squeezed), nn.ReLU()
        self.coefficients = nn.ModuleList(nn.Linear(squeezed, channels) for _ in range(2 * len(terms)))
        self.starts = [start for term in terms for start in term]
        shifted = torch.arange(channels).view(groups, channels // groups).roll((-1, -1), (0, 1)).reshape(-1)
        self.shifted: Tensor
        self.register_buffer("shifted", shifted, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.relu(self.reduce(x.mean((2, 3))))
        factors = [
            F.hardtanh(layer(squeezed) * (2 / 3) + start, start - _REACH, start + _REACH)[:, :, None, None]
            for layer, start in zip(self.coefficients, self.starts, strict=True)
        ]
        neighbours = x.index_select(1, self.shifted)
        terms = [x * own + neighbours * other for own, other in zip(factors[::2], factors[1::2], strict=True)]
        return terms[0] if len(terms) == 1 else torch.maximum(terms[0], terms[1])


def _group_conv(c_in: int, c_out: int, groups: int) -> list[nn.Module]:
    return [nn.Conv2d(c_in, c_out, 1, groups=groups, bias=False), nn.BatchNorm2d(c_out)]


def _separable(c_in: int, expand: tuple[int, int], kernel: int, stride: int, groups: int) -> list[nn.Module]:
    """k x 1, then 1 x k in as many groups as it has channels; `groups` are those of the first."""
    between, out = c_in * expand[0], c_in * expand[0] * expand[1]
    if groups == 1:  # the stem's channels are given, not multiplied
        between, out = expand[0], expand[0] * expand[1]
    half = kernel // 2
    return [
        nn.Conv2d(c_in, between, (kernel, 1), (stride, 1), (half, 0), groups=groups, bias=False),
        nn.BatchNorm2d(between),
        nn.Conv2d(between, out, (1, kernel), (1, stride), (0, half), groups=between, bias=False),
        nn.BatchNorm2d(out),
    ]


class MicroBlock(nn.Module):
    """Expand, filter, squeeze, each behind its activation and shuffle; the identity is added where the shapes agree."""

    def __init__(self, stage: MicroStage, c_in: int, second_term: tuple[float, float]):
        super().__init__()
        hidden = c_in * stage.expand[0] * stage.expand[1]
        reduction = _REDUCTION * stage.reduction

        def activation(terms: int, groups: int) -> nn.Module:
            """ReLU6 for no term."""
            starts = ((1.0, 0.0), second_term)[:terms]
            return DynamicShiftMax(hidden, groups, reduction, starts) if terms else nn.ReLU6()

        first, second, third = stage.terms
        layers: list[nn.Module]
        if stage.is_lite:
            layers = [
                *_separable(c_in, stage.expand, stage.kernel, stage.stride, c_in),
                activation(second, stage.expand_shift),
                ChannelShuffle(stage.expand_shift),
                *([ChannelShuffle(hidden // 2)] if second else []),
            ]
        else:
            layers = _group_conv(c_in, hidden, stage.expand_groups)
        if stage.ends_expanded:
            if third:
                layers.append(activation(1, stage.expand_shift))
        elif not stage.is_lite:
            layers += [
                activation(first, stage.expand_shift),
                ChannelShuffle(stage.expand_shift),
                *_separable(hidden, (1, 1), stage.kernel, stage.stride, hidden),
                activation(second, hidden // stage.expand_shift),
                *([ChannelShuffle(hidden // (4 if first and second else 2))] if first or second else []),
            ]
        if not stage.ends_expanded:
            layers += _group_conv(hidden, stage.out, stage.squeeze_groups)
            if third:
                halved = reduction // 2 if stage.is_lite or stage.out < hidden else reduction
                layers.append(DynamicShiftMax(stage.out, stage.squeeze_shift, halved, ((1.0, 0.0),)))
            layers.append(ChannelShuffle(stage.squeeze_shift))
            if third:
                layers.append(ChannelShuffle(stage.out // 2))
        self.layers = nn.Sequential(*layers)
        self.has_identity = stage.stride == 1 and c_in == stage.out

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out + x if self.has_identity else out


class MicroNet(nn.Module):
    """[N, channels, H, W] -> logits [N, classes]; batch normalization and hard swish stand behind the logits too."""

    def __init__(self, config: MicroNetConfig):
        super().__init__()
        self.config = config
        table: MicroTable = config.table
        self.stem = nn.Sequential(*_separable(config.channels, table.stem, 3, 2, 1), nn.ReLU6(), ChannelShuffle(table.stem[0]))
        c = table.stem[0] * table.stem[1]
        blocks = []
        for stage in table.stages:
            blocks.append(MicroBlock(stage, c, table.second_term))
            c = stage.out
        self.blocks = nn.Sequential(*blocks)
        self.relu, self.hard_swish = nn.ReLU6(), nn.Hardswish()
        self.head = nn.Sequential(
            *(nn.Linear(c, table.hidden), nn.BatchNorm1d(table.hidden), nn.Hardswish(), nn.Dropout(table.dropout)),
            *(nn.Linear(table.hidden, config.classes), nn.BatchNorm1d(config.classes), nn.Hardswish()),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.relu(self.blocks(self.stem(x)))
        logits: Tensor = self.head(self.hard_swish(maps.mean((2, 3))))
        return logits


def build_micronet(config: MicroNetConfig, seed: int) -> MicroNet:
    """A fresh network whose weights depend on the seed alone; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MicroNet(config)
