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
from ..quoting import c_comment, c_string, code_finalize
from . import c_format
from .c_library import CLibrary, EmittedOp, TraceRecord
from .ir import FileEnd, Graph, Op, Tensor, file_inputs, file_outputs, macs
from .kernels.base import KernelCall, ShapeValue
from .lifetimes import scratch_name, views_of
from .plan_memory import ARENA_ALIGN_BYTES, MemoryPlan

_Signature = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Function:
    """One C function: `text` is the rendered kernel, used by all layers of its shape."""

    name: str
    text: str


@dataclass(frozen=True)
class LayerStruct:
    """The type of the data of all layers of one kernel: C declarations of its fields."""

    name: str
    fields: tuple[str, ...]


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
    comment: tuple[str, ...]
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


class _Names:
    """Functions, structs and constants, each made once."""

    def __init__(self, prefix: str, environment: jinja2.Environment):
        self._prefix = prefix
        self._environment = environment
        self._functions: dict[tuple[str, _Signature, tuple[tuple[str, ShapeValue], ...]], Function] = {}
        self._structs: dict[tuple[str, _Signature], LayerStruct] = {}
        self._constants: dict[tuple[str, bytes], Constant] = {}
        self._per_template: dict[str, int] = {}

    @property
    def functions(self) -> list[Function]:
        return list(self._functions.values())

    @property
    def structs(self) -> list[LayerStruct]:
        return list(self._structs.values())

    @property
    def constants(self) -> list[Constant]:
        return list(self._constants.values())

    def struct(self, call: KernelCall) -> LayerStruct | None:
        arrays = tuple((a.field, f"const {a.c_type} *{a.field}") for a in call.arrays)
        signature: _Signature = arrays + tuple((name, f"int32_t {name}") for name in call.scalars)
        if not signature:
            return None
        key = (call.template, signature)
        if key not in self._structs:
            same_template = sum(template == call.template for template, _ in self._structs)
            suffix = f"_{same_template + 1}" if same_template else ""
            fields = tuple(declaration for _, declaration in signature)
            self._structs[key] = LayerStruct(f"{self._prefix}{call.template}_layer{suffix}", fields)
        return self._structs[key]

    def function(self, call: KernelCall) -> Function:
        struct = self.struct(call)
        signature: _Signature = tuple((field, "") for field in struct.fields) if struct else ()
        key = (call.template, signature, tuple(sorted(call.shape.items())))
        if key not in self._functions:
            number = self._per_template[call.template] = self._per_template.get(call.template, 0) + 1
            name = f"{self._prefix}{call.template}_{number}"
            template = self._environment.get_template(f"kernels/{call.template}.c.j2")
            text = template.render(fn=name, layer_t=struct.name if struct else "", prefix=self._prefix, s=_Shape(call.shape))
            self._functions[key] = Function(name, text.strip("\n"))
        return self._functions[key]

    def constant(self, values: npt.NDArray[np.integer], wanted_name: str) -> str:
        key = (values.dtype.name, values.tobytes())
        if key not in self._constants:
            self._constants[key] = Constant(
                wanted_name, c_format.c_type(values), values.size, values.nbytes, c_format.c_array(values)
            )
        return self._constants[key].name


class _Shape:
    """`s.in_h` in a template; an unknown name is an error of the template, not an empty text."""

    def __init__(self, values: Mapping[str, ShapeValue]):
        self.__dict__.update(values)


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


def emit(graph: Graph, ops: Sequence[Op], calls: Sequence[KernelCall], plan: MemoryPlan, sha256: str, target: str) -> CLibrary:
    """The C library of a planned graph; `ops[i]` is the operator that `calls[i]` computes."""
    prefix, macro = f"{graph.name}_", graph.name.upper()
    environment = template_environment()
    names = _Names(prefix, environment)
    layers = [_layer(i, op, call, graph, plan, names) for i, (op, call) in enumerate(zip(ops, calls, strict=True))]
    given, made = zip(graph.inputs, file_inputs(graph), strict=True), zip(graph.outputs, file_outputs(graph), strict=True)
    inputs = [_port(f"{macro}_INPUT{i}", graph.tensor(n), end, plan, names) for i, (n, end) in enumerate(given)]
    outputs = [_port(f"{macro}_OUTPUT{i}", graph.tensor(n), end, plan, names) for i, (n, end) in enumerate(made)]
    trace = _trace(graph, calls, plan)
    view = {
        "name": graph.name,
        "prefix": prefix,
        "macro": macro,
        "version": __version__,
        "version_number": version_number(__version__),
        "sha256": sha256,
        "target": target,
        "arena_bytes": plan.arena_bytes,
        "arena_align": ARENA_ALIGN_BYTES,
        "inputs": inputs,
        "outputs": outputs,
        "layers": layers,
        "structs": names.structs,
        "functions": names.functions,
        "constants": names.constants,
        "trace": trace,
    }
    files = {
        f"{graph.name}{suffix}": environment.get_template(f"model{suffix}.j2").render(view)
        for suffix in (".h", ".c", "_weights.h", "_weights.c")
    }
    emitted = tuple(
        EmittedOp(i, op.output, op.kind_name, names.function(call).name, macs(op, graph))
        for i, (op, call) in enumerate(zip(ops, calls, strict=True))
    )
    return CLibrary(
        graph.name,
        files,
        plan.arena_bytes,
        emitted,
        trace,
        graph.inputs,
        graph.outputs,
        tuple(p.tensor.size_bytes for p in inputs),
        tuple(p.tensor.size_bytes for p in outputs),
    )


