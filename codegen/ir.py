"""The intermediate representation: `Graph`, `Op`, `Tensor`, `Quantization`, all frozen.

Tensors are named; names are unique in a graph and safe in C. Activations are int8, or int16 with zero point 0, in NHWC order (or
any shape of rank 1 to 6); weights are int8 and keep the layout of the `.tflite` file: CONV_2D `[c_out, kernel_h, kernel_w, c_in /
groups]`, DEPTHWISE_CONV_2D `[1, kernel_h, kernel_w, c_in * depth_multiplier]`, FULLY_CONNECTED `[c_out, c_in]`; biases are int32
`[c_out]`, of operators on int16 also int64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..quoting import NO_TEXT, ForeignText
from .activations import ACTIVATIONS


class DType(Enum):
    """Element types that a graph may hold."""

    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT8 = "uint8"

    @property
    def size_bytes(self) -> int:
        return np.dtype(self.value).itemsize

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the largest value."""
        limits = np.iinfo(self.value)
        return int(limits.min), int(limits.max)


class OpKind(Enum):
    """TFLite's builtin operators that the compiler knows, and the fused chains that passes make of them."""

    CONV_2D = "CONV_2D"
    DEPTHWISE_CONV_2D = "DEPTHWISE_CONV_2D"
    FULLY_CONNECTED = "FULLY_CONNECTED"
    ADD = "ADD"
    SUB = "SUB"
    MUL = "MUL"
    MAXIMUM = "MAXIMUM"
    MINIMUM = "MINIMUM"
    SQUARED_DIFFERENCE = "SQUARED_DIFFERENCE"
    MEAN = "MEAN"
    REDUCE_MAX = "REDUCE_MAX"
    REDUCE_MIN = "REDUCE_MIN"
    AVERAGE_POOL_2D = "AVERAGE_POOL_2D"
    MAX_POOL_2D = "MAX_POOL_2D"
    SOFTMAX = "SOFTMAX"
    LOGISTIC = "LOGISTIC"
    HARD_SWISH = "HARD_SWISH"
    RELU = "RELU"
    RELU6 = "RELU6"
    LEAKY_RELU = "LEAKY_RELU"
    TANH = "TANH"
    ABS = "ABS"
    RELU_N1_TO_1 = "RELU_N1_TO_1"
    RELU_0_TO_1 = "RELU_0_TO_1"
    EXP = "EXP"
    LOG = "LOG"
    SQRT = "SQRT"
    RSQRT = "RSQRT"
    NEG = "NEG"
    GELU = "GELU"
    QUANTIZE = "QUANTIZE"
    PRELU = "PRELU"
    DIV = "DIV"
    BATCH_MATMUL = "BATCH_MATMUL"
    L2_NORMALIZATION = "L2_NORMALIZATION"
    RESIZE_BILINEAR = "RESIZE_BILINEAR"
    CONCATENATION = "CONCATENATION"
    SLICE = "SLICE"
    STRIDED_SLICE = "STRIDED_SLICE"
    GATHER = "GATHER"
    TRANSPOSE = "TRANSPOSE"
    PAD = "PAD"
    RESHAPE = "RESHAPE"
    READ_VARIABLE = "READ_VARIABLE"
    ASSIGN_VARIABLE = "ASSIGN_VARIABLE"
    UNIDIRECTIONAL_SEQUENCE_LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    SVDF = "SVDF"
    TABLE = "TABLE"  # of no file: a GATHER from 256 constants, and what minimisation makes of functions of one value
    FUSED = "FUSED"


ACTIVATION_KINDS = tuple(OpKind(name) for name in ACTIVATIONS)
"""The activations, in the order of their descriptions."""

TABLE_KINDS = (*ACTIVATION_KINDS, OpKind.TABLE)
"""The operators of one int8 value."""


INT16_KINDS = frozenset(
    {
        OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D, OpKind.FULLY_CONNECTED, OpKind.ADD, OpKind.SUB, OpKind.MUL, OpKind.MEAN,
        OpKind.AVERAGE_POOL_2D, OpKind.MAX_POOL_2D, OpKind.SOFTMAX, OpKind.LOGISTIC, OpKind.TANH, OpKind.RELU, OpKind.RELU6,
        OpKind.LEAKY_RELU, OpKind.QUANTIZE, OpKind.CONCATENATION, OpKind.SLICE, OpKind.STRIDED_SLICE, OpKind.GATHER,
        OpKind.TRANSPOSE, OpKind.PAD, OpKind.RESHAPE,
    }
)  # fmt: skip
"""The operators that are computed on int16 activations as well."""


