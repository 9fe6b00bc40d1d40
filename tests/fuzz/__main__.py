"""`make fuzz`: broken files against the reader, drawn graphs against all judges; seeded, time-boxed, counted.

Ends with 1 when anything was found, and keeps each failing file in the output folder under its seed, so that
`python -m tests.fuzz --only-mutant SEED` or `--only-graph SEED` shows it again.
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.pool import IMapIterator
from pathlib import Path
from types import FrameType
from typing import TypeVar

import click

from flynet_tiny.verify.litert import LiteRtProcess

from .drawn_graphs import draw
from .judged_graphs import Judged, judge_drawn
from .mutants import Outcome, mutant, read

CHUNK = 500
MEMORY_BYTES = 6 << 30  # of a worker's address space: a bomb ends it with MemoryError
SECONDS_A_FILE = 10
_T = TypeVar("_T")


class _TooSlow(Exception):
    """A file took longer than any refusal may."""


def _alarm(signum: int, frame: FrameType | None) -> None:
    raise _TooSlow


def _begin_worker() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _alarm)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read_chunk(first: int) -> tuple[Counter[str], list[tuple[int, str]]]:
    counts: Counter[str] = Counter()
    findings = []
    for seed in range(first, first + CHUNK):
        signal.alarm(SECONDS_A_FILE)
        try:
            outcome, words = read(mutant(seed))
        except _TooSlow:
            outcome, words = Outcome.TRACEBACK, f"not done after {SECONDS_A_FILE} s"
        finally:
            signal.alarm(0)
        counts[outcome.value] += 1
        if outcome in (Outcome.TRACEBACK, Outcome.BABBLE):
            findings.append((seed, words))
    return counts, findings


_child: list[LiteRtProcess] = []


def _judge(seed: int) -> tuple[int, Judged]:
    if not _child or not _child[0].is_alive:
        _child[:] = [LiteRtProcess()]
    return seed, judge_drawn(seed, _child[0])


@click.command()
@click.option("--mutants", default=200_000, show_default=True, help="Broken files to read.")
@click.option("--graphs", default=1_000, show_default=True, help="Graphs to draw and judge.")
@click.option("--seconds", default=7_200, show_default=True, help="Stop after this time, whatever is left; said in the summary.")
@click.option("--seed", default=0, show_default=True, help="The first seed.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("build/fuzz"), show_default=True, help="Where failing files are kept."
)
@click.option("--only-mutant", type=int, help="Read this one mutant here, with its traceback.")
@click.option("--only-graph", type=int, help="Judge this one graph here, with its traceback.")
def fuzz(
    mutants: int, graphs: int, seconds: int, seed: int, jobs: int, out: Path, only_mutant: int | None, only_graph: int | None
) -> None:
    """Fuzz the reader with broken files and the compiler with drawn graphs."""
    if only_mutant is not None:
        click.echo(read(mutant(only_mutant)))
        return
    if only_graph is not None:
        click.echo(_judge(only_graph)[1])
        return
    end = time.monotonic() + seconds
    found = _mutants(range(seed, seed + mutants, CHUNK), jobs, end, out) + _graphs(range(seed, seed + graphs), jobs, end, out)
    sys.exit(1 if found else 0)


def _mutants(starts: range, jobs: int, end: float, out: Path) -> int:
    counts: Counter[str] = Counter()
    findings: list[tuple[int, str]] = []
    with multiprocessing.Pool(jobs, _begin_worker) as pool:
        for some, bad in _until(pool.imap(_read_chunk, starts), end):
            counts += some
            findings += bad
            _progress(f"mutants: {counts.total():,} of {len(starts) * CHUNK:,}, {len(findings)} findings")
    click.echo(f"mutants: {counts.total():,} read: " + ", ".join(f"{counts[o.value]:,} {o.value}" for o in Outcome))
    for seed, words in findings[:20]:
        click.echo(f"  mutant {seed}: {words[:300]}")
        _keep(out, f"mutant-{seed}.tflite", mutant(seed))
    return len(findings)


def _graphs(seeds: range, jobs: int, end: float, out: Path) -> int:
    judged = refused = compared = 0
    findings: list[tuple[int, str]] = []
    with multiprocessing.Pool(jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        for seed, one in _until(pool.imap(_judge, seeds), end):
            judged += not one.refused
            refused += bool(one.refused)
            compared += one.compared_bytes
            if one.finding:
                findings.append((seed, one.finding))
            _progress(f"graphs: {judged + refused:,} of {len(seeds):,}, {len(findings)} findings")
    click.echo(
        f"graphs: {judged:,} judged, {refused:,} refused by rule, {compared:,} bytes compared, {len(findings):,} with findings"
    )
    for seed, words in findings[:20]:
        click.echo(f"  graph {seed}: {words[:300]}")
        _keep(out, f"graph-{seed}.tflite", draw(seed))
    return len(findings)


def _until(results: IMapIterator[_T], end: float) -> Iterator[_T]:
    """Results in order, until they or the time are over."""
    while True:
        try:
            yield results.next(timeout=max(0.1, end - time.monotonic()))
        except StopIteration:
            return
        except multiprocessing.TimeoutError:
            click.echo("time is over; what was left is not counted")
            return


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{text}  ", err=True, nl=False)


def _keep(out: Path, name: str, data: bytes) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / name).write_bytes(data)


if __name__ == "__main__":
    fuzz()
