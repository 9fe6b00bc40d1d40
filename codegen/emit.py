"""Kernel calls and a memory plan to the texts of a C library.

Python decides names, sizes and order; the templates hold layout. The same input gives the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jinja2
import numpy as np
import numpy.typing as npt

from .. import __version__
from ..quoting import ForeignText, c_comment, c_string, code_finalize
from . import c_format
from .build import DEFAULT_BUILD, Build
from .c_library import CLibrary, EmittedOp, LibraryPort, TraceRecord
from .functions import LayerCall, OperandTypes, layer_calls, with_helpers
from .intrinsics import intrinsics
from .ir import FileEnd, Graph, Op, Tensor, Variable, file_inputs, file_outputs, macs, works_on_int16
from .kernels.base import C_TYPES, KernelCall
from .schedule.lifetimes import scratch_name, views_of
from .schedule.plan_memory import ARENA_ALIGN_BYTES, MemoryPlan
from .schedule.search import Schedule


@dataclass(frozen=True)
class Constant:
    """An array in flash, shared by all layers that hold the same values."""

    name: str
    c_type: str
    count: int
    size_bytes: int
    text: str


@dataclass(frozen=True)
class Layer:
    """One call in `<name>_invoke` with its const data."""

    index: int
    comment: str
    struct: str
    data_name: str
    initialisers: tuple[str, ...]
    statement: str
    end_bytes: int


@dataclass(frozen=True)
class Port:
    """A graph input or output as the header shows it; `constant` names the array in flash of an output that never changes."""

    macro: str
    tensor: Tensor
    end: FileEnd
    offset_bytes: int
    scale: str
    shape: str
    constant: str = ""


@dataclass(frozen=True)
class StartValue:
    """The bytes of a variable after a reset: `constant` names their array in flash, empty where all of them are `fill`."""

    name: ForeignText
    shape: str
    offset_bytes: int
    size_bytes: int
    fill: int
    constant: str = ""


class _Constants:
    """Arrays in flash, each made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, bytes], Constant] = {}

    def all(self) -> list[Constant]:
        return list(self._made.values())

    def name(self, values: npt.NDArray[np.integer], wanted_name: str) -> str:
        key = (values.dtype.name, values.tobytes())
        if key not in self._made:
            self._made[key] = Constant(wanted_name, c_format.c_type(values), values.size, values.nbytes, c_format.c_array(values))
        return self._made[key].name


def template_environment() -> jinja2.Environment:
    """Jinja with the project's templates; undefined names are errors."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__ or "codegen", "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=code_finalize,
    )
    environment.filters |= {"c_comment": c_comment, "c_string": c_string}
    environment.filters["tidy"] = c_format.tidy
    return environment


def emit(made: Schedule, build: Build, sha256: str) -> CLibrary:
    """The C library of a scheduled graph; `sha256` is that of the model file."""
    graph, plan = made.graph, made.plan
    prefix, macro = f"{graph.name}_", graph.name.upper()
    environment = template_environment()
    constants = _Constants()
    types = [_operand_types(call, graph) for call in made.calls]
    bound = layer_calls(made.calls, types, build.level, prefix, environment)
    functions = with_helpers(bound)
    layers = [_layer(i, made, layer, constants) for i, layer in enumerate(bound)]
    given, results = zip(graph.inputs, file_inputs(graph), strict=True), zip(graph.outputs, file_outputs(graph), strict=True)
    inputs = [_port(f"{macro}_INPUT{i}", graph.tensor(n), end, plan, constants) for i, (n, end) in enumerate(given)]
    outputs = [_port(f"{macro}_OUTPUT{i}", graph.tensor(n), end, plan, constants) for i, (n, end) in enumerate(results)]
    start_values = [_start_value(i, variable, graph, plan, constants) for i, variable in enumerate(graph.variables)]
    trace = _trace(graph, made.calls, plan)
    view = {
        "name": graph.name,
        "prefix": prefix,
        "macro": macro,
        "version": __version__,
        "version_number": version_number(__version__),
        "sha256": sha256,
        "target": build.target,
        "arithmetic": "int16x8" if any(works_on_int16(op, graph) for op in graph.ops) else "int8",
        "command": f"Made by{_command(graph.name, build)}",
        "arena_bytes": plan.arena_bytes,
        "arena_align": ARENA_ALIGN_BYTES,
        "state_bytes": plan.state_bytes,
        "start_values": start_values,
        "inputs": inputs,
        "outputs": outputs,
        "input_type": _common_type(inputs),
        "output_type": _common_type(outputs),
        "layers": layers,
        "structs": [function.struct for function in functions if function.struct],
        "functions": functions,
        "intrinsics": intrinsics(environment, [function.text for function in functions]),
        "constants": constants.all(),
        "trace": trace,
    }
    files = {
        f"{graph.name}{suffix}": c_format.within_width(environment.get_template(f"model{suffix}.j2").render(view))
        for suffix in (".h", ".c", "_weights.h", "_weights.c")
    }
    emitted = tuple(
        EmittedOp(i, op.output, op.kind_name, layer.function.name, macs(op, graph))
        for i, (op, layer) in enumerate(zip(made.ops, bound, strict=True))
    )
    return CLibrary(
        graph.name,
        files,
        plan.arena_bytes,
        emitted,
        trace,
        tuple(LibraryPort(p.tensor.name, p.tensor.size_bytes, p.tensor.dtype.value) for p in inputs),
        tuple(LibraryPort(p.tensor.name, p.tensor.size_bytes, p.tensor.dtype.value) for p in outputs),
        build.level.name,
        plan.state_bytes,
    )


def _command(name: str, build: Build) -> str:
    """What makes the library again from the folder that it lies in, where `model.tflite` is beside it; C for any core is made
    by calling the compiler alone."""
    options, minimise = ("", "") if build.minimise else (" --no-minimise", ", minimise=False")
    if build.target == DEFAULT_BUILD.target:
        return f' compile_tflite(model, "{name}", build_named(level="{build.level.name}"{minimise})), in Python'
    return f": flynet-tiny compile model.tflite --target {build.target} --optimize {build.level.name}{options} --name {name}"


def version_number(version: str) -> int:
    """1.2.3 as 10203, for comparisons in the preprocessor; what follows the third number (`.dev1`, `rc1`) does not count."""
    major, minor, patch = (int(part) for part in re.findall(r"\d+", version)[:3])
    return 10_000 * major + 100 * minor + patch


def model_sha256(data: bytes) -> str:
    """The hash that ties a generated library to its model file."""
    return hashlib.sha256(data).hexdigest()


def _common_type(ports: Sequence[Port]) -> str:
    """The C type that all ports have, else void."""
    types = {C_TYPES[port.tensor.dtype.value] for port in ports}
    return types.pop() if len(types) == 1 else "void"


def _operand_types(call: KernelCall, graph: Graph) -> OperandTypes:
    return OperandTypes(*(tuple(_operand_type(call, graph.tensor(n)) for n in names) for names in (call.inputs, call.outputs)))


def _operand_type(call: KernelCall, tensor: Tensor) -> str:
    """As what a kernel takes a tensor: NumPy's name of the element type."""
    return "int8" if call.moves_bytes else tensor.dtype.value