class FusedPattern(Enum):
    """Chains that one kernel computes; the body keeps each step's own int8 rounding."""

    PRODUCER_TABLE = "PRODUCER_TABLE"  # CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED, then a 256-entry table
    MEAN_VARIANCE = "MEAN_VARIANCE"  # MEAN, SQUARED_DIFFERENCE, MEAN: the map is read, its square never stored
    MDW_MAX = "MDW_MAX"  # DEPTHWISE_CONV_2D, RESHAPE, REDUCE_MAX over the heads, RESHAPE
    MUL_MAX = "MUL_MAX"  # MUL by per-channel coefficients, RESHAPE, REDUCE_MAX over the heads, RESHAPE
    SHIFT_MAX = "SHIFT_MAX"  # GATHER of channels, then MUL, MUL, ADD once, or twice and MAXIMUM
    DEPTHWISE_PAIR = "DEPTHWISE_PAIR"  # two DEPTHWISE_CONV_2D with one window over one map
    MUL_DEPTHWISE = "MUL_DEPTHWISE"  # MUL by per-channel coefficients, DEPTHWISE_CONV_2D
    MUL_ADD = "MUL_ADD"  # MUL by per-channel coefficients, ADD of maps of the same shape


@dataclass(frozen=True)
class Quantization:
    """real = scale * (stored - zero_point); per tensor (`axis is None`, one scale) or per channel along `axis`.

    Scales are exact float32 values held as Python floats.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None

    def __post_init__(self) -> None:
        if len(self.scales) != len(self.zero_points) or not self.scales:
            raise ValueError("a quantization needs as many zero points as scales")
        if self.axis is None and len(self.scales) != 1:
            raise ValueError("a per-tensor quantization has one scale")

    @property
    def scale(self) -> float:
        """The scale of a per-tensor quantization."""
        if len(self.scales) != 1:
            raise ValueError("a per-channel quantization has no single scale")
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The zero point of a per-tensor quantization."""
        if len(self.zero_points) != 1:
            raise ValueError("a per-channel quantization has no single zero point")
        return self.zero_points[0]


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named array: an activation (`data is None`) or a constant.

    source_index is the tensor's index in the `.tflite` file (LiteRT names tensors by it), None for tensors that a
    pass made. source_name is the file's own name, for messages.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quantization: Quantization | None = None
    data: npt.NDArray[np.generic] | None = None
    source_index: int | None = None
    source_name: ForeignText = NO_TEXT

    @property
    def num_elements(self) -> int:
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        return self.num_elements * self.dtype.size_bytes

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def scale(self) -> float:
        assert self.quantization is not None, f"{self.name} has no quantization"
        return self.quantization.scale

    @property
    def zero_point(self) -> int:
        assert self.quantization is not None, f"{self.name} has no quantization"
        return self.quantization.zero_point

    def constant(self) -> npt.NDArray[np.generic]:
        """The data of a constant tensor."""
        assert self.data is not None, f"{self.name} is not a constant"
        return self.data


@dataclass(frozen=True)
class Window:
    """A sliding window with its padding made explicit; sizes in elements, padding is filled with the zero point."""

    kernel_h: int
    kernel_w: int
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    pad_top: int = 0
    pad_bottom: int = 0
    pad_left: int = 0
    pad_right: int = 0

    def output_hw(self, h: int, w: int) -> tuple[int, int]:
        """Height and width of the output for an input of h x w."""
        span_h = (self.kernel_h - 1) * self.dilation_h + 1
        span_w = (self.kernel_w - 1) * self.dilation_w + 1
        return (
            (h + self.pad_top + self.pad_bottom - span_h) // self.stride_h + 1,
            (w + self.pad_left + self.pad_right - span_w) // self.stride_w + 1,
        )


@dataclass(frozen=True)
class NoAttrs:
    """SQUARED_DIFFERENCE, MAXIMUM, MINIMUM, PRELU, L2_NORMALIZATION, RESHAPE, variables, activations without parameters.

    A RESHAPE's shape is its output's; RELU and RELU6 clamp by their output's quantization.
    """


@dataclass(frozen=True)
class ActivationAttrs:
    """An activation with parameters: their values in the order of its description."""

    parameters: tuple[float, ...]


