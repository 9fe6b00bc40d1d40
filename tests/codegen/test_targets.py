from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flynet_tiny.codegen.targets import (
    BankKind,
    Core,
    Fpu,
    Mpu,
    Placement,
    Target,
    get_target,
    list_targets,
    place,
    too_much_flash,
)
from flynet_tiny.errors import OverBudget, UnknownTarget

KIB = 1024


def used(placement: Placement) -> dict[str, int]:
    return {use.bank.name: use.used_bytes for use in placement.banks}


def test_every_f4_f7_and_h7_of_the_facts_is_there() -> None:
    names = {target.name for target in list_targets()}
    assert {f"stm32f{n}" for n in (401, 405, 407, 411, 412, 413, 427, 429, 446, 469, 722, 746, 767)} <= names
    assert {f"stm32h{n}" for n in ("723", "735", "743", "747", "750", "753", "7a3")} <= names


CHIPS_OF = {
    Core.CORTEX_M0PLUS: {"stm32g0b1", "rp2040"},
    Core.CORTEX_M3: {"stm32f103", "stm32f207"},
    Core.CORTEX_M33: {"stm32u575", "stm32u585", "stm32h563", "stm32l552", "nrf5340", "ra6m5"},
    Core.CORTEX_M55: {"mps3-an547"},
}


@pytest.mark.parametrize("core", CHIPS_OF, ids=lambda core: core.value)
def test_the_other_cores_have_their_chips(core: Core) -> None:
    assert {target.name for target in list_targets() if target.core is core} == CHIPS_OF[core]


@pytest.mark.parametrize("name", ["nrf52840", "ra4m1", "stm32l4r5"])
def test_other_vendors_and_families_have_a_cortex_m4_too(name: str) -> None:
    assert (get_target(name).core, get_target(name).fpu) == (Core.CORTEX_M4, Fpu.FPV4_SP)


