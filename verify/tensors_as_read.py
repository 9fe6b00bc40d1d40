"""The C's tensors as the graph that was read has them, so that they can be compared with those of the other judges."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..codegen.ir import Graph
from ..codegen.minimise.certificate import Certificate
from .compare import SomeChannels
from .harness import SetResult

Values = npt.NDArray[np.integer]


def tensors_as_read(graph: Graph, certificate: Certificate, result: SetResult) -> Mapping[str, Values | SomeChannels]:
    """The C's flat tensors in the shapes of the graph as read; tensors that only passes know are left out.

    A tensor that lost channels has those that the C computed, and of those that went the constants that are certified, whether it
    is stored or not. The tensor of an operator that was bypassed is the one that is read in its place.
    """
    stored = dict(result.tensors)
    for entry in certificate.bypassed:
        if entry.source in stored:
            stored[entry.name] = stored[entry.source]
    found: dict[str, Values | SomeChannels] = {}
    for name, values in stored.items():
        if name in graph.tensors and name not in certificate.by_name:
            found[name] = values.reshape(graph.tensor(name).shape)
    for name in certificate.by_name:
        known = certificate.known_channels(name, graph.tensor(name).shape, stored.get(name))
        if known is not None:
            found[name] = SomeChannels(*known)
    return found
