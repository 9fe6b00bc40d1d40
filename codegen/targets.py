"""Microcontrollers that we deploy to: their core, flash and memory banks, and where a network's memory goes in them.

The table is `data/mcus.json`, with sources. Banks that touch make one region; an allocation may cross banks inside a region.
ITCM and backup memory hold no data of ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files
from itertools import pairwise

from ..errors import OverBudget, UnknownTarget

ARENA_ALIGN_BYTES = 16
STACK_ALIGN_BYTES = 8


class Mpu(Enum):
    """Memory protection architectures. That of the Cortex-M0+ (PMSAv6) is PMSAv7 with fewer attributes, none of which we use."""

    PMSAV7 = "PMSAv7"  # regions of a power of two, in eighths
    PMSAV8 = "PMSAv8"  # regions from a base to a limit


class Core(Enum):
    """Cores that we generate for and can emulate. No chip of the table has a Cortex-M55, only QEMU's board."""

    CORTEX_M0PLUS = "cortex-m0plus"
    CORTEX_M3 = "cortex-m3"
    CORTEX_M4 = "cortex-m4"
    CORTEX_M7 = "cortex-m7"
    CORTEX_M33 = "cortex-m33"
    CORTEX_M55 = "cortex-m55"

    @property
    def gcc_cpu(self) -> str:
        """The core as gcc's -mcpu spells it: an M55 without Helium, which no kernel of ours is written for."""
        return "cortex-m55+nomve" if self is Core.CORTEX_M55 else self.value

    @property
    def has_dsp(self) -> bool:
        """Whether the core has the DSP extension: optional on the M33, where every chip of the table has it."""
        return self not in (Core.CORTEX_M0PLUS, Core.CORTEX_M3)

    @property
    def mpu(self) -> Mpu:
        """The memory protection of the core's architecture, which a chip may leave out (`Target.has_mpu`)."""
        return Mpu.PMSAV8 if self in (Core.CORTEX_M33, Core.CORTEX_M55) else Mpu.PMSAV7

    @property
    def machine(self) -> str:
        """QEMU's board that runs this core's code, with an MPU and more memory than any chip of the table.

        It has the core itself, but for the M0+ (`emulated_core`).
        """
        return {
            Core.CORTEX_M0PLUS: "mps2-an385",
            Core.CORTEX_M3: "mps2-an385",
            Core.CORTEX_M4: "mps2-an386",
            Core.CORTEX_M7: "mps2-an500",
            Core.CORTEX_M33: "mps2-an505",
            Core.CORTEX_M55: "mps3-an547",
        }[self]

    @property
    def emulated_core(self) -> Core:
        """The core of `machine`: QEMU's only ARMv6-M board has 16 KiB of RAM, and ARMv6-M code is ARMv7-M code as well."""
        return Core.CORTEX_M3 if self is Core.CORTEX_M0PLUS else self


class Fpu(Enum):
    """Floating point units, as gcc's -mfpu spells them. The Cortex-M0+ and M3 have none."""

    FPV4_SP = "fpv4-sp-d16"
    FPV5_SP = "fpv5-sp-d16"
    FPV5_DP = "fpv5-d16"


class BankKind(Enum):
    """What a memory bank is to the core. The order is the order of preference for data that the core works on."""

    DTCM = "dtcm"
    SRAM = "sram"
    AXI = "axi"
    AHB = "ahb"
    CCM = "ccm"  # fast, but out of reach of every DMA: an arena goes there last
    ITCM = "itcm"
    BACKUP = "backup"

    @property
    def holds_data(self) -> bool:
        return self not in (BankKind.ITCM, BankKind.BACKUP)

    @property
    def preference(self) -> int:
        return list(BankKind).index(self)


@dataclass(frozen=True)
class Bank:
    """One memory bank, as the reference manual names it. dma: whether a DMA controller reaches it."""

    name: str
    base: int
    size_bytes: int
    kind: BankKind
    dma: bool
    note: str = ""

    @property
    def end(self) -> int:
        return self.base + self.size_bytes


@dataclass(frozen=True)
class Region:
    """Banks without a gap between them, lowest first."""

    banks: tuple[Bank, ...]

    def __post_init__(self) -> None:
        if not self.banks or any(low.end != high.base for low, high in pairwise(self.banks)):
            raise ValueError("a region is made of banks that touch")

    @property
    def name(self) -> str:
        return "+".join(bank.name for bank in self.banks)

    @property
    def base(self) -> int:
        return self.banks[0].base

    @property
    def size_bytes(self) -> int:
        return sum(bank.size_bytes for bank in self.banks)

    @property
    def end(self) -> int:
        return self.base + self.size_bytes

    @property
    def preference(self) -> int:
        """That of the lowest bank, where the stack goes."""
        return self.banks[0].kind.preference


