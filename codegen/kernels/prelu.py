"""PRELU by a constant alpha: a product of what is below 0; an alpha of one element is a lookup table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..fixed_point import prelu_multipliers
from ..ir import Graph, Op
from ..reference import computed
from .base import KernelCall
from .broadcast import PairLoops, broadcast_nest, elementwise_sharing
from .exact import INT8_VALUES
from .parameters import KernelParameters, array, data, group
from .table import table_call


@dataclass(frozen=True, eq=False)
class Prelu(KernelParameters):
    """alpha  int16, without its zero point;  above, below  multipliers and shifts of the value and of its product."""

    template: ClassVar[str] = "prelu"
    loops: PairLoops = group()
    zero0: int = data()
    zero_point: int = data()
    above: int = data()
    above_shift: int = data()
    below: int = data()
    below_shift: int = data()
    alpha: npt.NDArray[np.int16] = array()

    @property
    def summary(self) -> str:
        return "Each element, or its product with alpha where it is below 0."


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel call of a PRELU; alpha is broadcast as NumPy does."""
    source, alpha, output = (graph.tensor(name) for name in (*op.inputs, op.output))
    if alpha.num_elements == 1:
        table = computed(op, graph, [INT8_VALUES.astype(np.int8), alpha.constant().reshape(1)])
        return table_call(source.name, op.output, output.num_elements, table.astype(np.int8))
    above, below = prelu_multipliers(source.scale, alpha.scale, output.scale)
    nest = broadcast_nest(source.shape, alpha.shape)
    slopes = (alpha.constant().astype(np.int16) - np.int16(alpha.zero_point)).reshape(-1)
    parameters = Prelu(
        nest.loops,
        source.zero_point,
        output.zero_point,
        above.multiplier,
        above.shift,
        below.multiplier,
        below.shift,
        slopes,
    )
    return KernelCall(parameters, (source.name,), (op.output,), sharing=elementwise_sharing(nest, (source.name,)))
