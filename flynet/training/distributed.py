"""Several processes as one: started by torchrun, they train what a single process would, to the rounding of sums.

A batch is split over the ranks, gradients are averaged (DistributedDataParallel), and batch normalization takes its statistics
over the whole batch, on gloo too (torch's own SyncBatchNorm needs a GPU).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ...errors import UsageError


def rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """The group that torchrun's environment describes; nothing where there is none."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def my_share(batch: int) -> slice:
    """This rank's images of a batch."""
    if batch % world_size():
        raise UsageError(f"a batch of {batch} cannot be split over {world_size()} processes alike")
    each = batch // world_size()
    return slice(rank() * each, (rank() + 1) * each)


def distribute(model: nn.Module) -> nn.Module:
    """The model for the forward pass: with one process itself, else wrapped, its batch normalization synchronised."""
    if world_size() == 1:
        return model
    for module in model.modules():
        if type(module) in _SYNCHRONISED:
            module.__class__ = _SYNCHRONISED[type(module)]
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")  # costs a copy of a small filter
    return DistributedDataParallel(model, forward_sync_buffers=False)


def undistribute(model: nn.Module) -> None:
    """Take back what `distribute` changed in the model's modules."""
    plain = {synchronised: kind for kind, synchronised in _SYNCHRONISED.items()}
    for module in model.modules():
        if type(module) in plain:
            module.__class__ = plain[type(module)]


def gathered(values: list[Any]) -> list[Any]:
    """Those of all processes, in the order of their ranks."""
    if world_size() == 1:
        return values
    parts: list[list[Any]] = [[] for _ in range(world_size())]
    dist.all_gather_object(parts, values)
    return [value for part in parts for value in part]


def summed(values: list[float], device: torch.device) -> list[float]:
    """Each value's sum over all processes."""
    if world_size() == 1:
        return values
    total = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return [float(value) for value in total]


class _SynchronisedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalization over the images of all processes; each has the same number of them."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float()  # sums of half precision overflow
        count = x.numel() // x.shape[1] * world_size()
        axes, across = (0, *range(2, x.dim())), (-1, *(1,) * (x.dim() - 2))
        mean = _sum_over_processes(values.sum(axes)) / count
        centred = values - mean.reshape(across)
        variance = _sum_over_processes((centred * centred).sum(axes)) / count
        with torch.no_grad():
            momentum = self.momentum or 0.0
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / max(1, count - 1)), momentum)
            self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.reshape(across) + self.bias.reshape(across)).to(x.dtype)


class SynchronisedBatchNorm1d(_SynchronisedBatchNorm, nn.BatchNorm1d):
    """Of vectors [N, C]."""


class SynchronisedBatchNorm2d(_SynchronisedBatchNorm, nn.BatchNorm2d):
    """Of maps [N, C, H, W]."""


_SYNCHRONISED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: SynchronisedBatchNorm1d,
    nn.BatchNorm2d: SynchronisedBatchNorm2d,
}


class _SumOverProcesses(torch.autograd.Function):
    """Each process' gradient counts in the input of every other, so the gradients are summed too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _sum_over_processes(x: Tensor) -> Tensor:
    found: Tensor = _SumOverProcesses.apply(x)  # type: ignore[no-untyped-call]
    return found
