from __future__ import annotations

from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.report.dead_channels import DeadChannels, dead_channel_lines, dead_channels

from ..codegen.minimise.dead_channels import residual, separable, set_reads
from ..small_models import attention_block


def test_layers_name_what_never_changes_and_what_nobody_reads() -> None:
    s = separable()
    set_reads(s, "y", 3)
    found = dead_channels(read_tflite(s.file(("x",), ("y",))))
    assert found == (DeadChannels("a", 6, (1, 4), (3,)), DeadChannels("b", 6, (1, 4), (3,)))
    assert dead_channel_lines(found)[0] == "a: of 6 channels 2 never change (1, 4), 1 are read by nobody (3)"


def test_a_constant_that_has_to_stay_is_named_too() -> None:
    assert dead_channels(read_tflite(residual(both=False))) == (DeadChannels("a", 5, (2,), ()),)


def test_a_network_without_dead_channels_has_none() -> None:
    assert dead_channels(read_tflite(attention_block())) == ()


def test_a_long_list_is_cut() -> None:
    layers = [DeadChannels(f"layer{i}", 64, tuple(range(i)), ()) for i in range(1, 13)]
    lines = dead_channel_lines(layers)
    assert len(lines) == 11
    assert lines[0] == "layer12: of 64 channels 12 never change (0, 1, 2, 3, 4, 5, 6, 7, ..)"
    assert lines[-1] == "and 2 layers with fewer"
