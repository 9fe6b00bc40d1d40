"""What was removed from a graph, channel by channel, and by which interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RemovedChannel:
    """A channel that the compiled graph does not compute.

    value         the one that it has for every input, None where it may change but is a copy or nothing live reads it
    accumulators  between which its sums lie before requantization, where a convolution or FULLY_CONNECTED makes it
    copy_of       the channel that stays and is always equal to it
    """

    channel: int
    value: int | None
    accumulators: tuple[int, int] | None = None
    copy_of: int | None = None


@dataclass(frozen=True)
class NarrowedTensor:
    """A tensor that lost channels (indices of its last axis); all of them where its operator went.

    channels  how many it had
    """

    name: str
    channels: int
    removed: tuple[RemovedChannel, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        """The channels that stay, in order."""
        gone = {channel.channel for channel in self.removed}
        return tuple(channel for channel in range(self.channels) if channel not in gone)

    @property
    def constants(self) -> Mapping[int, int]:
        """The value of each removed channel that never changes."""
        return {removed.channel: removed.value for removed in self.removed if removed.value is not None}

    @property
    def copies(self) -> Mapping[int, int]:
        """The channel that stays for each removed one that is equal to it."""
        return {removed.channel: removed.copy_of for removed in self.removed if removed.copy_of is not None}


@dataclass(frozen=True)
class EqualChannels:
    """Channels of one tensor that are always equal: for each the first that is, itself where none is."""

    name: str
    first: tuple[int, ...]


@dataclass(frozen=True)
class BypassedOperator:
    """An operator that changes nothing: who read its tensor `name` reads `source`, which has the same bytes."""

    name: str
    source: str
    kind: str
    why: str


@dataclass(frozen=True)
class SimplifiedOperator:
    """An operator that became a cheaper one, or part of one; `what` says how."""

    name: str
    kind: str
    what: str


@dataclass(frozen=True)
class StateInterval:
    """Between which values each channel of a variable lies whenever an inference begins, by the tensor that shows it."""

    name: str
    low: tuple[int, ...]
    high: tuple[int, ...]


@dataclass(frozen=True)
class Certificate:
    """All that minimisation removed; empty where it found nothing or did not run. In the order of the graph.

    equal  what the removals rely on of channels that are equal
    state  what the removals rely on of the variables: after a reset they are within, and an inference leaves them within
    """

    tensors: tuple[NarrowedTensor, ...] = ()
    bypassed: tuple[BypassedOperator, ...] = ()
    simplified: tuple[SimplifiedOperator, ...] = ()
    equal: tuple[EqualChannels, ...] = ()
    state: tuple[StateInterval, ...] = ()
    by_name: Mapping[str, NarrowedTensor] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {tensor.name: tensor for tensor in self.tensors})

    def __bool__(self) -> bool:
        return bool(self.tensors or self.bypassed or self.simplified)

    def known_channels(
        self, name: str, shape: tuple[int, ...], values: npt.NDArray[np.integer] | None
    ) -> tuple[Int64, npt.NDArray[np.integer]] | None:
        """A narrowed tensor as the graph as read has it: channels that are known, and their values [..., known channels].

        shape   of the tensor as read
        values  what was computed of the narrowed one, flat, its copies with it; None where it was not stored, so that only
                constants are known
        None where nothing is known of it.
        """
        tensor = self.by_name[name]
        constants = tensor.constants
        computed = () if values is None else tensor.kept
        copies = {} if values is None else tensor.copies
        channels = np.array(sorted((*constants, *computed, *copies)), np.int64)
        if not channels.size:
            return None
        dtype = np.dtype(np.int8) if values is None else values.dtype
        full = np.zeros(shape, dtype)
        for channel, value in constants.items():
            full[..., channel] = value
        if values is not None:
            full[..., list(computed)] = values.reshape(*shape[:-1], len(computed))
            full[..., list(copies)] = full[..., list(copies.values())]
        return channels, full[..., channels]
