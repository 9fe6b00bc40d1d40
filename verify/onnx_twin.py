"""The golden twin: a graph as a plain integer ONNX model, run by onnxruntime.

Every activation is an output under its IR name, in the IR's own type and layout. A variable is an input, its value when an
inference begins, and an output, its value behind it: whoever runs the model feeds the one with the other. Only standard operators
on integers are used (and one product in double, that of FULLY_CONNECTED on int16), so any ONNX runtime that keeps to the standard
computes these very bytes. Formulas: design section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto

from ..codegen import fixed_point as fp
from ..codegen.activations import activation_table
from ..codegen.fixed_point_16 import sigmoid_16, tanh_16
from ..codegen.ir import (
    TABLE_KINDS,
    ClampAttrs,
    ConcatAttrs,
    ConvAttrs,
    GatherAttrs,
    Graph,
    MatMulAttrs,
    Op,
    OpKind,
    PadAttrs,
    PoolAttrs,
    ReduceAttrs,
    ResizeAttrs,
    SliceAttrs,
    SoftmaxAttrs,
    TransposeAttrs,
    works_on_int16,
)
from ..codegen.lstm import GATE_BITS, Norm, Sums, lstm_of
from ..codegen.reference import channel_multipliers, division_table, fully_connected_multipliers
from ..codegen.svdf import svdf_of
from . import onnx_twin_16
from .onnx_geometry import convolution_geometry, dilations, groups_of, real_positions, shifted, uniform, weights_oihw
from .onnx_graph import OnnxGraph

Values = npt.NDArray[np.integer]


def build_twin(graph: Graph) -> onnx.ModelProto:
    """The integer ONNX model of a graph as read (no fused operators); equal graphs give equal bytes."""
    out = OnnxGraph(graph)
    for op in graph.ops:
        out.scope = op.output
        exact_emitter(op, graph)(op, out)
    constants = graph.constant_outputs()
    for name, data in constants.items():
        out.node("Identity", out.constant(data, graph.tensor(name).dtype.value), output=name)
    made = [*constants, *(name for op in graph.ops for name in op.outputs)]
    return out.model([graph.tensor(name) for name in made])


class OnnxTwin:
    """A golden model in onnxruntime, as a judge of its graph's tensors."""

    name = "onnxruntime"

    def __init__(self, graph: Graph, model: bytes | None = None) -> None:
        self._graph = graph
        self.reset()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # the nodes as written
        content = build_twin(graph).SerializeToString(deterministic=True) if model is None else model
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def reset(self) -> None:
        """Give the variables their start values."""
        self._state: Mapping[str, npt.NDArray[np.generic]] = self._graph.start_state()

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Values]:
        """Every activation of one inference by name, the graph's inputs and variables included."""
        feeds = {name: np.asarray(inputs[name], self._graph.tensor(name).dtype.value) for name in self._graph.inputs}
        feeds |= {name: np.asarray(value) for name, value in self._state.items()}
        results = self._session.run(self._outputs, feeds)
        values: dict[str, Values] = feeds | dict(zip(self._outputs, results, strict=True))
        self._state = self._graph.next_state(values)
        return values


def _accumulators(op: Op, out: OnnxGraph, acc: str, bias_shape: tuple[int, ...]) -> str:
    """int64 accumulators with the bias added."""
    if len(op.inputs) > 2:
        bias = out.source.tensor(op.inputs[2]).constant()
        acc = out.node("Add", acc, out.constant(bias.reshape(bias_shape), np.int32))
    return out.node("Cast", acc, to=TensorProto.INT64)


def _convolution(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, ConvAttrs)
    source, result = out.source.tensor(op.inputs[0]), out.source.tensor(op.output)
    acc = out.node(
        "ConvInteger",
        out.unsigned(out.nchw(op.inputs[0])),
        out.constant(shifted(weights_oihw(op, out.source)), np.uint8),
        out.constant(source.zero_point + 128, np.uint8),
        out.constant(128, np.uint8),
        group=groups_of(op, out.source),
        dilations=dilations(op.attrs.window),
        **convolution_geometry(op.attrs.window),
    )
    acc = _accumulators(op, out, acc, (1, -1, 1, 1))
    multiplier, shift = channel_multipliers(op, out.source)
    scaled = out.requantize(acc, uniform(multiplier, (-1, 1, 1)), uniform(shift, (-1, 1, 1)))
    stored = out.stored(scaled, result.zero_point, op.attrs.activation_min, op.attrs.activation_max)
    out.node("Transpose", stored, perm=[0, 2, 3, 1], output=op.output)


