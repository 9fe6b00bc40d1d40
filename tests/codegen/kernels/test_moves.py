"""CONCATENATION, SLICE, STRIDED_SLICE, GATHER, TRANSPOSE, PAD and RESHAPE move the same bytes as the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen.build import DEFAULT_BUILD, RowBands
from flynet_tiny.codegen.ir import ConcatAttrs, GatherAttrs, Graph, Op, OpKind, PadAttrs, SliceAttrs, TransposeAttrs
from flynet_tiny.codegen.kernels import select

from .elementwise_cases import cases_of, check_on_both_machines, drawn, shapes
from .elementwise_graphs import Rng, Shape, graph_of, int8_tensor, random_case, unary_graph
from .kernel_runner import run_on_arm, run_on_host

QUANT = (0.05, -7)
ANY = np.random.default_rng(3)


def concat_graph(rng: Rng, axis: int, parts: list[Shape], constants: tuple[int, ...] = (), twice: bool = False) -> Graph:
    """Inputs of the given shapes; those listed in `constants` are constant, `twice` gives the first one two times."""
    data = [rng.integers(-128, 128, p).astype(np.int8) if i in constants else None for i, p in enumerate(parts)]
    tensors = [int8_tensor(f"x{i}", p, QUANT, d) for i, (p, d) in enumerate(zip(parts, data, strict=True))]
    names = tuple(t.name for t in tensors) + (("x0",) if twice else ())
    sizes = [p[axis] for p in parts] + ([parts[0][axis]] if twice else [])
    shape = (*parts[0][:axis], sum(sizes), *parts[0][axis + 1 :])
    return graph_of(Op(OpKind.CONCATENATION, names, ("y",), ConcatAttrs(axis)), [*tensors, int8_tensor("y", shape, QUANT)])


def slice_graph(shape: Shape, begin: Shape, counts: Shape, strides: Shape | None = None) -> Graph:
    attrs = SliceAttrs(begin, strides or (1,) * len(shape))
    return unary_graph(OpKind.STRIDED_SLICE if strides else OpKind.SLICE, shape, QUANT, counts, QUANT, attrs)


def gather_graph(shape: Shape, axis: int, taken: Sequence[int]) -> Graph:
    out = (*shape[:axis], len(taken), *shape[axis + 1 :])
    return unary_graph(OpKind.GATHER, shape, QUANT, out, QUANT, GatherAttrs(axis, tuple(int(i) for i in taken)))


def transpose_graph(shape: Shape, permutation: Shape) -> Graph:
    out = tuple(shape[axis] for axis in permutation)
    return unary_graph(OpKind.TRANSPOSE, shape, QUANT, out, QUANT, TransposeAttrs(permutation))


def pad_graph(shape: Shape, before: Shape, after: Shape) -> Graph:
    padded = tuple(b + d + a for b, d, a in zip(before, shape, after, strict=True))
    return unary_graph(OpKind.PAD, shape, QUANT, padded, QUANT, PadAttrs(before, after))


def listed() -> list[Graph]:
    """Every axis, constants, one input twice; slices forward, backward and strided; padding on any side; copies."""
    return [
        concat_graph(ANY, 3, [(1, 3, 4, 16), (1, 3, 4, 8)]),
        concat_graph(ANY, 3, [(1, 3, 3, 3), (1, 3, 3, 1), (1, 3, 3, 5)]),
        concat_graph(ANY, 1, [(1, 2, 4, 5), (1, 3, 4, 5)]),
        concat_graph(ANY, 0, [(2, 3), (1, 3)]),
        concat_graph(ANY, 1, [(2, 3), (2, 5), (2, 1)], constants=(1,)),
        concat_graph(ANY, 1, [(1, 3), (1, 5), (1, 1)], constants=(0, 2)),
        concat_graph(ANY, 1, [(1, 7), (1, 5)], twice=True),
        slice_graph((1, 5, 5, 7), (0, 0, 0, 0), (1, 5, 5, 4)),
        slice_graph((1, 5, 6, 7), (0, 1, 2, 3), (1, 3, 4, 2)),
        slice_graph((1, 7, 6, 5), (0, 2, 0, 0), (1, 4, 6, 5)),
        slice_graph((1, 7, 6, 5), (0, 6, 0, 4), (1, 4, 3, 2), (1, -2, 2, -3)),
        slice_graph((3, 4, 2, 5, 2, 3), (1, 0, 0, 1, 0, 2), (2, 2, 2, 2, 2, 1), (1, 2, 1, 3, 1, 1)),
        slice_graph((9,), (8,), (9,), (-1,)),
        gather_graph((1, 3, 3, 6), 3, (1, 4, 0, 3, 5, 2)),
        gather_graph((1, 3, 3, 12), 3, np.roll(np.arange(12), 4)),
        gather_graph((1, 4, 4, 24), 3, (*range(5, 12), 3, *range(19), 23, 22)),
        gather_graph((1, 30, 400), 2, ANY.permutation(400).tolist()),
        gather_graph((2, 5, 7), 1, (4, 4, 0)),
        gather_graph((3, 2), 0, (2, 0, 1)),
        gather_graph((2, 300, 300), 1, (299, 0, 298)),
        gather_graph((9,), 0, range(9)),
        transpose_graph((1, 12, 4, 3), (0, 1, 3, 2)),
        transpose_graph((1, 12, 4, 8), (0, 2, 1, 3)),
        transpose_graph((2, 3, 4, 5), (3, 1, 0, 2)),
        transpose_graph((4, 5), (1, 0)),
        transpose_graph((1, 5, 1, 2), (2, 1, 0, 3)),
        transpose_graph((2, 1, 3, 2, 2, 3), (5, 3, 1, 4, 0, 2)),
        pad_graph((1, 4, 5, 3), (0, 1, 3, 0), (0, 2, 0, 0)),
        pad_graph((1, 3, 3, 3), (0, 0, 0, 1), (0, 0, 0, 2)),
        pad_graph((2, 3, 4), (1, 0, 0), (0, 0, 2)),
        pad_graph((2, 3, 4), (0, 0, 0), (0, 0, 0)),
        pad_graph((2, 1, 3, 1, 2, 2), (1, 0, 2, 0, 0, 1), (0, 1, 0, 0, 3, 0)),
        unary_graph(OpKind.RESHAPE, (1, 4, 5, 6), QUANT, (1, 20, 3, 2), QUANT),
        unary_graph(OpKind.RESHAPE, (37,), QUANT, (37, 1), QUANT),
    ]


def concatenations(shape: Shape, sizes: list[int]) -> Callable[[Rng], Graph]:
    def graph(rng: Rng) -> Graph:
        axis = int(rng.integers(len(shape)))
        parts = [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
        constants = tuple(i for i in range(1, len(parts)) if rng.random() < 0.2)
        return concat_graph(rng, axis, parts, constants)

    return graph


def slices(shape: Shape) -> Callable[[Rng], Graph]:
    def graph(rng: Rng) -> Graph:
        begin, counts, strides = [], [], []
        for size in shape:
            first, last = int(rng.integers(size)), int(rng.integers(size))
            stride = int(rng.integers(1, 4)) * (1 if last >= first else -1)
            begin.append(first)
            counts.append(abs(last - first) // abs(stride) + 1)
            strides.append(stride)
        return slice_graph(shape, tuple(begin), tuple(counts), tuple(strides))

    return graph


def gathers(shape: Shape, count: int) -> Callable[[Rng], Graph]:
    def graph(rng: Rng) -> Graph:
        axis = int(rng.integers(len(shape)))
        return gather_graph(shape, axis, rng.integers(0, shape[axis], count).tolist())

    return graph


def transposes(shape: Shape) -> Callable[[Rng], Graph]:
    return lambda rng: transpose_graph(shape, tuple(rng.permutation(len(shape)).tolist()))


def paddings(shape: Shape) -> Callable[[Rng], Graph]:
    def graph(rng: Rng) -> Graph:
        before, after = (tuple(int(p) for p in rng.integers(0, 3, len(shape))) for _ in range(2))
        return pad_graph(shape, before, after)

    return graph


moves = (
    st.builds(concatenations, shapes(1, 4), st.lists(st.integers(1, 9), min_size=1, max_size=5))
    | st.builds(slices, shapes(1, 6))
    | st.builds(gathers, shapes(1, 5), st.integers(1, 20))
    | st.builds(transposes, shapes(1, 6))
    | st.builds(paddings, shapes(1, 5, 5))
)


def test_listed_moves_equal_the_reference(tmp_path: Path) -> None:
    check_on_both_machines(listed(), tmp_path)


def test_channels_are_gathered_in_their_place_where_a_pixel_is_copied_aside(tmp_path: Path) -> None:
    graphs = [
        gather_graph((1, 3, 3, 6), 3, (1, 4, 0, 3, 5, 2)),
        gather_graph((1, 4, 4, 24), 3, (*range(5, 12), 3, *range(19), 23)[:24]),
        gather_graph((1, 30, 400), 2, ANY.permutation(400).tolist()),
        gather_graph((2, 5, 7), 1, (4, 4, 0, 1, 2)),
    ]
    rng = np.random.default_rng(7)
    cases = [random_case(f"gather {i}", graph, rng, replace(DEFAULT_BUILD, bands=RowBands(2))) for i, graph in enumerate(graphs)]
    assert all(case.call.sharing and case.call.scratch_bytes for case in cases)
    run_on_host(cases, tmp_path / "host", sanitize=True)
    run_on_arm(cases, tmp_path / "arm")
    whole, fewer = gather_graph((9,), 0, range(9)), gather_graph((1, 3, 3, 6), 3, (1, 4, 0))
    assert not any(select(g.ops[0], g, replace(DEFAULT_BUILD, bands=RowBands(2))).sharing for g in (whole, fewer))


@drawn(moves)
def test_drawn_moves_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path, sanitize=True)


@pytest.mark.slow
@drawn(moves, examples=20, count=25)
def test_many_drawn_moves_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)
