"""A look at the heads of many pictures before a training that takes hours: a bad one is named at once. No torch here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor

import numpy as np

from .picture_file import Oddity, PictureHeader

MOST_CHECKED = 100_000  # some seconds; of more, that many are looked at, evenly
_CHUNK = 256

Oddities = Mapping[Oddity, int]


def check_pictures(
    inspect_one: Callable[[int], PictureHeader], count: int, pool: Executor, progress: Callable[[int, int], None]
) -> Oddities:
    """How many of the pictures 0 to count - 1 are odd, and how; BadData of the first that cannot be read."""
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_CHECKED)).round().astype(int)).tolist()
    found: Counter[Oddity] = Counter()
    for begin in range(0, len(chosen), _CHUNK):
        for header in pool.map(inspect_one, chosen[begin : begin + _CHUNK]):
            found.update(header.oddities)
        progress(min(begin + _CHUNK, len(chosen)), len(chosen))
    return found


def describe(several: Sequence[Oddities]) -> str:
    """One line about all of them, empty where none is odd."""
    total: Counter[Oddity] = Counter()
    for found in several:
        total.update(found)
    return "; ".join(f"{total[kind]:,} {kind.value}" for kind in Oddity if total[kind])
