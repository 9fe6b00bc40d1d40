"""SPACE_TO_BATCH_ND, stride-1 operators, BATCH_TO_SPACE_ND: a dilated convolution.

Batch b of what SPACE_TO_BATCH_ND makes holds every block-th row (and column), from row b on. A convolution of stride 1 without
padding over each batch is then one over all rows with a dilation that is larger by the block; what works on each element alone,
or only inserts and drops axes of size 1, is the same on both. Dropping rows of the result (crops) drops rows of the padded input,
as each row of the result reads from its own row on. So the chain is: pad or cut the input, the dilated operators. Exact, since
padding holds the zero point in both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...quoting import NO_TEXT
from ..activations import ACTIVATIONS
from .file_model import FileModel, FileOp, FileTensor
from .operands import MAX_INDICES
from .schema import ElementType

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_ELEMENTWISE_BINARY = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")


def space_to_batch(model: FileModel) -> FileModel:
    """The model with each such chain as dilated convolutions; chains of another kind stay, and the rules refuse them."""
    readers: dict[FileTensor, list[FileOp]] = {}
    for op in model.ops:
        for tensor in dict.fromkeys(op.inputs):
            if tensor is not None:
                readers.setdefault(tensor, []).append(op)
    replaced: dict[FileOp, list[FileOp]] = {}
    for op in model.ops:
        if op.opcode == "SPACE_TO_BATCH_ND":
            chain = _chain(op, readers, set(model.outputs))
            made = _dilated(chain) if chain else None
            if made:
                replaced |= {old: [] for old in chain} | {chain[-1]: made}
    if not replaced:
        return model
    ops = tuple(new for op in model.ops for new in replaced.get(op, [op]))
    count = sum(bool(made) for made in replaced.values())
    return replace(model, ops=ops).noted(f"{count} dilated convolution{'s' * (count != 1)} from SPACE_TO_BATCH_ND")


def _chain(start: FileOp, readers: dict[FileTensor, list[FileOp]], kept: set[FileTensor]) -> list[FileOp]:
    """The operators from SPACE_TO_BATCH_ND to BATCH_TO_SPACE_ND, each the only reader of the one before; empty for none."""
    chain = [start]
    while chain[-1].opcode != "BATCH_TO_SPACE_ND":
        made = chain[-1].outputs
        if len(made) != 1 or len(made[0].shape) < 2 or made[0] in kept or len(chain) > MAX_CHAIN:
            return []
        following = readers.get(chain[-1].output, [])
        if len(following) != 1 or following[0].opcode not in _KNOWN:
            return []
        if following[0].opcode not in _ELEMENTWISE_BINARY and following[0].inputs[0] is not made[0]:
            return []
        chain.append(following[0])
    return chain if len(chain[-1].outputs) == 1 else []


MAX_CHAIN = 64
_KNOWN = frozenset({*_CONVOLUTIONS, *ACTIVATIONS, *_ELEMENTWISE_BINARY, "RESHAPE", "BATCH_TO_SPACE_ND"})


@dataclass
class _Full:
    """The tensor of all rows that stands for the batches: what it is, and the block of each of its axes (1: not split)."""

    tensor: FileTensor
    blocks: list[int]


def _ints(op: FileOp, i: int) -> list[int] | None:
    tensor = op.optional(i)
    if tensor is None or tensor.data is None or tensor.data.dtype.kind not in "iu" or tensor.data.size > MAX_INDICES:
        return None
    return [int(v) for v in tensor.data.reshape(-1)]


def _dilated(chain: list[FileOp]) -> list[FileOp] | None:
    first, *middle, last = chain
    source = first.optional(0)
    block, pads = _ints(first, 1), _ints(first, 2)
    last_block, crops = _ints(last, 1), _ints(last, 2)
    if source is None or block is None or pads is None or last_block is None or crops is None or source.is_constant:
        return None
    if not (source.shape and first.output.shape):
        return None
    if source.shape[0] != 1 or source.type is not ElementType.INT8 or min(block, default=0) < 1:
        return None
    if source.quantization != first.output.quantization:
        return None
    split = [b for b in block if b > 1]
    if split != [b for b in last_block if b > 1] or min(*pads, *crops, 0) < 0:
        return None
    if not len(pads) == 2 * len(block) < 2 * len(source.shape) or len(crops) != 2 * len(last_block):
        return None
    cropped = _in_first_axes(block, last_block, crops)
    if cropped is None:
        return None
    spatial = range(1, 1 + len(block))
    before = {axis: pads[2 * i] - cropped[2 * i] for i, axis in enumerate(spatial)}
    after = {axis: pads[2 * i + 1] - cropped[2 * i + 1] for i, axis in enumerate(spatial)}
    ops, full = _padded(first, source, before, after)
    if full is None:
        return None
    state = _Full(full, [1, *block, *[1] * (len(source.shape) - 1 - len(block))])
    for op in middle:
        found = _on_all_rows(op, state, first.outputs[0].shape[0])
        if found is None:
            return None
        ops.append(found)
    if state.tensor.shape != last.output.shape or [b for b in state.blocks if b > 1] != split or not ops:
        return None
    if [i for i, b in enumerate(state.blocks) if b > 1] != [i + 1 for i, b in enumerate(last_block) if b > 1]:
        return None
    if ops[-1].output.quantization != last.output.quantization:
        return None
    return [*ops[:-1], replace(ops[-1], outputs=last.outputs)]


def _in_first_axes(block: list[int], last_block: list[int], crops: list[int]) -> list[int] | None:
    """Crops of the last operator's axes for those of the first: axes of one block correspond in order, others are not cropped."""
    taken = [crops[2 * i : 2 * i + 2] for i, b in enumerate(last_block) if b > 1]
    if any(any(crops[2 * i : 2 * i + 2]) for i, b in enumerate(last_block) if b == 1):
        if block != last_block:
            return None
        return crops
    found: list[int] = []
    for b in block:
        found += taken.pop(0) if b > 1 else [0, 0]
    return found


