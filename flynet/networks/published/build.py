"""A published network of its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import nn

from .bottlenecks import TableNetwork
from .config import PublishedConfig
from .ghostnet import GhostNet
from .reparameterised import MobileOne, RepVgg
from .shufflenets import ShuffleNetV1, ShuffleNetV2
from .squeezenet import SqueezeNet
from .tables import TABLES

_CLASSES: Mapping[str, Callable[[float, int, int], nn.Module]] = {
    "shufflenetv1": ShuffleNetV1,
    "shufflenetv2": ShuffleNetV2,
    "ghostnet": GhostNet,
    "squeezenet": SqueezeNet,
    "repvgg-a0": RepVgg,
    "mobileone-s0": MobileOne,
}


def build_published(config: PublishedConfig, seed: int) -> nn.Module:
    """A fresh network whose weights depend on the seed alone; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if config.architecture in TABLES:
            model: nn.Module = TableNetwork(TABLES[config.architecture](config.width), config.channels, config.classes)
        else:
            model = _CLASSES[config.architecture](config.width, config.channels, config.classes)
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    cast(Any, model).config = config
    return model
