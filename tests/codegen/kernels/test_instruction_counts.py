"""What the layers of facts/peers.md cost on an emulated Cortex-M4 stays what was reached, within 2 %."""

from __future__ import annotations

from pathlib import Path

import pytest

from flynet_tiny.codegen.ir import Window, macs

from .conv_cases import Kind, Layer, square
from .conv_graphs import Numbers
from .kernel_runner import run_on_arm

MARGIN = 1.02

# layer: what it is, instructions reached, and the most that issue 3 allows for each multiply-accumulate
LAYERS = {
    "PW1": (Layer(Kind.CONV_2D, 56, 56, 8, 32), 1_237_173, 2.1),
    "PW2": (Layer(Kind.CONV_2D, 28, 28, 40, 16), 455_918, 1.22),
    "PW3": (Layer(Kind.CONV_2D, 14, 14, 96, 40), 568_522, 1.02),
    "PW4": (Layer(Kind.CONV_2D, 7, 7, 232, 40), 328_635, 1.02),
    "STEM": (Layer(Kind.CONV_2D, 224, 224, 3, 8, Window(3, 3, 2, 2, 1, 1, 0, 1, 0, 1)), 3_091_618, 1.5),
    "DW3": (Layer(Kind.DEPTHWISE, 28, 28, 40, 1, square(3)), 503_893, 2.4),
    "DW5": (Layer(Kind.DEPTHWISE, 14, 14, 96, 1, square(5)), 551_686, 1.65),
    "DW3s2": (Layer(Kind.DEPTHWISE, 56, 56, 32, 1, square(3, stride=2)), 569_971, 3.3),
    "MDW3": (Layer(Kind.MDW_MAX, 28, 28, 40, 3, square(3)), 1_390_125, 1.9),
    "MDW5": (Layer(Kind.MDW_MAX, 14, 14, 96, 3, square(5)), 1_548_927, 1.3),
    "FC1": (Layer(Kind.FULLY_CONNECTED, 1, 1, 232, 408), 93_249, 1.4),
    "FC2": (Layer(Kind.FULLY_CONNECTED, 1, 1, 408, 1000), 386_737, 1.4),
}


RELU = Numbers(output_zero_point=-128)
# with a shift of its own for each channel 475,691 and 137,689
FINE = {
    "conv": (Layer(Kind.CONV_2D, 12, 12, 64, 64, numbers=RELU), 431_159),
    "depthwise": (Layer(Kind.DEPTHWISE, 24, 24, 16, 1, square(3), RELU), 126_935),
}


@pytest.mark.parametrize("name", FINE)
def test_layers_with_a_relu_shift_all_channels_alike(tmp_path: Path, name: str) -> None:
    layer, reached = FINE[name]
    case = layer.case()
    assert run_on_arm([case], tmp_path)[case.name].instructions <= reached * 1.01


def test_a_depthwise_window_that_is_the_map_needs_few_instructions(tmp_path: Path) -> None:
    """Four for each product, with its share of the output; channel by channel it were eight."""
    case = Layer(Kind.DEPTHWISE, 15, 1, 64, 1, Window(15, 1)).case()
    assert run_on_arm([case], tmp_path)[case.name].instructions <= 4 * 15 * 64


# a layer over a map of width 1, and the same over a map of height 1
LYING = {
    "depthwise": (Layer(Kind.DEPTHWISE, 24, 1, 32, 1, Window(5, 1)), Layer(Kind.DEPTHWISE, 1, 24, 32, 1, Window(1, 5))),
    "conv": (Layer(Kind.CONV_2D, 24, 1, 16, 8, Window(5, 1)), Layer(Kind.CONV_2D, 1, 24, 16, 8, Window(1, 5))),
}


@pytest.mark.parametrize("name", LYING)
def test_a_map_of_width_1_costs_what_one_of_height_1_costs(tmp_path: Path, name: str) -> None:
    cases = [layer.case() for layer in LYING[name]]
    standing, lying = (run_on_arm([case], tmp_path)[case.name].instructions for case in cases)
    assert standing <= lying * MARGIN


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_needs_no_more_instructions_than_it_did(tmp_path: Path, name: str) -> None:
    layer, reached, most_per_mac = LAYERS[name]
    graph, case = layer.graph(), layer.case()
    instructions = run_on_arm([case], tmp_path)[case.name].instructions
    assert instructions <= reached * MARGIN
    assert instructions <= most_per_mac * macs(graph.ops[0], graph)
