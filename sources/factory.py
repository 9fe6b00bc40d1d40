"""A torch module by the function that makes it, and its weights from a file that is never run. torch is imported inside."""

from __future__ import annotations

import importlib.util
import sys
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import BadCheckpoint, BadModel, FlynetError
from ..quoting import ForeignText, shorten, visible

if TYPE_CHECKING:
    import torch
    from torch import nn

_NESTED = ("state_dict", "model_state_dict", "model", "weights")  # where training loops keep the weights among other things
_PARALLEL = "module."
_SHOWN = 200
_SHOWN_NAMES = 3


def made_by(file: Path, factory: str) -> nn.Module:
    """What the function `factory` of a Python file makes; its code is run. One line says where it fails."""
    from torch import nn

    name = f"{file}:{factory}"
    code = _imported(file)
    make = getattr(code, factory, None)
    if make is None or not callable(make):
        own = [n for n, value in vars(code).items() if callable(value) and getattr(value, "__module__", "") == code.__name__]
        raise BadModel(f"{file} has no function {factory!r}; it has {', '.join(own[:10]) or 'none'}")
    try:
        module = make()
    except Exception as error:
        raise _failed(name, file, error) from error
    if not isinstance(module, nn.Module):
        raise BadModel(f"{name} gives a {type(module).__name__}, not a torch.nn.Module")
    return module.eval()


def _imported(file: Path) -> ModuleType:
    if not file.is_file():
        raise BadModel(f"{file} does not exist")
    spec = importlib.util.spec_from_file_location(f"_network_of_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise BadModel(f"{file} is not Python code")
    code = importlib.util.module_from_spec(spec)
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)  # for what lies beside it
    sys.modules[spec.name] = code
    try:
        spec.loader.exec_module(code)
    except Exception as error:
        raise _failed(str(file), file, error) from error
    finally:
        sys.path.remove(folder)
    return code


def _failed(name: str, file: Path, error: Exception) -> FlynetError:
    """The user's own mistake in one line, with the line of his file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    where = "" if line is None else f" in line {line}"
    return BadModel(f"{name} fails{where}: {type(error).__name__}: {_first_line(error)}")


def load_weights(module: nn.Module, file: Path, name: str) -> None:
    """Give a module the weights of a file of tensors; BadCheckpoint says in one line what does not fit.

    The file is read with `weights_only`: no code in it is run.
    """
    weights = _plain(_read(file))
    expected = module.state_dict()
    if not any(key.startswith(_PARALLEL) for key in expected) and all(key.startswith(_PARALLEL) for key in weights):
        weights = {key.removeprefix(_PARALLEL): value for key, value in weights.items()}
    problems = []
    missing = {key for key in set(expected) - set(weights) if not key.endswith("num_batches_tracked")}  # older files lack them
    for what, keys in (("lacks", sorted(missing)), ("has too much", sorted(set(weights) - set(expected)))):
        if keys:
            problems.append(f"{what}: {_list(keys)}")
    shapes = [key for key in expected if key in weights and weights[key].shape != expected[key].shape]
    if shapes:
        first = shapes[0]
        sizes = f"{first} is {list(weights[first].shape)}, the module's {list(expected[first].shape)}"
        problems.append(f"{sizes}{_more(shapes, 1)}")
    if problems:
        raise BadCheckpoint(f"{file} does not fit {name}: it {'; '.join(problems)}")
    bad = [key for key, value in weights.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if bad:
        raise BadCheckpoint(f"{file} holds values that are not finite: {_list(bad)}")
    try:
        module.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise BadCheckpoint(f"{file} does not fit {name}: {_first_line(error)}") from error


def _read(file: Path) -> Any:
    import torch

    if not file.is_file():
        raise BadCheckpoint(f"{file} {'is a folder' if file.is_dir() else 'does not exist'}; give a file of weights")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged zip or pickle makes torch raise
        raise BadCheckpoint(
            f"{file} is not a file of weights (it is read with weights_only, which runs no code in it); save one with "
            "torch.save(net.state_dict(), ...)"
        ) from error


def _plain(content: Any) -> dict[str, torch.Tensor]:
    import torch

    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    is_plain = isinstance(content, Mapping) and all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items()
    )
    if not is_plain or not content:
        raise BadCheckpoint("the file holds no weights by name; save them with torch.save(net.state_dict(), ...)")
    return dict(content)


def _list(keys: list[str]) -> str:
    return ", ".join(str(ForeignText(key)) for key in keys[:_SHOWN_NAMES]) + _more(keys, _SHOWN_NAMES)


def _more(keys: list[str], shown: int) -> str:
    return f" and {len(keys) - shown} more" if len(keys) > shown else ""


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shorten(visible(lines[0]), _SHOWN) if lines else type(error).__name__
