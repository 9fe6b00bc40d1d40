"""Every mistake that a user can make, by name, with the next step in its message.

The exit code of the command line is a property of the error's class: 2 usage, 3 bad or unsafe model or data,
4 unsupported operator, 5 over budget, 6 numbers differ, 7 a needed external tool is missing.
Anything that is not a `FlynetError` is a bug of ours and exits with 1.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Self

_SHOWN_PROBLEMS = 20


class FlynetError(Exception):
    """A mistake with one clear line for the user; `exit_code` says which kind."""

    exit_code = 3

    def about(self, what: object) -> Self:
        """The same error with a message that begins with what it is about: a file's name."""
        self.args = (f"{what}: {self}",)
        return self


class UsageError(FlynetError):
    """An option or argument that cannot be meant."""

    exit_code = 2


class UnknownTarget(UsageError):
    """A target name that is not in the table of microcontrollers."""

    def __init__(self, name: str, known: Iterable[str]):
        known = list(known)
        near = get_close_matches(name, known, n=3, cutoff=0.4)
        advice = f"did you mean {' or '.join(near)}? " if near else ""
        super().__init__(f"unknown target {name!r}; {advice}'flynet-tiny targets' lists all")


class BadModel(FlynetError):
    """A model file that is truncated, inconsistent or unsafe to run."""


class LiteRtEnded(BadModel):
    """LiteRT ended its own process on a model; while it computes, that may be one input's doing."""


class BadCheckpoint(FlynetError):
    """A checkpoint that is missing, corrupt or of another network."""


class BadData(FlynetError):
    """Images, labels or folders that cannot be used."""


class Diverged(BadData):
    """A training whose loss or weights are no longer numbers; to go on with it would only repeat that."""


# what the operating system says of a place that is full or read-only, and of one that cannot be written for any other reason
NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS))
CANNOT_WRITE = NO_ROOM | {errno.EACCES, errno.EPERM, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP}


class OutputFailed(FlynetError):
    """The output folder cannot be written; nothing is left half-written."""


class Interrupted(FlynetError):
    """Stopped by Ctrl-C; the message says what was kept."""

    exit_code = 130


_WITHOUT_KERNEL = re.compile(r"(?:subgraph \d+ )?op \d+ (?P<kind>\w+).* has no kernel(?P<advice>(?: \(.*\))?)", re.DOTALL)


class UnsupportedOperators(FlynetError):
    """All operators of a model that no kernel covers, reported at once: `found` has all, the message the first of each kind
    with their number, twenty at most, and each advice once.

    besides  what else keeps the model from being compiled
    """

    exit_code = 4

    def __init__(self, found: Sequence[str], besides: str | None = None):
        self.found = tuple(found)
        head = f"{len(self.found)} unsupported operator{'s' if len(self.found) != 1 else ''}: "
        shown = _of_each_kind(self.found)
        more = f"; and {len(shown) - _SHOWN_PROBLEMS} more" if len(shown) > _SHOWN_PROBLEMS else ""
        super().__init__(head + "; ".join(shown[:_SHOWN_PROBLEMS]) + more + (f"; besides, {besides}" if besides else ""))


def _of_each_kind(found: Sequence[str]) -> list[str]:
    """The problems, of those that say the same of operators of one kind the first with their number; each advice once."""
    counts: dict[tuple[str, str], int] = {}
    first: dict[tuple[str, str], str] = {}
    for i, problem in enumerate(found):
        parts = _WITHOUT_KERNEL.fullmatch(problem)
        key = (parts["kind"], parts["advice"]) if parts else (str(i), "")
        counts[key] = counts.get(key, 0) + 1
        first.setdefault(key, problem)
    shown, said = [], {""}
    for (kind, advice), problem in first.items():
        text = problem if advice not in said else problem.removesuffix(advice)
        said.add(advice)
        shown.append(text if counts[kind, advice] == 1 else f"{counts[kind, advice]} {kind}, the first: {text}")
    return shown


class OverBudget(FlynetError):
    """The network needs more flash or RAM than the target has."""

    exit_code = 5


class NumbersDiffer(FlynetError):
    """Two runtimes disagree on a tensor; the first one is named."""

    exit_code = 6


class MissingTool(FlynetError):
    """An external program is not installed; the message says how to install it."""

    exit_code = 7

    def __init__(self, program: str, install: str):
        super().__init__(f"{program} is not installed; install it with: {install}")


class MismatchedTool(FlynetError):
    """What is installed does not fit together; the message says what to install instead."""

    exit_code = 7


class EmulationFailed(FlynetError):
    """The emulated board faulted, hung or ran out of stack; the message names the fault."""

    exit_code = 6


class MissingExtra(FlynetError):
    """Packages are not installed that only some commands need; the message names the extra that brings them."""

    exit_code = 7

    def __init__(self, packages: Sequence[str], extra: str):
        super().__init__(f"this command needs {', '.join(packages)}: pip install 'flynet-tiny[{extra}]'")
