"""Taps that meet nothing but padding are no work: the kernels of a window much larger than its map read the taps inside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.codegen.ir import Window
from flynet_tiny.codegen.kernels.convolution import convolution

from .conv_cases import Kind, Layer, square
from .kernel_runner import run_on_host

ONE = Window(1, 1)


@pytest.mark.parametrize(
    ("size", "window", "left"),
    [
        ((1, 1), square(5), ONE),
        ((1, 1), square(3, stride=2), replace(ONE, stride_h=2, stride_w=2)),
        ((2, 2), square(5), square(3)),
        ((2, 1), square(5), Window(3, 1, 1, 1, 1, 1, 1, 1, 0, 0)),
        ((3, 3), square(5), square(5)),
        ((2, 2), Window(3, 3, 1, 1, 2, 2, 2, 2, 2, 2), ONE),
        ((1, 3), Window(1, 3, 1, 1, 1, 3, 0, 0, 3, 3), ONE),
        ((2, 2), Window(2, 2, 1, 1, 1, 1, 0, 1, 0, 1), Window(2, 2, 1, 1, 1, 1, 0, 1, 0, 1)),
        ((1, 1), Window(2, 2, 1, 1, 1, 1, 0, 1, 0, 1), ONE),
        ((1, 1), Window(1, 1, 3, 3, 1, 1, 1, 1, 1, 1), Window(1, 1, 3, 3, 1, 1, 1, 1, 1, 1)),
    ],
)
@pytest.mark.parametrize("kind", [Kind.CONV_2D, Kind.DEPTHWISE])
def test_outer_taps_that_meet_only_padding_go(kind: Kind, size: tuple[int, int], window: Window, left: Window) -> None:
    graph = Layer(kind, *size, 4, 3, window).graph()
    conv = convolution(graph.ops[0], graph)
    assert conv.attrs.window == left
    assert conv.weights.shape[1:3] == (left.kernel_h, left.kernel_w)
    assert left.output_hw(*size) == window.output_hw(*size)
    whole = graph.tensor(graph.ops[0].inputs[1]).constant()
    top = (window.pad_top - left.pad_top) // window.dilation_h
    assert np.array_equal(conv.weights[:, 0, 0], whole[:, top, (window.pad_left - left.pad_left) // window.dilation_w])


def test_windows_larger_than_their_maps_equal_the_reference(tmp_path: Path) -> None:
    windows = (square(5), square(3, stride=2), Window(5, 5, 2, 2, 1, 1, 3, 1, 1, 3), Window(3, 3, 1, 1, 2, 2, 2, 2, 2, 2))
    layers = [
        Layer(kind, h, w, 6, 2, window, seed=seed)
        for kind in (Kind.CONV_2D, Kind.DEPTHWISE, Kind.MDW_MAX, Kind.GATED, Kind.PAIR)
        for seed, (h, w) in enumerate(((1, 1), (2, 2), (1, 3)))
        for window in windows
    ]
    run_on_host([layer.case() for layer in layers], tmp_path, sanitize=True)
