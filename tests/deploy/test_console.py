"""What a terminal shows of a step: names of files mean nothing to it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flynet_tiny.deploy.console import Reporter

NAMES = ("[/nope].tflite", "[red]net[/red].tflite", "[bold", "a\x1b[31mb", "{task.id}", ":smile:")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_name_in_a_bar_and_in_a_line_is_shown_as_it_is(name: str, is_terminal: bool) -> None:
    said = io.StringIO()
    reporter = Reporter()
    reporter.console = Console(file=said, force_terminal=is_terminal, color_system=None, width=200, highlight=False)
    reporter.title(name)
    with reporter.step("models") as step:
        step.progress(1, 2, name)
        if step._bar is not None:
            step._bar.refresh()
        step.say(name, name)
    shown = name.replace("\x1b", "\\x1b")
    assert said.getvalue().count(shown) >= (4 if is_terminal else 3)
    assert "\x1b[31m" not in said.getvalue()
