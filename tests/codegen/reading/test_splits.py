"""SPLIT and SPLIT_V that do not make up their input are refused; the others are SLICEs."""

from __future__ import annotations

import pytest

from flynet_tiny.codegen.ir import OpKind
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import BadModel, UnsupportedOperators
from flynet_tiny.export.tflite_writer import OpSpec

from ...converter_models import Forms, splits


def split_v(
    sizes: object, axis: object = 1, parts: tuple[int, ...] = (2, 4), count: int | None = None, scale: float = 0.5
) -> bytes:
    s = Forms(0)
    s.act("x", (1, 6), 0.5, 0)
    for i, size in enumerate(parts):
        s.act(f"part{i}", (1, size), scale, 0)
    names = tuple(f"part{i}" for i in range(len(parts)))
    options = {"numSplits": len(parts) if count is None else count}
    s.ops.append(OpSpec("SPLIT_V", ("x", s.whole("sizes", sizes), s.whole("axis", axis)), names, options))
    s.op("ADD", ("part0", "part0"), s.act("y", (1, parts[0])), fusedActivationFunction="NONE")
    return s.file(("x",), ("y",))


def test_each_part_is_a_slice() -> None:
    for seed in range(4):
        found = [op.kind for op in read_tflite(splits(seed)).ops]
        assert found.count(OpKind.SLICE) == 5
    slices = [op for op in read_tflite(split_v([2, -1])).ops if op.kind is OpKind.SLICE]
    assert [op.attrs.begin for op in slices] == [(0, 0), (0, 2)]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sizes": [2, 3]}, "parts of 2, 3 of an axis of 6"),
        ({"sizes": [-1, -1]}, "parts of -1, -1"),
        ({"sizes": [6, 0]}, "parts of 6, 0"),
        ({"sizes": [7, -1]}, "parts of 7, -1"),
        ({"sizes": [2, 2, 2]}, "3 sizes for 2 outputs"),
        ({"sizes": [2, 4], "axis": 2}, r"axis \[2\] of rank 2"),
        ({"sizes": [2, 4], "axis": -3}, r"axis \[-3\] of rank 2"),
        ({"sizes": [2, 4], "count": 3}, "3 parts in its options, 2 outputs"),
        ({"sizes": [4, 2]}, "output has shape"),
    ],
)
def test_parts_that_do_not_make_up_the_input_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(BadModel, match=message):
        read_tflite(split_v(**arguments))  # type: ignore[arg-type]


def test_another_scale_of_a_part_which_litert_ignores_is_refused() -> None:
    with pytest.raises(UnsupportedOperators, match="has the output's zero point"):
        read_tflite(split_v([2, 4], scale=0.25))


def test_a_part_along_an_axis_that_is_not_known_has_no_kernel() -> None:
    s = Forms(0)
    s.act("x", (1, 6))
    s.plain("axis", (), "int32")
    s.ops.append(OpSpec("SPLIT", ("axis", "x"), (s.like("a", "x", (1, 3)), s.like("b", "x", (1, 3))), {"numSplits": 2}))
    s.op("ADD", ("a", "b"), s.act("y", (1, 3)), fusedActivationFunction="NONE")
    with pytest.raises(UnsupportedOperators, match=r"SPLIT .* has no kernel"):
        read_tflite(s.file(("x", "axis"), ("y",)))
