import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.codegen.c_library import CLibrary
from flynet_tiny.codegen.targets import get_target, place
from flynet_tiny.errors import MissingTool, OverBudget
from flynet_tiny.firmware.elf import read_elf
from flynet_tiny.firmware.project import build_firmware, fit_firmware, output_hash, self_test_inputs, write_firmware
from flynet_tiny.firmware.toolchain import Tool, find_tool, run_tool
from flynet_tiny.verify.qemu import run_self_test

from ..tiny_library import tiny_library

LIBRARY = tiny_library()


def snapshot(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_self_test_input_is_knuths_generator() -> None:
    first = 6364136223846793005 + 1442695040888963407  # from seed 1, modulo 2^64; the top byte is the sample
    second = first * 6364136223846793005 + 1442695040888963407
    samples = self_test_inputs(LIBRARY)[0]["image"].view(np.uint8)
    assert samples[:2].tolist() == [first % 2**64 >> 56, second % 2**64 >> 56]
    assert len(set(samples.tolist())) > 48


def test_the_output_hash_is_fnv_1a() -> None:
    outputs = {"reversed": np.frombuffer(b"foobar", np.int8)}
    assert output_hash(LIBRARY, [outputs]) == 0xBF9CF968  # from the test vectors of the FNV authors


def test_a_project_is_written_the_same_twice_and_names_no_path(tmp_path: Path) -> None:
    placement = place(get_target("stm32h743"), 400_000, 1024, 256)
    for name in ("a", "b"):
        write_firmware(LIBRARY, placement, tmp_path / name, 1)
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
    assert not any(str(tmp_path) in text for text in snapshot(tmp_path / "a").values())
    script = (tmp_path / "a" / "firmware.ld").read_text()
    assert "FLASH (rx) : ORIGIN = 0x00000000, LENGTH = 2097152" in script
    assert "RAM (rw) : ORIGIN = 0x20000000, LENGTH = 131072 /* DTCM */" in script
    assert "RAM_ARENA (rw) : ORIGIN = 0x20100000, LENGTH = 524288 /* AXI_SRAM */" in script
    assert " * AXI_SRAM: 524288 bytes at 0x20100000, on the chip at 0x24000000" in script


def test_the_memories_of_an_m33_lie_where_its_board_is_secure(tmp_path: Path) -> None:
    write_firmware(LIBRARY, place(get_target("stm32u585"), 400_000, 1024, 256), tmp_path, 1)
    script, memory_map = ((tmp_path / name).read_text() for name in ("firmware.ld", "memory_map.h"))
    assert "FLASH (rx) : ORIGIN = 0x10000000, LENGTH = 2097152" in script
    assert "RAM (rw) : ORIGIN = 0x38000000, LENGTH = 786432 /* SRAM1+SRAM2+SRAM3 */" in script
    assert "/* Regions of the MPU (PMSAv8). */" in memory_map
    assert "{0x38000003u, 0x380bffe3u}, /* SRAM1+SRAM2+SRAM3: 786432 bytes at 0x38000000 */" in memory_map


def test_unchanged_files_are_not_touched(tmp_path: Path) -> None:
    placement = place(get_target("stm32f412"), 192, 1024, 256)
    write_firmware(LIBRARY, placement, tmp_path, 1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    write_firmware(LIBRARY, placement, tmp_path, 2)
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"main.c"}, "the expected hash is in main.c alone"


def test_a_library_beside_the_project_is_used_where_it_is(tmp_path: Path) -> None:
    for name, text in LIBRARY.files.items():
        (tmp_path / name).write_text(text)
    fitted = fit_firmware(LIBRARY, get_target("stm32f412"), tmp_path / "firmware", 1, library_folder="..", verify=False)
    assert fitted.firmware.elf.is_file()
    assert fitted.firmware.verify_elf is None
    assert not (tmp_path / "firmware" / "model").exists()


def test_one_make_builds_the_same_bytes_by_hand(tmp_path: Path) -> None:
    fitted = fit_firmware(LIBRARY, get_target("stm32f412"), tmp_path / "one", 1, verify=False)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    run_tool([find_tool(Tool.MAKE), "clean"], tmp_path / "two")
    assert not (tmp_path / "two" / "tiny.elf").exists()
    said = run_tool([find_tool(Tool.MAKE)], tmp_path / "two")
    assert (tmp_path / "two" / "tiny.elf").read_bytes() == fitted.firmware.elf.read_bytes()
    assert "FLASH:" in said, "the linker says what is used"
    assert "Nothing to be done" in run_tool([find_tool(Tool.MAKE)], tmp_path / "two")


def test_the_fitted_placement_is_what_was_linked(tmp_path: Path) -> None:
    fitted = fit_firmware(LIBRARY, get_target("stm32f412"), tmp_path, 1, verify=False)
    info, placement = fitted.elf_info, fitted.placement
    assert placement.statics.size_bytes == info.static_bytes > 0
    assert placement.stack.size_bytes == info.stack_bytes >= fitted.stack_bound_bytes
    assert placement.arena.size_bytes == info.arena_bytes == LIBRARY.arena_bytes
    assert placement == place(get_target("stm32f412"), LIBRARY.arena_bytes, fitted.stack_bound_bytes, info.static_bytes)


def large_library(weights_bytes: int, arena_bytes: int = 192) -> CLibrary:
    """The second operator reads a table of that size."""
    library = tiny_library("void helper(uint8_t *output) { output[0] = (uint8_t)extra[output[0]]; }", arena_bytes=arena_bytes)
    declaration = f"extern const int8_t extra[{weights_bytes}];\n"
    files = dict(library.files)
    files["tiny_weights.h"] += declaration
    files["tiny_weights.c"] += f"const int8_t extra[{weights_bytes}] = {{1}};\n"
    return replace(library, files=files)


def test_weights_that_exceed_the_flash_are_refused_with_the_numbers(tmp_path: Path) -> None:
    target = get_target("stm32f401")
    fits = fit_firmware(large_library(500_000), target, tmp_path / "fits", 1, verify=False)
    spare = target.flash_bytes - fits.elf_info.flash_bytes
    assert spare > 0
    with pytest.raises(OverBudget, match=r"needs 524,29\d B of flash, stm32f401 has 524,288 B \([1-8] B too much\)"):
        fit_firmware(large_library(500_000 + spare + 4), target, tmp_path / "over", 1, verify=False)


def test_the_last_bytes_of_flash_and_ram_are_used(tmp_path: Path) -> None:
    target = get_target("stm32f401")
    small = fit_firmware(large_library(1000, 1000), target, tmp_path, 1)
    arena_bytes = 0x20000000 + target.ram_bytes - small.placement.arena.base
    full_ram = fit_firmware(large_library(1000, arena_bytes), target, tmp_path, 1)
    assert full_ram.placement.arena.end == 0x20000000 + target.ram_bytes
    weights_bytes = 1000 + target.flash_bytes - full_ram.elf_info.flash_bytes
    full = fit_firmware(large_library(weights_bytes, arena_bytes), target, tmp_path, 1)
    assert full.elf_info.flash_bytes == target.flash_bytes
    assert full.elf_info.ram_bytes <= target.ram_bytes < full.elf_info.ram_bytes + 16
    assert run_self_test(full.firmware).output.startswith("flynet-tiny self-test: tiny on STM32F401xE")
    with pytest.raises(OverBudget, match=r"needs 98,305 B of RAM .* stm32f401 has 98,304 B \(1 B too much\)"):
        fit_firmware(large_library(1000, arena_bytes + 1), target, tmp_path, 1)
    assert not full.firmware.elf.exists(), "what does not fit leaves no ELF"


def test_a_placement_that_lies_is_caught_by_the_linker(tmp_path: Path) -> None:
    target = get_target("stm32f401")
    placement = place(target, LIBRARY.arena_bytes, 1024, 64)
    header = LIBRARY.files["tiny.h"].replace("ARENA_BYTES 192u", "ARENA_BYTES 98304u")
    lying = replace(LIBRARY, files={**LIBRARY.files, "tiny.h": header})
    board = write_firmware(lying, placement, tmp_path, 1)
    with pytest.raises(OverBudget, match=r"stack, statics and arena are 1,\d\d\d B too large for the RAM of stm32f401"):
        build_firmware(tmp_path, lying, placement, board, verify=False)


def test_without_a_compiler_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"):
        fit_firmware(LIBRARY, get_target("stm32f412"), tmp_path / "project", 1)


def test_the_harness_takes_nothing_of_the_chip(tmp_path: Path) -> None:
    firmware = fit_firmware(LIBRARY, get_target("stm32f412"), tmp_path, 1).firmware
    assert firmware.verify_elf is not None
    plain, traced = read_elf(firmware.elf), read_elf(firmware.verify_elf)
    assert traced.static_bytes == plain.static_bytes
    assert traced.sections[".stack"] == plain.sections[".stack"]
    assert traced.sections[".text"] <= plain.sections[".text"] + 64, "tracing code of the library only"
    assert traced.sections[".harness_bss"] > 16_000
