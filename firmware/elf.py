"""What a linked ELF takes of flash and RAM, section by section, and the sizes of its functions."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from ..errors import BadData

# e_machine, e_phoff, e_shoff, e_phentsize, e_phnum, e_shentsize, e_shnum of a header; p_offset and p_filesz of a segment
_ELF_HEADER = struct.Struct("<18xH8xII6xHHHH2x")
_SEGMENT = struct.Struct("<4xI8xI12x")
_ARM = 40


@dataclass(frozen=True)
class ElfInfo:
    """Bytes of a firmware's ELF.

    flash_bytes     all that is programmed: vectors, code, weights, constants, initial data
    weights_bytes   constants of `<name>_weights.c`
    code_bytes      vectors and code
    static_bytes    initialised and zeroed data, without stack and arena
    functions       function -> bytes of code
    """

    flash_bytes: int
    weights_bytes: int
    code_bytes: int
    static_bytes: int
    stack_bytes: int
    arena_bytes: int
    sections: Mapping[str, int]
    functions: Mapping[str, int]

    @property
    def ram_bytes(self) -> int:
        return self.static_bytes + self.stack_bytes + self.arena_bytes


def read_elf(path: Path) -> ElfInfo:
    """Measure an ELF that the project's linker script made."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        allocated = [section for section in elf.iter_sections() if section["sh_flags"] & SH_FLAGS.SHF_ALLOC]
        sections = {section.name: int(section["sh_size"]) for section in allocated if section["sh_size"]}
        flash_bytes = sum(int(s["p_filesz"]) for s in elf.iter_segments() if s["p_type"] == "PT_LOAD")
    programmed = sum(int(s["sh_size"]) for s in allocated if s["sh_type"] != "SHT_NOBITS")
    assert flash_bytes >= programmed, f"{path}: segments hold {flash_bytes} bytes, sections {programmed}"
    return ElfInfo(
        flash_bytes=flash_bytes,
        weights_bytes=sections.get(".weights", 0),
        code_bytes=sections.get(".vectors", 0) + sections.get(".text", 0),
        static_bytes=sections.get(".data", 0) + sections.get(".bss", 0),
        stack_bytes=sections.get(".stack", 0),
        arena_bytes=sections.get(".arena", 0),
        sections=sections,
        functions={name: size for _, size, name in _functions(path)},
    )


def function_at(path: Path, address: int) -> str | None:
    """The function that an address lies in."""
    table = _functions(path)
    at = bisect_right([begin for begin, _, _ in table], address) - 1
    if at < 0:
        return None
    begin, size, name = table[at]
    return name if address < begin + size else None


def _functions(path: Path) -> list[tuple[int, int, str]]:
    """Address (without the Thumb bit), size and name of every function, by address."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        table = elf.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            return []
        symbols = [symbol for symbol in table.iter_symbols() if symbol["st_info"]["type"] == "STT_FUNC"]
        return sorted((int(s["st_value"]) & ~1, int(s["st_size"]), str(s.name)) for s in symbols)


def require_whole_elf(content: bytes, name: str) -> None:
    """Raise `BadData` unless the bytes are a 32-bit ELF for Arm whose segments and section headers all lie in it."""
    if content[:7] != b"\x7fELF\x01\x01\x01" or len(content) < _ELF_HEADER.size:
        raise BadData(f"{name} is not an ELF of a 32-bit Arm; build it again with make")
    machine, segments_at, sections_at, segment_size, num_segments, section_size, num_sections = _ELF_HEADER.unpack_from(content)
    ends = [segments_at + segment_size * num_segments, sections_at + section_size * num_sections]
    if machine != _ARM or segment_size != _SEGMENT.size:
        raise BadData(f"{name} is not an ELF of a 32-bit Arm; build it again with make")
    if max(ends) <= len(content):
        ends += [sum(_SEGMENT.unpack_from(content, segments_at + i * segment_size)) for i in range(num_segments)]
    if max(ends) > len(content):
        raise BadData(f"{name} is cut short: {len(content):,} of {max(ends):,} bytes; build it again with make")
