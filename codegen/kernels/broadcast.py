"""Loop nests of two-operand kernels: which operand moves on which axis, with neighbouring axes merged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .base import Sharing, elementwise_schedule
from .parameters import code, data

Shape = tuple[int, ...]


@dataclass(frozen=True)
class PairLoops:
    """Parameters of the macro `pair_loops`: a nest whose `run` is 0 where there is one run only, of `count` elements."""

    sizes: Shape = code()
    strides0: Shape = code()
    strides1: Shape = code()
    run: int = code()
    step0: int = code()
    step1: int = code()
    count: int | None = data()


@dataclass(frozen=True)
class BroadcastNest:
    """Outer loops (outermost first) over runs of contiguous output; strides in elements, 0 where an operand repeats.

    Inside a run of `run` elements operand k moves by step k, 0 or 1.
    """

    sizes: Shape
    strides0: Shape
    strides1: Shape
    run: int
    step0: int
    step1: int
    element_bytes: int = 1

    @property
    def num_elements(self) -> int:
        return math.prod(self.sizes) * self.run

    @property
    def num_bytes(self) -> int:
        return self.num_elements * self.element_bytes

    @property
    def is_plain(self) -> tuple[bool, bool]:
        """For each operand whether its elements are the output's, in order, each read once: it is not broadcast."""
        dense = tuple(self.run * math.prod(self.sizes[i + 1 :]) for i in range(len(self.sizes)))
        return (self.strides0 == dense and self.step0 == 1, self.strides1 == dense and self.step1 == 1)

    @property
    def loops(self) -> PairLoops:
        """The parameters of `pair_loops`: a single run's length is data, all layers without broadcasting share their function."""
        nested = bool(self.sizes)
        return PairLoops(
            self.sizes,
            self.strides0,
            self.strides1,
            self.run if nested else 0,
            self.step0,
            self.step1,
            None if nested else self.run,
        )


def broadcast_nest(shape0: Shape, shape1: Shape) -> BroadcastNest:
    """The nest for two shapes that broadcast in NumPy's manner."""
    rank = max(len(shape0), len(shape1), 1)
    padded0, padded1 = ((1,) * (rank - len(s)) + s for s in (shape0, shape1))
    axes: list[tuple[int, int, int]] = []  # size, stride of operand 0, of operand 1; innermost first
    full0 = full1 = 1
    for size0, size1 in zip(reversed(padded0), reversed(padded1), strict=True):
        size = max(size0, size1)
        assert {size0, size1} <= {1, size}, f"shapes {shape0} and {shape1} do not broadcast"
        if size > 1:
            axis = (size, full0 if size0 > 1 else 0, full1 if size1 > 1 else 0)
            if axes and axis[1] == axes[-1][0] * axes[-1][1] and axis[2] == axes[-1][0] * axes[-1][2]:
                axes[-1] = (axes[-1][0] * size, axes[-1][1], axes[-1][2])
            else:
                axes.append(axis)
        full0, full1 = full0 * size0, full1 * size1
    run, step0, step1 = axes[0] if axes else (1, 1, 1)
    outer = list(reversed(axes[1:]))
    return BroadcastNest(tuple(a[0] for a in outer), tuple(a[1] for a in outer), tuple(a[2] for a in outer), run, step0, step1)


def elementwise_sharing(nest: BroadcastNest, inputs: tuple[str, ...]) -> Mapping[str, Sharing]:
    """Operands that the output may replace: those whose elements are the output's, each read just before it is written."""
    schedule = elementwise_schedule(nest.num_bytes)
    return {name: schedule for name, plain in zip(inputs, nest.is_plain, strict=False) if plain}
