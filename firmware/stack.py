"""The deepest that a firmware's stack can go: frame sizes and calls, from the compiler and from the linked code.

Frames come from gcc's `.ci` files (-fcallgraph-info=su); functions of the C library, which have none, are read from their
disassembly. Calls are the union of those in the `.ci` files and of those in the disassembly of the ELF.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from .toolchain import Tool, find_tool, run_tool

_NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "[^"]*\\n(\d+) bytes \((\w+)', re.MULTILINE)
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', re.MULTILINE)
_FUNCTION = re.compile(r"^[0-9a-f]{8} <([^>]+)>:$")
_BRANCH = re.compile(r"\t(?:bl|b|b\.w|b\.n|bl\.w|cbn?z)\t.*<([^>+]+)>")
_PUSH = re.compile(r"\t(?:push|stmdb|vpush)(?:\.w)?\t(?:sp!, )?\{([^}]*)\}")
_SUB_SP = re.compile(r"\tsub(?:w|\.w)?\tsp, (?:sp, )?#(\d+)")
_STORE_DOWN = re.compile(r"\tstrd?(?:\.w)?\t.*\[sp, #-(\d+)\]!")
_INDIRECT_CALL = re.compile(r"\tblx\tr\d+|\tbx\t(?!lr)")
EXCEPTION_FRAME_BYTES = 108  # 26 words with the FPU's, and the alignment
INDIRECT = "__indirect_call"


@dataclass(frozen=True)
class StackBound:
    """The deepest chain of calls from a root. Interrupts add their own: the firmware enables none.

    bound_bytes   None when there is no bound; `problem` says why (recursion, a call by pointer, a frame of unknown size)
    """

    bound_bytes: int | None
    path: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True)
class CallGraph:
    """Function -> bytes of its frame (None: not known at compile time), and function -> what it calls."""

    frames: Mapping[str, int | None]
    calls: Mapping[str, frozenset[str]]

    def bound(self, root: str) -> StackBound:
        """The deepest chain from `root`."""
        if root not in self.frames:
            return StackBound(None, (root,), f"{root} is not in the firmware")
        return self._bound(root, (), {})

    def _bound(self, function: str, above: tuple[str, ...], known: dict[str, StackBound]) -> StackBound:
        if function in known:
            return known[function]
        path = (*above, function)
        if function in above:
            return StackBound(None, path, f"recursion: {' -> '.join(path[above.index(function) :])}")
        if function == INDIRECT:
            return StackBound(None, path, f"{above[-1]} calls by pointer")
        frame = self.frames.get(function)
        if frame is None:
            return StackBound(None, path, f"the frame of {function} is not known")
        below_bytes = 0
        below_path: tuple[str, ...] = ()
        for callee in sorted(self.calls.get(function, frozenset())):
            below = self._bound(callee, path, known)
            if below.bound_bytes is None:
                return below
            if below.bound_bytes > below_bytes or not below_path:
                below_bytes, below_path = below.bound_bytes, below.path
        known[function] = StackBound(frame + below_bytes, (function, *below_path))
        return known[function]


class Linked(Protocol):
    """An ELF, and the folder with the objects that it was linked from and their `.ci` files."""

    @property
    def elf(self) -> Path: ...

    @property
    def objects(self) -> Path: ...


def stack_bound(graph: CallGraph) -> StackBound:
    """The bound of a whole firmware: its run from reset to exit with one exception's frame on top, so that a fault is named.

    The fault handler starts over at the top of the stack.
    """
    run, fault = graph.bound("reset"), graph.bound("fault_report")
    if run.bound_bytes is None or fault.bound_bytes is None:
        return run if run.bound_bytes is None else fault
    run = replace(run, bound_bytes=run.bound_bytes + EXCEPTION_FRAME_BYTES)
    return max(run, fault, key=lambda bound: bound.bound_bytes or 0)


def stack_bound_bytes(firmware: Linked, function: str) -> tuple[int, int]:
    """`stack_bound` of a firmware that we generated, and the bound of one function of it; having none would be a bug of ours."""
    graph = read_call_graph(firmware.elf, firmware.objects)
    bounds = stack_bound(graph), graph.bound(function)
    for bound in bounds:
        assert bound.bound_bytes is not None, f"the generated firmware has no stack bound: {bound.problem}"
    return bounds[0].bound_bytes or 0, bounds[1].bound_bytes or 0


def read_call_graph(elf: Path, objects: Path) -> CallGraph:
    """Frames and calls of everything that was linked."""
    objdump = str(find_tool(Tool.CROSS_COMPILER)).removesuffix("gcc") + "objdump"
    frames, calls = _from_disassembly(run_tool([objdump, "-d", "--no-show-raw-insn", elf.absolute()], elf.parent))
    compiled: dict[str, int | None] = {}
    for path in sorted(objects.glob("*.ci")):
        text = path.read_text(encoding="utf-8")
        for title, size, kind in _NODE.findall(text):
            name = _plain(title)
            frame = int(size) if kind in ("static", "bounded") else None
            earlier = compiled.get(name, 0)  # static functions of several files may share a name: the larger frame counts
            compiled[name] = None if frame is None or earlier is None else max(frame, earlier)
        for source, callee in _EDGE.findall(text):
            if _plain(source) in frames and (callee == INDIRECT or _plain(callee) in frames):
                calls.setdefault(_plain(source), set()).add(_plain(callee))
    merged = {name: compiled.get(name, frame) for name, frame in frames.items()}
    return CallGraph(merged, {name: frozenset(callees) for name, callees in calls.items()})


def _plain(title: str) -> str:
    """A function's name without the file that gcc puts before static ones."""
    return title.rpartition(":")[2]


def _from_disassembly(text: str) -> tuple[dict[str, int | None], dict[str, set[str]]]:
    """Frames as far as the pushes say, and calls and jumps to other functions."""
    frames: dict[str, int | None] = {}
    calls: dict[str, set[str]] = {}
    function = ""
    for line in text.splitlines():
        if header := _FUNCTION.match(line):
            function = header.group(1)
            frames[function] = 0
        elif function:
            frames[function] = (frames[function] or 0) + _frame_growth(line)
            if (branch := _BRANCH.search(line)) and branch.group(1) != function:
                calls.setdefault(function, set()).add(branch.group(1))
            elif branch and "\tbl\t" in line:
                calls.setdefault(function, set()).add(function)
            elif _INDIRECT_CALL.search(line):
                calls.setdefault(function, set()).add(INDIRECT)
    return frames, calls


def _frame_growth(line: str) -> int:
    """Bytes that an instruction takes from the stack."""
    if push := _PUSH.search(line):
        if "stmdb" in line and "sp!" not in line:
            return 0
        return sum(_register_bytes(part.strip()) for part in push.group(1).split(","))
    if down := _SUB_SP.search(line) or _STORE_DOWN.search(line):
        return int(down.group(1))
    return 0


def _register_bytes(part: str) -> int:
    """Bytes of r4, d8 or a range such as r4-r7."""
    low, _, high = part.partition("-")
    count = int(re.sub(r"\D", "", high)) - int(re.sub(r"\D", "", low)) + 1 if high else 1
    return count * (8 if part.startswith("d") else 4)
