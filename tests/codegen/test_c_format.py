"""Python values and rendered templates as C text."""

from __future__ import annotations

import numpy as np
import pytest

from flynet_tiny.codegen import c_format


def test_tidy_indents_by_braces_and_drops_blank_lines() -> None:
    rough = "/* a\n* comment */\nvoid f(void) {\nint a[2] = { 1, 2 };\n\n      if (a[0]) {\n  g();\n    } else {\nh();\n}\n}\n"
    tidy = "/* a\n * comment */\nvoid f(void) {\n  int a[2] = { 1, 2 };\n  if (a[0]) {\n    g();\n  } else {\n    h();\n  }\n}"
    assert c_format.tidy(rough) == tidy
    assert c_format.tidy(tidy) == tidy


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (-5, "-5"), (2**31 - 1, "2147483647"), (-(2**31), "INT32_MIN")])
def test_integers_have_literals_without_warnings(value: int, text: str) -> None:
    assert c_format.c_integer(value) == text


@pytest.mark.parametrize("value", [1.0, 0.1, 1e-30, 3.4e38, 0.0235])
def test_float_literals_read_back_as_the_same_float32(value: float) -> None:
    assert np.float32(c_format.c_float(value).rstrip("f")) == np.float32(value)


def test_arrays_are_wrapped_and_keep_their_order() -> None:
    values = np.arange(-128, 128).astype(np.int8)
    text = c_format.c_array(values)
    assert [int(v) for v in text.replace("\n", " ").split(",")] == values.tolist()
    assert max(len(line) for line in text.splitlines()) <= 120


def test_a_statement_is_broken_behind_commas_and_what_is_too_long_behind_its_parenthesis() -> None:
    long = "f" * 70
    text = c_format.wrapped(f"void {long}(const {long}_layer *layer, const int8_t *input0);", 2)
    assert text == f"void {long}(\n      const {long}_layer *layer, const int8_t *input0);"


WIDE = "n" * 60


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        (f" * - first {WIDE} {WIDE}", f" * - first {WIDE}\n *   {WIDE}"),
        (f"  /* one {WIDE} {WIDE} */", f"  /* one {WIDE}\n   * {WIDE} */"),
        (f"/* {WIDE} {WIDE}", f"/* {WIDE}\n * {WIDE}"),
        (f"  {WIDE} = 2, /* {WIDE} */", f"  /* {WIDE} */\n  {WIDE} = 2,"),
        (f"#define F(a, b) {WIDE}, {WIDE}", f"#define F(a, b) \\\n  {WIDE}, {WIDE}"),
        (f"#if {WIDE} && {WIDE}", f"#if {WIDE} && {WIDE}"),
        (f"  {WIDE}, {WIDE} \\", f"  {WIDE}, {WIDE} \\"),
        (f'  write_to_the_console("{WIDE}, {WIDE[:40]}");', f'  write_to_the_console(\n      "{WIDE}, {WIDE[:40]}");'),
        (f"extern const {WIDE} {WIDE}_x[];", f"extern const {WIDE}\n    {WIDE}_x[];"),
        (f"  /* field */ {WIDE}, {WIDE},", f"  /* field */ {WIDE},\n      {WIDE},"),
    ],
)
def test_what_is_wider_than_a_line_is_broken_where_c_allows_it(line: str, broken: str) -> None:
    short = "int a; /* stays */"
    assert c_format.within_width(f"{short}\n{line}\n{short}\n") == f"{short}\n{broken}\n{short}\n"