def _port(macro: str, tensor: Tensor, end: FileEnd, plan: MemoryPlan, constants: _Constants) -> Port:
    scale, shape = c_format.c_float(tensor.scale), c_format.shape_text(tensor.shape)
    if tensor.data is not None:
        values = tensor.data.astype(tensor.dtype.value).reshape(-1)
        return Port(macro, tensor, end, 0, scale, shape, constants.name(values, macro.lower()))
    return Port(macro, tensor, end, plan.tensor_offset(tensor.name), scale, shape)


def _start_value(index: int, variable: Variable, graph: Graph, plan: MemoryPlan, constants: _Constants) -> StartValue:
    values = np.ascontiguousarray(variable.start)
    stored, offset = values.view(np.uint8).reshape(-1), plan.tensor_offset(variable.before)
    about = (variable.name or ForeignText(variable.before), c_format.shape_text(values.shape), offset, stored.size)
    if (stored == stored[0]).all():
        return StartValue(*about, int(stored[0]))
    return StartValue(*about, 0, constants.name(values.reshape(-1), f"{graph.name}_start{index}"))


def _layer(index: int, made: Schedule, bound: LayerCall, constants: _Constants) -> Layer:
    graph, plan, call, struct = made.graph, made.plan, made.calls[index], bound.function.struct
    data_name = f"{graph.name}_op{index}"
    pointers = {name: constants.name(values, f"{data_name}_{name}") for name, values in bound.arrays.items()}
    values = pointers | {name: c_format.c_integer(value) for name, value in bound.numbers.items()}
    initialisers = tuple(f"/* {field} */ {value}" for field, value in values.items())  # C++17 lacks designators

    spans = {name: (plan.tensor_offset(name), graph.tensor(name).size_bytes) for name in (*call.inputs, *call.outputs)}

    def operand(name: str, qualifier: str) -> str:
        return f"({qualifier}{C_TYPES[_operand_type(call, graph.tensor(name))]} *)(arena + {spans[name][0]})"

    arguments = [f"&{data_name}"] if struct else []
    arguments += [operand(name, "const ") for name in call.inputs]
    arguments += [operand(name, "") for name in call.outputs]
    scratch_end = 0
    if call.scratch_bytes:
        offset = plan.offsets[scratch_name(index)]
        arguments.append(f"arena + {offset}")
        scratch_end = offset + call.scratch_bytes
    return Layer(
        index,
        _comment(index, made.ops[index], call, graph, spans),
        struct.name if struct else "",
        data_name,
        initialisers,
        c_format.wrapped(f"{bound.function.name}({', '.join(arguments)});", 2),
        max(scratch_end, *(offset + size for offset, size in spans.values())),
    )


def _comment(index: int, op: Op, call: KernelCall, graph: Graph, spans: Mapping[str, tuple[int, int]]) -> str:
    def tensors(names: Sequence[str]) -> str:
        return " ".join(c_format.shape_text(graph.tensor(n).shape) for n in names)

    def ranges(names: Sequence[str]) -> str:
        return " ".join(f"arena[{spans[n][0]}..{spans[n][0] + spans[n][1] - 1}]" for n in names)

    lines = (
        f'op {index}  {op.kind_name} "{call.outputs[0]}"  {tensors(call.inputs)} -> {tensors(call.outputs)}',
        f"reads {ranges(call.inputs)}, writes {ranges(call.outputs)}"
        + (f", {call.scratch_bytes} bytes of scratch" if call.scratch_bytes else ""),
    )
    return c_format.block_comment(lines, indent=2)


def _trace(graph: Graph, calls: Sequence[KernelCall], plan: MemoryPlan) -> tuple[TraceRecord, ...]:
    """Every tensor that exists in the arena, by the call after which it is complete; free RESHAPEs beside their source.

    Variables are shown as an inference finds them, beside the inputs.
    """
    shown = views_of(graph)
    trace = []
    for index, names in ((-1, graph.given), *((index, call.outputs) for index, call in enumerate(calls))):
        for name in names:
            for there in (name, *(op.output for op in shown.get(name, ()))):
                tensor = graph.tensor(there)
                trace.append(TraceRecord(index, there, plan.tensor_offset(there), tensor.size_bytes, tensor.dtype.value))
    return tuple(trace)
