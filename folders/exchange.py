"""Two folders change places in one step, where the kernel can do that."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

# the kernel, the file system or the place cannot do it: two mounts, a mount point, a folder whose parent is read-only
CANNOT_EXCHANGE = frozenset(
    (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV, errno.EBUSY, errno.EROFS, errno.EACCES, errno.EPERM)
)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def exchange(one: Path, other: Path) -> None:
    """Each gets the other's name, at one moment. `OSError`, and nothing moved, where that is not possible."""
    function = _renameat2()
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(other))
    sys.audit("flynet_tiny.exchange", one, other)
    if function(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


@cache
def _renameat2() -> Any:
    """Linux' function, of the C library (glibc 2.28, musl 1.2)."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return function


def is_same_mount(one: Path, other: Path) -> bool:
    """Whether a rename between two folders stays in one mount; a bind mount of the same file system is another."""
    return _mount(one) == _mount(other)


def _mount(folder: Path) -> tuple[int, int]:
    """(device, the kernel's number of the mount, or 0 where it does not tell)."""
    descriptor = os.open(folder, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        device = os.fstat(descriptor).st_dev
        try:
            with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as info:
                words = info.read().split()
        except OSError:
            return device, 0
        return device, int(words[words.index("mnt_id:") + 1]) if "mnt_id:" in words else 0
    finally:
        os.close(descriptor)
