"""Loop nests of MEAN and REDUCE_MAX: axes that stay and axes that vanish, neighbours merged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .base import RowSchedule, Sharing
from .parameters import code, size

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ReductionNest:
    """For each kept index (outermost first) all reduced ones; the innermost axis is `run` contiguous elements.

    When `run_is_reduced` the run belongs to one output; otherwise it makes `run` outputs side by side.
    Strides are in elements of the input.
    """

    kept_sizes: Shape
    kept_strides: Shape
    reduced_sizes: Shape
    reduced_strides: Shape
    run: int
    run_is_reduced: bool

    @property
    def count(self) -> int:
        """Elements that meet in one output."""
        return math.prod(self.reduced_sizes) * (self.run if self.run_is_reduced else 1)

    @property
    def num_outputs(self) -> int:
        return math.prod(self.kept_sizes) * (1 if self.run_is_reduced else self.run)

    def sharing(self, source: str) -> Mapping[str, Sharing]:
        """Rows that each end in one output free their bytes in order; other nests read the input more than once."""
        if self.run_is_reduced and not self.reduced_sizes:
            return {source: RowSchedule((self.num_outputs,), (self.num_outputs * self.run,))}
        return {}


@dataclass(frozen=True)
class ReductionLoops:
    """The group of a kernel's parameters that a nest is; templates/kernels/loops.j2 writes its loops.

    reduced_sizes, reduced_strides  those outside of `rows` rows, `row_stride` apart, where the run is not reduced
    fours  groups of four elements of a run, then `rest` single ones; None: there are few elements, and all are single
    """

    kept_sizes: Shape = size()
    kept_strides: Shape = size()
    reduced_sizes: Shape = size()
    reduced_strides: Shape = size()
    rows: int | None = size()
    row_stride: int | None = size()
    fours: int | None = size()
    rest: int = code()
    run_is_reduced: bool = code()


def reduction_loops(nest: ReductionNest) -> ReductionLoops:
    """The loops of a nest; where the run is reduced, eight elements are worth a loop."""
    fours = nest.run // 4 if nest.run >= (8 if nest.run_is_reduced else 4) else 0
    by_rows = not nest.run_is_reduced and len(nest.reduced_sizes) > 0
    return ReductionLoops(
        nest.kept_sizes,
        nest.kept_strides,
        nest.reduced_sizes[:-1] if by_rows else nest.reduced_sizes,
        nest.reduced_strides[:-1] if by_rows else nest.reduced_strides,
        nest.reduced_sizes[-1] if by_rows else None,
        nest.reduced_strides[-1] if by_rows else None,
        fours or None,
        nest.run - 4 * fours,
        nest.run_is_reduced,
    )


def reduction_nest(shape: Shape, axes: Shape) -> ReductionNest:
    """The nest that reduces `axes` of a tensor."""
    groups: list[tuple[int, int, bool]] = []  # length, stride, is reduced; innermost first
    stride = 1
    for axis in reversed(range(len(shape))):
        length, is_reduced = shape[axis], axis in axes
        if length > 1:
            if groups and groups[-1][2] == is_reduced:
                groups[-1] = (groups[-1][0] * length, groups[-1][1], is_reduced)
            else:
                groups.append((length, stride, is_reduced))
        stride *= length
    run, _, run_is_reduced = groups[0] if groups else (1, 1, True)
    outer = groups[:0:-1]
    return ReductionNest(
        tuple(length for length, _, is_reduced in outer if not is_reduced),
        tuple(step for _, step, is_reduced in outer if not is_reduced),
        tuple(length for length, _, is_reduced in outer if is_reduced),
        tuple(step for _, step, is_reduced in outer if is_reduced),
        run,
        run_is_reduced,
    )
