"""How a logical (ONNX) array lies in memory, so that NCHW becomes NHWC without ever transposing.

A logical axis is made of atoms: factors of its size. Memory is one order of all atoms. Then

- Transpose renames axes, Reshape regroups atoms: neither moves a byte;
- two arrays of one shape may be added where their memory orders agree;
- a convolution takes an array whose memory order is N, H, W, C; the channels may be shuffled, its weights then are too.

Two orders of channels that must agree and do not are a GATHER. What else does not fit would need a TRANSPOSE, and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """axes: for each logical axis its atoms' sizes, slowest first (none for an axis of 1).

    memory: atom numbers (counted through all axes) from slowest to fastest. Neighbours in both orders are one atom, so that
    equal layouts compare equal.
    """

    axes: tuple[tuple[int, ...], ...]
    memory: tuple[int, ...]

    @staticmethod
    def ordered(shape: Sequence[int], order: Sequence[int]) -> Layout:
        """Axes of `shape` laid out in `order`, slowest first."""
        axes = tuple((size,) if size > 1 else () for size in shape)
        numbers = _atom_numbers(axes)
        return Layout(axes, tuple(atom for axis in order for atom in numbers[axis]))

    @staticmethod
    def channels_last(shape: Sequence[int]) -> Layout:
        """N, C, spatial axes laid out as N, spatial axes, C; arrays of rank 1 and 2 as they are."""
        return Layout.ordered(shape, channels_last_order(len(shape)))

    @property
    def shape(self) -> tuple[int, ...]:
        """The logical shape."""
        return tuple(math.prod(atoms) for atoms in self.axes)

    @staticmethod
    def with_channels_of(source: Layout, shape: Sequence[int]) -> Layout:
        """N, C, spatial axes laid out as N, spatial axes, C, where C has its channels in the order of `source`.

        A multiple of the source's channels keeps the factor fastest: channel * factor + i, as a depthwise convolution writes.
        """
        channels = source.axes[1]
        factor = shape[1] // math.prod(channels)
        atoms = (*channels, factor) if factor > 1 else channels
        sizes: list[tuple[int, ...]] = [(size,) if size > 1 else () for size in shape]
        axes = (sizes[0], atoms, *sizes[2:])
        first, last = _atom_numbers(source.axes)[1], _atom_numbers(axes)[1]
        ordered = [last[first.index(atom)] for atom in source.memory if atom in first]
        around = [atom for axis in channels_last_order(len(shape))[:-1] for atom in _atom_numbers(axes)[axis]]
        return _canonical(axes, (*around, *ordered, *last[len(channels) :]))

    @property
    def channel_order(self) -> tuple[int, ...] | None:
        """Which channel lies at each place of a map [N, C, spatial axes] in N, spatial axes, C order; None where none is."""
        rank = len(self.axes)
        if rank not in (3, 4) or self != Layout.with_channels_of(self, self.shape):
            return None
        numbers = _atom_numbers(self.axes)[1]
        order = [numbers.index(atom) for atom in self.memory if atom in numbers]
        return tuple(np.arange(self.shape[1]).reshape(self.axes[1]).transpose(order).reshape(-1).tolist())

    @property
    def sizes(self) -> tuple[int, ...]:
        """Atom sizes in memory order, slowest first."""
        flat = [size for atoms in self.axes for size in atoms]
        return tuple(flat[atom] for atom in self.memory)

    def is_ordered(self, order: Sequence[int]) -> bool:
        """Whether memory holds the axes one after another in `order`; axes of 1 fit anywhere."""
        return self == Layout.ordered(self.shape, order)

    def moved_to(self, order: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(shape, permutation) of the TRANSPOSE that lays the axes out in `order`; what stays together is one dimension."""
        numbers = _atom_numbers(self.axes)
        wanted = [atom for axis in order for atom in numbers[axis]]
        flat = [size for atoms in self.axes for size in atoms]
        follows = dict(pairwise(wanted))
        runs: list[list[int]] = []
        for atom in self.memory:
            if runs and follows.get(runs[-1][-1]) == atom:
                runs[-1].append(atom)
            else:
                runs.append([atom])
        first = {run[0]: index for index, run in enumerate(runs)}
        shape = tuple(math.prod(flat[atom] for atom in run) for run in runs)
        return shape, tuple(first[atom] for atom in wanted if atom in first)

    def transpose(self, permutation: Sequence[int]) -> Layout:
        """The same bytes with the logical axes renamed: new axis i is old axis permutation[i]."""
        numbers = _atom_numbers(self.axes)
        axes = tuple(self.axes[axis] for axis in permutation)
        renamed = {old: new for new, old in enumerate(atom for axis in permutation for atom in numbers[axis])}
        return _canonical(axes, tuple(renamed[atom] for atom in self.memory))

    def reshape(self, shape: Sequence[int]) -> Layout | None:
        """The same bytes under another logical shape (row-major, as ONNX means it), None where no such view exists."""
        merged = _canonical((tuple(size for atoms in self.axes for size in atoms),), self.memory)
        pending = list(zip(merged.axes[0], range(len(merged.axes[0])), strict=True))
        parts: dict[int, list[int]] = {atom: [] for _, atom in pending}  # old atom -> new atoms, slowest first
        axes: list[tuple[int, ...]] = []
        count = 0
        for size in shape:
            taken: list[int] = []
            while size > 1:
                if not pending:
                    return None
                atom_size, atom = pending.pop(0)
                step = math.gcd(size, atom_size)
                if step == 1 or (step != size and step != atom_size):
                    return None
                if step < atom_size:
                    pending.insert(0, (atom_size // step, atom))
                parts[atom].append(count)
                taken.append(step)
                count += 1
                size //= step
            axes.append(tuple(taken))
        if pending:
            return None
        return _canonical(tuple(axes), tuple(new for atom in merged.memory for new in parts[atom]))

    def span(self, axis: int) -> tuple[int, int] | None:
        """(elements before, elements after) an axis in memory, None where the axis is scattered or of size 1."""
        if len(self.axes[axis]) != 1:
            return None
        position = self.memory.index(_atom_numbers(self.axes)[axis][0])
        return math.prod(self.sizes[:position]), math.prod(self.sizes[position + 1 :])

    def resize(self, axis: int, size: int) -> Layout:
        """The layout with another size on one axis, which is contiguous or of size 1.

        An axis that grows from 1 takes the place that it has in channels-last order.
        """
        if size == self.shape[axis]:
            return self
        assert len(self.axes[axis]) <= 1, "a scattered axis has no size to change"
        if not self.axes[axis]:
            rank = len(self.axes)
            orders = (*((channels_last_order(rank),) if rank in (3, 4) else ()), tuple(range(rank)))
            order = next((order for order in orders if self.is_ordered(order)), None)
            assert order is not None, "the place of a new axis is known where all lie in order"
            return Layout.ordered((*self.shape[:axis], size, *self.shape[axis + 1 :]), order)
        numbers = _atom_numbers(self.axes)
        atom = numbers[axis][0]
        if size == 1:
            axes = (*self.axes[:axis], (), *self.axes[axis + 1 :])
            return _canonical(axes, tuple(a - (a > atom) for a in self.memory if a != atom))
        return Layout((*self.axes[:axis], (size,), *self.axes[axis + 1 :]), self.memory)

    def without(self, axes: Sequence[int]) -> Layout:
        """The layout with some axes reduced to 1."""
        removed = {atom for axis in axes for atom in _atom_numbers(self.axes)[axis]}
        kept = [atom for atom in range(len(self.memory)) if atom not in removed]
        sizes = tuple(() if axis in axes else atoms for axis, atoms in enumerate(self.axes))
        return _canonical(sizes, tuple(kept.index(atom) for atom in self.memory if atom not in removed))

    def axes_of_dims(self, shape: Sequence[int]) -> list[set[int]] | None:
        """For each dimension of a physical shape the logical axes that it runs over, None where a cut is not clean."""
        owner = [axis for axis, atoms in enumerate(self.axes) for _ in atoms]
        pending = [(size, owner[atom]) for size, atom in zip(self.sizes, self.memory, strict=True)]
        result: list[set[int]] = []
        for dim in shape:
            touched: set[int] = set()
            while dim > 1:
                size, axis = pending.pop(0)
                step = math.gcd(dim, size)
                if step == 1 or (step != dim and step != size):
                    return None
                if step < size:
                    pending.insert(0, (size // step, axis))
                touched.add(axis)
                dim //= step
            result.append(touched)
        return result

    def to_memory(self, logical: Array) -> Array:
        """A logical array's elements in memory order, flat."""
        flat = [size for atoms in self.axes for size in atoms]
        return np.ascontiguousarray(logical.reshape(flat).transpose(self.memory)).reshape(-1)

    def from_memory(self, stored: Array) -> Array:
        """The logical array of elements in memory order."""
        turned = stored.reshape(self.sizes).transpose(np.argsort(np.array(self.memory, np.int64)))
        return np.ascontiguousarray(turned).reshape(self.shape)


def channels_last_order(rank: int) -> tuple[int, ...]:
    """N, H, W, C for N, C, H, W, and likewise for rank 3 and 5."""
    return (0, *range(2, rank), 1) if rank >= 3 else tuple(range(rank))


def _atom_numbers(axes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """For each axis the numbers of its atoms."""
    starts = [0, *accumulate(len(atoms) for atoms in axes)]
    return [tuple(range(start, start + len(atoms))) for start, atoms in zip(starts, axes, strict=False)]


def _canonical(axes: tuple[tuple[int, ...], ...], memory: tuple[int, ...]) -> Layout:
    """The layout with atoms joined where they are neighbours in one axis and in memory."""
    follows = dict(pairwise(memory))
    renamed: dict[int, int] = {}
    merged: list[tuple[int, ...]] = []
    count = 0
    for atoms, numbers in zip(axes, _atom_numbers(axes), strict=True):
        sizes: list[int] = []
        for atom, size in zip(numbers, atoms, strict=True):
            if sizes and follows.get(atom - 1) == atom:
                sizes[-1] *= size
            else:
                renamed[atom] = count
                sizes.append(size)
                count += 1
        merged.append(tuple(sizes))
    return Layout(tuple(merged), tuple(renamed[atom] for atom in memory if atom in renamed))
