from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flynet_tiny.codegen.targets import Target, get_target, list_targets, place
from flynet_tiny.firmware.board import (
    MPS2_AN386,
    MPS2_AN500,
    NETDUINOPLUS2,
    RAM_ATTRIBUTES,
    MpuEntry,
    Window,
    board_for,
    harness_mpu_entries,
    map_memory,
    mpu_cover,
    mpu_entries,
    require_mpu_fits,
)

KIB = 1024


def decode(entry: MpuEntry) -> set[tuple[int, int]]:
    """The address ranges that the two registers open, read from their bits as the architecture manual defines them."""
    assert entry.rasr & 1
    size = 1 << ((entry.rasr >> 1 & 0x1F) + 1)
    assert entry.rbar % size == 0, "a region is aligned to its size"
    disabled = entry.rasr >> 8 & 0xFF
    return {(entry.rbar + i * size // 8, entry.rbar + (i + 1) * size // 8) for i in range(8) if not disabled >> i & 1}


def opened(entries: list[MpuEntry]) -> list[tuple[int, int]]:
    """Merged ranges; two entries never open the same bytes."""
    pieces = sorted(piece for entry in entries for piece in decode(entry))
    merged: list[tuple[int, int]] = []
    for begin, end in pieces:
        assert not merged or begin >= merged[-1][1], "opened twice"
        if merged and begin == merged[-1][1]:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return merged


@pytest.mark.parametrize(
    "size", [96 * KIB, 128 * KIB, 192 * KIB, 256 * KIB, 288 * KIB, 320 * KIB, 524_288, 640 * KIB, 1024 * KIB]
)
def test_the_mpu_opens_exactly_a_window(size: int) -> None:
    window = Window("RAM", 0x20000000, size)
    assert opened(mpu_cover(window, RAM_ATTRIBUTES)) == [(window.base, window.end)]


def test_six_eighths_of_256_kib_are_192_kib_in_one_region() -> None:
    (entry,) = mpu_cover(Window("RAM", 0x20000000, 192 * KIB), RAM_ATTRIBUTES)
    assert entry.disabled_subregions == 0b11000000


@given(st.integers(0, 1 << 20), st.integers(1, 1 << 16))
def test_any_window_of_whole_32_byte_blocks_is_opened_exactly(begin_blocks: int, num_blocks: int) -> None:
    window = Window("any", 32 * begin_blocks, 32 * num_blocks)
    assert opened(mpu_cover(window, RAM_ATTRIBUTES)) == [(window.base, window.end)]


def test_a_window_that_no_region_can_make_is_refused() -> None:
    with pytest.raises(ValueError, match="0x20000010"):
        mpu_cover(Window("RAM", 0x20000010, 64), RAM_ATTRIBUTES)


@pytest.mark.parametrize("target", list_targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("large", [False, True], ids=["small arena", "largest arena"])
def test_every_chip_fits_the_board_and_its_mpu(target: Target, large: bool) -> None:
    arena_bytes = max(region.size_bytes for region in target.regions) - 4096 if large else 4096
    board = board_for(target)
    placement = place(target, arena_bytes, 1024, 256)
    memory = map_memory(board, placement)
    entries = mpu_entries(board, memory)
    require_mpu_fits([*entries, *harness_mpu_entries(board)])
    assert memory.flash.size_bytes == target.flash_bytes
    assert [window.size_bytes for window in memory.ram] == [region.size_bytes for region in placement.regions]
    windows = sorted([memory.flash, *memory.ram, *board.peripherals], key=lambda window: window.base)
    assert opened(entries) == [(window.base, window.end) for window in windows]
    assert board.harness_rom is not None
    assert board.harness_ram is not None
    everything = sorted([*windows, board.harness_rom, board.harness_ram], key=lambda window: window.base)
    assert all(low.end < high.base for low, high in pairwise(everything)), "a byte between any two windows traps"


def test_cores_get_boards_of_their_own() -> None:
    assert board_for(get_target("stm32f412")) is MPS2_AN386
    assert board_for(get_target("stm32h743")) is MPS2_AN500


def test_qemus_stm32f405_has_no_ccm() -> None:
    assert [bank.name for bank in NETDUINOPLUS2.visible(get_target("stm32f405")).data_banks] == ["SRAM1", "SRAM2"]
    assert MPS2_AN386.visible(get_target("stm32f405")) == get_target("stm32f405")


def test_the_map_says_where_a_chips_memory_lies() -> None:
    memory = map_memory(MPS2_AN500, place(get_target("stm32h743"), 400_000, 1024, 256))
    assert memory.lines == (
        "flash: 2097152 bytes at 0x00000000, on the chip at 0x08000000",
        "DTCM: 131072 bytes at 0x20000000",
        "AXI_SRAM: 524288 bytes at 0x20100000, on the chip at 0x24000000",
    )
