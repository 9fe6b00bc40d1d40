"""The functions of one value that `pointwise` knows by name, in torch: for tables in double, and for gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor


def _clipped(attributes: Mapping[str, float], x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


def _selu(attributes: Mapping[str, float], x: Tensor) -> Tensor:
    alpha, gamma = attributes.get("alpha", 1.67326319217681884765625), attributes.get("gamma", 1.05070102214813232421875)
    return gamma * torch.where(x > 0, x, alpha * torch.expm1(torch.minimum(x, torch.zeros_like(x))))


def _celu(attributes: Mapping[str, float], x: Tensor) -> Tensor:
    alpha = attributes.get("alpha", 1.0)
    return x.clamp(min=0) + (alpha * torch.expm1(x / alpha)).clamp(max=0)


def _shrink(attributes: Mapping[str, float], x: Tensor) -> Tensor:
    bias, bound = attributes.get("bias", 0.0), attributes.get("lambd", 0.5)
    return torch.where(x < -bound, x + bias, torch.where(x > bound, x - bias, torch.zeros_like(x)))


def _plain(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda attributes, x: function(x)


def _pair(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda attributes, a, b: function(a, b)


_TABLES: Mapping[str, Callable[..., Tensor]] = {
    "Abs": _plain(torch.abs),
    "Acos": _plain(torch.acos),
    "Asin": _plain(torch.asin),
    "Atan": _plain(torch.atan),
    "Ceil": _plain(torch.ceil),
    "Celu": _celu,
    "Cos": _plain(torch.cos),
    "Elu": lambda attributes, x: torch.where(x > 0, x, attributes.get("alpha", 1.0) * torch.expm1(x.clamp(max=0))),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Floor": _plain(torch.floor),
    "Gelu": lambda attributes, x: F.gelu(x, approximate="tanh" if attributes.get("tanh") else "none"),
    "Log": _plain(torch.log),
    "Mish": _plain(F.mish),
    "Neg": _plain(torch.neg),
    "PRelu": lambda attributes, x, slope: torch.where(x >= 0, x, x * slope),
    "Reciprocal": _plain(torch.reciprocal),
    "Round": _plain(torch.round),
    "Selu": _selu,
    "Shrink": _shrink,
    "Sign": _plain(torch.sign),
    "Sin": _plain(torch.sin),
    "Softplus": _plain(F.softplus),
    "Softsign": _plain(F.softsign),
    "Sqrt": _plain(torch.sqrt),
    "Tan": _plain(torch.tan),
    "ThresholdedRelu": lambda attributes, x: torch.where(x > attributes.get("alpha", 1.0), x, torch.zeros_like(x)),
}
FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {
    **_TABLES,
    "Add": _pair(torch.add),
    "Clip": _clipped,
    "Div": _pair(torch.div),
    "HardSigmoid": lambda attributes, x: (attributes.get("alpha", 0.2) * x + attributes.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": _plain(F.hardswish),
    "LeakyRelu": lambda attributes, x: torch.where(x >= 0, x, attributes.get("alpha", 0.01) * x),
    "Max": _pair(torch.maximum),
    "Min": _pair(torch.minimum),
    "Mul": _pair(torch.mul),
    "Pow": _pair(torch.pow),
    "Relu": _plain(torch.relu),
    "Sigmoid": _plain(torch.sigmoid),
    "Sub": _pair(torch.sub),
    "Tanh": _plain(torch.tanh),
}
