"""What the compiler accepts of TFLite's operators: one function a constraint.

A constraint's docstring is the rule, the message when it fails, and its line in SUPPORTED_OPS.md. All failures of a model are
collected before one error is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from . import fixed_point
from .activations import ACTIVATIONS, ALTERNATIVES, FUSED_CLAMPS, INT32, Rule, largest_value, unit_output
from .lstm import cell_exponent
from .reading.constant_arithmetic import FOLDED
from .reading.file_model import FileOp, FileTensor
from .reading.float_ends import LEFT_TO_CALLER, MOVES
from .reading.operands import SIGNATURES, unsupported_operands
from .reading.reshape_kinds import MOVES_NOTHING
from .reading.schema import FUSED_ACTIVATIONS, ElementType
from .reading.splits import SPLITS
from .reading.variables import RESOLVED
from .verify_graph import same_quantization

TANH = 4  # the schema's code of the fused activation

Constraint = Callable[[FileOp], bool]


def known_activation(op: FileOp) -> bool:
    """The fused activation is NONE, RELU, RELU6 or RELU_N1_TO_1."""
    return op.options["fused_activation"] in range(len(FUSED_ACTIVATIONS))


def no_activation(op: FileOp) -> bool:
    """There is no fused activation."""
    return op.options["fused_activation"] == 0


def bounds_in_int32(op: FileOp) -> bool:
    """The bound of RELU6 or RELU_N1_TO_1 over the output's scale is inside int32; beyond, LiteRT refuses or wraps around."""
    return not known_activation(op) or FUSED_CLAMPS[_fused(op)].is_in_int32(op.output.scale)


def batch_of_one(op: FileOp) -> bool:
    """The input is [1, height, width, channels]."""
    return op.input(0).shape[0] == 1


def symmetric_weights(op: FileOp) -> bool:
    """The weights' zero points are 0."""
    quantization = op.input(1).quantization
    return quantization is not None and not any(quantization.zero_points)


def bias_of_each_channel(op: FileOp) -> bool:
    """The bias, if any, has one value for each output channel."""
    bias = op.optional(2)
    return bias is None or bias.num_elements == op.input(1).shape[_channel_axis(op)]


def bias_without_zero_point(op: FileOp) -> bool:
    """The bias's zero points, if it has any, are 0; LiteRT refuses others."""
    bias = op.optional(2)
    return bias is None or bias.quantization is None or not any(bias.quantization.zero_points)


