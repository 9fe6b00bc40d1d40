"""Emulated boards: where a chip's memories lie on them, and the MPU regions that make everything else forbidden.

The memories of the MPS2 boards are those of QEMU's hw/arm/mps2.c, mps2-tz.c and armsse.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise
from typing import Protocol

from ..codegen.targets import BankKind, Mpu, Placement, Region, Target

KIB = 1024
MIB = 1024 * KIB
ICOUNT_SHIFT = 7  # 128 ns an instruction: over two ticks, so that the count is exact; a G of instructions until the timer wraps
MPU_NUM_REGIONS = 8  # the fewest of any chip with an MPU


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

    kept         addresses where the board has memory as chips have: what lies there on the chip does so on the board
    slots        where other memories go
    timer        the window of the timer that counts instructions: a CMSDK timer downwards, or a system counter upwards; None:
                 the board counts none
    tick_quarter_ns   quarters of a nanosecond that the timer takes a step
    harness_rom, harness_ram   memory of the board that no chip's memory is mapped to. The RAM lies above all others, so that
                 a limit of the chip's stack holds for the harness's as well
    """

    machine: str
    folder: str
    serial: str
    peripherals: tuple[Window, ...]
    mpu: Mpu = Mpu.PMSAV7
    flash_base: int | None = None
    kept: range = range(0)
    slots: tuple[int, ...] = ()
    timer: Window | None = None
    timer_counts_up: bool = False
    tick_quarter_ns: int = 0
    harness_rom: Window | None = None
    harness_ram: Window | None = None

    @property
    def timer_value(self) -> int:
        """Address of the timer's count, of its low word."""
        assert self.timer is not None
        return self.timer.base + (8 if self.timer_counts_up else 4)

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
    timer = Window("timer 0", 0x40000000, 4 * KIB)
    return Board(
        machine=machine,
        folder="mps2",
        serial="none",
        peripherals=(timer,),
        flash_base=0,
        kept=range(0x20000000, 0x20100000),
        slots=(0x20100000, 0x20300000),
        timer=timer,
        tick_quarter_ns=160,
        harness_rom=Window("harness code", 0x00300000, MIB),
        harness_ram=Window("harness data", harness_ram_base, MIB),
    )


def _mps2_trustzone(machine: str) -> Board:
    # 4 MiB of code memory at 0 and twice 2 MiB of data memory from 0x28000000 on, which the core, in its secure state from reset
    # on, sees at 0x10000000 and 0x38000000. At 0x20000000 there are 32 KiB, less than any chip has: no memory keeps its address.
    timer = Window("timer 0", 0x50000000, 4 * KIB)
    return Board(
        machine=machine,
        folder="mps2",
        serial="none",
        peripherals=(timer,),
        mpu=Mpu.PMSAV8,
        flash_base=0x10000000,
        slots=(0x38000000, 0x38200000),
        timer=timer,
        tick_quarter_ns=200,
        harness_rom=Window("harness code", 0x10300000, MIB),
        harness_ram=Window("harness data", 0x38300000, MIB),
    )


MPS2_AN385 = _mps2("mps2-an385", 0x21000000)
MPS2_AN386 = _mps2("mps2-an386", 0x21000000)
MPS2_AN500 = _mps2("mps2-an500", 0x60000000)
MPS2_AN505 = _mps2_trustzone("mps2-an505")
_AN547_COUNTER = Window("system counter", 0x58100000, 4 * KIB)
MPS3_AN547 = Board(  # 512 KiB of ITCM at 0 and of DTCM at 0x20000000, 2 MiB of code memory at 0x01000000, DDR from 0x60000000 on
    machine="mps3-an547",
    folder="mps2",
    serial="none",
    peripherals=(_AN547_COUNTER,),
    mpu=Mpu.PMSAV8,
    flash_base=0,
    kept=range(0x20000000, 0x20080000),
    timer=_AN547_COUNTER,
    timer_counts_up=True,
    tick_quarter_ns=125,
    harness_rom=Window("harness code", 0x01000000, MIB),
    harness_ram=Window("harness data", 0x60000000, MIB),
)
_BOARDS = {board.machine: board for board in (MPS2_AN385, MPS2_AN386, MPS2_AN500, MPS2_AN505, MPS3_AN547)}
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
    """The board that stands in for a chip: the core that emulates its own, at least as much memory."""
    return _BOARDS[target.machine]


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
        keeps = board.flash_base is None or region.base in board.kept
        base = region.base if keeps else slots.pop(0)
        windows.append(Window(region.name, base, region.size_bytes))
    spans = sorted([flash, *windows], key=lambda window: window.base)
    assert all(low.end < high.base for low, high in pairwise(spans)), "memories touch on the board"
    return MemoryMap(flash, tuple(windows), target.flash_base, placement.regions)


class Access(Enum):
    """What the core may do with a memory."""

    FLASH = "read only, executable"
    RAM = "read and write, never executed"
    DEVICE = "registers of a peripheral"


class MpuEntry(Protocol):
    """One region of an MPU, as its two registers."""

    @property
    def comment(self) -> str: ...

    @property
    def registers(self) -> tuple[int, int]:
        """RBAR and RASR, or RBAR and RLAR."""

    def allows(self, address: int) -> bool: ...


