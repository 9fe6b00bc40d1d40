"""MicroNet M0 to M3 as tables of blocks and a configuration. No torch here.

Source: Li et al., "MicroNet: Improving Image Recognition with Extremely Low FLOPs"; the tables are those of the authors' released
networks (github.com/liyunsheng13/micronet), whose parameter counts they give exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...errors import UsageError
from .classifier_config import ClassifierConfig


@dataclass(frozen=True)
class MicroStage:
    """One block.

    expand          hidden channels = in * expand[0] * expand[1]
    expand_groups   of the 1x1 convolution that expands; 0: a k x 1 and a 1 x k depthwise convolution expand instead ("lite")
    expand_shift    groups whose channels the first shuffle and the Dynamic Shift-Max mix
    squeeze_groups  of the 1x1 convolution that squeezes; 0: there is none, the block ends expanded
    squeeze_shift   the same as expand_shift, behind it
    terms           K of the three Dynamic Shift-Max (after the expansion, the depthwise convolution, the squeeze); 0: ReLU6, the
                    third none
    reduction       further division of the hidden channels of the coefficients' layers
    """

    stride: int
    out: int
    kernel: int
    expand: tuple[int, int]
    expand_groups: int
    expand_shift: int
    squeeze_groups: int
    squeeze_shift: int
    terms: tuple[int, int, int]
    reduction: int

    @property
    def is_lite(self) -> bool:
        return self.expand_groups == 0

    @property
    def ends_expanded(self) -> bool:
        return self.squeeze_groups == 0


@dataclass(frozen=True)
class MicroTable:
    """A whole network: (channels between, multiplier) of the separable stem, the blocks, the classifier's hidden channels.

    second_term  where the second term of a maximum starts, as factors of (the input, the shifted input); the first is (1, 0)
    """

    stem: tuple[int, int]
    stages: tuple[MicroStage, ...]
    hidden: int
    second_term: tuple[float, float]
    dropout: float


_S = MicroStage
MICRO_TABLES: Mapping[str, MicroTable] = {
    #    stride out kernel expand  groups shift squeeze shift terms reduction
    "m0": MicroTable(
        (2, 2),
        (
            _S(2, 8, 3, (2, 2), 0, 4, 2, 2, (2, 0, 1), 1),
            _S(2, 12, 3, (2, 2), 0, 8, 4, 4, (2, 2, 1), 1),
            _S(2, 16, 5, (2, 2), 0, 12, 4, 4, (2, 2, 1), 1),
            _S(1, 32, 5, (1, 4), 4, 4, 4, 4, (2, 2, 1), 1),
            _S(2, 64, 5, (1, 4), 8, 8, 8, 8, (2, 2, 1), 1),
            _S(1, 96, 3, (1, 4), 8, 8, 8, 8, (2, 2, 1), 2),
            _S(1, 384, 3, (1, 4), 12, 12, 0, 0, (2, 2, 1), 2),
        ),
        640,
        (1.0, 0.0),
        0.05,
    ),
    "m1": MicroTable(
        (3, 2),
        (
            _S(2, 8, 3, (2, 2), 0, 6, 2, 2, (2, 0, 1), 1),
            _S(2, 16, 3, (2, 2), 0, 8, 4, 4, (2, 2, 1), 1),
            _S(2, 16, 5, (2, 2), 0, 16, 4, 4, (2, 2, 1), 1),
            _S(1, 32, 5, (1, 6), 4, 4, 4, 4, (2, 2, 1), 1),
            _S(2, 64, 5, (1, 6), 8, 8, 8, 8, (2, 2, 1), 1),
            _S(1, 96, 3, (1, 6), 8, 8, 8, 8, (2, 2, 1), 2),
            _S(1, 576, 3, (1, 6), 12, 12, 0, 0, (2, 2, 1), 2),
        ),
        960,
        (1.0, 0.0),
        0.05,
    ),
    "m2": MicroTable(
        (4, 2),
        (
            _S(2, 12, 3, (2, 2), 0, 8, 4, 4, (2, 0, 1), 1),
            _S(2, 16, 3, (2, 2), 0, 12, 4, 4, (2, 2, 1), 1),
            _S(1, 24, 3, (2, 2), 0, 16, 4, 4, (2, 2, 1), 1),
            _S(2, 32, 5, (1, 6), 6, 6, 4, 4, (2, 2, 1), 1),
            _S(1, 32, 5, (1, 6), 8, 8, 4, 4, (2, 2, 1), 2),
            _S(1, 64, 5, (1, 6), 8, 8, 8, 8, (2, 2, 1), 2),
            _S(2, 96, 5, (1, 6), 8, 8, 8, 8, (2, 2, 1), 2),
            _S(1, 128, 3, (1, 6), 12, 12, 8, 8, (2, 2, 1), 2),
            _S(1, 768, 3, (1, 6), 16, 16, 0, 0, (2, 2, 1), 2),
        ),
        1024,
        (1.0, 0.0),
        0.1,
    ),
    "m3": MicroTable(
        (4, 3),
        (
            _S(2, 16, 3, (2, 2), 0, 12, 4, 4, (0, 2, 0), 1),
            _S(2, 24, 3, (2, 2), 0, 16, 4, 4, (0, 2, 0), 1),
            _S(1, 24, 3, (2, 2), 0, 24, 4, 4, (0, 2, 0), 1),
            _S(2, 32, 5, (1, 6), 6, 6, 4, 4, (0, 2, 0), 1),
            _S(1, 32, 5, (1, 6), 8, 8, 4, 4, (0, 2, 0), 2),
            _S(1, 64, 5, (1, 6), 8, 8, 8, 8, (0, 2, 0), 2),
            _S(1, 80, 5, (1, 6), 8, 8, 8, 8, (0, 2, 0), 2),
            _S(1, 80, 5, (1, 6), 10, 10, 8, 8, (0, 2, 0), 2),
            _S(2, 120, 5, (1, 6), 10, 10, 10, 10, (0, 2, 0), 2),
            _S(1, 120, 5, (1, 6), 12, 12, 10, 10, (0, 2, 0), 2),
            _S(1, 144, 3, (1, 6), 12, 12, 12, 12, (0, 2, 0), 2),
            _S(1, 864, 3, (1, 6), 12, 12, 0, 0, (0, 2, 0), 2),
        ),
        1024,
        (0.5, 0.5),
        0.1,
    ),
}


@dataclass(frozen=True)
class MicroNetConfig(ClassifierConfig):
    """A MicroNet, whole: two equal configurations are the same network."""

    FAMILY: ClassVar[str] = "MicroNet"

    variant: str = "m0"
    resolution: int = 224
    classes: int = 1000
    channels: int = 3

    def __post_init__(self) -> None:
        if self.variant not in MICRO_TABLES:
            raise UsageError(f"a MicroNet is one of {', '.join(MICRO_TABLES)}, not {self.variant!r}")
        self.require_task()

    @property
    def name(self) -> str:
        return f"micronet-{self.variant}"

    @property
    def table(self) -> MicroTable:
        return MICRO_TABLES[self.variant]