def _fully_connected(op: Op, out: OnnxGraph) -> None:
    """Rounded once: floor((acc * multiplier + half) / 2^(31 - shift)), with multipliers wide enough to be exact."""
    assert isinstance(op.attrs, ClampAttrs)
    source, result = out.source.tensor(op.inputs[0]), out.source.tensor(op.output)
    weights = out.source.tensor(op.inputs[1]).constant()
    rows = out.node("Reshape", out.unsigned(op.inputs[0]), out.int64([-1, weights.shape[1]]))
    acc = out.node(
        "MatMulInteger",
        rows,
        out.constant(shifted(weights.T), np.uint8),
        out.constant(source.zero_point + 128, np.uint8),
        out.constant(128, np.uint8),
    )
    acc = _accumulators(op, out, acc, (-1,))
    multiplier, shift = fully_connected_multipliers(op, out.source)
    bits = 31 - shift
    product = out.node("Mul", acc, out.int64(uniform(multiplier, (-1,))))
    rounded = out.node("Add", product, out.int64(uniform(np.int64(1) << (bits - 1), (-1,))))
    scaled = out.floor_shift(rounded, uniform(bits, (-1,)))
    stored = out.stored(scaled, result.zero_point, op.attrs.activation_min, op.attrs.activation_max)
    out.node("Reshape", stored, out.int64(result.shape), output=op.output)


# --- elementwise ----------------------------------------------------------------------------------------------------


def _scales(op: Op, out: OnnxGraph) -> tuple[float, float, float]:
    graph = out.source
    return graph.tensor(op.inputs[0]).scale, graph.tensor(op.inputs[1]).scale, graph.tensor(op.output).scale


def _finish(op: Op, out: OnnxGraph, value: str, factor: fp.Multiplier) -> None:
    low, high = (op.attrs.activation_min, op.attrs.activation_max) if isinstance(op.attrs, ClampAttrs) else (-128, 127)
    scaled = out.requantize(value, factor.multiplier, factor.shift)
    out.stored(scaled, out.source.tensor(op.output).zero_point, low, high, output=op.output)


def _rescaled_pair(op: Op, out: OnnxGraph, factors: fp.AddMultipliers) -> tuple[str, str]:
    shifted = 1 << factors.left_shift  # the left shift is taken into the multiplier: both are factors of one product
    return (
        out.requantize(out.centred(op.inputs[0]), factors.input1.multiplier * shifted, factors.input1.shift),
        out.requantize(out.centred(op.inputs[1]), factors.input2.multiplier * shifted, factors.input2.shift),
    )


def _add_or_sub(op: Op, out: OnnxGraph) -> None:
    factors = fp.add_multipliers(*_scales(op, out))
    left, right = _rescaled_pair(op, out, factors)
    _finish(op, out, out.node("Add" if op.kind is OpKind.ADD else "Sub", left, right), factors.output)


def _squared_difference(op: Op, out: OnnxGraph) -> None:
    factors = fp.squared_difference_multipliers(*_scales(op, out))
    left, right = _rescaled_pair(op, out, factors)
    difference = out.node("Sub", left, right)
    _finish(op, out, out.node("Mul", difference, difference), factors.output)


def _mul(op: Op, out: OnnxGraph) -> None:
    product = out.node("Mul", out.centred(op.inputs[0]), out.centred(op.inputs[1]))
    _finish(op, out, product, fp.mul_multiplier(*_scales(op, out)))


def _maximum(op: Op, out: OnnxGraph) -> None:
    kind = "Max" if op.kind is OpKind.MAXIMUM else "Min"
    out.node(kind, out.activation(op.inputs[0]), out.activation(op.inputs[1]), output=op.output)


