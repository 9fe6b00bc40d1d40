"""FlyNet in PyTorch. The table of stages is in flynet_config.py, the parts are in blocks.py."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import ConvNorm, EcaSigmoid, EcaSoftmax, HeadReduction, MdwConv, bridge, low_residual
from .flynet_config import Activation, BlockConfig, FlyNetConfig, HeadAttention, Reduction, Statistics
from .noise import QuantizationNoise


class Block(nn.Module):
    """expand, attend; MDW, attend the heads, reduce the heads, attend; + high residual; project, attend; + low residual."""

    def __init__(self, block: BlockConfig, config: FlyNetConfig):
        super().__init__()
        self.bridged = block.bridged
        self.channels = block.expand
        if block.activation is not None:
            self.expand: nn.Module = ConvNorm(block.in_channels, block.expand, 1, activation=block.activation)
            self.attend_expand = _gate(config)
        else:
            self.expand = self.attend_expand = nn.Identity()
        self.mdw = MdwConv(block.expand, config.heads, block.kernel, block.stride)
        self.attend_heads = _gate_heads(config)
        self.reduce = HeadReduction(config.reduction, block.expand, config.heads, block.stride)
        self.attend_reduce = _gate(config)
        self.project = ConvNorm(block.expand, block.out, 1)
        self.attend_project = _gate(config)
        self.residual = low_residual(config.residual, block.in_channels, block.out, block.stride)

    def forward(self, x: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """The block's output, and the reduced maps that the next block may bring in; `high` is the previous block's."""
        expanded = self.attend_expand(self.expand(x))
        reduced = self.reduce(self.attend_heads(self.mdw(expanded)), expanded)
        reduced = self.attend_reduce(reduced)
        if self.bridged is not None:
            reduced = reduced + bridge(high, self.channels)
        out = self.attend_project(self.project(reduced))
        return (out if self.residual is None else out + self.residual(x)), reduced


class Head(nn.Module):
    """1x1 convolution, global average pool, hidden fully connected layer, classifier."""

    def __init__(self, config: FlyNetConfig):
        super().__init__()
        self.last = ConvNorm(config.blocks[-1].out, config.last_channels, 1, activation=Activation.HARD_SWISH)
        self.hidden = nn.Linear(config.last_channels, config.hidden_channels)
        self.activation = nn.Hardswish()
        self.noise = QuantizationNoise(config.quantization_levels) if config.quantization_levels else nn.Identity()
        self.classifier = nn.Linear(config.hidden_channels, config.classes)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.last(x).mean((2, 3))
        logits: Tensor = self.classifier(self.noise(self.activation(self.hidden(pooled))))
        return logits


class FlyNet(nn.Module):
    """[N, channels, H, W] -> logits [N, classes]."""

    def __init__(self, config: FlyNetConfig):
        super().__init__()
        self.config = config
        self.stem = ConvNorm(config.channels, config.stem_channels, 3, 2, activation=Activation.HARD_SWISH)
        for block in config.blocks:
            self.add_module(block.name, Block(block, config))
        self.head = Head(config)
        self._initialise()

    @property
    def blocks(self) -> list[Block]:
        return [module for module in self.children() if isinstance(module, Block)]

    def forward(self, x: Tensor) -> Tensor:
        x = high = self.stem(x)
        for block in self.blocks:
            x, high = block(x, high)
        logits: Tensor = self.head(x)
        return logits

    def set_temperature(self, temperature: float) -> None:
        """T of every softmax over heads from now on; `config.temperature` is the one of inference."""
        for module in self.modules():
            if isinstance(module, EcaSoftmax):
                module.temperature = temperature

    def _initialise(self) -> None:
        """Convolutions kaiming normal over the fan out, fully connected N(0, 0.01), the learned combination as a sum."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
                nn.init.constant_(module.bias, 0.0)
        for module in self.modules():
            if isinstance(module, HeadReduction) and module.kind is Reduction.AFFINE_RELU:
                assert module.combine.bias is not None
                nn.init.ones_(module.combine.weight)
                nn.init.zeros_(module.combine.bias)


def build(config: FlyNetConfig, seed: int) -> FlyNet:
    """A fresh network whose weights depend on the seed alone; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FlyNet(config)


def _gate(config: FlyNetConfig) -> nn.Module:
    return nn.Identity() if config.statistics is Statistics.NONE else EcaSigmoid(config.statistics)


def _gate_heads(config: FlyNetConfig) -> nn.Module:
    """The attention before the reduction."""
    if config.head_attention is HeadAttention.SIGMOID or config.statistics is Statistics.NONE:
        return _gate(config)
    return EcaSoftmax(config.statistics, config.heads, config.temperature)
