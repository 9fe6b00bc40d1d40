"""The four judges over one model: golden ONNX in onnxruntime, LiteRT's reference kernels, the C on the host, the C emulated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from ..codegen.compiler import Compiled
from ..codegen.ir import Graph, Tensor
from ..errors import BadModel
from ..firmware.project import BuiltFirmware
from ..report.schema import NotDone, Rounding, Verification, left_out_line
from ..verify.compare import GoldenJudge, Judge, PairResult, SomeChannels, compare_judges, require_equal, rounding_statistics
from ..verify.harness import SetResult
from ..verify.host_c import HostLibrary
from ..verify.inputs import NamedInputs, extreme_inputs
from ..verify.litert import LiteRt, Resolver
from ..verify.litert_judge import LiteRtJudge
from ..verify.onnx_qdq import ORT_ERRORS, QdqOnnxRuntime
from ..verify.onnx_twin import OnnxTwin
from ..verify.qemu import EmulatedRun, run_emulated
from ..verify.tensors_as_read import tensors_as_read

Stored = npt.NDArray[np.integer]
Values = npt.NDArray[np.integer]
Progress = Callable[[int, int], None]

# what onnxruntime raises on a stranger's model, and numpy on its outputs
CANNOT_RUN: tuple[type[Exception], ...] = (ValueError, *ORT_ERRORS)
# whatever a statistic may raise: LiteRT's and onnxruntime's own errors, and ours in making a model that nothing else needs
_FAILURES: tuple[type[Exception], ...] = (BadModel, ArithmeticError, LookupError, TypeError, *CANNOT_RUN)

EMULATED_JUDGE = "emulated board"


@dataclass(frozen=True, eq=False)
class Proof:
    """All comparisons, each against the golden model in onnxruntime, and the emulated run when there was one.

    notes  what the reader of the report must know of a judge, each a sentence
    """

    pairs: tuple[Verification, ...]
    golden_outputs: tuple[Mapping[str, Stored], ...]
    emulated: EmulatedRun | None
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The outcome in one line; it names the judges that judged nothing."""
        silent = [pair.pair.split(" = ")[-1] for pair in self.pairs if not pair.inputs]
        return "every tensor of every runtime is equal" + (f", but {', '.join(silent)} judged no input" if silent else "")

    @property
    def lines(self) -> list[str]:
        """One line for each pair of judges, and one for each judge that was left out of inputs."""
        lines = []
        for p in self.pairs:
            counts = f"{p.inputs} inputs, {p.tensors} tensors, {p.bytes:,} bytes compared, {p.differing} bytes differing"
            lines.append(f"{p.pair}: {counts}")
            if p.left_out:
                lines.append(left_out_line(p.pair, p.left_out, p.left_out_why))
        return [*lines, *self.notes]


_Found = TypeVar("_Found", Values, Values | SomeChannels)


class _Replayed(Generic[_Found]):
    """A judge whose runs were made before: gives them out in the same order."""

    def __init__(self, name: str, runs: Iterable[Mapping[str, _Found]]):
        self.name = name
        self._runs: Iterator[Mapping[str, _Found]] = iter(runs)

    def reset(self) -> None:
        """Nothing: the runs were made with their resets."""

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]], /) -> Mapping[str, _Found]:
        return next(self._runs)


class _KeepsOutputs(OnnxTwin):
    """The golden model, which also keeps the graph's outputs of every run, and all tensors of the latest."""

    def __init__(self, graph: Graph, model: bytes | None):
        super().__init__(graph, model)
        self._graph_outputs = graph.outputs
        self.outputs: list[Mapping[str, Stored]] = []
        self.latest: Mapping[str, Stored] = {}

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Stored]:
        tensors = self.latest = super().run(inputs)
        self.outputs.append({name: tensors[name] for name in self._graph_outputs})
        return tensors


def test_inputs(compiled: Compiled, real: Mapping[str, Stored], count: int, seed: int) -> tuple[NamedInputs, ...]:
    """`count` real inputs, then the extremes; inputs of a model with several that have none get seeded noise.

    Of a model with variables the real inputs are one sequence, and the extremes begin others.
    """
    graph = compiled.source_graph
    rng = np.random.default_rng(seed)
    named = []
    for i in range(min(count, *map(len, real.values()))):
        values = {name: real[name][i].reshape(graph.tensor(name).shape) for name in graph.inputs if name in real}
        values |= {n: _noise(graph.tensor(n), rng) for n in graph.inputs if n not in real}
        named.append(NamedInputs(f"real {i}", values, begins=i == 0 or not graph.variables))
    return (*named, *extreme_inputs(graph, seed=seed))


