"""Contracts of the fused patterns: what must hold for a pattern's kernel to compute what the fused body says.

A kernel of a fused chain takes much for granted: which operand is which, over which axes a mean goes, that nobody else wants a
tensor which it never stores. A contract writes all of it down. It yields the clauses that an operator breaks, in an order in
which a clause may rely on those before it, so only the first is ever asked for.

One truth, asked three times: a pass fuses a chain when its contract holds (`passes/chains.py`), `verify_graph` checks it after
each pass, and no kernel is chosen without it (`kernels/__init__.py`). That no operator outside reads an inner tensor is seen in
the outputs (a chain's outputs are what others read) and, for the graph as a whole, by `verify_graph`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, pairwise

from .ir import (
    TABLE_KINDS,
    ConvAttrs,
    FusedAttrs,
    FusedPattern,
    GatherAttrs,
    Graph,
    Op,
    OpKind,
    PadAttrs,
    ReduceAttrs,
    works_on_int16,
)

Broken = Iterator[str]

PRODUCERS = (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D, OpKind.FULLY_CONNECTED)


def broken_clause(op: Op, graph: Graph) -> str | None:
    """The first clause of its pattern's contract that a FUSED operator breaks, None when all hold.

    graph  holds the operator's tensors; the operator itself need not be in it yet
    """
    assert isinstance(op.attrs, FusedAttrs)
    return next(chain(_any_chain(op, graph), CONTRACTS[op.attrs.pattern](op, graph)), None)


def _any_chain(op: Op, graph: Graph) -> Broken:
    """Every pattern: plain steps with one output each; what a step writes is read by a later one or is an output of the chain.

    The first input is what the first step reads first: kernels know their map by it. Activations are int8.
    """
    body = _body(op)
    if not body or any(step.kind is OpKind.FUSED or len(step.outputs) != 1 or not step.inputs for step in body):
        yield "its body must be plain operators with one output each"
        return
    if any(works_on_int16(step, graph) for step in body):
        yield "it must be of int8"
    if op.inputs[:1] != body[0].inputs[:1]:
        yield f"its first input must be {body[0].inputs[0]}"
    read = {name for step in body for name in step.inputs}
    for step in body:
        if step.output not in read and step.output not in op.outputs:
            yield f"nobody reads {step.output}"


def _producer_table(op: Op, graph: Graph) -> Broken:
    """PRODUCER_TABLE: CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED, then one function of an int8 value, over the whole output.

    The function's output is the only one. Scales and clamps are free: the table is made of the producer's clamped values.
    """
    body = _body(op)
    if len(body) != 2 or body[0].kind not in PRODUCERS or body[1].kind not in TABLE_KINDS:
        yield "its body must be a convolution or FULLY_CONNECTED, then a function of one value"
        return
    if body[1].inputs != (body[0].output,):
        yield "the table must read the producer's output"
    yield from _outputs(op, body[1].output)
    if body[0].kind is not OpKind.FULLY_CONNECTED:
        yield from _one_picture(body[0].inputs[0], graph)


def _mean_variance(op: Op, graph: Graph) -> Broken:
    """MEAN_VARIANCE: MEAN, SQUARED_DIFFERENCE of the map and its mean, MEAN of that.

    The map is [1, H, W, C], both means are over height and width and keep their dimensions: the kernel sums all pixels of a
    channel. The difference is of the map (first) and its mean (second). Mean and variance are both outputs, the squares are not.
    """
    body = _body(op)
    if _kinds(body) != (OpKind.MEAN, OpKind.SQUARED_DIFFERENCE, OpKind.MEAN):
        yield "its body must be MEAN, SQUARED_DIFFERENCE, MEAN"
        return
    mean, square, variance = body
    yield from _one_picture(mean.inputs[0], graph)
    for step in (mean, variance):
        if step.attrs != ReduceAttrs((1, 2), keep_dims=True):
            yield f"{step.output} must be a mean over height and width that keeps its dimensions"
    if square.inputs != (mean.inputs[0], mean.output):
        yield "the difference must be of the map and its mean, in this order"
    if variance.inputs != (square.output,):
        yield "the second MEAN must read the squares"
    yield from _outputs(op, mean.output, variance.output)


def _mdw_max(op: Op, graph: Graph) -> Broken:
    """MDW_MAX: DEPTHWISE_CONV_2D, RESHAPE, REDUCE_MAX, RESHAPE; the maximum over all filters of one channel, and only over these.

    The map is [1, H, W, C], the maximum has as many heads as the depth multiplier. A clamp and any scales are free: the
    requantization never decreases, and one serves all heads of the output.
    """
    body = _body(op)
    if body[0].kind is not OpKind.DEPTHWISE_CONV_2D:
        yield "its body must begin with DEPTHWISE_CONV_2D"
        return
    yield from _one_picture(body[0].inputs[0], graph)
    yield from _max_out(op, graph)
    attrs = body[0].attrs
    heads = graph.tensor(body[1].output).shape[-1]
    if not isinstance(attrs, ConvAttrs) or attrs.depth_multiplier != heads:
        yield f"the maximum over {heads} must be over all filters of a channel"


def _mul_max(op: Op, graph: Graph) -> Broken:
    """MUL_MAX: MUL by a coefficient for each channel, RESHAPE, REDUCE_MAX over the heads, RESHAPE.

    Any number of heads that lie side by side in the channels. Clamps and scales are free: the product's requantization never
    decreases, and one serves all heads.
    """
    body = _body(op)
    yield from _channel_scale(body[0], graph)
    yield from _max_out(op, graph)


def _shift_max(op: Op, graph: Graph) -> Broken:
    """SHIFT_MAX: GATHER of a map's channels; once or twice MUL of the map, MUL of the gathered map and ADD; of two sums, MAXIMUM.

    The map is [1, H, W, C] and has as many channels as are gathered, with the same scale and zero point. Each MUL is by a
    computed coefficient for each channel. The order of an ADD's and of the MAXIMUM's operands is free. Only the last step's
    tensor is an output.
    """
    body = _body(op)
    one_sum = (OpKind.MUL, OpKind.MUL, OpKind.ADD)
    kinds = _kinds(body)
    if kinds not in ((OpKind.GATHER, *one_sum), (OpKind.GATHER, *one_sum, *one_sum, OpKind.MAXIMUM)):
        yield "its body must be GATHER, then MUL, MUL, ADD once, or twice and MAXIMUM"
        return
    gather = body[0]
    source, gathered = gather.inputs[0], gather.output
    yield from _one_picture(source, graph)
    attrs, channels = gather.attrs, graph.tensor(source).shape[3]
    if not isinstance(attrs, GatherAttrs) or attrs.axis != 3 or len(attrs.indices) != channels:
        yield "GATHER must give as many channels as its map has"
    yield from _same_quantization(source, gathered, graph)
    for own, shifted, add in (body[i : i + 3] for i in range(1, len(body) - 1, 3)):
        for mul, maps in ((own, source), (shifted, gathered)):
            yield from _channel_scale(mul, graph)
            if mul.inputs[0] != maps:
                yield f"{mul.output} must be a product of {maps}"
        if sorted(add.inputs) != sorted((own.output, shifted.output)):
            yield f"{add.output} must be the sum of the two products before it"
    if len(body) > 4 and sorted(body[7].inputs) != sorted((body[3].output, body[6].output)):
        yield "MAXIMUM must be of the two sums"
    yield from _outputs(op, body[-1].output)


def _depthwise_pair(op: Op, graph: Graph) -> Broken:
    """DEPTHWISE_PAIR: two DEPTHWISE_CONV_2D over one map [1, H, W, C], with the same window, padding, and clamp.

    Filters, scales, zero points and depth multipliers are each one's own. Both results are outputs.
    """
    body = _body(op)
    if _kinds(body) != (OpKind.DEPTHWISE_CONV_2D, OpKind.DEPTHWISE_CONV_2D):
        yield "its body must be two DEPTHWISE_CONV_2D"
        return
    first, second = body
    yield from _one_picture(first.inputs[0], graph)
    if first.inputs[0] != second.inputs[0]:
        yield "both must read the same map"
    assert isinstance(first.attrs, ConvAttrs)
    assert isinstance(second.attrs, ConvAttrs)
    if first.attrs.window != second.attrs.window:
        yield "both must have the same window and padding"
    clamps = [(attrs.activation_min, attrs.activation_max) for attrs in (first.attrs, second.attrs)]
    if clamps[0] != clamps[1]:
        yield "both must have the same clamp"
    yield from _outputs(op, first.output, second.output)


def _mul_depthwise(op: Op, graph: Graph) -> Broken:
    """MUL_DEPTHWISE: MUL of a map [1, H, W, C] by a coefficient for each channel, then a DEPTHWISE_CONV_2D over the product.

    Clamps and scales are free; the padding is the product's zero point.
    """
    body = _body(op)
    if _kinds(body) != (OpKind.MUL, OpKind.DEPTHWISE_CONV_2D):
        yield "its body must be MUL, DEPTHWISE_CONV_2D"
        return
    mul, conv = body
    yield from _channel_scale(mul, graph)
    yield from _one_picture(mul.inputs[0], graph)
    if conv.inputs[0] != mul.output:
        yield "the convolution must be over the product"
    yield from _outputs(op, conv.output)


def _mul_add(op: Op, graph: Graph) -> Broken:
    """MUL_ADD: MUL of maps by a coefficient for each channel, then ADD of one other activation of the same shape.

    The order of the ADD's operands is free, clamps and scales too; the other map may be the one that was multiplied.
    """
    body = _body(op)
    if _kinds(body) != (OpKind.MUL, OpKind.ADD):
        yield "its body must be MUL, ADD"
        return
    mul, add = body
    yield from _channel_scale(mul, graph)
    others = [name for name in add.inputs if name != mul.output]
    if len(others) != 1 or len(add.inputs) != 2:
        yield "the sum must be of the product and one other map"
        return
    other = graph.tensor(others[0])
    if other.is_constant or other.shape != graph.tensor(mul.output).shape:
        yield f"{other.name} must be an activation of the product's shape"
    yield from _outputs(op, add.output)


CONTRACTS: Mapping[FusedPattern, Callable[[Op, Graph], Broken]] = {
    FusedPattern.PRODUCER_TABLE: _producer_table,
    FusedPattern.MEAN_VARIANCE: _mean_variance,
    FusedPattern.MDW_MAX: _mdw_max,
    FusedPattern.MUL_MAX: _mul_max,
    FusedPattern.SHIFT_MAX: _shift_max,
    FusedPattern.DEPTHWISE_PAIR: _depthwise_pair,
    FusedPattern.MUL_DEPTHWISE: _mul_depthwise,
    FusedPattern.MUL_ADD: _mul_add,
}


def broken_fold(pad: Op, reader: Op, graph: Graph) -> str | None:
    """The first thing that keeps a PAD from becoming the window's padding of an operator that reads it, None when nothing does.

    A convolution fills with its input's zero point, so the PAD must fill with that (its output has its input's quantization) and
    pad only height and width, by 0 or more. A pool is never told of padding by a PAD: it does not count padded positions.
    """
    return next(_fold(pad, reader, graph), None)


def _fold(pad: Op, reader: Op, graph: Graph) -> Broken:
    attrs = pad.attrs
    if not isinstance(attrs, PadAttrs) or len(attrs.before) != 4:
        yield "only a PAD of [N, H, W, C]"
        return
    if any((attrs.before[0], attrs.after[0], attrs.before[3], attrs.after[3])):
        yield "only height and width may be padded"
    if min(*attrs.before, *attrs.after) < 0:
        yield "a PAD that cuts off is not padding"
    yield from _same_quantization(pad.inputs[0], pad.output, graph)
    if reader.kind not in (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D) or reader.inputs[0] != pad.output:
        yield "only a convolution fills its padding with the zero point"


def _body(op: Op) -> tuple[Op, ...]:
    assert isinstance(op.attrs, FusedAttrs)
    return op.attrs.body


def _kinds(body: Sequence[Op]) -> tuple[OpKind, ...]:
    return tuple(step.kind for step in body)


def _outputs(op: Op, *expected: str) -> Broken:
    """The outputs are these: what else the body writes is never stored, and each of these is."""
    if op.outputs != expected:
        yield f"its outputs must be {', '.join(expected)}, not {', '.join(op.outputs) or 'none'}"


def _one_picture(name: str, graph: Graph) -> Broken:
    tensor = graph.tensor(name)
    if len(tensor.shape) != 4 or tensor.shape[0] != 1 or tensor.is_constant:
        yield f"{name} must be an activation [1, height, width, channels]"


def _same_quantization(one: str, other: str, graph: Graph) -> Broken:
    pairs = [(t.scale, t.zero_point) for t in (graph.tensor(one), graph.tensor(other))]
    if pairs[0] != pairs[1]:
        yield f"{one} and {other} must have the same scale and zero point"


def _channel_scale(op: Op, graph: Graph) -> Broken:
    """MUL of maps [N, H, W, C] (first) by one computed coefficient for each channel, [1, 1, 1, C] (second), two tensors."""
    if op.kind is not OpKind.MUL or len(op.inputs) != 2:
        yield f"{op.output} must be a MUL"
        return
    maps, coefficients = (graph.tensor(name) for name in op.inputs)
    if len(maps.shape) != 4 or coefficients.shape != (1, 1, 1, maps.shape[3]) or maps is coefficients:
        yield f"{op.output} must be a map times one coefficient for each channel, [1, 1, 1, channels]"
    if maps.is_constant or coefficients.is_constant:
        yield f"{op.output} must be a product of two activations"


def _max_out(op: Op, graph: Graph) -> Broken:
    """[N, H, W, C*h] -> [.., C, h] -> maximum over h -> [N, H, W, C], and only the last is an output."""
    body = _body(op)
    if _kinds(body[1:]) != (OpKind.RESHAPE, OpKind.REDUCE_MAX, OpKind.RESHAPE):
        yield "its body must end with RESHAPE, REDUCE_MAX, RESHAPE"
        return
    if any(later.inputs != (earlier.output,) for earlier, later in pairwise(body)):
        yield "each step of Max-out must read the one before it"
    maps, split, _, result = (graph.tensor(step.output).shape for step in body)
    if len(maps) != 4 or len(split) < 2 or split[-2] * split[-1] != maps[3]:
        yield "the heads must be split off the channels, as the last axis"
        return
    reduce = body[2].attrs
    if not isinstance(reduce, ReduceAttrs) or reduce.axes != (len(split) - 1,):
        yield "the maximum must be over the heads, the last axis, alone"
    if result != (*maps[:3], split[-2]):
        yield "the result must be the map with one channel for all its heads"
    yield from _outputs(op, body[3].output)
