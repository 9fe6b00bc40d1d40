"""Functions of one value and clamps that never bite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from flynet_tiny.codegen import reference
from flynet_tiny.codegen.build import build_named
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.ir import ClampAttrs, ConvAttrs, FusedAttrs, FusedPattern, Graph, Op, OpKind, TableAttrs
from flynet_tiny.codegen.minimise.minimise import minimise
from flynet_tiny.codegen.minimise.simplify import with_tables, without_clamps
from flynet_tiny.codegen.minimise.simplify_contract import require_simplified
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.codegen.verify_graph import GraphError, verify_graph
from flynet_tiny.export.tflite_writer import TensorSpec
from flynet_tiny.verify.host_c import HostLibrary
from flynet_tiny.verify.inputs import extreme_inputs

from ...small_models import Sketch
from .dead_channels import OUT_OF_REACH, clamp, set_channel

SHAPE = (1, 8, 8, 6)
Build = Callable[[Sketch], str]


def between(build: Build) -> bytes:
    """A convolution with RELU to `a` (at least the zero point, -100), what `build` makes of it, and a convolution to `y`."""
    s = Sketch()
    s.act("x", (1, 8, 8, 3))
    s.act("a", SHAPE, 0.03, -100)
    s.conv("x", "a", 6)
    clamp(s, "RELU")
    last = build(s)
    s.act("y", (1, 8, 8, 2))
    s.conv(last, "y", 2)
    outputs = ("y", "shown") if "shown" in s.tensors else ("y",)
    return s.file(("x",), outputs)


def number(s: Sketch, name: str, shape: tuple[int, ...], values: object, scale: float = 0.05, zero_point: int = 3) -> str:
    data = np.ascontiguousarray(np.broadcast_to(np.asarray(values, np.int8), shape))
    s.tensors[name] = TensorSpec(name, shape, "int8", (scale,), (zero_point,), data=data)
    return name


def pair(s: Sketch, kind: str, one: str, other: str, output: str, activation: str = "NONE") -> str:
    options = {} if kind == "MAXIMUM" else {"fusedActivationFunction": activation}
    return s.op(kind, (one, other), output, **options)


def tables_behind_each_other(s: Sketch) -> str:
    s.op("HARD_SWISH", ("a",), s.act("b", SHAPE))
    s.op("LEAKY_RELU", ("b",), s.act("c", SHAPE), alpha=0.3)
    return s.op("QUANTIZE", ("c",), s.act("d", SHAPE))


def swish(s: Sketch) -> str:
    s.op("LOGISTIC", ("a",), s.act("b", SHAPE, 1 / 256, -128))
    return pair(s, "MUL", "a", "b", s.act("d", SHAPE, 0.02, -90))


def hard_swish_in_four(s: Sketch) -> str:
    pair(s, "ADD", "a", number(s, "three", (), 63), s.act("b", SHAPE, 0.04, -100), "RELU6")
    pair(s, "MUL", "b", number(s, "sixth", (), 100, 1 / 600, 0), s.act("c", SHAPE, 0.008, -120))
    return pair(s, "MUL", "a", "c", s.act("d", SHAPE, 0.03, -90))


def sum_with_one_value(s: Sketch) -> str:
    return pair(s, "ADD", number(s, "k", SHAPE, 17), "a", s.act("d", SHAPE), "RELU")


def product_with_an_activation_that_never_changes(s: Sketch) -> str:
    s.act("k", SHAPE)
    s.conv("x", "k", 6)
    for channel in range(6):
        set_channel(s, "k", channel, OUT_OF_REACH)
    return pair(s, "MUL", "a", "k", s.act("d", SHAPE))


def sum_with_itself(s: Sketch) -> str:
    return pair(s, "ADD", "a", "a", s.act("d", SHAPE))


def scalar_behind_a_convolution(s: Sketch) -> str:
    return pair(s, "MUL", "a", number(s, "k", (), 77), s.act("d", SHAPE))


ONE_TABLE: dict[str, tuple[Build, int]] = {
    "chain": (tables_behind_each_other, 2),
    "swish": (swish, 1),
    "hard swish": (hard_swish_in_four, 2),
    "sum with one value": (sum_with_one_value, 0),
    "product with an activation that never changes": (product_with_an_activation_that_never_changes, 0),
    "sum with itself": (sum_with_itself, 0),
    "scalar behind a convolution": (scalar_behind_a_convolution, 0),
}


def broadcast(s: Sketch) -> str:
    """The other operand is a function of the same values, but not element for element."""
    s.op("MEAN", ("a", s.const("axes", [1, 2])), s.act("m", (1, 1, 1, 6)), keepDims=True)
    return pair(s, "MUL", "a", "m", s.act("d", SHAPE))


def value_per_channel(s: Sketch) -> str:
    return pair(s, "ADD", "a", number(s, "k", (6,), [1, 2, 3, 4, 5, 5]), s.act("d", SHAPE))


def two_tensors(s: Sketch) -> str:
    s.act("k", SHAPE)
    s.conv("x", "k", 6)
    return pair(s, "MUL", "a", "k", s.act("d", SHAPE))


def one_value_over_a_larger_map(s: Sketch) -> str:
    """One vector becomes a map: the result has more elements than the vector."""
    s.op("MEAN", ("a", s.const("axes", [1, 2])), s.act("m", (1, 1, 1, 6)), keepDims=True)
    return pair(s, "ADD", "m", number(s, "k", SHAPE, 9), s.act("d", SHAPE))


@pytest.mark.parametrize("build", [broadcast, value_per_channel, two_tensors, one_value_over_a_larger_map])
def test_what_is_no_function_of_one_value_stays(build: Build) -> None:
    graph = read_tflite(between(build))
    assert with_tables(graph).graph is graph


def require_same(source: Graph, graph: Graph) -> None:
    for named in extreme_inputs(source, 3):
        before, after = reference.run(source, named.values), reference.run(graph, named.values)
        assert all(np.array_equal(before[name], values) for name, values in after.items())


@pytest.mark.parametrize("name", ONE_TABLE)
def test_functions_of_one_value_are_one_table(name: str) -> None:
    build, inner = ONE_TABLE[name]
    source = read_tflite(between(build))
    found = with_tables(source)
    require_same(source, verify_graph(found.graph))
    (table,) = [op for op in found.graph.ops if op.kind is OpKind.TABLE]
    assert (table.inputs, table.output) == (("a",), "d")
    assert len(source.ops) - len(found.graph.ops) == inner
    assert [entry.what for entry in found.operators] == ["it is part of a lookup table"] * inner + ["it is a lookup table of a"]


def test_the_c_gives_the_same_with_and_without_tables() -> None:
    """All in one network, one behind the other, and each table is the work of the convolution before it."""

    def all_of_them(s: Sketch) -> str:
        last = "a"
        for i, (build, _) in enumerate(ONE_TABLE.values()):
            part = Sketch(i)
            part.act("x", (1, 8, 8, 3))
            part.act("a", SHAPE, 0.03, -100)
            part.conv("x", "a", 6)
            build(part)
            names = {name: f"{name}{i}" for name in part.tensors if name not in ("x", "a")} | {"a": f"a{i}", "x": "x"}
            names |= {"a_w": f"a_w{i}", "a_b": f"a_b{i}"}
            for name, tensor in part.tensors.items():
                s.tensors[names[name]] = replace(tensor, name=names[name])
            for op in part.ops:
                s.ops.append(replace(op, inputs=tuple(names[n] for n in op.inputs), outputs=tuple(names[n] for n in op.outputs)))
            last = pair(s, "ADD", last, f"d{i}", s.act(f"sum{i}", SHAPE))
        return last

    data = between(all_of_them)
    whole, found = compile_tflite(data, "net", replace(build_named(), minimise=False)), compile_tflite(data, "net")
    patterns = [op.attrs.pattern for op in found.graph.ops if isinstance(op.attrs, FusedAttrs)]
    assert patterns.count(FusedPattern.PRODUCER_TABLE) == len(ONE_TABLE)
    inputs = [named.values for named in extreme_inputs(found.source_graph, 5)]
    with HostLibrary(whole.library) as left, HostLibrary(found.library) as right:
        pairs = zip(left.run_many(inputs), right.run_many(inputs), strict=True)
        assert all(np.array_equal(one.outputs["y"], other.outputs["y"]) for one, other in pairs)


def test_a_tensor_that_is_needed_stays_and_what_follows_reads_it() -> None:
    def build(s: Sketch) -> str:
        s.op("HARD_SWISH", ("a",), s.act("b", SHAPE))
        s.op("LEAKY_RELU", ("b",), s.act("shown", SHAPE), alpha=0.3)
        s.op("ABS", ("shown",), s.act("c", SHAPE))
        return s.op("QUANTIZE", ("c",), s.act("d", SHAPE))

    source = read_tflite(between(build))
    found = with_tables(source)
    require_same(source, verify_graph(found.graph))
    tables = [(op.inputs, op.output) for op in found.graph.ops if op.kind is OpKind.TABLE]
    assert tables == [(("a",), "shown"), (("shown",), "d")]


def test_quantize_pairs_that_cancel_go() -> None:
    """To a finer scale whose range holds the interval and back; one that cuts part of it off is a table."""

    def there_and_back(scale: float, zero_point: int) -> Build:
        def build(s: Sketch) -> str:
            s.op("QUANTIZE", ("a",), s.act("b", SHAPE, scale, zero_point))
            return s.op("QUANTIZE", ("b",), s.like("d", "a", SHAPE))

        return build

    source = read_tflite(between(there_and_back(0.03, -110)))
    found = minimise(source)
    require_same(source, found.graph)
    assert [op.kind for op in found.graph.ops] == [OpKind.CONV_2D, OpKind.CONV_2D]
    found = minimise(read_tflite(between(there_and_back(0.015, -100))))
    assert [op.kind for op in found.graph.ops] == [OpKind.CONV_2D, OpKind.TABLE, OpKind.CONV_2D]


def test_a_sum_that_adds_nothing_goes() -> None:
    source = read_tflite(between(lambda s: pair(s, "ADD", "a", number(s, "zero", (), 3), s.like("d", "a", SHAPE))))
    found = minimise(source)
    require_same(source, found.graph)
    assert [op.kind for op in found.graph.ops] == [OpKind.CONV_2D, OpKind.CONV_2D]


# --- clamps ---------------------------------------------------------------------------------------------------------


def clamped(weight: int, activation: str = "RELU6", zero_point: int = -20) -> Graph:
    """Sums of 3 values times `weight` to `y`, of which 6 is 100 steps."""
    s = Sketch()
    s.act("x", (1, 4, 4, 3), 0.05, 0)
    s.act("y", (1, 4, 4, 2), 0.06, zero_point)
    s.conv("x", "y", 2)
    clamp(s, activation)
    for channel in range(2):
        set_channel(s, "y", channel, bias=0, weight=weight)
    return read_tflite(s.file(("x",), ("y",)))


def bounds(graph: Graph) -> tuple[int, int]:
    attrs = graph.ops[-1].attrs
    assert isinstance(attrs, ConvAttrs | ClampAttrs)
    return attrs.activation_min, attrs.activation_max


def steps(graph: Graph) -> tuple[float, ...]:
    """The scales of the weights."""
    quantization = graph.tensor("y_w").quantization
    assert quantization is not None
    return quantization.scales


def test_an_upper_clamp_that_never_bites_goes() -> None:
    """The lower one bites, and would stay else: kernels round faster with it."""
    weak, strong = clamped(1), clamped(127)
    most = max(steps(weak)) * 3 * 127 * 0.05
    assert most < 6 < 127 * most
    assert bounds(weak) == bounds(strong) == (-20, 80)
    found = without_clamps(weak)
    require_same(weak, found.graph)
    assert bounds(found.graph) == (-20, 127)
    assert [entry.what for entry in found.operators] == ["its clamp never bites"]
    assert without_clamps(strong).graph is strong


def test_a_lower_clamp_below_the_zero_point_goes() -> None:
    weak = clamped(1, "RELU_N1_TO_1")
    assert max(steps(weak)) * 3 * 128 * 0.05 < 1
    assert bounds(without_clamps(weak).graph) == (-128, 127)


def test_a_clamp_stays_where_layers_would_need_more_functions() -> None:
    s = Sketch()
    s.act("x", (1, 4, 4, 3), 0.05, 0)
    for name, weight in (("a", 127), ("b", 1)):
        s.act(name, (1, 4, 4, 3), 0.06, -20)
        s.conv("x" if name == "a" else "a", name, 3)
        clamp(s, "RELU6")
        for channel in range(3):
            set_channel(s, name, channel, bias=0, weight=weight)
    graph = read_tflite(s.file(("x",), ("b",)))
    assert without_clamps(graph).graph is graph


# --- the contract ---------------------------------------------------------------------------------------------------


def changed(graph: Graph, output: str, change: Callable[[Op], Op]) -> Graph:
    return replace(graph, ops=tuple(change(op) if op.output == output else op for op in graph.ops))


@pytest.mark.parametrize("entry", [28, 255])
def test_the_contract_refuses_another_entry_but_not_one_that_is_never_read(entry: int) -> None:
    source = read_tflite(between(swish))
    found = with_tables(source).graph

    def wrong(op: Op, at: int) -> Op:
        assert isinstance(op.attrs, TableAttrs)
        entries = list(op.attrs.entries)
        entries[at] ^= 1
        return replace(op, attrs=TableAttrs(tuple(entries)))

    require_simplified(source, found)
    require_simplified(source, changed(found, "d", lambda op: wrong(op, 27)))
    with pytest.raises(GraphError, match="may give another tensor"):
        require_simplified(source, changed(found, "d", lambda op: wrong(op, entry)))


def test_the_contract_refuses_tables_of_more_than_one_tensor_and_of_others() -> None:
    table = TableAttrs(tuple(range(-128, 128)))
    for build, root in ((two_tensors, "a"), (swish, "b"), (broadcast, "a")):
        source = read_tflite(between(build))
        graph = changed(source, "d", lambda op, root=root: replace(op, kind=OpKind.TABLE, inputs=(root,), attrs=table))  # type: ignore[misc]
        with pytest.raises(GraphError, match="may give another tensor"):
            require_simplified(source, graph)


def test_the_contract_refuses_a_clamp_that_bites() -> None:
    for graph, least in ((clamped(127), -20), (clamped(1), -128)):
        attrs = graph.ops[-1].attrs
        assert isinstance(attrs, ConvAttrs)
        free = replace(attrs, activation_min=least, activation_max=127)
        with pytest.raises(GraphError, match="may give another tensor"):
            require_simplified(graph, changed(graph, "y", lambda op, free=free: replace(op, attrs=free)))  # type: ignore[misc]
