"""Variables before the search: which values must be copied, and which assignments cost nothing.

A variable's value of before is copied where it is needed behind the assignment: as an output, or as another variable's value.
Everything else that reads it can come first, since nothing waits for an assignment. And an assignment is free where the operator
that makes the next value can write it where the variable lies: whoever reads the value of before has done so by then, or is that
operator itself and its kernel takes the bytes before it overwrites them.
"""

from __future__ import annotations

from dataclasses import replace

from ..build import Build
from ..ir import TABLE_KINDS, ConcatAttrs, Graph, Op, OpKind, SliceAttrs, Variable
from ..kernels import select
from ..kernels.base import RowSchedule, SamePlace
from ..verify_graph import verify_graph
from .lifetimes import is_free, views

_ONE_PLACE = frozenset({OpKind.ADD, OpKind.SUB, OpKind.MUL, OpKind.MAXIMUM, OpKind.MINIMUM, *TABLE_KINDS})
"""Kernels that promise the same place whatever row bands the search gives them."""


def settle_variables(graph: Graph, build: Build) -> tuple[Graph, ...]:
    """The graph with a READ_VARIABLE, which copies, where one is needed, and a free RESHAPE for each needless ASSIGN_VARIABLE.

    A second one where variables are the begin of a CONCATENATION and the next values its end: there these grow in place, which
    moves fewer bytes and mostly takes less memory.
    """
    if not graph.variables:
        return (graph,)
    settled = verify_graph(_assign_in_place(_keep_first_values(graph), build))
    rings = _rings(settled)
    return (settled,) if rings is settled else (settled, verify_graph(rings))


def _rings(graph: Graph) -> Graph:
    for variable in graph.variables:
        found = _ring(graph, variable)
        if found is None:
            continue
        joined, taken = found
        root = views(graph)
        last = [op for op in graph.ops if root.get(op.output, op.output) == taken.output]
        assert isinstance(joined.attrs, ConcatAttrs)
        stays = replace(joined, attrs=replace(joined.attrs, first_stays=True))
        ops = (*(stays if op is joined else op for op in graph.ops if op not in last), *last)
        variables = (replace(v, around=joined.output) if v is variable else v for v in graph.variables)
        graph = replace(graph, ops=ops, variables=tuple(variables))
    return graph


def _ring(graph: Graph, variable: Variable) -> tuple[Op, Op] | None:
    """The CONCATENATION that begins with a variable's value and has one reader that makes the next one, and this reader."""
    root = views(graph)
    taken = graph.producer(root.get(variable.after, variable.after))
    if taken is None or not isinstance(taken.attrs, SliceAttrs) or any(stride != 1 for stride in taken.attrs.strides):
        return None
    whole = root.get(taken.inputs[0], taken.inputs[0])
    joined = graph.producer(whole)
    if joined is None or not isinstance(joined.attrs, ConcatAttrs) or whole != joined.output:
        return None
    begins = root.get(joined.inputs[0], joined.inputs[0]) == variable.before
    if not begins or any(size != 1 for size in graph.tensor(whole).shape[: joined.attrs.axis]):
        return None
    ends = {root.get(v.after, v.after) for v in graph.variables}

    def readers(name: str) -> list[Op]:
        return [op for op in graph.ops if not is_free(op.kind) for given in op.inputs if root.get(given, given) == name]

    others = [op for op in readers(whole) if op is not taken]
    alone = readers(variable.before) == [joined] and not readers(taken.output)
    shown = {root.get(name, name) for name in graph.outputs} & {whole, taken.output, variable.before}
    return (joined, taken) if alone and not shown and not any(op.output in ends for op in others) else None


def _keep_first_values(graph: Graph) -> Graph:
    root = views(graph)
    assigned_from = {op.output: op.inputs[0] for op in graph.ops if op.kind is OpKind.ASSIGN_VARIABLE}
    needed = {root.get(name, name) for name in (*graph.outputs, *assigned_from.values())}
    variables, copies, tensors = [], [], {}
    for variable in graph.variables:
        shown = variable.before
        if variable.after != shown and shown in needed:
            kept = next(name for i in range(len(graph.tensors) + 1) if (name := f"{shown}_kept{i or ''}") not in graph.tensors)
            tensors[kept] = replace(graph.tensor(shown), name=kept, source_index=None)
            copies.append(Op(OpKind.READ_VARIABLE, (kept,), (shown,)))
            variable = replace(variable, before=kept)
        variables.append(variable)
    return replace(graph, variables=tuple(variables)).with_ops((*copies, *graph.ops), tensors)


def _assign_in_place(graph: Graph, build: Build) -> Graph:
    for variable in graph.variables:
        assign = graph.producer(variable.after)
        if assign is not None and assign.kind is OpKind.ASSIGN_VARIABLE and _needs_no_copy(assign, variable.before, graph, build):
            free = replace(assign, kind=OpKind.RESHAPE)
            graph = replace(graph, ops=tuple(free if op is assign else op for op in graph.ops))
    return graph


def _needs_no_copy(assign: Op, before: str, graph: Graph, build: Build) -> bool:
    root = views(graph)
    source = root.get(assign.inputs[0], assign.inputs[0])
    producer = graph.producer(source)
    taken = {root.get(variable.after, variable.after) for variable in graph.variables}
    if producer is None or source in taken:
        return False
    ahead = True
    for op in graph.ops:
        reads = not is_free(op.kind) and any(root.get(name, name) == before for name in op.inputs)
        if op is producer:
            ahead = False
            if reads and not _may_overwrite(op, before, graph, build):
                return False
        elif reads and not ahead:
            return False
    return True


def _may_overwrite(op: Op, before: str, graph: Graph, build: Build) -> bool:
    """Whether a kernel's output may lie where one of its inputs, which shows the variable's value, does."""
    if op.kind not in _ONE_PLACE or len(op.outputs) > 1:
        return False
    root = views(graph)
    call = select(op, graph, build)
    places = [name for name in call.inputs if root.get(name, name) == before]
    promise = call.sharing.get(places[0]) if len(places) == 1 else None
    if isinstance(promise, RowSchedule):
        return not promise.from_end and promise.min_distance_bytes == 0
    return isinstance(promise, SamePlace)
