"""The memory that no order, no plan and no kernel can do without: what fits no chip is refused before any work on its numbers.

The bound is safe, not sharp. An output may lie wholly on the inputs that die with it, so an operator needs the larger of the two
sides; the graph's inputs are there together at the start, its outputs at the end. Tensors that a fused kernel never stores do
not count for the chip, but the judges make them: they have a limit of their own, as has everything that a judge keeps to compare,
and the work of one inference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import OverBudget
from ..ir import ConvAttrs, Graph, Op, OpKind, PoolAttrs, macs
from ..targets import Target, get_target, list_targets
from .lifetimes import is_free, views

JUDGED_BYTES = 1 << 24  # of one tensor: the golden model holds it several times, as int64
JUDGED_TOTAL_BYTES = 1 << 27  # of all tensors: the judges keep them for each input, to compare them
JUDGED_STEPS = 1 << 32  # of one inference: the judges do them some twenty times, at about 10^9 in a second
HOST_BYTES = 1 << 30  # of all tensors of a network that is only evaluated
_WEIGHTED = (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D, OpKind.FULLY_CONNECTED)


@dataclass(frozen=True)
class LeastMemory:
    """At least `size_bytes` of arena are live at one time, `where`."""

    size_bytes: int
    where: str


def least_memory(graph: Graph) -> LeastMemory:
    """The most crowded moment that is certain, of a graph after its passes."""
    root = views(graph)

    def together(names: Iterable[str]) -> int:
        """Bytes of the buffers of these tensors, each once; constants lie in flash."""
        buffers = {root.get(name, name) for name in names if not graph.tensor(name).is_constant}
        return sum(graph.tensor(name).size_bytes for name in buffers)

    moments = [LeastMemory(max(together(op.inputs), together(op.outputs)), op.label) for op in graph.ops if not is_free(op.kind)]
    moments.append(LeastMemory(together(graph.given), "the model's inputs" + " and variables" * bool(graph.variables)))
    moments.append(LeastMemory(together(graph.outputs), "the model's outputs"))
    return max(moments, key=lambda moment: moment.size_bytes)


def require_memory(source: Graph, graph: Graph, target: str) -> None:
    """Raise `OverBudget` when a network fits the memory of no chip that we know, whatever its plan, or cannot be proven here.

    source, graph  as read, and after the passes
    target         the chip's name, for the message; what lacks on it alone is found when the firmware is linked, and reported
    """
    least, largest = least_memory(graph), _largest_chip()
    if least.size_bytes > _largest_piece(largest):
        has = f"the largest known chip, {largest.name}, has {_largest_piece(largest):,} B in one piece"
        if target != "any":
            has = f"{target} has {get_target(target).ram_bytes:,} B, and {has}"
        raise OverBudget(
            f"needs at least {least.size_bytes:,} B of RAM at one time for {least.where}; {has}; "
            "try a smaller network or resolution"
        )
    beyond = _beyond_proof(source)
    if beyond is not None:
        raise OverBudget(f"{beyond}; try a smaller network or resolution")


def may_lack_memory(source: Graph) -> bool:
    """Whether a graph as read has tensors so large that its passes are worth running for `require_memory` alone."""
    return _beyond_proof(source) is not None or least_memory(source).size_bytes > _largest_piece(_largest_chip())


def _beyond_proof(source: Graph) -> str | None:
    """What the judges of a graph as read could not hold, None when they can."""
    for op in source.ops:
        size_bytes = sum(source.tensor(name).size_bytes for name in op.outputs)
        if size_bytes > JUDGED_BYTES:
            return (
                f"{op.label} makes {size_bytes:,} B, which the generated C would not store but its proof must; at most "
                f"{JUDGED_BYTES:,} B can be proven"
            )
        padded_bytes = _padded_bytes(op, source)
        if padded_bytes > JUDGED_BYTES:
            return f"{op.label} pads its map to {padded_bytes:,} B, more than the {JUDGED_BYTES:,} B that can be proven"
    total_bytes = _total_bytes(source)
    if total_bytes > JUDGED_TOTAL_BYTES:
        return (
            f"its {len(source.ops)} operators make {total_bytes:,} B, all of which the proof compares; at most "
            f"{JUDGED_TOTAL_BYTES:,} B can be proven"
        )
    steps = sum(_steps(op, source) for op in source.ops)
    if steps > JUDGED_STEPS:
        longest = max(source.ops, key=lambda op: _steps(op, source))
        return (
            f"one inference takes {steps:,} multiplications, additions and comparisons, {_steps(longest, source):,} of them in "
            f"{longest.label}; at most {JUDGED_STEPS:,} can be proven"
        )
    return None


def _steps(op: Op, graph: Graph) -> int:
    """What an operator does once for each weight or element that it meets, at most."""
    outputs = sum(graph.tensor(name).num_elements for name in op.outputs)
    if isinstance(op.attrs, PoolAttrs):
        return outputs * op.attrs.window.kernel_h * op.attrs.window.kernel_w
    return macs(op, graph) or max(outputs, graph.tensor(op.inputs[0]).num_elements)


def _padded_bytes(op: Op, graph: Graph) -> int:
    """The map of a convolution or pool with its padding, 0 for other operators."""
    if not isinstance(op.attrs, ConvAttrs | PoolAttrs):
        return 0
    window, (_, height, width, channels) = op.attrs.window, graph.tensor(op.inputs[0]).shape
    return (height + window.pad_top + window.pad_bottom) * (width + window.pad_left + window.pad_right) * channels


def require_host_memory(graph: Graph) -> None:
    """Raise `OverBudget` when LiteRT could not hold a network's tensors on this computer, which has no chip's limits."""
    size_bytes = _total_bytes(graph)
    if size_bytes > HOST_BYTES:
        largest = max(graph.activations(), key=lambda tensor: tensor.size_bytes)
        raise OverBudget(
            f"its tensors take {size_bytes:,} B, {largest.name} alone {largest.size_bytes:,} B; at most {HOST_BYTES:,} B are run "
            "here; try a smaller network or resolution"
        )


def _total_bytes(graph: Graph) -> int:
    return sum(tensor.size_bytes for tensor in graph.activations())


def _largest_chip() -> Target:
    return max(list_targets(), key=_largest_piece)


def _largest_piece(target: Target) -> int:
    return max(region.size_bytes for region in target.regions)


def require_flash_for_weights(graph: Graph, target: str) -> None:
    """Raise `OverBudget` when the weights alone, equal ones once, fit the flash of no chip that we know."""
    weights = {}
    for op in graph.ops:
        if op.kind in _WEIGHTED:
            data = graph.tensor(op.inputs[1]).constant()
            weights[data.tobytes()] = data.nbytes
    needed, largest = sum(weights.values()), max(list_targets(), key=lambda chip: chip.flash_bytes)
    if needed > largest.flash_bytes:
        raise OverBudget(
            f"the weights need at least {needed:,} B of flash; {target} has {get_target(target).flash_bytes:,} B, "
            f"and the largest known chip, {largest.name}, {largest.flash_bytes:,} B; try a smaller network"
        )
