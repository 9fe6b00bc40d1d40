"""What the compiler accepts of TFLite's operators: one function a constraint.

A constraint's docstring is the rule, the message when it fails, and its line in SUPPORTED_OPS.md. All failures of a model are
collected before one error is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from . import fixed_point
from .activations import ACTIVATIONS, ALTERNATIVES, FUSED_CLAMPS, INT32, Rule, unit_output
from .activations_16 import MOST_SOFTMAX_16, SLOPED, UNIT_SCALE_16, knot_input, slopes, softmax_multiplier_16
from .lstm import cell_exponent
from .reading.compose import COMPOSED, composed_shape
from .reading.constant_arithmetic import FOLDED
from .reading.file_model import FileOp, FileTensor
from .reading.float_ends import LEFT_TO_CALLER, MOVES
from .reading.operands import MAX_INDICES, SIGNATURES, SIGNATURES_16, is_on_int16, shifts_of, unsupported_operands
from .reading.reshape_kinds import MOVES_NOTHING
from .reading.schema import FUSED_ACTIVATIONS, ElementType
from .reading.splits import SPLITS
from .reading.variables import RESOLVED
from .verify_graph import MAX_NORMALIZED, same_quantization

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
    """Every quantized input has the output's zero point and, to one step of float32, its scale."""
    return all(same_quantization(t.quantization, op.output.quantization) for t in _quantized_inputs(op))


def exactly_same_scales(op: FileOp) -> bool:
    """Every quantized input has exactly the output's scale and zero point; LiteRT refuses others, or ignores them in int16."""
    return all((t.scale, t.zero_point) == (op.output.scale, op.output.zero_point) for t in _quantized_inputs(op))


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
    return (_largest(op.input(0)) * _largest(op.input(1))) << max(factor.shift, 0) < INT32