def _table(op: Op, out: OnnxGraph) -> None:
    """Gather takes a negative index from the end, so the table starts with the entry of 0."""
    table = activation_table(op.kind, out.source.tensor(op.inputs[0]), out.source.tensor(op.output), op.parameters)
    out.node("Gather", out.constant(np.roll(table, 128), np.int8), out.cast(op.inputs[0], TensorProto.INT32), output=op.output)


def _prelu(op: Op, out: OnnxGraph) -> None:
    source, alpha, result = (out.source.tensor(name) for name in (*op.inputs, op.output))
    above, below = fp.prelu_multipliers(source.scale, alpha.scale, result.scale)
    value = out.centred(op.inputs[0])
    product = out.node("Mul", value, out.int64(alpha.constant().astype(np.int64) - alpha.zero_point))
    scaled = (out.requantize(value, above.multiplier, above.shift), out.requantize(product, below.multiplier, below.shift))
    chosen = out.node("Where", out.node("GreaterOrEqual", value, out.int64(0)), *scaled)
    out.stored(chosen, result.zero_point, -128, 127, output=op.output)


def _div(op: Op, out: OnnxGraph) -> None:
    table = division_table(op, out.source)
    out.node("Gather", out.constant(np.roll(table, 128), np.int8), out.cast(op.inputs[0], TensorProto.INT32), output=op.output)


def _batch_matmul(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, MatMulAttrs)
    operands = []
    for name, swaps in zip(op.inputs, (op.attrs.adj_x, op.attrs.adj_y), strict=True):
        rank, value = len(out.source.tensor(name).shape), out.centred(name)
        order = [*range(rank - 2), rank - 1, rank - 2]
        operands.append(out.node("Transpose", value, perm=order) if swaps else value)
    _finish(op, out, out.node("MatMul", *operands), fp.matmul_multiplier(*_scales(op, out)))


# --- recurrent ------------------------------------------------------------------------------------------------------


