"""Strangers' ONNX files: the same numbers afterwards, and one clear reason where they cannot be taken."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from flynet_tiny.errors import BadModel, UnsupportedOperators
from flynet_tiny.export.onnx_import import ONLY_INPUT, import_onnx
from flynet_tiny.export.tflite_export import export_tflite

from ..foreign_models import FLOAT, classifier, edited, two_inputs, with_external_weights

SHAPE = {ONLY_INPUT: (1, 3, 12, 12)}


def run(model: bytes, **feeds: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, feeds)[0]
    return found


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("opset", [11, 13, 17, 18, 22])
def test_a_file_of_any_opset_computes_the_same(opset: int) -> None:
    model = classifier(opset).SerializeToString()
    found = import_onnx(model, SHAPE)
    x = image(1, 3, 12, 12)
    np.testing.assert_allclose(run(found.onnx, x=x), run(model, x=x), rtol=1e-5, atol=1e-6)
    assert (found.opset, found.producer) == (opset, "a stranger")
    assert found.graph.shapes["x"] == (1, 3, 12, 12)
    ops = [node.op for node in found.graph.nodes]
    assert "BatchNormalization" not in ops
    assert not {"Shape", "Gather", "Concat", "Unsqueeze"} & set(ops)
    assert found.parameters == 8 * 3 * 9 + 8 + 4 * 8 + 4 + 2  # and the two bounds
    exported = export_tflite(found.onnx, [image(4, 3, 12, 12)], name="net")
    assert [origin.value for origin in exported.inputs] == ["x"]


def test_the_same_file_gives_the_same_bytes() -> None:
    model = classifier().SerializeToString()
    assert import_onnx(model, SHAPE).onnx == import_onnx(model, SHAPE).onnx


def test_free_axes_are_said_and_fixed_ones_stay() -> None:
    model = classifier().SerializeToString()
    with pytest.raises(BadModel, match=re.escape("input 'x' is [N, 3, H, W]: say its free axes with --input, as 1,3,H,W")):
        import_onnx(model)
    with pytest.raises(BadModel, match="--input says 1 for the fixed 3"):
        import_onnx(model, {"x": (1, 1, 12, 12)})
    with pytest.raises(BadModel, match="--input gives 3 axes"):
        import_onnx(model, {"x": (1, 3, 12)})
    with pytest.raises(BadModel, match="batch of 8 by --input"):
        import_onnx(model, {"x": (8, 3, 12, 12)})
    with pytest.raises(BadModel, match="no input 'z'; it has x"):
        import_onnx(model, {"z": (1, 3, 12, 12)})
    with pytest.raises(BadModel, match="2 inputs"):
        import_onnx(two_inputs().SerializeToString(), SHAPE)


def test_a_fixed_batch_becomes_one_where_the_operators_allow_it() -> None:
    model = classifier(shape=(4, 3, 12, 12))
    x = image(4, 3, 12, 12)
    found = import_onnx(model.SerializeToString())
    np.testing.assert_allclose(run(found.onnx, x=x[2:3])[0], run(model.SerializeToString(), x=x)[2], rtol=1e-5, atol=1e-6)


def test_a_fixed_batch_that_a_reshape_holds_is_refused() -> None:
    """Batch 4 written into a Reshape: with one image it would mix its own channels, and still run."""
    nodes = [helper.make_node("Reshape", ["x", "to"], ["r"]), helper.make_node("ReduceMean", ["r"], ["y"], axes=[1], keepdims=0)]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, [4, 8])],
        [helper.make_tensor_value_info("y", FLOAT, [4])],
        [numpy_helper.from_array(np.array([4, -1]), "to")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with pytest.raises(BadModel, match="saved for a batch of 4"):
        import_onnx(model.SerializeToString())


def test_weights_among_the_inputs_are_no_inputs() -> None:
    def list_weights(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))

    found = import_onnx(edited(classifier(), list_weights).SerializeToString(), SHAPE)
    assert found.graph.inputs == ("x",)


def test_several_inputs_keep_their_names_and_order() -> None:
    model = two_inputs().SerializeToString()
    found = import_onnx(model)
    assert {name: found.graph.shapes[name] for name in found.graph.inputs} == {"map": (1, 2, 8, 8), "features": (1, 5)}
    feeds = {"map": image(1, 2, 8, 8), "features": image(1, 5)}
    np.testing.assert_allclose(run(found.onnx, **feeds), run(model, **feeds), rtol=1e-5, atol=1e-6)


def test_functions_are_written_out() -> None:
    body = [helper.make_node("Mul", ["a", "a"], ["b"]), helper.make_node("Relu", ["b"], ["c"])]
    function = helper.make_function("mine", "SquareRelu", ["a"], ["c"], body, [helper.make_opsetid("", 17)])
    graph = helper.make_graph(
        [helper.make_node("SquareRelu", ["x"], ["y"], domain="mine")],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", FLOAT, [1, 8])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)
    found = import_onnx(model.SerializeToString())
    assert [node.op for node in found.graph.nodes] == ["Mul", "Relu"]


@pytest.mark.parametrize("grows", [False, True])
def test_functions_that_never_end_or_grow_beyond_reason_are_refused(grows: bool) -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    functions = []
    for level in range(40 if grows else 2):
        called = "Relu" if grows and level == 39 else f"F{level + 1 if grows else 1 - level}"
        domain = "" if called == "Relu" else "mine"
        body = [helper.make_node(called, ["a"], ["b"], domain=domain), helper.make_node(called, ["b"], ["c"], domain=domain)]
        functions.append(helper.make_function("mine", f"F{level}", ["a"], ["c"], body, opsets))
    graph = helper.make_graph(
        [helper.make_node("F0", ["x"], ["y"], domain="mine")],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", FLOAT, [1, 8])],
    )
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)
    with pytest.raises(BadModel, match="written out" if grows else "function|recursive|cycle"):
        import_onnx(model.SerializeToString())


@pytest.mark.parametrize("condition", [True, False])
def test_a_branch_that_is_known_is_taken(condition: bool) -> None:
    def branch(op: str) -> onnx.GraphProto:
        out = [helper.make_tensor_value_info(f"{op}_out", FLOAT, [1, 8])]
        return helper.make_graph([helper.make_node(op, ["x"], [f"{op}_out"])], op, [], out)

    node = helper.make_node("If", ["c"], ["y"], then_branch=branch("Relu"), else_branch=branch("Sigmoid"))
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", FLOAT, [1, 8])],
        [numpy_helper.from_array(np.array(condition), "c")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    found = import_onnx(model.SerializeToString())
    assert found.graph.nodes[0].op == ("Relu" if condition else "Sigmoid")
    x = image(1, 8)
    np.testing.assert_allclose(run(found.onnx, x=x), run(model.SerializeToString(), x=x))


def test_nodes_and_values_are_named_by_the_modules_that_torch_tells_of() -> None:
    def tell(model: onnx.ModelProto) -> None:
        for index, node in enumerate(model.graph.node):
            inner = f"['', 'body', 'body.{index}', 'node_{index}']" if index else "['__import__(\"os\")', print()]"
            node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=inner)

    found = import_onnx(edited(classifier(), tell).SerializeToString(), SHAPE)
    by_op = {node.op: node for node in found.graph.nodes}
    assert by_op["Clip"].name == by_op["Clip"].output == "body.2"
    assert by_op["Softmax"].name == "body.10"
    assert by_op["Softmax"].output == "y"


def test_operators_of_other_domains_are_named_all_at_once() -> None:
    def strange(model: onnx.ModelProto) -> None:
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        for index in (2, 10):
            model.graph.node[index].op_type, model.graph.node[index].domain = "FusedConv", "com.microsoft"

    with pytest.raises(UnsupportedOperators) as refused:
        import_onnx(edited(classifier(), strange).SerializeToString(), SHAPE)
    assert len(refused.value.found) == 2
    assert "/relu6/Clip" in str(refused.value)
    assert "com.microsoft" in str(refused.value)


def test_weights_in_another_file_are_read_through_the_door_alone() -> None:
    model = classifier()
    content = b"....." + model.graph.initializer[0].raw_data
    outside = with_external_weights(model, "w.bin", offset=5)
    with pytest.raises(BadModel, match="lie in another file"):
        import_onnx(outside, SHAPE)
    asked = []

    def read(location: str) -> bytes:
        asked.append(location)
        return content

    found = import_onnx(outside, SHAPE, read)
    assert asked == ["w.bin"]
    assert found.onnx == import_onnx(model.SerializeToString(), SHAPE).onnx
    with pytest.raises(BadModel, match="has 869 bytes"):
        import_onnx(with_external_weights(model, "w.bin", offset=6), SHAPE, read)
    with pytest.raises(BadModel, match="lie at -4"):
        import_onnx(with_external_weights(model, "w.bin", offset=-4), SHAPE, read)


BROKEN = {
    "nothing": (b"", "not an ONNX model"),
    "text": (b"hello, this is text", "not an ONNX model"),
    "half a file": (classifier().SerializeToString()[:900], "not an ONNX model|readable"),
    "no operators": (edited(classifier(), lambda m: m.graph.ClearField("node")).SerializeToString(), "no operators"),
    "no opset": (edited(classifier(), lambda m: m.ClearField("opset_import")).SerializeToString(), "opset"),
    "an input of bytes": (
        edited(classifier(), lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 2)).SerializeToString(),
        "is uint8; only float32",
    ),
    "a value that nobody makes": (
        edited(classifier(), lambda m: m.graph.node[0].input.__setitem__(0, "nobody")).SerializeToString(),
        "nobody",
    ),
    "a name that is no text": (
        classifier().SerializeToString().replace(b"/relu6/Clip", b"/relu6/\xff\xfeip"),
        "not text in UTF-8",
    ),
    "a shape that its values do not have": (
        edited(classifier(), lambda m: m.graph.initializer[0].dims.__setitem__(0, 4)).SerializeToString(),
        "does not hold|readable",
    ),
    "weights of another shape": (
        edited(classifier(), lambda m: m.graph.initializer[0].dims.__setitem__(0, 9)).SerializeToString(),
        ".",
    ),
    "a value of a terabyte": (
        edited(classifier(), lambda m: m.graph.node[0].attribute[1].CopyFrom(helper.make_attribute("pads", [1 << 20] * 4))),
        "no microcontroller holds",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_in_one_line(name: str) -> None:
    data, words = BROKEN[name]
    with pytest.raises(BadModel, match=words) as refused:
        import_onnx(data if isinstance(data, bytes) else data.SerializeToString(), SHAPE)
    assert "\n" not in str(refused.value)


def test_nothing_of_it_needs_torch() -> None:
    script = (
        "import sys; from flynet_tiny.export import tflite_export, onnx_import, sqnr; "
        "sys.exit('torch' in sys.modules or 'onnx_ir' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=Path(__file__).parent, timeout=60).returncode == 0
