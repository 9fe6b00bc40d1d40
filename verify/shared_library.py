"""The C library loaded into this process, to be called: for users who want its answers, not for proofs, which run apart."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..codegen.c_library import CLibrary
from ..errors import EmulationFailed
from ..firmware.toolchain import Tool, find_tool, require_tools, start_tool
from ..folders.scratch import ScratchFolder

Array = npt.NDArray[Any]
_ARENA_ALIGN = 64


class SharedLibrary:
    """A compiled library with an arena of its own. A network with state keeps it from one run to the next until `reset`."""

    def __init__(self, library: CLibrary):
        require_tools(Tool.HOST_COMPILER)
        self.library = library
        self._scratch = ScratchFolder()
        folder = self._scratch.path
        for name, text in library.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        sources = sorted(name for name in library.files if name.endswith(".c"))
        flags = ["-std=c11", "-O2", "-fPIC", "-shared"]
        start_tool([find_tool(Tool.HOST_COMPILER), *flags, *sources, "-o", folder / "library.so"], folder).wait()
        self._code = ctypes.CDLL(str(folder / "library.so"))
        self._memory = np.zeros(library.arena_bytes + _ARENA_ALIGN, np.uint8)
        begin = -self._memory.ctypes.data % _ARENA_ALIGN
        self._arena = self._memory[begin : begin + library.arena_bytes]
        self._context = ctypes.c_void_p()  # its only member is the arena's address
        arguments = (
            ctypes.byref(self._context),
            self._arena.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(library.arena_bytes),
        )
        self._call("init", *arguments)

    def reset(self) -> None:
        """Give the state its start values."""
        if self.library.state_bytes:
            self._call("reset", ctypes.byref(self._context))

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of one inference, flat, by name; each input must be of the port's type and size."""
        for index, port in enumerate(self.library.inputs):
            values = np.ascontiguousarray(inputs[port.name])
            if values.dtype != port.element or values.nbytes != port.size_bytes:
                raise ValueError(f"input {port.name} is {values.dtype} of {values.nbytes} bytes, not {port.size_bytes}")
            ctypes.memmove(self._place("input", index), values.ctypes.data, port.size_bytes)
        self._call("invoke", ctypes.byref(self._context))
        return {
            port.name: np.frombuffer(ctypes.string_at(self._place("output", index), port.size_bytes), port.element).copy()
            for index, port in enumerate(self.library.outputs)
        }

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._code, f"{self.library.name}_{name}")(*arguments)
        if status != 0:
            raise EmulationFailed(f"{self.library.name}_{name} on the host gives the status {status}")

    def _place(self, name: str, index: int) -> int:
        function = getattr(self._code, f"{self.library.name}_{name}")
        function.restype = ctypes.c_void_p
        place = function(ctypes.byref(self._context), index)
        assert place, f"{name} {index}"
        return int(place)
