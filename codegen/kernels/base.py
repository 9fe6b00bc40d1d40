"""What a kernel promises to the planner and to the emitter.

A kernel is one Python module in this folder and one template in `templates/kernels/`. The module's `select(op, graph, build)`
looks at an operator and returns a `KernelCall`: the template's typed parameters (`parameters.py`), how much scratch, and how its
output may share memory with its inputs.

The emitted C function is

    FT_KERNEL void <function>(const <struct> *layer, const <type> *input0, ..., <type> *output0, ..., void *scratch)

with as many inputs and outputs as the call names activations; `layer` is left out when a layer has neither constants nor numbers,
`scratch` when `scratch_bytes` is 0. The template is the function's body; which calls share a function is the emitter's decision
(`codegen/functions.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .parameters import KernelParameters

C_TYPES: Mapping[str, str] = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
}


@dataclass(frozen=True)
class RowSchedule:
    """In what order a kernel frees its input and fills its output, so that the two may overlap.

    The kernel works in steps. After step i it has written output bytes [0, write_end[i]) and will, from step i + 1 on (from
    step i itself if reads may follow writes inside a step), read input bytes only at or above read_begin[i].
    The output may then start `min_distance_bytes` below the input's start (or lower, or be disjoint).

    from_end   bytes are counted from the ends of both, downwards: the output may end `min_distance_bytes` above the input's end
    """

    write_end: tuple[int, ...]
    read_begin: tuple[int, ...]
    from_end: bool = False

    @property
    def min_distance_bytes(self) -> int:
        return max(0, max(w - r for w, r in zip(self.write_end, self.read_begin, strict=True)))


@dataclass(frozen=True)
class SamePlace:
    """The output may start exactly where the input starts: every byte is read before a byte at its place is written."""


Sharing = RowSchedule | SamePlace


@dataclass(frozen=True, eq=False)
class OwnFunction:
    """Another form of a layer's kernel: a function that only equal layers share, where sizes are literals.

    by_form       instructions of one inference that it saves by its form, about, and ..
    by_sizes      .. by its sizes as literals, where layers of other sizes share the other function
    code_bytes    of its code, about
    shared_bytes  of the code that goes where no other layer needs the shared function, about
    """

    parameters: KernelParameters
    by_form: float
    by_sizes: float
    code_bytes: float
    shared_bytes: float


@dataclass(frozen=True, eq=False)
class KernelCall:
    """One call of one kernel function, with all that emission and planning need.

    sharing      input tensor -> how output 0 may share its memory
    accumulator  the least and the largest int32 sum that any input can produce, where the kernel has one
    is_banded    whether the work is cut into row bands as `build.bands` wished
    own          another form, of which `own_functions.py` decides; None: there is none, or it was taken
    is_own       whether all sizes are literals in the function, whatever the level merges
    in_place     output behind the first -> the input whose bytes it may take, at the very same place
    stays        an input that must lie where output 0 begins: the kernel does not move it
    moves_bytes  the kernel takes its operands as bytes, whatever their type
    """

    parameters: KernelParameters
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scratch_bytes: int = 0
    sharing: Mapping[str, Sharing] = field(default_factory=dict)
    accumulator: tuple[int, int] | None = None
    is_banded: bool = False
    own: OwnFunction | None = None
    is_own: bool = False
    in_place: Mapping[str, str] = field(default_factory=dict)
    stays: str | None = None
    moves_bytes: bool = False


def elementwise_schedule(num_bytes: int) -> RowSchedule:
    """A kernel that reads element i before it writes element i, in order (blocks of any size, read before written)."""
    return RowSchedule(write_end=(num_bytes,), read_begin=(num_bytes,))
