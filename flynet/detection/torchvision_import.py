"""torchvision, where one that belongs to the installed torch is there."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ...errors import MismatchedTool, MissingTool

_EXTRA = "pip install 'flynet-tiny[detection]'"
_FITTING = "torchvision==0.28.0"  # the one for the pinned torch


def import_torchvision(module: str) -> Any:
    """`torchvision.MODULE`; MissingTool where torchvision is not installed, MismatchedTool where it is made for another torch.

    The operators (nms) of such a one cannot be registered, or it asks torch for what this one has not.
    """
    try:
        importlib.import_module("torchvision")
        return importlib.import_module(f"torchvision.{module}")
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "torchvision":
            raise MissingTool("torchvision", _EXTRA) from error
        lines = str(error).strip().splitlines()
        raise MismatchedTool(
            f"torchvision {_version('torchvision')} does not match torch {_version('torch')} "
            f"({lines[0] if lines else type(error).__name__}); install the one of the same kind (CPU or CUDA): "
            f"{_install(_version('torch'))}"
        ) from error


def _install(torch_version: str) -> str:
    """PyTorch keeps the builds of one kind together: 2.13.0+cpu is from its folder cpu."""
    kind = torch_version.partition("+")[2]
    index = f" --index-url https://download.pytorch.org/whl/{kind}" if kind else ""
    return f"pip install --force-reinstall --no-deps {_FITTING}{index}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of an unknown version"
