"""The scratch folder of an output folder: where it is written, how it takes its place, and what a killed process left of it.

It lies beside the destination, or inside it where a folder cannot be renamed: a mount point, a parent that is read-only, the
working folder. Beside, old and new change places in one step. Inside, files move one after the other, and the next run
finishes or undoes a move that was cut short. There is one scratch folder for each destination, so that it is the lock of two
writers as well. Besides the mark of `folders.scratch` it holds

    new       being written, with nothing of the user's in it
    swap      complete and about to change places with the destination; afterwards the old folder, to be removed
    old       inside only: what lay in the destination. With `new` beside it it moves back, else it is to be removed
    placing   inside only: complete and moving up
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputFailed
from .exchange import CANNOT_EXCHANGE, exchange, is_same_mount
from .manifest import MANIFEST, Kind
from .ownership import remove_ours, require_ours, shown
from .scratch import FolderLock, is_abandoned, is_marked, lock_folder, mark, remove_marked, remove_tree, sweep

_SCRATCH_NAMES = re.compile(r"\.flynet-tiny-[0-9a-f]{16}")
_PATIENCE_S = 0.5  # another process may look at a folder for a moment, to see whether it is abandoned
_CANNOT_MAKE = (errno.EACCES, errno.EPERM, errno.EROFS)


def scratch_name(place: Path) -> str:
    """One for each destination, and of a length that fits where the destination's own name does."""
    return f".flynet-tiny-{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]}"


@dataclass
class Placing:
    """A destination that is ours for as long as its locks are held; `new` is to be filled, with its manifest last."""

    place: Path
    scratch: Path
    name: str

    @property
    def new(self) -> Path:
        return self.scratch / "new"

    @property
    def is_inside(self) -> bool:
        return self.scratch.parent == self.place

    def commit(self, kind: Kind) -> None:
        """Bring `new` to its place. What lies there is looked at before it moves, and once more before it goes."""
        if not os.path.lexists(self.place):
            self._appear()
            return
        if self.place.is_symlink() or not self.place.is_dir():
            raise OutputFailed(f"{self.name} appeared while it was written; choose another --out")
        require_ours(self.place, self.name, kind, but=scratch_name(self.place))
        if self.is_inside or not self._exchange():
            self._move_in()

    def _appear(self) -> None:
        try:
            self.new.rename(self.place)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            raise OutputFailed(f"{self.name} appeared while it was written; choose another --out") from error

    def _exchange(self) -> bool:
        """Old and new change places in one step, and the old folder is removed; False where that is impossible."""
        swap = self.scratch / "swap"
        _dress(self.new, self.place.stat())
        self.new.rename(swap)
        try:
            exchange(swap, self.place)
        except OSError as error:
            swap.rename(self.new)
            if error.errno not in CANNOT_EXCHANGE:
                raise
            inner = self.place / scratch_name(self.place)
            self.scratch.rename(inner)
            self.scratch = inner
            return False
        try:
            remove_ours(swap, self.name)
        except OutputFailed:
            exchange(swap, self.place)
            raise
        return True

    def _move_in(self) -> None:
        """Everything old moves into the scratch folder, everything new out of it; a manifest never lies beside half a folder."""
        old, placing = self.scratch / "old", self.scratch / "placing"
        old.mkdir()
        if (self.place / MANIFEST).exists():
            os.rename(self.place / MANIFEST, old / MANIFEST)
        _move_all(self.place, old, but=self.scratch.name)
        try:
            require_ours(old, self.name)
        except OutputFailed:
            _move_all(old, self.place)
            old.rmdir()
            raise
        self.new.rename(placing)
        _finish(self.scratch, self.place, self.name)


def claim(place: Path, name: str, cleanup: contextlib.ExitStack) -> Placing:
    """Lock a destination and begin an empty `new` for it; `cleanup` gets what is to be undone when the work is over.

    Raises `OutputFailed` when another process writes there.
    """
    _make_parents(place, name, cleanup)
    is_there = place.is_dir()
    if is_there:
        cleanup.callback(_lock(place, name).close)
    sweep(place.parent, _SCRATCH_NAMES, _remove_leftover)
    inside, beside = place / scratch_name(place), place.parent / scratch_name(place)
    scratch = beside
    if is_there and (not is_same_mount(place, place.parent) or os.path.samefile(place, os.curdir)):
        scratch = inside
    try:
        lock = _claim_scratch(scratch, place, name)
    except OSError as error:
        if error.errno not in _CANNOT_MAKE or not is_there or scratch is inside:
            raise
        scratch = inside
        lock = _claim_scratch(scratch, place, name)
    placing = Placing(place, scratch, name)
    cleanup.callback(lock.close)
    cleanup.callback(lambda: _remove(placing.scratch, place, name))
    placing.new.mkdir()
    return placing


