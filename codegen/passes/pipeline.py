"""The compiler's table of contents: which passes run, in which order, and why."""

from __future__ import annotations

from collections.abc import Callable

from ..ir import Graph
from ..verify_graph import verify_graph
from .fold_pad import fold_pad
from .fuse_channel_scales import fuse_mul_add, fuse_mul_depthwise
from .fuse_depthwise_pairs import fuse_depthwise_pairs
from .fuse_max_out import fuse_mdw_max, fuse_mul_max
from .fuse_mean_variance import fuse_mean_variance
from .fuse_shift_max import fuse_shift_max
from .fuse_tables import fuse_tables

Pass = Callable[[Graph], Graph]

PASSES: tuple[Pass, ...] = (
    fold_pad,  # first: convolutions then know their true input
    fuse_mdw_max,  # multihead-depthwise convolution + Max-out, where nothing sits between them
    fuse_mul_max,  # attention over the heads + Max-out
    fuse_shift_max,  # Dynamic Shift-Max
    fuse_mul_depthwise,  # attention over the expanded maps + the depthwise convolution
    fuse_mul_add,  # attention over large maps + the residual
    fuse_mean_variance,  # the attention's statistics
    fuse_depthwise_pairs,  # convolutions that widen the same map
    fuse_tables,  # activations into their producers
)


def run_passes(graph: Graph) -> Graph:
    """The graph after all passes, verified after each."""
    for transform in PASSES:
        graph = verify_graph(transform(graph))
    return graph