def _noise(tensor: Tensor, rng: np.random.Generator) -> Stored:
    """Values over the whole range of a tensor's type."""
    noise: Stored = rng.integers(*tensor.dtype.limits, tensor.shape, tensor.dtype.value, endpoint=True)
    return noise


@dataclass(frozen=True, eq=False)
class Runtimes:
    """What is compared: a model as compiled, as LiteRT gets it, as C on the host and, if it is to be emulated, as firmware.

    golden_model  the golden ONNX twin, where one exists already
    """

    compiled: Compiled
    tflite: bytes
    host: HostLibrary
    firmware: BuiltFirmware | None
    golden_model: bytes | None = None


def prove(runtimes: Runtimes, inputs: Sequence[NamedInputs], progress: Progress) -> Proof:
    """Compare every tensor that each runtime materialises, for every input; raises `NumbersDiffer` at the first difference.

    progress  called with (steps done, steps in all): one step an input on the emulated board, one an input in the other judges
    """
    compiled, host, firmware = runtimes.compiled, runtimes.host, runtimes.firmware
    values, begins = [named.values for named in inputs], [named.begins for named in inputs]
    steps = len(inputs) * (2 if firmware is not None else 1)
    emulated = None
    if firmware is not None:
        emulated = run_emulated(firmware, compiled.library, values, begins=begins, progress=lambda done, _: progress(done, steps))
    graph = compiled.source_graph

    def replayed(name: str, sets: Iterable[SetResult]) -> Judge:
        return _Replayed(name, (tensors_as_read(graph, compiled.certificate, result) for result in sets))

    recorded = [replayed(host.name, host.run_many(values, begins=begins))]
    if emulated is not None:
        recorded.append(replayed(EMULATED_JUDGE, emulated.sets))
    done = steps - len(inputs)

    def on_input(_: str) -> None:
        nonlocal done
        done += 1
        progress(done, steps)

    golden = _KeepsOutputs(graph, runtimes.golden_model)
    with LiteRtJudge(graph, runtimes.tflite, exact=lambda _: golden.latest) as litert:
        results = compare_judges(graph, golden, [litert, *recorded], inputs, on_input)
        notes = (litert.note,) if litert.note else ()
    require_equal(results)
    return Proof(tuple(_verification(result) for result in results), tuple(golden.outputs), emulated, notes)


def _verification(result: PairResult) -> Verification:
    counts = (result.pair, result.inputs, result.tensors, result.bytes, result.differing)
    return Verification(*counts, result.left_out, result.left_out_why)


def ordinary_runtimes(
    graph: Graph, tflite: bytes, inputs: Sequence[NamedInputs], golden_outputs: Sequence[Mapping[str, Stored]]
) -> dict[str, Rounding | NotDone]:
    """How far runtimes of a graph as read, that round in float, lie from the exact outputs: statistics, never a verdict.

    A runtime that cannot take the model (XNNPACK crashes on a DEPTHWISE_CONV_2D without bias), or fails in whatever way while it
    computes, says so in its place: it must never end a job that is proven.
    """

    def beside(other: GoldenJudge) -> Rounding:
        found = rounding_statistics(graph, _Replayed("golden", golden_outputs), other, inputs)
        return Rounding(found.differing_share, found.max_lsb, found.argmax_agreement)

    def or_reason(measure: Callable[[], Rounding]) -> Rounding | NotDone:
        try:
            return measure()
        except _FAILURES as error:
            return NotDone(first_line(error))

    def in_xnnpack() -> Rounding:
        with LiteRt(graph, tflite, Resolver.XNNPACK) as xnnpack:
            return beside(xnnpack)

    return {"qdq_onnxruntime": or_reason(lambda: beside(QdqOnnxRuntime(graph))), "xnnpack": or_reason(in_xnnpack)}


def first_line(error: Exception) -> str:
    """An error in one line of a readable length, its type where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
