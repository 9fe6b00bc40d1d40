"""What each operator takes and gives, operand by operand; checked once, before any rule and before the graph is built.

After `malformed` and `unsupported_operands` found nothing, every operand that an operator's signature names is there, of its
type and rank, constant where it must be, and has one scale and zero point where one is needed (or one for each channel along the
axis that the signature allows).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ..activations import ACTIVATIONS
from ..activations_16 import log2_of
from ..ir import INT16_KINDS
from ..verify_graph import MAX_RANK, MAX_SCALE, MIN_SCALE
from .file_model import FileOp, FileTensor
from .schema import ElementType

MAX_CONCATENATED = 64
MAX_INDICES = 1 << 16


@dataclass(frozen=True)
class Operand:
    """What one input or output must be.

    also          another type that it may have
    channel_axis  int8: the axis along which it may have one scale for each index; None where it must have one scale
    max_elements  of a constant that steers the operator
    """

    name: str
    type: ElementType = ElementType.INT8
    is_constant: bool = False
    rank: int | None = None
    channel_axis: int | None = None
    may_be_missing: bool = False
    max_elements: int | None = None
    also: ElementType | None = None

    @property
    def types(self) -> tuple[ElementType, ...]:
        """Those that it may have."""
        return (self.type,) if self.also is None else (self.type, self.also)

    @property
    def text(self) -> str:
        """The line of SUPPORTED_OPS.md."""
        words = [*(["constant"] if self.is_constant else []), " or ".join(t.name.lower() for t in self.types)]
        words += [f"of rank {self.rank}"] if self.rank is not None else []
        if self.type is ElementType.INT16 and self.also is None:
            words.append("with one scale and zero point 0")
        elif self.type in (ElementType.INT8, ElementType.INT16):
            channel = f", or one for each index of axis {self.channel_axis}" if self.channel_axis is not None else ""
            words.append(f"with one scale and zero point{channel}")
        words += [f"of at most {self.max_elements} elements"] if self.max_elements is not None else []
        return f"{self.name}{' (may be missing)' if self.may_be_missing else ''}: {' '.join(words)}"


@dataclass(frozen=True)
class Signature:
    """The inputs in TFLite's order and the one output; with `repeats` there are as many of the one input as there are.

    states  outputs behind the first: what a recurrent layer hands on to the next inference
    """

    inputs: tuple[Operand, ...]
    output: Operand
    repeats: int = 1
    states: tuple[Operand, ...] = ()

    @property
    def counts(self) -> range:
        """The allowed numbers of inputs."""
        least = sum(not o.may_be_missing for o in self.inputs)
        return range(least, len(self.inputs) * self.repeats + 1)

    def as_lines(self) -> list[str]:
        """The lines of SUPPORTED_OPS.md."""
        many = f" (1 to {self.repeats} of them)" if self.repeats > 1 else ""
        return [*(f"{o.text}{many}" for o in self.inputs), self.output.text, *(f"{o.text}" for o in self.states)]

    def operand(self, i: int) -> Operand:
        """What input i must be."""
        return self.inputs[min(i, len(self.inputs) - 1)]


_DATA, _OTHER, _OUTPUT = Operand("data"), Operand("second data"), Operand("output")
_MAP, _OUTPUT_MAP = Operand("data", rank=4), Operand("output", rank=4)
_BIAS = Operand("bias", ElementType.INT32, is_constant=True, may_be_missing=True)


def _steering(name: str, max_elements: int = MAX_RANK, rank: int | None = 1, may_be_missing: bool = False) -> Operand:
    return Operand(name, ElementType.INT32, True, rank, may_be_missing=may_be_missing, max_elements=max_elements)


def _weights(rank: int, channel_axis: int) -> Operand:
    return Operand("weights", is_constant=True, rank=rank, channel_axis=channel_axis)


_UNARY = Signature((_DATA,), _OUTPUT)
_BINARY = Signature((_DATA, _OTHER), _OUTPUT)
_POOL = Signature((_MAP,), _OUTPUT_MAP)
_REDUCE = Signature((_DATA, _steering("axes", 4 * MAX_RANK, rank=None)), _OUTPUT)

_BLOCKS = Signature((_MAP,), _OUTPUT_MAP)
_STRETCHED = (_steering("output shape", 4), _weights(4, 0), _MAP, _BIAS)

_GATES = ("input", "forget", "cell", "output")
_HIDDEN, _CELL = Operand("hidden state", rank=2), Operand("cell state", ElementType.INT16, rank=2)
_LSTM = Signature(
    (
        Operand("data", rank=3),
        _HIDDEN,
        _CELL,
        *(Operand(f"{gate} gate's weights of the data", ElementType.INT8, True, 2, None, gate == "input") for gate in _GATES),
        *(
            Operand(f"{gate} gate's weights of the hidden state", ElementType.INT8, True, 2, None, gate == "input")
            for gate in _GATES
        ),
        *(Operand(f"{gate} gate's bias", ElementType.INT32, True, None, None, gate == "input") for gate in _GATES),
        *(Operand(f"{gate} gate's peephole", ElementType.INT16, True, 1, None, True) for gate in ("input", "forget", "output")),
        Operand("weights of the projection", ElementType.INT8, True, 2, None, True),
        Operand("bias of the projection", ElementType.INT32, True, None, None, True),
        *(Operand(f"{gate} gate's normalization", ElementType.INT16, True, 1, None, True) for gate in _GATES),
    ),
    Operand("output", rank=3),
    states=(replace(_HIDDEN, name="hidden state behind it"), replace(_CELL, name="cell state behind it")),
)

_SVDF_STATE = Operand("state", ElementType.INT16, rank=2)
_SVDF = Signature(
    (
        Operand("data", rank=2),
        _SVDF_STATE,
        Operand("weights of the data", is_constant=True, rank=2),
        Operand("weights of the memory", ElementType.INT16, is_constant=True, rank=2),
        _BIAS,
    ),
    Operand("output", rank=2),
    states=(replace(_SVDF_STATE, name="state behind it"),),
)

SIGNATURES: Mapping[str, Signature] = {
    "ADD": _BINARY,
    "ASSIGN_VARIABLE": _UNARY,  # of a variable that is resolved
    "AVERAGE_POOL_2D": _POOL,
    "BATCH_MATMUL": _BINARY,
    "BROADCAST_TO": Signature((_DATA, _steering("shape")), _OUTPUT),
    "CONCATENATION": Signature((_DATA,), _OUTPUT, repeats=MAX_CONCATENATED),
    "CONV_2D": Signature((_MAP, _weights(4, 0), _BIAS), _OUTPUT_MAP),
    "DEPTHWISE_CONV_2D": Signature((_MAP, _weights(4, 3), _BIAS), _OUTPUT_MAP),
    "DEPTH_TO_SPACE": _BLOCKS,
    "DIV": Signature((_DATA, Operand("divisor", is_constant=True)), _OUTPUT),
    "FULLY_CONNECTED": Signature((_DATA, _weights(2, 0), _BIAS), _OUTPUT),
    "GATHER": Signature((_DATA, _steering("indices", MAX_INDICES)), _OUTPUT),
    "L2_NORMALIZATION": _UNARY,
    "MAXIMUM": _BINARY,
    "MAX_POOL_2D": _POOL,
    "MEAN": _REDUCE,
    "MINIMUM": _BINARY,
    "MIRROR_PAD": Signature((_DATA, _steering("paddings", 2 * MAX_RANK, rank=2)), _OUTPUT),
    "MUL": _BINARY,
    "PACK": Signature((_DATA,), _OUTPUT, repeats=MAX_CONCATENATED),
    "PAD": Signature((_DATA, _steering("paddings", 2 * MAX_RANK, rank=2)), _OUTPUT),
    "PRELU": Signature((_DATA, Operand("alpha", is_constant=True)), _OUTPUT),
    "REDUCE_MAX": _REDUCE,
    "REDUCE_MIN": _REDUCE,
    "RESHAPE": Signature((_DATA, _steering("shape", may_be_missing=True)), _OUTPUT),
    "RESIZE_BILINEAR": Signature((_MAP, _steering("size", 2)), _OUTPUT_MAP),
    "RESIZE_NEAREST_NEIGHBOR": Signature((_MAP, _steering("size", 2)), _OUTPUT_MAP),
    "SLICE": Signature((_DATA, _steering("begin"), _steering("size")), _OUTPUT),
    "SOFTMAX": _UNARY,
    "SPACE_TO_DEPTH": _BLOCKS,
    "SQUARED_DIFFERENCE": _BINARY,
    "STRIDED_SLICE": Signature((_DATA, _steering("begin"), _steering("end"), _steering("strides")), _OUTPUT),
    "SUB": _BINARY,
    "SVDF": _SVDF,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _LSTM,
    "TABLE": Signature((_DATA, Operand("table", is_constant=True, rank=1, max_elements=256)), _OUTPUT),
    "TILE": Signature((_DATA, _steering("multiples")), _OUTPUT),
    "TRANSPOSE_CONV": Signature(_STRETCHED, _OUTPUT_MAP),
    "TRANSPOSE": Signature((_DATA, _steering("permutation")), _OUTPUT),
    **dict.fromkeys(ACTIVATIONS, _UNARY),
}


_QUANTIZED = (ElementType.INT8, ElementType.INT16)


def _on_int16(operand: Operand) -> Operand:
    """The same of an operator on int16: activations are, weights stay int8."""
    is_activation = operand.type is ElementType.INT8 and operand.name != "weights"
    return replace(operand, type=ElementType.INT16) if is_activation else operand


def _signature_on_int16(opcode: str) -> Signature:
    signature = SIGNATURES[opcode]
    if opcode == "QUANTIZE":
        either = replace(_DATA, type=ElementType.INT8, also=ElementType.INT16)
        return Signature((either,), replace(either, name="output"))
    inputs = tuple(
        replace(operand, type=ElementType.INT64, also=None if opcode == "DEPTHWISE_CONV_2D" else ElementType.INT32)
        if operand is _BIAS
        else _on_int16(operand)
        for operand in signature.inputs
    )
    return replace(signature, inputs=inputs, output=_on_int16(signature.output))


SIGNATURES_16: Mapping[str, Signature] = {kind.value: _signature_on_int16(kind.value) for kind in INT16_KINDS}
"""Of operators on int16 activations."""


def is_on_int16(op: FileOp) -> bool:
    """Whether an operator reads or writes int16 activations; the cell state of an LSTM is none."""
    ends = (*op.inputs[:1], *op.outputs[:1])
    return any(t is not None and t.type is ElementType.INT16 for t in ends)


def shifts_of(op: FileOp) -> tuple[int, int] | None:
    """By how many bits LiteRT shifts the inputs of an ADD or SUB of int16 whose scales are powers of two right; else None."""
    if not op.options["shifts_powers_of_two"]:
        return None
    first, second, result = (log2_of(t.scale) for t in (op.input(0), op.input(1), op.output))
    return None if first is None or second is None or result is None else (result - first, result - second)


def signature_of(op: FileOp) -> Signature:
    """What the operands of an operator must be, which says int16 where its data are and it is computed on that."""
    return SIGNATURES_16.get(op.opcode, SIGNATURES[op.opcode]) if is_on_int16(op) else SIGNATURES[op.opcode]


def incomplete(op: FileOp) -> str | None:
    """What is wrong with the list of an operator's operands in any runtime: too few or too many."""
    signature = signature_of(op)
    counts = signature.counts
    if len(op.inputs) not in counts:
        needed = f"{counts[0]} to {counts[-1]} are" if len(counts) > 1 else f"{counts[0]} {'is' if counts[0] == 1 else 'are'}"
        return f"{op.label}: it has {len(op.inputs)} inputs, {needed} allowed"
    if len(op.outputs) != 1 + len(signature.states):
        return f"{op.label}: it has {len(op.outputs)} outputs, {1 + len(signature.states)} is needed"
    for i, tensor in enumerate(op.inputs):
        if tensor is None and not signature.operand(i).may_be_missing:
            return f"{op.label}: input {i} ({signature.operand(i).name}) is missing"
    return None


