"""The zoo in torch and calibrated, for the tests that simulate and fine-tune it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from flynet_tiny.export.tflite_export import CalibratedNetwork

from .zoo import Zoo, calibrated


@pytest.fixture(scope="module")
def zoo() -> nn.Module:
    torch.manual_seed(0)
    return Zoo().eval()


@pytest.fixture(scope="module")
def network(zoo: nn.Module) -> CalibratedNetwork:
    return calibrated(zoo)
