from __future__ import annotations

import numpy as np
import pytest

from flynet_tiny.codegen.ir import ConvAttrs, FusedAttrs, FusedPattern, Graph, Op, OpKind
from flynet_tiny.codegen.passes.fold_pad import fold_pad
from flynet_tiny.codegen.passes.fuse_channel_scales import fuse_mul_add, fuse_mul_depthwise
from flynet_tiny.codegen.passes.fuse_depthwise_pairs import fuse_depthwise_pairs
from flynet_tiny.codegen.passes.fuse_max_out import fuse_mdw_max, fuse_mul_max
from flynet_tiny.codegen.passes.fuse_mean_variance import fuse_mean_variance
from flynet_tiny.codegen.passes.fuse_shift_max import fuse_shift_max
from flynet_tiny.codegen.passes.fuse_tables import fuse_tables
from flynet_tiny.codegen.passes.pipeline import PASSES, run_passes
from flynet_tiny.codegen.reference import run
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.codegen.verify_graph import verify_graph

from ...small_models import Sketch, attention_block, mdw_max_out


def patterns(graph: Graph) -> list[FusedPattern]:
    return [op.attrs.pattern for op in graph.ops if isinstance(op.attrs, FusedAttrs)]


def random_input(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.integers(-128, 128, graph.tensor(name).shape).astype(np.int8) for name in graph.inputs}


def find(graph: Graph, output: str) -> Op:
    op = graph.producer(output)
    assert op is not None
    return op


def test_pad_is_folded_into_its_convolution() -> None:
    graph = fold_pad(read_tflite(attention_block()))
    conv = find(graph, "expanded")
    assert conv.inputs[0] == "x"
    assert isinstance(conv.attrs, ConvAttrs)
    window = conv.attrs.window
    assert (window.pad_top, window.pad_bottom, window.pad_left, window.pad_right) == (1, 1, 1, 1)
    assert all(op.kind is not OpKind.PAD for op in graph.ops)


def test_pad_of_channels_stays() -> None:
    s = Sketch()
    s.act("x", (1, 4, 4, 3))
    s.like("p", "x", (1, 4, 4, 5))
    s.op("PAD", ("x", s.const("pads", [[0, 0], [0, 0], [0, 0], [0, 2]])), "p")
    s.act("y", (1, 4, 4, 2))
    s.conv("p", "y", 2)
    graph = fold_pad(read_tflite(s.file(("x",), ("y",))))
    assert [op.kind for op in graph.ops] == [OpKind.PAD, OpKind.CONV_2D]


def test_pad_that_is_an_output_too_stays() -> None:
    s = Sketch()
    s.act("x", (1, 4, 4, 3))
    s.like("p", "x", (1, 6, 6, 3))
    s.op("PAD", ("x", s.const("pads", [[0, 0], [1, 1], [1, 1], [0, 0]])), "p")
    s.act("y", (1, 4, 4, 2))
    s.conv("p", "y", 2, 3)
    graph = fold_pad(read_tflite(s.file(("x",), ("y", "p"))))
    assert [op.kind for op in graph.ops] == [OpKind.PAD, OpKind.CONV_2D]


def test_table_is_fused_only_into_its_sole_producer() -> None:
    graph = fuse_tables(read_tflite(attention_block()))
    assert patterns(graph) == [FusedPattern.PRODUCER_TABLE]
    fused = find(graph, "active")
    assert fused.kind_name == "CONV_2D+HARD_SWISH"
    assert fused.outputs == ("active",)


def test_mean_and_variance_are_fused_and_read_in_order() -> None:
    graph = verify_graph(fuse_mean_variance(read_tflite(attention_block())))
    assert patterns(graph) == [FusedPattern.MEAN_VARIANCE] * 2
    assert find(graph, "h_mean").outputs == ("h_mean", "h_variance")
    assert find(graph, "h_mean").inputs == ("heads",)


def test_max_out_after_attention_is_fused_with_the_product() -> None:
    graph = fuse_mul_max(read_tflite(attention_block()))
    assert patterns(graph) == [FusedPattern.MUL_MAX]
    assert find(graph, "maxed").inputs == ("heads", "gates")


def gated(h: int, w: int, last: str, is_output: bool = False) -> Graph:
    """Maps times a computed coefficient for each channel, then a depthwise convolution or an ADD."""
    s = Sketch()
    s.act("x", (1, h, w, 4))
    s.act("r", (1, h, w, 4))
    s.act("s", (1, 1, 1, 4), 1 / 256, -128)
    s.op("MUL", ("x", "s"), s.like("gated", "x", (1, h, w, 4)))
    s.like("y", "x", (1, h, w, 4))
    if last == "ADD":
        s.op("ADD", ("r", "gated"), "y")
    else:
        s.depthwise("gated", "y")
    return read_tflite(s.file(("x", "s", "r"), ("y", "gated") if is_output else ("y",)))


def test_a_gate_is_fused_with_the_depthwise_convolution_behind_it() -> None:
    assert patterns(fuse_mul_depthwise(gated(4, 5, "DEPTHWISE_CONV_2D"))) == [FusedPattern.MUL_DEPTHWISE]
    assert patterns(fuse_mul_depthwise(gated(4, 5, "DEPTHWISE_CONV_2D", is_output=True))) == []


