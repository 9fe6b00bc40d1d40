"""Parameters and multiply-accumulates of a network of any family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .networks.blocks import ECA_KERNEL, Eca
from .networks.micronet import DynamicShiftMax
from .networks.network_config import NetworkConfig
from .register import build_network


def count_params(model: nn.Module) -> int:
    """Every weight and bias, and BN's scale and shift; BN's running statistics are not parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


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
