"""Loop nests of MEAN and REDUCE_MAX: axes that stay and axes that vanish, neighbours merged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .base import RowSchedule, Sharing
from .parameters import code

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ReductionNest:
    """For each kept index (outermost first) all reduced ones; the innermost axis is `run` contiguous elements.

    When `run_is_reduced` the run belongs to one output; otherwise it makes `run` outputs side by side.
    Strides are in elements of the input. A group of a kernel's parameters.
    """

    kept_sizes: Shape = code()
    kept_strides: Shape = code()
    reduced_sizes: Shape = code()
    reduced_strides: Shape = code()
    run: int = code()
    run_is_reduced: bool = code()

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


def reduction_nest(shape: Shape, axes: Shape) -> ReductionNest:
    """The nest that reduces `axes` of a tensor."""
    groups: list[tuple[int, int, bool]] = []  # size, stride, is reduced; innermost first
    stride = 1
    for axis in reversed(range(len(shape))):
        size, is_reduced = shape[axis], axis in axes
        if size > 1:
            if groups and groups[-1][2] == is_reduced:
                groups[-1] = (groups[-1][0] * size, groups[-1][1], is_reduced)
            else:
                groups.append((size, stride, is_reduced))
        stride *= size
    run, _, run_is_reduced = groups[0] if groups else (1, 1, True)
    outer = groups[:0:-1]
    return ReductionNest(
        tuple(size for size, _, is_reduced in outer if not is_reduced),
        tuple(step for _, step, is_reduced in outer if not is_reduced),
        tuple(size for size, _, is_reduced in outer if is_reduced),
        tuple(step for _, step, is_reduced in outer if is_reduced),
        run,
        run_is_reduced,
    )