def shift_max(sums: int, kept: str = "", swapped: bool = False) -> Graph:
    """MicroNet's Dynamic Shift-Max; `kept` becomes an output too, `swapped` exchanges a product's operands of the shift."""
    s = Sketch()
    maps, vector = (1, 4, 5, 6), (1, 1, 1, 6)
    s.act("x", maps)
    s.op("GATHER", ("x", s.const("channels", [2, 3, 4, 5, 0, 1])), s.like("moved", "x", maps), axis=3)
    inputs = ["x"]
    for k in range(sums):
        for j, source in enumerate(("x", "moved")):
            inputs.append(s.act(f"s{k}{j}", vector, 1 / 128, 0))
            s.op("MUL", (source, f"s{k}{j}"), s.act(f"p{k}{j}", maps), fusedActivationFunction="NONE")
        s.act(f"y{k}", maps, 0.05, 3)
        s.op("ADD", (f"p{k}1", f"p{k}0") if swapped else (f"p{k}0", f"p{k}1"), f"y{k}", fusedActivationFunction="NONE")
    if sums == 2:
        s.op("MAXIMUM", ("y0", "y1"), s.like("y", "y0", maps))
    return read_tflite(s.file(tuple(inputs), ("y" if sums == 2 else "y0", *([kept] if kept else []))))


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("sums", [1, 2])
def test_dynamic_shift_max_is_one_operator(sums: int, swapped: bool) -> None:
    graph = shift_max(sums, swapped=swapped)
    fused = verify_graph(fuse_shift_max(graph))
    assert patterns(fused) == [FusedPattern.SHIFT_MAX]
    assert len(fused.ops) == 1
    inputs, name = random_input(graph, 0), graph.outputs[0]
    assert np.array_equal(run(fused, inputs)[name], run(graph, inputs)[name])


@pytest.mark.parametrize("kept", ["moved", "p00", "p11", "y1"])
def test_a_shift_whose_inside_is_read_elsewhere_stays(kept: str) -> None:
    assert patterns(fuse_shift_max(shift_max(2, kept))) == []


def test_a_gate_is_fused_with_an_addition_on_large_maps_only() -> None:
    assert patterns(fuse_mul_add(gated(20, 20, "ADD"))) == [FusedPattern.MUL_ADD]
    assert patterns(fuse_mul_add(gated(19, 20, "ADD"))) == []
    assert patterns(fuse_mul_add(gated(20, 20, "ADD", is_output=True))) == []


def test_depthwise_convolutions_with_one_window_over_one_map_are_paired() -> None:
    def pair(stride: int) -> Graph:
        s = Sketch()
        s.act("x", (1, 6, 6, 4))
        s.depthwise("x", s.act("a", (1, 6, 6, 12)), 3)
        s.depthwise("x", s.act("b", (1, 6 // stride, 6 // stride, 4)), 1, stride=stride)
        s.depthwise("x", s.act("c", (1, 6, 6, 4)), 1)
        return read_tflite(s.file(("x",), ("a", "b", "c")))

    (first, *_) = fuse_depthwise_pairs(pair(1)).ops
    assert patterns(fuse_depthwise_pairs(pair(1))) == [FusedPattern.DEPTHWISE_PAIR]
    assert first.outputs == ("a", "b")
    assert fuse_depthwise_pairs(pair(2)).ops[-1].outputs == ("a", "c")


def test_max_out_right_after_mdw_is_fused_with_it() -> None:
    graph = fuse_mdw_max(read_tflite(mdw_max_out()))
    assert patterns(graph) == [FusedPattern.MDW_MAX]
    assert find(graph, "y").inputs == ("x", "heads_w", "heads_b")


def test_maximum_over_channels_is_not_taken_for_max_out() -> None:
    """[1, H*W, C, h] reduced over C instead of h has the right rank and the wrong meaning."""
    s = Sketch()
    s.act("x", (1, 2, 2, 3))
    s.act("heads", (1, 2, 2, 9))
    s.depthwise("x", "heads", 3)
    s.op("RESHAPE", ("heads", s.const("a", [1, 4, 3, 3])), s.like("split", "heads", (1, 4, 3, 3)))
    s.op("REDUCE_MAX", ("split", s.const("axis", [2])), s.like("flat", "heads", (1, 4, 3)), keepDims=False)
    s.op("RESHAPE", ("flat", s.const("b", [1, 2, 2, 3])), s.like("y", "heads", (1, 2, 2, 3)))
    assert patterns(fuse_mdw_max(read_tflite(s.file(("x",), ("y",))))) == []


@pytest.mark.parametrize("model", [attention_block(), mdw_max_out(), attention_block(1, 1, 3, 2), attention_block(7, 7, 7, 5, 3)])
def test_every_pass_keeps_every_byte_of_every_tensor_that_stays(model: bytes) -> None:
    graph = read_tflite(model)
    inputs = random_input(graph, 1)
    before = run(graph, inputs)
    for transform in PASSES:
        graph = verify_graph(transform(graph))
        after = run(graph, inputs)
        for tensor in graph.activations():
            np.testing.assert_array_equal(after[tensor.name], before[tensor.name], err_msg=f"{transform.__name__}: {tensor.name}")


def test_pipeline_leaves_only_what_must_be_computed() -> None:
    kinds = [op.kind_name for op in run_passes(read_tflite(attention_block())).ops if op.kind is not OpKind.RESHAPE]
    assert kinds == [
        "CONV_2D+HARD_SWISH",
        "MEAN+SQUARED_DIFFERENCE+MEAN",
        *("CONV_2D", "CONV_2D", "ADD", "LOGISTIC"),
        "MUL+DEPTHWISE_CONV_2D",
        "MEAN+SQUARED_DIFFERENCE+MEAN",
        *("CONV_2D", "CONV_2D", "ADD", "SOFTMAX"),
        "MUL+REDUCE_MAX",
        "ADD",
    ]
