"""Mean and variance of a map in one kernel equal the three operators bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.build import DEFAULT_BUILD
from flynet_tiny.codegen.ir import Graph, OpKind
from flynet_tiny.codegen.kernels import select

from .elementwise_cases import cases_of, check_on_both_machines, dimensions, drawn
from .elementwise_graphs import Rng, binary_graph, mean_variance_graph
from .kernel_runner import case_of, run_on_host


def listed() -> list[Graph]:
    """Maps below and above the size where tables pay, blocks that fill int16 lanes, odd channels, one pixel, coarse means."""
    rng = np.random.default_rng(11)
    sizes = (
        (5, 7, 8),
        (3, 3, 3),
        (1, 1, 5),
        (14, 14, 6),
        (16, 16, 4),
        (17, 15, 5),
        (2, 127, 4),
        (23, 31, 4),
        (40, 41, 5),
        (1, 257, 4),
    )
    ordinary = [mean_variance_graph(rng, *size) for size in sizes]
    coarse = [mean_variance_graph(rng, *size, finer_mean=0.6) for size in ((5, 7, 6), (36, 37, 5))]
    equal = [mean_variance_graph(rng, *size, finer_mean=1.0) for size in ((5, 7, 6), (36, 37, 5))]
    return ordinary + coarse + equal


def make(h: int, w: int, c: int, large: bool) -> Callable[[Rng], Graph]:
    return lambda rng: mean_variance_graph(rng, 100 * h if large else h, w, c)


statistics = st.builds(make, dimensions, dimensions, dimensions, st.sampled_from([False, False, False, True]))


def test_listed_maps_equal_the_reference(tmp_path: Path) -> None:
    check_on_both_machines(listed(), tmp_path)


@drawn(statistics)
def test_drawn_maps_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs), tmp_path)


@pytest.mark.slow
@drawn(statistics, examples=20, count=25)
def test_many_drawn_maps_equal_the_reference(tmp_path: Path, graphs: list[Graph]) -> None:
    check_on_both_machines(graphs, tmp_path)


@pytest.mark.parametrize("value", [-128, 127])
def test_constant_maps_at_the_ends_of_int8_equal_the_reference(tmp_path: Path, value: int) -> None:
    rng = np.random.default_rng(5)
    graphs = [mean_variance_graph(rng, h, w, 6) for h, w in ((5, 5), (15, 17), (1, 257), (7, 37), (30, 33))]
    cases = []
    for i, graph in enumerate(graphs):
        op = graph.ops[0]
        constant = np.full(graph.tensor("x").shape, value, np.int8)
        cases.append(case_of(f"constant {i}", op, graph, select(op, graph, DEFAULT_BUILD), {"x": constant}))
    run_on_host(cases, tmp_path)


def test_large_maps_take_a_table_and_small_ones_lanes() -> None:
    def has_table(size: int) -> bool:
        graph = mean_variance_graph(np.random.default_rng(2), size, size, 8, finer_mean=1.9)
        return bool(select(graph.ops[0], graph, DEFAULT_BUILD).parameters.has_table)

    assert has_table(56)
    assert not has_table(14)


def test_the_variance_of_two_pixels_shows_a_mean_that_is_one_unit_off(tmp_path: Path) -> None:
    cases = []
    rng = np.random.default_rng(4)
    for finer_mean in (1.0, 1.7, 2.9):
        graph = mean_variance_graph(rng, 1, 2, 256, finer_mean, square_steps=70.0)
        op = graph.ops[0]
        noise = rng.integers(-128, 128, (1, 1, 2, 256)).astype(np.int8)
        cases.append(case_of(f"pairs {finer_mean}", op, graph, select(op, graph, DEFAULT_BUILD), {"x": noise}))
    run_on_host(cases, tmp_path)


@pytest.mark.parametrize("seed", range(12))
def test_the_constants_give_every_squared_difference_of_every_mean(seed: int) -> None:
    finer_mean = (1.0, 1.7, 2.0, 4.3)[seed % 4]
    graph = mean_variance_graph(np.random.default_rng(seed), 6, 6, 4, finer_mean, square_steps=45.0 + 16 * seed)
    call = select(graph.ops[0], graph, DEFAULT_BUILD)
    assert call.parameters.is_fitted
    means = reachable_means(graph)
    layer = {p.c_name: p.value for p in call.parameters.flat()}
    constants = layer["centre_constants"]
    mean_offset, multiplier, half, shift, sign, centre_offset = (int(c) for c in constants)

    scaled_means = (means.astype(np.int64) + mean_offset) * 256
    high = ((scaled_means * multiplier + (1 << 31)) >> 32) + half + ((scaled_means >> 31) & sign)
    centres = (high >> shift) + centre_offset
    root = layer["root"]
    differences = (root * np.arange(-128, 128) >> 8)[:, np.newaxis] - (root * centres >> 14)
    found = ((differences * differences >> 32) + layer["square_offset"]) >> 16
    assert np.array_equal(np.clip(found, -128, 127), squared_differences(graph, means))


def reachable_means(graph: Graph) -> npt.NDArray[np.int8]:
    """Every mean between those of the lowest and of the highest map."""
    shape = graph.tensor("x").shape
    ends = [
        int(reference.run_op(graph.ops[0], graph, {"x": np.full(shape, value, np.int8)})["mean"].flat[0]) for value in (-128, 127)
    ]
    return np.arange(ends[0], ends[1] + 1).astype(np.int8)


def squared_differences(graph: Graph, means: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """[256, means] of the reference, for every value and the given means."""
    quants = [(graph.tensor(name).scale, graph.tensor(name).zero_point) for name in ("x", "mean", "square")]
    alone = binary_graph(OpKind.SQUARED_DIFFERENCE, ((256, 1), (1, len(means))), (quants[0], quants[1]), quants[2])
    values = {"x": np.arange(-128, 128).astype(np.int8).reshape(256, 1), "z": means.reshape(1, -1)}
    return reference.run_op(alone.ops[0], alone, values)["y"]
