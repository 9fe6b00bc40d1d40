from pathlib import Path

import pytest

from flynet_tiny.codegen.targets import get_target
from flynet_tiny.firmware.elf import function_at, read_elf
from flynet_tiny.firmware.project import fit_firmware
from flynet_tiny.firmware.toolchain import Tool, find_tool, run_tool

from ..tiny_library import tiny_library


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit_firmware(tiny_library(), get_target("stm32f412"), tmp_path_factory.mktemp("elf"), 1, verify=False).firmware.elf


def binutil(name: str, *words: str | Path) -> str:
    tool = str(find_tool(Tool.CROSS_COMPILER)).removesuffix("gcc") + name
    return run_tool([tool, *words], Path("/"))


def test_flash_is_what_a_programmer_would_write(elf: Path, tmp_path: Path) -> None:
    image = tmp_path / "image.bin"
    binutil("objcopy", "-O", "binary", elf, image)
    assert read_elf(elf).flash_bytes == image.stat().st_size


def test_sections_are_those_that_size_prints(elf: Path) -> None:
    info = read_elf(elf)
    printed = dict(line.split()[:2] for line in binutil("size", "-A", elf).splitlines() if line.startswith("."))
    assert {name: int(size) for name, size in printed.items() if int(size) and ".debug" not in name} == dict(info.sections)
    assert info.weights_bytes == 64
    assert info.arena_bytes == 192
    assert info.code_bytes == info.sections[".text"] + 64
    assert info.ram_bytes == info.static_bytes + info.stack_bytes + 192


def test_functions_have_their_sizes_and_places(elf: Path) -> None:
    listing = [line.split() for line in binutil("nm", "-S", elf).splitlines()]
    sizes = {words[3]: (int(words[0], 16), int(words[1], 16)) for words in listing if len(words) == 4 and words[2] in "tT"}
    info = read_elf(elf)
    assert {name: size for name, (_, size) in sizes.items() if name.startswith("tiny_")} == {
        name: size for name, size in info.functions.items() if name.startswith("tiny_")
    }
    address, size = sizes["tiny_invoke"]
    assert function_at(elf, address) == "tiny_invoke"
    assert function_at(elf, address + size - 2) == "tiny_invoke"
    assert function_at(elf, 0) is None
    assert function_at(elf, 0x00F00000) is None
