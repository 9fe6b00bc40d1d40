from __future__ import annotations

from dataclasses import replace

from flynet_tiny.report.schema import Minimisation, NotDone
from flynet_tiny.report.text import format_report

from .small_report import small_report

TEXT = """\
net on stm32f412 (cortex-m4)
  model         8x8x1 -> 10, 100 parameters, 2,000 MACs, trained
  flash             5,000 of 1,048,576 B (  0.5 %)  constants 700, code 4,300
  RAM               3,000 of   262,144 B (  1.1 %)  arena 2,000, stack 500 (measured 480), statics 500
                    3,000 of   262,144 B (  1.1 %)  SRAM at 0x20000000
  fits          yes
  minimised     3 of 14 channels never change (1 of them stay), 1 more are read by nobody; 95.0% of the multiply-accumulates and \
87.5% of the parameters' bytes stay; operators that went: 1
  note          a note
  verified      onnxruntime = litert: 5 inputs, 20 tensors, 300 bytes, 0 differing
                litert left out for 2 inputs: it aborts
                onnxruntime = host: 7 inputs, 28 tensors, 420 bytes, 0 differing
  accuracy      float 98.00 %, int8 97.50 %, emulated board 97.50 % of 360 held-out images
  fine-tuned    3 epochs on 1,347 images, 50 % of the loss by the float network
                before: float 95.00 %, int8 90.00 %
                after: float 98.00 %, simulated int8 97.00 %, exported int8 97.50 %
                simulated against int8: argmax agrees in 99.9 %, 2.0 % of outputs differ, by up to 1 LSB
  others round  xnnpack: 1.00 % of outputs differ, by up to 1 LSB, argmax agrees in 99.9 %
                qdq_onnxruntime: not done: it broke
  instructions  4,000 for one inference, 2.11 per MAC (emulated; not cycles)
                      3,000   75.0 %  FULLY_CONNECTED head
                      1,000   25.0 %  CONV_2D first
"""


def test_every_part_of_a_report_is_said() -> None:
    assert format_report(small_report()) == TEXT


def test_a_network_without_dead_channels_needs_no_line() -> None:
    report = replace(small_report(), minimisation=Minimisation(14, 0, 0, 2000, 2000, 400, 400))
    assert isinstance(report.minimisation, Minimisation)
    assert report.minimisation.line == "every channel can change"
    assert "minimised" not in format_report(report)


def test_what_was_not_done_says_why() -> None:
    why = NotDone("the network does not fit")
    report = small_report()
    flash = replace(report.flash, used_bytes=None, code_bytes=None)
    ram = replace(report.ram, stack_bytes=None, stack_bound_bytes=None, static_bytes=None, stack_measured_bytes=None)
    said = format_report(
        replace(
            report, flash=flash, ram=ram, fits=False, over_budget="too large", verification=why, instructions=why, accuracy=why,
            accumulated_rounding=why, fine_tuning=None,
        )
    )  # fmt: skip
    lines = {line[:16].strip(): line[16:] for line in said.splitlines()}
    assert lines["flash"] == "not linked; constants 700 B of 1,048,576 B"
    assert lines["fits"] == "NO: too large"
    assert lines["verified"] == f"not done: {why.not_done}"
    assert lines["accuracy"] == f"not measured: {why.not_done}"
    assert lines["instructions"] == f"not counted: {why.not_done}"
    assert "others round" not in lines
    assert "fine-tuned" not in lines
