from dataclasses import replace
from pathlib import Path

import pytest

from flynet_tiny.codegen.c_library import TraceRecord
from flynet_tiny.errors import EmulationFailed
from flynet_tiny.verify.harness import RESULT, Request, read_result, set_bytes
from flynet_tiny.verify.host_c import HostLibrary

from ..tiny_library import tiny_inputs, tiny_library


def test_the_size_of_a_set_follows_from_what_was_asked() -> None:
    library = tiny_library()
    assert set_bytes(library, Request(trace=True, count=True)) == 3 * 64 + 2 * 4 + 64 + 4
    assert set_bytes(library, Request(trace=False)) == 64 + 4


def test_a_result_that_ends_early_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmulationFailed, match="tiny ended early: 0 of 280 result bytes"):
        read_result(tmp_path, tiny_library(), 1, Request())
    (tmp_path / RESULT).write_bytes(bytes(280))
    with pytest.raises(EmulationFailed, match="not those of tiny"):
        read_result(tmp_path, tiny_library(), 1, Request())


def test_trace_records_that_differ_from_the_c_are_noticed() -> None:
    library = tiny_library()
    longer = replace(library, trace=(*library.trace, TraceRecord(1, "ghost", 0, 64, "int8")))
    with HostLibrary(longer) as host, pytest.raises(EmulationFailed, match="ended early"):
        host.run(tiny_inputs(1)[0])


def test_records_out_of_order_in_the_c_are_noticed() -> None:
    library = tiny_library()
    source = library.files["tiny.c"].replace("{0, 64, 64}, {1, 128, 64}", "{1, 128, 64}, {0, 64, 64}")
    with (
        HostLibrary(replace(library, files={**library.files, "tiny.c": source})) as host,
        pytest.raises(EmulationFailed, match="no operator wrote, the first is 2"),
    ):
        host.run(tiny_inputs(1)[0])
