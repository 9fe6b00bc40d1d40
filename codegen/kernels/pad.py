"""PAD with the zero point, where no convolution could take the padding over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..build import Build
from ..ir import Graph, Op, PadAttrs
from .base import KernelCall
from .parameters import KernelParameters, size


@dataclass(frozen=True, eq=False)
class Pad(KernelParameters):
    """Loops of `sizes`, outermost first, with `before` and `after` bytes of padding around each, over runs of `run` bytes."""

    template: ClassVar[str] = "pad"
    sizes: tuple[int, ...] = size()
    before: tuple[int, ...] = size(inner=True)
    after: tuple[int, ...] = size(inner=True)
    run: int = size(inner=True)
    value: int = size(inner=True)

    @property
    def summary(self) -> str:
        return "Padding with one value around runs of elements."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a PAD; axes without padding are merged into their outer neighbour."""
    assert isinstance(op.attrs, PadAttrs)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    run = 1
    axes: list[tuple[int, int, int]] = []  # count, bytes of padding before and after; innermost first
    rows = [*zip(source.shape, op.attrs.before, op.attrs.after, strict=True), (source.dtype.size_bytes, 0, 0)]
    for length, before, after in reversed(rows):
        inner = output_bytes(axes, run)
        if not axes and not before and not after:
            run *= length
        elif axes and not before and not after and axes[-1][1] == axes[-1][2] == 0:
            axes[-1] = (axes[-1][0] * length, 0, 0)
        elif not axes:
            axes.append((1, before * inner, after * inner))
            run *= length
        else:
            axes.append((length, before * inner, after * inner))
    outer = axes[::-1]
    sizes, befores, afters = tuple(a[0] for a in outer), tuple(a[1] for a in outer), tuple(a[2] for a in outer)
    value = output.zero_point  # 0 of int16, each of whose bytes is then 0
    return KernelCall(Pad(sizes, befores, afters, run, value), (source.name,), (op.output,), moves_bytes=True)


def output_bytes(axes: list[tuple[int, int, int]], run: int) -> int:
    """Bytes of output under the axes gathered so far."""
    found = run
    for count, before, after in axes:
        found = before + count * found + after
    return found
