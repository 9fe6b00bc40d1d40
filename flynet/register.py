"""The families of networks by name: how a configuration travels as plain values, and which class builds it.

A further family is one line in `_FAMILIES`. No torch here: a network's module is imported when one is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ..errors import UsageError
from .detection.detector_config import DetectorConfig
from .networks.flynet_config import FlyNetConfig
from .networks.micronet_config import MicroNetConfig
from .networks.mobilenetv3_config import MobileNetV3Config
from .networks.network_config import NetworkConfig
from .networks.published.config import PublishedConfig

if TYPE_CHECKING:
    from torch import nn


def _build_flynet(config: Any, seed: int) -> nn.Module:
    from .networks.flynet import build

    return build(config, seed)


def _build_detector(config: Any, seed: int) -> nn.Module:
    from .detection.detector import build_detector

    return build_detector(config, seed)


def _build_mobilenetv3(config: Any, seed: int) -> nn.Module:
    from .networks.mobilenetv3 import build_mobilenetv3

    return build_mobilenetv3(config, seed)


def _build_micronet(config: Any, seed: int) -> nn.Module:
    from .networks.micronet import build_micronet

    return build_micronet(config, seed)


def _build_published(config: Any, seed: int) -> nn.Module:
    from .networks.published.build import build_published

    return build_published(config, seed)


@dataclass(frozen=True)
class _Family:
    """`network` is the family's name in a checkpoint; `config` has a `from_dict` that raises UsageError."""

    network: str
    config: type[Any]
    build: Callable[[Any, int], nn.Module]


_FAMILIES = (
    _Family("flynet", FlyNetConfig, _build_flynet),
    _Family("mobilenetv3-small", MobileNetV3Config, _build_mobilenetv3),
    _Family("micronet", MicroNetConfig, _build_micronet),
    _Family("published", PublishedConfig, _build_published),
    _Family("flynet-retinanet", DetectorConfig, _build_detector),
)


def build_network(config: NetworkConfig, seed: int) -> nn.Module:
    """A fresh network whose weights depend on the seed alone; it keeps `config` as its attribute."""
    return _family_of(config).build(config, seed)


def config_to_dict(config: NetworkConfig) -> dict[str, float | int | str]:
    """Plain values with the family's name under "network", for a checkpoint or a report."""
    return {"network": _family_of(config).network, **config.as_dict()}


def config_from_dict(values: Mapping[str, object]) -> NetworkConfig:
    """The configuration that `config_to_dict` wrote; without "network" it is a FlyNet's. UsageError when it is none."""
    options = dict(values)
    network = options.pop("network", "flynet")
    for family in _FAMILIES:
        if family.network == network:
            return cast(NetworkConfig, family.config.from_dict(options))
    known = ", ".join(family.network for family in _FAMILIES)
    raise UsageError(f"unknown kind of network {network!r}; this program knows {known}")


def _family_of(config: NetworkConfig) -> _Family:
    for family in _FAMILIES:
        if isinstance(config, family.config):
            return family
    raise UsageError(f"{type(config).__name__} is not the configuration of a network that this program knows")
