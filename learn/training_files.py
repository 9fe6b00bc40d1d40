"""The files of a training: the checkpoint, and beside it the best epoch's, what it needs to go on, its metrics and its curve."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputFailed
from ..report.learning_curve import learning_curve

_SUFFIX = ".pt"
_LOOKED_AT_BYTES = 1 << 16
_CHECKPOINT = b"flynet-tiny checkpoint"  # the first text in one, which a zip file holds as it is


@dataclass(frozen=True)
class TrainingFiles:
    """Where `--out` puts what: net.best.pt, net.pt.resume, net.jsonl and net.svg are beside net.pt.

    A file of another suffix keeps it, so that net-0.4 and net-0.5 have metrics of their own: net-0.4.jsonl.
    """

    out: Path

    @property
    def best(self) -> Path:
        return self.out.with_name(f"{self.out.stem}.best{self.out.suffix}")

    @property
    def resume(self) -> Path:
        return self.out.with_name(f"{self.out.name}.resume")

    @property
    def metrics(self) -> Path:
        return self._beside(".jsonl")

    @property
    def curve(self) -> Path:
        return self._beside(".svg")

    def _beside(self, suffix: str) -> Path:
        return self.out.with_suffix(suffix) if self.out.suffix == _SUFFIX else self.out.with_name(self.out.name + suffix)

    def require_writable(self) -> None:
        """`OutputFailed` before the training, not after it, also where a file is not of a training of ours."""
        try:
            if self.out.is_dir():
                raise OutputFailed(f"{self.out} is a folder; give the checkpoint a file's name, such as {self.out / 'net.pt'}")
            self.out.parent.mkdir(parents=True, exist_ok=True)
            probe = self.out.with_name(f".{self.out.name}.probe-{os.getpid()}")
            probe.touch()
            probe.unlink()
            for file in (self.out, self.best, self.resume, self.metrics, self.curve):
                if os.path.lexists(file) and not (file.is_file() and self._is_ours(file)):
                    raise OutputFailed(f"{file} is not of a training of ours; move it away, or choose another --out")
        except OSError as error:
            raise OutputFailed(f"cannot write {self.out}: {error.strerror}") from error

    def _is_ours(self, file: Path) -> bool:
        """Whether nothing is lost when it is replaced; what a training needs to go on is set aside, whatever it holds."""
        if file == self.resume:
            return True
        with file.open("rb") as stream:
            head = stream.read(_LOOKED_AT_BYTES)
        if not head:
            return True
        if file == self.curve:
            return head.startswith(b"<svg ") and b">epoch 1</text>" in head
        if file == self.metrics:
            return _is_metrics(head.partition(b"\n")[0])
        return _CHECKPOINT in head

    def write_metrics(self, history: Sequence[Mapping[str, float]]) -> None:
        """A line of JSON an epoch, and the learning curve; each file is replaced whole."""
        lines = "".join(json.dumps(dict(epoch)) + "\n" for epoch in history)
        for path, text in ((self.metrics, lines), (self.curve, learning_curve(history))):
            beside = path.with_name(f".{path.name}.part")
            try:
                beside.write_text(text, encoding="utf-8")
                os.replace(beside, path)
            except OSError as error:
                raise OutputFailed(f"cannot write {path}: {error.strerror}") from error
            finally:
                with suppress(OSError):
                    beside.unlink(missing_ok=True)


def set_aside(file: Path) -> bool:
    """Whether there was such a file; it is FILE.old from now on."""
    if not file.is_file():
        return False
    try:
        os.replace(file, f"{file}.old")
    except OSError as error:
        raise OutputFailed(f"cannot move {file} aside: {error.strerror}") from error
    return True


def _is_metrics(line: bytes) -> bool:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"epoch", "loss"} <= set(found)
