"""Heads, reductions and residuals of a small FlyNet on scikit-learn's digits: a table with the spread over seeds.

1,347 training images of 8x8 pixels say little about ImageNet: differences below the spread mean nothing.
Run it with `make ablation`.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..flynet.data.images import digits
from ..flynet.networks.flynet_config import FlyNetConfig, Reduction, Residual
from ..flynet.training.recipe import Recipe
from ..flynet.training.settings import TrainingSettings

SEEDS = (0, 1, 2)
EPOCHS = 8
RESOLUTION = 16

_PAPER = FlyNetConfig(width=0.3, resolution=RESOLUTION, classes=10, channels=1)
VARIANTS = {
    "1 head": replace(_PAPER, heads=1),
    "2 heads": replace(_PAPER, heads=2),
    "3 heads (the paper's)": _PAPER,
    "Sum + ReLU instead of Max-out": replace(_PAPER, reduction=Reduction.SUM_RELU),
    "no residual": replace(_PAPER, residual=Residual.NONE),
    "MobileNetV3's residual": replace(_PAPER, residual=Residual.MOBILENETV3),
    "3x3 convolution as residual": replace(_PAPER, residual=Residual.CONV3X3),
    "depthwise-pointwise residual": replace(_PAPER, residual=Residual.DW_PW),
}


def ablation(seeds: Sequence[int] = SEEDS, epochs: int = EPOCHS, say: Callable[[str], None] = lambda _: None) -> str:
    """A markdown table: parameters, and held-out accuracy in percent, mean and standard deviation over the seeds."""
    from ..flynet.counts import count_params
    from ..flynet.networks.flynet import build
    from ..flynet.training.classification import train_classifier

    train_set, held_out = digits(RESOLUTION, 1)
    lines = [f"| FlyNet 0.3x, {RESOLUTION}x{RESOLUTION} | parameters | held out, {len(seeds)} seeds |", "|---|---|---|"]
    for name, config in VARIANTS.items():
        found = []
        for seed in seeds:
            _, metrics = train_classifier(config, train_set, held_out, TrainingSettings(Recipe(epochs=epochs), seed))
            found.append(100 * metrics.accuracy)
            say(f"{name}, seed {seed}: {found[-1]:.2f} %")
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        lines.append(f"| {name} | {count_params(build(config, 0)):,} | {statistics.mean(found):.2f} ± {spread:.2f} % |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)  # sums in the same order on any number of cores
    print(ablation(say=lambda line: print(line, file=sys.stderr)), end="")
