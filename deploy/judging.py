"""The four judges over one model: golden ONNX in onnxruntime, LiteRT's reference kernels, the C on the host, the C emulated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codegen.compiler import Compiled
from ..report.schema import Rounding, Verification
from ..verify.compare import PairResult, compare_judges, require_equal, rounding_statistics
from ..verify.firmware import BuiltFirmware
from ..verify.harness import SetResult
from ..verify.host_c import HostLibrary
from ..verify.inputs import NamedInputs, extreme_inputs
from ..verify.litert import LiteRt, Resolver
from ..verify.onnx_qdq import QdqOnnxRuntime
from ..verify.onnx_twin import OnnxTwin
from ..verify.qemu import EmulatedRun, run_emulated

Int8 = npt.NDArray[np.int8]
Progress = Callable[[int, int], None]

EMULATED_JUDGE = "emulated board"


@dataclass(frozen=True, eq=False)
class Judgement:
    """All comparisons, each against the golden model in onnxruntime, and the emulated run when there was one."""

    pairs: tuple[Verification, ...]
    emulated: EmulatedRun | None


class _Recorded:
    """A judge whose runs were made in one go: gives them out in the same order."""

    def __init__(self, name: str, compiled: Compiled, results: Sequence[SetResult]):
        self.name = name
        self._graph = compiled.source_graph
        self._results = iter(results)

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]], /) -> Mapping[str, Int8]:
        tensors = next(self._results).tensors
        known = self._graph.tensors
        return {name: values.reshape(known[name].shape) for name, values in tensors.items() if name in known}


def test_inputs(compiled: Compiled, real: Int8, count: int, seed: int) -> tuple[NamedInputs, ...]:
    """`count` real inputs, then the extremes; further inputs of a model with several get seeded noise."""
    graph = compiled.source_graph
    first, *others = graph.inputs
    rng = np.random.default_rng(seed)
    named = []
    for i in range(min(count, len(real))):
        values = {first: real[i].reshape(graph.tensor(first).shape)}
        values |= {name: rng.integers(-128, 128, graph.tensor(name).shape, np.int8) for name in others}
        named.append(NamedInputs(f"real {i}", values))
    return (*named, *extreme_inputs(graph, seed=seed))


def judge(
    compiled: Compiled,
    tflite: bytes,
    host: HostLibrary,
    firmware: BuiltFirmware | None,
    inputs: Sequence[NamedInputs],
    progress: Progress,
) -> Judgement:
    """Compare every tensor that each runtime materialises, for every input; raises `NumbersDiffer` at the first difference.

    progress  called with (steps done, steps in all): one step an input on the emulated board, one an input in the other judges
    """
    values = [named.values for named in inputs]
    steps = len(inputs) * (2 if firmware is not None else 1)
    emulated = None
    if firmware is not None:
        emulated = run_emulated(firmware, compiled.library, values, progress=lambda done, _: progress(done, steps))
    recorded = [_Recorded(host.name, compiled, host.run_many(values))]
    if emulated is not None:
        recorded.append(_Recorded(EMULATED_JUDGE, compiled, emulated.sets))
    done = steps - len(inputs)

    def on_input(_: str) -> None:
        nonlocal done
        done += 1
        progress(done, steps)

    with LiteRt(compiled.source_graph, tflite) as litert:
        results = compare_judges(compiled.source_graph, OnnxTwin(compiled.source_graph), [litert, *recorded], inputs, on_input)
    require_equal(results)
    return Judgement(tuple(_verification(result) for result in results), emulated)


def _verification(result: PairResult) -> Verification:
    return Verification(result.pair, result.inputs, result.tensors, result.bytes, result.differing)


def ordinary_runtimes(compiled: Compiled, tflite: bytes, inputs: Sequence[NamedInputs]) -> dict[str, Rounding]:
    """How far runtimes that round in float lie from the exact outputs: statistics, never a verdict."""
    graph = compiled.source_graph
    golden = OnnxTwin(graph)
    with LiteRt(graph, tflite, Resolver.XNNPACK) as xnnpack:
        judges = {"qdq_onnxruntime": QdqOnnxRuntime(graph), "xnnpack": xnnpack}
        found = {name: rounding_statistics(graph, golden, other, inputs) for name, other in judges.items()}
    return {name: Rounding(s.differing_share, s.max_lsb, s.argmax_agreement) for name, s in found.items()}
