"""report.json, schema 1: what was measured of a deployed network. What was not done is null or says why; nothing is invented.

Records whose figures contradict each other are refused with a ValueError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

SCHEMA = 1

Share = float  # of 1; an alias, since a field below is called `float`


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _known_together(*values: float | None) -> bool:
    return len({value is None for value in values}) == 1


@dataclass(frozen=True)
class Port:
    """An input or output: real = scale * (stored - zero_point), stored as int8 in NHWC order; `name` is the file's."""

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int


@dataclass(frozen=True)
class PixelFacts:
    """How the network's pictures are normalised, channel by channel: (byte / 255 - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        _require(len(self.mean) == len(self.std) and all(self.std), "the pixels' mean and deviation have a value a channel")


@dataclass(frozen=True)
class ModelFacts:
    """The network. `trained` is None for a foreign `.tflite`; `params` counts weights and biases; `macs` convolutions and fc.

    outputs      the shape of each output without its batch; `classes` is the first one's last dimension
    class_names  in the order of the scores; empty where they are not known
    parameter_bytes  of all constants as the model stores them
    pixels           None where nobody said it
    notes            what reading changed of the file's form (ends in float32, folded shape arithmetic), and what a judge got
    """

    name: str
    params: int
    macs: int
    resolution: tuple[int, ...]
    classes: int
    trained: bool | None
    sha256: str
    tflite_bytes: int
    outputs: tuple[tuple[int, ...], ...]
    class_names: tuple[str, ...] = ()
    parameter_bytes: int = 0
    input_ports: tuple[Port, ...] = ()
    output_ports: tuple[Port, ...] = ()
    notes: tuple[str, ...] = ()
    pixels: PixelFacts | None = None


@dataclass(frozen=True)
class TargetFacts:
    """`optimize` is what the code was generated for: speed, balanced, size or memory."""

    name: str
    core: str
    optimize: str


@dataclass(frozen=True)
class Flash:
    """Bytes of flash; used and code are read from the linked ELF, None when nothing was linked."""

    used_bytes: int | None
    budget_bytes: int
    weights_bytes: int
    code_bytes: int | None

    def __post_init__(self) -> None:
        _require(self.budget_bytes > 0, "there is no budget")
        _require(_known_together(self.used_bytes, self.code_bytes), "used and code are known together")


@dataclass(frozen=True)
class BankUse:
    """A memory bank at its address (`base`, hexadecimal), and what of it is used."""

    name: str
    base: str
    size_bytes: int
    used_bytes: int

    def __post_init__(self) -> None:
        _require(self.size_bytes > 0, "the bank has no bytes")


@dataclass(frozen=True)
class Ram:
    """Bytes of RAM; the stack is the larger of the static bound and what the emulator measured.

    Stack, its bound and the statics are None when nothing was linked; `used_bytes` is the arena then.
    state_bytes  of the arena, kept from one inference to the next
    """

    used_bytes: int
    budget_bytes: int
    arena_bytes: int
    arena_lower_bound_bytes: int
    stack_bytes: int | None
    stack_measured_bytes: int | None
    stack_bound_bytes: int | None
    static_bytes: int | None
    banks: tuple[BankUse, ...]
    state_bytes: int = 0

    def __post_init__(self) -> None:
        _require(self.budget_bytes > 0, "there is no budget")
        _require(0 <= self.state_bytes <= self.arena_bytes, "the state lies in the arena")
        linked = (self.stack_bytes, self.stack_bound_bytes, self.static_bytes)
        _require(_known_together(*linked), "the stack, its bound and the statics are known together")


@dataclass(frozen=True)
class Verification:
    """One pair of judges: inputs that both computed, tensors and bytes compared in all, bytes that differ.

    left_out  further inputs that the second judge could not compute, by a limit of its own; why, for the first of them
    """

    pair: str
    inputs: int
    tensors: int
    bytes: int
    differing: int
    left_out: int = 0
    left_out_why: str | None = None


def left_out_line(pair: str, count: int, why: str | None) -> str:
    """What is said of a pair's second judge when it could not compute some inputs."""
    return f"{pair.split(' = ')[-1]} left out for {count} inputs: {why}"


@dataclass(frozen=True)
class Layer:
    """One kernel call.

    title            what the network's maker calls it;  name  its output in the IR
    kernel           the C function without the library's prefix
    parameter_bytes  weights, biases and other constants as the model has them
    weights_bytes    as flash holds them: packed, with the requantization factors;  tables_bytes  lookup tables
    stored           how: "int8", "int16", or "int8, N channels int16"; "" without weights
    instructions     exact, counted in the emulator; None where it did not run
    """

    op: str
    name: str
    title: str
    kernel: str
    macs: int
    parameter_bytes: int
    weights_bytes: int
    tables_bytes: int
    instructions: int | None
    stored: str = ""


