"""The numbers of an SVDF, as the reference, the twin and the kernel compute with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .fixed_point import Multiplier, svdf_newest_multiplier, svdf_output_multiplier
from .ir import Graph, Op, SvdfAttrs
from .lstm import Sums

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Svdf:
    """Filters, `rank` neighbours of which make one output, each with a memory of its last values.

    newest  the sums of the data, one a filter, which are rescaled to int16
    taps    [filters, memory], of the values from the oldest on
    bias    [outputs]
    """

    rank: int
    newest: Sums
    taps: Int64
    bias: Int64
    output: Multiplier
    output_zero_point: int


def svdf_of(op: Op, graph: Graph) -> Svdf:
    """The numbers of an operator that keeps the rules."""
    assert isinstance(op.attrs, SvdfAttrs)
    data, state, weights, taps = (graph.tensor(name) for name in op.inputs[:4])
    output = graph.tensor(op.output)
    filters = weights.constant().astype(np.int64)
    outputs = len(filters) // op.attrs.rank
    bias = graph.tensor(op.inputs[4]).constant().astype(np.int64) if len(op.inputs) > 4 else np.zeros(outputs, np.int64)
    return Svdf(
        op.attrs.rank,
        Sums(
            filters.astype(np.int8),
            -data.zero_point * filters.sum(axis=1),
            svdf_newest_multiplier(data.scale, weights.scale, state.scale),
        ),
        taps.constant().astype(np.int64),
        bias.reshape(-1),
        svdf_output_multiplier(state.scale, taps.scale, output.scale),
        output.zero_point,
    )


def wrapped_32(values: Int64) -> Int64:
    """Sums that LiteRT holds in int32, where they wrap around."""
    return values.astype(np.int32).astype(np.int64)
