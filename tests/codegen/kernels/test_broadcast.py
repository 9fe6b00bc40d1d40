"""Loop nests visit what NumPy's broadcasting and reducing visit."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.kernels.broadcast import BroadcastNest, broadcast_nest
from flynet_tiny.codegen.kernels.reduction import reduction_nest

from .elementwise_cases import broadcast_shapes, shapes
from .elementwise_graphs import Shape


def visited(nest: BroadcastNest, strides: Shape, step: int) -> list[int]:
    """Elements of one operand in the order of the output."""
    starts = [sum(i * s for i, s in zip(index, strides, strict=True)) for index in np.ndindex(*nest.sizes)]
    return [start + i * step for start in starts for i in range(nest.run)]


@settings(deadline=None)
@given(broadcast_shapes())
def test_a_nest_reads_what_numpy_broadcasts(pair: tuple[Shape, Shape]) -> None:
    left, right = (np.arange(math.prod(shape)).reshape(shape) for shape in pair)
    nest = broadcast_nest(*pair)
    a, b = np.broadcast_arrays(left, right)
    assert visited(nest, nest.strides0, nest.step0) == a.reshape(-1).tolist()
    assert visited(nest, nest.strides1, nest.step1) == b.reshape(-1).tolist()


@settings(deadline=None)
@given(broadcast_shapes())
def test_an_operand_is_plain_when_it_is_read_in_order_without_repetition(pair: tuple[Shape, Shape]) -> None:
    nest = broadcast_nest(*pair)
    in_order = list(range(nest.num_elements))
    reads = (visited(nest, nest.strides0, nest.step0), visited(nest, nest.strides1, nest.step1))
    assert nest.is_plain == tuple(read == in_order for read in reads)


def test_same_shapes_and_channel_vectors_merge_their_axes() -> None:
    assert broadcast_nest((1, 5, 6, 7), (1, 5, 6, 7)) == BroadcastNest((), (), (), 210, 1, 1)
    assert broadcast_nest((1, 5, 6, 7), (7,)) == BroadcastNest((30,), (7,), (0,), 7, 1, 1)
    assert broadcast_nest((1, 5, 6, 7), (1, 1, 1, 1)) == BroadcastNest((), (), (), 210, 1, 0)


@settings(deadline=None)
@given(shapes(), st.sets(st.integers(0, 5)))
def test_a_reduction_nest_gathers_each_output_s_elements(shape: Shape, chosen: set[int]) -> None:
    axes = tuple(sorted(a for a in chosen if a < len(shape)))
    elements = np.arange(math.prod(shape)).reshape(shape)
    nest = reduction_nest(shape, axes)
    rows = []
    for kept in np.ndindex(*nest.kept_sizes):
        start = sum(i * s for i, s in zip(kept, nest.kept_strides, strict=True))
        for output in range(1 if nest.run_is_reduced else nest.run):
            gathered = []
            for reduced in np.ndindex(*nest.reduced_sizes):
                at = start + sum(i * s for i, s in zip(reduced, nest.reduced_strides, strict=True))
                gathered += [at + i for i in range(nest.run)] if nest.run_is_reduced else [at + output]
            rows.append(gathered)
    moved = np.moveaxis(elements, axes, range(-len(axes), 0)) if axes else elements[..., np.newaxis]
    expected = moved.reshape(-1, nest.count)
    assert [sorted(row) for row in rows] == [sorted(row) for row in expected.tolist()]
    assert nest.count * nest.num_outputs == elements.size