def _lstm(op: Op, out: OnnxGraph) -> None:
    """Steps one after the other; sigmoid and tanh of an int16 are tables."""
    numbers = lstm_of(op, out.source)
    cells, every = numbers.cells, np.arange(-(1 << 15), 1 << 15)
    tables = [
        out.constant(values, np.int32)
        for values in (sigmoid_16(every, GATE_BITS), tanh_16(every, GATE_BITS), tanh_16(every, numbers.cell_bits))
    ]

    def int16(value: str) -> str:
        return out.node("Clip", value, out.int64(-(1 << 15)), out.int64((1 << 15) - 1))

    def function(table: str, value: str) -> str:
        found = out.node("Gather", table, out.node("Add", value, out.int64(1 << 15)))
        return out.node("Cast", found, to=TensorProto.INT64)

    def summed(parts: Sequence[Sums], operand: str) -> str:
        """[rows, outputs of all parts] of [rows, c_in], rescaled."""
        weights = np.concatenate([part.weights for part in parts]).T
        product = out.node("MatMul", operand, out.int64(weights))
        acc = out.node("Add", product, out.int64(np.concatenate([part.bias for part in parts])))
        counts = [len(part.weights) for part in parts]
        multipliers = np.repeat(np.array([part.multiplier.multiplier for part in parts], np.int64), counts)
        shifts = np.repeat(np.array([part.multiplier.shift for part in parts], np.int64), counts)
        return out.requantize(acc, multipliers, shifts)

    def part_of(value: str, axis: int, begin: int, count: int) -> str:
        return out.node("Slice", value, out.int64([begin]), out.int64([begin + count]), out.int64([axis]))

    present = [i for i in range(4) if numbers.gates[i] is not None]
    gates = [gate for gate in numbers.gates if gate is not None]
    data = out.node("Reshape", out.cast(op.inputs[0], TensorProto.INT64), out.int64([numbers.steps, numbers.c_in]))
    given = int16(summed([gate.data for gate in gates], data))
    hidden, cell = (out.cast(name, TensorProto.INT64) for name in op.inputs[1:3])
    steps = []
    for step in range(numbers.steps):
        fed_back = summed([gate.hidden for gate in gates], hidden)
        both = int16(out.node("Add", fed_back, part_of(given, 0, step, 1)))

        def value(i: int, seen_cell: str, both: str = both) -> str:
            """A gate that sees a state of the cells."""
            place = present.index(i)
            found, peephole = part_of(both, 1, place * cells, cells), gates[place].peephole
            if peephole is not None:
                seen = out.node("Mul", seen_cell, out.int64(peephole.weights))
                seen = out.requantize(seen, peephole.multiplier.multiplier, peephole.multiplier.shift)
                found = int16(out.node("Add", seen, found))
            norm = gates[place].norm
            if norm is not None:
                found = int16(_normalised(found, norm, out))
            return function(tables[int(i == 2)], found)

        forget = value(1, cell)
        share = value(0, cell) if 0 in present else out.node("Sub", out.int64(32767), forget)
        kept = out.divide_by_pot(out.node("Mul", forget, cell), 15)
        added = out.divide_by_pot(out.node("Mul", share, value(2, cell)), 15 + numbers.cell_bits)
        cell = int16(out.node("Add", kept, added))
        if numbers.cell_clip:
            cell = out.node("Clip", cell, out.int64(-numbers.cell_clip), out.int64(numbers.cell_clip))
        product = out.node("Mul", value(3, cell), function(tables[2], cell))
        scaled = out.requantize(product, numbers.output.multiplier, numbers.output.shift)
        shifted = out.node("Add", scaled, out.int64(numbers.output_zero_point))
        hidden = out.node("Clip", shifted, out.int64(-128), out.int64(127))
        if numbers.projection is not None:
            projected = summed([numbers.projection.sums], hidden)
            shifted = out.node("Add", projected, out.int64(numbers.projection.zero_point))
            limit = numbers.projection.clip
            hidden = out.node("Clip", shifted, out.int64(-limit if limit else -128), out.int64(limit or 127))
        steps.append(hidden)
    result, shape = out.node("Concat", *steps, axis=0), out.int64(out.source.tensor(op.output).shape)
    out.node("Reshape", out.node("Cast", result, to=TensorProto.INT8), shape, output=op.output)
    out.node("Cast", hidden, to=TensorProto.INT8, output=op.outputs[1])
    out.node("Cast", cell, to=TensorProto.INT16, output=op.outputs[2])


def _normalised(values: str, norm: Norm, out: OnnxGraph) -> str:
    """`Norm.of` of int64 [1, cells]. Div truncates, as LiteRT's divisions do."""
    cells = len(norm.weights)
    total = out.node("ReduceSum", values, out.int64([1]))
    squares = out.node("ReduceSum", out.node("Mul", values, values), out.int64([1]))
    mean = out.node("Div", out.node("Mul", total, out.int64(1024)), out.int64(cells))
    spread = out.node("Sub", out.node("Mul", squares, out.int64(norm.share)), out.node("Mul", mean, mean))
    variance = out.node("Div", spread, out.int64(1 << 20))
    variance = out.node("Where", out.node("Less", variance, out.int64(1)), out.int64(norm.least_variance), variance)
    factor, right = _inverse_square_root(variance, out)
    centred = out.node("Sub", out.node("Mul", values, out.int64(1024)), mean)
    high = out.high_mul(centred, factor)
    power = out.node("Gather", out.int64(1 << np.arange(32, dtype=np.int64)), right)
    nudge = out.node("Mul", out.node("Sign", high), out.node("Div", power, out.int64(2)))
    scaled = out.node("Div", out.node("Add", high, nudge), power)
    product = out.node("Add", out.node("Mul", scaled, out.int64(norm.weights)), out.int64(norm.bias + (1 << 31)))
    wrapped = out.node("Sub", out.node("Mod", product, out.int64(1 << 32)), out.int64(1 << 31))
    return out.requantize(out.divide_by_pot(wrapped, 10), norm.multiplier.multiplier, norm.multiplier.shift)