@dataclass(frozen=True)
class Instructions:
    """Of one inference, all kernel calls together; `layers` has each one's."""

    total: int


@dataclass(frozen=True)
class RemovedChannels:
    """Channels of one tensor that the C does not compute.

    title         what the network's maker calls the layer;  op, name  its operator and its tensor in the IR
    channels      how many the tensor has
    constant      those that have one value for every input, ascending: `values` one for each
    sums          [lowest, highest] sum before requantization that any input gives, one for each of `constant`; empty where the
                  operator makes no sums
    unread        those that nothing live reads
    copies        those that are always equal to a channel that stays: `copied` one for each
    """

    op: str
    name: str
    title: str
    channels: int
    constant: tuple[int, ...]
    values: tuple[int, ...]
    sums: tuple[tuple[int, ...], ...]
    unread: tuple[int, ...]
    copies: tuple[int, ...] = ()
    copied: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _require(len(self.values) == len(self.constant), "each constant channel has a value")
        _require(len(self.sums) in (0, len(self.constant)), "each constant channel has sums, or none has")
        _require(len(self.copied) == len(self.copies), "each copy is of a channel")
        removed = (*self.constant, *self.unread, *self.copies)
        inside = all(0 <= channel < self.channels for channel in removed)
        _require(inside and len(set(removed)) == len(removed), "a removed channel is not one of the tensor's")


@dataclass(frozen=True)
class StayingChannels:
    """Channels of a layer that never change and are computed all the same: a residual's other map changes, or a border shows."""

    op: str
    name: str
    title: str
    channels: int
    constant: tuple[int, ...]


@dataclass(frozen=True)
class RemovedOperator:
    """An operator that went: it changes nothing (its tensor is compared with the one that is read in its place), its result never
    changes, or nobody reads it.
    """

    op: str
    name: str
    title: str
    why: str


@dataclass(frozen=True)
class CheaperOperator:
    """An operator that another one computes, which gives the same bytes; `what` says which."""

    op: str
    name: str
    title: str
    what: str


@dataclass(frozen=True)
class VariableInterval:
    """What the removals rely on of a variable: it is between these values whenever an inference begins, reset or not."""

    name: str
    title: str
    lowest: int
    highest: int


@dataclass(frozen=True)
class Minimisation:
    """What was removed from the graph because it is computed for nothing; the judges compare the constants.

    channels, constant, unread, copies  of convolutions and fully connected layers: all, those that never change, others that went
                                because nobody reads them or because they are equal to one that stays
    macs, parameter_bytes       of what stays, and `.._as_read` of the graph that was read
    tensors                     those that lost channels, of any operator, in the order of the graph
    staying                     those of convolutions and fully connected layers with channels that never change and stay
    operators                   those that went
    cheaper                     those that stay and became cheaper
    state                       the variables, where anything relies on their values
    """

    channels: int
    constant: int
    unread: int
    macs: int
    macs_as_read: int
    parameter_bytes: int
    parameter_bytes_as_read: int
    tensors: tuple[RemovedChannels, ...] = ()
    staying: tuple[StayingChannels, ...] = ()
    operators: tuple[RemovedOperator, ...] = ()
    copies: int = 0
    cheaper: tuple[CheaperOperator, ...] = ()
    state: tuple[VariableInterval, ...] = ()

    def __post_init__(self) -> None:
        _require(self.constant + self.unread + self.copies <= self.channels, "more channels are removed than there are")
        fewer = self.macs <= self.macs_as_read and (bool(self.tensors) or self.macs == self.macs_as_read)
        _require(fewer, "the multiply-accumulates that stay are not those of what was removed")

    @property
    def is_anything(self) -> bool:
        """Whether there is something to tell."""
        return bool(self.tensors or self.staying or self.operators or self.cheaper)

    @property
    def line(self) -> str:
        """What went, in one line."""
        staying = sum(len(layer.constant) for layer in self.staying)
        stay = f" ({staying:,} of them stay)" if staying else ""
        if not self.is_anything:
            return "every channel can change"
        unread = f", {self.unread:,} more are read by nobody" if self.unread else ""
        copies = f", {self.copies:,} are copies" if self.copies else ""
        stays = (
            (self.macs, self.macs_as_read, "multiply-accumulates"),
            (self.parameter_bytes, self.parameter_bytes_as_read, "parameters' bytes"),
        )
        shares = [f"{part / whole:.1%} of the {what}" for part, whole, what in stays if whole]
        kept = f"; {' and '.join(shares)} stay" if shares and self.tensors else ""
        idle = f"; operators that went: {len(self.operators)}" if self.operators else ""
        cheaper = f"; that became cheaper: {len(self.cheaper)}" if self.cheaper else ""
        return f"{self.constant:,} of {self.channels:,} channels never change{stay}{unread}{copies}{kept}{idle}{cheaper}"


