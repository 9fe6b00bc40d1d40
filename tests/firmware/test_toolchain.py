import subprocess
from pathlib import Path

import pytest

from flynet_tiny.errors import MissingTool
from flynet_tiny.firmware.toolchain import Tool, ToolFailedError, find_tool, require_tools, run_tool, start_tool


def test_every_tool_is_installed_where_the_tests_run() -> None:
    require_tools(*Tool)


@pytest.mark.parametrize("tool", list(Tool))
def test_a_missing_tool_names_the_command_that_installs_it(tool: Tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match=f"{tool.value} is not installed; install it with: apt-get install ") as caught:
        find_tool(tool)
    assert caught.value.exit_code == 7


def test_another_name_of_a_tool_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clang = tmp_path / "clang"
    clang.write_text("#!/bin/sh\n")
    clang.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_tool(Tool.HOST_COMPILER) == clang


def test_a_failing_tool_shows_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match=r"(?s)sh failed \(3\):.*out.*err"):
        run_tool(["sh", "-c", "echo out; echo err >&2; exit 3"], tmp_path)


def test_a_started_tool_is_waited_for_and_keeps_its_answer(tmp_path: Path) -> None:
    tool = start_tool(["sh", "-c", "sleep 0.2; echo done"], tmp_path)
    assert tool.wait() == "done\n"
    assert tool.wait() == "done\n"
    tool.kill()


def test_a_tool_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run_tool(["sleep", "60"], tmp_path, timeout_s=0.1)


def test_tools_speak_the_language_that_we_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run_tool(["sh", "-c", "echo $LC_ALL"], tmp_path) == "C\n"
