"""DEPTHWISE_PAIR: two depthwise convolutions over one map, as one with the filters of both for each channel."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..build import Build
from ..ir import FusedAttrs, Graph, Op
from .base import KernelCall
from .convolution import Convolution, convolution
from .depthwise import depthwise_call

Number = TypeVar("Number", np.int8, np.int64)


def select(op: Op, graph: Graph, build: Build) -> KernelCall:
    """The kernel of two depthwise convolutions with the same window and input."""
    assert isinstance(op.attrs, FusedAttrs)
    first, second = (convolution(step, graph) for step in op.attrs.body)
    heads = (first.attrs.depth_multiplier, second.attrs.depth_multiplier)
    results = tuple(step.output for step in op.attrs.body)
    return depthwise_call(joined(first, second), sum(heads), False, op.inputs[0], results, build, heads_of_second=heads[1])


def joined(first: Convolution, second: Convolution) -> Convolution:
    """For each channel the filters of the first, then those of the second."""
    channels = first.input_shape[3]

    def interleave(one: npt.NDArray[Number], other: npt.NDArray[Number]) -> npt.NDArray[Number]:
        parts = [values.reshape(*values.shape[:-1], channels, -1) for values in (one, other)]
        return np.concatenate(parts, axis=-1).reshape(*one.shape[:-1], -1)

    def zero_points(conv: Convolution) -> npt.NDArray[np.int64]:
        return np.full(conv.bias.shape, conv.output_zero_point, np.int64)

    return replace(
        first,
        weights=interleave(first.weights, second.weights),
        bias=interleave(first.bias, second.bias),
        multiplier=interleave(first.multiplier, second.multiplier),
        shift=interleave(first.shift, second.shift),
        output_zero_point=interleave(zero_points(first), zero_points(second)),
    )
