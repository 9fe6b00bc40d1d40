"""The parts of a FlyNet block: MDW convolution, channel attention, reductions over the heads, residuals.

Maps are [N, C, H, W]. The h maps of channel c are neighbours: map index = c * h + head.
Every part is written so that its ONNX graph is small and has one node for each operator of the int8 network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .flynet_config import Activation, Reduction, Residual, Statistics

BN_EPS = 1e-3
BN_MOMENTUM = 0.01  # lags by hundreds of steps on small data: 0.1 there, or re-estimate the statistics
ECA_KERNEL = 7

_ACTIVATIONS = {Activation.RELU: nn.ReLU, Activation.HARD_SWISH: nn.Hardswish}


class ConvNorm(nn.Sequential):
    """Convolution without bias, `kernel // 2` padding on each side, batch normalization, and an activation if any."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activation: Activation | None = None,
    ):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, eps=BN_EPS, momentum=BN_MOMENTUM)
        if activation is not None:
            self.activation = _ACTIVATIONS[activation]()


class MdwConv(ConvNorm):
    """Multihead depthwise convolution: h filters look at each channel, [N, C, H, W] -> [N, C * h, H', W']."""

    def __init__(self, channels: int, heads: int, kernel: int, stride: int):
        super().__init__(channels, channels * heads, kernel, stride, groups=channels)


class Eca(nn.Module):
    """Coefficients [N, 1, C] before their nonlinearity: a 1-D convolution over the channels' means and variances.

    The weight is one parameter [1, 2, 7] (or [1, 1, 7], mean only), applied as one convolution for each statistic: their
    ranges differ, so in int8 each has its own scale. A 1x1 map has variance 0: its branch is left out.
    """

    def __init__(self, statistics: Statistics):
        super().__init__()
        inputs = 2 if statistics is Statistics.MEAN_VARIANCE else 1
        bound = (inputs * ECA_KERNEL) ** -0.5
        self.weight = nn.Parameter(torch.empty(1, inputs, ECA_KERNEL).uniform_(-bound, bound))

    def coefficients(self, x: Tensor, temperature: float = 1.0) -> Tensor:
        weight = self.weight if temperature == 1.0 else self.weight / temperature
        flat = (x.shape[0], 1, x.shape[1])
        mean = x.mean((2, 3), keepdim=True)
        out = F.conv1d(mean.reshape(flat), weight[:, :1], padding=ECA_KERNEL // 2)
        if weight.shape[1] == 2 and x.shape[2] * x.shape[3] > 1:
            difference = x - mean
            variance = (difference * difference).mean((2, 3), keepdim=True)
            out = out + F.conv1d(variance.reshape(flat), weight[:, 1:], padding=ECA_KERNEL // 2)
        return out


class EcaSigmoid(Eca):
    """x * sigmoid(s): every map has a gate of its own."""

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.coefficients(x))
        return x * gate.reshape(x.shape[0], x.shape[1], 1, 1)


class EcaSoftmax(Eca):
    """x * softmax(s / T) over the h heads of each channel: the heads compete, the more so the lower T is.

    The share of a single head is 1 whatever its weight, which is counted but never trained.
    """

    def __init__(self, statistics: Statistics, heads: int, temperature: float):
        super().__init__(statistics)
        self.heads = heads
        self.temperature = temperature
        self.weight.requires_grad_(heads > 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.heads == 1:
            return x
        coefficients = self.coefficients(x, self.temperature)
        share = torch.softmax(coefficients.reshape(x.shape[0], x.shape[1] // self.heads, self.heads), dim=2)
        return x * share.reshape(x.shape[0], x.shape[1], 1, 1)


class HeadReduction(nn.Module):
    """[N, C * h, H, W] -> [N, C, H, W]; `source` is what entered the MDW convolution, for the Funnel."""

    def __init__(self, kind: Reduction, channels: int, heads: int, stride: int):
        super().__init__()
        self.kind, self.channels, self.heads, self.stride = kind, channels, heads, stride
        if kind is Reduction.AFFINE_RELU:
            self.combine = nn.Conv2d(channels * heads, channels, 1, groups=channels)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        if self.kind is Reduction.AFFINE_RELU:
            return F.relu(self.combine(x))
        by_head = x.reshape(x.shape[0], self.channels, self.heads, *x.shape[2:])
        if self.kind is Reduction.SUM_RELU:
            return F.relu(by_head.sum(2) if self.heads > 1 else x)
        x = by_head.amax(2) if self.heads > 1 else x
        if self.kind is Reduction.MAX_OUT:
            return x
        return torch.maximum(x, F.max_pool2d(source, 1, self.stride) if self.stride > 1 else source)


def bridge(x: Tensor, channels: int) -> Tensor:
    """The first `channels` channels, zeros where there are fewer: the high residual, without parameters."""
    missing = channels - x.shape[1]
    if missing > 0:
        return F.pad(x, (0, 0, 0, 0, 0, missing))
    return x[:, :channels] if missing < 0 else x


class LightResidual(nn.Module):
    """The paper's low residual, eq. 4, from m to n channels: 3x3 (M)DW convolutions without activation.

    m > n   the first n channels, through a DW convolution where strided
    m == n  identity, or a DW convolution where strided
    m < n   concatenation of that with a DW convolution of the first n - m channels; where n - m > m, with the first n - m
            maps of an MDW convolution of all m (at width 0.9 that computes 80 maps for 48: the paper's count says so)
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.kept = min(in_channels, out_channels)
        if stride > 1:
            self.keep = MdwConv(self.kept, 1, 3, stride)
        self.added = out_channels - self.kept
        if self.added:
            self.source = min(self.added, in_channels)
            self.add = MdwConv(self.source, -(-self.added // in_channels), 3, stride)

    def forward(self, x: Tensor) -> Tensor:
        kept = bridge(x, self.kept)
        if hasattr(self, "keep"):
            kept = self.keep(kept)
        if not self.added:
            return kept
        return torch.cat((kept, bridge(self.add(bridge(x, self.source)), self.added)), 1)


def low_residual(kind: Residual, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """What brings a block's input to its output's shape, or None where the block has no residual."""
    if kind is Residual.NONE:
        return None
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    if kind is Residual.MOBILENETV3:
        return None
    if kind is Residual.CONV3X3:
        return ConvNorm(in_channels, out_channels, 3, stride)
    if kind is Residual.DW_PW:
        return nn.Sequential(MdwConv(in_channels, 1, 3, stride), ConvNorm(in_channels, out_channels, 1))
    return LightResidual(in_channels, out_channels, stride)
