"""Channels whose accumulators are too large for the fast forms, as equal channels with small ones.

An int8 output is a step function of its accumulator: it is known by the accumulators at which it steps, at most 255, between the
least and the largest that any input can give. A channel with a large bias, whose small weights move it along one step or two, is
the same function of the accumulator less a distance, with another zero point and, where the right shift or the factor is too
large, another factor. A channel that never steps is a constant. A form is accepted only where it has every step in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .. import fixed_point as fp
from .accumulators import MAX_SHIFT

Int64 = npt.NDArray[np.int64]

SMALL = 1 << 23  # 256 times such an accumulator fits 32 bits
MAX_TRIES = 512


@dataclass(frozen=True)
class ChannelScale:
    """How one channel's accumulator becomes an output; `once`: with one rounding, as FULLY_CONNECTED."""

    multiplier: int
    shift: int
    zero_point: int
    once: bool

    def __call__(self, acc: Int64) -> Int64:
        """The outputs, not yet clamped."""
        requantize = fp.requantize_single_rounding if self.once else fp.requantize
        return requantize(acc, self.multiplier, self.shift) + self.zero_point

    def steps(self, values: Int64, low: int, high: int) -> Int64:
        """The smallest accumulator in low + 1..high whose output is at least the value, for each of them; there must be one."""
        below, reached = np.full(values.shape, low, np.int64), np.full(values.shape, high, np.int64)
        while (reached - below > 1).any():
            middle = (below + reached) >> 1
            is_reached = self(middle) >= values
            below, reached = np.where(is_reached, below, middle), np.where(is_reached, middle, reached)
        return reached


@dataclass(frozen=True)
class SmallSums:
    """An equal channel: its scale, and what its bias is less. `is_constant`: its weights and bias are 0 as well."""

    scale: ChannelScale
    distance: int
    is_constant: bool = False


def small_sums(scale: ChannelScale, low: int, high: int, least: int, most: int) -> SmallSums | None:
    """The channel with accumulators below SMALL and a right shift of 1..MAX_SHIFT, or None where none was found.

    low, high    the least and the largest accumulator
    least, most  the clamp of the outputs
    """
    first, last = (int(value) for value in np.clip(scale(np.array([low, high])), least, most))
    if first == last:
        return SmallSums(replace(scale, multiplier=0, shift=0, zero_point=first), 0, is_constant=True)
    values = np.arange(first + 1, last + 1)
    steps = scale.steps(values, low, high)
    points = np.concatenate([steps, steps - 1, [low, high]])
    expected = np.concatenate([values, values - 1, [first, last]])
    for candidate in _candidates(scale, values, steps):
        moved = points - candidate.distance
        if np.abs(moved).max() < SMALL and np.array_equal(np.clip(candidate.scale(moved), least, most), expected):
            return candidate
    return None


def _candidates(scale: ChannelScale, values: Int64, steps: Int64) -> Iterator[SmallSums]:
    """Scales of nearly the same slope, with one step laid on one of theirs: a middle one first, then others near zero."""
    excess = max(scale.multiplier.bit_length() - 31, 0)
    scale = replace(scale, multiplier=scale.multiplier >> excess, shift=scale.shift + excess)
    right = -scale.shift
    slopes = [(scale.multiplier, right)] if 1 <= right <= MAX_SHIFT else []
    if right > MAX_SHIFT:
        slopes += [(scale.multiplier >> (right - MAX_SHIFT), MAX_SHIFT), (1 << 30, MAX_SHIFT)]
    middle = len(values) // 2
    for multiplier, shift in slopes:
        near = ChannelScale(multiplier, -shift, 0, scale.once)
        most = int(near(np.array([SMALL - 1]))[0])
        if most < 1:
            continue
        wanted = np.arange(1 - min(most, MAX_TRIES // 2), 1 + min(most, MAX_TRIES // 2))
        wanted = wanted[np.argsort(np.abs(wanted), kind="stable")]
        for value, at in zip(wanted.tolist(), near.steps(wanted, -SMALL, SMALL).tolist(), strict=True):
            zero_point = int(values[middle]) - value
            yield SmallSums(replace(near, zero_point=zero_point), int(steps[middle]) - at)
