"""The C of a fused graph equals the reference of the unfused one, over chains and over what only looks like them.

The reference computes a fused operator by its body, so a pass that fuses too much is seen only in the C of its kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flynet_tiny.codegen.build import DEFAULT_BUILD
from flynet_tiny.codegen.ir import FusedAttrs, Graph, OpKind
from flynet_tiny.codegen.kernels import select
from flynet_tiny.codegen.passes import chains
from flynet_tiny.codegen.passes.fold_pad import fold_pad
from flynet_tiny.codegen.passes.fuse_channel_scales import fuse_mul_add, fuse_mul_depthwise
from flynet_tiny.codegen.passes.fuse_depthwise_pairs import fuse_depthwise_pairs
from flynet_tiny.codegen.passes.fuse_max_out import fuse_mdw_max, fuse_mul_max
from flynet_tiny.codegen.passes.fuse_mean_variance import fuse_mean_variance
from flynet_tiny.codegen.passes.fuse_shift_max import fuse_shift_max
from flynet_tiny.codegen.passes.fuse_tables import fuse_tables
from flynet_tiny.codegen.reference import run
from flynet_tiny.codegen.verify_graph import GraphError, verify_graph
from flynet_tiny.verify.host_c import HostLibrary
from flynet_tiny.verify.inputs import extreme_inputs

from .near_misses import VARIANTS, Sizes, draw, joined, one_library, prefixed

PASS: dict[str, Callable[[Graph], Graph]] = {
    "MEAN_VARIANCE": fuse_mean_variance,
    "MDW_MAX": fuse_mdw_max,
    "MUL_MAX": fuse_mul_max,
    "SHIFT_MAX": fuse_shift_max,
    "DEPTHWISE_PAIR": fuse_depthwise_pairs,
    "MUL_DEPTHWISE": fuse_mul_depthwise,
    "MUL_ADD": fuse_mul_add,
    "PRODUCER_TABLE": fuse_tables,
    "fold_pad": fold_pad,
}
LISTED = [(pattern, variant) for pattern, variants in VARIANTS.items() for variant in variants]
NEAR_MISSES = [(p, v) for p, v in LISTED if VARIANTS[p][v] is False and p != "fold_pad"]
SIZES = Sizes(4, 3, 5, 3)


def is_fused(pattern: str, graph: Graph) -> bool:
    if pattern == "fold_pad":
        return sum(op.kind is OpKind.PAD for op in fold_pad(graph).ops) < sum(op.kind is OpKind.PAD for op in graph.ops)
    return any(isinstance(op.attrs, FusedAttrs) for op in PASS[pattern](graph).ops)


def require_equal_c(graphs: Sequence[Graph], names: Sequence[str]) -> None:
    """Compile all graphs as one library; every tensor that it stores must be the unfused graphs' reference's."""
    graphs = [prefixed(graph, f"g{i}_") for i, graph in enumerate(graphs)]
    whole, library = joined(graphs), one_library(graphs)
    inputs = [named.values for named in extreme_inputs(whole, num_noise=3)]
    with HostLibrary(library, cflags=("-O0",)) as host:  # much to compile, little to run
        results = host.run_many(inputs)
    for values, result in zip(inputs, results, strict=True):
        expected = run(whole, values)
        assert set(whole.outputs) <= set(result.tensors)
        for name, found in result.tensors.items():
            if name in expected:
                which = names[int(name[1 : name.index("_")])]
                assert np.array_equal(found.reshape(-1), expected[name].reshape(-1)), f"{which}: {name}"


@pytest.mark.parametrize(("pattern", "variant"), [(p, v) for p, v in LISTED if VARIANTS[p][v] is not None])
def test_exactly_the_chain_is_fused(pattern: str, variant: str) -> None:
    assert is_fused(pattern, draw(pattern, variant, SIZES, 0)) == VARIANTS[pattern][variant]


@pytest.mark.parametrize("pattern", list(VARIANTS))
def test_the_c_of_every_listed_variant_equals_the_unfused_reference(pattern: str) -> None:
    variants = list(VARIANTS[pattern])
    require_equal_c([draw(pattern, variant, SIZES, 7 + i) for i, variant in enumerate(variants)], variants)


SMALL = st.integers(1, 6)
CASES = st.tuples(st.sampled_from(LISTED), st.builds(Sizes, SMALL, SMALL, SMALL, st.integers(1, 4)), st.integers(0, 1 << 20))
# the failing case is named by the assertion; shrinking would compile for an hour
RELAXED = [HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large]


def check_drawn(cases: Sequence[tuple[tuple[str, str], Sizes, int]]) -> None:
    graphs = [draw(pattern, variant, sizes, seed) for (pattern, variant), sizes, seed in cases]
    require_equal_c(graphs, [str(case) for case in cases])


@settings(max_examples=2, deadline=None, suppress_health_check=RELAXED, phases=[Phase.generate], derandomize=True)
@given(st.lists(CASES, min_size=12, max_size=12))
def test_the_c_of_drawn_near_misses_equals_the_unfused_reference(cases: list[tuple[tuple[str, str], Sizes, int]]) -> None:
    check_drawn(cases)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=RELAXED, phases=[Phase.generate])
@given(st.lists(CASES, min_size=16, max_size=16))
def test_the_c_of_many_near_misses_equals_the_unfused_reference(cases: list[tuple[tuple[str, str], Sizes, int]]) -> None:
    check_drawn(cases)


@pytest.mark.parametrize(("pattern", "variant"), NEAR_MISSES)
def test_a_chain_fused_against_its_contract_is_refused_twice(pattern: str, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that forgets the contract: the verifier and the choice of the kernel both name the broken clause."""
    graph = draw(pattern, variant, SIZES, 1)
    monkeypatch.setattr(chains, "broken_clause", lambda op, graph: None)
    fused = PASS[pattern](graph)
    wrong = [op for op in fused.ops if isinstance(op.attrs, FusedAttrs)]
    if wrong:  # else the pass does not even find such a chain
        with pytest.raises(GraphError):
            verify_graph(fused)
        with pytest.raises(GraphError, match=f"is not a {pattern}|has no output"):
            for op in wrong:
                select(op, fused, DEFAULT_BUILD)
