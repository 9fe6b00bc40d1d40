"""What the compiler accepts of TFLite's operators: one function a constraint.

A constraint's docstring is the rule, the message when it fails, and its line in SUPPORTED_OPS.md. All failures of a model are
collected before one error is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..errors import BadModel
from . import fixed_point
from .ir import Quantization
from .reading.file_model import FileOp
from .reading.schema import ElementType

Constraint = Callable[[FileOp], bool]


def _same(a: Quantization | None, b: Quantization | None) -> bool:
    return a is not None and b is not None and (a.scale, a.zero_point) == (b.scale, b.zero_point)


def one_output(op: FileOp) -> bool:
    """There is exactly one output."""
    return len(op.outputs) == 1


def int8_activations(op: FileOp) -> bool:
    """Data inputs and outputs are int8."""
    return op.input(0).type is ElementType.INT8 and op.output.type is ElementType.INT8


def int8_operands(op: FileOp) -> bool:
    """Both operands are int8."""
    return op.input(1).type is ElementType.INT8


def known_activation(op: FileOp) -> bool:
    """The fused activation is NONE, RELU, RELU6 or RELU_N1_TO_1."""
    return op.options["fused_activation"] in (0, 1, 2, 3)


def no_activation(op: FileOp) -> bool:
    """There is no fused activation."""
    return op.options["fused_activation"] == 0


def batch_of_one(op: FileOp) -> bool:
    """The input is [1, height, width, channels]."""
    shape = op.input(0).shape
    return len(shape) == 4 and shape[0] == 1


def constant_weights(op: FileOp) -> bool:
    """The weights are constant int8 with zero point 0, quantized as a whole or along the output channels."""
    w = op.input(1)
    return w.is_constant and w.type is ElementType.INT8 and w.quantization is not None and not any(w.quantization.zero_points)


def constant_bias(op: FileOp) -> bool:
    """The bias, if any, is constant int32."""
    bias = op.inputs[2] if len(op.inputs) > 2 else None
    return bias is None or (bias.is_constant and bias.type is ElementType.INT32)


def whole_groups(op: FileOp) -> bool:
    """The weights' input channels go into the input's without rest; the output channels divide into as many groups."""
    channels, weights = op.input(0).shape[-1], op.input(1).shape
    return weights[-1] > 0 and channels % weights[-1] == 0 and weights[0] % (channels // weights[-1]) == 0


def plain_weights_format(op: FileOp) -> bool:
    """The weights are stored in the default format, not shuffled."""
    return op.options["weights_format"] == 0


def constant_second_input(op: FileOp) -> bool:
    """The second input (axes, paddings, begins, indices) is constant int32."""
    t = op.input(1)
    return t.is_constant and t.type is ElementType.INT32


def constant_third_input(op: FileOp) -> bool:
    """The third input (sizes or ends) is constant int32."""
    t = op.input(2)
    return t.is_constant and t.type is ElementType.INT32


def same_scales(op: FileOp) -> bool:
    """Every int8 input has the output's scale and zero point."""
    return all(_same(t.quantization, op.output.quantization) for t in op.inputs if t is not None and t.type is ElementType.INT8)


def unit_output(op: FileOp) -> bool:
    """The output's scale is 1/256 and its zero point -128."""
    q = op.output.quantization
    return q is not None and (q.scale, q.zero_point) == (1 / 256, -128)


def output_scale_above_square(op: FileOp) -> bool:
    """The output's scale is above (2 max(s1, s2))^2 / 2^14; below it LiteRT aborts the process."""
    twice = 2.0 * max(op.input(0).scale, op.input(1).scale)
    return op.output.scale > twice * twice / (1 << 14)


def output_scale_above_sum(op: FileOp) -> bool:
    """The output's scale is above max(s1, s2) / 2^19; below it LiteRT aborts the process."""
    return 2.0 * max(op.input(0).scale, op.input(1).scale) < (1 << 20) * op.output.scale


def no_wrap_of_sums(op: FileOp) -> bool:
    """Where a channel's multiplier is 1 or more, its largest sum shifted left stays inside int32; beyond, LiteRT wraps around."""
    weights = op.input(1)
    bias = op.inputs[2] if len(op.inputs) > 2 else None
    if not weights.is_constant or weights.quantization is None or (bias is not None and not bias.is_constant):
        return True  # other rules speak of that
    values = np.abs(weights.constant().astype(np.int64))
    axis = 3 if op.opcode == "DEPTHWISE_CONV_2D" else 0
    sums = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).sum(axis=1) * 255
    if bias is not None:
        sums = sums + np.abs(bias.constant().astype(np.int64).reshape(-1))
    scales = np.broadcast_to(np.array(weights.quantization.scales), sums.shape)
    factors = [fixed_point.convolution_multiplier(op.input(0).scale, s, op.output.scale) for s in scales.tolist()]
    return all(int(total) << max(factor.shift, 0) < 1 << 31 for total, factor in zip(sums, factors, strict=True))


