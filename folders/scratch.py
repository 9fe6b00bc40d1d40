"""Folders for passing work: locked while their process lives, recognised and removed by the next one when it was killed.

A folder is ours to remove when it belongs to this user, holds `MARKER` (an empty folder, made in one step) and nobody locks it:
the kernel takes a lock away with its process, however that ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

MARKER = "made by flynet-tiny, safe to delete"
_PREFIX = "flynet-tiny-"
_NAMES = re.compile(_PREFIX + r"[a-z0-9_]{8}")  # as tempfile.mkdtemp makes them
_REMOVALS = 20
_PAUSE_S = 0.05
_has_swept = False


class FolderLock:
    """An exclusive lock on a folder, held until it is closed or the process ends. It leaves nothing behind."""

    def __init__(self, descriptor: int):
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        """Let go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_folder(path: Path, patience_s: float = 0) -> FolderLock | None:
    """Lock a real folder, or None when another process has it all the time; `FileNotFoundError` when it is gone meanwhile."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    deadline = time.monotonic() + patience_s
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_PAUSE_S)
        if not os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            raise FileNotFoundError(f"{path} was replaced while it was locked")
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return FolderLock(descriptor)


def is_abandoned(path: Path) -> bool:
    """Whether a locked folder was made by us and may be removed: ours by owner, and marked (or empty: killed at its birth)."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return False
    return is_marked(path) or not os.listdir(path)


def is_marked(path: Path) -> bool:
    """Whether a folder says that it is ours."""
    return (path / MARKER).is_dir() and not (path / MARKER).is_symlink()


def mark(path: Path) -> None:
    """Say that a folder is ours, in one step."""
    os.mkdir(path / MARKER)


def remove_tree(path: Path) -> None:
    """Remove a folder of ours, also while a compiler whose parent was killed still writes into it."""
    for attempt in range(_REMOVALS):
        shutil.rmtree(path, ignore_errors=attempt + 1 < _REMOVALS)
        if not os.path.lexists(path):
            return
        time.sleep(_PAUSE_S)


def remove_marked(path: Path) -> None:
    """Remove a marked folder; the mark goes last, so that a removal cut short is finished by the next process."""
    for name in os.listdir(path):
        if name != MARKER:
            entry = path / name
            if stat.S_ISDIR(entry.lstat().st_mode):
                remove_tree(entry)
            else:
                entry.unlink()
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path / MARKER)
    os.rmdir(path)


class ScratchFolder:
    """A folder for temporary files, removed by `close`; a context manager. Leftovers of killed processes are swept once."""

    def __init__(self) -> None:
        _sweep_once()
        self.path: Path
        self._lock: FolderLock
        self._make()
        self._removal = weakref.finalize(self, _remove, self.path, self._lock)  # where nobody comes to `close`

    def _make(self) -> None:
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            try:
                lock = lock_folder(self.path)
            except FileNotFoundError:  # a sweeping process took it for a dead one's
                continue
            if lock is not None:
                self._lock = lock
                break
        mark(self.path)

    def close(self) -> None:
        """Remove it with everything in it."""
        self._removal()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _remove(path: Path, lock: FolderLock) -> None:
    with contextlib.suppress(FileNotFoundError):
        remove_marked(path)
    lock.close()


def _sweep_once() -> None:
    global _has_swept
    if not _has_swept:
        _has_swept = True
        sweep(Path(tempfile.gettempdir()))


def sweep(parent: Path, names: re.Pattern[str] = _NAMES, remove: Callable[[Path], None] = remove_marked) -> None:
    """Remove the scratch folders in `parent` whose processes are dead; whatever cannot be removed stays."""
    try:
        with os.scandir(parent) as entries:
            found = [Path(entry.path) for entry in entries if names.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for path in found:
        with contextlib.suppress(OSError):
            lock = lock_folder(path)
            if lock is None:
                continue
            try:
                if is_abandoned(path):
                    remove(path)
            finally:
                lock.close()
