"""Emulated boards: where a chip's memories lie on them, and the MPU regions that make everything else forbidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..codegen.targets import BankKind, Core, Placement, Region, Target

KIB = 1024
MIB = 1024 * KIB
TICK_NS = 40  # of the MPS2 boards' timer 0
ICOUNT_SHIFT = 7  # 128 ns an instruction: more than a tick, so that the count is exact; 1.3 G instructions until the timer wraps
MPU_NUM_REGIONS = 8


@dataclass(frozen=True)
class Window:
    """A named piece of a board's address space."""

    name: str
    base: int
    size_bytes: int

    @property
    def end(self) -> int:
        return self.base + self.size_bytes


@dataclass(frozen=True)
class Board:
    """A machine of QEMU. `folder` is that of its `board.c`; without `flash_base` the chip's real addresses are used.

    The harness windows are memory of the board that no chip's memory is mapped to.
    """

    machine: str
    folder: str
    serial: str
    peripherals: tuple[Window, ...]
    flash_base: int | None = None
    slots: tuple[int, ...] = ()
    harness_rom: Window | None = None
    harness_ram: Window | None = None

    @property
    def has_harness(self) -> bool:
        return self.harness_rom is not None

    def visible(self, target: Target) -> Target:
        """The target as far as the board has it: real-address boards of QEMU lack the CCM."""
        if self.flash_base is not None:
            return target
        return replace(target, banks=tuple(bank for bank in target.banks if bank.kind is not BankKind.CCM))


def _mps2(machine: str, harness_ram_base: int) -> Board:
    # 4 MiB of code memory at 0 and 4 MiB of data memory at 0x20000000 (each mirrored above), 16 MiB of PSRAM elsewhere.
    return Board(
        machine=machine,
        folder="mps2",
        serial="none",
        peripherals=(Window("timer 0", 0x40000000, 4 * KIB),),
        flash_base=0,
        slots=(0x20100000, 0x20300000),
        harness_rom=Window("harness code", 0x00300000, MIB),
        harness_ram=Window("harness data", harness_ram_base, MIB),
    )


MPS2_AN386 = _mps2("mps2-an386", 0x21000000)
MPS2_AN500 = _mps2("mps2-an500", 0x60000000)
NETDUINOPLUS2 = Board(
    machine="netduinoplus2",
    folder="netduinoplus2",
    serial="stdio",
    peripherals=(
        Window("USART1", 0x40011000, KIB),
        Window("GPIOA", 0x40020000, KIB),
        Window("RCC", 0x40023800, KIB),
    ),
)


def board_for(target: Target) -> Board:
    """The board that stands in for a chip: same core, at least as much memory."""
    return {Core.CORTEX_M4: MPS2_AN386, Core.CORTEX_M7: MPS2_AN500}[target.core]


