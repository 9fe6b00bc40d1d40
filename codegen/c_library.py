"""What the emitter hands on: the texts of a C library, and the facts that those who build, run and judge it need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TraceRecord:
    """A tensor that the C materialises: where it lies in the arena right after kernel call `op_index` (-1: a graph input)."""

    op_index: int
    tensor: str
    offset_bytes: int
    size_bytes: int


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
    """A generated C library: `files` maps file names to texts; sizes in bytes."""

    name: str
    files: Mapping[str, str]
    arena_bytes: int
    ops: tuple[EmittedOp, ...]
    trace: tuple[TraceRecord, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    input_bytes: tuple[int, ...]
    output_bytes: tuple[int, ...]
