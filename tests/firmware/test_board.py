from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flynet_tiny.codegen.targets import Mpu, Target, get_target, list_targets, place
from flynet_tiny.firmware.board import (
    ICOUNT_SHIFT,
    MPS2_AN385,
    MPS2_AN386,
    MPS2_AN500,
    MPS2_AN505,
    MPS3_AN547,
    NETDUINOPLUS2,
    Access,
    Board,
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


def decode(entry: MpuEntry, mpu: Mpu) -> set[tuple[int, int]]:
    """The address ranges that the two registers open, read from their bits as the architecture manuals define them."""
    rbar, second = entry.registers
    assert second & 1
    if mpu is Mpu.PMSAV8:
        return {(rbar & ~31, (second | 31) + 1)}
    size = 1 << ((second >> 1 & 0x1F) + 1)
    assert size >= 256, "PMSAv6 has no smaller ones"
    assert rbar % size == 0, "a region is aligned to its size"
    disabled = second >> 8 & 0xFF
    return {(rbar + i * size // 8, rbar + (i + 1) * size // 8) for i in range(8) if not disabled >> i & 1}


def opened(entries: list[MpuEntry], mpu: Mpu = Mpu.PMSAV7) -> list[tuple[int, int]]:
    """Merged ranges; two entries never open the same bytes."""
    pieces = sorted(piece for entry in entries for piece in decode(entry, mpu))
    merged: list[tuple[int, int]] = []
    for begin, end in pieces:
        assert not merged or begin >= merged[-1][1], "opened twice"
        if merged and begin == merged[-1][1]:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return merged


@pytest.mark.parametrize("mpu", Mpu, ids=lambda mpu: mpu.value)
@pytest.mark.parametrize(
    "size", [96 * KIB, 128 * KIB, 192 * KIB, 256 * KIB, 288 * KIB, 320 * KIB, 524_288, 640 * KIB, 1024 * KIB]
)
def test_the_mpu_opens_exactly_a_window(size: int, mpu: Mpu) -> None:
    window = Window("RAM", 0x20000000, size)
    entries = mpu_cover(window, Access.RAM, mpu)
    assert opened(entries, mpu) == [(window.base, window.end)]
    for address in (window.base - 1, window.base, window.end - 1, window.end):
        assert any(entry.allows(address) for entry in entries) == (window.base <= address < window.end)


def test_six_eighths_of_256_kib_are_192_kib_in_one_region() -> None:
    (entry,) = mpu_cover(Window("RAM", 0x20000000, 192 * KIB), Access.RAM, Mpu.PMSAV7)
    assert entry.registers[1] >> 8 & 0xFF == 0b11000000


@given(st.integers(0, 1 << 20), st.integers(1, 1 << 16))
def test_any_window_of_whole_32_byte_blocks_is_opened_exactly(begin_blocks: int, num_blocks: int) -> None:
    window = Window("any", 32 * begin_blocks, 32 * num_blocks)
    assert opened(mpu_cover(window, Access.RAM, Mpu.PMSAV7)) == [(window.base, window.end)]


@given(st.integers(0, 1 << 20), st.integers(1, 1 << 16), st.sampled_from(Access))
def test_pmsav8_opens_any_window_of_whole_32_byte_blocks_with_one_region(begin: int, num_blocks: int, access: Access) -> None:
    window = Window("any", 32 * begin, 32 * num_blocks)
    entries = mpu_cover(window, access, Mpu.PMSAV8)
    assert len(entries) == 1
    assert opened(entries, Mpu.PMSAV8) == [(window.base, window.end)]


@pytest.mark.parametrize("mpu", Mpu, ids=lambda mpu: mpu.value)
def test_memories_are_read_written_and_executed_as_they_should_be(mpu: Mpu) -> None:
    """The bits for permission and execute never, as the architecture manuals define them; 2 is the index of a device."""
    window = Window("RAM", 0x20000000, 128 * KIB)
    bits = {access: mpu_cover(window, access, mpu)[0].registers for access in Access}
    if mpu is Mpu.PMSAV8:
        assert {access: (rbar >> 1 & 3, rbar & 1) for access, (rbar, _) in bits.items()} == {
            Access.FLASH: (0b11, 0), Access.RAM: (0b01, 1), Access.DEVICE: (0b01, 1),
        }  # fmt: skip
        assert [rlar >> 1 & 7 for _, rlar in bits.values()] == [0, 1, 2]
    else:
        assert {access: (rasr >> 24 & 7, rasr >> 28 & 1) for access, (_, rasr) in bits.items()} == {
            Access.FLASH: (0b110, 0), Access.RAM: (0b011, 1), Access.DEVICE: (0b011, 1),
        }  # fmt: skip


@pytest.mark.parametrize("mpu", Mpu, ids=lambda mpu: mpu.value)
def test_a_window_that_no_region_can_make_is_refused(mpu: Mpu) -> None:
    with pytest.raises(ValueError, match="0x20000010"):
        mpu_cover(Window("RAM", 0x20000010, 64), Access.RAM, mpu)


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
    assert opened(entries, board.mpu) == [(window.base, window.end) for window in windows]
    assert board.harness_rom is not None
    assert board.harness_ram is not None
    everything = sorted([*windows, board.harness_rom, board.harness_ram], key=lambda window: window.base)
    assert all(low.end < high.base for low, high in pairwise(everything)), "a byte between any two windows traps"
    assert all(window.end < board.harness_ram.base for window in memory.ram), (
        "a limit of the chip's stack is one of the harness's"
    )


BOARDS = {
    "stm32f412": MPS2_AN386,
    "stm32h743": MPS2_AN500,
    "stm32f207": MPS2_AN385,
    "stm32g0b1": MPS2_AN385,
    "stm32u585": MPS2_AN505,
    "mps3-an547": MPS3_AN547,
}


@pytest.mark.parametrize("name", BOARDS)
def test_cores_get_boards_of_their_own(name: str) -> None:
    assert board_for(get_target(name)) is BOARDS[name]


@pytest.mark.parametrize("board", list(dict.fromkeys(BOARDS.values())), ids=lambda board: board.machine)
def test_an_instruction_takes_longer_than_two_ticks(board: Board) -> None:
    """The timer is read a tick too early or too late on either side; half an instruction decides."""
    assert 2 * board.tick_quarter_ns <= 4 << ICOUNT_SHIFT


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
