"""Which two output channels share words of packed weights, so that none need be wider for one weight.

A word's lanes are 256 * odd + even. A lane overflows only where the odd channel's weight is -128 and the even one's is negative,
and the odd channel's sums are limited to 23 bits. So a channel with such weights or sums comes first of two, beside one without.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .small_sums import SMALL

Int64 = npt.NDArray[np.int64]
Twos = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ChannelOrder:
    """The output channels of a group in the order in which their weights are read; (even, odd) channels of twos.

    packed  twos that share words
    wide    twos of which each has words of its own
    single  the channel beside the twos, if there is one
    """

    packed: Twos
    wide: Twos = ()
    single: int | None = None

    @property
    def channels(self) -> list[int]:
        """All channels in this order."""
        single = [] if self.single is None else [self.single]
        return [*(c for two in (*self.packed, *self.wide) for c in two), *single]


def natural_order(channels: int, is_wide: bool) -> ChannelOrder:
    """Neighbours, and the last alone."""
    twos = tuple((c, c + 1) for c in range(0, channels - 1, 2))
    return ChannelOrder(() if is_wide else twos, twos if is_wide else (), channels - 1 if channels % 2 else None)


def channel_order(weights: Int64, largest: Int64) -> ChannelOrder:
    """As many packed twos of a group's channels as this finds; neighbours where nothing speaks against it.

    weights  [channels, k];  largest [channels], the largest |accumulator|
    """
    channels = len(weights)
    fits = ~(((weights == -128).astype(np.float32) @ (weights < 0).astype(np.float32).T) > 0)  # [odd, even]
    fits &= (largest < SMALL)[:, np.newaxis]
    np.fill_diagonal(fits, False)
    is_plain = (largest < SMALL) & ~(weights == -128).any(axis=1)
    plain, others = np.flatnonzero(is_plain).tolist(), np.flatnonzero(~is_plain).tolist()
    single = None
    if channels % 2:
        single = others.pop() if others else plain.pop()
    packed: list[tuple[int, int]] = []
    waiting: list[int] = []
    for c in others:
        neighbour = c ^ 1
        if neighbour in plain:
            plain.remove(neighbour)
            packed.append((c, neighbour))
        else:
            waiting.append(c)
    while len(waiting) > len(plain):  # more than can be beside a plain one: pairs of these, where any fit
        found = next(((e, o) for e in waiting for o in waiting if fits[o, e]), None)
        if found is None:
            break
        packed.append(found)
        waiting = [c for c in waiting if c not in found]
    beside = [(c, plain.pop()) for c in waiting[: len(plain)]]
    alone = waiting[len(beside) :]
    packed += beside + _neighbours(plain)
    return ChannelOrder(tuple(sorted(packed, key=min)), tuple(_neighbours(alone)), single)


def _neighbours(channels: list[int]) -> list[tuple[int, int]]:
    ordered = sorted(channels)
    return list(zip(ordered[::2], ordered[1::2], strict=True))


def equal_orders(orders: list[ChannelOrder], least_packed: int) -> list[ChannelOrder]:
    """The orders of a convolution's groups with as many packed twos in each, none where there are fewer than so many."""
    packed = min(len(order.packed) for order in orders)
    packed = packed if packed >= least_packed else 0
    return [
        ChannelOrder(order.packed[:packed], (*order.packed[packed:], *order.wide), order.single)
        if len(order.packed) > packed
        else order
        for order in orders
    ]
