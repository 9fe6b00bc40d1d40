"""What a kernel's template is specialised for: one frozen dataclass a template.

Each field has a role:

    code()   changes the text: unrolling, the choice of a form. Templates read it as a Python value; it is hashable.
    size()   an integer that may be either: a literal in a function of its own, or a field of the layer's struct in a function
             that layers of several sizes share. Templates only print it (`s.pixels`): what they would calculate with it is
             calculated here, in Python, and given a field. `inner=True`: it bounds or steps an inner loop, so that sharing
             costs instructions. A tuple is as many sizes: a list in the template, which an empty one leaves out.
    data()   a number that differs from layer to layer: always `layer-><field>`; None leaves it out
    array()  constants in flash: always a pointer `layer-><field>`; None leaves it out
    packed_weights()  an array of weights, biases or requantization factors; reports count it apart
    group()  parameters inside parameters: `s.<group>.<field>` in the template, `layer-><group>_<field>` in C

The emitter makes one function of all calls that agree in what is code, and where the level of the build lets sizes be data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt


class Role(Enum):
    """What a field of a kernel's parameters may become in C."""

    CODE = "code"
    OUTER_SIZE = "outer size"
    INNER_SIZE = "inner size"
    DATA = "data"
    ARRAY = "array"
    GROUP = "group"


SIZES = (Role.OUTER_SIZE, Role.INNER_SIZE)


def code() -> Any:
    """A field that changes the text of the function."""
    return dataclasses.field(metadata={"role": Role.CODE})


def size(inner: bool = False) -> Any:
    """A field that is a literal, or data of the layer where functions are merged."""
    return dataclasses.field(metadata={"role": Role.INNER_SIZE if inner else Role.OUTER_SIZE})


def data() -> Any:
    """A field that is always data of the layer; None: the layer has none."""
    return dataclasses.field(metadata={"role": Role.DATA})


def array() -> Any:
    """A field of constants in flash, in the order in which the kernel reads them; None: the layer has none."""
    return dataclasses.field(metadata={"role": Role.ARRAY})


def packed_weights() -> Any:
    """As `array()`: packed weights, biases and requantization factors, the parameters of a layer in the form of its kernel."""
    return dataclasses.field(metadata={"role": Role.ARRAY, "is_weights": True})


def group() -> Any:
    """A field that is a dataclass of such fields itself."""
    return dataclasses.field(metadata={"role": Role.GROUP})


@dataclass(frozen=True)
class Helper:
    """A static C function that the functions of several kernels call; its fields are code, and equal ones are one function.

    template  its whole text's name in templates/kernels, without `.c.j2`; the template reads the fields as `k.<field>`
    """

    template: ClassVar[str]

    @property
    def name(self) -> str:
        """What the C function is called: it tells all fields."""
        raise NotImplementedError

    @property
    def summary(self) -> str:
        """What the function computes, for the comment above it."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class KernelParameters:
    """Base of every kernel's parameters.

    template  the template's name in templates/kernels, without `.c.j2`
    shown     sizes that the function's name and comment tell where they are fixed: letter -> field
    """

    template: ClassVar[str]
    shown: ClassVar[Mapping[str, str]] = {}

    @property
    def name(self) -> str:
        """What the C function is called after; its fixed sizes follow."""
        return self.template.rpartition("/")[2]

    @property
    def summary(self) -> str:
        """What the function computes, for the comment above it; made of code fields alone."""
        return ""

    @property
    def stored(self) -> str:
        """How weights lie in flash: "int8", "int16", or "int8, N channels int16"; "" where there are none."""
        return ""

    @property
    def helpers(self) -> tuple[Helper, ...]:
        """The static functions that the kernel's function calls; made of code fields alone."""
        return ()

    def flat(self) -> Iterator[Parameter]:
        """All fields in order, those of groups in their place; data and arrays that are None are left out."""
        found = tuple(_flat(self, ()))
        names = [parameter.c_name for parameter in found]
        assert len(names) == len(set(names)), f"two parameters of {self.template} have one name in C: {sorted(names)}"
        return iter(found)


@dataclass(frozen=True)
class Parameter:
    """One field, groups taken apart: its path in the template, its name in C, its role and value.

    is_weights  an array that was declared with `packed_weights()`
    """

    path: tuple[str, ...]
    role: Role
    value: Any
    is_weights: bool = False

    @property
    def c_name(self) -> str:
        return "_".join(self.path)


def _flat(parameters: object, path: tuple[str, ...]) -> Iterator[Parameter]:
    assert dataclasses.is_dataclass(parameters)
    for field in dataclasses.fields(parameters):
        role, value, here = field.metadata["role"], getattr(parameters, field.name), (*path, field.name)
        if role is Role.GROUP:
            if value is not None:
                yield from _flat(value, here)
        elif role in SIZES and isinstance(value, tuple):
            yield from (Parameter((*here, str(i)), role, each) for i, each in enumerate(value))
        elif value is not None or role is Role.CODE:
            yield Parameter(here, role, value, field.metadata.get("is_weights", False))


def arrays_of(parameters: KernelParameters) -> Mapping[str, npt.NDArray[np.integer]]:
    """The constants of a layer by their name in C."""
    return {p.c_name: p.value for p in parameters.flat() if p.role is Role.ARRAY}