@dataclass(frozen=True)
class MemoryMap:
    """A placement's memories at the board's addresses; the stack's first."""

    flash: Window
    ram: tuple[Window, ...]
    chip_flash_base: int
    chip_ram: tuple[Region, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """How every memory of the chip is mapped, for people."""
        pairs = [("flash", self.chip_flash_base, self.flash)]
        pairs += [(region.name, region.base, window) for region, window in zip(self.chip_ram, self.ram, strict=True)]
        return tuple(
            f"{name}: {window.size_bytes} bytes at 0x{window.base:08x}"
            + ("" if window.base == base else f", on the chip at 0x{base:08x}")
            for name, base, window in pairs
        )


def map_memory(board: Board, placement: Placement) -> MemoryMap:
    """Where the board has the chip's flash and the regions that a placement uses.

    A region keeps its address where the board has memory, and moves to a free slot where it has none. Between two regions, and
    below each, there is a gap: the byte after the last and the byte before the first trap.
    """
    target = placement.target
    flash = Window("FLASH", target.flash_base if board.flash_base is None else board.flash_base, target.flash_bytes)
    slots = list(board.slots)
    windows = []
    for region in placement.regions:
        keeps = board.flash_base is None or 0x20000000 <= region.base < 0x20100000
        base = region.base if keeps else slots.pop(0)
        windows.append(Window(region.name, base, region.size_bytes))
    spans = sorted([flash, *windows], key=lambda window: window.base)
    assert all(low.end < high.base for low, high in pairwise(spans)), "memories touch on the board"
    return MemoryMap(flash, tuple(windows), target.flash_base, placement.regions)


@dataclass(frozen=True)
class MpuEntry:
    """The two registers of one PMSAv7 region."""

    base: int
    size_bytes: int
    disabled_subregions: int
    attributes: int
    comment: str

    @property
    def rbar(self) -> int:
        return self.base

    @property
    def rasr(self) -> int:
        size_field = self.size_bytes.bit_length() - 2
        return self.attributes | self.disabled_subregions << 8 | size_field << 1 | 1

    def allows(self, address: int) -> bool:
        """Whether the region contains an address, its disabled eighths left out."""
        offset = address - self.base
        return 0 <= offset < self.size_bytes and not self.disabled_subregions >> (offset * 8 // self.size_bytes) & 1


_EXECUTE_NEVER = 1 << 28
FLASH_ATTRIBUTES = 0b110 << 24 | 1 << 17  # read only, executable, write-through
RAM_ATTRIBUTES = _EXECUTE_NEVER | 0b011 << 24 | 0b11 << 16  # read and write, write-back
DEVICE_ATTRIBUTES = _EXECUTE_NEVER | 0b011 << 24 | 1 << 16


def mpu_cover(window: Window, attributes: int) -> list[MpuEntry]:
    """MPU regions that contain exactly the window's bytes.

    A region is a power of two, aligned to its size, in eighths that can be switched off: 192 KiB are six eighths of 256 KiB.
    """
    entries = []
    start = window.base
    while start < window.end:
        base, size, eighths = max(
            (_widest_at(start, window.end, 1 << bits) for bits in range(8, 33)), key=lambda found: len(found[2]) * found[1]
        )
        eighth = size // 8
        if not eighths:
            raise ValueError(f"no MPU region begins at 0x{start:08x} for {window.name}")
        disabled = 0xFF & ~sum(1 << i for i in eighths)
        entries.append(
            MpuEntry(base, size, disabled, attributes, f"{window.name}: {len(eighths) * eighth} bytes at 0x{start:08x}")
        )
        start += len(eighths) * eighth
    return entries


def _widest_at(start: int, end: int, size: int) -> tuple[int, int, range]:
    """The region of a size around `start`, and which of its eighths lie in [start, end), from start on."""
    base = start & ~(size - 1)
    eighth = size // 8
    if start % eighth:
        return base, size, range(0)
    return base, size, range((start - base) // eighth, max((start - base) // eighth, min(8, (end - base) // eighth)))


def mpu_entries(board: Board, memory: MemoryMap) -> list[MpuEntry]:
    """The firmware's MPU table: flash, the memories in use, the board's peripherals; nothing else."""
    entries = mpu_cover(memory.flash, FLASH_ATTRIBUTES)
    for window in memory.ram:
        entries += mpu_cover(window, RAM_ATTRIBUTES)
    for peripheral in board.peripherals:
        entries += mpu_cover(peripheral, DEVICE_ATTRIBUTES)
    return entries


def harness_mpu_entries(board: Board) -> list[MpuEntry]:
    """What the verification build opens beside the firmware's table."""
    if board.harness_rom is None or board.harness_ram is None:
        return []
    return mpu_cover(board.harness_rom, FLASH_ATTRIBUTES) + mpu_cover(board.harness_ram, RAM_ATTRIBUTES)


def require_mpu_fits(entries: Sequence[MpuEntry]) -> None:
    """A placement that needs more regions than the MPU has is a bug of the mapping."""
    assert len(entries) <= MPU_NUM_REGIONS, f"{len(entries)} MPU regions, the core has {MPU_NUM_REGIONS}"
