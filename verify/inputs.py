"""Inputs that stress arithmetic: the two extremes of int8, and seeded noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codegen.ir import Graph

Int8 = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class NamedInputs:
    """One set of inputs of a graph, with the name that messages use."""

    name: str
    values: Mapping[str, Int8]


def extreme_inputs(graph: Graph, num_noise: int = 1, seed: int = 0) -> tuple[NamedInputs, ...]:
    """All -128, all 127, then uniform noise over all of int8."""
    shapes = {name: graph.tensor(name).shape for name in graph.inputs}
    constants = [
        NamedInputs(f"all {value}", {name: np.full(shape, value, np.int8) for name, shape in shapes.items()})
        for value in (-128, 127)
    ]
    rng = np.random.default_rng(seed)
    noise = [
        NamedInputs(f"noise {i}", {name: rng.integers(-128, 128, shape, np.int8) for name, shape in shapes.items()})
        for i in range(num_noise)
    ]
    return (*constants, *noise)
