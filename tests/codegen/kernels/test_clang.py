"""The kernels that clang makes for a Cortex-M4 compute what the reference computes: under -Werror, run emulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .conv_cases import Kind, listed
from .elementwise_cases import cases_of
from .elementwise_graphs import mean_variance_graph, mul_add_graph, mul_max_graph
from .kernel_runner import run_on_arm
from .test_add import listed as listed_sums
from .test_moves import listed as listed_moves
from .test_mul import listed as listed_products


def test_products_built_by_clang_equal_the_reference(tmp_path: Path) -> None:
    run_on_arm([layer.case() for kind in Kind for layer in listed(kind)[::3]], tmp_path, compiler="clang")


def test_elementwise_kernels_built_by_clang_equal_the_reference(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    graphs = [mean_variance_graph(rng, *size) for size in ((5, 7, 8), (14, 14, 6), (40, 41, 5), (3, 3, 16))]
    graphs += [mul_max_graph(rng, 5, 4, 6, heads) for heads in (1, 2, 3, 4, 5)]
    graphs += [mul_add_graph(rng, *size) for size in ((5, 5, 8), (24, 23, 6))]
    run_on_arm(cases_of([*graphs, *listed_sums(), *listed_products(), *listed_moves()]), tmp_path, compiler="clang")
