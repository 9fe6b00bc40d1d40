"""Rows of weights times a vector, rescaled to int16: what recurrent layers are made of.

Rows come in groups of one multiplier each (a gate), an even number of rows a group: an odd one is followed by a row of zeros.
In lanes (templates/kernels/lstm.h) the words of each two rows are those of gemm.h; in plain C (plain/rows.h) their weights are
interleaved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..build import Isa
from ..fixed_point import Multiplier
from ..lstm import Sums
from .gemm import pair_words
from .parameters import code, packed_weights, size
from .plain.scaling import PIECES, in_pieces
from .requantization import Requantization, Rounding

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GateRows:
    """Parameters of the rows that read one vector.

    rows      that are multiplied at once
    turn      groups of four values that are multiplied in one turn of a loop, in lanes
    fours     groups of four values in the vector, a last incomplete one included
    whole     those that are complete, ..
    rest      .. and how many values are left over
    starts    plain C: of the sums; in lanes they are among the weights
    scale     three words for each group
    """

    rows: int = code()
    turn: int = code()
    fours: int = size(inner=True)
    whole: int = size(inner=True)
    rest: int = size(inner=True)
    depth: int = size(inner=True)
    weights: npt.NDArray[np.integer] = packed_weights()
    starts: Int32 | None = packed_weights()
    scale: Int32 = packed_weights()


def even(rows: int) -> int:
    """Rows of a group with the one that fills it up."""
    return rows + rows % 2


def largest_sums(groups: Sequence[Sums]) -> Int64:
    """A bound of each row's |sum| and of what it is on the way, for any int8 vector."""
    return np.concatenate([np.abs(g.weights.astype(np.int64)).sum(1) * 128 + np.abs(g.bias) for g in groups])


def is_fast(multiplier: Multiplier, largest: int) -> bool:
    """Whether 32 bits are enough to rescale such numbers; a factor of 0 is."""
    return multiplier.multiplier == 0 or (-31 <= multiplier.shift <= -1 and largest < 1 << 30)


def short_scale(multiplier: Multiplier) -> tuple[int, int, int]:
    """Multiplier, half and right shift of a factor for which `is_fast`."""
    right = -multiplier.shift if multiplier.multiplier else 1
    return multiplier.multiplier, 1 << (right - 1), right


def can_pack(groups: Sequence[Sums]) -> bool:
    """Whether each two rows can share words, with sums of 24 bits."""
    weights = np.concatenate([_filled(g.weights) for g in groups])
    fits = (256 * weights[1::2] + weights[::2] >= -(1 << 15)).all()
    return bool(fits and (largest_sums(groups) < 1 << 23).all())


def rows_in_lanes(groups: Sequence[Sums], packed: bool, vectors: int, most: int) -> GateRows:
    """The rows of groups that are all fast, for so many vectors at once; with at most so many groups of four values in a turn."""
    size, words, at_once = groups[0].weights.shape[1], [], 2
    fours = (size + 3) // 4
    for group in groups:
        weights, bias = _filled(group.weights), _filled(group.bias[:, np.newaxis]).reshape(-1, 2)
        lanes = np.zeros((len(weights), fours, 4), np.int64)
        lanes.reshape(len(weights), -1)[:, :size] = weights
        lanes = lanes[:, :, [0, 2, 1, 3]].reshape(-1, 2, 2 * fours, 2)  # twos of rows, row, pair, lane
        if packed:
            at_once = 4 if vectors == 1 and len(weights) % 4 == 0 else 2
            starts = np.stack([256 * bias[:, 1] + bias[:, 0], bias[:, 0]], axis=1)
            both = pair_words(256 * lanes[:, 1] + lanes[:, 0]).reshape(-1, at_once // 2, fours, 2).transpose(0, 2, 1, 3)
        else:
            starts, both = bias, pair_words(lanes.transpose(0, 2, 1, 3))
        turns = len(weights) // at_once
        words.append(np.concatenate([starts.reshape(turns, -1), both.reshape(turns, -1)], axis=1).reshape(-1))
    scale = [word for group in groups for word in short_scale(group.multiplier)]
    turn = next(n for n in range(most, 0, -1) if fours % n == 0)
    return GateRows(at_once, turn, *_sizes(size), _int32(np.concatenate(words)), None, np.array(scale, np.int32))


def rows_in_plain_c(groups: Sequence[Sums], isa: Isa, rounding: str) -> GateRows:
    """The rows of any groups, with the rounding that `plain_rounding` found for all of them."""
    size, shifted = groups[0].weights.shape[1], not isa.loads_signed
    weights, starts = [], []
    for group in groups:
        filled, bias = _filled(group.weights), _filled(group.bias[:, np.newaxis])[:, 0]
        padded = np.zeros((len(filled), (size + 3) // 4 * 4), np.int64)
        padded[:, :size] = filled
        weights.append(padded.reshape(-1, 2, padded.shape[1]).transpose(0, 2, 1).reshape(-1))
        starts.append(bias - 128 * filled.sum(axis=1))
    stored = np.concatenate(weights).astype(np.int8)
    scale = [word for group in groups for word in plain_scale(group.multiplier, rounding)]
    return GateRows(
        2,
        1,
        *_sizes(size),
        stored ^ np.int8(-128) if shifted else stored,
        _int32(np.concatenate(starts)),
        np.array(scale, np.int32),
    )


def plain_rounding(groups: Sequence[tuple[Multiplier, int]], isa: Isa) -> str:
    """The form of plain/rows.h that rescales numbers up to each bound by each factor."""
    if not all(is_fast(*group) for group in groups):
        return "FT_PLAIN_EXACT"
    if isa.long_multiply:
        return "FT_PLAIN_AWAY"
    fits = all(_pieces(multiplier, largest) is not None for multiplier, largest in groups)
    return "FT_PLAIN_AWAY_3" if fits else "FT_PLAIN_EXACT"


def plain_scale(multiplier: Multiplier, rounding: str) -> tuple[int, ...]:
    """Three words of a factor for a form of plain/rows.h."""
    if rounding == "FT_PLAIN_EXACT":
        return multiplier.multiplier, 0, multiplier.shift
    if rounding == "FT_PLAIN_AWAY":
        return short_scale(multiplier)
    words = _pieces(multiplier, 0)
    assert words is not None
    return tuple(int(word) for word in words)


def _pieces(multiplier: Multiplier, largest: int) -> Int64 | None:
    requant = Requantization(Rounding.AWAY, np.array([short_scale(multiplier)], np.int32))
    found = in_pieces(requant, np.array([largest]), PIECES[1])
    return None if found is None else _int32(found[1][0]).astype(np.int64)


def _sizes(size: int) -> tuple[int, int, int, int]:
    fours = (size + 3) // 4
    return fours, size // 4, size % 4, 4 * fours


def _filled(rows: npt.NDArray[np.integer]) -> Int64:
    return np.pad(rows.astype(np.int64), ((0, len(rows) % 2), (0, 0)))


def _int32(words: Int64) -> Int32:
    return (words & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