@dataclass(frozen=True)
class NotDone:
    """Stands where a figure would be, with the reason for its absence."""

    not_done: str


@dataclass(frozen=True)
class Accuracy:
    """Top-1 shares of labelled held-out images (`images` of them), each runtime on the same ones.

    float  None for a model that came as int8
    """

    images: int
    int8: Share
    emulated: Share | None
    float: Share | None


@dataclass(frozen=True)
class FineTuningEpoch:
    """Means over an epoch while training: the loss, and the share of images that the simulated int8 network got right."""

    loss: float
    accuracy: Share


@dataclass(frozen=True)
class FineTuningComparison:
    """The figures of `FineTuning` that need held-out images."""

    float_before: Share
    int8_before: Share
    simulated: Share
    argmax_agreement: Share
    differing_share: Share
    max_lsb: int


@dataclass(frozen=True)
class FineTuning:
    """Quantization-aware fine-tuning, whose result is the network of this report.

    images               labelled images of one epoch;  distillation  the share of the loss that followed the float network
    float_before         of the network before, as is `int8_before` (plain rounding after training); the shares are of the
                         same held-out images as `Accuracy`, None without them
    simulated            what the simulation in training makes of them, to be compared with `Accuracy.int8`
    argmax_agreement, differing_share, max_lsb    of the int8 outputs, simulated against LiteRT's reference kernels
    curve                one entry for each epoch
    """

    epochs: int
    images: int
    distillation: Share
    curve: tuple[FineTuningEpoch, ...]
    float_before: Share | None
    int8_before: Share | None
    simulated: Share | None
    argmax_agreement: Share | None
    differing_share: Share | None
    max_lsb: int | None

    def __post_init__(self) -> None:
        compared = (self.int8_before, self.simulated, self.argmax_agreement, self.differing_share, self.max_lsb)
        _require(_known_together(self.float_before, *compared), "what is compared on held-out images is known together")

    @property
    def compared(self) -> FineTuningComparison | None:
        """What was compared on held-out images, None without them."""
        if self.float_before is None or self.int8_before is None or self.simulated is None:
            return None
        if self.argmax_agreement is None or self.differing_share is None or self.max_lsb is None:
            return None
        return FineTuningComparison(
            self.float_before, self.int8_before, self.simulated, self.argmax_agreement, self.differing_share, self.max_lsb
        )


@dataclass(frozen=True)
class Rounding:
    """How an ordinary runtime, which rounds in float, differs from the exact outputs."""

    differing_share: float
    max_lsb: int
    argmax_agreement: float


@dataclass(frozen=True)
class LayerSqnr:
    """Signal to quantization noise of one int8 tensor against the float network, in dB."""

    tensor: str
    sqnr_db: float


@dataclass(frozen=True)
class Report:
    """Everything that report.json holds."""

    model: ModelFacts
    target: TargetFacts
    flash: Flash
    ram: Ram
    fits: bool
    verification: tuple[Verification, ...] | NotDone
    instructions: Instructions | NotDone
    accuracy: Accuracy | NotDone
    accumulated_rounding: Mapping[str, Rounding | NotDone] | NotDone
    sqnr: tuple[LayerSqnr, ...] | NotDone = field(default_factory=lambda: NotDone("no float network to compare with"))
    over_budget: str | None = None
    fine_tuning: FineTuning | None = None
    layers: tuple[Layer, ...] = ()
    minimisation: Minimisation | NotDone = field(default_factory=lambda: NotDone("--no-minimise"))

    def __post_init__(self) -> None:
        if isinstance(self.instructions, Instructions) and self.layers:
            counted = sum(layer.instructions or 0 for layer in self.layers)
            _require(counted == self.instructions.total, "the layers' instructions are not those of the inference")

    @property
    def computed_macs(self) -> int:
        """Multiply-accumulates of the C: the model's without those of channels that went."""
        return self.minimisation.macs if isinstance(self.minimisation, Minimisation) else self.model.macs

    def to_json(self) -> str:
        """The file's text; the same report gives the same text."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2, allow_nan=False) + "\n"
