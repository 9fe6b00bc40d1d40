"""Bounds-checked reading of an untrusted FlatBuffer.

Every offset, vtable, vector and string is checked against the file in Python's unbounded integers before a byte of it is used;
anything outside raises `BadModel` with the place. Source of the layout: FlatBuffers' internals document.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import BadModel


@dataclass(frozen=True)
class Table:
    """A table at `position` of `data`; fields are addressed by their slot in the schema."""

    data: bytes
    position: int
    what: str  # for messages: "operator 3"

    @staticmethod
    def root(data: bytes, identifier: bytes) -> Table:
        """The root table of a file that carries the given 4-byte identifier."""
        if len(data) < 16:
            raise BadModel(f"the file has {len(data)} bytes; it is truncated or no FlatBuffer at all")
        if data[4:8] != identifier:
            raise BadModel(f"the file's identifier is {data[4:8]!r}, a TFLite model has {identifier!r}")
        return Table(data, 0, "file")._follow(0, "model")

    def _unpack(self, code: str, at: int) -> int | float:
        size = struct.calcsize(code)
        if at < 0 or at + size > len(self.data):
            raise BadModel(
                f"{self.what}: offset {at} lies outside the file of {len(self.data)} bytes; it is truncated or corrupt"
            )
        value: int | float = struct.unpack_from("<" + code, self.data, at)[0]
        return value

    def _uint(self, at: int) -> int:
        return int(self._unpack("I", at))

    def _follow(self, at: int, what: str) -> Table:
        """The table that the offset stored at `at` points to, its vtable checked."""
        position = at + self._uint(at)
        table = Table(self.data, position, what)
        vtable = position - int(table._unpack("i", position))
        size = int(table._unpack("H", vtable))
        if size < 4 or size % 2 or vtable + size > len(self.data):
            raise BadModel(f"{what}: its vtable is corrupt")
        return table

    def _slot(self, slot: int) -> int | None:
        """The absolute position of a field's value, or None when the field is absent."""
        vtable = self.position - int(self._unpack("i", self.position))
        entry = 4 + 2 * slot
        if entry + 2 > int(self._unpack("H", vtable)):
            return None
        offset = int(self._unpack("H", vtable + entry))
        return self.position + offset if offset else None

    def number(self, slot: int, code: str, default: float = 0) -> int | float:
        """A scalar field; `code` is struct's letter for its type."""
        at = self._slot(slot)
        return default if at is None else self._unpack(code, at)

    def integer(self, slot: int, code: str = "i", default: int = 0) -> int:
        """An integer field."""
        return int(self.number(slot, code, default))

    def table(self, slot: int, what: str) -> Table | None:
        """A table field, or None."""
        at = self._slot(slot)
        return None if at is None else self._follow(at, what)

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

    def tables(self, slot: int, what: str) -> list[Table]:
        """A vector of tables; empty when absent."""
        span = self._vector(slot, 4)
        if span is None:
            return []
        return [self._follow(span[0] + 4 * i, f"{what} {i}") for i in range(span[1])]

    def array(self, slot: int, dtype: str) -> npt.NDArray[np.generic]:
        """A vector of scalars as a read-only array; empty when absent."""
        item = np.dtype(dtype).newbyteorder("<")
        span = self._vector(slot, item.itemsize)
        if span is None:
            return np.zeros(0, item)
        return np.frombuffer(self.data, item, count=span[1], offset=span[0])

    def integers(self, slot: int, dtype: str = "i4") -> tuple[int, ...]:
        """A vector of integers."""
        return tuple(int(v) for v in self.array(slot, dtype))

    def string(self, slot: int) -> str:
        """A string field; bytes that are no UTF-8 are replaced."""
        return self.array(slot, "u1").tobytes().decode("utf-8", "replace")
