"""Judges compared tensor by tensor: how many bytes, how many differ, and the first tensor that does.

A judge computes every tensor that its runtime materialises. Two judges are compared on the tensors that both have, in the order
of the graph, so that the first difference is where the arithmetic parts and not what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..codegen.ir import FusedAttrs, Graph, Op, file_inputs
from ..errors import NumbersDiffer
from .inputs import NamedInputs

Values = npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class SomeChannels:
    """What a judge knows of a tensor of which it has not every channel: values [..., known channels], channels ascending."""

    channels: npt.NDArray[np.int64]
    values: Values

    def of(self, whole: Values) -> Values:
        """The same channels of another judge's tensor."""
        return whole[..., self.channels]

    def place(self, index: tuple[int, ...]) -> tuple[int, ...]:
        """Where an element of `values` lies in the whole tensor."""
        return (*index[:-1], int(self.channels[index[-1]]))


class CannotJudge(Exception):
    """A judge's own limit keeps it from computing one set of inputs; the message says which."""


class Judge(Protocol):
    """A runtime of one model: IR tensor name -> array, for one set of inputs. Raises CannotJudge where its limits end.

    One that is compared with the golden one may know only some channels of a tensor: those of a narrowed graph, and the
    constants that its certificate has for channels that went.

    It keeps the model's variables from one run to the next, until `reset` gives them their start values.
    """

    @property
    def name(self) -> str: ...

    def reset(self) -> None: ...

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]], /) -> Mapping[str, Values | SomeChannels]: ...


class GoldenJudge(Protocol):
    """A runtime that computes every tensor whole."""

    @property
    def name(self) -> str: ...

    def reset(self) -> None: ...

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]], /) -> Mapping[str, Values]: ...


@dataclass(frozen=True)
class TensorDifference:
    """The first element in which two judges differ."""

    tensor: str
    op: str
    index: tuple[int, ...]
    left_value: int
    right_value: int
    left_name: str
    right_name: str
    input_name: str

    def __str__(self) -> str:
        at = ", ".join(map(str, self.index))
        return (
            f"{self.tensor}[{at}] is {self.left_value} in {self.left_name} and {self.right_value} in {self.right_name} "
            f"({self.op}, input {self.input_name})"
        )


@dataclass(frozen=True)
class PairResult:
    """A comparison of two judges over some inputs. `tensors` counts those of one inference, `bytes` those of all.

    left_out  further inputs that the second judge could not compute, with the reason for the first of them
    """

    pair: str
    inputs: int
    tensors: int
    bytes: int
    differing: int
    first: TensorDifference | None = None
    left_out: int = 0
    left_out_why: str | None = None

    def __str__(self) -> str:
        text = (
            f"{self.pair}: {self.inputs} inputs, {self.tensors} tensors compared, {self.bytes:,} bytes compared, "
            f"{self.differing:,} bytes differing"
        )
        return f"{text}; {self.left_out} inputs left out: {self.left_out_why}" if self.left_out else text


class Comparison:
    """Counts of one pair of judges, added to input by input."""

    def __init__(self, graph: Graph, left_name: str, right_name: str) -> None:
        self._graph = graph
        self._left_name, self._right_name = left_name, right_name
        self._places = {name: op.label for op in graph.ops for name in _written(op)}
        ends = zip(graph.inputs, file_inputs(graph), strict=True)
        changed = {
            name for name, end in ends if end.element != graph.tensor(name).dtype.value
        }  # by the file's QUANTIZE: it must give our values
        given = [name for name in graph.inputs if name in changed or name in graph.outputs]
        self._places |= dict.fromkeys(given, "graph input") | dict.fromkeys(graph.constant_outputs(), "constant")
        state = graph.start_state()
        self._places |= dict.fromkeys(state, "variable")
        self._order = [*given, *state, *graph.constant_outputs(), *(name for op in graph.ops for name in _written(op))]
        self._inputs = self._tensors = self._bytes = self._differing = 0
        self._first: TensorDifference | None = None
        self._left_out: list[str] = []

    def leave_out(self, reason: str) -> None:
        """One set of inputs that the second judge could not compute."""
        self._left_out.append(reason)

    def add(self, left: Mapping[str, Values], right: Mapping[str, Values | SomeChannels], input_name: str) -> None:
        """Compare all tensors that both judges computed from one set of inputs; the graph's outputs must be among them."""
        for judge, values in ((self._left_name, left), (self._right_name, right)):
            missing = [name for name in self._graph.outputs if not isinstance(values.get(name), np.ndarray)]
            if missing:
                raise ValueError(f"{judge} gives no output {missing[0]}: nothing would be proven")
        common = [name for name in self._order if name in left and name in right]
        for name in common:
            self._compare(name, left[name], right[name], input_name)
        self._inputs += 1
        self._tensors = max(self._tensors, len(common))

    def _compare(self, name: str, whole: Values, found: Values | SomeChannels, input_name: str) -> None:
        left, right = (found.of(whole), found.values) if isinstance(found, SomeChannels) else (whole, found)
        if left.shape != right.shape or left.dtype != right.dtype:
            raise ValueError(
                f"{name} is {left.dtype}{list(left.shape)} in {self._left_name}, "
                f"{right.dtype}{list(right.shape)} in {self._right_name}"
            )
        self._bytes += left.nbytes
        wrong = left != right
        count = int(np.count_nonzero(wrong))
        self._differing += count * left.itemsize
        if count and self._first is None:
            index = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
            place = found.place(index) if isinstance(found, SomeChannels) else index
            self._first = TensorDifference(
                name, self._places[name], place, int(left[index]), int(right[index]),
                self._left_name, self._right_name, input_name,
            )  # fmt: skip

    @property
    def result(self) -> PairResult:
        pair = f"{self._left_name} = {self._right_name}"
        reason = self._left_out[0] if self._left_out else None
        counts = (self._inputs, self._tensors, self._bytes, self._differing)
        return PairResult(pair, *counts, self._first, len(self._left_out), reason)