def recover(place: Path, name: str) -> None:
    """Finish or undo what a killed process left half-moved inside a destination."""
    inside = place / scratch_name(place)
    if os.path.lexists(inside):
        lock = _claim_scratch(inside, place, name)
        try:
            _remove(inside, place, name)
        finally:
            lock.close()


def require_idle(place: Path, name: str) -> None:
    """`OutputFailed` when another process writes to the destination at this moment."""
    for folder in (place, place.parent / scratch_name(place)):
        if folder.is_dir() and not folder.is_symlink():
            _lock(folder, name).close()


def _make_parents(place: Path, name: str, cleanup: contextlib.ExitStack) -> None:
    """Make the folders above the destination; those that stay empty go again."""
    missing = [parent for parent in place.parents if not os.path.lexists(parent)]

    def remove() -> None:
        for parent in missing:
            with contextlib.suppress(OSError):
                parent.rmdir()

    cleanup.callback(remove)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # of the kernel's own file systems
        raise OutputFailed(f"cannot write {name}: no folder can be made there; choose another --out") from error


def _lock(folder: Path, name: str) -> FolderLock:
    with contextlib.suppress(FileNotFoundError):
        lock = lock_folder(folder, _PATIENCE_S)
        if lock is not None:
            return lock
    raise OutputFailed(f"another flynet-tiny is writing {name}; wait for it, or choose another --out")


def _claim_scratch(scratch: Path, place: Path, name: str) -> FolderLock:
    """Make a scratch folder, or take that of a dead process and put right what it left; locked and marked."""
    while True:
        try:
            scratch.mkdir(0o700)
        except FileExistsError:
            pass
        except FileNotFoundError as error:  # the kernel's own file systems, or the folder above has gone
            raise OutputFailed(f"cannot write {name}: no folder can be made there; choose another --out") from error
        if not stat.S_ISDIR(scratch.lstat().st_mode):
            raise OutputFailed(f"{shown(scratch)} is in the way and not ours; move it away")
        try:
            lock = lock_folder(scratch, _PATIENCE_S)
        except FileNotFoundError:  # its owner was just removing it
            continue
        if lock is None:
            raise OutputFailed(f"another flynet-tiny is writing {name}; wait for it, or choose another --out")
        try:
            if not is_abandoned(scratch):
                raise OutputFailed(f"{shown(scratch)} is in the way and not ours; move it away")
            _tidy(scratch, place, name)
            if not is_marked(scratch):
                mark(scratch)
        except BaseException:
            lock.close()
            raise
        return lock


def _remove(scratch: Path, place: Path, name: str) -> None:
    _tidy(scratch, place, name)
    remove_marked(scratch)


def _remove_leftover(scratch: Path) -> None:
    """A scratch folder beside some other destination."""
    with contextlib.suppress(OutputFailed):
        _remove(scratch, scratch.parent, shown(scratch))


def _tidy(scratch: Path, place: Path, name: str) -> None:
    """Bring a scratch folder back to nothing but its mark: a move that was begun is finished or undone, old folders go.

    A folder that was swapped out goes only if all in it is ours.
    """
    new, old = scratch / "new", scratch / "old"
    if old.is_dir() and new.is_dir():
        _move_all(old, place)
        old.rmdir()
    if new.is_dir():
        remove_tree(new)
    _finish(scratch, place, name)
    swap = scratch / "swap"
    if swap.is_dir():
        remove_ours(swap, shown(swap))


def _finish(scratch: Path, place: Path, name: str) -> None:
    """The second half of `_move_in`, which may be done again after it was cut short."""
    old, placing = scratch / "old", scratch / "placing"
    if placing.is_dir():
        _move_all(placing, place)
        placing.rmdir()
    if old.is_dir():
        remove_ours(old, name)


def _move_all(source: Path, target: Path, but: str | None = None) -> None:
    """Move every entry, the manifest last; `OutputFailed` where the target has one of that name."""
    names = [entry for entry in os.listdir(source) if entry != but]
    for entry in sorted(names, key=lambda entry: (entry == MANIFEST, entry)):
        if os.path.lexists(target / entry):
            raise OutputFailed(f"{shown(target / entry)} is in the way of a file of ours; move it away")
        os.rename(source / entry, target / entry)


def _dress(folder: Path, like: os.stat_result) -> None:
    """Give a folder the mode, and where that is allowed the owner, of the one that it replaces."""
    if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
        with contextlib.suppress(PermissionError):
            os.chown(folder, like.st_uid, like.st_gid)
    os.chmod(folder, stat.S_IMODE(like.st_mode))