def test_flags_and_units_follow_the_core() -> None:
    soft = {"rp2040": "cortex-m0plus", "stm32f207": "cortex-m3"}
    for name, cpu in soft.items():
        target = get_target(name)
        assert target.gcc_flags == (f"-mcpu={cpu}", "-mthumb", "-mfloat-abi=soft")
        assert (target.fpu, target.core.has_dsp, target.core.mpu, target.machine) == (None, False, Mpu.PMSAV7, "mps2-an385")
    m33 = get_target("stm32u585")
    assert m33.gcc_flags == ("-mcpu=cortex-m33", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard")
    assert (m33.core.has_dsp, m33.core.mpu, m33.machine) == (True, Mpu.PMSAV8, "mps2-an505")
    m55 = get_target("mps3-an547")
    assert m55.gcc_flags == ("-mcpu=cortex-m55+nomve", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard")
    assert (m55.core.has_dsp, m55.core.mpu, m55.machine) == (True, Mpu.PMSAV8, "mps3-an547")
    assert get_target("stm32f412").core.has_dsp
    assert [core for core in Core if core.emulated_core is not core] == [Core.CORTEX_M0PLUS]


def test_one_chip_has_no_mpu() -> None:
    assert [target.name for target in list_targets() if not target.has_mpu] == ["stm32f103"]


def test_what_the_emulated_board_does_not_show_is_said() -> None:
    (core,) = get_target("stm32g0b1").emulation_notes
    assert core.startswith("emulated on mps2-an385, whose cortex-m3 runs the code compiled for the cortex-m0plus")
    (mpu,) = get_target("stm32f103").emulation_notes
    assert mpu.startswith("the STM32F103xE has no MPU: that of mps2-an385 guarded the memory here")
    assert [get_target(name).emulation_notes for name in ("stm32f412", "stm32f207", "stm32u585")] == [(), (), ()]


@pytest.mark.parametrize("target", list_targets(), ids=lambda target: target.name)
def test_every_chip_has_its_sources_and_the_fpu_of_its_core(target: Target) -> None:
    assert target.sources
    assert all(target.sources)
    assert (target.fpu is None) == (target.core in (Core.CORTEX_M0PLUS, Core.CORTEX_M3))


def test_the_stm32f412_is_as_in_its_reference_manual() -> None:
    target = get_target("STM32F412")
    assert (target.core, target.fpu, target.machine) == (Core.CORTEX_M4, Fpu.FPV4_SP, "mps2-an386")
    assert (target.flash_base, target.flash_bytes, target.ram_bytes) == (0x08000000, 1024 * KIB, 256 * KIB)
    assert target.gcc_flags == ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")


def test_an_unknown_name_gets_the_nearest_ones() -> None:
    with pytest.raises(UnknownTarget, match="did you mean stm32f429 or"):
        get_target("stm32f421")


@pytest.mark.parametrize(
    ("name", "sizes_kib"),
    [
        ("stm32f401", [96]),
        ("stm32f405", [64, 128]),
        ("stm32f429", [64, 192]),
        ("stm32f469", [64, 320]),
        ("stm32f746", [320]),
        ("stm32f767", [512]),
        ("stm32h743", [128, 512, 288, 64]),
        ("stm32h7a3", [128, 1024, 128, 32]),
        ("stm32l4r5", [640]),
        ("stm32f413", [320]),
        ("stm32f427", [64, 192]),
        ("stm32f722", [256]),
        ("stm32h735", [128, 320, 32, 16]),
        ("stm32f103", [64]),
        ("stm32f207", [128]),
        ("stm32g0b1", [144]),
        ("rp2040", [264]),
        ("stm32u575", [768, 16]),
        ("stm32u585", [768, 16]),
        ("stm32h563", [640]),
        ("stm32l552", [256]),
        ("nrf52840", [256]),
        ("nrf5340", [512]),
        ("ra4m1", [32]),
        ("ra6m5", [512]),
    ],
)
def test_banks_that_touch_make_one_region(name: str, sizes_kib: list[int]) -> None:
    assert [region.size_bytes // KIB for region in get_target(name).regions] == sizes_kib


@pytest.mark.parametrize("target", list_targets(), ids=lambda target: target.name)
def test_banks_are_sorted_named_once_and_never_overlap(target) -> None:  # type: ignore[no-untyped-def]
    assert len({bank.name for bank in target.banks}) == len(target.banks)
    for low, high in pairwise(target.banks):
        assert low.end <= high.base
    assert all(bank.size_bytes > 0 for bank in target.banks)
    assert not any(bank.kind in (BankKind.ITCM, BankKind.BACKUP) for bank in target.data_banks)


def test_a_single_region_holds_stack_then_statics_then_arena() -> None:
    target = get_target("stm32f412")
    placement = place(target, arena_bytes=200_000, stack_bytes=2050, static_bytes=100)
    assert placement.stack.base == 0x20000000
    assert placement.stack.size_bytes == 2056
    assert placement.statics.base == placement.stack.end
    assert placement.arena.base == 0x20000000 + 2160
    assert used(placement) == {"SRAM1": 2056 + 100 + 200_000}


def test_the_last_byte_fits_and_one_more_does_not() -> None:
    target = get_target("stm32f412")
    place(target, 256 * KIB - 2048 - 256, 2048, 256)
    with pytest.raises(OverBudget, match=r"needs 262,145 B of RAM .*arena 259,841.*262,144 B \(1 B too much\)"):
        place(target, 256 * KIB - 2048 - 256 + 1, 2048, 256)


def test_an_arena_may_cross_banks_that_touch() -> None:
    assert used(place(get_target("stm32f405"), 120_000, 2048, 256)) == {
        "CCM": 0,
        "SRAM1": 114_688,
        "SRAM2": 120_000 + 2048 + 256 - 114_688,
    }


def test_an_arena_never_crosses_a_gap() -> None:
    with pytest.raises(OverBudget, match=r"largest piece is SRAM1\+SRAM2 with 131,072 B"):
        place(get_target("stm32f405"), 131_073, 1024, 0)


def test_stack_moves_to_ccm_when_the_arena_fills_the_sram() -> None:
    placement = place(get_target("stm32f405"), 131_072, 2048, 256)
    assert used(placement) == {"CCM": 2304, "SRAM1": 114_688, "SRAM2": 16_384}
    assert placement.stack.base == 0x10000000


def test_statics_never_leave_the_region_of_the_stack() -> None:
    """The arena fills the SRAM, the stack fits into the 64 KiB of CCM, but not with these statics."""
    target = get_target("stm32f405")
    assert used(place(target, 131_072, 2048, 63_488))["CCM"] == 65_536
    with pytest.raises(OverBudget):
        place(target, 131_072, 2048, 63_489)


def test_a_large_arena_takes_axi_and_leaves_the_stack_in_dtcm() -> None:
    placement = place(get_target("stm32h743"), 400_000, 4096, 512)
    assert placement.arena_region.name == "AXI_SRAM"
    assert placement.stack_region.name == "DTCM"
    assert used(placement)["DTCM"] == 4608


def test_a_small_arena_shares_dtcm_with_the_stack() -> None:
    assert used(place(get_target("stm32h743"), 100_000, 4096, 512))["DTCM"] == 104_608


def test_ccm_is_the_last_choice_for_an_arena() -> None:
    assert place(get_target("stm32f429"), 50_000, 1024, 64).arena_region.base == 0x20000000


def test_too_much_flash_is_said_with_its_numbers() -> None:
    said = str(too_much_flash(get_target("stm32f412"), 1_048_577, "balanced"))
    assert said.startswith("needs 1,048,577 B of flash, stm32f412 has 1,048,576 B (1 B too much); try --optimize size, ")


def test_what_is_set_already_is_no_advice() -> None:
    assert "--optimize" not in str(too_much_flash(get_target("stm32f412"), 1_048_577, "size"))


@given(
    st.sampled_from(list_targets()),
    st.integers(1, 1_200_000),
    st.integers(64, 20_000),
    st.one_of(st.integers(0, 20_000), st.integers(0, 600_000)),
)
def test_a_placement_stays_in_its_regions_without_overlap(target, arena_bytes, stack_bytes, static_bytes) -> None:  # type: ignore[no-untyped-def]
    try:
        placement = place(target, arena_bytes, stack_bytes, static_bytes)
    except OverBudget:
        largest = max(region.size_bytes for region in target.regions)
        assert arena_bytes + stack_bytes + static_bytes + 32 > largest
        return
    spans = sorted((placement.stack, placement.statics, placement.arena), key=lambda span: (span.base, span.end))
    assert all(low.end <= high.base for low, high in pairwise(spans))
    assert placement.stack.base == placement.stack_region.base
    assert placement.statics.end <= placement.stack_region.end
    assert placement.arena_region.base <= placement.arena.base <= placement.arena.end <= placement.arena_region.end
    assert placement.arena.base % 16 == 0
    assert placement.stack.size_bytes >= stack_bytes
    assert sum(use.used_bytes for use in placement.banks) == placement.used_bytes
    assert all(0 <= use.used_bytes <= use.bank.size_bytes for use in placement.banks)


def test_a_bank_between_two_others_that_is_no_data_bank_parts_them() -> None:
    target = get_target("stm32f429")
    banks = tuple(replace(bank, kind=BankKind.BACKUP) if bank.name == "SRAM2" else bank for bank in target.banks)
    assert [region.name for region in replace(target, banks=banks).regions] == ["CCM", "SRAM1", "SRAM3"]
