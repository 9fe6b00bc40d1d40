"""flynet-tiny: from a trained network to proven C on a microcontroller.

>>> import flynet_tiny as ft
>>> sorted(name for name in dir(ft) if not name.startswith("_"))
['Check', 'Deployment', 'Normalize', 'check', 'compile', 'quantize', 'targets']

What is named here is imported when it is first used; torch only for a module.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PLACES = {  # of what is named here; those rooms import the version, so that none of them can be imported now
    "Check": "api.checking",
    "Deployment": "api.deployment",
    "Normalize": "api.python",
    "check": "api.python",
    "compile": "api.python",
    "quantize": "api.python",
    "targets": "api.python",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*_PLACES, "__version__"]