@dataclass(frozen=True)
class Target:
    """A microcontroller. Sizes in bytes; banks are sorted by address. has_mpu: whether the chip has its core's optional MPU."""

    name: str
    part: str
    core: Core
    fpu: Fpu | None
    max_clock_hz: int
    flash_base: int
    flash_bytes: int
    banks: tuple[Bank, ...]
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    has_mpu: bool = True

    @property
    def gcc_flags(self) -> tuple[str, ...]:
        floats = ("-mfloat-abi=soft",) if self.fpu is None else (f"-mfpu={self.fpu.value}", "-mfloat-abi=hard")
        return (f"-mcpu={self.core.gcc_cpu}", "-mthumb", *floats)

    @property
    def machine(self) -> str:
        """The emulated board that stands in for the chip."""
        return self.core.machine

    @property
    def emulation_notes(self) -> tuple[str, ...]:
        """What a run on the emulated board does not show of the chip."""
        notes = []
        stand_in = self.core.emulated_core
        if stand_in is not self.core:
            notes.append(
                f"emulated on {self.machine}, whose {stand_in.value} runs the code compiled for the {self.core.value}: "
                "QEMU has no board with that core and enough memory"
            )
        if not self.has_mpu:
            notes.append(
                f"the {self.part} has no MPU: that of {self.machine} guarded the memory here, "
                "on the chip only the linker's regions do"
            )
        return tuple(notes)

    @property
    def data_banks(self) -> tuple[Bank, ...]:
        return tuple(bank for bank in self.banks if bank.kind.holds_data)

    @property
    def ram_bytes(self) -> int:
        """All memory that may hold data."""
        return sum(bank.size_bytes for bank in self.data_banks)

    @property
    def regions(self) -> tuple[Region, ...]:
        """Data banks, merged where they touch."""
        runs: list[list[Bank]] = []
        for bank in self.data_banks:
            if runs and runs[-1][-1].end == bank.base:
                runs[-1].append(bank)
            else:
                runs.append([bank])
        return tuple(Region(tuple(run)) for run in runs)


@dataclass(frozen=True)
class Span:
    """Bytes [base, base + size_bytes) of the chip's address space."""

    base: int
    size_bytes: int

    @property
    def end(self) -> int:
        return self.base + self.size_bytes


@dataclass(frozen=True)
class BankUse:
    """How much of a bank a placement takes."""

    bank: Bank
    used_bytes: int


@dataclass(frozen=True)
class Placement:
    """Where stack, statics and arena lie on a target.

    The stack is at the bottom of its region, so that an overflow leaves the region and traps instead of spoiling data; the
    statics follow it. In a shared region the arena comes last.
    """

    target: Target
    stack: Span
    statics: Span
    arena: Span
    stack_region: Region
    arena_region: Region

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions in use, the stack's first."""
        return (self.stack_region,) if self.stack_region == self.arena_region else (self.stack_region, self.arena_region)

    @property
    def used_bytes(self) -> int:
        return self.stack.size_bytes + self.statics.size_bytes + self.arena.size_bytes

    @property
    def banks(self) -> tuple[BankUse, ...]:
        """Every data bank of the target, also the unused ones."""
        spans = (self.stack, self.statics, self.arena)
        return tuple(
            BankUse(bank, sum(max(0, min(bank.end, span.end) - max(bank.base, span.base)) for span in spans))
            for bank in self.target.data_banks
        )


def get_target(name: str) -> Target:
    """The target of that name (any case); raises `UnknownTarget` with the nearest names."""
    table = _table()
    key = name.strip().lower()
    if key not in table:
        raise UnknownTarget(name, table)
    return table[key]


def list_targets() -> tuple[Target, ...]:
    """All targets, sorted by name."""
    return tuple(_table().values())


