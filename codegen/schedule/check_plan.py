"""The independent checker of a memory plan: byte by byte in time, without the planner's code or its notion of distance."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import Graph, Variable
from ..kernels.base import KernelCall, RowSchedule
from .lifetimes import is_free, scratch_name
from .plan_memory import MemoryPlan


class PlanError(AssertionError):
    """A plan that would overwrite bytes which are still needed."""


def check_plan(plan: MemoryPlan, graph: Graph, calls: Sequence[KernelCall]) -> None:
    """Raise `PlanError` unless every tensor still holds its bytes whenever a kernel call reads it.

    The program is replayed: the arena is a list of spans, each owned by the tensor last written there. Writing takes bytes
    away from their owners; reading demands that the owner still has all of them. Inside one call, an output may take bytes of
    an input only in the way that the kernel promised, which is replayed step by step. A variable's bytes belong to its value
    before the inference, then to that behind it, never to anything else.
    """
    owner: dict[str, tuple[int, int]] = {}
    roots: dict[str, str] = {}
    for op in graph.ops:
        if is_free(op.kind):
            roots[op.output] = roots.get(op.inputs[0], op.inputs[0])

    def root(name: str) -> str:
        return roots.get(name, name)

    variables: list[tuple[Variable, tuple[int, int], int]] = []
    for variable in graph.variables:
        start, size_bytes = plan.tensor_offset(variable.before), graph.tensor(variable.before).size_bytes
        whole = start + graph.tensor(variable.around or variable.before).size_bytes
        variables.append((variable, (start, start + size_bytes), whole))

    def write(name: str, size: int, offset: int, index: int) -> None:
        if offset < 0 or offset + size > plan.arena_bytes:
            raise PlanError(f"call {index}: {name} leaves the arena")
        for variable, (start, _), end in variables:
            own = (variable.before, root(variable.after), variable.around)
            if start < offset + size and offset < end and name not in own:
                raise PlanError(f"call {index}: {name} overwrites variable {variable.before}")
        for other in [o for o, (start, end) in owner.items() if start < offset + size and offset < end]:
            del owner[other]
        owner[name] = (offset, offset + size)

    for name in graph.given:
        write(name, graph.tensor(name).size_bytes, plan.tensor_offset(name), -1)
    if len(owner) != len(graph.given):
        raise PlanError("graph inputs and variables overlap")
    for index, call in enumerate(calls):
        inputs = {root(name): name for name in call.inputs}
        for name in inputs:
            if name not in owner:
                raise PlanError(f"call {index} reads {name}, whose bytes were overwritten")
        spans = {name: owner[name] for name in inputs}
        if call.stays is not None and spans[root(call.stays)][0] != plan.tensor_offset(call.outputs[0]):
            raise PlanError(f"call {index}: {call.stays} must lie where {call.outputs[0]} begins")
        if call.scratch_bytes:
            offset = plan.offsets[scratch_name(index)]
            _require_apart((offset, offset + call.scratch_bytes), spans, f"scratch of call {index}")
            write(scratch_name(index), call.scratch_bytes, offset, index)
        for place, name in enumerate(call.outputs):
            start = plan.tensor_offset(name)
            span = (start, start + graph.tensor(name).size_bytes)
            for source, source_span in spans.items():
                if span[0] < source_span[1] and source_span[0] < span[1]:
                    _require_promised(call, place, inputs[source], span, source_span, index)
            if call.scratch_bytes and scratch_name(index) not in owner:
                raise PlanError(f"call {index}: its output overwrites its scratch")
            write(name, span[1] - span[0], start, index)
            missing = [
                other
                for other in (*call.outputs[:place], *([scratch_name(index)] if call.scratch_bytes else []))
                if other not in owner
            ]
            if missing:
                raise PlanError(f"call {index}: {name} overwrites {missing[0]}")
        owner.pop(scratch_name(index), None)
    for name in graph.outputs:
        if root(name) not in owner and not graph.tensor(name).is_constant:
            raise PlanError(f"graph output {name} is overwritten before the end")
    for variable, span, end in variables:
        if owner.get(root(variable.after)) != span:
            raise PlanError(f"variable {variable.before} does not have its next value {variable.after} at the end")
        if end > plan.state_bytes:
            raise PlanError(f"variable {variable.before} lies beyond the {plan.state_bytes} bytes of the arena that are kept")


def _require_apart(span: tuple[int, int], spans: dict[str, tuple[int, int]], what: str) -> None:
    for name, (start, end) in spans.items():
        if span[0] < end and start < span[1]:
            raise PlanError(f"{what} overlaps input {name}")


def _require_promised(
    call: KernelCall, place: int, source: str, span: tuple[int, int], source_span: tuple[int, int], index: int
) -> None:
    """An output that overlaps an input must do so as the kernel's promise allows, at every step."""
    if call.in_place.get(call.outputs[place]) == source and span == source_span:
        return
    promise = call.sharing.get(source) if place == 0 else None
    if promise is None:
        raise PlanError(f"call {index}: output {call.outputs[place]} overlaps input {source} without a promise")
    if isinstance(promise, RowSchedule):
        for written, needed_from in zip(promise.write_end, promise.read_begin, strict=True):
            if promise.from_end:
                reaches = span[1] - written < source_span[1] - needed_from
            else:
                reaches = span[0] + written > source_span[0] + needed_from
            if reaches and needed_from < source_span[1] - source_span[0]:
                raise PlanError(
                    f"call {index}: output byte {written} overwrites input {source} at {needed_from}, still to be read"
                )
    elif span[0] != source_span[0]:
        raise PlanError(f"call {index}: output {call.outputs[place]} may lie on {source} only at the same place")
