"""What only a running board can show: the same numbers, exact counts, and that nothing outside the chip's memory exists."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from flynet_tiny.codegen.targets import Core, Target, get_target, place
from flynet_tiny.errors import EmulationFailed
from flynet_tiny.firmware.board import NETDUINOPLUS2, Board, Window, board_for, map_memory
from flynet_tiny.firmware.project import (
    BuiltFirmware,
    FittedFirmware,
    build_firmware,
    fit_firmware,
    output_hash,
    self_test_inputs,
    write_firmware,
)
from flynet_tiny.verify.qemu import run_emulated, run_self_test

from ..tiny_library import HARMLESS, TABLE, tiny_inputs, tiny_library, tiny_twin

INPUTS = tiny_inputs(5)
EXPECTED = output_hash(tiny_library(), [tiny_twin(self_test_inputs(tiny_library())[0])])


def fit(folder: Path, target: str, helper: str = HARMLESS, first: str = "", board: Board | None = None) -> FittedFirmware:
    return fit_firmware(tiny_library(helper, first), get_target(target), folder, EXPECTED, board=board)


@pytest.fixture(scope="module", params=["stm32f412", "stm32h743", "stm32g0b1", "stm32u575", "mps3-an547"])
def fitted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FittedFirmware:
    return fit(tmp_path_factory.mktemp(request.param), request.param)


def test_every_tensor_of_every_input_equals_the_twin(fitted: FittedFirmware) -> None:
    progress: list[tuple[int, int]] = []
    run = run_emulated(fitted.firmware, tiny_library(), INPUTS, progress=lambda done, total: progress.append((done, total)))
    assert len(run.sets) == len(INPUTS)
    for inputs, result in zip(INPUTS, run.sets, strict=True):
        twin = tiny_twin(inputs)
        assert list(result.tensors) == ["image", "tripled", "reversed"]
        for name, values in result.tensors.items():
            np.testing.assert_array_equal(values, twin[name])
    assert progress[0] == (0, 5)
    assert progress[-1] == (5, 5)
    assert progress == sorted(progress)


def test_many_inputs_bring_only_outputs(fitted: FittedFirmware) -> None:
    many = tiny_inputs(400)
    run = run_emulated(fitted.firmware, tiny_library(), many, trace=False, count=False)
    assert run.instructions_per_op is None
    for inputs, result in zip(many, run.sets, strict=True):
        np.testing.assert_array_equal(result.outputs["reversed"], tiny_twin(inputs)["reversed"])


def test_the_self_test_passes_and_measures_itself(fitted: FittedFirmware) -> None:
    result = run_self_test(fitted.firmware)
    assert result.passed
    assert 0 < result.stack_bytes <= fitted.stack_bound_bytes
    assert result.instructions is not None


def test_instructions_are_counted_only_when_time_stands_for_them(fitted: FittedFirmware) -> None:
    result = run_self_test(fitted.firmware, count=False)
    assert result.passed
    assert result.instructions is None


def test_the_self_test_fails_on_another_hash(tmp_path: Path) -> None:
    fitted = fit_firmware(tiny_library(), get_target("stm32f412"), tmp_path, EXPECTED ^ 1, verify=False)
    result = run_self_test(fitted.firmware)
    assert not result.passed
    assert f"output hash 0x{EXPECTED:08x}, expected 0x{EXPECTED ^ 1:08x}\nFAIL\n" in result.output


def test_counts_are_the_same_on_every_run(fitted: FittedFirmware) -> None:
    counts = {run_emulated(fitted.firmware, tiny_library(), INPUTS[:1]).instructions_per_op for _ in range(3)}
    untraced = run_emulated(fitted.firmware, tiny_library(), INPUTS[:1], trace=False)
    assert counts == {untraced.instructions_per_op}


def test_one_more_instruction_counts_as_one(fitted: FittedFirmware, tmp_path: Path) -> None:
    longer = fit(
        tmp_path,
        fitted.placement.target.name,
        helper='void helper(uint8_t *output) { (void)output; __asm volatile(".rept 300\\n nop\\n .endr"); }',
        first='__asm volatile("nop");',
    )
    before = run_emulated(fitted.firmware, tiny_library(), INPUTS[:1]).instructions_per_op
    after = run_emulated(longer.firmware, tiny_library(), INPUTS[:1]).instructions_per_op
    assert before is not None
    assert after == (before[0] + 1, before[1] + 300)
    plain = [run_self_test(firmware).instructions for firmware in (fitted.firmware, longer.firmware)]
    assert plain[1] == plain[0] + 301, "the firmware counts itself, in another build and in another way"


def test_the_operators_add_up_to_the_inference(fitted: FittedFirmware) -> None:
    total = run_self_test(fitted.firmware).instructions
    per_op = run_emulated(fitted.firmware, tiny_library(), INPUTS[:1]).total_instructions
    assert total is not None
    assert per_op is not None
    assert 0 <= total - per_op < 30, "entry, exit and reading the timer; the hook's own cost is taken off"


def test_three_hundred_million_instructions_are_counted_to_the_last(tmp_path: Path) -> None:
    # Three instructions a turn.
    loop = (
        "static const uint32_t turns[2] = {1, 100000001}; uint32_t n = turns[input0[0] & 1];"
        '__asm volatile("1: subs %0, #1\\n nop\\n bne 1b" : "+r"(n) : : "cc");'
    )
    firmware = fit(tmp_path, "stm32f412", first=loop).firmware
    images = [{"image": np.full(64, value, np.int8)} for value in (0, 1)]
    counts = [run_emulated(firmware, tiny_library(), [image]).instructions_per_op for image in images]
    assert counts[0] is not None
    assert counts[1] == (counts[0][0] + 300_000_000, counts[0][1])


def test_the_stack_of_an_operator_is_measured(fitted: FittedFirmware, tmp_path: Path) -> None:
    deep = "void helper(uint8_t *output) { volatile uint8_t b[500]; b[0] = output[0]; output[1] = b[0]; }"
    deeper = fit(tmp_path, fitted.placement.target.name, deep)
    before, after = (run_emulated(f.firmware, tiny_library(), INPUTS[:1]).stack_bytes for f in (fitted, deeper))
    assert after >= 500
    assert 490 <= after - before <= 520
    assert after < deeper.stack_bound_bytes
    assert 0 <= deeper.placement.stack.size_bytes - deeper.stack_bound_bytes < 8


def test_qemus_stm32f405_runs_at_the_real_addresses_and_speaks_on_its_uart(tmp_path: Path) -> None:
    fitted = fit(tmp_path, "stm32f405", board=NETDUINOPLUS2)
    result = run_self_test(fitted.firmware, count=False)
    assert result.passed
    assert result.output.startswith("flynet-tiny self-test: tiny on STM32F405xG\n")
    assert "ORIGIN = 0x08000000" in (tmp_path / "firmware.ld").read_text()
    with pytest.raises(ValueError, match="no verification harness"):
        run_emulated(fitted.firmware, tiny_library(), INPUTS)


# The code of ARMv6-M runs on a Cortex-M3, which takes more than that: QEMU's Cortex-M0 takes nothing else, in 16 KiB.
MICROBIT = Board(
    machine="microbit",
    folder="mps2",
    serial="none",
    peripherals=(),
    flash_base=0,
    kept=range(0x20000000, 0x20004000),
    timer=Window("where the clock control is, which ignores what it is told", 0x40000000, 4096),
    tick_quarter_ns=160,
)


def fit_armv6(folder: Path, helper: str = HARMLESS) -> FittedFirmware:
    target = get_target("stm32g0b1")
    small = replace(target, flash_bytes=256 * 1024, banks=(replace(target.banks[0], size_bytes=16 * 1024),))
    return fit_firmware(tiny_library(helper), small, folder, EXPECTED, board=MICROBIT)


def test_a_core_of_armv6m_runs_the_firmware(tmp_path: Path) -> None:
    assert run_self_test(fit_armv6(tmp_path).firmware, count=False).passed


@pytest.mark.parametrize(
    "crime",
    ["*(volatile uint8_t *)at = 1;", '__asm volatile("ldr r2, [%0]" : : "r"(output + 1) : "r2", "memory");'],
    ids=["outside", "unaligned"],
)
def test_a_core_that_names_no_cause_says_where(tmp_path: Path, crime: str) -> None:
    address = "volatile uint32_t at = 0x30000000u + (uint32_t)(output == NULL);"
    firmware = fit_armv6(tmp_path, f"void helper(uint8_t *output) {{ {address} {crime} (void)at; }}")
    said = r"faulted: hard fault, of which this core says no more, pc 0x[0-9a-f]{8}, exception 3, in (helper|tiny_reverse)$"
    with pytest.raises(EmulationFailed, match=said):
        run_self_test(firmware.firmware, count=False)


# Crimes. The image's last byte chooses one, so that one firmware holds them all.


FIRST_CRIME, HANG = 100, 255
SELF_TEST_BYTE = int(tiny_twin(self_test_inputs(tiny_library())[0])["reversed"][0]) & 0xFF  # the crime of the self-test


@dataclass(frozen=True)
class Crime:
    code: str
    fault: str


def crimes(target: Target) -> dict[str, Crime]:
    board, placement = board_for(target), place(target, tiny_library().arena_bytes, 1024, 256)
    board_map = map_memory(board, placement)
    flash, stack_ram, last_ram = board_map.flash, board_map.ram[0], board_map.ram[-1]
    elsewhere = board.slots[-1] + 0xFFFF0
    is_armv6 = target.core is Core.CORTEX_M0PLUS
    load = "ldr r2, [%0]" if is_armv6 else "ldrd r2, r3, [%0]"
    at_the_limit = ", pc 0x00000000, exception 6, CFSR 0x00100000" if target.core is Core.CORTEX_M33 else ""  # STKOF

    def write(address: int) -> str:
        return f"volatile uint32_t at = 0x{address:08x}u; *(volatile uint8_t *)at = 1;"

    def read(address: int) -> str:
        return f"volatile uint32_t at = 0x{address:08x}u; (void)*(volatile uint8_t *)at;"

    outside = f"access outside the memory of {target.part}, address 0x{{:08x}}"
    return {
        "innocent": Crime(write(last_ram.end - 1), ""),
        "read the last byte of flash": Crime(read(flash.end - 1), ""),
        "one byte past RAM": Crime(write(last_ram.end), outside.format(last_ram.end)),
        "read one byte past RAM": Crime(read(last_ram.end), outside.format(last_ram.end)),
        "one byte below RAM": Crime(write(stack_ram.base - 1), f"stack overflow, address 0x{stack_ram.base - 1:08x}"),
        "far below RAM": Crime(write(stack_ram.base - 0x100000), outside.format(stack_ram.base - 0x100000)),
        "the board's other memory": Crime(write(elsewhere), outside.format(elsewhere)),
        "write to flash": Crime(write(flash.base + 0x400), f"write to flash, address 0x{flash.base + 0x400:08x}"),
        "past the end of flash": Crime(read(flash.end), outside.format(flash.end)),
        "execute from RAM": Crime(
            "static const uint16_t code[2] = {0x4770, 0x4770}; memcpy(output, code, 4);"
            "((void (*)(void))(uintptr_t)(output + 1))();",
            "execution from RAM",
        ),
        "execute from nowhere": Crime("((void (*)(void))0x1F000001u)();", "execution outside flash"),
        "recursion": Crime("recurse(output, 1000000);", "stack overflow" + at_the_limit),
        "undefined instruction": Crime("__builtin_trap();", "undefined instruction"),
        "division by zero": Crime(  # a function on a core that cannot divide, which knows no fault
            "volatile int zero = 0; output[0] = (uint8_t)(7 / zero);", "" if is_armv6 else "division by zero"
        ),
        "an Arm address": Crime(
            f"((void (*)(void))(uintptr_t)0x{flash.base + 0x1000:08x}u)();", "jump to an address without the Thumb bit"
        ),
        "unaligned load": Crime(f'__asm volatile("{load}" : : "r"(output + 1) : "r2", "r3", "memory");', "unaligned access"),
    }


def harness_ram(target: Target) -> int:
    window = board_for(target).harness_ram
    assert window is not None
    return window.base


def criminal_helper(target: Target) -> str:
    cases = "".join(f"case {i}: {{ {crime.code} break; }}\n" for i, crime in enumerate(crimes(target).values(), FIRST_CRIME))
    return (
        "uint8_t recurse(volatile uint8_t *bytes, int depth);\n"
        "uint8_t recurse(volatile uint8_t *bytes, int depth) {"
        " volatile uint8_t frame[16]; frame[depth & 15] = bytes[0];"
        " return depth == 0 ? frame[0] : (uint8_t)(recurse(frame, depth - 1) + frame[depth & 15]); }\n"
        f"void helper(uint8_t *output) {{ switch (output[0]) {{ {cases}"
        f"case {HANG}: for (;;) {{ ((volatile uint8_t *)output)[0] = 0; }}\n"
        f"case {SELF_TEST_BYTE}: {{ volatile uint32_t at = {harness_ram(target)}u; *(volatile uint8_t *)at = 1; break; }}\n"
        "default: break; } }"
    )


def image_for(crime: int) -> dict[str, npt.NDArray[np.int8]]:
    image = np.zeros(64, np.int64)
    image[63] = ((crime ^ (TABLE[0] & 0xFF)) - 1) * 171 % 256  # 171 * 3 = 513 = 1 modulo 256
    inputs = {"image": image.astype(np.uint8).view(np.int8)}
    assert int(tiny_twin(inputs)["reversed"][0]) & 0xFF == crime
    return inputs


CRIMINAL_TARGETS = ("stm32f401", "stm32f469", "stm32h743", "stm32g0b1", "stm32f207", "stm32u575")


@pytest.fixture(scope="module", params=CRIMINAL_TARGETS)
def criminal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Target, BuiltFirmware]:
    target = get_target(request.param)
    library = tiny_library(criminal_helper(target))
    placement = place(target, library.arena_bytes, 1024, 256)
    folder = tmp_path_factory.mktemp(request.param)
    board = write_firmware(library, placement, folder, EXPECTED)
    return target, build_firmware(folder, library, placement, board)


@pytest.mark.parametrize("name", list(crimes(get_target("stm32f412"))))
def test_crimes_are_caught_and_named(criminal: tuple[Target, BuiltFirmware], name: str) -> None:
    target, firmware = criminal
    table = crimes(target)
    inputs = image_for(FIRST_CRIME + list(table).index(name))
    if not table[name].fault:
        run_emulated(firmware, tiny_library(), [inputs], count=False)
        return
    with pytest.raises(EmulationFailed) as caught:
        run_emulated(firmware, tiny_library(), [inputs], count=False)
    message = str(caught.value)
    assert message.startswith(f"the emulated board faulted: {table[name].fault}")
    assert "\n" not in message
    if name in ("write to flash", "one byte past RAM", "division by zero"):
        assert message.endswith(", in tiny_reverse") or message.endswith(", in helper"), "the function is named"


def test_the_firmware_itself_is_caught_too(criminal: tuple[Target, BuiltFirmware]) -> None:
    target, firmware = criminal
    fault = f"access outside the memory of {target.part}, address 0x{harness_ram(target):08x}, pc 0x"
    with pytest.raises(EmulationFailed, match=f"^the emulated board faulted: {fault}.* in (helper|tiny_reverse)$"):
        run_self_test(firmware)


def test_a_hang_ends(criminal: tuple[Target, BuiltFirmware]) -> None:
    _, firmware = criminal
    with pytest.raises(EmulationFailed, match=r"did not end within 0\.3 s"):
        run_emulated(firmware, tiny_library(), [image_for(HANG)], timeout_s=0.3)


def test_a_stack_that_is_too_small_is_named_in_the_middle_of_a_line(tmp_path: Path) -> None:
    library = tiny_library()
    placement = place(get_target("stm32f412"), library.arena_bytes, 64, 256)
    board = write_firmware(library, placement, tmp_path, EXPECTED)
    firmware = build_firmware(tmp_path, library, placement, board, verify=False)
    with pytest.raises(EmulationFailed, match=r"faulted: stack overflow, address 0x1fff"):
        run_self_test(firmware)


def test_an_emulator_that_cannot_start_is_an_error(fitted: FittedFirmware) -> None:
    broken = replace(fitted.firmware, board=replace(fitted.firmware.board, machine="no-such-board"))
    with pytest.raises(EmulationFailed, match="unsupported machine"):
        run_self_test(broken)
