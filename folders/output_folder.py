"""An output folder that appears whole or not at all, and replaces nothing but what we wrote."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import CANNOT_WRITE, OutputFailed
from ..processes.interruption import shielded
from .manifest import Kind, write_manifest
from .ownership import require_ours, shown
from .placing import claim, recover, require_idle, scratch_name


@contextmanager
def output_folder(destination: Path, kind: Kind) -> Iterator[Path]:
    """An empty folder, which becomes `destination` when the body ends well and is removed when it does not.

    An empty folder at the destination is filled, one of ours and of this kind is replaced; anything else is left alone.
    Raises `OutputFailed` when the place cannot be written, also when the disk is full half-way, or when another process
    writes there.
    """
    name = shown(destination)
    try:
        place = _resolved(destination)
        _require_replaceable(place, kind, name)
        cleanup = contextlib.ExitStack()
        try:
            with shielded():
                placing = claim(place, name, cleanup)
            yield placing.new
            write_manifest(placing.new, kind)
            with shielded():
                placing.commit(kind)
        finally:
            with shielded():
                cleanup.close()
    except OSError as error:
        if error.errno not in CANNOT_WRITE:
            raise
        raise OutputFailed(f"cannot write {name}: {error.strerror}; nothing was kept") from error


def require_replaceable(destination: Path, kind: Kind) -> None:
    """Raise `OutputFailed` when something that is not ours lies at the destination, or no folder can be made there.

    Worth asking before long work. What a killed process left half-moved in the destination is put right first.
    """
    name = shown(destination)
    try:
        place = _resolved(destination)
        with shielded():
            _require_replaceable(place, kind, name)
            require_idle(place, name)
    except OSError as error:
        raise OutputFailed(f"cannot write {name}: {error.strerror}; choose another --out") from error


def _resolved(destination: Path) -> Path:
    """Absolute; links in the way are followed, the last part is kept as it is."""
    dangling = next((parent for parent in destination.parents if parent.is_symlink() and not _exists(parent.resolve())), None)
    if dangling is not None:
        raise OutputFailed(f"cannot write {shown(destination)}: {shown(dangling)} is a link to nowhere; choose another --out")
    try:
        if destination.name in ("", ".."):
            return Path(os.path.realpath(destination))
        return Path(os.path.realpath(destination.parent)) / destination.name
    except FileNotFoundError as error:  # of os.getcwd
        raise OutputFailed("the working folder is gone; change to another one") from error


def _require_replaceable(place: Path, kind: Kind, name: str) -> None:
    if place.is_symlink():
        raise OutputFailed(f"{name} is a symbolic link; give the folder itself, or choose another --out")
    if not _exists(place):
        beside = next(parent for parent in place.parents if _exists(parent))
        if not beside.is_dir():
            raise OutputFailed(f"cannot write {name}: {shown(beside)} is not a folder; choose another --out")
        if not os.access(beside, os.W_OK | os.X_OK):
            raise OutputFailed(f"cannot write in {shown(beside)}; choose another --out")
        return
    if not place.is_dir():
        raise OutputFailed(f"{name} exists and is not a folder; choose another --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputFailed(f"cannot write in {name}; choose another --out")
    recover(place, name)
    require_ours(place, name, kind, but=scratch_name(place))


def _exists(path: Path) -> bool:
    """Whether anything has this name; `OSError` for a name that is too long, or a folder that cannot be looked into."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
