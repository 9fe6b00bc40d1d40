"""When each piece of arena memory must hold its bytes.

A `Buffer` is one tensor with all its free RESHAPEs (they share its bytes), a variable (its value before and after an inference
and all tensors that show one of the two), or the scratch of one kernel call. Times are indices of kernel calls: a graph input is
live from -1, a graph output until the number of calls, a variable from -1 until the number of calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..ir import Graph, Op, OpKind
from ..kernels.base import KernelCall, Sharing


@dataclass(frozen=True, eq=False)
class Buffer:
    """`size_bytes` that are live from kernel call `first` to kernel call `last`, both included."""

    name: str
    size_bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Sharable:
    """The buffer `output` is born in the kernel call in which `source` dies, and may share its memory."""

    output: str
    source: str
    sharing: Sharing


@dataclass(frozen=True)
class Lifetimes:
    """All buffers of a program, which tensor lies in which buffer, who may share, and which are variables, never shared."""

    buffers: tuple[Buffer, ...]
    buffer_of: Mapping[str, str]
    sharable: tuple[Sharable, ...]
    variables: tuple[Buffer, ...] = ()


def scratch_name(call_index: int) -> str:
    """The name of a kernel call's scratch buffer; no tensor has a colon in its name."""
    return f"scratch:{call_index}"


def is_free(kind: OpKind) -> bool:
    """Operators that need no kernel: their output is their input's bytes."""
    return kind is OpKind.RESHAPE


def views(graph: Graph) -> Mapping[str, str]:
    """Of each free operator's output: the tensor whose bytes it shows."""
    found: dict[str, str] = {}
    for op in graph.ops:
        if is_free(op.kind):
            found[op.output] = found.get(op.inputs[0], op.inputs[0])
    return found


def views_of(graph: Graph) -> Mapping[str, tuple[Op, ...]]:
    """Of each tensor that free operators show again, at once or through others: these operators, each behind its source.

    Depth first: the first operator that reads the tensor, all that follows from it, then the second.
    """
    root = views(graph)
    readers: dict[str, list[Op]] = {}
    for op in graph.ops:
        if is_free(op.kind):
            readers.setdefault(op.inputs[0], []).append(op)
    found: dict[str, tuple[Op, ...]] = {}
    for name in readers:
        if name not in root:
            ordered, waiting = [], readers[name][::-1]
            while waiting:
                ordered.append(waiting.pop())
                waiting += readers.get(ordered[-1].output, [])[::-1]
            found[name] = tuple(ordered)
    return found


def lifetimes(graph: Graph, calls: Sequence[KernelCall]) -> Lifetimes:
    """The buffers of a graph whose operators, free ones left out, are computed by `calls` in order."""
    shown = views(graph)
    variable_of = {shown.get(variable.after, variable.after): variable.before for variable in graph.variables}
    around = {variable.around: variable.before for variable in graph.variables if variable.around is not None}
    variable_of |= around
    buffer_of: dict[str, str] = {name: name for name in graph.given}
    for call in calls:
        buffer_of.update({name: variable_of.get(name, name) for name in call.outputs})
    buffer_of.update({name: variable_of.get(root, root) for name, root in shown.items()})

    first = {buffer_of[name]: -1 for name in graph.given}
    last = dict(first)
    for index, call in enumerate(calls):
        for name in call.outputs:
            first.setdefault(buffer_of[name], index)
            last[buffer_of[name]] = index
        for name in call.inputs:
            last[buffer_of[name]] = index
    for name in graph.results:
        if name in buffer_of:  # a constant lies in flash
            last[buffer_of[name]] = len(calls)

    size_bytes = {name: graph.tensor(name).size_bytes for name in first}
    size_bytes |= {before: graph.tensor(name).size_bytes for name, before in around.items()}
    buffers = [Buffer(name, size_bytes[name], first[name], last[name]) for name in first]
    buffers += [Buffer(scratch_name(i), call.scratch_bytes, i, i) for i, call in enumerate(calls) if call.scratch_bytes]
    kept = {variable.before for variable in graph.variables}
    sharable = tuple(
        Sharable(call.outputs[0], buffer_of[name], sharing)
        for index, call in enumerate(calls)
        if buffer_of[call.outputs[0]] not in kept
        for name, sharing in call.sharing.items()
        if last[buffer_of[name]] == index and last[call.outputs[0]] >= index and _read_once(call, buffer_of, name)
    )
    return Lifetimes(tuple(buffers), buffer_of, sharable, tuple(buffer for buffer in buffers if buffer.name in kept))


def _read_once(call: KernelCall, buffer_of: Mapping[str, str], name: str) -> bool:
    """Whether only one of a call's inputs lies in the buffer of `name` (x * x reads it twice: then each promise covers half)."""
    return sum(buffer_of[other] == buffer_of[name] for other in call.inputs) == 1
