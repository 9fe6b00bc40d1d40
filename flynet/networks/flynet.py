"""FlyNet in PyTorch, and its counts. The table of stages is in config.py, the parts are in blocks.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..register import NetworkConfig, build_network
from .blocks import ECA_KERNEL, ConvNorm, Eca, EcaSigmoid, EcaSoftmax, HeadReduction, MdwConv, bridge, low_residual
from .flynet_config import Activation, BlockConfig, FlyNetConfig, HeadAttention, Reduction, Statistics
from .micronet import DynamicShiftMax
from .noise import QuantizationNoise

__all__ = [
    "Counts",
    "FlyNet",
    "FlyNetConfig",
    "build",
    "count",
    "count_backbone_params",
    "count_macs",
    "count_params",
    "count_profiled_madds",
]


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


def count_params(model: nn.Module) -> int:
    """Every weight and bias, and BN's scale and shift; BN's running statistics are not parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_backbone_params(model: FlyNet) -> int:
    """`count_params` of the stem and the blocks: all but the last 1x1 convolution and the fully connected layers."""
    return count_params(model) - count_params(model.head)


@dataclass(frozen=True)
class Counts:
    """params: `count_params`;  macs: multiply-accumulates of convolutions and fully connected layers for one image, the
    attention not counted;  profiled_madds: MAdds as the paper's tables 3 and 5 print them of FlyNets;  dynamic_macs: products of
    maps with MicroNet's computed coefficients.
    """

    params: int
    macs: int
    profiled_madds: int
    dynamic_macs: int


def count(config: NetworkConfig, part: Callable[[nn.Module], nn.Module] = lambda network: network) -> Counts:
    """The counts of a network, or of what `part` takes of it, such as its backbone; made from shapes, without weights.

    profiled_madds was found by fitting the 11 rows of the tables (each agrees to the printed million). To `macs` their
    profiler adds 4 for each element of a BN, 1 for each element of an activation, 1 for each element that an attention
    averages, and the attention's 1-D convolution, 2 to 4 maps wide in the authors' code. Table 2 comes from another revision:
    its rows are 0.6 to 0.8 M higher.
    """
    macs = extra = dynamic = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal macs, extra, dynamic
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            macs += out.numel() * module.weight[0].numel()
        elif isinstance(module, nn.BatchNorm2d):
            extra += 4 * out.numel()
        elif isinstance(module, (nn.ReLU, nn.Hardswish)):
            extra += out.numel()
        elif isinstance(module, Eca):
            extra += inputs[0].numel() + 2 * 4 * ECA_KERNEL * inputs[0].shape[1]
        elif isinstance(module, DynamicShiftMax):
            dynamic += len(module.coefficients) * inputs[0].numel()

    with torch.device("meta"), torch.no_grad():
        model = part(build_network(config, seed=0)).eval()
        for module in model.modules():
            module.register_forward_hook(add)
        model(torch.empty(config.input_shape))
    return Counts(count_params(model), macs, macs + extra, dynamic)


def count_macs(config: NetworkConfig) -> int:
    """`Counts.macs` of the whole network."""
    return count(config).macs


def count_profiled_madds(config: NetworkConfig) -> int:
    """`Counts.profiled_madds` of the whole network."""
    return count(config).profiled_madds


def _gate(config: FlyNetConfig) -> nn.Module:
    return nn.Identity() if config.statistics is Statistics.NONE else EcaSigmoid(config.statistics)


def _gate_heads(config: FlyNetConfig) -> nn.Module:
    """The attention before the reduction."""
    if config.head_attention is HeadAttention.SIGMOID or config.statistics is Statistics.NONE:
        return _gate(config)
    return EcaSoftmax(config.statistics, config.heads, config.temperature)