@dataclass(frozen=True)
class TableAttrs:
    """TABLE: entry `x + 128` is the output of the stored value x; output and input have any scales."""

    entries: tuple[int, ...]


@dataclass(frozen=True)
class MatMulAttrs:
    """BATCH_MATMUL: of which operand the last two axes change places before the product."""

    adj_x: bool
    adj_y: bool


@dataclass(frozen=True)
class ResizeAttrs:
    """RESIZE_BILINEAR to its output's height and width."""

    align_corners: bool
    half_pixel_centers: bool


@dataclass(frozen=True)
class ClampAttrs:
    """ADD, SUB, MUL, DIV, FULLY_CONNECTED: the fused activation as bounds of the output in its own type.

    shifts  of an ADD or SUB of int16 whose scales are powers of two: by how many bits each input is shifted right, one of them 0
    """

    activation_min: int = -128
    activation_max: int = 127
    shifts: tuple[int, int] | None = None


@dataclass(frozen=True)
class ConvAttrs:
    """CONV_2D and DEPTHWISE_CONV_2D. depth_multiplier is 0 for CONV_2D; output channel = channel * depth_multiplier + head.

    A CONV_2D has as many groups as its weights' c_in goes into the input's (`conv_groups`).
    """

    window: Window
    activation_min: int = -128
    activation_max: int = 127
    depth_multiplier: int = 0


@dataclass(frozen=True)
class PoolAttrs:
    """AVERAGE_POOL_2D and MAX_POOL_2D; padded positions do not count."""

    window: Window
    activation_min: int = -128
    activation_max: int = 127


@dataclass(frozen=True)
class ReduceAttrs:
    """MEAN, REDUCE_MAX and REDUCE_MIN; axes are sorted, unique and not negative."""

    axes: tuple[int, ...]
    keep_dims: bool


@dataclass(frozen=True)
class SoftmaxAttrs:
    """SOFTMAX over the last axis."""

    beta: float


@dataclass(frozen=True)
class ConcatAttrs:
    """CONCATENATION along a non-negative axis.

    first_stays  the first input lies where the output begins: it is not moved
    """

    axis: int
    first_stays: bool = False


@dataclass(frozen=True)
class SliceAttrs:
    """SLICE and STRIDED_SLICE, normalised: element i of an axis is begin + i * stride; the count is the output's."""

    begin: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class GatherAttrs:
    """GATHER along a non-negative axis: element i of it is the input's element indices[i]."""

    axis: int
    indices: tuple[int, ...]


@dataclass(frozen=True)
class TransposeAttrs:
    """TRANSPOSE: axis i of the output is axis permutation[i] of the input."""

    permutation: tuple[int, ...]


@dataclass(frozen=True)
class PadAttrs:
    """PAD with the zero point: elements before and after, for each axis."""

    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class LstmAttrs:
    """UNIDIRECTIONAL_SEQUENCE_LSTM of a batch of 1.

    Operands: data [1, time, c_in] or [time, 1, c_in], hidden state int8 [1, units], cell state int16 [1, cells]; then weights of
    the data, weights of the hidden state and biases, each of four gates in the order input, forget, cell, output; peepholes of
    input, forget and output gate (int16 [cells]); weights and bias of a projection. Those of the input gate may be missing all
    together (then it is 1 - forget gate), the peepholes likewise, the projection (then units are cells), and its bias; then
    coefficients of layer normalization (int16 [cells]) of all gates that there are, or none.
    Outputs: the hidden state behind each step, and the two states behind the last.

    operands     which of them the inputs are, in order
    cell_clip    the largest |cell state|, 0: none
    output_clip  the largest |stored output| of a projection, 0: none
    hidden       scale and zero point of the product of output gate and cell
    gate_scales  of the gates' int16 before they are normalised
    """

    operands: tuple[int, ...]
    cell_clip: int
    output_clip: int
    hidden: Quantization
    gate_scales: tuple[float, float, float, float] = (2.0**-12,) * 4


@dataclass(frozen=True)
class SvdfAttrs:
    """SVDF of a batch of 1: of `rank` neighbouring filters' memories the weighted sum is one output.

    Inputs: data [1, c_in], state int16 [1, filters * memory]; then weights of the data int8 [filters, c_in], weights of the
    memory int16 [filters, memory] from the oldest value on, and a bias that may be missing. Outputs: [1, filters / rank], and
    the state behind it.
    """

    rank: int


