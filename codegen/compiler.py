"""From the bytes of an int8 `.tflite` to a planned, proven C library: every floor of the compiler, in order."""

from __future__ import annotations

from dataclasses import dataclass

from .c_library import CLibrary
from .check_plan import check_plan
from .emit import emit, model_sha256
from .ir import Graph, Op
from .kernels import select_kernel
from .kernels.base import KernelCall
from .kernels.effort import BALANCED, Effort
from .lifetimes import is_free, lifetimes
from .passes.pipeline import run_passes
from .plan_memory import MemoryPlan, plan_memory
from .tflite_reader import read_tflite


@dataclass(frozen=True, eq=False)
class Compiled:
    """What each floor made: the graph as read (the judges' reference), as compiled, its kernel calls, plan and C."""

    source_graph: Graph
    graph: Graph
    ops: tuple[Op, ...]
    calls: tuple[KernelCall, ...]
    plan: MemoryPlan
    library: CLibrary
    sha256: str


def compile_tflite(data: bytes, name: str, target: str = "any", effort: Effort = BALANCED) -> Compiled:
    """Read, check, optimise, plan and emit a model file; raises `BadModel` or `UnsupportedOperators`."""
    return compile_graph(read_tflite(data, name), model_sha256(data), target, effort)


def compile_graph(source: Graph, sha256: str, target: str = "any", effort: Effort = BALANCED) -> Compiled:
    """Optimise, plan and emit a verified graph; `sha256` is that of the file which it came from."""
    graph = run_passes(source)
    ops = tuple(op for op in graph.ops if not is_free(op.kind))
    calls = tuple(select_kernel(op, graph, effort) for op in ops)
    plan = plan_memory(lifetimes(graph, calls))
    check_plan(plan, graph, calls)
    return Compiled(source, graph, ops, calls, plan, emit(graph, ops, calls, plan, sha256, target), sha256)