def _inverse_square_root(value: str, out: OnnxGraph) -> tuple[str, str]:
    """`fixed_point.inverse_square_root` of numbers above 0: the multiplier, and by how much to the right."""

    def saturated(number: str) -> str:
        return out.node("Clip", number, out.int64(-(1 << 31)), out.int64((1 << 31) - 1))

    def counted(condition: str) -> str:
        return out.node("Cast", condition, to=TensorProto.INT64)

    is_large = out.node("GreaterOrEqual", value, out.int64(1 << 29))
    reduced = out.node("Where", is_large, out.node("Div", value, out.int64(4)), value)
    powers = out.int64(1 << np.arange(30, dtype=np.int64))
    length = out.node("ReduceSum", counted(out.node("GreaterOrEqual", reduced, powers)), out.int64([1]))
    twos = out.node("Sub", out.node("Div", out.node("Sub", out.int64(31), length), out.int64(2)), out.int64(1))
    right = out.node("Sub", out.node("Add", out.int64(11), counted(is_large)), twos)
    reduced = out.node("Mul", reduced, out.node("Gather", out.int64(1 << 2 * np.arange(16, dtype=np.int64)), twos))
    half = out.divide_by_pot(out.floor_shift(reduced, 1), 1)
    x = out.int64(np.full((1, 1), 1 << 28))
    for _ in range(5):
        cube = saturated(out.node("Mul", out.high_mul(out.high_mul(x, x), x), out.int64(1 << 6)))
        step = out.node("Sub", out.high_mul(out.int64((1 << 28) + (1 << 27)), x), out.high_mul(half, cube))
        x = saturated(out.node("Mul", step, out.int64(1 << 3)))
    x = out.high_mul(x, out.int64(fp.INVERSE_ROOT_OF_2))
    left = out.node("Max", out.node("Neg", right), out.int64(0))
    x = out.node("Mul", x, out.node("Gather", out.int64(1 << np.arange(16, dtype=np.int64)), left))
    is_one = out.node("LessOrEqual", value, out.int64(1))
    return (
        out.node("Where", is_one, out.int64((1 << 31) - 1), x),
        out.node("Where", is_one, out.int64(0), out.node("Max", right, out.int64(0))),
    )


def _svdf(op: Op, out: OnnxGraph) -> None:
    """The sums over the memory wrap around at 32 bits: Mod has the divisor's sign."""
    numbers = svdf_of(op, out.source)
    filters, memory = numbers.taps.shape
    product = out.node("MatMul", out.cast(op.inputs[0], TensorProto.INT64), out.int64(numbers.newest.weights.T))
    acc = out.node("Add", product, out.int64(numbers.newest.bias))
    scaled = out.requantize(acc, numbers.newest.multiplier.multiplier, numbers.newest.multiplier.shift)
    newest = out.node("Clip", scaled, out.int64(-(1 << 15)), out.int64((1 << 15) - 1))
    held = out.node("Reshape", out.cast(op.inputs[1], TensorProto.INT64), out.int64([filters, memory]))
    older = out.node("Slice", held, out.int64([1]), out.int64([memory]), out.int64([1]))
    state = out.node("Concat", older, out.node("Reshape", newest, out.int64([filters, 1])), axis=1)
    weighted = out.node("Reshape", out.node("Mul", state, out.int64(numbers.taps)), out.int64([len(numbers.bias), -1]))
    total = out.node("ReduceSum", weighted, out.int64([1]), keepdims=0)
    shifted = out.node("Add", total, out.int64(numbers.bias + (1 << 31)))
    wrapped = out.node("Sub", out.node("Mod", shifted, out.int64(1 << 32)), out.int64(1 << 31))
    result = out.requantize(wrapped, numbers.output.multiplier, numbers.output.shift)
    stored = out.stored(result, numbers.output_zero_point, -128, 127)
    out.node("Reshape", stored, out.int64(out.source.tensor(op.output).shape), output=op.output)
    flat = out.node("Reshape", state, out.int64(out.source.tensor(op.outputs[1]).shape))
    out.node("Cast", flat, to=TensorProto.INT16, output=op.outputs[1])


# --- reductions and pools -------------------------------------------------------------------------------------------


