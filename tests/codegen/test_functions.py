"""Which kernel calls share a C function, and what of their sizes becomes data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import jinja2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flynet_tiny.codegen import kernels
from flynet_tiny.codegen.build import BALANCED, LEVELS, SIZE, SPEED, Level
from flynet_tiny.codegen.functions import LayerCall, OperandTypes, layer_calls
from flynet_tiny.codegen.kernels.base import KernelCall
from flynet_tiny.codegen.kernels.parameters import KernelParameters, Role, array, code, data, group, size

TEMPLATE = "for (int32_t i = 0; i < {{ s.pixels }}; i += {{ s.step }}) out[i] = {{ s.scale.right }} + layer->offset;\n"
LEVEL = st.sampled_from(sorted(LEVELS))


@dataclass(frozen=True)
class Scale:
    right: int = code()
    multiplier: int | None = data()


@dataclass(frozen=True, eq=False)
class Parameters(KernelParameters):
    template: ClassVar[str] = "scaled"
    shown: ClassVar[Mapping[str, str]] = {"p": "pixels"}
    pixels: int = size()
    step: int = size(inner=True)
    scale: Scale = group()
    offset: int = data()
    weights: npt.NDArray[np.integer] | None = array()

    @property
    def summary(self) -> str:
        return "Scales."


def call(
    pixels: int, step: int = 1, right: int = 3, offset: int = 0, weights: npt.NDArray[np.integer] | None = None
) -> KernelCall:
    parameters = Parameters(pixels, step, Scale(right, 5), offset, weights)
    return KernelCall(parameters, ("x",), ("y",), accumulator=(-pixels, 2 * pixels))


def made(calls: list[KernelCall], level: Level, template: str = TEMPLATE) -> tuple[LayerCall, ...]:
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({"kernels/scaled.c.j2": template}), undefined=jinja2.StrictUndefined
    )
    types = [OperandTypes(("int8",), ("int8",))] * len(calls)
    return layer_calls(calls, types, level, "net_", environment)


def functions(calls: list[KernelCall], level: Level) -> int:
    return len({layer.function.name for layer in made(calls, level)})


@pytest.mark.parametrize(("level", "outer", "inner", "text"), [(SPEED, 2, 2, 2), (BALANCED, 1, 2, 2), (SIZE, 1, 1, 2)])
def test_the_level_says_which_sizes_are_data(level: Level, outer: int, inner: int, text: int) -> None:
    assert functions([call(4), call(5)], level) == outer
    assert functions([call(4, step=1), call(4, step=2)], level) == inner
    assert functions([call(4, right=3), call(4, right=4)], level) == text


def test_a_size_that_all_layers_have_in_common_stays_a_literal() -> None:
    first, second = made([call(4, step=2), call(300, step=2)], BALANCED)
    assert first.function is second.function
    assert "i < pixels; i += 2" in first.function.text
    assert "const int32_t pixels = layer->pixels;" in first.function.text
    assert (first.numbers, second.numbers) == (
        {"pixels": 4, "scale_multiplier": 5, "offset": 0},
        {"pixels": 300, "scale_multiplier": 5, "offset": 0},
    )
    assert first.function.struct is not None
    assert first.function.struct.fields == ("int16_t pixels", "int8_t scale_multiplier", "int8_t offset")


def test_the_name_and_the_comment_tell_what_is_fixed() -> None:
    (alone,) = made([call(4)], BALANCED)
    assert alone.function.name == "net_scaled_p4"
    assert alone.function.text.startswith(
        "/* Scales.\n * Sizes: pixels 4, step 1.\n * Accumulators lie in [-4, 8]. */\nFT_KERNEL"
    )
    assert "FT_STATIC_ASSERT(-4 >= INT32_MIN && 8 <= INT32_MAX," in alone.function.text
    shared, other, _ = made([call(4), call(9, right=7), call(5)], BALANCED)
    assert (shared.function.name, other.function.name) == ("net_scaled", "net_scaled_p9")
    assert "Sizes: step 1." in shared.function.text
    assert "Accumulators lie in [-5, 10]." in shared.function.text
    (empty,) = made([call(0)], BALANCED)
    assert "Sizes: step 1." in empty.function.text
    twins = made([call(4, right=1), call(4, right=2)], BALANCED)
    assert [layer.function.name for layer in twins] == ["net_scaled_p4_right1", "net_scaled_p4_right2"]


@pytest.mark.parametrize("template", ["{% if s.pixels %}{% endif %}", "{{ s.pixels * 2 }}", "{% if s.pixels == 4 %}{% endif %}"])
def test_a_template_may_not_calculate_with_a_size(template: str) -> None:
    with pytest.raises(TypeError):
        made([call(4)], SPEED, template)


def test_what_a_function_does_not_read_is_no_field() -> None:
    first, second = made([call(4, step=1), call(5, step=2)], SIZE, "/* of pixels */\nout[0] = {{ s.step }};")
    assert "layer->pixels" not in first.function.text
    assert (first.numbers["step"], second.numbers["step"]) == (1, 2)
    assert "pixels" not in first.numbers


@dataclass(frozen=True, eq=False)
class Nest(KernelParameters):
    template: ClassVar[str] = "scaled"
    sizes: tuple[int, ...] = size()


def test_a_tuple_is_as_many_sizes_as_it_has_numbers() -> None:
    template = "{% for n in s.sizes | default(()) %}for (int32_t i = {{ n }}; i > 0; --i) {% endfor %}f();"
    calls = [KernelCall(Nest(sizes), ("x",), ("y",)) for sizes in ((2, 5), (3, 5), (), (7,))]
    first, second, none, one = made(calls, BALANCED, template)
    assert first.function is second.function
    assert "i = sizes_0; i > 0; --i) for (int32_t i = 5;" in first.function.text.replace("\n    ", " ")
    assert (first.numbers, second.numbers) == ({"sizes_0": 2}, {"sizes_0": 3})
    assert [layer.function.name for layer in (first, none, one)] == ["net_scaled_sizes1_5", "net_scaled", "net_scaled_sizes0_7"]


def test_a_number_beyond_32_bits_is_an_error_that_says_which() -> None:
    with pytest.raises(ValueError, match="offset of scaled does not fit 32 bits"):
        made([call(4, offset=1 << 31)], SPEED)


def test_an_unknown_parameter_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        made([call(4)], SPEED, "{{ s.pixel }}")


def test_arrays_of_different_types_do_not_share() -> None:
    narrow, wide = np.zeros(3, np.int16), np.zeros(3, np.int32)
    assert functions([call(4, weights=narrow), call(4, weights=wide)], SIZE) == 2
    assert functions([call(4, weights=narrow), call(4)], SIZE) == 2


@given(
    st.lists(st.tuples(st.integers(0, 70_000), st.integers(1, 3), st.integers(0, 2), st.integers(-200, 200)), min_size=1), LEVEL
)
def test_every_layer_finds_its_own_numbers(drawn: list[tuple[int, int, int, int]], level: str) -> None:
    """Whatever is merged: literal or field, each size is the call's own, and fits its field."""
    calls = [call(*values) for values in drawn]
    for (pixels, step, right, offset), layer in zip(drawn, made(calls, LEVELS[level]), strict=True):
        text, struct = layer.function.text, layer.function.struct
        assert struct is not None
        bound = layer.numbers.get("pixels", pixels)
        assert bound == pixels
        assert ("i < pixels" in text) == ("pixels" in layer.numbers)
        assert "pixels" in layer.numbers or f"i < {pixels};" in text
        assert layer.numbers.get("step", step) == step
        assert "step" in layer.numbers or f"i += {step})" in text
        assert f"= {right} +" in text
        assert layer.numbers["offset"] == offset
        for declaration in struct.fields:
            c_type, name = declaration.split()
            limit = np.iinfo(c_type.removesuffix("_t"))
            assert limit.min <= layer.numbers[name] <= limit.max


def _kernels(parent: type[KernelParameters] = KernelParameters) -> list[type[KernelParameters]]:
    found = [parent, *(one for child in parent.__subclasses__() for one in _kernels(child))]
    return [one for one in found if one.__module__.startswith("flynet_tiny.codegen.kernels.") and hasattr(one, "template")]


def test_no_template_has_a_variable_with_the_name_of_a_size() -> None:
    """Where layers share a function, a size is a variable of its name there."""
    templates = Path(kernels.__file__).parents[1] / "templates" / "kernels"
    found = _kernels()
    assert len(found) > 20
    for kernel in found:
        text = (templates / f"{kernel.template}.c.j2").read_text()
        for field in fields(kernel):
            if field.metadata["role"] not in (Role.INNER_SIZE, Role.OUTER_SIZE):
                continue
            declared = re.search(rf"(?m)^(?:const )?(?:u?int(?:8|16|32)_t|ft_word) (?:\*(?:const )?)?{field.name} =", text)
            assert declared is None, f"{kernel.template}: {field.name}"
