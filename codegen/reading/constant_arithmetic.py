"""What an operator computes from constants, in NumPy, to the bit as LiteRT's reference kernels do.

Integers wrap around, float32 rounds after each operation, moves keep bytes. An evaluator that would make more than the file
declares for the result says `NotFoldable` before it allocates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import BadModel
from ..activations import quantize_table
from ..fixed_point import quantize_multiplier
from .file_model import FileOp, FileTensor
from .operands import MAX_INDICES
from .schema import ElementType

Array = npt.NDArray[Any]

MAX_SHIFT = 23  # no distance of an int8 value from its zero point, shifted left so far, leaves int32


class NotFoldable(Exception):
    """An operator whose result is not computed here; it stays as it is."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An operator with the values of its operands (None for one that is left out)."""

    op: FileOp
    values: tuple[Array | None, ...]

    def value(self, i: int) -> Array:
        """The values of operand i."""
        found = self.values[i] if i < len(self.values) else None
        if found is None:
            raise NotFoldable
        return found

    def integers(self, i: int) -> list[int]:
        """Operand i as a flat list of integers."""
        found = self.value(i)
        if found.dtype.kind not in "iu" or found.size > MAX_INDICES:
            raise NotFoldable
        return [int(v) for v in found.reshape(-1)]

    def option(self, name: str) -> int:
        return int(self.op.options[name])

    def declared(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape, where the result has as many elements in the file."""
        if math.prod(shape) != self.op.output.num_elements:
            raise NotFoldable
        return shape


def evaluate(evaluation: Evaluation) -> list[Array]:
    """The values of every output; `NotFoldable` where they are not known here or contradict their type."""
    op = evaluation.op
    evaluator = _EVALUATORS.get(op.opcode)
    if evaluator is None:
        raise NotFoldable
    try:
        with np.errstate(all="ignore"):
            found = evaluator(evaluation)
    except (ValueError, IndexError, OverflowError, TypeError, BadModel) as error:
        raise NotFoldable from error
    results = found if isinstance(found, list) else [found]
    if len(results) != len(op.outputs):
        raise NotFoldable
    for result, output in zip(results, op.outputs, strict=True):
        if output.type.numpy is None or result.dtype != np.dtype(output.type.numpy):
            raise NotFoldable
        if not result.size and (output.type is ElementType.INT8 or result.ndim > 1):
            raise NotFoldable  # an empty list of axes is one, an empty tensor of weights is none
    return results


def quantized(values: Array, tensor: FileTensor) -> Array:
    """float32 as a tensor's int8 or int16: round(value / scale) half away from zero, plus the zero point, clamped."""
    if tensor.type not in (ElementType.INT8, ElementType.INT16) or values.dtype != np.float32 or not np.isfinite(values).all():
        raise NotFoldable
    scales, zero_points = _per_axis(tensor, values.ndim)
    scaled = (values / scales.astype(np.float32)).astype(np.float64)
    if not np.all(np.abs(scaled) < 2.0**31 - 1024):  # C leaves it undefined
        raise NotFoldable
    rounded = np.trunc(scaled + np.copysign(0.5, scaled)) + zero_points
    clamped: Array = np.clip(rounded, *tensor.type.limits).astype(tensor.type.name.lower())
    return clamped


def _per_axis(tensor: FileTensor, rank: int) -> tuple[Array, Array]:
    """Scales and zero points as float64, shaped to broadcast along the quantized axis."""
    q = tensor.quantization
    if q is None:
        raise NotFoldable
    shape = [1] * rank
    if q.axis is not None:
        shape[q.axis] = len(q.scales)
    return np.array(q.scales, np.float64).reshape(shape), np.array(q.zero_points, np.float64).reshape(shape)


# --- between types --------------------------------------------------------------------------------------------------


def _quantize(e: Evaluation) -> Array:
    source, result = e.op.input(0), e.op.output
    if source.type is not ElementType.INT8:
        return quantized(e.value(0), result)
    if any(t.quantization is None or t.quantization.axis is not None for t in (source, result)):
        raise NotFoldable
    if quantize_multiplier(source.scale / result.scale).shift > MAX_SHIFT:
        raise NotFoldable
    table: Array = quantize_table(source, result)[e.value(0).astype(np.int64) + 128]
    return table


def _dequantize(e: Evaluation) -> Array:
    source, values = e.op.input(0), e.value(0)
    if source.type is ElementType.FLOAT16:
        return values.astype(np.float32)
    if source.type not in (ElementType.INT8, ElementType.UINT8, ElementType.INT16):
        raise NotFoldable
    scales, zero_points = _per_axis(source, values.ndim)
    return (scales * (values.astype(np.float64) - zero_points)).astype(np.float32)


def _cast(e: Evaluation) -> Array:
    values, target = e.value(0), e.op.output.type.numpy
    if target is None:
        raise NotFoldable
    dtype = np.dtype(target)
    if values.dtype.kind == "f" and dtype.kind in "iu":
        limits, whole = np.iinfo(dtype), np.trunc(values.astype(np.float64))
        if not np.all((whole >= limits.min) & (whole < float(limits.max))):  # C leaves it undefined
            raise NotFoldable
    return values.astype(dtype)


# --- shapes ---------------------------------------------------------------------------------------------------------


def _shape(e: Evaluation) -> Array:
    return np.array(e.op.input(0).shape, e.op.output.type.numpy)


def _rank(e: Evaluation) -> Array:
    return np.array(len(e.op.input(0).shape), np.int32)


def _as_declared(e: Evaluation) -> Array:
    return e.value(0).reshape(e.declared(e.op.output.shape))


def _fill(e: Evaluation) -> Array:
    if e.value(1).size != 1:
        raise NotFoldable
    return np.full(e.declared(tuple(e.integers(0))), e.value(1).reshape(-1)[0])


def _range(e: Evaluation) -> Array:
    (start,), (limit,), (step,) = (e.integers(i) for i in range(3))
    if step == 0:
        raise NotFoldable
    taken = range(start, limit, step)
    e.declared((len(taken),))
    return np.array(taken, e.value(0).dtype)


def _broadcast_to(e: Evaluation) -> Array:
    return np.broadcast_to(e.value(0), e.declared(tuple(e.integers(1))))


def _broadcast_args(e: Evaluation) -> Array:
    return np.array(np.broadcast_shapes(tuple(e.integers(0)), tuple(e.integers(1))), e.value(0).dtype)


def _tile(e: Evaluation) -> Array:
    times = e.integers(1)
    e.declared(tuple(d * t for d, t in zip(e.value(0).shape, times, strict=True)))
    return np.tile(e.value(0), times)


def _zeros_like(e: Evaluation) -> Array:
    return np.zeros_like(e.value(0))


# --- moves ----------------------------------------------------------------------------------------------------------


def _operands(e: Evaluation) -> list[Array]:
    """All operands, which must have one quantization with the output where they have any: their bytes are kept."""
    for tensor in e.op.inputs:
        is_quantized = tensor is not None and tensor.type in (ElementType.INT8, ElementType.INT16)
        if tensor is not None and is_quantized and tensor.quantization != e.op.output.quantization:
            raise NotFoldable
    return [e.value(i) for i in range(len(e.values))]


def _together(e: Evaluation) -> list[Array]:
    """The operands of one that joins them; together they have as many elements as the file declares."""
    values = _operands(e)
    e.declared((sum(v.size for v in values),))
    return values


def _pack(e: Evaluation) -> Array:
    return np.stack(_together(e), e.option("axis"))


def _unpack(e: Evaluation) -> list[Array]:
    axis = e.option("axis")
    if e.value(0).shape[axis] != len(e.op.outputs):
        raise NotFoldable
    return [np.take(e.value(0), i, axis) for i in range(e.value(0).shape[axis])]


def _concatenation(e: Evaluation) -> Array:
    if e.option("fused_activation"):
        raise NotFoldable
    return np.concatenate(_together(e), e.option("axis"))


def _gather(e: Evaluation) -> Array:
    if e.option("batch_dims"):
        raise NotFoldable
    source, taken, axis = e.value(0), e.value(1), e.option("axis")
    axis += source.ndim if axis < 0 else 0
    if not 0 <= axis < source.ndim or taken.dtype.kind != "i" or (taken < 0).any():
        raise NotFoldable
    e.declared((*source.shape[:axis], *taken.shape, *source.shape[axis + 1 :]))
    return np.take(source, taken, axis)


def _slice(e: Evaluation) -> Array:
    source, begins, sizes = e.value(0), e.integers(1), e.integers(2)
    if not len(begins) == len(sizes) == source.ndim or any(b < 0 for b in begins):
        raise NotFoldable
    ends = [d if s == -1 else b + s for b, s, d in zip(begins, sizes, source.shape, strict=True)]
    return source[tuple(slice(b, end) for b, end in zip(begins, ends, strict=True))]


def strided_index(op: FileOp, begins: list[int], ends: list[int], strides: list[int]) -> tuple[Any, ...]:
    """A STRIDED_SLICE as NumPy writes it; `NotFoldable` for what NumPy does not know."""
    if not len(begins) == len(ends) == len(strides) or 0 in strides or op.options["offset"]:
        raise NotFoldable
    index: list[Any] = []
    for i, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        masked = {
            name: int(op.options[f"{name}_mask"]) >> i & 1 for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
        }
        if masked["ellipsis"]:
            index.append(...)
        elif masked["new_axis"]:
            index.append(None)
        elif masked["shrink_axis"]:
            index.append(begin)
        else:
            index.append(slice(None if masked["begin"] else begin, None if masked["end"] else end, stride))
    return tuple(index)


def _strided_slice(e: Evaluation) -> Array:
    return np.asarray(e.value(0)[strided_index(e.op, e.integers(1), e.integers(2), e.integers(3))])


def _transpose(e: Evaluation) -> Array:
    return e.value(0).transpose(e.integers(1))


def _pad(e: Evaluation) -> Array:
    source, pairs = e.value(0), np.array(e.integers(1), np.int64).reshape(-1, 2)
    if len(pairs) != source.ndim or (pairs < 0).any():
        raise NotFoldable
    e.declared(tuple(d + int(a) + int(b) for d, (a, b) in zip(source.shape, pairs, strict=True)))
    filling: Any = e.op.output.zero_point if e.op.output.type in (ElementType.INT8, ElementType.UINT8) else 0
    if e.op.opcode == "PADV2":
        filling = e.value(2).reshape(-1)[0]
    return np.pad(source, pairs.tolist(), constant_values=filling)


def _split(e: Evaluation) -> list[Array]:
    (axis,) = e.integers(0)
    return np.split(e.value(1), len(e.op.outputs), axis)


def _split_v(e: Evaluation) -> list[Array]:
    sizes, (axis,) = e.integers(1), e.integers(2)
    if sum(s < 0 for s in sizes) == 1:
        sizes = [e.value(0).shape[axis] - sum(s for s in sizes if s >= 0) if s < 0 else s for s in sizes]
    if min(sizes, default=-1) < 0 or sum(sizes) != e.value(0).shape[axis]:
        raise NotFoldable
    return np.split(e.value(0), np.cumsum(sizes)[:-1].tolist(), axis)


# --- arithmetic on integers and float32 -----------------------------------------------------------------------------


def _numbers(e: Evaluation) -> list[Array]:
    """The operands of an elementwise operator; quantized ones are not numbers."""
    values = [e.value(i) for i in range(len(e.values))]
    if e.op.options.get("fused_activation") or any(v.dtype.kind not in "if" or v.dtype.itemsize < 4 for v in values):
        raise NotFoldable
    e.declared(np.broadcast_shapes(*(v.shape for v in values)))
    return values


def _elementwise(compute: Callable[..., Array]) -> Callable[[Evaluation], Array]:
    return lambda e: np.asarray(compute(*_numbers(e)))


def _quotient(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if not b.all():
        raise NotFoldable
    floored = a // b
    return np.asarray(floored + ((floored < 0) & (floored * b != a)), a.dtype)  # C truncates


def _floored(compute: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    def of_whole_numbers(a: Array, b: Array) -> Array:
        if a.dtype.kind != "i" or not b.all():
            raise NotFoldable
        return compute(a, b)

    return of_whole_numbers


def _reduction(compute: Callable[..., Array]) -> Callable[[Evaluation], Array]:
    def reduce(e: Evaluation) -> Array:
        values, axes = e.value(0), tuple(dict.fromkeys(a % max(1, e.value(0).ndim) for a in e.integers(1)))
        if values.dtype.kind != "i" or values.dtype.itemsize < 4:
            raise NotFoldable
        return np.asarray(compute(values, axis=axes, keepdims=bool(e.option("keep_dims"))), values.dtype)

    return reduce


def _select(e: Evaluation) -> Array:
    e.declared(np.broadcast_shapes(*(e.value(i).shape for i in range(3))))
    return np.where(e.value(0), e.value(1), e.value(2))


_Result = Array | list[Array]
_EVALUATORS: Mapping[str, Callable[[Evaluation], _Result]] = {
    "SHAPE": _shape,
    "RANK": _rank,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
    "CAST": _cast,
    "RESHAPE": _as_declared,
    "EXPAND_DIMS": _as_declared,
    "SQUEEZE": _as_declared,
    "FILL": _fill,
    "RANGE": _range,
    "BROADCAST_TO": _broadcast_to,
    "BROADCAST_ARGS": _broadcast_args,
    "TILE": _tile,
    "ZEROS_LIKE": _zeros_like,
    "PACK": _pack,
    "UNPACK": _unpack,
    "CONCATENATION": _concatenation,
    "GATHER": _gather,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": _transpose,
    "PAD": _pad,
    "PADV2": _pad,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "ADD": _elementwise(np.add),
    "SUB": _elementwise(np.subtract),
    "MUL": _elementwise(np.multiply),
    "DIV": _elementwise(_quotient),
    "FLOOR_DIV": _elementwise(_floored(np.floor_divide)),
    "FLOOR_MOD": _elementwise(_floored(np.mod)),
    "MAXIMUM": _elementwise(np.maximum),
    "MINIMUM": _elementwise(np.minimum),
    "NEG": _elementwise(np.negative),
    "ABS": _elementwise(np.abs),
    "EQUAL": _elementwise(np.equal),
    "NOT_EQUAL": _elementwise(np.not_equal),
    "LESS": _elementwise(np.less),
    "LESS_EQUAL": _elementwise(np.less_equal),
    "GREATER": _elementwise(np.greater),
    "GREATER_EQUAL": _elementwise(np.greater_equal),
    "SELECT_V2": _select,
    "SUM": _reduction(np.sum),
    "REDUCE_PROD": _reduction(np.prod),
    "REDUCE_MAX": _reduction(np.max),
    "REDUCE_MIN": _reduction(np.min),
}
FOLDED = tuple(sorted(_EVALUATORS))
NEEDS_NO_VALUES = frozenset({"SHAPE", "RANK"})