@dataclass(frozen=True)
class FusedAttrs:
    """A chain computed by one kernel. `body` runs in order and defines the meaning; inner tensors stay in the graph."""

    pattern: FusedPattern
    body: tuple[Op, ...]


Attrs = (
    NoAttrs
    | ActivationAttrs
    | TableAttrs
    | MatMulAttrs
    | ResizeAttrs
    | ClampAttrs
    | ConvAttrs
    | PoolAttrs
    | ReduceAttrs
    | SoftmaxAttrs
    | ConcatAttrs
    | SliceAttrs
    | GatherAttrs
    | TransposeAttrs
    | PadAttrs
    | LstmAttrs
    | SvdfAttrs
    | FusedAttrs
)


@dataclass(frozen=True)
class Op:
    """One operator. Inputs are activations and constants by name, in TFLite's order (data, weights, bias).

    Shape-like constants (axes, paddings, begins) are in `attrs`, not in `inputs`. source_index is the operator's place
    in the `.tflite` file (of a fused op: its first step's).
    """

    kind: OpKind
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Attrs = field(default_factory=NoAttrs)
    source_index: int = -1

    @property
    def output(self) -> str:
        return self.outputs[0]

    @property
    def parameters(self) -> tuple[float, ...]:
        """Those of an activation, the entries of a TABLE."""
        if isinstance(self.attrs, TableAttrs):
            return self.attrs.entries
        return self.attrs.parameters if isinstance(self.attrs, ActivationAttrs) else ()

    @property
    def label(self) -> str:
        """How messages and listings name the operator: its place, kind and output."""
        return f"op {self.source_index} {self.kind_name} -> {self.output}"

    @property
    def kind_name(self) -> str:
        """CONV_2D, or for a fused op its steps joined by '+' (free RESHAPEs left out)."""
        if isinstance(self.attrs, FusedAttrs):
            return "+".join(step.kind.value for step in self.attrs.body if step.kind is not OpKind.RESHAPE)
        return self.kind.value


@dataclass(frozen=True)
class FileEnd:
    """An input or output as the file has it.

    index           of the file's tensor that holds the values: of an output, before what is left to the caller
    element         its type: "int8", or what the graph's int8 tensor stands for ("float32": real = scale * (stored - zero point),
                    "uint8": the byte - 128)
    left_to_caller  the operators behind an output that are not part of the graph, in order
    """

    index: int
    name: ForeignText
    shape: tuple[int, ...]
    element: str = "int8"
    left_to_caller: tuple[str, ...] = ()


Values = TypeVar("Values")


@dataclass(frozen=True, eq=False)
class Variable:
    """What a graph keeps from one inference to the next.

    before  the tensor that shows its value when an inference begins
    after   the tensor whose value it has when the inference ends: what an ASSIGN_VARIABLE makes, or `before` where it stays
    start   its value after a reset
    name    the file's own, for messages
    around  a CONCATENATION of `before`, which stays where it lies, and new values, out of which `after` is taken: both are moved
            within its memory
    """

    before: str
    after: str
    start: npt.NDArray[np.generic]
    name: ForeignText = NO_TEXT
    around: str | None = None