def whole_groups(op: FileOp) -> bool:
    """The weights' input channels go into the input's without rest; the output channels divide into as many groups."""
    channels, weights = op.input(0).shape[-1], op.input(1).shape
    return channels % weights[-1] == 0 and weights[0] % (channels // weights[-1]) == 0


def plain_weights_format(op: FileOp) -> bool:
    """The weights are stored in the default format, not shuffled."""
    return op.options["weights_format"] == 0


def same_scales(op: FileOp) -> bool:
    """Every int8 input has the output's zero point and, to one step of float32, its scale."""
    return all(same_quantization(t.quantization, op.output.quantization) for t in _int8_inputs(op))


def exactly_same_scales(op: FileOp) -> bool:
    """Every int8 input has exactly the output's scale and zero point; LiteRT refuses anything else."""
    return all((t.scale, t.zero_point) == (op.output.scale, op.output.zero_point) for t in _int8_inputs(op))


def output_scale_above_square(op: FileOp) -> bool:
    """The output's scale is above (2 max(s1, s2))^2 / 2^14; below it LiteRT aborts the process."""
    twice = 2.0 * max(op.input(0).scale, op.input(1).scale)
    return op.output.scale > twice * twice / (1 << 14)


def output_scale_above_sum(op: FileOp) -> bool:
    """The output's scale is above max(s1, s2) / 2^19; from there on LiteRT aborts the process (ADD) or computes garbage (SUB)."""
    return 2.0 * max(op.input(0).scale, op.input(1).scale) < (1 << 20) * op.output.scale


def no_wrap_of_sums(op: FileOp) -> bool:
    """Each channel's largest sum, shifted left where its multiplier is 1 or more, stays in int32; beyond, LiteRT wraps around."""
    largest, scales = _largest_sums(op)
    factors = [fixed_point.convolution_multiplier(op.input(0).scale, scale, op.output.scale) for scale in scales]
    return all(total << max(factor.shift, 0) < INT32 for total, factor in zip(largest, factors, strict=True))


def no_wrap_of_scaled_sums(op: FileOp) -> bool:
    """Each channel's largest sum, and that sum on the output's scale, stay inside int32; beyond, LiteRT wraps around."""
    largest, scales = _largest_sums(op)
    factors = [fixed_point.convolution_factor(op.input(0).scale, scale, op.output.scale) for scale in scales]
    return all(total < INT32 and total * factor < INT32 - 256 for total, factor in zip(largest, factors, strict=True))


def no_wrap_of_products(op: FileOp) -> bool:
    """The largest product, shifted left where the multiplier is 1 or more, stays inside int32; beyond, LiteRT wraps around."""
    factor = fixed_point.mul_multiplier(op.input(0).scale, op.input(1).scale, op.output.scale)
    return (largest_value(op.input(0)) * largest_value(op.input(1))) << max(factor.shift, 0) < INT32


def no_wrap_of_means(op: FileOp) -> bool:
    """Where the multiplier is 1 or more, the largest sum shifted left stays inside int32; beyond, LiteRT wraps around."""
    count = max(1, op.input(0).num_elements // op.output.num_elements)
    factor = fixed_point.mean_multiplier(op.input(0).scale, op.output.scale, count)
    return factor.shift <= 0 or (largest_value(op.input(0)) * count) << factor.shift < INT32


def softmax_scale(op: FileOp) -> bool:
    """The input's scale times beta is above 2^-26; below it LiteRT aborts the process."""
    return float(np.float32(op.options["beta"])) * op.input(0).scale * (1 << 26) > 1


def softmax_row(op: FileOp) -> bool:
    """A row has at most 4,095 elements, so that the sum of its exponentials stays inside int32."""
    shape = op.input(0).shape
    return len(shape) > 0 and shape[-1] <= fixed_point.SOFTMAX_MAX_DEPTH


def no_batch_dims(op: FileOp) -> bool:
    """There are no batch dimensions, and the indices are a list."""
    return op.options["batch_dims"] == 0 and len(op.input(1).shape) == 1


def no_ellipsis(op: FileOp) -> bool:
    """Masks for ellipsis and new axes, and the offset flag, are not set."""
    return not (op.options["ellipsis_mask"] or op.options["new_axis_mask"] or op.options["offset"])


def one_sequence(op: FileOp) -> bool:
    """The data are [1, time, channels], or [time, 1, channels] where time comes first."""
    return op.input(0).shape[1 if op.options["time_major"] else 0] == 1


def plain_lstm(op: FileOp) -> bool:
    """The fused activation is TANH, no weights are diagonal, and no clip is negative; LiteRT ignores the first two."""
    clips = all(0 <= op.options[name] < np.inf for name in ("cell_clip", "proj_clip"))
    return op.options["fused_activation"] == TANH and not op.options["diagonal"] and clips


def symmetric_gates(op: FileOp) -> bool:
    """The weights' zero points are 0, those of peepholes, projection and normalization too; LiteRT ignores others."""
    return all(tensor is None or tensor.zero_point == 0 for tensor in (*op.inputs[3:11], *op.inputs[15:19], *op.inputs[20:24]))


def cell_scale(op: FileOp) -> bool:
    """The cell state's scale is a power of two, 2^-15 to 2^-9, its zero point 0; with others LiteRT computes something else."""
    return cell_exponent(op.input(2).scale) is not None and op.input(2).zero_point == 0


def hidden_scales(op: FileOp) -> bool:
    """The output has the hidden state's scale and zero point; the last intermediate a zero point of int8, a scale over 2^-30."""
    state = op.input(1)
    same = (op.output.scale, op.output.zero_point) == (state.scale, state.zero_point)
    return same and op.options["hidden_scale"] > 2.0**-30 and -128 <= op.options["hidden_zero_point"] <= 127


def no_wrap_of_gates(op: FileOp) -> bool:
    """Each gate's sums of 256 |weight| and |bias|, shifted left where their multiplier is 1 or more, stay inside int32."""
    return all(_gate_reach(op, gate) < INT32 for gate in range(4) if op.optional(3 + gate) is not None)


def no_wrap_of_cells(op: FileOp) -> bool:
    """The products of peepholes, and a projection's sums of 256 |weight| and |bias|, stay inside int32 likewise."""
    cell, weights, bias = op.input(2), op.optional(18), op.optional(19)
    for gate, peephole in zip((0, 1, 3), op.inputs[15:18], strict=True):
        if peephole is not None:
            shift = fixed_point.lstm_peephole_multiplier(cell.scale, peephole.scale, float(op.options[f"gate_scale{gate}"])).shift
            if int(np.abs(peephole.constant().astype(np.int64)).max()) << 15 + max(shift, 0) >= INT32:
                return False
    if weights is None:
        return True
    sums = int(np.abs(weights.constant().astype(np.int64)).sum(axis=1).max()) * 256
    sums += 0 if bias is None else int(np.abs(bias.constant().astype(np.int64)).max())
    shift = fixed_point.mul_multiplier(weights.scale, float(op.options["hidden_scale"]), op.input(1).scale).shift
    return sums << max(shift, 0) < INT32


def small_normalization(op: FileOp) -> bool:
    """Scales of normalization are from 2^-30 to 2^-12, those of the gates before it from 2^-30 to 1, of fewer than 2^15 cells."""
    gates = [i for i in range(4) if op.optional(20 + i) is not None]
    scales = all(2.0**-30 < op.input(20 + i).scale < 2.0**-12 for i in gates)
    before = all(2.0**-30 < op.options[f"gate_scale{i}"] < 1 for i in gates)
    return scales and before and op.input(2).num_elements < 1 << 15


def _gate_reach(op: FileOp, gate: int) -> int:
    reach = 0
    bias = int(np.abs(op.input(11 + gate).constant().astype(np.int64)).max())
    for operand, weights, added in ((op.input(0), op.input(3 + gate), bias), (op.input(1), op.input(7 + gate), 0)):
        sums = int(np.abs(weights.constant().astype(np.int64)).sum(axis=1).max()) * 256 + added
        shift = fixed_point.lstm_gate_multiplier(operand.scale, weights.scale, float(op.options[f"gate_scale{gate}"])).shift
        reach = max(reach, sums << max(shift, 0))
    return reach


def filters_of_rank(op: FileOp) -> bool:
    """The rank divides the number of filters, and there is one row of data."""
    rank = op.options["rank"]
    return rank > 0 and op.input(3).shape[0] % rank == 0 and op.input(0).shape[0] == 1


def named_relu(op: FileOp) -> bool:
    """The fused activation is RELU, without which LiteRT does not run it; it applies none."""
    return _fused(op) == "RELU"


def symmetric_memory(op: FileOp) -> bool:
    """The zero points of the state and of all weights are 0; LiteRT ignores others."""
    return all(op.input(i).zero_point == 0 for i in (1, 2, 3))


def no_wrap_of_newest(op: FileOp) -> bool:
    """The data's sums of 256 |weight|, shifted left where their multiplier is 1 or more, stay inside int32."""
    sums = int(np.abs(op.input(2).constant().astype(np.int64)).sum(axis=1).max()) * 256
    factor = fixed_point.svdf_newest_multiplier(op.input(0).scale, op.input(2).scale, op.input(1).scale)
    return sums << max(factor.shift, 0) < INT32


def small_memory_factor(op: FileOp) -> bool:
    """The scales of state and memory's weights together are below the output's; sums wrap around at int32, as LiteRT's do."""
    return fixed_point.svdf_output_multiplier(op.input(1).scale, op.input(3).scale, op.output.scale).shift <= 0


def _between_ends(rule: Rule) -> Constraint:
    """The rule of an activation, for its operator in a file."""

    def holds(op: FileOp) -> bool:
        activation = ACTIVATIONS.get(op.opcode)
        return rule(op.input(0), op.output, *(activation.values(op.options) if activation else ()))

    holds.__doc__ = rule.__doc__
    return holds


def _fused(op: FileOp) -> str:
    """The name of a known fused activation."""
    return FUSED_ACTIVATIONS[int(op.options["fused_activation"])]


def _int8_inputs(op: FileOp) -> list[FileTensor]:
    return [t for t in op.inputs if t is not None and t.type is ElementType.INT8]


def _channel_axis(op: FileOp) -> int:
    return 3 if op.opcode == "DEPTHWISE_CONV_2D" else 0


def _largest_sums(op: FileOp) -> tuple[list[int], list[float]]:
    """The largest |accumulator| of each output channel that any int8 input can produce, and the channels' weight scales.

    A bias of another length than there are channels breaks a rule of its own and is not added.
    """
    weights, bias, zero_point = op.input(1), op.optional(2), op.input(0).zero_point
    rows = np.moveaxis(weights.constant(), _channel_axis(op), 0).reshape(weights.shape[_channel_axis(op)], -1)
    positive = np.maximum(rows, 0).sum(axis=1, dtype=np.int64)
    negative = positive - rows.sum(axis=1, dtype=np.int64)
    added = np.zeros(1, np.int64)
    if bias is not None and bias_of_each_channel(op):
        added = bias.constant().astype(np.int64).reshape(-1)
    above, below = 127 - zero_point, 128 + zero_point
    highest, lowest = positive * above + negative * below + added, positive * below + negative * above - added
    largest = np.maximum(np.abs(highest), np.abs(lowest))
    assert weights.quantization is not None
    scales = weights.quantization.scales
    return [int(v) for v in largest], list(scales if len(scales) > 1 else scales * len(largest))


_CLAMPED = (known_activation, bounds_in_int32)
_CONV = (*_CLAMPED, batch_of_one, symmetric_weights, bias_of_each_channel, bias_without_zero_point)
_POOL = (*_CLAMPED, batch_of_one, same_scales)

SUPPORTED: Mapping[str, tuple[Constraint, ...]] = {
    "ADD": (*_CLAMPED, output_scale_above_sum),
    "ASSIGN_VARIABLE": (exactly_same_scales,),
    "AVERAGE_POOL_2D": _POOL,
    "CONCATENATION": (no_activation, exactly_same_scales),
    "CONV_2D": (*_CONV, whole_groups, no_wrap_of_sums),
    "DEPTHWISE_CONV_2D": (*_CONV, no_wrap_of_sums),
    "FULLY_CONNECTED": (*_CLAMPED, symmetric_weights, bias_of_each_channel, plain_weights_format, no_wrap_of_scaled_sums),
    "GATHER": (same_scales, no_batch_dims),
    "MAXIMUM": (same_scales,),
    "MAX_POOL_2D": _POOL,
    "MEAN": (no_wrap_of_means,),
    "MUL": (*_CLAMPED, no_wrap_of_products),
    "PAD": (same_scales,),
    "REDUCE_MAX": (exactly_same_scales,),
    "RESHAPE": (same_scales,),
    "SLICE": (same_scales,),
    "SOFTMAX": (_between_ends(unit_output), softmax_scale, softmax_row),
    "SQUARED_DIFFERENCE": (output_scale_above_square,),
    "STRIDED_SLICE": (same_scales, no_ellipsis),
    "SUB": (*_CLAMPED, output_scale_above_sum),
    "SVDF": (filters_of_rank, named_relu, symmetric_memory, no_wrap_of_newest, small_memory_factor),
    "TRANSPOSE": (same_scales,),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        one_sequence,
        plain_lstm,
        symmetric_gates,
        cell_scale,
        hidden_scales,
        no_wrap_of_gates,
        no_wrap_of_cells,
        small_normalization,
    ),
    **{name: tuple(map(_between_ends, activation.rules)) for name, activation in ACTIVATIONS.items()},
}

_NO_STATE = "of recurrent layers UNIDIRECTIONAL_SEQUENCE_LSTM and SVDF are compiled, and convolutions over time (CONV_2D)"
_NO_FLOW = "control flow is not compiled; unroll it before conversion"

NEAREST: Mapping[str, str] = {
    **ALTERNATIVES,
    "MINIMUM": "use MAXIMUM of the negated values or RELU6",
    "SUM": "use MEAN and fold the count into the next layer's weights",
    "DIV": "use MUL by a reciprocal",
    "BATCH_MATMUL": "use FULLY_CONNECTED with constant weights",
    "TRANSPOSE_CONV": "use CONV_2D",
    "RESIZE_BILINEAR": "use a stride in the network instead",
    "RESIZE_NEAREST_NEIGHBOR": "use a stride in the network instead",
    "SPLIT": "use SLICE",
    "SPLIT_V": "use SLICE",
    "PACK": "use CONCATENATION",
    "SQUEEZE": "use RESHAPE",
    "EXPAND_DIMS": "use RESHAPE",
    "PADV2": "use PAD",
    "MIRROR_PAD": "use PAD",
    "REDUCE_MIN": "use REDUCE_MAX of the negated values",
    "SQUARE": "use MUL of the tensor with itself",
    "BIDIRECTIONAL_SEQUENCE_LSTM": _NO_STATE,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _NO_STATE,
    "BIDIRECTIONAL_SEQUENCE_RNN": _NO_STATE,
    "LSTM": _NO_STATE,
    "RNN": _NO_STATE,
    "WHILE": _NO_FLOW,
    "IF": _NO_FLOW,
    "CALL": _NO_FLOW,
    "FAKE_QUANT": "left over from quantization-aware training; convert the trained network to int8 so that it becomes scales",
    "DENSIFY": "store the weights dense",
    "LOG_SOFTMAX": "use SOFTMAX, or leave it to the caller",
    "ARG_MAX": "leave it to the caller",
    "ARG_MIN": "leave it to the caller",
    "TOPK_V2": "leave it to the caller",
}
_NEAREST_CUSTOM: tuple[tuple[str, str], ...] = (
    ("CUSTOM 'ethos-u'", "compiled by Vela for an Ethos-U; give the file from before Vela"),
    ("CUSTOM 'edgetpu", "compiled for an Edge TPU; give the file from before edgetpu_compiler"),
    ("CUSTOM 'Flex", "an operator of TensorFlow itself; convert without SELECT_TF_OPS"),
    ("CUSTOM 'TFLite_Detection_PostProcess'", "leave it to the caller: cut the network before it"),
    ("CUSTOM", "custom operators have no kernel; express it with TFLite's own"),
)


def has_kernel(op: FileOp) -> bool:
    """Whether the operator's kind is compiled at all."""
    return op.opcode in SUPPORTED


def problems(op: FileOp) -> list[str]:
    """What keeps an operator from being compiled, each as one phrase with its place; empty when nothing does.

    The operator is not malformed. The rules are asked only when its operands are what they must be: they rely on them.
    """
    if not has_kernel(op):
        return [f"{op.label} has no kernel{_advice(op.opcode)}"]
    wrong = unsupported_operands(op)
    if wrong:
        return [f"{op.label}: {phrase}" for phrase in wrong]
    return [f"{op.label}: not true: {(rule.__doc__ or '').strip().rstrip('.')}" for rule in SUPPORTED[op.opcode] if not rule(op)]


def _advice(opcode: str) -> str:
    advice = NEAREST.get(opcode) or next((text for start, text in _NEAREST_CUSTOM if opcode.startswith(start)), None)
    return f" ({advice})" if advice else ""


def as_markdown() -> str:
    """SUPPORTED_OPS.md: every operator with its operands and rules."""
    lines = [
        "# Supported operators",
        "",
        "Made by `make docs` from `codegen/supported_ops.py`; `flynet-tiny compile` checks these rules.",
        "They are asked of a file whose int4 weights are int8 already: the C keeps a byte for each.",
        "",
    ]
    for opcode, constraints in sorted(SUPPORTED.items()):
        if opcode in RESOLVED:
            continue
        lines += [f"## {opcode}", "", *(f"- {line}" for line in SIGNATURES[opcode].as_lines())]
        lines += [*(f"- {(c.__doc__ or '').strip()}" for c in constraints), ""]
    return "\n".join([*lines, *_rewritten_as_lines()])


def _rewritten_as_lines() -> list[str]:
    """What converters write besides these operators, and what becomes of it before the rules are asked."""

    def listed(opcodes: Iterable[str]) -> str:
        return ", ".join(sorted(opcodes))

    return [
        "## Rewritten before these rules",
        "",
        f"- Resolved: {listed(RESOLVED)}. A variable is int8, and has one shape, scale and zero point at every READ_VARIABLE and "
        "ASSIGN_VARIABLE; its start value is a constant that CALL_ONCE assigns before anything else uses it, and what the C has "
        "behind `<name>_init` and `<name>_reset`.",
        f"- Computed, where every operand is constant (SHAPE and RANK of any tensor are): {listed(FOLDED)}.",
        f"- A RESHAPE, where it moves nothing: {listed(MOVES_NOTHING)}.",
        f"- A SLICE for each output, where axis and sizes are constant int32: {listed(SPLITS)}.",
        "- A dilated convolution: SPACE_TO_BATCH_ND, convolutions of stride 1 without padding, with elementwise operators "
        "and axes of size 1 between, BATCH_TO_SPACE_ND.",
        "- Scale and zero point in the header: the QUANTIZE behind a float32 input, the DEQUANTIZE before a float32 output, "
        f"and the moves between the end and them ({listed(MOVES)}).",
        "- A uint8 tensor at an end, or between QUANTIZEs and such moves, is int8 with a zero point 128 below: QUANTIZE between "
        "int8 and uint8 is a QUANTIZE of int8, or nothing where the scales are equal.",
        f"- Left to the caller, where it computes no int8 output: {listed(LEFT_TO_CALLER)} at the end.",
        "- Constant int64 indices, axes, shapes and paddings are int32; biases of any shape are flat; weights have their scales "
        "along the output channels, whatever axis the file names.",
        "- Outputs may be inputs, constants, inner tensors, or one tensor twice. Inputs that nothing reads keep their place, "
        "float ones are left out.",
        "",
    ]
