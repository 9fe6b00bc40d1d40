"""The comparison names the first differing tensor: proven by flipping one weight, one multiplier and one table entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.ir import Graph, Tensor
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import NumbersDiffer
from flynet_tiny.verify.compare import Comparison, PairResult, compare_judges, require_equal, rounding_statistics
from flynet_tiny.verify.inputs import NamedInputs, extreme_inputs
from flynet_tiny.verify.litert import LiteRt, Resolver
from flynet_tiny.verify.onnx_qdq import QdqOnnxRuntime
from flynet_tiny.verify.onnx_twin import OnnxTwin, build_twin

from ..judges import ReferenceJudge
from ..small_network import small_network


@pytest.fixture(scope="module")
def model() -> bytes:
    return small_network()


@pytest.fixture(scope="module")
def graph(model: bytes) -> Graph:
    return read_tflite(model)


def with_tensor(graph: Graph, tensor: Tensor) -> Graph:
    return replace(graph, tensors={**graph.tensors, tensor.name: tensor})


def first_difference(graph: Graph, model: bytes, twin: OnnxTwin) -> PairResult:
    with LiteRt(graph, model) as judge:
        (result,) = compare_judges(graph, twin, [judge], extreme_inputs(graph, num_noise=2))
    return result


def test_three_judges_agree_on_every_tensor_of_a_network(graph: Graph, model: bytes) -> None:
    seen: list[str] = []
    with LiteRt(graph, model) as judge:
        results = compare_judges(graph, OnnxTwin(graph), [judge, ReferenceJudge(graph)], extreme_inputs(graph, 3), seen.append)
    per_inference = sum(graph.tensor(op.output).num_elements for op in graph.ops)
    assert results == (
        PairResult("onnxruntime = litert", 5, len(graph.ops), 5 * per_inference, 0),
        PairResult("onnxruntime = reference", 5, len(graph.ops), 5 * per_inference, 0),
    )
    assert seen == ["all -128", "all 127", "noise 0", "noise 1", "noise 2"]
    assert (
        str(results[0])
        == f"onnxruntime = litert: 5 inputs, 6 tensors compared, {5 * per_inference:,} bytes compared, 0 bytes differing"
    )
    require_equal(results)


@pytest.mark.parametrize(("weights", "output"), [("w1", "conv"), ("w2", "depthwise")])
def test_one_flipped_weight_is_found(weights: str, output: str, graph: Graph, model: bytes) -> None:
    tensor = graph.tensor(weights)
    data = tensor.constant().copy()
    data.reshape(-1)[17] += 1
    result = first_difference(graph, model, OnnxTwin(with_tensor(graph, replace(tensor, data=data))))
    assert result.first is not None
    assert result.first.tensor == output
    assert 0 < result.differing < result.bytes
    with pytest.raises(NumbersDiffer) as raised:
        require_equal([result])
    message = str(raised.value)
    assert raised.value.exit_code == 6
    assert f"{output}[" in message
    assert graph.producer(output).label in message  # type: ignore[union-attr]
    assert f"is {result.first.left_value} in onnxruntime and {result.first.right_value} in litert" in message


@pytest.mark.parametrize(("weights", "output"), [("w1", "conv"), ("w2", "depthwise")])
def test_one_wrong_multiplier_is_found(weights: str, output: str, graph: Graph, model: bytes) -> None:
    tensor = graph.tensor(weights)
    assert tensor.quantization is not None
    scales = list(tensor.quantization.scales)
    scales[3] = float(np.float32(scales[3] * 1.01))
    wrong = replace(tensor, quantization=replace(tensor.quantization, scales=tuple(scales)))
    result = first_difference(graph, model, OnnxTwin(with_tensor(graph, wrong)))
    assert result.first is not None
    assert result.first.tensor == output
    assert result.first.index[-1] == 3  # the channel whose multiplier is wrong


@pytest.mark.parametrize(("kind", "output"), [("HARD_SWISH", "swish"), ("LOGISTIC", "gate")])
def test_one_wrong_table_entry_is_found(kind: str, output: str, graph: Graph, model: bytes) -> None:
    twin = build_twin(graph)
    inputs = extreme_inputs(graph, 2)
    (op,) = (op for op in graph.ops if op.kind.value == kind)
    used = int(reference.run(graph, inputs[0].values)[op.inputs[0]].reshape(-1)[0])
    (gather,) = (node for node in twin.graph.node if node.op_type == "Gather" and node.output[0] == output)
    (table,) = (t for t in twin.graph.initializer if t.name == gather.input[0])
    entries = numpy_helper.to_array(table).copy()
    entries[used] ^= 1
    table.CopyFrom(numpy_helper.from_array(entries, table.name))
    onnx.checker.check_model(twin)
    result = first_difference(graph, model, OnnxTwin(graph, twin.SerializeToString()))
    assert result.first is not None
    assert (result.first.tensor, result.first.input_name) == (output, "all -128")
    assert abs(result.first.left_value - result.first.right_value) == 1


def test_the_first_difference_is_that_of_the_earliest_operator(graph: Graph) -> None:
    left = reference.run(graph, extreme_inputs(graph)[0].values)
    right = {name: value.copy() for name, value in reversed(left.items())}
    for name in ("gate", "mean", "depthwise"):
        right[name].reshape(-1)[-1] ^= 1
    comparison = Comparison(graph, "a", "b")
    comparison.add(left, right, "some")
    result = comparison.result
    assert result.differing == 3
    assert result.first is not None
    assert result.first.tensor == "depthwise"
    assert result.first.index == (0, 7, 7, 5)
    assert str(result.first).startswith("depthwise[0, 7, 7, 5] is ")


def test_tensors_that_one_judge_lacks_are_not_counted(graph: Graph) -> None:
    left = reference.run(graph, extreme_inputs(graph)[0].values)
    comparison = Comparison(graph, "a", "b")
    comparison.add(left, {name: left[name] for name in ("conv", "gate")}, "some")
    assert comparison.result.tensors == 2
    assert comparison.result.bytes == left["conv"].size + left["gate"].size


def test_a_judge_without_the_output_proves_nothing(graph: Graph) -> None:
    left = reference.run(graph, extreme_inputs(graph)[0].values)
    with pytest.raises(ValueError, match="b gives no output gate"):
        Comparison(graph, "a", "b").add(left, {"conv": left["conv"]}, "some")


def test_other_shapes_are_never_equal(graph: Graph) -> None:
    left = reference.run(graph, extreme_inputs(graph)[0].values)
    with pytest.raises(ValueError, match="gate is int8"):
        Comparison(graph, "a", "b").add(left, {**left, "gate": left["gate"].reshape(6, 1)}, "some")


def test_an_empty_comparison_is_a_failure(graph: Graph) -> None:
    with pytest.raises(NumbersDiffer, match="nothing was compared"):
        require_equal([Comparison(graph, "a", "b").result])


class Shifted:
    """A judge whose outputs are beside the exact ones by a known amount."""

    name = "shifted"

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def reset(self) -> None:
        """No state."""

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        gate = reference.run(self.graph, inputs)["gate"].copy()
        gate[0, 0] += 2
        gate[0, 1] -= 1
        return {"gate": gate}


def test_statistics_count_elements_distance_and_argmax(graph: Graph) -> None:
    rng = np.random.default_rng(3)
    inputs = [NamedInputs(str(i), {"image": rng.integers(-128, 128, (1, 8, 8, 3)).astype(np.int8)}) for i in range(10)]
    exact, shifted = ReferenceJudge(graph), Shifted(graph)
    found = rounding_statistics(graph, exact, shifted, inputs)
    assert (found.inputs, found.elements, found.differing, found.max_lsb) == (10, 60, 20, 2)
    agreeing = sum(np.argmax(exact.run(named.values)["gate"]) == np.argmax(shifted.run(named.values)["gate"]) for named in inputs)
    assert found.argmax_agreement == agreeing / 10
    assert found.differing_share == 20 / 60
    with pytest.raises(ValueError, match="no inputs"):
        rounding_statistics(graph, exact, exact, [])


def test_the_networks_that_round_otherwise_are_near(graph: Graph, model: bytes) -> None:
    inputs = extreme_inputs(graph, 4)
    qdq = rounding_statistics(graph, OnnxTwin(graph), QdqOnnxRuntime(graph), inputs)
    with LiteRt(graph, model, Resolver.XNNPACK) as judge:
        xnnpack = rounding_statistics(graph, OnnxTwin(graph), judge, inputs)
    assert qdq.max_lsb <= 4  # single steps add up over six operators
    assert xnnpack.max_lsb <= 4
