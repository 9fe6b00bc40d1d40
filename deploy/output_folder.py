"""An output folder that appears whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputFailed

MARKER = "report.json"  # every folder that we made holds one
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


@contextmanager
def output_folder(destination: Path, marker: str = MARKER) -> Iterator[Path]:
    """A scratch folder beside `destination`, renamed to it when the body ends well and removed when it does not.

    A folder of ours (one that holds `marker`) at the destination is replaced; any other folder or file there is left alone.
    Raises `OutputFailed` when the place cannot be written, also when the disk is full half-way.
    """
    destination = destination.absolute()
    require_replaceable(destination, marker)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    except OSError as error:
        raise OutputFailed(f"cannot write beside {destination}: {error.strerror or error}") from error
    try:
        scratch.chmod(0o755)
        yield scratch
        _swap(scratch, destination)
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        raise OutputFailed(f"cannot write {destination}: {error.strerror}; nothing was kept") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def require_replaceable(destination: Path, marker: str = MARKER) -> None:
    """Raise `OutputFailed` when something that is not ours lies at the destination, or no folder can be made there.

    Worth asking before long work.
    """
    if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
        raise OutputFailed(f"{destination} exists and is no folder; choose another --out")
    if destination.is_dir() and any(destination.iterdir()) and not (destination / marker).is_file():
        raise OutputFailed(f"{destination} holds files that are not ours (no {marker}); choose another --out")
    beside = next(place for place in destination.absolute().parents if os.path.lexists(place))
    if not beside.is_dir():
        raise OutputFailed(f"cannot write {destination}: {beside} is no folder; choose another --out")
    if not os.access(beside, os.W_OK | os.X_OK):
        raise OutputFailed(f"cannot write in {beside}; choose another --out")


def _swap(scratch: Path, destination: Path) -> None:
    if not destination.exists():
        scratch.rename(destination)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{destination.name}.old.", dir=destination.parent))
    destination.rename(old / "folder")
    try:
        scratch.rename(destination)
    except OSError:
        (old / "folder").rename(destination)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
