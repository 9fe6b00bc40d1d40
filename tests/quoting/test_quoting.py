"""Each door lets no text act in its language."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.quoting import (
    ForeignText,
    UnquotedText,
    c_comment,
    c_string,
    code_finalize,
    for_terminal,
    make_word,
    markup_finalize,
    shorten,
    visible,
)

HOSTILE = [
    "*/ int x; /*", "/*", "*//*", "a*", "/", "??/", "???/\n", "trailing \\", "\\u0041\\", "\x1b[2J\x1b]0;title\x07", "a\rb",
    "nul\0end",
    "\u202eexe.txt", "\u2066", "\ud800lone", "line\u2028two", "<script>alert(1)</script>", "\"';&", "$(rm -rf)", "%n%s",
    "{{ 7*7 }}",
    "{% raw %}", "x" * 5000, "ünïcödé 名前", "", "//", "#include <x>", "//*", "*" * 9 + "/", "/" + "*" * 9,
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(HOSTILE), st.text(alphabet=st.characters(codec=None), max_size=40), st.text(alphabet="*/\\?\n\"'")
)


def acts(text: str) -> bool:
    return bool(re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text))


@given(TEXTS)
def test_visible_text_has_nothing_that_acts(text: str) -> None:
    assert not acts(visible(text))
    assert "\n" not in visible(text)
    visible(text).encode("utf-8")


@given(TEXTS)
def test_a_comment_of_c_is_one_line_and_stays_a_comment(text: str) -> None:
    inside = c_comment(text)
    assert "\n" not in inside
    assert inside.isascii()
    for around in (f"/* {inside} */", f"/*{inside}*/"):
        assert around.find("*/", 2) == len(around) - 2
        assert "/*" not in around[2:]
        assert "??" not in around


def test_gcc_takes_every_hostile_comment_and_string(tmp_path: Path) -> None:
    lines = [
        f"/* {c_comment(text)} */\n// {c_comment(text)}\nextern const char s{i}[];\nconst char s{i}[] = {c_string(text)};"
        for i, text in enumerate(HOSTILE)
    ]
    source = tmp_path / "hostile.c"
    source.write_text("\n".join(lines) + "\n")
    for standard in ("c11", "gnu11"):
        flags = [f"-std={standard}", "-Wall", "-Wextra", "-Wcomment", "-Wtrigraphs", "-Werror", "-c", "-o", "/dev/null"]
        subprocess.run(["cc", *flags, str(source)], check=True, timeout=60)


def test_a_string_of_c_holds_the_very_bytes(tmp_path: Path) -> None:
    source = tmp_path / "print.c"
    body = "".join(f"fwrite({c_string(text)}, 1, {len(text.encode('utf-8', 'surrogatepass'))}, stdout);" for text in HOSTILE)
    source.write_text(f"#include <stdio.h>\nint main(void) {{ {body} return 0; }}\n")
    subprocess.run(["cc", "-std=c11", "-o", str(tmp_path / "print"), str(source)], check=True, timeout=60)
    printed = subprocess.run([str(tmp_path / "print")], check=True, timeout=60, capture_output=True).stdout
    assert printed == "".join(HOSTILE).encode("utf-8", "surrogatepass")


@given(TEXTS)
def test_markup_shows_the_text_and_stays_well_formed(text: str) -> None:
    environment = jinja2.Environment(autoescape=True, finalize=markup_finalize)
    for value in (text, ForeignText(text)):
        page = environment.from_string('<p title="{{ t }}">{{ t }}</p>').render(t=value)
        parsed = ElementTree.fromstring(page)
        assert not list(parsed)
        assert parsed.text == (visible(text, keep="\n\t") or None)


@given(TEXTS)
def test_the_terminal_shows_lines_and_nothing_that_acts(text: str) -> None:
    assert not acts(for_terminal(text))
    assert for_terminal(text).count("\n") == text.count("\n")


def test_code_refuses_a_foreign_text_that_passed_no_door() -> None:
    environment = jinja2.Environment(finalize=code_finalize)
    environment.filters["c_comment"] = c_comment
    with pytest.raises(UnquotedText, match="without a door"):
        environment.from_string("{{ name }}").render(name=ForeignText("*/ x"))
    assert environment.from_string("/* {{ name | c_comment }} */").render(name=ForeignText("*/ x")) == "/* * / x */"


def test_a_foreign_text_shows_itself_harmless_and_short() -> None:
    name = ForeignText("\x1b[31m" + "x" * 500)
    for shown in (str(name), f"{name}", f"{name!r}", f"{name:>80}"):
        assert not acts(shown)
        assert len(shown) <= 80
    assert json.loads(json.dumps(name.raw)) == name.raw


@settings(max_examples=50)
@given(st.text(min_size=1, max_size=200), st.integers(5, 60))
def test_shorten_keeps_both_ends(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short[0] == text[0]
    assert short[-1] == text[-1]


def test_make_takes_plain_names_only() -> None:
    assert make_word("out/net-1.elf") == "out/net-1.elf"
    for name in ("a b", "$(shell rm)", "a#b", "a:b", "", "-f", "a\nb", "ü", "a;b", "a'b", "%.o", "~x"):
        with pytest.raises(ValueError, match="makefile"):
            make_word(name)