def _made(like: FileTensor, shape: tuple[int, ...]) -> FileTensor:
    return FileTensor(None, like.source_name, shape, like.type, like.quantization)


def _constant(values: list[int] | list[list[int]]) -> FileTensor:
    data = np.array(values, np.int32)
    return FileTensor(None, NO_TEXT, data.shape, ElementType.INT32, None, data)


def _padded(
    op: FileOp, source: FileTensor, before: dict[int, int], after: dict[int, int]
) -> tuple[list[FileOp], FileTensor | None]:
    """PAD and SLICE of the input that the chain's paddings and crops come to; None where nothing would be left."""
    ops, tensor = [], source
    pads = [[max(before.get(axis, 0), 0), max(after.get(axis, 0), 0)] for axis in range(len(source.shape))]
    if any(map(any, pads)):
        shape = tuple(d + a + b for d, (a, b) in zip(source.shape, pads, strict=True))
        padded = _made(op.output, shape)
        ops.append(FileOp(op.index, "PAD", (tensor, _constant(pads)), (padded,), {}))
        tensor = padded
    begin = [max(-before.get(axis, 0), 0) for axis in range(len(source.shape))]
    end = [max(-after.get(axis, 0), 0) for axis in range(len(source.shape))]
    if any(begin) or any(end):
        size = [d - b - e for d, b, e in zip(tensor.shape, begin, end, strict=True)]
        if min(size) < 1:
            return [], None
        cut = _made(op.output, tuple(size))
        ops.append(FileOp(op.index, "SLICE", (tensor, _constant(begin), _constant(size)), (cut,), {}))
        tensor = cut
    return ops, tensor


def _on_all_rows(op: FileOp, state: _Full, batches: int) -> FileOp | None:
    """The operator on all rows; `state` moves on to its output. None where it is not the same on both."""
    if len(op.outputs) != 1:
        return None
    found = None
    if op.opcode in _CONVOLUTIONS:
        found = _convolution(op, state)
    elif op.opcode == "RESHAPE":
        found = _reshape(op, state, batches)
    elif op.opcode in ACTIVATIONS:
        found = replace(op, inputs=(state.tensor,), outputs=(_made(op.output, state.tensor.shape),))
    elif op.opcode in _ELEMENTWISE_BINARY and len(op.inputs) == 2:
        others = [t for t in op.inputs if t is not None and t.is_constant]
        channels = state.tensor.shape[-1]
        if len(others) == 1 and others[0].num_elements in (1, channels) and others[0].shape[-1:] in ((), (1,), (channels,)):
            inputs = tuple(t if t in others else state.tensor for t in op.inputs)
            if len(others[0].shape) <= len(state.tensor.shape):
                found = replace(op, inputs=inputs, outputs=(_made(op.output, state.tensor.shape),))
    if found is not None:
        state.tensor = found.output
    return found


def _convolution(op: FileOp, state: _Full) -> FileOp | None:
    weights, shape = op.optional(1), state.tensor.shape
    if weights is None or len(weights.shape) != 4 or len(shape) != 4 or state.blocks[3] != 1:
        return None
    sizes = []
    dilations = []
    for axis, name in ((1, "h"), (2, "w")):
        kernel, dilation = weights.shape[axis], int(op.options[f"dilation_{name}"])
        if op.options[f"stride_{name}"] != 1 or dilation < 1 or (op.options["padding"] != 1 and kernel != 1):
            return None
        dilations.append(dilation * state.blocks[axis] if kernel > 1 else dilation)
        sizes.append(shape[axis] - (kernel - 1) * dilations[-1])
    if min(sizes) < 1:
        return None
    options = {**op.options, "dilation_h": dilations[0], "dilation_w": dilations[1], "padding": 1}
    output = _made(op.output, (1, *sizes, op.output.shape[-1]))
    return replace(op, inputs=(state.tensor, *op.inputs[1:]), outputs=(output,), options=options)


def _reshape(op: FileOp, state: _Full, batches: int) -> FileOp | None:
    """A RESHAPE that keeps the batches and inserts or drops axes of size 1 between them and the channels."""
    source, target = op.input(0).shape, op.output.shape
    if min(len(source), len(target)) < 2 or source[0] != batches or target[0] != batches or source[-1] != target[-1]:
        return None
    if len(source) != len(state.blocks):
        return None
    kept = [
        (d, state.tensor.shape[i], state.blocks[i]) for i, d in enumerate(source) if i > 0 and (d != 1 or state.blocks[i] > 1)
    ]
    if source[-1] == 1:
        return None  # which axis is the channels' would be a guess
    shape, blocks = [1], [1]
    for size in target[1:]:
        if kept and size == kept[0][0]:
            _, whole, block = kept.pop(0)
        elif size == 1:
            whole, block = 1, 1
        else:
            return None
        shape.append(whole)
        blocks.append(block)
    if kept:
        return None
    state.blocks = blocks
    return replace(op, inputs=(state.tensor,), outputs=(_made(op.output, tuple(shape)),), options={})