def _written(op: Op) -> list[str]:
    """The tensors that an operator writes, those inside a fused one included, in order."""
    if not isinstance(op.attrs, FusedAttrs):
        return list(op.outputs)
    return [name for step in op.attrs.body for name in _written(step)]


def compare_judges(
    graph: Graph,
    golden: GoldenJudge,
    others: Sequence[Judge],
    inputs: Iterable[NamedInputs],
    on_input: Callable[[str], None] | None = None,
) -> tuple[PairResult, ...]:
    """Every other judge against the golden one; each judge runs once for each set of inputs, or is left out where it cannot.

    graph     names and orders the tensors (the graph as read)
    on_input  called with the name of each set of inputs when it is done, for progress
    """
    comparisons = [Comparison(graph, golden.name, other.name) for other in others]
    for named in inputs:
        if named.begins:
            for judge in (golden, *others):
                judge.reset()
        expected = golden.run(named.values)
        for comparison, other in zip(comparisons, others, strict=True):
            try:
                found = other.run(named.values)
            except CannotJudge as limit:
                comparison.leave_out(str(limit))
            else:
                comparison.add(expected, found, named.name)
        if on_input is not None:
            on_input(named.name)
    return tuple(comparison.result for comparison in comparisons)


def require_equal(results: Iterable[PairResult]) -> None:
    """Raise NumbersDiffer with the first differing tensor of the first pair that differs.

    At least one judge must have computed something; one that was left out for all inputs says so in its result.
    """
    results = list(results)
    if results and not any(result.bytes for result in results):
        raise NumbersDiffer(f"{results[0].pair}: nothing was compared")
    for result in results:
        if (result.inputs == 0 or result.bytes == 0) and not result.left_out:
            raise NumbersDiffer(f"{result.pair}: nothing was compared")
        if result.first is not None:
            raise NumbersDiffer(f"{result.pair} fails: {result.first}; {result.differing:,} of {result.bytes:,} bytes differ")


@dataclass(frozen=True)
class RoundingStatistics:
    """How far the outputs of a runtime that rounds in its own way lie from the exact ones."""

    name: str
    inputs: int
    elements: int
    differing: int
    max_lsb: int
    argmax_agreeing: int

    @property
    def differing_share(self) -> float:
        return self.differing / self.elements

    @property
    def argmax_agreement(self) -> float:
        return self.argmax_agreeing / self.inputs


def rounding_statistics(
    graph: Graph, golden: GoldenJudge, other: GoldenJudge, inputs: Iterable[NamedInputs]
) -> RoundingStatistics:
    """The outputs of another judge beside the golden ones. argmax is that of the graph's first output."""
    count = elements = differing = max_lsb = agreeing = 0
    for named in inputs:
        if named.begins:
            golden.reset()
            other.reset()
        exact, near = golden.run(named.values), other.run(named.values)
        for name in graph.outputs:
            distance = np.abs(exact[name].astype(np.int64) - near[name])
            elements += distance.size
            differing += int(np.count_nonzero(distance))
            max_lsb = max(max_lsb, int(distance.max()))
        first = graph.outputs[0]
        agreeing += int(np.argmax(exact[first]) == np.argmax(near[first]))
        count += 1
    if count == 0:
        raise ValueError("statistics of no inputs")
    return RoundingStatistics(other.name, count, elements, differing, max_lsb, agreeing)