def no_wrap_of_products(op: FileOp) -> bool:
    """Where the multiplier is 1 or more, the largest product shifted left stays inside int32; beyond, LiteRT wraps around."""
    factor = fixed_point.mul_multiplier(op.input(0).scale, op.input(1).scale, op.output.scale)
    return (255 * 255) << max(factor.shift, 0) < 1 << 31


def hard_swish_scale(op: FileOp) -> bool:
    """The output's scale is above 1/128 of the input's; below it LiteRT aborts the process."""
    source, result = op.input(0).quantization, op.output.quantization
    return source is not None and result is not None and fixed_point.hard_swish_table(source, result).size == 256


def softmax_scale(op: FileOp) -> bool:
    """The input's scale times beta is above 2^-26."""
    return op.input(0).scale * op.options["beta"] * (1 << 26) > 1


def no_batch_dims(op: FileOp) -> bool:
    """There are no batch dimensions, and the indices are a list."""
    return op.options["batch_dims"] == 0 and len(op.input(1).shape) == 1


def no_ellipsis(op: FileOp) -> bool:
    """Masks for ellipsis and new axes, and the offset flag, are not set."""
    return not (op.options["ellipsis_mask"] or op.options["new_axis_mask"] or op.options["offset"])


_INT8: tuple[Constraint, ...] = (one_output, int8_activations)
_CONV = (*_INT8, batch_of_one, constant_weights, constant_bias, known_activation)
_BINARY = (*_INT8, int8_operands, known_activation)
_POOL = (*_INT8, batch_of_one, known_activation, same_scales)
_REDUCE = (*_INT8, constant_second_input)

SUPPORTED: Mapping[str, tuple[Constraint, ...]] = {
    "ADD": (*_BINARY, output_scale_above_sum),
    "AVERAGE_POOL_2D": _POOL,
    "CONCATENATION": (*_INT8, no_activation, same_scales),
    "CONV_2D": (*_CONV, whole_groups, no_wrap_of_sums),
    "DEPTHWISE_CONV_2D": (*_CONV, no_wrap_of_sums),
    "FULLY_CONNECTED": (*_INT8, constant_weights, constant_bias, known_activation, plain_weights_format),
    "GATHER": (*_INT8, constant_second_input, same_scales, no_batch_dims),
    "HARD_SWISH": (*_INT8, hard_swish_scale),
    "LOGISTIC": (*_INT8, unit_output),
    "MAXIMUM": (*_INT8, int8_operands, same_scales),
    "MAX_POOL_2D": _POOL,
    "MEAN": _REDUCE,
    "MUL": (*_BINARY, no_wrap_of_products),
    "PAD": (*_INT8, constant_second_input, same_scales),
    "QUANTIZE": _INT8,
    "REDUCE_MAX": (*_REDUCE, same_scales),
    "RELU": _INT8,
    "RELU6": _INT8,
    "RESHAPE": (*_INT8, same_scales),
    "SLICE": (*_INT8, constant_second_input, constant_third_input, same_scales),
    "SOFTMAX": (*_INT8, unit_output, softmax_scale),
    "SQUARED_DIFFERENCE": (*_INT8, int8_operands, output_scale_above_square),
    "STRIDED_SLICE": (*_INT8, constant_second_input, constant_third_input, same_scales, no_ellipsis),
    "SUB": (*_BINARY, output_scale_above_sum),
    "TRANSPOSE": (*_INT8, constant_second_input, same_scales),
}

NEAREST: Mapping[str, str] = {
    "LEAKY_RELU": "use RELU or HARD_SWISH",
    "PRELU": "use RELU or HARD_SWISH",
    "ELU": "use RELU or HARD_SWISH",
    "GELU": "use HARD_SWISH",
    "TANH": "use LOGISTIC or HARD_SWISH",
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
}


def problems(op: FileOp) -> list[str]:
    """What keeps an operator from being compiled, each as one phrase with its place; empty when nothing does."""
    constraints = SUPPORTED.get(op.opcode)
    if constraints is None:
        advice = NEAREST.get(op.opcode)
        return [f"{op.label} has no kernel" + (f" ({advice})" if advice else "")]
    found = []
    for constraint in constraints:
        try:
            holds = constraint(op)
        except (BadModel, ValueError, IndexError):
            holds = False
        if not holds:
            found.append(f"{op.label}: not true: {(constraint.__doc__ or '').strip().rstrip('.')}")
    return found


def as_markdown() -> str:
    """SUPPORTED_OPS.md: every operator with its rules."""
    lines = [
        "# Supported operators",
        "",
        "Made by `make docs` from `codegen/supported_ops.py`; `flynet-tiny compile` checks these rules.",
        "",
    ]
    for opcode, constraints in sorted(SUPPORTED.items()):
        lines += [f"## {opcode}", "", *(f"- {(c.__doc__ or '').strip()}" for c in constraints), ""]
    return "\n".join(lines)
