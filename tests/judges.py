"""Judges for tests: the NumPy interpreter, with the variables' values from one run to the next, and recorded runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.minimise.certificate import Certificate
from flynet_tiny.verify.compare import SomeChannels
from flynet_tiny.verify.harness import SetResult
from flynet_tiny.verify.tensors_as_read import tensors_as_read

NOTHING_REMOVED = Certificate()


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


class Recorded:
    """What the C computed in one go, given out run by run as the graph that was read has it."""

    def __init__(
        self, graph: Graph, results: tuple[SetResult, ...], name: str, certificate: Certificate = NOTHING_REMOVED
    ) -> None:
        self.name = name
        self._runs = iter([tensors_as_read(graph, certificate, result) for result in results])

    def reset(self) -> None:
        """The runs were made with their resets."""

    def run(self, inputs: Mapping[str, np.ndarray], /) -> Mapping[str, np.ndarray | SomeChannels]:
        return next(self._runs)