_PMSAV7_EXECUTE_NEVER = 1 << 28
_PMSAV7_ATTRIBUTES = {
    Access.FLASH: 0b110 << 24 | 1 << 17,  # write-through
    Access.RAM: _PMSAV7_EXECUTE_NEVER | 0b011 << 24 | 0b11 << 16,  # write-back
    Access.DEVICE: _PMSAV7_EXECUTE_NEVER | 0b011 << 24 | 1 << 16,
}
# of RBAR: not shareable, access permission, execute never; and the index of the attributes that `mpu.c` has in MAIR0
_PMSAV8_ATTRIBUTES = {Access.FLASH: (0b11 << 1, 0), Access.RAM: (0b01 << 1 | 1, 1), Access.DEVICE: (0b01 << 1 | 1, 2)}
_PMSAV8_UNIT_BYTES = 32


@dataclass(frozen=True)
class Pmsav7Entry:
    """A power of two of bytes, aligned to its size, in eighths that can be switched off."""

    base: int
    size_bytes: int
    disabled_subregions: int
    access: Access
    comment: str

    @property
    def registers(self) -> tuple[int, int]:
        size_field = self.size_bytes.bit_length() - 2
        return self.base, _PMSAV7_ATTRIBUTES[self.access] | self.disabled_subregions << 8 | size_field << 1 | 1

    def allows(self, address: int) -> bool:
        """Whether the region contains an address, its disabled eighths left out."""
        offset = address - self.base
        return 0 <= offset < self.size_bytes and not self.disabled_subregions >> (offset * 8 // self.size_bytes) & 1


@dataclass(frozen=True)
class Pmsav8Entry:
    """Whole blocks of 32 bytes."""

    base: int
    size_bytes: int
    access: Access
    comment: str

    @property
    def registers(self) -> tuple[int, int]:
        permissions, attributes = _PMSAV8_ATTRIBUTES[self.access]
        limit = self.base + self.size_bytes - _PMSAV8_UNIT_BYTES
        return self.base | permissions, limit | attributes << 1 | 1

    def allows(self, address: int) -> bool:
        """Whether the region contains an address."""
        return self.base <= address < self.base + self.size_bytes


def mpu_cover(window: Window, access: Access, mpu: Mpu) -> list[MpuEntry]:
    """MPU regions that contain exactly the window's bytes."""
    return list(_pmsav8_cover(window, access) if mpu is Mpu.PMSAV8 else _pmsav7_cover(window, access))


def _pmsav8_cover(window: Window, access: Access) -> list[Pmsav8Entry]:
    if window.base % _PMSAV8_UNIT_BYTES or window.size_bytes % _PMSAV8_UNIT_BYTES or not window.size_bytes:
        raise ValueError(f"no MPU region is {window.size_bytes} bytes at 0x{window.base:08x} for {window.name}")
    return [Pmsav8Entry(window.base, window.size_bytes, access, _mpu_comment(window.name, window.base, window.size_bytes))]


def _pmsav7_cover(window: Window, access: Access) -> list[Pmsav7Entry]:
    """192 KiB are six eighths of 256 KiB."""
    entries = []
    start = window.base
    while start < window.end:
        base, size, eighths = max(
            (_widest_at(start, window.end, 1 << bits) for bits in range(8, 33)), key=lambda found: len(found[2]) * found[1]
        )
        size_bytes = len(eighths) * (size // 8)
        if not eighths:
            raise ValueError(f"no MPU region begins at 0x{start:08x} for {window.name}")
        disabled = 0xFF & ~sum(1 << i for i in eighths)
        entries.append(Pmsav7Entry(base, size, disabled, access, _mpu_comment(window.name, start, size_bytes)))
        start += size_bytes
    return entries


def _mpu_comment(name: str, base: int, size_bytes: int) -> str:
    return f"{name}: {size_bytes} bytes at 0x{base:08x}"


def _widest_at(start: int, end: int, size: int) -> tuple[int, int, range]:
    """The region of a size around `start`, and which of its eighths lie in [start, end), from start on."""
    base = start & ~(size - 1)
    eighth = size // 8
    if start % eighth:
        return base, size, range(0)
    return base, size, range((start - base) // eighth, max((start - base) // eighth, min(8, (end - base) // eighth)))


def mpu_entries(board: Board, memory: MemoryMap) -> list[MpuEntry]:
    """The firmware's MPU table: flash, the memories in use, the board's peripherals; nothing else."""
    entries = mpu_cover(memory.flash, Access.FLASH, board.mpu)
    for window in memory.ram:
        entries += mpu_cover(window, Access.RAM, board.mpu)
    for peripheral in board.peripherals:
        entries += mpu_cover(peripheral, Access.DEVICE, board.mpu)
    return entries


def harness_mpu_entries(board: Board) -> list[MpuEntry]:
    """What the verification build opens beside the firmware's table."""
    if board.harness_rom is None or board.harness_ram is None:
        return []
    return mpu_cover(board.harness_rom, Access.FLASH, board.mpu) + mpu_cover(board.harness_ram, Access.RAM, board.mpu)


def require_mpu_fits(entries: Sequence[MpuEntry]) -> None:
    """A placement that needs more regions than the MPU has is a bug of the mapping."""
    assert len(entries) <= MPU_NUM_REGIONS, f"{len(entries)} MPU regions, the core has {MPU_NUM_REGIONS}"
