"""Mean and variance of a map in plain C equal the three operators bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.kernels import mean_variance, plain
from flynet_tiny.codegen.kernels.plain.mean_variance import MeanVariance
from flynet_tiny.codegen.targets import Core

from ..elementwise_cases import drawn
from ..elementwise_graphs import mean_variance_graph
from ..kernel_runner import run_on_arm, run_on_host
from ..test_mean_variance import listed, statistics
from .builds import BUILDS, cases_of, check


@pytest.mark.parametrize("core", BUILDS)
def test_listed_maps_equal_the_reference(tmp_path: Path, core: Core) -> None:
    check(listed(), core, tmp_path)


@pytest.mark.parametrize("core", BUILDS)
@drawn(statistics)
def test_drawn_maps_equal_the_reference(tmp_path: Path, core: Core, graphs: list[Graph]) -> None:
    run_on_host(cases_of(graphs, core), tmp_path)


@pytest.mark.parametrize("core", BUILDS)
def test_maps_of_all_sizes_are_plain_c_by_table_or_not(core: Core) -> None:
    rng = np.random.default_rng(3)
    graphs = [mean_variance_graph(rng, size, size, 4, finer_mean=1.9) for size in (2, 60)]
    made = [plain.mean_variance.select(graph.ops[0], graph, BUILDS[core]).parameters for graph in graphs]
    assert [p.has_table for p in made if isinstance(p, MeanVariance)] == [False, True]


@pytest.mark.parametrize("core", BUILDS)
def test_no_map_takes_more_instructions_than_by_lanes(tmp_path: Path, core: Core) -> None:
    rng = np.random.default_rng(1)
    graphs = [mean_variance_graph(rng, h, w, c, finer_mean=1.9) for h, w, c in ((2, 2, 24), (7, 7, 16), (18, 18, 4), (40, 40, 4))]
    build = BUILDS[core]
    cases = cases_of(graphs, core)
    others = [
        type(c)(f"{c.name} in lanes", mean_variance.select(g.ops[0], g, build), c.inputs, c.outputs)
        for c, g in zip(cases, graphs, strict=True)
    ]
    cost = run_on_arm([*cases, *others], tmp_path, core=core)
    assert all(cost[c.name].instructions < cost[o.name].instructions for c, o in zip(cases, others, strict=True))
