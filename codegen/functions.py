"""Kernel calls to C functions: which calls share one, which sizes become data of the layer, and the text of each.

Calls whose parameters agree in what is code may share a function; the level of the build says whether they do where their sizes
differ. A size that is the same for all of them stays a literal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import jinja2
import numpy as np
import numpy.typing as npt

from . import c_format
from .build import Level
from .function_names import code_traits, function_names, size_trait
from .kernels.base import C_TYPES, KernelCall
from .kernels.parameters import SIZES, Helper, Parameter, Role

_SIGNED = ("int8", "int16", "int32")


@dataclass(frozen=True)
class LayerStruct:
    """The type of the data of all layers of one function: C declarations of its fields."""

    name: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    """One C function: `text` is the rendered kernel with its comment; `helpers` must stand above it."""

    name: str
    text: str
    struct: LayerStruct | None
    helpers: tuple[Function, ...] = ()


@dataclass(frozen=True, eq=False)
class LayerCall:
    """A function, and the values of the fields of its struct for one call, in the struct's order: arrays, then numbers."""

    function: Function
    arrays: Mapping[str, npt.NDArray[np.integer]]
    numbers: Mapping[str, int]


@dataclass(frozen=True)
class OperandTypes:
    """NumPy names of the element types of a call's inputs and outputs."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def with_helpers(layers: Iterable[LayerCall]) -> tuple[Function, ...]:
    """The functions of the layers, each once, and each behind those that it calls."""
    functions = (function for layer in layers for function in (*layer.function.helpers, layer.function))
    return tuple(dict.fromkeys(functions))


def layer_calls(
    calls: Sequence[KernelCall],
    types: Sequence[OperandTypes],
    level: Level,
    prefix: str,
    environment: jinja2.Environment,
) -> tuple[LayerCall, ...]:
    """The function and the data of each call; equal calls give equal objects, in the order of the calls."""
    calls = _with_own_helpers(calls)
    groups: dict[object, _Group] = {}
    members: list[_Group] = []
    for call, operands in zip(calls, types, strict=True):
        parameters = tuple(call.parameters.flat())
        key = _key(call, parameters, operands, level)
        found = groups.setdefault(key, _Group(call, operands))
        found.add(call, parameters)
        members.append(found)
    made = list(groups.values())
    names = function_names([each.wanted_name for each in made], [each.traits for each in made])
    for name, each in zip(names, made, strict=True):
        each.make(f"{prefix}{name}", level, environment)
    return tuple(found.layer(tuple(call.parameters.flat())) for found, call in zip(members, calls, strict=True))


def _with_own_helpers(calls: Sequence[KernelCall]) -> list[KernelCall]:
    """The calls, those specialised whose helpers nobody shares."""
    uses = Counter(helper for call in calls for helper in call.parameters.helpers)

    def is_alone(call: KernelCall) -> bool:
        return all(uses[helper] == 1 for helper in call.parameters.helpers)

    return [replace(call, parameters=call.alone) if call.alone is not None and is_alone(call) else call for call in calls]


def _key(call: KernelCall, parameters: Sequence[Parameter], operands: OperandTypes, level: Level) -> object:
    """What calls must agree in to share a function."""
    merged = {Role.OUTER_SIZE: level.merges_outer, Role.INNER_SIZE: level.merges_inner}
    fixed = []
    for p in parameters:
        if p.role is Role.CODE or not merged.get(p.role, True):
            fixed.append((p.path, p.value))
        elif p.role is Role.ARRAY:
            fixed.append((p.path, p.value.dtype.name))
        else:
            fixed.append((p.path, ""))
    return type(call.parameters), call.parameters.template, tuple(fixed), operands, bool(call.scratch_bytes)


def _helper(helper: Helper, environment: jinja2.Environment) -> Function:
    text = environment.get_template(f"kernels/{helper.template}.c.j2").render(k=helper)
    return Function(helper.name, f"{c_format.block_comment([helper.summary])}\n{c_format.tidy(text)}", None)


@dataclass(eq=False)
class _Group:
    """Calls that share a function.

    locals  the sizes that are fields of the struct: they vary, and the function reads them
    """

    first: KernelCall
    operands: OperandTypes
    values: dict[tuple[str, ...], list[int]] = field(default_factory=dict)
    accumulators: list[tuple[int, int]] = field(default_factory=list)
    num_calls: int = 0
    locals: tuple[str, ...] = ()
    function: Function | None = None

    def add(self, call: KernelCall, parameters: Sequence[Parameter]) -> None:
        self.num_calls += 1
        for p in parameters:
            if p.role in (Role.DATA, *SIZES):
                self.values.setdefault(p.path, []).append(int(p.value))
        if call.accumulator is not None:
            self.accumulators.append(call.accumulator)

    def _varies(self, parameter: Parameter) -> bool:
        """Whether a size differs between the calls."""
        return len(set(self.values[parameter.path])) > 1

    def _struct_numbers(self, parameters: Sequence[Parameter]) -> list[Parameter]:
        """The parameters that are numbers in the struct, widest type first."""
        there = [p for p in parameters if p.role is Role.DATA or p.c_name in self.locals]
        return sorted(there, key=lambda p: -np.dtype(self._type(p)).itemsize)

    def _type(self, parameter: Parameter) -> str:
        """The narrowest signed type that holds the field's value in every layer: arithmetic on it is that of int32_t."""
        values = self.values[parameter.path]
        for name in _SIGNED:
            if np.iinfo(name).min <= min(values) and max(values) <= np.iinfo(name).max:
                return name
        raise ValueError(f"{parameter.c_name} of {self.first.parameters.name} does not fit 32 bits")

    @property
    def wanted_name(self) -> str:
        """The kernel and the fixed sizes that its name tells."""
        return "_".join((self.first.parameters.name, *self._shown()))

    @property
    def traits(self) -> dict[str, str]:
        """What the function may differ in from others of its name: code, fixed sizes, element types, whether there is scratch."""
        parameters = tuple(self.first.parameters.flat())
        codes = (code_traits(p.c_name, p.value, p.path[-1]) for p in parameters if p.role is Role.CODE)
        told = dict(trait for traits in codes for trait in traits)
        for p in parameters:
            if p.role in SIZES and not self._varies(p):
                told[p.c_name] = size_trait("".join(p.path[-2:]) if p.path[-1].isdigit() else p.path[-1], p.value)
        told |= {p.c_name: f"{p.path[-1]}_{p.value.dtype.name}" for p in parameters if p.role is Role.ARRAY}
        told |= {f"operand{i}": name for i, name in enumerate((*self.operands.inputs, *self.operands.outputs))}
        return told | {"scratch": "scratch" if self.first.scratch_bytes else ""}

    def make(self, name: str, level: Level, environment: jinja2.Environment) -> None:
        """Render the function under a name."""
        parameters = tuple(self.first.parameters.flat())
        varying = [p.c_name for p in parameters if p.role in SIZES and self._varies(p)]
        view = _View(parameters, varying)
        body = environment.get_template(f"kernels/{self.first.parameters.template}.c.j2").render(s=view)
        self.locals = tuple(size for size in varying if size in view.printed and re.search(rf"\b{size}\b", body))
        declarations = [f"const {C_TYPES[p.value.dtype.name]} *{p.c_name}" for p in parameters if p.role is Role.ARRAY]
        declarations += [f"{C_TYPES[self._type(p)]} {p.c_name}" for p in self._struct_numbers(parameters)]
        struct = LayerStruct(f"{name}_layer", tuple(declarations)) if declarations else None
        linkage = "FT_SHARED_KERNEL" if level.merges_outer and self.num_calls > 1 else "FT_KERNEL"
        signature = _signature(linkage, name, struct, self.operands, bool(self.first.scratch_bytes))
        read = (f"const int32_t {size} = layer->{size};" for size in self.locals)
        text = "\n".join((signature, *self._asserted(), *read, body, "}"))
        comment = c_format.block_comment(list(self._comment(parameters)))
        helpers = tuple(_helper(helper, environment) for helper in self.first.parameters.helpers)
        self.function = Function(name, f"{comment}\n{c_format.tidy(text)}", struct, helpers)

    def _shown(self) -> Iterator[str]:
        by_name = {p.c_name: p for p in self.first.parameters.flat()}
        for letter, name in self.first.parameters.shown.items():
            parameter = by_name[name]
            if parameter.role is Role.CODE or not self._varies(parameter):
                yield f"{letter}{parameter.value}"

    def _comment(self, parameters: Sequence[Parameter]) -> Iterator[str]:
        yield self.first.parameters.summary or self.first.parameters.name
        fixed = [f"{p.c_name} {p.value}" for p in parameters if p.role in SIZES and p.value and not self._varies(p)]
        if fixed:
            yield f"Sizes: {', '.join(fixed)}."
        if self.accumulators:
            low, high = self._accumulator
            yield f"Accumulators lie in [{low}, {high}]."

    def _asserted(self) -> Iterator[str]:
        """What the C compiler can check of the interval of the accumulators, which is known of the weights alone."""
        if self.accumulators:
            low, high = map(c_format.c_integer, self._accumulator)
            yield f'FT_STATIC_ASSERT({low} >= INT32_MIN && {high} <= INT32_MAX, "an accumulator is wider than 32 bits");'

    @property
    def _accumulator(self) -> tuple[int, int]:
        return min(low for low, _ in self.accumulators), max(high for _, high in self.accumulators)

    def layer(self, parameters: Sequence[Parameter]) -> LayerCall:
        assert self.function is not None
        return LayerCall(
            self.function,
            {p.c_name: p.value for p in parameters if p.role is Role.ARRAY},
            {p.c_name: int(p.value) for p in self._struct_numbers(parameters)},
        )


