"""The portable twins of the DSP instructions compute what the instructions compute: both against a model in Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .kernel_runner import intrinsics, run_program_on_arm, run_program_on_host

OPERANDS = (
    0,
    1,
    -1,
    0x7F,
    -128,
    0x12345678,
    -0x12345678,
    0x7FFFFFFF,
    -0x80000000,
    0x7FFF8000,
    -0x7FFF0001,
    0x00FF80FF,
    0x40000000,
)


def signed(value: int, bits: int = 32) -> int:
    """The low bits as a two's complement number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def low(a: int) -> int:
    return signed(a, 16)


def high(a: int) -> int:
    return signed(a >> 16, 16)


def lanes(a: int, b: int) -> int:
    return (a & 0xFFFF) | ((b & 0xFFFF) << 16)


def byte(a: int, lane: int) -> int:
    return signed(a >> (8 * lane), 8)


UNARY: dict[str, Callable[[int], int]] = {
    "ft_sxtb16": lambda a: lanes(byte(a, 0), byte(a, 2)),
    "ft_sxtb16_ror8": lambda a: lanes(byte(a, 1), byte(a, 3)),
    "ft_ssat8": lambda a: max(-128, min(127, a)),
}
BINARY: dict[str, Callable[[int, int], int]] = {
    "ft_sadd16": lambda a, b: lanes(low(a) + low(b), high(a) + high(b)),
    "ft_pack_low": lambda a, b: lanes(low(a), low(b)),
    "ft_pack_low_high": lambda a, b: lanes(a, high(b)),
    "ft_pack_high": lambda a, b: lanes(high(a), high(b)),
    "ft_odd": lambda a, b: a - b,
}
TERNARY: dict[str, Callable[[int, int, int], int]] = {
    "ft_smlad": lambda a, b, c: low(a) * low(b) + high(a) * high(b) + c,
    "ft_smlabb": lambda a, b, c: low(a) * low(b) + c,
    "ft_smlabt": lambda a, b, c: low(a) * high(b) + c,
    "ft_smlatb": lambda a, b, c: high(a) * low(b) + c,
    "ft_smlatt": lambda a, b, c: high(a) * high(b) + c,
    "ft_smmla": lambda a, b, c: c + (a * b >> 32),
    "ft_smmlar": lambda a, b, c: c + ((a * b + (1 << 31)) >> 32),
}
TERNARY |= {
    "ft_mac2_from": TERNARY["ft_smlad"],
    "ft_mac_bb_from": TERNARY["ft_smlabb"],
    "ft_mac_tb_from": TERNARY["ft_smlatb"],
}
IN_PLACE: dict[str, Callable[[int, int, int], int]] = {
    "ft_mac2": TERNARY["ft_smlad"],
    "ft_mac_bb": TERNARY["ft_smlabb"],
    "ft_mac_bt": TERNARY["ft_smlabt"],
    "ft_mac_tb": TERNARY["ft_smlatb"],
    "ft_mac_tt": TERNARY["ft_smlatt"],
}


def program() -> str:
    """Prints every function's results over all operands, one a line."""
    numbers = ", ".join("INT32_MIN" if v == -0x80000000 else str(v) for v in OPERANDS)
    lines = [f"  show({name}(a));" for name in UNARY]
    two = [f"  show({name}(a, b));" for name in BINARY]
    three = [f"  show({name}(a, b, c));" for name in TERNARY]
    three += [f"  sum = c;\n  {name}(&sum, a, b);\n  show(sum);" for name in IN_PLACE]
    loops = "for (uint32_t {0} = 0; {0} < {1}u; ++{0})"
    i, j, k = (loops.format(n, len(OPERANDS)) for n in "ijk")
    return "\n".join(
        [
            '#include "board.h"',
            intrinsics(),
            f"static const int32_t operands[] = {{ {numbers} }};",
            "static void show(int32_t value) {",
            "  say_number(value);",
            '  say("\\n");',
            "}",
            "static int all(void) {",
            *(f"{i} {{ const int32_t a = operands[i];\n{line}\n}}" for line in lines),
            *(f"{i} {j} {{ const int32_t a = operands[i], b = operands[j];\n{line}\n}}" for line in two),
            f"{i} {j} {k} {{ const int32_t a = operands[i], b = operands[j], c = operands[k];",
            "  int32_t sum;",
            *three,
            "}",
            "return 0;",
            "}",
            "START(all())",
        ]
    )


def expected() -> list[int]:
    """The results in the program's order."""
    results = [signed(f(a)) for f in UNARY.values() for a in OPERANDS]
    results += [signed(f(a, b)) for f in BINARY.values() for a in OPERANDS for b in OPERANDS]
    three = [*TERNARY.values(), *IN_PLACE.values()]
    results += [signed(f(a, b, c)) for a in OPERANDS for b in OPERANDS for c in OPERANDS for f in three]
    return results


@pytest.mark.parametrize("machine", ["host", "host sanitized", "arm"])
def test_every_intrinsic_gives_what_its_instruction_gives(tmp_path: Path, machine: str) -> None:
    source = tmp_path / "intrinsics.c"
    source.write_text(program())
    if machine == "arm":
        text = run_program_on_arm(source, tmp_path)
    else:
        text = run_program_on_host(source, tmp_path, sanitize=machine.endswith("sanitized"))
    assert [int(line) for line in text.split()] == expected()
