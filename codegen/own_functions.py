"""Which layers have a C function of their own, where the level lets layers of several sizes share one.

A function of its own has all its sizes as literals, and its loops as the C compiler likes them. Where that is worth its bytes is
asked of the whole network: its share of all instructions, beside its share of all flash (`Level.own_gain`). So a byte buys more
instructions in a large network than in a small one, and layers that are equal pay for one function together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from .build import Build, Level
from .functions import function_key
from .ir import Graph, Op, macs
from .kernels.base import KernelCall
from .kernels.parameters import arrays_of

CODE_BYTES = 16_384  # of a firmware beside its constants, about


def with_own_functions(calls: Sequence[KernelCall], level: Level, instructions_per_byte: float) -> tuple[KernelCall, ...]:
    """The calls, those in their own form for which it pays; the rest of a function that others left is asked again."""
    chosen = list(calls)
    while found := _worth_it(chosen, level, instructions_per_byte):
        for index in found:
            own = chosen[index].own
            assert own is not None
            chosen[index] = replace(chosen[index], parameters=own.parameters, is_own=True, own=None)
    return tuple(chosen)


def network_instructions_per_byte(graph: Graph, ops: Iterable[Op], calls: Iterable[KernelCall], build: Build) -> float:
    """A network's instructions over the bytes of its firmware, about: what a byte of its flash does, on average."""
    constants = {id(values): values.nbytes for call in calls for values in arrays_of(call.parameters).values()}
    costs = build.costs
    instructions = sum(
        costs.network_mac * macs(op, graph) + costs.network_output * sum(graph.tensor(n).num_elements for n in op.outputs)
        for op in ops
    )
    return instructions / (CODE_BYTES + sum(constants.values()))


def _worth_it(calls: Sequence[KernelCall], level: Level, instructions_per_byte: float) -> list[int]:
    """The places of the first calls that are worth their own function: equal ones together."""
    users = Counter(use for call in calls for use in _uses(call, level))
    equal: dict[Hashable, list[int]] = defaultdict(list)
    for index, call in enumerate(calls):
        if call.own is not None:
            equal[function_key(replace(call, parameters=call.own.parameters, is_own=True), level)].append(index)
    for places in equal.values():
        own = calls[places[0]].own
        assert own is not None
        is_shared = any(users[use] > len(places) for use in _uses(calls[places[0]], level))
        more_bytes = own.code_bytes - (0 if is_shared else own.shared_bytes)
        saved = len(places) * (own.by_form + (own.by_sizes if is_shared else 0))
        if saved > 0 and saved >= level.own_gain * instructions_per_byte * more_bytes:
            return places
    return []


def _uses(call: KernelCall, level: Level) -> set[Hashable]:
    """The functions that a call needs, by what tells them apart."""
    return {function_key(call, level), *call.parameters.helpers}
