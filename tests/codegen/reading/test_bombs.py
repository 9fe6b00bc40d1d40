from __future__ import annotations

import json
import subprocess
import sys

import pytest

from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import FlynetError

from . import bombs

MAX_BYTES = 1 << 30
TIME_LIMIT_S = 10  # of processor time; the promise is two seconds, the rest is for slow machines

_CHILD = """
import json, pathlib, re, sys, time
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.errors import FlynetError
for path in sys.argv[1:]:
    data = pathlib.Path(path).read_bytes()
    started = time.process_time()
    try:
        read_tflite(data)
        ended = [0, ""]
    except FlynetError as error:
        ended = [error.exit_code, str(error)]
    seconds = time.process_time() - started
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())
    print(json.dumps([*ended, seconds, 1024 * int(peak[1])]))
"""

Ending = tuple[int, str, float, int]


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ending]:
    """(exit code, message, seconds of processor, peak bytes up to then) of each bomb, read by one process of their own."""
    folder = tmp_path_factory.mktemp("bombs")
    makers = {**bombs.REFUSED, **bombs.HARMLESS}
    paths = [folder / f"{index}.tflite" for index in range(len(makers))]
    for path, make in zip(paths, makers.values(), strict=True):
        path.write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *map(str, paths)], capture_output=True, text=True, timeout=600, check=True
    )
    return dict(zip(makers, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", sorted(bombs.REFUSED))
def test_what_asks_for_too_much_is_refused_at_once(endings: dict[str, Ending], name: str) -> None:
    code, message, seconds, peak = endings[name]
    assert code in (3, 4)
    assert "\n" not in message
    assert len(message) < 4000
    assert peak < MAX_BYTES
    assert seconds < TIME_LIMIT_S


@pytest.mark.parametrize("name", sorted(bombs.HARMLESS))
def test_what_nobody_mentions_costs_nothing(endings: dict[str, Ending], name: str) -> None:
    code, message, seconds, peak = endings[name]
    assert (code, message) == (0, "")
    assert peak < MAX_BYTES
    assert seconds < TIME_LIMIT_S


def test_tensors_that_share_a_buffer_share_its_bytes() -> None:
    graph = read_tflite(bombs.shared_buffer(40, 4096))
    constants = [t.constant() for t in graph.tensors.values() if t.is_constant]
    assert len(constants) == 40
    assert len({c.__array_interface__["data"][0] for c in constants}) == 1


def test_operators_of_one_kind_are_one_line_with_their_number() -> None:
    with pytest.raises(
        FlynetError, match=r"4000 unsupported operators: 4000 ELU, the first: op 0 ELU -> 'y' has no kernel \(.*: use .*\)$"
    ):
        read_tflite(bombs.REFUSED["unknown operators within the limit"]())
