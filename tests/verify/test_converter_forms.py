"""What converters write, through every judge: reference, golden twin, LiteRT on the file as it is, the C on the host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.ir import Graph
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.verify.compare import Comparison, require_equal
from flynet_tiny.verify.host_c import HostLibrary
from flynet_tiny.verify.inputs import extreme_inputs
from flynet_tiny.verify.litert import LiteRt, LiteRtProcess, Resolver
from flynet_tiny.verify.onnx_qdq import QdqOnnxRuntime
from flynet_tiny.verify.onnx_twin import OnnxTwin

from ..converter_models import KINDS


@pytest.fixture(scope="module")
def process() -> Iterator[LiteRtProcess]:
    with LiteRtProcess() as found:
        yield found


def assert_equal(graph: Graph, left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray], what: str) -> None:
    comparison = Comparison(graph, "one", "other")
    comparison.add(left, right, what)
    require_equal([comparison.result])


def judge_in_process(data: bytes, process: LiteRtProcess, seed: int) -> Graph:
    graph = read_tflite(data)
    litert, twin = LiteRt(graph, data, process=process), OnnxTwin(graph)
    for named in extreme_inputs(graph, 2, seed):
        expected = reference.run(graph, named.values)
        assert_equal(graph, litert.run(named.values), expected, named.name)
        assert_equal(graph, twin.run(named.values), expected, named.name)
    return graph


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_form_is_bit_exact(kind: str, process: LiteRtProcess) -> None:
    for seed in range(10):
        judge_in_process(KINDS[kind](seed), process, seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_form_is_bit_exact_in_a_wide_sweep(kind: str, process: LiteRtProcess) -> None:
    for seed in range(100, 300):
        judge_in_process(KINDS[kind](seed), process, seed)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_c_computes_every_form(kind: str) -> None:
    seed = 3 if kind == "odd_ends" else 1
    compiled = compile_tflite(KINDS[kind](seed), "net")
    graph = compiled.source_graph
    inputs = extreme_inputs(graph, 1, seed)
    with HostLibrary(compiled.library, cflags=["-O0"]) as host:
        for named, result in zip(inputs, host.run_many([n.values for n in inputs]), strict=True):
            shaped = {n: v.reshape(graph.tensor(n).shape) for n, v in result.tensors.items() if n in graph.tensors}
            assert_equal(graph, shaped, reference.run(graph, named.values), named.name)


@pytest.mark.parametrize("kind", ["float_ends_many", "uint8_ends", "odd_ends", "only_moves"])
def test_runtimes_that_round_in_float_give_every_output(kind: str) -> None:
    data = KINDS[kind](1)
    graph = read_tflite(data)
    inputs = extreme_inputs(graph)[-1].values
    with LiteRt(graph, data, Resolver.XNNPACK) as xnnpack:
        for found in (xnnpack.run(inputs), QdqOnnxRuntime(graph).run(inputs)):
            assert all(found[name].shape == graph.tensor(name).shape for name in graph.outputs)


def test_a_quantize_that_does_not_give_our_values_is_seen() -> None:
    """The float input's int8 form is compared with what LiteRT's QUANTIZE made of the real values."""
    data = KINDS["float_ends"](0)
    graph = read_tflite(data)
    inputs = extreme_inputs(graph, 1)[-1].values
    with LiteRt(graph, data) as litert:
        found = dict(litert.run(inputs))
        (name,) = graph.inputs
        assert np.array_equal(found[name], inputs[name])
        found[name] = found[name] + np.int8(1)
        with pytest.raises(Exception, match="graph input"):
            assert_equal(graph, found, reference.run(graph, inputs), "moved")


def with_another_subgraph(data: bytes, opcode: int | None) -> bytes:
    """The file with a subgraph that nothing calls; of an operator of its own, where one is given."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    other = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0)).subgraphs[0]
    if opcode is not None:
        model.operatorCodes.append(schema.OperatorCodeT(deprecatedBuiltinCode=127, builtinCode=opcode, version=99))
        for op in other.operators:
            op.opcodeIndex = len(model.operatorCodes) - 1
    model.subgraphs.append(other)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("opcode", [None, 150])
def test_a_subgraph_that_nothing_calls_is_not_looked_at(opcode: int | None, process: LiteRtProcess) -> None:
    data = with_another_subgraph(KINDS["reshape_kinds"](0), opcode)
    graph = judge_in_process(data, process, 0)
    assert len(graph.ops) == 11
    note = LiteRt(graph, data, process=process).note
    assert note == ("" if opcode is None else "LiteRT judges a copy with the main subgraph alone")


def test_litert_gets_a_copy_only_where_its_loader_wants_one(process: LiteRtProcess) -> None:
    for kind, note in (
        ("odd_biases", "quantized axis of 1 tensor"),
        ("int64_operands", "int64 operands in int32"),
        ("float_ends", ""),
    ):
        data = KINDS[kind](1)
        litert = LiteRt(read_tflite(data), data, process=process)
        assert (note in litert.note) if note else litert.note == ""
