"""The examples in the docstrings of the Python functions say the truth."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import flynet_tiny
from flynet_tiny.api import python


@pytest.mark.parametrize(("module", "examples"), [(flynet_tiny, 2), (python, 15)], ids=["flynet_tiny", "functions"])
def test_examples_run(module: object, examples: int) -> None:
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted >= examples


def test_the_package_is_imported_at_once_and_without_what_it_may_need_later() -> None:
    script = (
        "import sys, flynet_tiny\n"
        "heavy = {'torch', 'numpy', 'onnx', 'onnxruntime', 'click', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert flynet_tiny.targets()\n"
        "assert flynet_tiny.Normalize(0.5, 0.25).std == (0.25,)\n"
        "assert 'torch' not in sys.modules\n"
        "assert not hasattr(flynet_tiny, 'nothing')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parent, timeout=60)
