"""Operators that are made of others that have kernels: `FileModel -> FileModel`, after their own rules were asked.

Each composition computes the very bytes of LiteRT's kernel. What it makes between has no index in the file: LiteRT's tensors are
compared at the operator's ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ...errors import BadModel
from ...quoting import NO_TEXT, ForeignText
from ..ir import Quantization
from .file_model import FileModel, FileOp, FileTensor
from .schema import ElementType

Int32 = npt.NDArray[np.int32]


def compose(model: FileModel) -> FileModel:
    """The model with the operators that each composed one is made of; the same where there is none.

    Raises `BadModel` where an output's shape is not what its operator computes.
    """
    if not any(op.opcode in COMPOSED for op in model.ops):
        return model
    return replace(model, ops=tuple(new for op in model.ops for new in _composed(op)))


def _composed(op: FileOp) -> list[FileOp]:
    if op.opcode not in COMPOSED:
        return [op]
    chain = _Chain(op)
    COMPOSED[op.opcode](op, chain)
    return chain.ops()


class _Chain:
    """Operators one after the other, each of which reads what the one before made; the last one makes the output."""

    def __init__(self, op: FileOp):
        self._op = op
        self._ops: list[FileOp] = []
        self.tensor = op.output

    def begin(self, data: FileTensor) -> None:
        self.tensor = data

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    def step(
        self,
        opcode: str,
        shape: Sequence[int],
        *constants: FileTensor,
        options: Mapping[str, int | float] | None = None,
        quantization: Quantization | None = None,
    ) -> None:
        """An operator on the tensor at hand; a quantization that is not given stays."""
        name = ForeignText(f"{self._op.output.source_name.raw}_{opcode.lower()}")
        made = replace(
            self.tensor,
            index=None,
            source_name=name,
            shape=tuple(shape),
            quantization=quantization or self.tensor.quantization,
            data=None,
        )
        inputs = (self.tensor, *constants)
        self._ops.append(FileOp(self._op.index, opcode, inputs, (made,), options or {}, self._op.subgraph))
        self.tensor = made

    def reshape(self, shape: Sequence[int]) -> None:
        if tuple(shape) != self.shape:
            self.step("RESHAPE", shape)

    def gather(self, axis: int, indices: Int32) -> None:
        """Elements of an axis by their places."""
        if not np.array_equal(indices, np.arange(self.shape[axis])):
            shape = (*self.shape[:axis], len(indices), *self.shape[axis + 1 :])
            self.step("GATHER", shape, _constant(indices), options={"axis": axis, "batch_dims": 0})

    def transpose(self, permutation: Sequence[int]) -> None:
        self.step("TRANSPOSE", [self.shape[axis] for axis in permutation], _constant(np.array(permutation)))

    def ops(self) -> list[FileOp]:
        """All operators, the last of which makes the output as the file has it."""
        wanted = self._op.output
        if self.shape != wanted.shape:
            raise BadModel(f"{self._op.label}: output has shape {list(wanted.shape)}, the operator gives {list(self.shape)}")
        if not self._ops:
            self.step("RESHAPE", wanted.shape)
        return [*self._ops[:-1], replace(self._ops[-1], outputs=(wanted,))]


def _constant(values: npt.NDArray[np.integer]) -> FileTensor:
    return FileTensor(None, NO_TEXT, values.shape, ElementType.INT32, None, values.astype(np.int32))


def _integers(tensor: FileTensor) -> tuple[int, ...]:
    return tuple(int(v) for v in tensor.constant().reshape(-1))


def _broadcast_to(op: FileOp, chain: _Chain) -> None:
    """GATHERs that repeat axes of 1."""
    shape = _integers(op.input(1))
    chain.begin(op.input(0))
    chain.reshape((*(1,) * (len(shape) - len(chain.shape)), *chain.shape))
    for axis, (size, wanted) in enumerate(zip(chain.shape, shape, strict=False)):
        if size == 1 != wanted:
            chain.gather(axis, np.zeros(wanted, np.int32))


def _depth_to_space(op: FileOp, chain: _Chain) -> None:
    """RESHAPE, TRANSPOSE, RESHAPE."""
    chain.begin(op.input(0))
    block = int(op.options["block_size"])
    _blocks_to_space(chain, block, block)


def _blocks_to_space(chain: _Chain, block_h: int, block_w: int) -> None:
    n, h, w, c = chain.shape
    deep = c // (block_h * block_w)
    chain.reshape((n, h, w, block_h, block_w, deep))
    chain.transpose((0, 1, 3, 2, 4, 5))
    chain.reshape((n, h * block_h, w * block_w, deep))


def _space_to_depth(op: FileOp, chain: _Chain) -> None:
    """RESHAPE, TRANSPOSE, RESHAPE."""
    chain.begin(op.input(0))
    block = int(op.options["block_size"])
    n, h, w, c = chain.shape
    chain.reshape((n, h // block, block, w // block, block, c))
    chain.transpose((0, 1, 3, 2, 4, 5))
    chain.reshape((n, h // block, w // block, block * block * c))


def _mirror_pad(op: FileOp, chain: _Chain) -> None:
    """A GATHER along each axis that is padded."""
    chain.begin(op.input(0))
    mode = "symmetric" if op.options["mode"] else "reflect"
    for axis, (before, after) in enumerate(op.input(1).constant().reshape(-1, 2).tolist()):
        places = np.arange(chain.shape[axis])
        chain.gather(axis, np.pad(places, (before, after), mode).astype(np.int32))  # type: ignore[call-overload]


def _tile(op: FileOp, chain: _Chain) -> None:
    """A GATHER along each axis that is repeated."""
    chain.begin(op.input(0))
    for axis, times in enumerate(_integers(op.input(1))):
        chain.gather(axis, np.tile(np.arange(chain.shape[axis], dtype=np.int32), times))


def _resize_nearest_neighbor(op: FileOp, chain: _Chain) -> None:
    """A GATHER of columns, then one of rows."""
    chain.begin(op.input(0))
    height, width = _integers(op.input(1))
    for axis, size in ((2, width), (1, height)):
        chain.gather(axis, nearest_places(chain.shape[axis], size, bool(op.options["align"]), bool(op.options["half"])))


def nearest_places(size: int, wanted: int, align: bool, half: bool) -> Int32:
    """Which of `size` elements each of `wanted` ones is; all in float32. Source: GetNearestNeighbor of LiteRT's reference."""
    factor = np.float32(size - 1) / np.float32(wanted - 1) if align and wanted > 1 else np.float32(size) / np.float32(wanted)
    places = (np.arange(wanted, dtype=np.float32) + np.float32(0.5 if half else 0)) * factor
    rounded = np.trunc(places + np.float32(0.5)) if align else np.floor(places)
    found: Int32 = np.clip(rounded, 0, size - 1).astype(np.int32)
    return found


