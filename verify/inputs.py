"""Inputs that stress arithmetic: the two extremes of their element types, and seeded noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..codegen.ir import Graph, Tensor

Values = npt.NDArray[np.integer]

SEQUENCE_NOISE = 16  # the longest memory of a streaming network that we know is 13 steps


@dataclass(frozen=True, eq=False)
class NamedInputs:
    """One set of inputs of a graph, with the name that messages use.

    begins  whether the graph's variables have their start values, else those that the set before left
    """

    name: str
    values: Mapping[str, Values]
    begins: bool = True


def extreme_inputs(graph: Graph, num_noise: int = 1, seed: int = 0) -> tuple[NamedInputs, ...]:
    """All of the least value, all of the largest, then uniform noise over all values; for int8: -128, 127.

    A graph with variables gets all of them as one sequence, then `SEQUENCE_NOISE` sets of noise as another.
    """
    tensors = [graph.tensor(name) for name in graph.inputs]
    limits = {tensor.name: np.iinfo(tensor.dtype.value) for tensor in tensors}
    rng = np.random.default_rng(seed)

    def named(values: Mapping[str, int]) -> NamedInputs:
        filled = {t.name: np.full(t.shape, values[t.name], t.dtype.value) for t in tensors}
        return NamedInputs(f"all {', '.join(dict.fromkeys(map(str, values.values())))}", filled)

    def drawn(tensor: Tensor) -> Values:
        limit = limits[tensor.name]
        return rng.integers(limit.min, limit.max, tensor.shape, tensor.dtype.value, endpoint=True)

    extremes = [{n: int(limit.min) for n, limit in limits.items()}, {n: int(limit.max) for n, limit in limits.items()}]
    more = SEQUENCE_NOISE if graph.variables else 0
    noise = [NamedInputs(f"noise {i}", {t.name: drawn(t) for t in tensors}) for i in range(num_noise + more)]
    sets = (*map(named, extremes), *noise)
    if not graph.variables:
        return sets
    return tuple(replace(each, begins=i in (0, len(sets) - more)) for i, each in enumerate(sets))