def malformed(op: FileOp) -> str | None:
    """What is wrong with an operator in any runtime: it is incomplete, or a quantized operand's scale means nothing."""
    gap = incomplete(op)
    if gap is not None:
        return gap
    for _, tensor in _operands(op):
        if tensor.type in _QUANTIZED:
            broken = broken_quantization(tensor)
            if broken is not None:
                return f"{op.label}: {broken}"
    return None


def broken_quantization(tensor: FileTensor) -> str | None:
    """What keeps a quantized tensor's scales and zero points from meaning anything."""
    q = tensor.quantization
    if q is None:
        return f"{tensor.label} is {tensor.type.name.lower()} without a scale"
    if q.axis is not None and not (0 <= q.axis < len(tensor.shape) and tensor.shape[q.axis] == len(q.scales)):
        return f"{tensor.label} has {len(q.scales)} scales for axis {q.axis} of shape {list(tensor.shape)}"
    lowest, highest = tensor.type.limits
    if not all(lowest <= z <= highest for z in q.zero_points):
        return f"{tensor.label} has a zero point outside {lowest}..{highest}"
    least = 0.0 if tensor.is_constant else MIN_SCALE  # weights of a channel that is always 0 have whatever scale
    odd = next((s for s in q.scales if not least <= s <= MAX_SCALE), None)
    if odd is not None:
        return f"{tensor.label} has scale {odd:g}, outside {MIN_SCALE:g}..{MAX_SCALE:g}"
    return None


