"""Fold a PAD into the convolutions that alone read it."""

from __future__ import annotations

from dataclasses import replace

from ..contracts import broken_fold
from ..ir import ConvAttrs, Graph, Op, PadAttrs
from .chains import Readers


def fold_pad(graph: Graph) -> Graph:
    """PAD of height and width, then only convolutions, becomes the convolutions' own padding (contract: `broken_fold`)."""
    readers = Readers(graph)
    pads: dict[str, Op] = {}
    for op in graph.ops:
        if isinstance(op.attrs, PadAttrs) and op.output not in graph.results:
            following = readers.all(op.output)
            if following and all(broken_fold(op, reader, graph) is None for reader in following):
                pads[op.output] = op
    ops = [
        _with_padding(op, pads[op.inputs[0]]) if op.inputs[0] in pads else op for op in graph.ops if op.output not in pads
    ]  # fmt: skip
    return graph.with_ops(tuple(ops))


def _with_padding(conv: Op, pad: Op) -> Op:
    assert isinstance(conv.attrs, ConvAttrs)
    assert isinstance(pad.attrs, PadAttrs)
    window, before, after = conv.attrs.window, pad.attrs.before, pad.attrs.after
    padded = replace(
        window,
        pad_top=window.pad_top + before[1],
        pad_bottom=window.pad_bottom + after[1],
        pad_left=window.pad_left + before[2],
        pad_right=window.pad_right + after[2],
    )
    return replace(conv, inputs=(pad.inputs[0], *conv.inputs[1:]), attrs=replace(conv.attrs, window=padded))
