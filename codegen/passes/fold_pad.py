"""Fold a PAD into the convolution that alone reads it."""

from __future__ import annotations

from dataclasses import replace

from ..ir import ConvAttrs, Graph, Op, OpKind, PadAttrs
from .chains import Readers


def fold_pad(graph: Graph) -> Graph:
    """PAD of height and width, then one CONV_2D or DEPTHWISE_CONV_2D, becomes the convolution's own padding.

    Exact: both fill with the input's zero point, and PAD's output has its input's quantization.
    """
    ops: list[Op] = []
    pads: dict[str, Op] = {}
    readers = Readers(graph)
    for op in graph.ops:
        if _is_spatial_pad(op) and _only_convs_read(op, graph, readers):
            pads[op.output] = op
        elif op.inputs[0] in pads:
            ops.append(_with_padding(op, pads[op.inputs[0]]))
        else:
            ops.append(op)
    return graph.with_ops(tuple(ops))


def _is_spatial_pad(op: Op) -> bool:
    if not isinstance(op.attrs, PadAttrs) or len(op.attrs.before) != 4:
        return False
    outer = (op.attrs.before[0], op.attrs.after[0], op.attrs.before[3], op.attrs.after[3])
    return not any(outer)


def _only_convs_read(op: Op, graph: Graph, readers: Readers) -> bool:
    found = readers.all(op.output)
    convs = (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D)
    return bool(found) and all(r.kind in convs for r in found) and op.output not in graph.outputs


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
