"""Graphs that lost channels, in all judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from flynet_tiny.codegen.build import build_named
from flynet_tiny.codegen.compiler import Compiled, compile_tflite
from flynet_tiny.codegen.minimise.certificate import Certificate
from flynet_tiny.verify.compare import PairResult, SomeChannels, compare_judges
from flynet_tiny.verify.host_c import HostLibrary
from flynet_tiny.verify.inputs import extreme_inputs
from flynet_tiny.verify.litert import LiteRt
from flynet_tiny.verify.onnx_twin import OnnxTwin
from flynet_tiny.verify.tensors_as_read import tensors_as_read

from ..codegen.minimise.dead_channels import separable, separable_file, streaming
from ..judges import Recorded, ReferenceJudge

DATA = separable_file()


class _C:
    name = "C"

    def __init__(self, host: HostLibrary, compiled: Compiled, certificate: Certificate) -> None:
        self.host, self.compiled, self.certificate = host, compiled, certificate

    def reset(self) -> None:
        """The graphs here have no variables."""

    def run(self, inputs: Mapping[str, np.ndarray], /) -> Mapping[str, np.ndarray | SomeChannels]:
        return tensors_as_read(self.compiled.source_graph, self.certificate, self.host.run(inputs))


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_tflite(DATA, "net")


def judged(compiled: Compiled, certificate: Certificate) -> tuple[PairResult, ...]:
    graph = compiled.source_graph
    with HostLibrary(compiled.library) as host, LiteRt(graph, DATA) as litert:
        judges = [litert, _C(host, compiled, certificate)]
        return compare_judges(graph, OnnxTwin(graph), judges, extreme_inputs(graph, 3))


def test_channels_that_went_are_compared_with_their_constants(compiled: Compiled) -> None:
    """Every byte of every tensor is compared, though the C stores two thirds of two of them."""
    assert {name: entry.kept for name, entry in compiled.certificate.by_name.items()} == dict.fromkeys("ab", (0, 2, 3, 5))
    litert, in_c = judged(compiled, compiled.certificate)
    assert (litert.differing, in_c.differing) == (0, 0)
    assert in_c.tensors == litert.tensors == 3
    assert in_c.bytes == litert.bytes


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_constant_that_is_not_one_is_found(compiled: Compiled, name: str) -> None:
    entry = compiled.certificate.by_name[name]
    first = replace(entry.removed[0], value=-127)
    others = tuple(tensor for tensor in compiled.certificate.tensors if tensor.name != name)
    wrong = Certificate((replace(entry, removed=(first, *entry.removed[1:])), *others))
    _, in_c = judged(compiled, wrong)
    assert in_c.differing == in_c.inputs * 36
    assert in_c.first is not None
    assert (in_c.first.tensor, in_c.first.index) == (name, (0, 0, 0, 1))
    assert (in_c.first.left_value, in_c.first.right_value) == (-128, -127)


def test_channels_of_variables_are_compared_over_sequences() -> None:
    """Of the variable, its next value and what lies between, the constants that went and the channels that stay."""
    data = streaming()
    compiled = compile_tflite(data, "net")
    graph, inputs = compiled.source_graph, extreme_inputs(compiled.source_graph)
    assert compiled.certificate.by_name["old"].kept == (0, 2, 3, 5)
    with HostLibrary(compiled.library) as host, LiteRt(graph, data) as litert:
        results = host.run_many([n.values for n in inputs], begins=[n.begins for n in inputs])
        in_c = Recorded(graph, results, host.name, compiled.certificate)
        pairs = compare_judges(graph, OnnxTwin(graph), [ReferenceJudge(graph), litert, in_c], inputs)
    assert [pair.differing for pair in pairs] == [0, 0, 0]
    assert pairs[2].tensors >= 6
    wrong = replace(compiled.certificate.by_name["old"].removed[0], value=-127)
    entries = {entry.name: entry for entry in compiled.certificate.tensors}
    entries["old"] = replace(entries["old"], removed=(wrong, *entries["old"].removed[1:]))
    in_c = Recorded(graph, results, "C", replace(compiled.certificate, tensors=tuple(entries.values())))
    (found,) = compare_judges(graph, ReferenceJudge(graph), [in_c], inputs)
    assert found.first is not None
    assert found.first.tensor == "old"


def test_channels_that_nobody_reads_are_not_compared(compiled: Compiled) -> None:
    entry = compiled.certificate.by_name["a"]
    unread = replace(entry, removed=tuple(replace(removed, value=None) for removed in entry.removed))
    others = tuple(tensor for tensor in compiled.certificate.tensors if tensor.name != "a")
    litert, in_c = judged(compiled, Certificate((unread, *others)))
    assert in_c.differing == 0
    assert in_c.bytes == litert.bytes - in_c.inputs * 36 * 2


def test_the_tensor_of_an_operator_that_changes_nothing_is_compared() -> None:
    """Two RELUs over what is never below: the second goes, and its tensor is the first one's, without its dead channels."""
    s = separable()
    s.op("RELU", ("b",), s.like("c", "b", (1, 6, 6, 6)))
    s.act("z", (1, 6, 6, 2))
    s.conv("c", "z", 2)
    data = s.file(("x",), ("z",))
    compiled = compile_tflite(data, "net")
    graph = compiled.source_graph
    assert [entry.name for entry in compiled.certificate.bypassed] == ["c"]
    with HostLibrary(compiled.library) as host:
        judges = [_C(host, compiled, compiled.certificate)]
        (found,) = compare_judges(graph, OnnxTwin(graph), judges, extreme_inputs(graph, 3))
    assert found.differing == 0
    assert found.tensors == 4


def test_the_c_gives_the_outputs_of_the_c_of_the_graph_as_it_came(compiled: Compiled) -> None:
    whole = compile_tflite(DATA, "net", replace(build_named(), minimise=False))
    assert not whole.certificate
    assert whole.graph.tensor("a").shape[-1] == 6
    assert compiled.graph.tensor("a").shape[-1] == 4
    inputs = [named.values for named in extreme_inputs(compiled.source_graph, 5)]
    with HostLibrary(whole.library) as left, HostLibrary(compiled.library) as right:
        pairs = zip(left.run_many(inputs), right.run_many(inputs), strict=True)
        assert all(np.array_equal(one.outputs["y"], other.outputs["y"]) for one, other in pairs)
