"""Checkpoints: configuration, weights and metrics in one file, written whole or not at all, loaded without running code."""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import BadCheckpoint, OutputFailed, UsageError
from ..quoting import ForeignText, shorten, visible
from .networks.network_config import NetworkConfig
from .register import build_network, config_from_dict, config_to_dict

FORMAT = "flynet-tiny checkpoint"
VERSION = 2
_SHOWN_CHARACTERS = 200  # of what torch or a configuration says about a file

_UNREADABLE = (
    OSError,
    RuntimeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    struct.error,
)

Scalar = bool | int | float | str


@dataclass(frozen=True)
class Metadata:
    """What a checkpoint says besides the weights; `dataset` is "digits" or a folder's name."""

    config: NetworkConfig
    metrics: Mapping[str, Scalar] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    dataset: str = ""


def save_checkpoint(
    path: Path | str, model: torch.nn.Module, metadata: Metadata, training: Mapping[str, Any] | None = None
) -> None:
    """Write beside, then rename: whoever reads `path` finds the old file or the new one, whole.

    training  plain values and tensors from which an interrupted training goes on (`TrainingState.as_dict`)
    """
    path = Path(path)
    weights = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": config_to_dict(metadata.config),
        "weights": weights,
        "sha256": _digest(weights),
        "metrics": dict(metadata.metrics),
        "class_names": list(metadata.class_names),
        "dataset": metadata.dataset,
    } | ({} if training is None else {"training": dict(training)})
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
    except (OSError, RuntimeError) as error:  # torch's zip writer says RuntimeError when the disk is full
        raise OutputFailed(f"cannot write checkpoint {path}: {_line(error)}") from error
    finally:  # where it was not renamed: Ctrl-C too
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def load_checkpoint(path: Path | str) -> tuple[torch.nn.Module, Metadata]:
    """The network in inference mode with its weights, and what the file says about it. BadCheckpoint names the file."""
    return _network(path, _read(Path(path)))


def load_interrupted(path: Path | str) -> tuple[torch.nn.Module, Metadata, Mapping[str, Any]]:
    """The same, and what `save_checkpoint` was given as `training`."""
    content = _read(Path(path))
    training = content.get("training")
    if not isinstance(training, Mapping):
        raise BadCheckpoint(f"{path} holds no interrupted training")
    return (*_network(path, content), training)


def _network(path: Path | str, content: Mapping[str, Any]) -> tuple[torch.nn.Module, Metadata]:
    try:
        config = config_from_dict(content["config"])
        weights = content["weights"]
        metrics, names = _metrics(content["metrics"]), _class_names(content["class_names"], config)
        metadata = Metadata(config, metrics, names, _text(content["dataset"]))
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise BadCheckpoint(f"{path} is a checkpoint, but its content is damaged: {_line(error)}") from error
    model = build_network(config, seed=0)
    _check_weights(path, config.name, model, weights)
    if _digest(weights) != content.get("sha256"):
        raise BadCheckpoint(f"{path} is damaged: its weights are not those that were saved")
    model.load_state_dict(weights)
    return model.eval(), metadata


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise BadCheckpoint(f"checkpoint {path} {found}; make one with 'flynet-tiny train'")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch tells of foreign pickles, which are refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        # what unpickling says is about its inside, or advises to load the file without the guard
        why = _line(error) if isinstance(error, (OSError, RuntimeError)) else "it is damaged, or of another program"
        raise BadCheckpoint(f"{path} is not a whole checkpoint ({path.stat().st_size} bytes): {why}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        first = ", ".join(str(_shown(key)) for key in list(content)[:3]) if isinstance(content, dict) else ""
        found = f"keys {first}" if first else f"a {type(content).__name__}"
        raise BadCheckpoint(f"{path} is not a flynet-tiny checkpoint: found {found}")
    if content.get("version") != VERSION:
        version = _shown(content.get("version"))
        raise BadCheckpoint(f"{path} has checkpoint version {version}, this program reads {VERSION}; train again")
    return content


def _check_weights(path: Path | str, name: str, model: torch.nn.Module, weights: object) -> None:
    if not (isinstance(weights, Mapping) and all(isinstance(key, str) for key in weights)):
        raise BadCheckpoint(f"{path} holds no weights")
    expected = model.state_dict()
    for missing in sorted(set(expected) - set(weights)):
        raise BadCheckpoint(f"{path} says {name}, but has no tensor {missing!r}: its weights are of another network")
    for extra in sorted(set(weights) - set(expected)):
        raise BadCheckpoint(f"{path} says {name}, but has a tensor {ForeignText(extra)!r}: its weights are of another network")
    for key, tensor in expected.items():
        found = weights[key]
        if not isinstance(found, torch.Tensor) or found.layout is not torch.strided or found.device.type != "cpu":
            kind = f"{found.layout} on {found.device}" if isinstance(found, torch.Tensor) else type(found).__name__
            raise BadCheckpoint(f"{path}: tensor {key!r} is not a plain tensor but {kind}")
        if found.shape != tensor.shape or found.dtype != tensor.dtype:
            raise BadCheckpoint(f"{path}: tensor {key!r} is {_kind(found)}, {name} needs {_kind(tensor)}")
        if found.is_floating_point() and not bool(found.isfinite().all()):
            raise BadCheckpoint(f"{path}: tensor {key!r} holds values that are not finite")


def _digest(weights: Mapping[str, torch.Tensor]) -> str:
    """torch.load lets flipped bits in the weights pass."""
    digest = hashlib.sha256()
    for name, tensor in weights.items():
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return shorten(visible(text[0]), _SHOWN_CHARACTERS) if text else type(error).__name__


def _shown(value: object) -> ForeignText:
    """A value of the file for a message; the text of a large object is not asked for."""
    return ForeignText(str(value) if isinstance(value, str | float | bool) else _small(value))


def _small(value: object) -> str:
    return str(value) if isinstance(value, int) and abs(value) < 2**64 else f"a {type(value).__name__}"


def _kind(tensor: torch.Tensor) -> str:
    return f"{tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"


def _class_names(value: object, config: NetworkConfig) -> tuple[str, ...]:
    """One for each class, or none at all."""
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise TypeError("its class names are not a list of texts")
    if value and len(value) != config.classes:
        raise ValueError(f"it has {len(value)} class names for {config.classes} classes")
    return tuple(value)


def _metrics(value: object) -> dict[str, Scalar]:
    if not isinstance(value, Mapping) or not all(isinstance(k, str) and isinstance(v, Scalar) for k, v in value.items()):
        raise TypeError("its metrics are not plain values by name")
    return dict(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("the name of its data is not text")
    return value