def _mean(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, ReduceAttrs)
    source, result = out.source.tensor(op.inputs[0]), out.source.tensor(op.output)
    axes = out.int64(op.attrs.axes)
    total = out.node("ReduceSum", out.centred(op.inputs[0]), axes, keepdims=int(op.attrs.keep_dims))
    _finish(op, out, total, fp.mean_multiplier(source.scale, result.scale, source.num_elements // result.num_elements))


def _reduce_max(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, ReduceAttrs)
    axes = out.int64(op.attrs.axes)
    kind = "ReduceMax" if op.kind is OpKind.REDUCE_MAX else "ReduceMin"
    out.node(kind, out.activation(op.inputs[0]), axes, keepdims=int(op.attrs.keep_dims), output=op.output)


def _average_pool(op: Op, out: OnnxGraph) -> None:
    """A depthwise convolution with ones sums the stored values; the count of real positions is a constant."""
    assert isinstance(op.attrs, PoolAttrs)
    window, source = op.attrs.window, out.source.tensor(op.inputs[0])
    total = out.node(
        "ConvInteger",
        out.unsigned(out.nchw(op.inputs[0])),
        out.constant(np.ones((source.shape[3], 1, window.kernel_h, window.kernel_w)), np.uint8),
        out.constant(128, np.uint8),
        group=source.shape[3],
        **convolution_geometry(window),
    )
    rows = real_positions(source.shape[1], window.kernel_h, window.stride_h, window.pad_top, window.pad_bottom)
    columns = real_positions(source.shape[2], window.kernel_w, window.stride_w, window.pad_left, window.pad_right)
    count = rows[:, np.newaxis] * columns
    nudge = out.node("Mul", out.node("Sign", total), out.constant(count // 2, np.int32))
    mean = out.node("Div", out.node("Add", total, nudge), out.constant(count, np.int32))
    stored = out.stored(out.node("Cast", mean, to=TensorProto.INT64), 0, op.attrs.activation_min, op.attrs.activation_max)
    out.node("Transpose", stored, perm=[0, 2, 3, 1], output=op.output)


def _max_pool(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, PoolAttrs)
    largest = out.node("MaxPool", out.nchw(op.inputs[0]), **convolution_geometry(op.attrs.window))
    low, high = out.constant(op.attrs.activation_min, np.int8), out.constant(op.attrs.activation_max, np.int8)
    out.node("Transpose", out.node("Clip", largest, low, high), perm=[0, 2, 3, 1], output=op.output)


def _softmax(op: Op, out: OnnxGraph) -> None:
    """gemmlowp's fixed point: table of exponentials, sum in Q12.19, reciprocal by three Newton steps, product."""
    assert isinstance(op.attrs, SoftmaxAttrs)
    table = out.int64(fp.softmax_exp_table(out.source.tensor(op.inputs[0]).scale, op.attrs.beta))
    data, last = out.cast(op.inputs[0], TensorProto.INT32), out.int64([-1])
    distance = out.node("Sub", out.node("ReduceMax", data, last, keepdims=1), data)
    exponential = out.node("Gather", table, distance)
    total = out.node("ReduceSum", out.divide_by_pot(exponential, fp.SOFTMAX_SUM_SHIFT), last, keepdims=1)

    powers = np.int64(1) << np.arange(63, dtype=np.int64)
    reached = out.node("Cast", out.node("GreaterOrEqual", total, out.int64(powers[:32])), to=TensorProto.INT64)
    bits = out.node("ReduceSum", reached, last, keepdims=1)
    normalise = out.node("Gather", out.int64(powers[:32][::-1]), bits)  # 2^(31 - bits): half of the sum in [1, 2)
    half_denominator = out.node("Mul", total, normalise)
    x = out.node("Add", out.high_mul(half_denominator, out.int64(fp.MINUS_32_OVER_17)), out.int64(fp.PLUS_48_OVER_17))
    for _ in range(3):
        error = out.node("Sub", out.int64(1 << 29), out.high_mul(half_denominator, x))
        x = out.node("Add", x, _saturated(out, out.node("Mul", out.high_mul(x, error), out.int64(4))))
    reciprocal = _saturated(out, out.node("Mul", x, out.int64(2)))

    share = out.high_mul(reciprocal, exponential)  # never negative, so half up is half away
    half = out.node("Gather", out.int64(powers[2:]), bits)
    rounded = out.node("Div", out.node("Add", share, half), out.node("Gather", out.int64(powers[3:]), bits))
    out.stored(rounded, -128, -128, 127, output=op.output)


def _saturated(out: OnnxGraph, value: str) -> str:
    return out.node("Clip", value, out.int64(-(1 << 31)), out.int64((1 << 31) - 1))


def _l2_normalization(op: Op, out: OnnxGraph) -> None:
    """The inverse root of the row's sum of squares by five Newton steps, as `fixed_point.inverse_sqrt` takes them."""
    value = out.centred(op.inputs[0])
    total = out.node("ReduceSum", out.node("Mul", value, value), out.int64([-1]), keepdims=1)
    total = out.node("Max", total, out.int64(1))
    powers = np.int64(1) << np.arange(63, dtype=np.int64)
    reached = out.node("Cast", out.node("GreaterOrEqual", total, out.int64(powers[:31])), to=TensorProto.INT64)
    bits = out.node("ReduceSum", reached, out.int64([-1]), keepdims=1)
    twos = np.maximum((31 - np.arange(32)) // 2 - 1, 0)  # by the number of bits
    half = out.node("Div", out.node("Mul", total, out.node("Gather", out.int64(powers[2 * twos]), bits)), out.int64(2))
    half = out.divide_by_pot(half, 1)
    x = out.int64(1 << 28)
    for _ in range(5):
        cube = _saturated(out, out.node("Mul", out.high_mul(out.high_mul(x, x), x), out.int64(64)))
        rest = out.node("Sub", out.high_mul(out.int64(3 << 27), x), out.high_mul(half, cube))
        x = _saturated(out, out.node("Mul", rest, out.int64(8)))
    x = out.high_mul(x, out.int64(fp.SQRT_HALF))
    x = out.node("Mul", x, out.node("Gather", out.int64(powers[np.maximum(twos - 11, 0)]), bits))
    is_one = out.node("Equal", total, out.int64(1))
    x = out.node("Where", is_one, out.int64((1 << 31) - 1), x)
    right = np.maximum(11 - twos, 0)  # the shift is 7 - right, of a 1 it is 7
    left = out.node("Where", is_one, out.int64(1 << 7), out.node("Gather", out.int64(powers[np.maximum(7 - right, 0)]), bits))
    product = out.high_mul(out.node("Mul", value, left), x)
    shifts = np.maximum(right - 7, 0)
    halves = out.node("Gather", out.int64(np.where(shifts > 0, powers[np.maximum(shifts - 1, 0)], 0)), bits)
    divisor = out.node("Gather", out.int64(powers[shifts]), bits)
    halves = out.node("Where", is_one, out.int64(0), halves)
    divisor = out.node("Where", is_one, out.int64(1), divisor)
    nudged = out.node("Add", product, out.node("Mul", out.node("Sign", product), halves))
    out.stored(out.node("Div", nudged, divisor), 0, -128, 127, output=op.output)


def _resize_bilinear(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, ResizeAttrs)
    value = out.cast(op.inputs[0], TensorProto.INT64)
    shapes = out.source.tensor(op.inputs[0]).shape, out.source.tensor(op.output).shape
    for axis in (1, 2):
        ends = (shapes[0][axis], shapes[1][axis])
        below, above, share = fp.bilinear_places(*ends, op.attrs.align_corners, op.attrs.half_pixel_centers)
        share = share.reshape((-1, 1, 1) if axis == 1 else (-1, 1))
        parts = [
            out.node("Mul", out.node("Gather", value, out.int64(places), axis=axis), out.int64(weights))
            for places, weights in ((below, 1024 - share), (above, share))
        ]
        value = out.node("Add", *parts)
    out.stored(out.divide_by_pot(value, 20), 0, -128, 127, output=op.output)


# --- moves ----------------------------------------------------------------------------------------------------------


def _concatenation(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, ConcatAttrs)
    out.node("Concat", *(out.activation(name) for name in op.inputs), axis=op.attrs.axis, output=op.output)


def _slice(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, SliceAttrs)
    counts = out.source.tensor(op.output).shape
    ends = []
    for begin, stride, count in zip(op.attrs.begin, op.attrs.strides, counts, strict=True):
        end = begin + stride * (count - 1) + (1 if stride > 0 else -1)
        ends.append(end if end >= 0 else -(1 << 31))  # before the first element: a plain -1 would count from the end
    axes = list(range(len(counts)))
    ranges = (out.int64(op.attrs.begin), out.int64(ends), out.int64(axes), out.int64(op.attrs.strides))
    out.node("Slice", out.activation(op.inputs[0]), *ranges, output=op.output)


def _gather(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, GatherAttrs)
    out.node("Gather", out.activation(op.inputs[0]), out.int64(op.attrs.indices), axis=op.attrs.axis, output=op.output)


def _transpose(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, TransposeAttrs)
    out.node("Transpose", out.activation(op.inputs[0]), perm=list(op.attrs.permutation), output=op.output)


def _pad(op: Op, out: OnnxGraph) -> None:
    assert isinstance(op.attrs, PadAttrs)
    fill = out.constant(out.source.tensor(op.output).zero_point, np.int8)
    out.node("Pad", out.activation(op.inputs[0]), out.int64([*op.attrs.before, *op.attrs.after]), fill, output=op.output)


def _reshape(op: Op, out: OnnxGraph) -> None:
    out.node("Reshape", out.activation(op.inputs[0]), out.int64(out.source.tensor(op.output).shape), output=op.output)


def _copy(op: Op, out: OnnxGraph) -> None:
    out.node("Identity", out.activation(op.inputs[0]), output=op.output)


Emitter = Callable[[Op, OnnxGraph], None]

_EMITTERS: Mapping[OpKind, Emitter] = {
    OpKind.CONV_2D: _convolution,
    OpKind.DEPTHWISE_CONV_2D: _convolution,
    OpKind.FULLY_CONNECTED: _fully_connected,
    OpKind.ADD: _add_or_sub,
    OpKind.SUB: _add_or_sub,
    OpKind.MUL: _mul,
    OpKind.MAXIMUM: _maximum,
    OpKind.MINIMUM: _maximum,
    OpKind.PRELU: _prelu,
    OpKind.DIV: _div,
    OpKind.BATCH_MATMUL: _batch_matmul,
    OpKind.L2_NORMALIZATION: _l2_normalization,
    OpKind.RESIZE_BILINEAR: _resize_bilinear,
    OpKind.SQUARED_DIFFERENCE: _squared_difference,
    OpKind.MEAN: _mean,
    OpKind.REDUCE_MAX: _reduce_max,
    OpKind.REDUCE_MIN: _reduce_max,
    OpKind.AVERAGE_POOL_2D: _average_pool,
    OpKind.MAX_POOL_2D: _max_pool,
    OpKind.SOFTMAX: _softmax,
    OpKind.CONCATENATION: _concatenation,
    OpKind.SLICE: _slice,
    OpKind.STRIDED_SLICE: _slice,
    OpKind.GATHER: _gather,
    OpKind.TRANSPOSE: _transpose,
    OpKind.PAD: _pad,
    OpKind.RESHAPE: _reshape,
    OpKind.ASSIGN_VARIABLE: _copy,
    OpKind.UNIDIRECTIONAL_SEQUENCE_LSTM: _lstm,
    OpKind.SVDF: _svdf,
    **dict.fromkeys(TABLE_KINDS, _table),
}


_EMITTERS_16: Mapping[OpKind, Emitter] = {
    **{kind: _EMITTERS[kind] for kind in (OpKind.CONCATENATION, OpKind.GATHER, OpKind.TRANSPOSE, OpKind.RESHAPE)},
    **onnx_twin_16.EMITTERS,
}


def exact_emitter(op: Op, graph: Graph) -> Emitter:
    """What writes an operator's nodes."""
    return (_EMITTERS_16 if works_on_int16(op, graph) else _EMITTERS)[op.kind]