@dataclass(frozen=True, eq=False)
class Graph:
    """Operators in the order of execution, over named tensors. An output may be an input or a constant, and be named twice.

    Every tensor has one value in an inference: a variable that is read, assigned and read again is three tensors.

    file_inputs, file_outputs  one for each input and output of a graph that comes from a file
    notes                      what reading changed of the file's form, each a sentence
    """

    name: str
    tensors: Mapping[str, Tensor]
    ops: tuple[Op, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    file_inputs: tuple[FileEnd, ...] = ()
    file_outputs: tuple[FileEnd, ...] = ()
    notes: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()

    def tensor(self, name: str) -> Tensor:
        return self.tensors[name]

    @property
    def given(self) -> tuple[str, ...]:
        """The tensors that are there before the first operator: inputs, and the variables' values."""
        return (*self.inputs, *(variable.before for variable in self.variables))

    @property
    def results(self) -> tuple[str, ...]:
        """The tensors that are needed behind the last operator: outputs, and the variables' next values."""
        return (*self.outputs, *(variable.after for variable in self.variables))

    def start_state(self) -> dict[str, npt.NDArray[np.generic]]:
        """The variables' values after a reset, by the tensor that shows them when an inference begins."""
        return {variable.before: variable.start for variable in self.variables}

    def next_state(self, values: Mapping[str, Values]) -> dict[str, Values]:
        """From the tensors of one inference: the variables' values at the beginning of the next."""
        return {variable.before: values[variable.after] for variable in self.variables}

    def producer(self, name: str) -> Op | None:
        """The operator that writes a tensor; None for graph inputs, variables' first values and constants."""
        return next((op for op in self.ops if name in op.outputs), None)

    def activations(self) -> Iterator[Tensor]:
        """Tensors that exist at run time: the graph's inputs and variables, then every operator's outputs, in order."""
        for name in self.given:
            yield self.tensors[name]
        for op in self.ops:
            for name in op.outputs:
                yield self.tensors[name]

    def constant_outputs(self) -> dict[str, npt.NDArray[np.generic]]:
        """The outputs that no inference changes, by name."""
        tensors = (self.tensors[name] for name in self.outputs)
        return {t.name: t.data for t in tensors if t.data is not None}

    def with_ops(self, ops: tuple[Op, ...], new_tensors: Mapping[str, Tensor] | None = None) -> Graph:
        """The same graph with other operators (and more tensors); tensors that nothing mentions are dropped."""
        tensors = {**self.tensors, **(new_tensors or {})}
        used = set(self.given) | set(self.results)
        for op in ops:
            used |= _mentioned(op)
        return replace(self, ops=ops, tensors={name: t for name, t in tensors.items() if name in used})


def file_inputs(graph: Graph) -> tuple[FileEnd, ...]:
    """How the file has each input; for a graph made by hand, as the graph has it."""
    return graph.file_inputs or tuple(_own_end(graph.tensor(name)) for name in graph.inputs)


def file_outputs(graph: Graph) -> tuple[FileEnd, ...]:
    """How the file has each output; for a graph made by hand, as the graph has it."""
    return graph.file_outputs or tuple(_own_end(graph.tensor(name)) for name in graph.outputs)


def _own_end(tensor: Tensor) -> FileEnd:
    return FileEnd(-1 if tensor.source_index is None else tensor.source_index, tensor.source_name, tensor.shape)


def _mentioned(op: Op) -> set[str]:
    names = set(op.inputs) | set(op.outputs)
    if isinstance(op.attrs, FusedAttrs):
        for step in op.attrs.body:
            names |= _mentioned(step)
    return names


def works_on_int16(op: Op, graph: Graph) -> bool:
    """Whether an operator reads or writes int16 activations; the cell state of an LSTM is none."""
    return any(graph.tensor(name).dtype is DType.INT16 for name in (*op.inputs[:1], *op.outputs[:1]))


def conv_groups(op: Op, graph: Graph) -> int:
    """The groups of a CONV_2D: group g reads the g-th share of the input channels and writes the g-th of the output's."""
    return graph.tensor(op.inputs[0]).shape[3] // graph.tensor(op.inputs[1]).shape[3]


def macs(op: Op, graph: Graph) -> int:
    """Multiply-accumulates of the convolutions and fully connected layers in an operator; 0 for all others."""
    if isinstance(op.attrs, FusedAttrs):
        return sum(macs(step, graph) for step in op.attrs.body)
    if op.kind is OpKind.UNIDIRECTIONAL_SEQUENCE_LSTM:
        steps = graph.tensor(op.output).num_elements // graph.tensor(op.outputs[1]).num_elements
        matrices = (name for name in op.inputs[3:] if len(graph.tensor(name).shape) == 2)
        return steps * sum(graph.tensor(name).num_elements for name in matrices)
    if op.kind is OpKind.SVDF:
        return sum(graph.tensor(name).num_elements for name in op.inputs[2:4])
    if isinstance(op.attrs, MatMulAttrs):
        depth = graph.tensor(op.inputs[0]).shape[-2 if op.attrs.adj_x else -1]
        return graph.tensor(op.output).num_elements * depth
    if op.kind not in (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D, OpKind.FULLY_CONNECTED):
        return 0
    weights = graph.tensor(op.inputs[1]).shape
    outputs = graph.tensor(op.output).num_elements
    return outputs * (weights[1] * weights[2] if op.kind is OpKind.DEPTHWISE_CONV_2D else math.prod(weights[1:]))
