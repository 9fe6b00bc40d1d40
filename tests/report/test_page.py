from __future__ import annotations

from dataclasses import replace

from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.report.page import render_page

from .. import one_op_models
from .small_report import small_report


def page_of(constants_bytes: int, parameter_bytes: int) -> str:
    report = small_report()
    flash = replace(report.flash, weights_bytes=constants_bytes)
    model = replace(report.model, parameter_bytes=parameter_bytes)
    compiled = compile_tflite(one_op_models.binary("ADD", seed=1), "net")
    return " ".join(render_page(replace(report, flash=flash, model=model), compiled).split())


def test_constants_are_compared_with_the_models_where_there_are_any() -> None:
    assert "Constants: 700 B in flash, 400 B as the model stores its parameters (1.75 times)." in page_of(700, 400)
    assert "Constants: 256 B in flash, 0 B as the model stores its parameters. Of these" in page_of(256, 0)
    assert "Constants:" not in page_of(0, 0)
