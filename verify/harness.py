"""The files that the verification harness (`firmware_templates/verify`) reads and writes, on the host and on a board."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..codegen.c_library import CLibrary
from ..errors import EmulationFailed

Values = npt.NDArray[np.integer]
InputSet = Mapping[str, npt.NDArray[np.generic]]

REQUEST = "request.bin"
RESULT = "result.bin"
_MAGIC = 0x544E4C46
_FLAG_TRACE, _FLAG_COUNT = 1, 2
_WORD = 4


@dataclass(frozen=True, eq=False)
class SetResult:
    """What the C computed from one set of inputs; arrays are flat.

    tensors          every tensor that the C materialises, by IR name, when tracing (outputs as the caller gets them, at the end);
                     else only the outputs
    op_instructions  instructions of every kernel call, when counting
    stack_bytes      how deep `<name>_invoke` went; 0 on the host
    """

    tensors: Mapping[str, Values]
    outputs: Mapping[str, Values]
    op_instructions: tuple[int, ...] | None
    stack_bytes: int


@dataclass(frozen=True)
class Request:
    """What a run of the harness shall do."""

    trace: bool = True
    count: bool = False

    @property
    def flags(self) -> int:
        return _FLAG_TRACE * self.trace | _FLAG_COUNT * self.count


def write_request(
    folder: Path, library: CLibrary, inputs: Sequence[InputSet], request: Request, begins: Sequence[bool] = ()
) -> None:
    """Write the request file: every input of every set must be of the library's type and size.

    begins  of each set, whether a library with state is reset before it; empty: before every one
    """
    with (folder / REQUEST).open("wb") as file:
        file.write(struct.pack("<3I", _MAGIC, request.flags, len(inputs)))
        for index, values in enumerate(inputs):
            if library.state_bytes:
                file.write(struct.pack("<I", begins[index] if begins else 1))
            for port in library.inputs:
                array = np.ascontiguousarray(values[port.name])
                if array.dtype != port.element or array.nbytes != port.size_bytes:
                    wanted = f"{port.element}[{port.size_bytes // np.dtype(port.element).itemsize}]"
                    raise ValueError(f"input {port.name} is {array.dtype}[{array.size}], the library takes {wanted}")
                file.write(array.tobytes())


def header_bytes() -> int:
    """Of the result file, before the first set."""
    return 4 * _WORD


def set_bytes(library: CLibrary, request: Request) -> int:
    """Of the result file, for each set of inputs."""
    traced = sum(record.size_bytes for record in library.trace) if request.trace else 0
    counted = _WORD * len(library.ops) if request.count else 0
    return traced + counted + sum(library.output_bytes) + _WORD


def read_result(folder: Path, library: CLibrary, num_sets: int, request: Request) -> tuple[SetResult, ...]:
    """Parse the result file; raises `EmulationFailed` when it is not whole."""
    path = folder / RESULT
    data = path.read_bytes() if path.exists() else b""
    expected = header_bytes() + num_sets * set_bytes(library, request) + _WORD
    if len(data) != expected:
        raise EmulationFailed(f"{library.name} ended early: {len(data):,} of {expected:,} result bytes")
    reader = _Reader(data)
    magic, num_ops, num_records, _ = reader.words(4)
    if (magic, num_ops, num_records) != (_MAGIC, len(library.ops), len(library.trace)):
        raise EmulationFailed(f"the results are not those of {library.name}")
    sets = tuple(_read_set(reader, library, request) for _ in range(num_sets))
    if reader.words(1) != (_MAGIC,):
        raise EmulationFailed(f"the results of {library.name} are not aligned with its trace records")
    return sets


def _read_set(reader: _Reader, library: CLibrary, request: Request) -> SetResult:
    tensors = (
        {record.tensor: reader.values(record.size_bytes, record.element) for record in library.trace} if request.trace else {}
    )
    op_instructions = reader.words(len(library.ops)) if request.count else None
    outputs = {port.name: reader.values(port.size_bytes, port.element) for port in library.outputs}
    (stack_bytes,) = reader.words(1)
    return SetResult(tensors | outputs, outputs, op_instructions, stack_bytes)


class _Reader:
    def __init__(self, data: bytes):
        self._data = data
        self._at = 0

    def words(self, count: int) -> tuple[int, ...]:
        values = struct.unpack_from(f"<{count}I", self._data, self._at)
        self._at += count * _WORD
        return values

    def values(self, size_bytes: int, element: str) -> Values:
        data = self._data[self._at : self._at + size_bytes]
        self._at += size_bytes
        return np.frombuffer(data, element)
