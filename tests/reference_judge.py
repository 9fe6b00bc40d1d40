"""The NumPy interpreter as a judge, with the variables' values from one run to the next."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.ir import Graph


class ReferenceJudge:
    name = "reference"

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.reset()

    def reset(self) -> None:
        self._state: Mapping[str, np.ndarray] = self._graph.start_state()

    def run(self, inputs: Mapping[str, np.ndarray], /) -> dict[str, np.ndarray]:
        values = reference.run(self._graph, {**inputs, **self._state})
        self._state = self._graph.next_state(values)
        return values
