"""Channels that a network's training left dead, by layer: so that one can mend the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..codegen.ir import Graph, OpKind
from ..codegen.minimise.channels import constant_channels, kept_channels
from ..codegen.minimise.intervals import graph_bounds, is_analysable
from ..quoting import shorten, visible
from .layer_names import layer_title

LAYERS = (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D, OpKind.FULLY_CONNECTED)
_SHOWN_LAYERS, _SHOWN_CHANNELS, _TITLE_CHARACTERS = 10, 8, 40


@dataclass(frozen=True)
class DeadChannels:
    """Of a convolution or fully connected layer: which of its channels never change, whatever the input, and which nobody reads.

    layer     what the network's maker calls it
    channels  how many it has
    """

    layer: str
    channels: int
    constant: tuple[int, ...]
    unread: tuple[int, ...]


def dead_channels(graph: Graph) -> tuple[DeadChannels, ...]:
    """The layers of a graph as read that have dead channels, in order; none of a graph that is too large to look at."""
    if not is_analysable(graph):
        return ()
    bounds = graph_bounds(graph)
    kept = kept_channels(graph, bounds)
    found = []
    for op in graph.ops:
        if op.kind in LAYERS:
            constant = constant_channels(op.output, graph, bounds)
            unread = ~kept[op.output] & ~constant
            if constant.any() or unread.any():
                title = layer_title(graph.tensor(op.output).source_name, op.kind_name)
                places = (tuple(np.flatnonzero(mask).tolist()) for mask in (constant, unread))
                found.append(DeadChannels(title, len(constant), *places))
    return tuple(found)


def dead_channel_lines(found: Sequence[DeadChannels]) -> list[str]:
    """One line a layer, those with most dead channels first."""
    worst = sorted(found, key=lambda layer: -len(layer.constant) - len(layer.unread))
    lines = [_line(layer) for layer in worst[:_SHOWN_LAYERS]]
    return [*lines, f"and {len(worst) - _SHOWN_LAYERS} layers with fewer"] if len(worst) > _SHOWN_LAYERS else lines


def _line(layer: DeadChannels) -> str:
    counts = ((layer.constant, "never change"), (layer.unread, "are read by nobody"))
    parts = [f"{len(channels)} {what} ({_some(channels)})" for channels, what in counts if channels]
    return f"{shorten(visible(layer.layer), _TITLE_CHARACTERS)}: of {layer.channels} channels {', '.join(parts)}"


def _some(channels: Sequence[int]) -> str:
    shown = ", ".join(map(str, channels[:_SHOWN_CHANNELS]))
    return f"{shown}, .." if len(channels) > _SHOWN_CHANNELS else shown