def version_number(version: str) -> int:
    """1.2.3 as 10203, for comparisons in the preprocessor; what follows the third number (`.dev1`, `rc1`) does not count."""
    major, minor, patch = (int(part) for part in re.findall(r"\d+", version)[:3])
    return 10_000 * major + 100 * minor + patch


def model_sha256(data: bytes) -> str:
    """The hash that ties a generated library to its model file."""
    return hashlib.sha256(data).hexdigest()


def _port(macro: str, tensor: Tensor, end: FileEnd, plan: MemoryPlan, names: _Names) -> Port:
    scale, shape = c_format.c_float(tensor.scale), c_format.shape_text(tensor.shape)
    if tensor.data is not None:
        values = tensor.data.astype(np.int8).reshape(-1)
        return Port(macro, tensor, end, 0, scale, shape, names.constant(values, macro.lower()))
    return Port(macro, tensor, end, plan.tensor_offset(tensor.name), scale, shape)


def _layer(index: int, op: Op, call: KernelCall, graph: Graph, plan: MemoryPlan, names: _Names) -> Layer:
    struct, function = names.struct(call), names.function(call)
    data_name = f"{graph.name}_op{index}"
    pointers = [f"{names.constant(a.values, f'{data_name}_{a.field}')}" for a in call.arrays]
    fields = [*(a.field for a in call.arrays), *call.scalars]
    values = [*pointers, *(c_format.c_integer(v) for v in call.scalars.values())]
    initialisers = tuple(f"/* {field} */ {value}" for field, value in zip(fields, values, strict=True))  # C++17 lacks designators

    spans = {name: (plan.tensor_offset(name), graph.tensor(name).size_bytes) for name in (*call.inputs, *call.outputs)}
    arguments = [f"&{data_name}"] if struct else []
    arguments += [f"(const int8_t *)(arena + {spans[name][0]})" for name in call.inputs]
    arguments += [f"(int8_t *)(arena + {spans[name][0]})" for name in call.outputs]
    scratch_end = 0
    if call.scratch_bytes:
        offset = plan.offsets[scratch_name(index)]
        arguments.append(f"arena + {offset}")
        scratch_end = offset + call.scratch_bytes
    return Layer(
        index,
        _comment(index, op, call, graph, spans),
        struct.name if struct else "",
        data_name,
        initialisers,
        f"{function.name}({', '.join(arguments)});",
        max(scratch_end, *(offset + size for offset, size in spans.values())),
    )


def _comment(index: int, op: Op, call: KernelCall, graph: Graph, spans: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    def tensors(names: Sequence[str]) -> str:
        return " ".join(c_format.shape_text(graph.tensor(n).shape) for n in names)

    def ranges(names: Sequence[str]) -> str:
        return " ".join(f"arena[{spans[n][0]}..{spans[n][0] + spans[n][1] - 1}]" for n in names)

    return (
        f'op {index}  {op.kind_name} "{call.outputs[0]}"  {tensors(call.inputs)} -> {tensors(call.outputs)}',
        f"reads {ranges(call.inputs)}, writes {ranges(call.outputs)}"
        + (f", {call.scratch_bytes} bytes of scratch" if call.scratch_bytes else ""),
    )


def _trace(graph: Graph, calls: Sequence[KernelCall], plan: MemoryPlan) -> tuple[TraceRecord, ...]:
    """Every tensor that exists in the arena, by the call after which it is complete; free RESHAPEs beside their source."""
    shown = views_of(graph)
    trace = []
    for index, names in ((-1, graph.inputs), *((index, call.outputs) for index, call in enumerate(calls))):
        for name in names:
            for there in (name, *(op.output for op in shown.get(name, ()))):
                trace.append(TraceRecord(index, there, plan.tensor_offset(there), graph.tensor(there).size_bytes))
    return tuple(trace)
