"""What the user sees of a command's work: one aligned line a step, a bar where a step is long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from ..quoting import for_terminal

NAME_WIDTH = 12


class Step:
    """One step in progress: `say` sets the line that stays, `progress` moves the bar."""

    def __init__(self, name: str, bar: Progress | None):
        self.name = name
        self.line = ""
        self.detail: list[str] = []
        self._bar = bar
        self._task = bar.add_task(name, total=None, start=True, text="") if bar is not None else None

    def say(self, line: str, *detail: str) -> None:
        """The step's result, and further lines below it."""
        self.line = line
        self.detail = list(detail)

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Show how far the step is, and `text` beside the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, text=for_terminal(text))


class Reporter:
    """Prints steps to standard error, so that standard output stays free for `--json` and `--emit`."""

    def __init__(self, quiet: bool = False):
        self.console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)

    def title(self, text: str) -> None:
        self.console.print(Text(for_terminal(text), style="bold"))

    def line(self, name: str, text: str, style: str = "") -> None:
        """An aligned line without a clock."""
        row = Text(f"  {name:<{NAME_WIDTH}}", style="cyan")
        row.append(for_terminal(text), style=style or "default")
        self.console.print(row)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step; a bar is shown on a terminal while it runs, the result line afterwards."""
        begin = time.monotonic()
        if self.console.is_terminal and not self.console.quiet:
            columns = (
                TextColumn(f"  [cyan]{{task.description:<{NAME_WIDTH}}}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[text]}", markup=False),  # it may hold a file's name
            )
            with Progress(*columns, console=self.console, transient=True) as bar:
                step = Step(name, bar)
                yield step
        else:
            step = Step(name, None)
            yield step
        seconds = time.monotonic() - begin
        row = Text(f"  {name:<{NAME_WIDTH}}", style="cyan")
        row.append(for_terminal(step.line), style="default")
        row.append(f"  {seconds:.1f} s", style="dim")
        self.console.print(row)
        for text in step.detail:
            self.line("", text)