def _signature(linkage: str, name: str, struct: LayerStruct | None, operands: OperandTypes, has_scratch: bool) -> str:
    arguments = [f"const {struct.name} *layer"] if struct else []
    arguments += [f"const {C_TYPES[t]} *input{i}" for i, t in enumerate(operands.inputs)]
    arguments += [f"{C_TYPES[t]} *output{i}" for i, t in enumerate(operands.outputs)]
    arguments += ["void *scratch"] if has_scratch else []
    return c_format.wrapped(f"{linkage} void {name}({', '.join(arguments)}) {{", 0)


class _Size:
    """A size in a template: it can be printed, and nothing else.

    literal  its value where all layers of the function agree in it, for templates that leave out a loop of no turn or of one
    """

    def __init__(self, text: str, printed: set[str], literal: int | None = None):
        self._text = text
        self._printed = printed
        self.literal = literal

    def __str__(self) -> str:
        self._printed.add(self._text)
        return self._text

    def __eq__(self, other: object) -> bool:
        raise TypeError(f"a template may not compare {self._text}: it can be data of the layer")

    def __bool__(self) -> bool:
        raise TypeError(f"a template may not test {self._text}: it can be data of the layer")

    __hash__ = None  # type: ignore[assignment]


class _View:
    """`s.pixels`, `s.group.left` in a template; an unknown name is an error of the template, not an empty text.

    printed  what the template printed of sizes and data
    """

    def __init__(self, parameters: Sequence[Parameter], varying: Collection[str]):
        self._top = _Namespace()
        self.printed: set[str] = set()
        self._varying = varying
        for p in parameters:
            holder = self._top
            *names, last = (name for name in p.path if not name.isdigit())
            for name in names:
                holder = holder.child(name)
            holder.put(last, self._value(p), in_list=p.path[-1].isdigit())

    def _value(self, parameter: Parameter) -> object:
        if parameter.role in SIZES:
            varies = parameter.c_name in self._varying
            text, literal = (parameter.c_name, None) if varies else (str(parameter.value), int(parameter.value))
            return _Size(text, self.printed, literal)
        return parameter.value if parameter.role is Role.CODE else _Size(f"layer->{parameter.c_name}", self.printed)

    def __getattr__(self, name: str) -> object:
        return getattr(self._top, name)


class _Namespace:
    def put(self, name: str, value: object, in_list: bool) -> None:
        if in_list:
            self.__dict__.setdefault(name, []).append(value)
        else:
            self.__dict__[name] = value

    def child(self, name: str) -> _Namespace:
        child = self.__dict__.setdefault(name, _Namespace())
        assert isinstance(child, _Namespace)
        return child
