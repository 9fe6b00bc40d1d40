"""SLICE, STRIDED_SLICE and TRANSPOSE: a nest of loops over the output, with neighbouring axes merged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..build import Build
from ..ir import Graph, Op, SliceAttrs, Tensor, TransposeAttrs
from .base import KernelCall, RowSchedule, Sharing
from .parameters import KernelParameters, size


@dataclass(frozen=True, eq=False)
class Slice(KernelParameters):
    """Loops of `sizes` and `strides` over runs of `run` bytes, `run_step` apart, from byte `start`; None: neighbours."""

    template: ClassVar[str] = "slice"
    start: int = size()
    sizes: tuple[int, ...] = size()
    strides: tuple[int, ...] = size()
    run: int = size(inner=True)
    run_step: int | None = size()

    @property
    def summary(self) -> str:
        return f"Moves runs of {'neighbouring elements' if self.run_step is None else 'elements that lie apart'}."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a SLICE or STRIDED_SLICE; strides may be negative."""
    assert isinstance(op.attrs, SliceAttrs)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    distances = _distances(source)
    start = sum(begin * distance for begin, distance in zip(op.attrs.begin, distances, strict=True))
    steps = [step * distance for step, distance in zip(op.attrs.strides, distances, strict=True)]
    axes = _merged([*zip(output.shape, steps, strict=True), (source.dtype.size_bytes, 1)])
    moves_down = all(step > 0 for _, step in axes)
    schedule = RowSchedule((output.size_bytes,), (source.size_bytes,))
    return _call(op, start, axes, {source.name: schedule} if moves_down else {})


def select_transpose(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a TRANSPOSE; one that moves nothing may stay in place."""
    assert isinstance(op.attrs, TransposeAttrs)
    source, output = graph.tensor(op.inputs[0]), graph.tensor(op.output)
    distances = _distances(source)
    moved = [(count, distances[axis]) for count, axis in zip(output.shape, op.attrs.permutation, strict=True)]
    axes = _merged([*moved, (source.dtype.size_bytes, 1)])
    in_order = RowSchedule((output.size_bytes,), (source.size_bytes,))
    return _call(op, 0, axes, {source.name: in_order} if axes in ([], [(output.size_bytes, 1)]) else {})


def _distances(tensor: Tensor) -> list[int]:
    """How far apart neighbours lie along each axis, in bytes."""
    return [math.prod(tensor.shape[axis + 1 :]) * tensor.dtype.size_bytes for axis in range(len(tensor.shape))]


def _merged(axes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """(output size, step in bytes of the input) of as few axes as possible, innermost first."""
    merged: list[tuple[int, int]] = []
    for count, step in reversed(list(axes)):
        if count == 1:
            continue
        if merged and step == merged[-1][0] * merged[-1][1]:
            merged[-1] = (merged[-1][0] * count, merged[-1][1])
        else:
            merged.append((count, step))
    return merged


def _call(op: Op, start: int, axes: list[tuple[int, int]], sharing: Mapping[str, Sharing]) -> KernelCall:
    run, run_step = axes[0] if axes else (1, 1)
    outer = axes[:0:-1]
    sizes, strides = tuple(count for count, _ in outer), tuple(step for _, step in outer)
    parameters = Slice(start, sizes, strides, run, None if run_step == 1 else run_step)
    return KernelCall(parameters, (op.inputs[0],), (op.output,), sharing=sharing, moves_bytes=True)
