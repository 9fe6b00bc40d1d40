"""Networks of convolutions and inverted bottlenecks in PyTorch, made of their tables."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..blocks import bridge
from .specs import Bottleneck, Conv, Gate, Head, Nonlinearity, Squeeze, Table

_ACTIVATIONS = {
    Nonlinearity.NONE: nn.Identity,
    Nonlinearity.RELU: nn.ReLU,
    Nonlinearity.RELU6: nn.ReLU6,
    Nonlinearity.HARD_SWISH: nn.Hardswish,
    Nonlinearity.SILU: nn.SiLU,
}
_GATES = {Gate.SIGMOID: nn.Sigmoid, Gate.HARD_SIGMOID: nn.Hardsigmoid}


def activation_of(kind: Nonlinearity) -> nn.Module:
    """The module of an activation."""
    module: nn.Module = _ACTIVATIONS[kind]()
    return module


def conv_norm(
    channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1, activation: Nonlinearity = Nonlinearity.NONE
) -> nn.Sequential:
    """Convolution without bias, `kernel // 2` padding on each side, batch normalization, and an activation if any."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
    ]
    if activation is not Nonlinearity.NONE:
        layers.append(activation_of(activation))
    return nn.Sequential(*layers)


class PartConv(nn.Module):
    """Convolutions of neighbouring parts of the channels side by side, each part with a kernel of its own (MixNet's MixConv).

    Parts are equal; what is left over goes to the first. Source: "MixConv", section 3.2, and its authors' code.
    """

    def __init__(self, channels: int, out: int, kernels: Sequence[int], stride: int, is_depthwise: bool):
        super().__init__()
        self.parts = _parts(channels, len(kernels))
        self.convs = nn.ModuleList(
            nn.Conv2d(part, made, kernel, stride, kernel // 2, groups=part if is_depthwise else 1, bias=False)
            for part, made, kernel in zip(self.parts, _parts(out, len(kernels)), kernels, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([conv(part) for conv, part in zip(self.convs, x.split(self.parts, 1), strict=True)], 1)


def _parts(channels: int, count: int) -> list[int]:
    each = channels // count
    return [channels - each * (count - 1), *[each] * (count - 1)]


def _mixed(
    channels: int, out: int, kernels: Sequence[int], stride: int, activation: Nonlinearity, is_depthwise: bool = False
) -> nn.Sequential:
    """`conv_norm` whose convolution may be of several parts."""
    if len(kernels) == 1:
        return conv_norm(channels, out, kernels[0], stride, channels if is_depthwise else 1, activation)
    convolution = PartConv(channels, out, kernels, stride, is_depthwise)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), activation_of(activation))


class SqueezeExcite(nn.Module):
    """x * gate(W2 f(W1 mean(x) + b1) + b2), one coefficient for each channel."""

    def __init__(self, channels: int, squeeze: Squeeze):
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeeze.channels, 1)
        self.norm = nn.BatchNorm2d(squeeze.channels) if squeeze.has_norm else nn.Identity()
        self.activation = activation_of(squeeze.activation)
        self.expand = nn.Conv2d(squeeze.channels, channels, 1)
        self.gate: nn.Module = _GATES[squeeze.gate]()

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        gated: Tensor = x * self.gate(self.expand(self.activation(self.norm(self.reduce(mean)))))
        return gated


class InvertedBottleneck(nn.Module):
    """[N, channels, H, W] -> [N, spec.out, H', W']"""

    def __init__(self, channels: int, spec: Bottleneck):
        super().__init__()
        inner = spec.expand or channels
        layers: list[nn.Module] = []
        if spec.kernel_before:
            stride = 1 if spec.kernels else spec.stride
            layers.append(conv_norm(channels, channels, spec.kernel_before, stride, channels))
        if spec.expand:
            layers.append(_mixed(channels, inner, (1,) * spec.expand_parts, 1, spec.activation))
        if spec.kernels:
            activation = spec.activation if spec.after_squeeze is None else Nonlinearity.NONE
            layers.append(_mixed(inner, inner, spec.kernels, spec.stride, activation, is_depthwise=True))
        if spec.squeeze is not None:
            layers.append(SqueezeExcite(inner, spec.squeeze))
        if spec.after_squeeze is not None:
            layers.append(activation_of(spec.after_squeeze))
        layers.append(_mixed(inner, spec.out, (1,) * spec.project_parts, 1, Nonlinearity.NONE))
        self.layers = nn.Sequential(*layers)
        self.out = spec.out
        self.has_identity = spec.stride == 1 and (channels == spec.out or (spec.is_padded and channels < spec.out))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out + bridge(x, self.out) if self.has_identity else out


class TableNetwork(nn.Module):
    """[N, channels, H, W] -> logits [N, classes]"""

    def __init__(self, table: Table, channels: int, classes: int):
        super().__init__()
        blocks: list[nn.Module] = []
        for spec in table.blocks:
            if isinstance(spec, Conv):
                groups = channels if spec.is_depthwise else 1
                blocks.append(conv_norm(channels, spec.out, spec.kernel, spec.stride, groups, spec.activation))
            else:
                blocks.append(InvertedBottleneck(channels, spec))
            channels = spec.out
        self.blocks = nn.Sequential(*blocks)
        self.head = _head(table.head, channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.blocks(x)
        logits: Tensor = self.head(maps.mean((2, 3)))
        return logits


def _head(head: Head, channels: int, classes: int) -> nn.Sequential:
    if not head.hidden:
        return nn.Sequential(nn.Linear(channels, classes))
    norm = [nn.BatchNorm1d(head.hidden)] if head.has_norm else []
    hidden = nn.Linear(channels, head.hidden, bias=not head.has_norm)
    return nn.Sequential(hidden, *norm, activation_of(head.activation), nn.Linear(head.hidden, classes))
