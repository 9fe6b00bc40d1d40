"""From the bytes of an int8 `.tflite` to a planned, proven C library: every floor of the compiler, in order."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .build import DEFAULT_BUILD, Build
from .c_library import CLibrary
from .emit import emit, model_sha256
from .ir import Graph, Op
from .kernels.base import KernelCall
from .minimise.certificate import Certificate
from .minimise.minimise import Minimised, minimise
from .own_functions import network_instructions_per_byte, with_own_functions
from .passes.pipeline import run_passes
from .schedule.check_plan import check_plan
from .schedule.least_memory import may_lack_memory, require_memory
from .schedule.plan_memory import MemoryPlan
from .schedule.search import schedule
from .tflite_reader import read_tflite


@dataclass(frozen=True, eq=False)
class Compiled:
    """What each floor made: the graph as read (the judges' reference), as compiled, its kernel calls, plan and C.

    minimised    the graph as read without what was removed, before any pass
    certificate  what was removed and why
    """

    source_graph: Graph
    graph: Graph
    ops: tuple[Op, ...]
    calls: tuple[KernelCall, ...]
    plan: MemoryPlan
    library: CLibrary
    sha256: str
    minimised: Graph
    certificate: Certificate


def compile_tflite(data: bytes, name: str, build: Build = DEFAULT_BUILD) -> Compiled:
    """Read, check, optimise, plan and emit a model file; raises `BadModel`, `UnsupportedOperators` or `OverBudget`."""
    return compile_graph(read_tflite(data, name), model_sha256(data), build)


def require_possible(source: Graph, target: str) -> None:
    """Raise the `OverBudget` of `compile_graph` at once, where a look at the tensors' sizes is enough to fear it."""
    if may_lack_memory(source):
        require_memory(source, run_passes(minimise(source).graph), target)


def compile_graph(source: Graph, sha256: str, build: Build = DEFAULT_BUILD) -> Compiled:
    """Optimise, plan and emit a verified graph; `sha256` is that of the file which it came from.

    Raises `OverBudget` before any work on numbers where the network fits the memory of no chip.
    """
    minimised = minimise(source) if build.minimise else Minimised(source, Certificate())
    graph = run_passes(minimised.graph)
    require_memory(source, graph, build.target)
    made = schedule(graph, build)
    worth = network_instructions_per_byte(made.graph, made.ops, made.calls, build)
    made = replace(made, calls=with_own_functions(made.calls, build.level, worth))
    check_plan(made.plan, made.graph, made.calls)
    library = emit(made, build, sha256)
    floors = (source, made.graph, made.ops, made.calls, made.plan, library, sha256)
    return Compiled(*floors, minimised.graph, minimised.certificate)
