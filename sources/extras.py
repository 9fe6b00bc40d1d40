"""The packages that only training and export need: the extra `torch`."""

from __future__ import annotations

from importlib.util import find_spec

from ..errors import MissingExtra

# by the names that are imported and that are installed
_TORCH = {"torch": "torch", "onnx_ir": "onnx_ir", "onnxscript": "onnxscript", "sklearn": "scikit-learn"}


def require_torch() -> None:
    """MissingExtra, naming what is missing; nothing is imported."""
    missing = [package for module, package in _TORCH.items() if find_spec(module) is None]
    if missing:
        raise MissingExtra(missing, "torch")
