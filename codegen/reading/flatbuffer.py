"""Bounds-checked reading of an untrusted FlatBuffer.

Every offset, vtable, vector and string is checked against the file in Python's unbounded integers before a byte of it is used;
anything outside raises `BadModel` with the place. Source of the layout: FlatBuffers' internals document.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import BadModel

_NUMBERS = {code: struct.Struct("<" + code) for code in "bBhHiIqQfd?"}
_UINT16, _INT32, _UINT32 = _NUMBERS["H"], _NUMBERS["i"], _NUMBERS["I"]

TFLITE_IDENTIFIER = b"TFL3"
MAX_STRING_BYTES = 4096  # of a name; the rest is for nobody to read


@dataclass(frozen=True)
class TableList:
    """A vector of tables, each followed when it is asked for: millions of entries may point to one table."""

    owner: Table
    start: int
    length: int
    what: str

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Table:
        if not 0 <= index < self.length:
            raise BadModel(f"{self.what} {index} is meant, but there are {self.length}")
        return self.owner.follow(self.start + 4 * index, f"{self.what} {index}")

    def __iter__(self) -> Iterator[Table]:
        return (self[i] for i in range(self.length))


@dataclass(frozen=True, slots=True)
class Table:
    """A table at `position` of `data`; fields are addressed by their slot in the schema.

    vtable, num_slots  where the offsets of the fields are, wholly inside the file, and how many
    """

    data: bytes
    position: int
    what: str  # for messages: "operator 3"
    vtable: int = 0
    num_slots: int = 0

    @staticmethod
    def root(data: bytes, identifier: bytes) -> Table:
        """The root table of a file that carries the given 4-byte identifier."""
        if len(data) < 16:
            raise BadModel(f"the file has {len(data)} bytes; it is truncated or no FlatBuffer at all")
        if data[4:8] != identifier:
            raise BadModel(f"this is not a .tflite file: its identifier is {data[4:8]!r}, not {identifier!r}")
        return Table(data, 0, "file").follow(0, "model")

    def _unpack(self, number: struct.Struct, at: int) -> int | float:
        if at < 0 or at + number.size > len(self.data):
            raise BadModel(
                f"{self.what}: offset {at} lies outside the file of {len(self.data)} bytes; it is truncated or corrupt"
            )
        value: int | float = number.unpack_from(self.data, at)[0]
        return value

    def _uint(self, at: int) -> int:
        return int(self._unpack(_UINT32, at))

    def follow(self, at: int, what: str) -> Table:
        """The table that the offset stored at `at` points to, its vtable checked."""
        position = at + self._uint(at)
        vtable = position - int(self._unpack(_INT32, position))
        size = int(self._unpack(_UINT16, vtable))
        if size < 4 or size % 2 or vtable + size > len(self.data):
            raise BadModel(f"{what}: its vtable is corrupt")
        return Table(self.data, position, what, vtable, size // 2 - 2)

    def _slot(self, slot: int) -> int | None:
        """The absolute position of a field's value, or None when the field is absent."""
        if slot >= self.num_slots:
            return None
        offset: int = _UINT16.unpack_from(self.data, self.vtable + 4 + 2 * slot)[0]
        return self.position + offset if offset else None

    def number(self, slot: int, code: str, default: float = 0) -> int | float:
        """A scalar field; `code` is struct's letter for its type."""
        at = self._slot(slot)
        return default if at is None else self._unpack(_NUMBERS[code], at)

    def integer(self, slot: int, code: str = "i", default: int = 0) -> int:
        """An integer field."""
        return int(self.number(slot, code, default))

    def table(self, slot: int, what: str) -> Table | None:
        """A table field, or None."""
        at = self._slot(slot)
        return None if at is None else self.follow(at, what)

    def _vector(self, slot: int, item_bytes: int) -> tuple[int, int] | None:
        """Start and length of a vector field, wholly inside the file."""
        at = self._slot(slot)
        if at is None:
            return None
        start = at + self._uint(at)
        length = self._uint(start)
        if start + 4 + length * item_bytes > len(self.data):
            raise BadModel(f"{self.what}: a list of {length} items runs past the end of the file; it is truncated or corrupt")
        return start + 4, length

    def tables(self, slot: int, what: str, limit: int | None = None) -> TableList:
        """A vector of tables; empty when absent. `BadModel` above the limit."""
        start, length = self._vector(slot, 4) or (0, 0)
        if limit is not None and length > limit:
            raise BadModel(f"{self.what} has {length} {what}s; at most {limit} are read")
        return TableList(self, start, length, what)

    def array(self, slot: int, dtype: str) -> npt.NDArray[np.generic]:
        """A vector of scalars as a read-only array; empty when absent."""
        item = np.dtype(dtype).newbyteorder("<")
        span = self._vector(slot, item.itemsize)
        if span is None:
            return np.zeros(0, item)
        return np.frombuffer(self.data, item, count=span[1], offset=span[0])

    def integers(self, slot: int, dtype: str = "i4", limit: int = 1 << 16) -> tuple[int, ...]:
        """A vector of integers; `BadModel` above the limit."""
        found = self.array(slot, dtype)
        if found.size > limit:
            raise BadModel(f"{self.what}: a list of {found.size} numbers, at most {limit} are read")
        return tuple(int(v) for v in found)

    def string(self, slot: int) -> str:
        """A string field, its first 4,096 bytes; bytes that are not UTF-8 are replaced."""
        return self.array(slot, "u1")[:MAX_STRING_BYTES].tobytes().decode("utf-8", "replace")
