"""Drawn graphs through every judge that this machine has without a board: reference, golden twin, LiteRT, C under sanitizers."""

from __future__ import annotations

from dataclasses import dataclass

from flynet_tiny.codegen.build import LEVELS, build_for
from flynet_tiny.codegen.compiler import Compiled, compile_tflite
from flynet_tiny.errors import BadModel, EmulationFailed, UnsupportedOperators
from flynet_tiny.verify.compare import Judge, compare_judges
from flynet_tiny.verify.host_c import HostLibrary
from flynet_tiny.verify.inputs import extreme_inputs
from flynet_tiny.verify.litert import LiteRt, LiteRtProcess
from flynet_tiny.verify.onnx_twin import OnnxTwin

from ..judges import Recorded, ReferenceJudge
from .drawn_graphs import draw

NUM_NOISE = 2


@dataclass(frozen=True)
class Judged:
    """Of one graph: why it is out (empty when it went through), bytes that were compared, and what differs (empty: nothing)."""

    refused: str = ""
    compared_bytes: int = 0
    finding: str = ""


def judge_drawn(seed: int, process: LiteRtProcess) -> Judged:
    """Draw the graph of a seed and compare every tensor in all judges; the level of --optimize goes by the seed.

    process  the LiteRT child, shared by many graphs; it must be replaced when it is dead
    Every other seed draws dead channels.
    """
    data = draw(seed, dead_channels=seed % 2 == 1)
    level = list(LEVELS.values())[seed % len(LEVELS)]
    try:
        compiled = compile_tflite(data, "fuzz", build_for(None, level))
    except UnsupportedOperators as error:
        return Judged(refused=str(error))
    return judge(compiled, data, process, seed)


def judge(compiled: Compiled, data: bytes, process: LiteRtProcess, seed: int) -> Judged:
    """Compare every tensor of a compiled file in all judges."""
    graph = compiled.source_graph
    inputs = extreme_inputs(graph, NUM_NOISE, seed)
    try:
        with HostLibrary(compiled.library, cflags=("-O0",), sanitize=True) as host:
            others: list[Judge] = [OnnxTwin(graph)]
            try:
                others.append(LiteRt(graph, data, process=process))
            except BadModel as error:
                return Judged(finding=f"LiteRT refuses what we accept: {error}")
            recorded = host.run_many([n.values for n in inputs], begins=[n.begins for n in inputs])
            others.append(Recorded(graph, recorded, host.name, compiled.certificate))
            results = compare_judges(graph, ReferenceJudge(graph), others, inputs)
    except EmulationFailed as error:
        return Judged(finding=str(error))
    except BadModel as error:
        return Judged(finding=f"a judge ended: {error}")
    differing = next((str(result.first) for result in results if result.first is not None), "")
    return Judged(compared_bytes=sum(result.bytes for result in results), finding=differing)
