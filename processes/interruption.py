"""Ctrl-C, SIGTERM and SIGHUP: each unwinds the command, so that everything that it began is cleaned up."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_IMPATIENT = 3  # so many signals end the process at once

_received: list[int] = []
_shields = 0
_is_raised = False


def install() -> None:
    """Let the signals raise KeyboardInterrupt in the main thread; those that the parent had ignored (nohup) stay ignored."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _on_signal)


def exit_code() -> int:
    """128 and the number of the first signal, as shells count; 130 for Ctrl-C."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def is_received() -> bool:
    """Whether a signal asked for the end; a library that is just being loaded may make an error of its own of it."""
    return bool(_received)


@contextmanager
def shielded() -> Iterator[None]:
    """The body is not interrupted: a signal that comes meanwhile acts at its end."""
    global _shields
    _shields += 1
    try:
        yield
    finally:
        _shields -= 1
        if not _shields and _received and not _is_raised:
            _interrupt()


def _on_signal(number: int, _: FrameType | None) -> None:
    """The first signal interrupts; while that is being cleaned up a second one is ignored, and a third ends everything."""
    _received.append(number)
    if len(_received) >= _IMPATIENT:
        os._exit(exit_code())
    if not _shields and not _is_raised:
        _interrupt()


def _interrupt() -> None:
    global _is_raised
    _is_raised = True
    raise KeyboardInterrupt
