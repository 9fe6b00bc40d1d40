"""What the emitter hands on: the texts of a C library, and the facts that those who build, run and judge it need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TraceRecord:
    """A tensor that the C materialises: where it lies in the arena right after kernel call `op_index`.

    -1 is before the first: graph inputs and variables.

    element  NumPy's name of the element type
    """

    op_index: int
    tensor: str
    offset_bytes: int
    size_bytes: int
    element: str


@dataclass(frozen=True)
class LibraryPort:
    """An input or an output of a library; `element` is NumPy's name of its element type."""

    name: str
    size_bytes: int
    element: str


@dataclass(frozen=True)
class EmittedOp:
    """One kernel call of `<name>_invoke`, in order."""

    index: int
    name: str
    kind: str
    function: str
    macs: int


@dataclass(frozen=True)
class CLibrary:
    """A generated C library: `files` maps file names to texts; sizes in bytes; `optimize` names its level.

    state_bytes  of the arena's begin, which the library keeps from one inference to the next; with any, it has `<name>_reset`
    """

    name: str
    files: Mapping[str, str]
    arena_bytes: int
    ops: tuple[EmittedOp, ...]
    trace: tuple[TraceRecord, ...]
    inputs: tuple[LibraryPort, ...]
    outputs: tuple[LibraryPort, ...]
    optimize: str = "balanced"
    state_bytes: int = 0

    @property
    def input_bytes(self) -> tuple[int, ...]:
        return tuple(port.size_bytes for port in self.inputs)

    @property
    def output_bytes(self) -> tuple[int, ...]:
        return tuple(port.size_bytes for port in self.outputs)
