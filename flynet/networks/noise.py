"""Quantization as regularization: activations on a few uniform levels while training, in place of Dropout."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn


class QuantizationNoise(nn.Module):
    """Round to q uniform levels between the minimum and maximum of the batch, in all processes; the gradient passes through.

    q need not be a power of two. Inference is the identity.
    """

    def __init__(self, levels: int):
        super().__init__()
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        exact = x.detach()
        low, high = _extremes(exact)
        step = ((high - low) / (self.levels - 1)).clamp_min(1e-12)
        rounded = ((exact - low) / step).round() * step + low
        return rounded + (x - exact)


def _extremes(values: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest and the largest value in all processes."""
    if not (dist.is_available() and dist.is_initialized()):
        return values.amin(), values.amax()
    found = torch.stack((-values.amin(), values.amax()))
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return -found[0], found[1]
