"""Names of functions tell what differs, and no name is given twice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hypothesis import given
from hypothesis import strategies as st

from flynet_tiny.codegen.function_names import code_traits, function_names, size_trait

WORD = st.sampled_from(("", "a", "b", "c2", "2"))


class Way(Enum):
    UP = "ft_up"


@dataclass(frozen=True)
class Loop:
    rest: int
    has_turns: bool


@dataclass(frozen=True)
class Kernel:
    pixels: int
    is_wide: bool
    way: Way
    loop: Loop
    rows: tuple[object, ...]


def test_a_name_that_one_function_wants_is_its_name() -> None:
    assert function_names(["a_c4", "a_c8", "b"], [{"right": "right1"}] * 3) == ["a_c4", "a_c8", "b"]


def test_functions_of_one_name_tell_what_differs_and_nothing_else() -> None:
    traits = [{"table": "", "right": "right6", "step": "step2"}, {"table": "", "right": "right7", "step": "step2"}]
    assert function_names(["a", "a"], traits) == ["a_right6", "a_right7"]
    assert function_names(["a", "a"], [{"table": "table"}, {}]) == ["a_table", "a"]


def test_what_tells_most_apart_is_told_first() -> None:
    traits = [
        {"wide": "wide", "c": "c1"},
        {"wide": "wide", "c": "c2"},
        {"wide": "", "c": "c3"},
    ]
    assert function_names(["a"] * 3, traits) == ["a_c1", "a_c2", "a_c3"]
    two = [{"x": x, "y": y} for x in ("x1", "x2") for y in ("y1", "y2")]
    assert function_names(["a"] * 4, two) == ["a_x1_y1", "a_x1_y2", "a_x2_y1", "a_x2_y2"]


def test_only_what_no_trait_tells_apart_is_numbered() -> None:
    assert function_names(["a", "a", "a_2"], [{}, {}, {}]) == ["a", "a_3", "a_2"]


@given(st.lists(st.tuples(WORD, st.dictionaries(WORD, WORD, max_size=3)), max_size=12))
def test_no_name_is_given_twice(drawn: list[tuple[str, dict[str, str]]]) -> None:
    names = function_names([f"k{name}" for name, _ in drawn], [traits for _, traits in drawn])
    assert len(set(names)) == len(names)
    assert all(name.startswith(f"k{wanted}") for name, (wanted, _) in zip(names, drawn, strict=True))


def test_a_field_of_code_is_told_by_its_numbers_words_and_flags() -> None:
    kernel = Kernel(4, True, Way.UP, Loop(3, False), (Loop(1, True),))
    assert dict(code_traits("kernel", kernel, "kernel")) == {
        "kernel.pixels": "pixels4",
        "kernel.is_wide": "wide",
        "kernel.way": "up",
        "kernel.loop.rest": "loop_rest3",
        "kernel.loop.has_turns": "",
    }
    assert dict(code_traits("group_window", (3, 3), "window")) == {"group_window": "window3x3"}
    assert dict(code_traits("scale", "ft_scale_up", "scale")) == {"scale": "scale_up"}
    assert not dict(code_traits("pairs", ("even >> 16",), "pairs"))
    assert size_trait("value", -82) == "value_minus82"
