"""The range of every value of a float ONNX graph over calibration images.

Only scalars (or histograms) leave onnxruntime's run of an image, so memory does not grow with the images.
Min/max over many images of the kind that the network will see is the default: it was better than clipping wherever it was tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from onnx import helper

from ..errors import BadData, BadModel
from .onnx_graph import Array, OnnxGraph

Progress = Callable[[int], None]  # called with the number of images done
Batch = Array | Mapping[str, Array]  # [N, ...] of a network's only input, or of each by its name
Feed = Mapping[str, Array]  # one image of each input, each with a batch of one


class RangeMethod(Enum):
    """How a range is taken from a value's elements over all images."""

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"


@dataclass(frozen=True)
class ValueRange:
    """The smallest and the largest element."""

    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """Ranges by ONNX value name, and how many images they come from."""

    ranges: Mapping[str, ValueRange]
    num_images: int


def calibrate(
    graph: OnnxGraph,
    values: Sequence[str],
    batches: Iterable[Batch],
    *,
    method: RangeMethod = RangeMethod.MIN_MAX,
    percentile: float = 99.999,
    progress: Progress | None = None,
) -> Calibration:
    """The ranges of `values` over all images of all batches ([N, C, H, W] each, float32, as the network takes them).

    A network with several inputs takes batches by name, of equal length; an image is one set of all inputs.

    percentile  of the elements that the range holds, when that is the method; half of the rest is cut off at each end
    Raises BadData for images of another shape or with NaN, and where there is none.
    """
    images = feeds(graph, batches)
    run = _min_max if method is RangeMethod.MIN_MAX else _percentiles
    ranges, count = run(graph, values, images, percentile, progress or (lambda done: None))
    if count == 0:
        raise BadData("no calibration images")
    for name, found in ranges.items():
        if not np.isfinite([found.low, found.high]).all():
            raise BadModel(f"the network computes {found.low} to {found.high} at {name!r}; int8 cannot hold that")
    return Calibration(ranges, count)


def feeds(graph: OnnxGraph, batches: Iterable[Batch]) -> Iterator[Feed]:
    """Images one by one, checked, each as a batch of one."""
    for batch in batches:
        named = batch if isinstance(batch, Mapping) else {graph.inputs[0]: batch}
        if set(named) != set(graph.inputs):
            raise BadData(f"calibration data of {_list(named)}; the network takes {_list(graph.inputs)}")
        arrays = {name: _checked(graph, name, np.asarray(named[name])) for name in graph.inputs}
        if len({len(array) for array in arrays.values()}) > 1:
            raise BadData(f"calibration batches of different lengths: {_list(f'{n} {len(a)}' for n, a in arrays.items())}")
        for index in range(len(arrays[graph.inputs[0]])):
            yield {name: array[index : index + 1] for name, array in arrays.items()}


def _checked(graph: OnnxGraph, name: str, batch: Array) -> Array:
    expected = graph.shapes[name]
    if batch.shape[1:] != expected[1:] or batch.ndim != len(expected):
        wanted = ", ".join(str(size) for size in ("N", *expected[1:]))
        raise BadData(f"a calibration batch of shape {list(batch.shape)}; the network takes [{wanted}]{_of(graph, name)}")
    if not np.isfinite(batch).all():
        raise BadData(f"a calibration image holds NaN or infinity{_of(graph, name)}")
    return batch.astype(np.float32)


def _of(graph: OnnxGraph, name: str) -> str:
    return f" as {name!r}" if len(graph.inputs) > 1 else ""


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _min_max(
    graph: OnnxGraph, values: Sequence[str], images: Iterator[Feed], _: float, progress: Progress
) -> tuple[dict[str, ValueRange], int]:
    reducers = [
        helper.make_node(op, [value], [f"{value}/{op}"], keepdims=0) for value in values for op in ("ReduceMin", "ReduceMax")
    ]
    names = [name for node in reducers for name in node.output]
    session = graph.session(names, reducers)
    low, high = np.full(len(values), np.inf), np.full(len(values), -np.inf)
    count = 0
    for image in images:
        found = np.array(session.run(names, image), np.float64)
        low, high = np.minimum(low, found[0::2]), np.maximum(high, found[1::2])  # NaN stays NaN
        count += 1
        progress(count)
    return {name: ValueRange(float(a), float(b)) for name, a, b in zip(values, low, high, strict=True)}, count


def _percentiles(
    graph: OnnxGraph, values: Sequence[str], images: Iterator[Feed], percentile: float, progress: Progress
) -> tuple[dict[str, ValueRange], int]:
    computed = [value for value in values if value not in graph.inputs]
    session = graph.session(computed)
    histograms = {value: _Histogram() for value in values}
    count = 0
    for image in images:
        found = dict(zip(computed, session.run(computed, image), strict=True))
        for value in values:
            histograms[value].add(found[value] if value in found else image[value])
        count += 1
        progress(count)
    return {value: histogram.range(percentile) for value, histogram in histograms.items()}, count


class _Histogram:
    """Counts over [-limit, limit], whose bins double in width when an element lies outside."""

    BINS = 1 << 13

    def __init__(self) -> None:
        self.limit = 2.0**-20
        self.counts = np.zeros(self.BINS, np.int64)
        self.low, self.high = np.inf, -np.inf

    def add(self, elements: Array) -> None:
        low, high = float(elements.min()), float(elements.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        if not np.isfinite([low, high]).all():
            self.low = self.high = np.nan
            return
        while max(-low, high) > self.limit:
            quarter = self.BINS // 4
            self.counts = np.pad(self.counts.reshape(-1, 2).sum(axis=1), quarter)
            self.limit *= 2
        self.counts += np.histogram(elements, self.BINS, (-self.limit, self.limit))[0]

    def range(self, percentile: float) -> ValueRange:
        """The outer edges of the bins between which `percentile` of the elements lie, never wider than min and max."""
        if not self.counts.any():
            return ValueRange(self.low, self.high)
        edges = np.linspace(-self.limit, self.limit, self.BINS + 1)
        below = np.cumsum(self.counts)
        cut = below[-1] * (1 - percentile / 100) / 2
        first, last = int(np.searchsorted(below, cut, "right")), int(np.searchsorted(below, below[-1] - cut))
        return ValueRange(max(float(edges[first]), self.low), min(float(edges[last + 1]), self.high))
