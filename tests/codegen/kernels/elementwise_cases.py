"""What the tests of the elementwise kernels share: hypothesis strategies of shapes and numbers, and the runs on both machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.build import BALANCED, SIZE, SPEED, Level, build_for
from flynet_tiny.codegen.ir import Graph

from .elementwise_graphs import Rng, Shape, random_case
from .kernel_runner import KernelCase, run_on_arm, run_on_host

RELAXED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.large_base_example, HealthCheck.data_too_large]

dimensions = st.integers(1, 9)
seeds = st.integers(0, 2**32 - 1)


def shapes(min_rank: int = 1, max_rank: int = 6, largest: int = 7) -> st.SearchStrategy[Shape]:
    """Shapes of small odd and even sizes, C == H == W among them."""
    return st.lists(st.integers(1, largest), min_size=min_rank, max_size=max_rank).map(tuple)


@st.composite
def broadcast_shapes(draw: st.DrawFn, max_rank: int = 6) -> tuple[Shape, Shape]:
    """Two shapes that broadcast: any axes of either repeat, and leading axes of either may be missing."""
    full = draw(shapes(1, max_rank, 6))
    left, right = (tuple(1 if draw(st.integers(0, 3)) == 0 else size for size in full) for _ in range(2))
    missing = draw(st.integers(0, len(full) - 1))
    return (left[missing:], right) if draw(st.booleans()) else (left, right[missing:])


def cases_of(graphs: Sequence[Graph], seed: int = 0, level: Level = BALANCED) -> list[KernelCase]:
    """Each graph's operator on random inputs."""
    rng = np.random.default_rng(seed)
    build = build_for(None, level)
    return [random_case(f"{graph.ops[0].kind_name} {i}", graph, rng, build) for i, graph in enumerate(graphs)]


def check_on_both_machines(graphs: Sequence[Graph], folder: Path, seed: int = 0) -> None:
    """Sanitized on the host and on the emulated Cortex-M4, in functions of fixed sizes and in those of most run-time sizes."""
    cases = cases_of(graphs, seed)
    run_on_host(cases, folder / "sanitized", sanitize=True)
    run_on_arm(cases, folder / "arm")
    run_on_host(cases_of(graphs, seed, SPEED), folder / "speed", level=SPEED)
    run_on_arm(cases_of(graphs, seed, SIZE), folder / "size", level=SIZE)


Test = Callable[..., None]


class Graphs(list[Graph]):
    """Graphs that hypothesis drew; what it prints of them stays short."""

    def __repr__(self) -> str:
        return f"{len(self)} graphs"


def drawn(strategy: st.SearchStrategy[Callable[[Rng], Graph]], examples: int = 1, count: int = 12) -> Callable[[Test], Test]:
    """Decorator: run the test with lists of graphs that hypothesis draws; each is made from numbers of its own seed.

    A failing list is not shrunk: the program that runs it names the case.
    """
    graphs = st.lists(st.tuples(strategy, seeds), min_size=count, max_size=count).map(
        lambda made: Graphs(make(np.random.default_rng(seed)) for make, seed in made)
    )
    relaxed = settings(
        max_examples=examples + 1,  # the first is always the smallest case, as often as there are graphs
        deadline=None,
        suppress_health_check=RELAXED,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        derandomize=examples == 1,
    )
    return lambda test: relaxed(given(graphs)(test))