def place(target: Target, arena_bytes: int, stack_bytes: int, static_bytes: int) -> Placement:
    """Give stack, statics and arena their places, or raise `OverBudget` with the numbers.

    The arena goes to the most preferred region that can hold it; stack and statics to DTCM when there is room, else beside the
    arena, else to the next region.
    """
    candidates = [
        placement
        for arena_region in target.regions
        for stack_region in target.regions
        if (placement := _lay_out(target, arena_region, stack_region, arena_bytes, stack_bytes, static_bytes)) is not None
    ]
    if not candidates:
        raise OverBudget(_over_budget_message(target, arena_bytes, stack_bytes, static_bytes))
    return min(candidates, key=_preference)


def too_much_flash(target: Target, used_bytes: int, optimize: str) -> OverBudget:
    """What to say of code, weights and initial data that do not fit, generated for `optimize`."""
    smaller = "" if optimize == "size" else "--optimize size, "
    return OverBudget(
        f"needs {used_bytes:,} B of flash, {target.name} has {target.flash_bytes:,} B "
        f"({used_bytes - target.flash_bytes:,} B too much); try {smaller}a smaller network or a larger --target"
    )


def _lay_out(
    target: Target, arena_region: Region, stack_region: Region, arena_bytes: int, stack_bytes: int, static_bytes: int
) -> Placement | None:
    stack = Span(stack_region.base, _align(stack_bytes, STACK_ALIGN_BYTES))
    statics = Span(stack.end, static_bytes)
    start = _align(statics.end, ARENA_ALIGN_BYTES) if arena_region == stack_region else arena_region.base
    arena = Span(start, arena_bytes)
    if statics.end > stack_region.end or arena.end > arena_region.end:
        return None
    return Placement(target, stack, statics, arena, stack_region, arena_region)


def _preference(placement: Placement) -> tuple[int, bool, bool, int]:
    stack, arena = placement.stack_region, placement.arena_region
    in_dtcm = stack.banks[0].kind is BankKind.DTCM
    return arena.preference, not in_dtcm, stack != arena, stack.preference


def _over_budget_message(target: Target, arena_bytes: int, stack_bytes: int, static_bytes: int) -> str:
    stack_bytes = _align(stack_bytes, STACK_ALIGN_BYTES)
    padding_bytes = _align(stack_bytes + static_bytes, ARENA_ALIGN_BYTES) - stack_bytes - static_bytes
    needed = arena_bytes + stack_bytes + static_bytes + padding_bytes
    largest = max(target.regions, key=lambda region: region.size_bytes)
    has = f"{target.name} has {target.ram_bytes:,} B"
    if len(target.regions) > 1:
        has += f", the largest piece is {largest.name} with {largest.size_bytes:,} B"
    missing = (needed if len(target.regions) == 1 else arena_bytes) - largest.size_bytes
    short = f" ({missing:,} B too much)" if missing > 0 else ""
    alignment = f" + alignment {padding_bytes}" if padding_bytes else ""
    return (
        f"needs {needed:,} B of RAM (arena {arena_bytes:,} + stack {stack_bytes:,} + static {static_bytes:,}{alignment}), "
        f"{has}{short}; "
        "try a smaller network or resolution, or a larger --target"
    )


def _align(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


@cache
def _table() -> Mapping[str, Target]:
    text = files(__package__).joinpath("data/mcus.json").read_text(encoding="utf-8")
    entries = json.loads(text)["mcus"]
    return {name: _target(name, entries[name]) for name in sorted(entries)}


def _target(name: str, entry: Mapping[str, object]) -> Target:
    flash = entry["flash"]
    banks = entry["banks"]
    assert isinstance(flash, dict)
    assert isinstance(banks, list)
    return Target(
        name=name,
        part=str(entry["part"]),
        core=Core(entry["core"]),
        fpu=None if entry["fpu"] is None else Fpu(entry["fpu"]),
        max_clock_hz=int(str(entry["max_clock_hz"])),
        flash_base=int(flash["base"], 16),
        flash_bytes=int(flash["size_bytes"]),
        banks=tuple(sorted((_bank(bank) for bank in banks), key=lambda bank: bank.base)),
        sources=_texts(entry["sources"]),
        notes=_texts(entry["notes"]),
        has_mpu=bool(entry.get("mpu", True)),
    )


def _bank(entry: Mapping[str, object]) -> Bank:
    return Bank(
        name=str(entry["name"]),
        base=int(str(entry["base"]), 16),
        size_bytes=int(str(entry["size_bytes"])),
        kind=BankKind(entry["kind"]),
        dma=bool(entry["dma"]),
        note=str(entry.get("note", "")),
    )


def _texts(entry: object) -> tuple[str, ...]:
    assert isinstance(entry, list)
    return tuple(str(text) for text in entry)