def no_wrap_of_means(op: FileOp) -> bool:
    """Where the multiplier is 1 or more, the largest sum shifted left stays inside int32; beyond, LiteRT wraps around."""
    count = max(1, op.input(0).num_elements // op.output.num_elements)
    factor = fixed_point.mean_multiplier(op.input(0).scale, op.output.scale, count)
    return factor.shift <= 0 or (_largest(op.input(0)) * count) << factor.shift < INT32


def softmax_scale(op: FileOp) -> bool:
    """The input's scale times beta is above 2^-26; below it LiteRT aborts the process."""
    return float(np.float32(op.options["beta"])) * op.input(0).scale * (1 << 26) > 1


def softmax_row(op: FileOp) -> bool:
    """A row has at most 4,095 elements, so that the sum of its exponentials stays inside int32."""
    shape = op.input(0).shape
    return len(shape) > 0 and shape[-1] <= fixed_point.SOFTMAX_MAX_DEPTH


def one_divisor(op: FileOp) -> bool:
    """The divisor is one value that is not 0."""
    divisor = op.input(1)
    return divisor.num_elements == 1 and int(divisor.constant().reshape(-1)[0]) != divisor.zero_point


def defined_shifts(op: FileOp) -> bool:
    """s1 / (s2 * output scale) is at least half of the stored divisor less its zero point; else LiteRT's shifts are wild."""
    if not one_divisor(op):
        return True
    divisor = abs(int(op.input(1).constant().reshape(-1)[0]) - op.input(1).zero_point)
    factor = fixed_point.division_multiplier(op.input(0).scale, op.input(1).scale, op.output.scale)
    return divisor.bit_length() - 1 <= factor.shift < 30


def alpha_of_the_data(op: FileOp) -> bool:
    """alpha broadcasts to the data's shape."""
    shape, alpha = op.input(0).shape, op.input(1).shape
    return len(alpha) <= len(shape) and all(a in (1, d) for a, d in zip(alpha[::-1], shape[::-1], strict=False))


def no_wrap_of_prelu(op: FileOp) -> bool:
    """The largest value, and the largest product with alpha, shifted left as their multipliers want it, stay inside int32."""
    alpha = op.input(1).constant().astype(np.int64) - op.input(1).zero_point
    above, below = fixed_point.prelu_multipliers(op.input(0).scale, op.input(1).scale, op.output.scale)
    largest = _largest(op.input(0))
    return all(
        value << max(factor.shift, 0) < INT32 for value, factor in ((largest, above), (largest * int(np.abs(alpha).max()), below))
    )


def no_wrap_of_matrices(op: FileOp) -> bool:
    """The largest sum of products, shifted left where the multiplier is 1 or more, stays inside int32; LiteRT wraps around."""
    factor = fixed_point.matmul_multiplier(op.input(0).scale, op.input(1).scale, op.output.scale)
    depth = op.input(0).shape[-2 if op.options["adj_x"] else -1] if len(op.input(0).shape) > 1 else 1
    return (depth * _largest(op.input(0)) * _largest(op.input(1))) << max(factor.shift, 0) < INT32


def matrices(op: FileOp) -> bool:
    """Both operands have rank 2 to 5."""
    return all(2 <= len(op.input(i).shape) <= 5 for i in (0, 1))


def normalized_output(op: FileOp) -> bool:
    """The output's scale is 1/128 and its zero point 0; LiteRT refuses others."""
    return (op.output.scale, op.output.zero_point) == (1 / 128, 0)


def normalized_row(op: FileOp) -> bool:
    """A row has at most 8,192 elements."""
    return 0 < op.input(0).shape[-1] <= MAX_NORMALIZED if op.input(0).shape else False


def inside_the_map(op: FileOp) -> bool:
    """The output is of the size that is asked for, and made of elements of the input; of some sizes LiteRT reads past its end."""
    sizes = tuple(int(v) for v in op.input(1).constant().reshape(-1))
    if len(sizes) != 2 or op.output.shape != (op.input(0).shape[0], *sizes, op.input(0).shape[3]) or max(sizes) > MAX_INDICES:
        return False
    align, half = bool(op.options["align"]), bool(op.options["half"])
    ends = zip(op.input(0).shape[1:3], sizes, strict=True)
    return all(int(fixed_point.bilinear_places(size, wanted, align, half)[0].max()) < size for size, wanted in ends)


def one_kind_of_corners(op: FileOp) -> bool:
    """align_corners and half_pixel_centers are not both set; LiteRT refuses that."""
    return not (op.options["align"] and op.options["half"])


def whole_table(op: FileOp) -> bool:
    """The table has 256 entries."""
    return op.input(1).num_elements == 256


def composed_output(op: FileOp) -> bool:
    """The output has the shape that the operands give; no axis is longer than 65,536."""
    return composed_shape(op) == op.output.shape and max(op.output.shape, default=0) <= MAX_INDICES


def stretched_output(op: FileOp) -> bool:
    """The output is [1, height, width, output channels]; its convolution, of that kernel and padding, has the data's size."""
    weights, data, wanted = op.input(1).shape, op.input(2).shape, composed_shape(op)
    strides = (int(op.options["stride_h"]), int(op.options["stride_w"]))
    if wanted is None or wanted != op.output.shape or wanted[3] != weights[0] or weights[3] != data[3]:
        return False
    sizes = zip(wanted[1:3], weights[1:3], strides, strict=True)
    same = op.options["padding"] == 0
    return small_strides(op) and data[1:3] == tuple(-(-size // s) if same else (size - k + s) // s for size, k, s in sizes)


def small_strides(op: FileOp) -> bool:
    """The strides are at most 16."""
    return all(1 <= op.options[name] <= 16 for name in ("stride_h", "stride_w"))


def data_batch_of_one(op: FileOp) -> bool:
    """The data are [1, height, width, channels]."""
    return op.input(2).shape[0] == 1


def flat_bias(op: FileOp) -> bool:
    """The bias, if any, has one value for each output channel and zero points of 0; LiteRT refuses others."""
    bias = op.optional(3)
    if bias is None:
        return True
    zero_points = () if bias.quantization is None else bias.quantization.zero_points
    return bias.shape == op.input(1).shape[:1] and not any(zero_points)


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
    return known_activation(op) and _fused(op) == "RELU"


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


# --- int16 activations ----------------------------------------------------------------------------------------------


def zero_points_of_0(op: FileOp) -> bool:
    """The zero points of int16 data are 0; LiteRT refuses others."""
    ends = (*op.inputs, *op.outputs)
    return all(t.zero_point == 0 for t in ends if t is not None and t.type is ElementType.INT16)


def bias_as_optioned(op: FileOp) -> bool:
    """A bias is int64, or int32 where the option quantized_bias_type says so; LiteRT reads it as what the option says."""
    bias, optioned = op.optional(2), op.options["bias_type"]
    if optioned == ElementType.INT32.value:
        return bias is not None and bias.type is ElementType.INT32
    return optioned in (0, ElementType.INT64.value) and (bias is None or bias.type is ElementType.INT64)


def has_bias(op: FileOp) -> bool:
    """There is a bias; LiteRT refuses a CONV_2D of int16 without one."""
    return op.optional(2) is not None


def no_wrap_of_wide_sums(op: FileOp) -> bool:
    """Each channel's largest sum is below 2^47, or 2^31 and shifted left where the bias is int32, and below 2^31 on the output's
    scale; beyond, LiteRT wraps around."""
    bias = op.optional(2)
    if bias is not None and bias.type is ElementType.INT32:
        return no_wrap_of_sums(op)
    largest, scales = _largest_sums(op)
    factors = [fixed_point.convolution_multiplier(op.input(0).scale, scale, op.output.scale) for scale in scales]
    return all(
        total < 1 << 47
        and factor.shift <= fixed_point.MOST_REDUCED_SHIFT
        and abs(int(fixed_point.requantize_64(np.array(total), factor.multiplier, factor.shift))) < INT32 - 1
        for total, factor in zip(largest, factors, strict=True)
    )


def no_wrap_of_wide_scaled_sums(op: FileOp) -> bool:
    """Each channel's largest sum is below 2^47 (2^31 where the bias is int32), and below 2^31 on the output's scale; beyond,
    LiteRT wraps around."""
    largest, scales = _largest_sums(op)
    bias = op.optional(2)
    bound = INT32 if bias is not None and bias.type is ElementType.INT32 else 1 << 47
    factors = [fixed_point.convolution_factor(op.input(0).scale, scale, op.output.scale) for scale in scales]
    return all(total < bound and total * factor < INT32 - (1 << 16) for total, factor in zip(largest, factors, strict=True))


def output_scale_above_sum_16(op: FileOp) -> bool:
    """The output's scale is above max(s1, s2) / 2^14; from there on LiteRT aborts the process (ADD) or computes garbage (SUB)."""
    return shifts_of(op) is not None or 2.0 * max(op.input(0).scale, op.input(1).scale) < (1 << 15) * op.output.scale


def shifts_right(op: FileOp) -> bool:
    """Where pot_scale_int16 is set and all scales are powers of two, no input's is above the output's, and one is the same."""
    shifts = shifts_of(op)
    return shifts is None or (min(shifts) == 0 and max(shifts) < 16)


def one_shape_where_shifted(op: FileOp) -> bool:
    """Where pot_scale_int16 is set and all scales are powers of two, both inputs have one shape; with others LiteRT aborts."""
    return shifts_of(op) is None or op.input(0).shape == op.input(1).shape


def no_wrap_of_sloped(op: FileOp) -> bool:
    """Slopes are finite, and the largest value, shifted left where a slope's multiplier is 1 or more, stays inside int32."""
    parameters = ACTIVATIONS[op.opcode].values(op.options)
    try:
        found = slopes(op.opcode, op.input(0), op.output, op.output.type.limits, parameters)
    except ValueError:
        return False
    return all(_largest(op.input(0)) << max(factor.shift, 0) < INT32 for factor in (found.above, found.below))


def bound_of_relu6_16(op: FileOp) -> bool:
    """6 over the output's scale is inside int32; beyond, LiteRT refuses or wraps around."""
    return FUSED_CLAMPS["RELU6"].is_in_int32(op.output.scale)


def unit_output_16(op: FileOp) -> bool:
    """The output's scale is 2^-15."""
    return op.output.scale == UNIT_SCALE_16


def knots_in_int32(op: FileOp) -> bool:
    """The input's scale is below 5.3; beyond, LiteRT's input to its table wraps around."""
    return knot_input(op.opcode, op.input(0).scale).is_in_int32


def softmax_scale_16(op: FileOp) -> bool:
    """The input's scale times beta is below 5; beyond, LiteRT wraps around."""
    return 65535 << max(softmax_multiplier_16(op.input(0).scale, op.options["beta"]).shift, 0) < INT32


def softmax_row_16(op: FileOp) -> bool:
    """A row has at most 65,536 elements, so that the sum of its exponentials stays inside int32."""
    shape = op.input(0).shape
    return len(shape) > 0 and shape[-1] <= MOST_SOFTMAX_16


def sum_of_window(op: FileOp) -> bool:
    """A window has less than 65,536 places, so that its sum stays inside int32."""
    return op.options["filter_h"] * op.options["filter_w"] < 1 << 16


def sum_of_mean(op: FileOp) -> bool:
    """A mean is of less than 65,536 elements, so that their sum stays inside int32."""
    return op.input(0).num_elements // op.output.num_elements < 1 << 16


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


def _quantized_inputs(op: FileOp) -> list[FileTensor]:
    return [t for t in op.inputs if t is not None and t.type in (ElementType.INT8, ElementType.INT16)]


def _largest(tensor: FileTensor) -> int:
    """The largest distance of a stored value from the zero point."""
    low, high = tensor.type.limits
    return max(high - tensor.zero_point, tensor.zero_point - low)


def _channel_axis(op: FileOp) -> int:
    return 3 if op.opcode == "DEPTHWISE_CONV_2D" else 0


def _largest_sums(op: FileOp) -> tuple[list[int], list[float]]:
    """The largest |accumulator| of each output channel that any input can produce, and the channels' weight scales.

    A bias of another length than there are channels breaks a rule of its own and is not added.
    """
    weights, bias, zero_point = op.input(1), op.optional(2), op.input(0).zero_point
    least, largest_input = op.input(0).type.limits
    rows = np.moveaxis(weights.constant(), _channel_axis(op), 0).reshape(weights.shape[_channel_axis(op)], -1)
    positive = np.maximum(rows, 0).sum(axis=1, dtype=np.int64)
    negative = positive - rows.sum(axis=1, dtype=np.int64)
    added = np.zeros(1, np.int64)
    if bias is not None and bias_of_each_channel(op):
        added = bias.constant().astype(np.int64).reshape(-1)
    above, below = largest_input - zero_point, zero_point - least
    highest, lowest = positive * above + negative * below + added, positive * below + negative * above - added
    largest = np.maximum(np.abs(highest), np.abs(lowest))
    assert weights.quantization is not None
    scales = weights.quantization.scales
    return [int(v) for v in largest], list(scales if len(scales) > 1 else scales * len(largest))


_CLAMPED = (known_activation, bounds_in_int32)
_CONV = (*_CLAMPED, batch_of_one, symmetric_weights, bias_of_each_channel, bias_without_zero_point)
_POOL = (*_CLAMPED, batch_of_one, same_scales)
_MOVED = (same_scales, composed_output)

SUPPORTED: Mapping[str, tuple[Constraint, ...]] = {
    "ADD": (*_CLAMPED, output_scale_above_sum),
    "ASSIGN_VARIABLE": (exactly_same_scales,),
    "AVERAGE_POOL_2D": _POOL,
    "BATCH_MATMUL": (matrices, no_wrap_of_matrices),
    "BROADCAST_TO": _MOVED,
    "CONCATENATION": (no_activation, exactly_same_scales),
    "CONV_2D": (*_CONV, whole_groups, no_wrap_of_sums),
    "DEPTHWISE_CONV_2D": (*_CONV, no_wrap_of_sums),
    "DEPTH_TO_SPACE": _MOVED,
    "DIV": (*_CLAMPED, one_divisor, defined_shifts),
    "FULLY_CONNECTED": (*_CLAMPED, symmetric_weights, bias_of_each_channel, plain_weights_format, no_wrap_of_scaled_sums),
    "GATHER": (same_scales, no_batch_dims),
    "L2_NORMALIZATION": (no_activation, normalized_output, normalized_row),
    "MAXIMUM": (same_scales,),
    "MAX_POOL_2D": _POOL,
    "MEAN": (no_wrap_of_means,),
    "MINIMUM": (same_scales,),
    "MIRROR_PAD": (exactly_same_scales, composed_output),
    "MUL": (*_CLAMPED, no_wrap_of_products),
    "PACK": (exactly_same_scales, composed_output),
    "PAD": (same_scales,),
    "PRELU": (alpha_of_the_data, no_wrap_of_prelu),
    "REDUCE_MAX": (exactly_same_scales,),
    "REDUCE_MIN": (exactly_same_scales,),
    "RESHAPE": (same_scales,),
    "RESIZE_BILINEAR": (same_scales, batch_of_one, one_kind_of_corners, inside_the_map),
    "RESIZE_NEAREST_NEIGHBOR": _MOVED,
    "SLICE": (same_scales,),
    "SOFTMAX": (_between_ends(unit_output), softmax_scale, softmax_row),
    "SPACE_TO_DEPTH": _MOVED,
    "SQUARED_DIFFERENCE": (output_scale_above_square,),
    "STRIDED_SLICE": (same_scales, no_ellipsis),
    "SUB": (*_CLAMPED, output_scale_above_sum),
    "SVDF": (filters_of_rank, named_relu, symmetric_memory, no_wrap_of_newest, small_memory_factor),
    "TABLE": (whole_table,),
    "TILE": _MOVED,
    "TRANSPOSE": (same_scales,),
    "TRANSPOSE_CONV": (*_CLAMPED, data_batch_of_one, flat_bias, small_strides, stretched_output),
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

_CONV_16 = (zero_points_of_0, *_CONV)
_SUM_16 = (zero_points_of_0, *_CLAMPED, output_scale_above_sum_16, shifts_right)
_MOVE_16 = (zero_points_of_0, exactly_same_scales)

SUPPORTED_16: Mapping[str, tuple[Constraint, ...]] = {
    "ADD": (*_SUM_16, one_shape_where_shifted),
    "AVERAGE_POOL_2D": (zero_points_of_0, *_POOL, sum_of_window),
    "CONCATENATION": (zero_points_of_0, no_activation, exactly_same_scales),
    "CONV_2D": (*_CONV_16, whole_groups, has_bias, bias_as_optioned, no_wrap_of_wide_sums),
    "DEPTHWISE_CONV_2D": (*_CONV_16, no_wrap_of_wide_sums),
    "FULLY_CONNECTED": (
        zero_points_of_0,
        *_CLAMPED,
        symmetric_weights,
        bias_of_each_channel,
        plain_weights_format,
        bias_as_optioned,
        no_wrap_of_wide_scaled_sums,
    ),
    "GATHER": (*_MOVE_16, no_batch_dims),
    "LOGISTIC": (zero_points_of_0, unit_output_16, knots_in_int32),
    "MAX_POOL_2D": (zero_points_of_0, *_POOL),
    "MEAN": (zero_points_of_0, sum_of_mean, no_wrap_of_means),
    "MUL": (zero_points_of_0, *_CLAMPED, no_wrap_of_products),
    "PAD": _MOVE_16,
    "RESHAPE": _MOVE_16,
    "SLICE": _MOVE_16,
    "SOFTMAX": (zero_points_of_0, unit_output_16, softmax_scale_16, softmax_row_16),
    "STRIDED_SLICE": (*_MOVE_16, no_ellipsis),
    "SUB": _SUM_16,
    "TANH": (zero_points_of_0, unit_output_16, knots_in_int32),
    "TRANSPOSE": _MOVE_16,
    **dict.fromkeys(SLOPED, (zero_points_of_0, no_wrap_of_sloped)),
    "RELU6": (zero_points_of_0, no_wrap_of_sloped, bound_of_relu6_16),
}
"""The rules of operators on int16 activations."""

_NO_STATE = "of recurrent layers UNIDIRECTIONAL_SEQUENCE_LSTM and SVDF are compiled, and convolutions over time (CONV_2D)"
_NO_FLOW = "control flow is not compiled; unroll it before conversion"

NEAREST: Mapping[str, str] = {
    **ALTERNATIVES,
    "SUM": "LiteRT's reference reads int8 as uint8; use MEAN and fold the count into the next layer's weights",
    "SPLIT": "use SLICE",
    "SPLIT_V": "use SLICE",
    "SQUEEZE": "use RESHAPE",
    "EXPAND_DIMS": "use RESHAPE",
    "PADV2": "use PAD",
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
    if is_on_int16(op) and op.opcode not in SUPPORTED_16:
        return [f"{op.label} has no kernel for int16 activations"]
    wrong = unsupported_operands(op)
    if wrong:
        return [f"{op.label}: {phrase}" for phrase in wrong]
    rules = (SUPPORTED_16 if is_on_int16(op) else SUPPORTED)[op.opcode]
    return [f"{op.label}: not true: {_text(rule).rstrip('.')}" for rule in rules if not rule(op)]


def _text(rule: Constraint) -> str:
    """A rule's docstring in one line."""
    return " ".join((rule.__doc__ or "").split())


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
        lines += [f"- {_text(rule)}" for rule in constraints]
        lines += [f"- In the C: {_made_of(opcode)}"] if opcode in COMPOSED else []
        lines += [""]
        if opcode in SUPPORTED_16:
            lines += ["With int16 activations:", ""]
            lines += [
                *(f"- {line}" for line in SIGNATURES_16[opcode].as_lines()),
                *(f"- {_text(r)}" for r in SUPPORTED_16[opcode]),
            ]
            lines += [""]
    return "\n".join([*lines, *_rewritten_as_lines()])


def _made_of(opcode: str) -> str:
    text = (COMPOSED[opcode].__doc__ or "").strip().split("\n")[0]
    return text[:1].lower() + text[1:] if text.startswith("A ") else text


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
        "- A TABLE: CAST of int8 to uint8, CAST of that to int32, GATHER of those from a constant of 256 bytes, which has the "
        "output's scale and zero point.",
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
