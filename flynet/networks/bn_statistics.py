"""Running statistics of batch normalization: how fast they follow, and their estimate once the weights stand still."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...errors import BadData


def set_bn_momentum(model: nn.Module, momentum: float) -> None:
    for norm in _norms(model):
        norm.momentum = momentum


def estimate_bn_statistics(model: nn.Module, batches: Iterable[npt.NDArray[np.float32] | Tensor]) -> None:
    """Set every BN's running statistics to the plain mean over these images; the model is left in inference mode.

    After training the running averages lag behind the weights; an untrained network has none at all. Each batch counts by
    its number of images; a single image left over at the end is passed over, since a BN on 1x1 maps has nothing to compare.
    """
    norms = _norms(model)
    momenta = [norm.momentum for norm in norms]
    device = next(model.parameters()).device
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    seen = 0
    with torch.no_grad():
        for batch in batches:
            images = torch.as_tensor(batch).to(device)
            if len(images) == 1 and seen:
                continue
            seen += len(images)
            for norm in norms:
                norm.momentum = len(images) / seen
            _run_for_statistics(model, images)
    model.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    if not seen:
        raise BadData("BN statistics cannot be estimated from no image")


def _norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def _run_for_statistics(model: nn.Module, images: Tensor) -> None:
    try:
        model(images)
    except ValueError as error:  # torch: "Expected more than 1 value per channel when training"
        if len(images) > 1:
            raise
        raise BadData("BN statistics cannot be estimated from a single image at this resolution; give at least 2") from error
