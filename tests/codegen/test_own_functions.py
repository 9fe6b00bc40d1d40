"""Which layers have a C function of their own: what it saves is weighed against its bytes, in the whole network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from flynet_tiny.codegen.build import BALANCED, DEFAULT_BUILD, SIZE, SPEED, Level
from flynet_tiny.codegen.ir import macs
from flynet_tiny.codegen.kernels.base import KernelCall, OwnFunction
from flynet_tiny.codegen.kernels.parameters import Helper, KernelParameters, array, arrays_of, code, size
from flynet_tiny.codegen.own_functions import CODE_BYTES, network_instructions_per_byte, with_own_functions

from .kernels.conv_cases import Kind, Layer, square


@dataclass(frozen=True)
class Inner(Helper):
    template: ClassVar[str] = "inner"
    turns: int = 0


@dataclass(frozen=True, eq=False)
class Parameters(KernelParameters):
    template: ClassVar[str] = "outer"
    inner: Inner | None = code()
    pixels: int = size()
    weights: np.ndarray | None = array()  # type: ignore[type-arg]

    @property
    def helpers(self) -> tuple[Helper, ...]:
        return (self.inner,) if self.inner else ()


def call(pixels: int, by_form: float = 0, by_sizes: float = 0, helper: int | None = None) -> KernelCall:
    inner = None if helper is None else Inner(helper)
    parameters = Parameters(inner, pixels, None)
    return KernelCall(parameters, ("x",), ("y",), own=OwnFunction(replace(parameters, inner=None), by_form, by_sizes, 300, 200))


LEVEL = replace(BALANCED, own_gain=1.0)


def owned(calls: list[KernelCall], level: Level = LEVEL, instructions_per_byte: float = 10) -> list[bool]:
    return [made.is_own for made in with_own_functions(calls, level, instructions_per_byte)]


def test_what_it_saves_must_be_worth_its_bytes() -> None:
    assert owned([call(4, 3001), call(5, 2999), call(6)]) == [True, False, False]
    assert owned([call(4, 3001), call(5, 2999), call(6)], instructions_per_byte=11) == [False] * 3


def test_equal_layers_pay_for_one_function_together() -> None:
    assert owned([call(4, 1500), call(4, 1500), call(5), call(6)]) == [True, True, False, False]


def test_where_nobody_else_needs_the_shared_function_it_costs_what_is_more_and_its_sizes_are_literals_anyway() -> None:
    assert owned([call(4, 1001)]) == [True]
    assert owned([call(4, 999, by_sizes=5000)]) == [False]
    assert owned([call(4, 999, by_sizes=5000), call(5)]) == [True, False]


def test_the_last_one_that_others_left_is_asked_again() -> None:
    assert owned([call(4, 3001), call(5, 1500)]) == [True, True]
    assert owned([call(4), call(5, 1500)]) == [False, False]


def test_a_helper_that_others_call_does_not_go() -> None:
    assert owned([call(4, 1500, helper=1), call(5, helper=2)]) == [True, False]
    assert owned([call(4, 1500, helper=1), replace(call(5, helper=1), own=None, scratch_bytes=8)]) == [False, False]


def test_a_form_is_taken_as_a_whole() -> None:
    (made,) = with_own_functions([call(4, 3001, helper=1)], LEVEL, 10)
    assert made.is_own
    assert made.own is None
    assert not made.parameters.helpers


@pytest.mark.parametrize("kind", [Kind.CONV_2D, Kind.DEPTHWISE])
def test_size_has_none_and_speed_every_form_that_saves(kind: Kind) -> None:
    layer = Layer(kind, 6, 6, 24, 24 if kind is Kind.CONV_2D else 1, square(1 if kind is Kind.CONV_2D else 3))
    calls = {level: layer.case(replace(DEFAULT_BUILD, level=level)).call for level in (SPEED, BALANCED, SIZE)}
    assert calls[SIZE].own is None
    assert calls[BALANCED].own is not None
    if kind is Kind.CONV_2D:
        assert owned([calls[SPEED]], SPEED, 1e9) == [True]


def test_a_network_is_its_instructions_over_its_constants() -> None:
    graph = Layer(Kind.CONV_2D, 6, 6, 24, 24).graph()
    single = Layer(Kind.CONV_2D, 6, 6, 24, 24).case().call
    once = network_instructions_per_byte(graph, graph.ops, [single], DEFAULT_BUILD)
    work = DEFAULT_BUILD.costs.network_mac * macs(graph.ops[0], graph) + DEFAULT_BUILD.costs.network_output * 6 * 6 * 24
    (values,) = arrays_of(single.parameters).values()
    assert once == work / (CODE_BYTES + values.nbytes)
    assert network_instructions_per_byte(graph, graph.ops, [single, single], DEFAULT_BUILD) == once
