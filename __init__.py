"""flynet-tiny: from a trained network to proven C on a microcontroller.

>>> import flynet_tiny as ft
>>> sorted(name for name in dir(ft) if not name.startswith("_"))
['Check', 'Deployment', 'Normalize', 'check', 'compile', 'quantize', 'targets']

What is named here is imported when it is first used; torch only for a module.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.checking import Check
    from .api.deployment import Deployment
    from .api.python import Normalize, check, compile, quantize, targets

__version__ = "0.1.0"
__all__ = ["Check", "Deployment", "Normalize", "check", "compile", "quantize", "targets"]

_PLACES = {"Check": "api.checking", "Deployment": "api.deployment"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES.get(name, 'api.python')}", __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
