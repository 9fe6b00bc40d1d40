"""Every network that can be asked for by name, beside what the paper's tables print of it. No torch here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from ...errors import UsageError
from .flynet_config import FlyNetConfig, HeadAttention, Reduction, Residual
from .micronet_config import MicroNetConfig
from .mobilenetv3_config import MobileNetV3Config
from .network_config import NetworkConfig
from .published.config import NETWORKS, PublishedConfig

ANNEALED_FROM = 10.0


@dataclass(frozen=True)
class Printed:
    """A row of the paper: ImageNet accuracy in percent, parameters and MAdds in millions where the table has them.

    source  "": the FlyNet paper; else the short title of the network's own paper
    """

    table: int
    top1: float
    top5: float | None
    params_m: float | None = None
    madds_m: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Preset:
    """A network by name; `temperature_start` is where the training's annealing begins (table 1's T = 10 -> 1)."""

    name: str
    config: NetworkConfig
    printed: tuple[Printed, ...] = ()
    temperature_start: float = ANNEALED_FROM


def _named(name: str, config: NetworkConfig, *printed: Printed, temperature_start: float = ANNEALED_FROM) -> Preset:
    return Preset(name, config, printed, temperature_start)


def _published(
    network: str, width: float, top1: float, top5: float | None, params_m: float | None, madds_m: float | None, table: int
) -> Preset:
    """A network of the literature with what its own paper prints; parameters of re-parameterised ones are those of training."""
    config = PublishedConfig(network, width)
    return _named(config.name, config, Printed(table, top1, top5, params_m, madds_m, NETWORKS[network].title))


_SIGMOID = HeadAttention.SIGMOID
_PRESETS = (
    # widths, table 3; 0.3x and 0.9x are not in the paper
    _named("flynet-h3-0.3x", FlyNetConfig(width=0.3)),
    _named("flynet-h3-0.4x", FlyNetConfig(width=0.4), Printed(2, 55.9, 79.2, 0.658, 27.0), Printed(3, 55.9, 79.2, 0.65, 26)),
    _named(
        "flynet-h3-0.5x",
        FlyNetConfig(width=0.5),
        Printed(1, 59.1, 81.3),
        Printed(3, 59.1, 81.3, 0.86, 34),
        Printed(5, 59.1, 81.4, 0.86, 34),
    ),
    _named("flynet-h3-0.6x", FlyNetConfig(width=0.6), Printed(3, 61.5, 83.4, 1, 46)),
    _named("flynet-h3-0.7x", FlyNetConfig(width=0.7), Printed(3, 63.3, 84.5, 1.3, 54)),
    _named("flynet-h3-0.8x", FlyNetConfig(width=0.8), Printed(3, 65.7, 86.2, 1.6, 66)),
    _named("flynet-h3-0.9x", FlyNetConfig(width=0.9)),
    _named("flynet-h3-1x", FlyNetConfig(width=1.0), Printed(6, 67.2, 87.5)),
    # heads, table 5
    _named("flynet-h1-0.5x", FlyNetConfig(width=0.5, heads=1), Printed(5, 56.7, 79.6, 0.8, 24)),
    _named("flynet-h2-0.5x", FlyNetConfig(width=0.5, heads=2), Printed(5, 58.2, 81.0, 0.83, 29)),
    _named("flynet-h4-0.5x", FlyNetConfig(width=0.5, heads=4), Printed(5, 59.8, 81.9, 0.89, 39)),
    _named("flynet-h5-0.5x", FlyNetConfig(width=0.5, heads=5), Printed(5, 59.9, 82.0, 0.92, 44)),
    # attention and reduction, table 1; the last is the learned combination of section 3.2, which no table has
    _named(
        "flynet-h3-0.5x-mixer-sum",
        FlyNetConfig(width=0.5, head_attention=_SIGMOID, reduction=Reduction.SUM_RELU),
        Printed(1, 57.6, 80.5),
    ),
    _named(
        "flynet-h3-0.5x-mixer-funnel",
        FlyNetConfig(width=0.5, head_attention=_SIGMOID, reduction=Reduction.FUNNEL_MAX_OUT),
        Printed(1, 58.8, 80.9),
    ),
    _named("flynet-h3-0.5x-mixer", FlyNetConfig(width=0.5, head_attention=_SIGMOID), Printed(1, 58.9, 81.0)),
    _named("flynet-h3-0.5x-t3", FlyNetConfig(width=0.5, temperature=3.0), Printed(1, 58.9, 81.0), temperature_start=3.0),
    _named("flynet-h3-0.5x-affine", FlyNetConfig(width=0.5, reduction=Reduction.AFFINE_RELU)),
    # residuals, table 2
    _named("flynet-h3-0.4x-no-residual", FlyNetConfig(residual=Residual.NONE), Printed(2, 54.5, 78.0, 0.657, 26.5)),
    _named("flynet-h3-0.4x-mobilenetv3", FlyNetConfig(residual=Residual.MOBILENETV3), Printed(2, 55.5, 78.8, 0.657, 26.5)),
    _named("flynet-h3-0.4x-conv3x3", FlyNetConfig(residual=Residual.CONV3X3), Printed(2, 56.0, 79.3, 0.673, 30.9)),
    _named("flynet-h3-0.4x-dw-pw", FlyNetConfig(residual=Residual.DW_PW), Printed(2, 55.6, 78.9, 0.659, 27.5)),
    # the peers, table 3: MAdds as their users count them, without BN and pooling
    _named("mobilenetv3-small-0.15x", MobileNetV3Config(0.15), Printed(3, 33.7, 57.2, 1.0, 4)),
    _named("mobilenetv3-small-0.2x", MobileNetV3Config(0.2), Printed(3, 41.1, 65.2, 1.2, 6)),
    _named("mobilenetv3-small-0.35x", MobileNetV3Config(0.35), Printed(3, 55.2, None, 1.4, 15)),
    _named("mobilenetv3-small-0.5x", MobileNetV3Config(0.5), Printed(3, 58.0, None, 1.6, 21)),
    _named("mobilenetv3-small-1x", MobileNetV3Config(1.0)),
    _named("micronet-m0", MicroNetConfig("m0"), Printed(3, 46.6, 70.6, 1.0, 4)),
    _named("micronet-m1", MicroNetConfig("m1"), Printed(3, 51.4, 74.5, 1.8, 6)),
    _named("micronet-m2", MicroNetConfig("m2"), Printed(3, 59.4, 80.9, 2.4, 12)),
    _named("micronet-m3", MicroNetConfig("m3"), Printed(3, 62.5, 83.1, 2.6, 21)),
    # quantization as regularization, table 6
    _named("flynet-h3-1x-q16", FlyNetConfig(width=1.0, quantization_levels=16), Printed(6, 67.3, 87.7)),
    _named("flynet-h3-1x-q8", FlyNetConfig(width=1.0, quantization_levels=8), Printed(6, 67.4, 87.8)),
    _named("flynet-h3-1x-q6", FlyNetConfig(width=1.0, quantization_levels=6), Printed(6, 67.1, 87.4)),
    _named("flynet-h3-1x-q4", FlyNetConfig(width=1.0, quantization_levels=4), Printed(6, 66.1, 87.1)),
    # the small networks of the literature; ReXNet's row is that of the review among the user's documents
    _published("mobilenetv1", 0.25, 50.6, None, 0.5, 41, 6),
    _published("mobilenetv1", 1.0, 70.6, None, 4.2, 569, 6),
    _named("mobilenetv2-0.35x", PublishedConfig("mobilenetv2", 0.35)),
    _published("mobilenetv2", 1.0, 72.0, None, 3.4, 300, 4),
    _published("mobilenetv3-large", 1.0, 75.2, None, 5.4, 219, 3),
    _published("mobilenetv4-conv-small", 1.0, 73.8, None, 3.8, 200, 5),
    _published("efficientnet-lite0", 1.0, 75.1, None, 4.7, 407, 0),
    _published("efficientnet-b0", 1.0, 77.1, 93.3, 5.3, 390, 2),
    *(_named(f"rexnet-{width:g}x", PublishedConfig("rexnet", width)) for width in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
    _published("rexnet", 1.0, 77.9, 93.9, 4.8, 400, 4),
    _published("mixnet-s", 1.0, 75.8, 92.8, 4.1, 256, 2),
    _published("shufflenetv1", 1.0, 67.4, None, None, 140, 2),
    _published("shufflenetv2", 0.5, 60.3, None, None, 41, 8),
    _published("shufflenetv2", 1.0, 69.4, None, None, 146, 8),
    _published("ghostnet", 0.5, 66.2, 86.6, 2.6, 42, 7),
    _published("ghostnet", 1.0, 73.9, 91.4, 5.2, 141, 7),
    _published("squeezenet", 1.0, 57.5, 80.3, 1.25, None, 2),
    _published("repvgg-a0", 1.0, 72.4, None, None, None, 4),
    _published("mobileone-s0", 1.0, 71.4, None, None, 275, 9),
)

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _PRESETS}


def preset(name: str) -> Preset:
    """The preset of this name, or a network whose width or heads no table has; UsageError with the nearest names."""
    config = _of_any_width(name)
    known = name if config is None else config.name
    if known in PRESETS:
        return PRESETS[known]
    if config is not None:
        return Preset(known, config)
    near = get_close_matches(name, PRESETS, n=3, cutoff=0.4)
    advice = f"did you mean {' or '.join(near)}?" if near else "see 'flynet-tiny models'"
    raise UsageError(f"unknown model {name!r}; {advice}")


def _of_any_width(name: str) -> NetworkConfig | None:
    """`mobilenetv3-small-0.75x`, `flynet-h2-0.45x` and `rexnet-0.45x`; None for another name."""
    if found := re.fullmatch(r"mobilenetv3-small-(\d+\.?\d*)x", name):
        return MobileNetV3Config(float(found[1]))
    if found := re.fullmatch(r"flynet-h(\d+)-(\d+\.?\d*)x", name):
        return FlyNetConfig(width=float(found[2]), heads=int(found[1]))
    if (found := re.fullmatch(r"(.+)-(\d+\.?\d*)x", name)) and found[1] in NETWORKS:
        return PublishedConfig(found[1], float(found[2]))
    return None