def unsupported_operands(op: FileOp) -> list[str]:
    """What an operator that is not malformed has for operands that no kernel takes, each as a phrase without its place."""
    found = []
    for operand, tensor in _operands(op):
        what = f"its {operand.name} {tensor.label}"
        if tensor.type not in operand.types:
            found.append(f"{what} is {tensor.type.name}, {' or '.join(t.name for t in operand.types)} is needed")
            continue
        if operand.is_constant and not tensor.is_constant:
            found.append(f"{what} is computed at run time, a constant is needed")
        if operand.rank is not None and len(tensor.shape) != operand.rank:
            found.append(f"{what} has shape {list(tensor.shape)}, rank {operand.rank} is needed")
        if operand.max_elements is not None and tensor.num_elements > operand.max_elements:
            found.append(f"{what} has {tensor.num_elements} elements, at most {operand.max_elements} are taken")
        q = tensor.quantization
        if tensor.type in _QUANTIZED and q is not None and q.axis not in (None, operand.channel_axis):
            allowed = "one scale" if operand.channel_axis is None else f"one scale, or scales along axis {operand.channel_axis}"
            found.append(f"{what} has {len(q.scales)} scales along axis {q.axis}; {allowed} can be")
    return found


def _operands(op: FileOp) -> Iterator[tuple[Operand, FileTensor]]:
    """The operands that are there, inputs first, each with what it must be."""
    signature = signature_of(op)
    for i, tensor in enumerate(op.inputs):
        if tensor is not None:
            yield signature.operand(i), tensor
    yield from zip((signature.output, *signature.states), op.outputs, strict=True)