def _transpose_conv(op: FileOp, chain: _Chain) -> None:
    """A CONV_2D that makes all outputs of a step as channels, one after the other, then RESHAPE, TRANSPOSE, RESHAPE, SLICE.

    Output row q * stride + r is the sum over taps j of data row q - j times weights row r + j * stride + pad, where there is one.
    """
    weights, data, bias = op.input(1), op.input(2), op.optional(3)
    _, height, width, channels = _integers(op.input(0))
    strides = int(op.options["stride_h"]), int(op.options["stride_w"])
    sizes, kernels = (height, width), weights.shape[1:3]
    taps, around, steps = [], [], []
    for size, kernel, stride, given in zip(sizes, kernels, strides, data.shape[1:3], strict=True):
        pad = transpose_conv_pad(size, kernel, stride) if op.options["padding"] == 0 else 0
        last, first = max((kernel - 1 - r - pad) // stride for r in range(stride)), -((stride - 1 + pad) // stride)
        first = min(j for j in range(first, last + 1) if any(0 <= r + j * stride + pad < kernel for r in range(stride)))
        taps.append(np.array([[r + j * stride + pad for j in range(last, first - 1, -1)] for r in range(stride)]))
        steps.append(-(-size // stride))
        around.append((last, steps[-1] - 1 - first - (given - 1)))
    chain.begin(data)
    if any(any(pair) for pair in around):
        pads = np.array([(0, 0), *around, (0, 0)])
        chain.step("PAD", [d + int(p.sum()) for d, p in zip(data.shape, pads, strict=True)], _constant(pads))
    folded = np.zeros((*strides, channels, taps[0].shape[1], taps[1].shape[1], data.shape[3]), np.int8)
    for (r, y), ky in np.ndenumerate(taps[0]):
        for (s, x), kx in np.ndenumerate(taps[1]):
            if 0 <= ky < kernels[0] and 0 <= kx < kernels[1]:
                folded[r, s, :, y, x] = weights.constant()[:, ky, kx]
    phases = math.prod(strides)
    options = {"padding": 1, "stride_w": 1, "stride_h": 1, "dilation_w": 1, "dilation_h": 1}
    assert weights.quantization is not None
    scales = weights.quantization.scales
    per_channel = Quantization(scales * phases, (0,) * (phases * len(scales)), 0) if len(scales) > 1 else None
    constants = [
        FileTensor(
            None,
            weights.source_name,
            (phases * channels, *folded.shape[3:]),
            ElementType.INT8,
            per_channel or Quantization(scales, (0,)),
            folded.reshape(phases * channels, *folded.shape[3:]),
        )
    ]
    if bias is not None:
        tiled = np.tile(bias.constant().reshape(-1), phases)
        constants.append(FileTensor(None, bias.source_name, tiled.shape, ElementType.INT32, None, tiled))
    chain.step(
        "CONV_2D",
        (1, *steps, phases * channels),
        *constants,
        options=options | {"fused_activation": op.options["fused_activation"]},
        quantization=op.output.quantization,
    )
    if phases > 1:
        _blocks_to_space(chain, *strides)
    if chain.shape != (1, height, width, channels):
        whole = np.array((1, height, width, channels))
        chain.step("SLICE", whole.tolist(), _constant(0 * whole), _constant(whole))


def composed_shape(op: FileOp) -> tuple[int, ...] | None:
    """The output's shape as the operands give it, None where they contradict each other."""
    if op.opcode == "TRANSPOSE_CONV":
        return _integers(op.input(0))
    shape = op.input(0).shape
    if op.opcode == "PACK":
        rank, axis = len(shape) + 1, int(op.options["axis"])
        if not -rank <= axis < rank or any(op.input(i).shape != shape for i in range(len(op.inputs))):
            return None
        axis %= rank
        return (*shape[:axis], len(op.inputs), *shape[axis:])
    if op.opcode in ("DEPTH_TO_SPACE", "SPACE_TO_DEPTH"):
        return _shape_of_blocks(shape, int(op.options["block_size"]), op.opcode == "DEPTH_TO_SPACE")
    numbers = _integers(op.input(1))
    if op.opcode == "RESIZE_NEAREST_NEIGHBOR":
        return (shape[0], *numbers, shape[3]) if len(numbers) == 2 else None
    if op.opcode == "BROADCAST_TO":
        padded = (1,) * (len(numbers) - len(shape)) + shape
        fits = len(padded) == len(numbers) and all(size in (1, wanted) for size, wanted in zip(padded, numbers, strict=True))
        return numbers if fits else None
    if op.opcode == "TILE":
        fits = len(numbers) == len(shape) and all(times >= 1 for times in numbers)
        return tuple(size * times for size, times in zip(shape, numbers, strict=True)) if fits else None
    pairs = list(zip(numbers[0::2], numbers[1::2], strict=False))
    fits = len(numbers) == 2 * len(shape) and all(
        0 <= width <= size - (op.options["mode"] == 0) for size, pair in zip(shape, pairs, strict=False) for width in pair
    )
    return tuple(size + sum(pair) for size, pair in zip(shape, pairs, strict=True)) if fits else None


def _shape_of_blocks(shape: tuple[int, ...], block: int, to_space: bool) -> tuple[int, ...] | None:
    n, h, w, c = shape
    if block < 1:
        return None
    if to_space:
        return None if c % block**2 else (n, h * block, w * block, c // block**2)
    return None if h % block or w % block else (n, h // block, w // block, c * block**2)


def transpose_conv_pad(size: int, kernel: int, stride: int) -> int:
    """The rows of a TRANSPOSE_CONV's full result that SAME padding cuts off before its output of `size`."""
    return max(0, (-(-size // stride) - 1) * stride + kernel - size) // 2


def _pack(op: FileOp, chain: _Chain) -> None:
    """RESHAPEs, then a CONCATENATION."""
    rank = len(op.input(0).shape) + 1
    axis = int(op.options["axis"]) % rank
    parts = []
    for i in range(len(op.inputs)):
        chain.begin(op.input(i))
        chain.step("RESHAPE", (*chain.shape[:axis], 1, *chain.shape[axis:]))
        parts.append(chain.tensor)
    chain.begin(parts[0])
    shape = (*chain.shape[:axis], len(parts), *chain.shape[axis + 1 :])
    chain.step("CONCATENATION", shape, *parts[1:], options={"axis": axis, "fused_activation": 0})


COMPOSED: Mapping[str, Callable[[FileOp, _Chain], None]] = {
    "BROADCAST_TO": _broadcast_to,
    "DEPTH_TO_SPACE": _depth_to_space,
    "MIRROR_PAD": _mirror_pad,
    "PACK": _pack,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest_neighbor,
    "SPACE_TO_DEPTH": _space_to_depth,
    "TILE": _tile,
    "TRANSPOSE_CONV": _transpose_conv,
}
"""What each is made of says its docstring."""
