"""Coming back to an output folder that was edited, cut short, damaged or made by another version."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny.api.commands import compile_model, print_report
from flynet_tiny.deploy.emulate_folder import emulate_folder
from flynet_tiny.deploy.request import DeploymentRequest
from flynet_tiny.deploy.verify_folder import verify_folder
from flynet_tiny.errors import BadData, FlynetError, NumbersDiffer
from flynet_tiny.firmware.elf import require_whole_elf
from flynet_tiny.folders.manifest import MANIFEST, find_manifest, survey
from flynet_tiny.learn.evaluating import EvaluationRequest, evaluate_model


def verify(folder: Path, emulate: bool = False) -> str:
    return verify_folder(folder, 2, 1, emulate=emulate)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_every_file_is_in_the_manifest(original: Path) -> None:
    manifest = find_manifest(original)
    assert manifest is not None
    found = survey(original, manifest)
    assert (found.foreign, found.changed, found.rebuilt, found.missing) == ((), (), (), ())
    assert set(manifest.files) == {str(p.relative_to(original)) for p in original.rglob("*") if p.is_file()} - {MANIFEST}


def test_the_folders_own_files_are_proven_with_every_elf(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(folder, emulate=True).count(" 0 bytes differing") == 3
    said = capsys.readouterr().err
    assert "passes in firmware/net.elf, firmware-netduinoplus2/net.elf" in said


@pytest.mark.slow
def test_what_make_built_anew_is_proven_and_replaced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["make", "-s", "-C", folder / "firmware", "OPT=-O1", "all", "verify"], check=True, capture_output=True)
    assert (folder / "firmware" / "build" / "trace").is_dir()
    assert verify(folder, emulate=True).count(" 0 bytes differing") == 3
    said = capsys.readouterr().err
    assert "rebuilt" in said
    assert "passes in firmware/net.elf, net.elf, firmware-netduinoplus2/net.elf" in said
    model = folder / "model.tflite"
    compile_model(model, DeploymentRequest("stm32f405", folder, name="net", emulate=False, as_json=True))
    assert not (folder / "firmware" / "build").exists()


def test_a_change_that_keeps_every_number_is_named_too(folder: Path) -> None:
    edit(folder / "net.c", "/*", "/* mine,")
    with pytest.raises(BadData, match=r"changed net\.c; every tensor is equal"):
        verify(folder)
    (folder / "report.html").unlink()
    with pytest.raises(BadData, match=r"changed net\.c, report\.html \(missing\)"):
        verify(folder)


def test_files_of_the_user_beside_ours_do_not_matter(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    assert verify(folder).count(" 0 bytes differing") == 2


def swap_constant(folder: Path) -> None:
    """Another weight in golden.onnx."""
    model = onnx.load(folder / "golden.onnx")
    weights = max(model.graph.initializer, key=lambda constant: len(constant.raw_data))
    weights.raw_data = bytes(reversed(weights.raw_data))
    onnx.save(model, folder / "golden.onnx")


def test_the_folders_own_golden_model_judges(folder: Path) -> None:
    swap_constant(folder)
    with pytest.raises(NumbersDiffer, match=r"onnxruntime = litert fails.*not as it was written: golden\.onnx"):
        verify(folder)


def test_the_folders_own_elf_is_run(folder: Path, original: Path, tmp_path: Path) -> None:
    """A verify.elf of other weights: the C on the host is still right."""
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    text = (copy / "net_weights.c").read_text()
    numbers = text.index("= {") + 3
    digit = next(at for at in range(numbers, len(text)) if text[at].isdigit())
    (copy / "net_weights.c").write_text(text[:digit] + ("1" if text[digit] != "1" else "2") + text[digit:])
    subprocess.run(["make", "-s", "-C", copy / "firmware", "verify"], check=True, capture_output=True)
    shutil.copy(copy / "firmware" / "verify.elf", folder / "firmware" / "verify.elf")
    with pytest.raises(NumbersDiffer, match=r"emulated board fails.*not as it was written: firmware/verify\.elf"):
        verify(folder, emulate=True)
    assert verify(folder, emulate=False).count(" 0 bytes differing") == 2


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None], file: str = MANIFEST) -> None:
    found = json.loads((folder / file).read_text())
    change(found)
    (folder / file).write_text(json.dumps(found))


def refused(folder: Path, words: str, runs: str = "verify emulate evaluate") -> None:
    """One line and exit code 3 from every command that comes back to the folder."""
    calls = {
        "verify": lambda: verify(folder, emulate=True),
        "emulate": lambda: emulate_folder(folder, None, 1),
        "evaluate": lambda: evaluate_model(EvaluationRequest(folder, "digits", limit=1, as_json=True)),
        "report": lambda: print_report(folder, as_json=False),
    }
    for name in runs.split():
        with pytest.raises(FlynetError, match=words) as caught:
            calls[name]()
        assert caught.value.exit_code == 3, name
        assert len(str(caught.value)) < 1000


def test_another_version_says_so(folder: Path) -> None:
    rewrite(folder, lambda manifest: manifest.update(version="0.0.9"))
    refused(folder, r"made by flynet-tiny 0\.0\.9, this is .*compile the model again, or use that version")


def test_another_build_of_the_same_version_says_so(folder: Path) -> None:
    edit(folder / "net.c", "/*", "/* emitted otherwise,")
    content = (folder / "net.c").read_bytes()
    listed = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    rewrite(folder, lambda manifest: manifest["files"].update({"net.c": listed}))
    refused(folder, r"another build of flynet-tiny.*net\.c")


def test_a_folder_without_manifest_says_so(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    refused(folder, "not an output folder of ours.*older flynet-tiny.*compile the model again")


def test_folders_that_are_none_of_ours_say_so(tmp_path: Path) -> None:
    refused(tmp_path / "none", "not an output folder of ours", "verify emulate")
    refused(tmp_path, r"not an output folder of ours: it has no manifest\.json$")
    refused(tmp_path, "report.json", "report")


@pytest.mark.parametrize("file", ["model.tflite", "report.json", "net.c"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    refused(folder, f"lacks {file}")


def test_a_changed_model_is_named(folder: Path) -> None:
    content = bytearray((folder / "model.tflite").read_bytes())
    content[-1] ^= 1
    (folder / "model.tflite").write_bytes(content)
    refused(folder, r"model\.tflite was changed")


def test_a_golden_model_that_is_missing_or_broken_is_named(folder: Path) -> None:
    content = (folder / "golden.onnx").read_bytes()
    other = onnx.load_from_string(content)
    other.graph.output[0].name = "nobody"
    for damaged in (b"", b"nothing", content[: len(content) // 2], other.SerializeToString()):
        (folder / "golden.onnx").write_bytes(damaged)
        refused(folder, r"golden\.onnx", "verify")
    (folder / "golden.onnx").unlink()
    refused(folder, r"lacks golden\.onnx", "verify")


@pytest.mark.parametrize("change", ["int nothing", "\xff", "#include <missing.h>\n"])
def test_c_that_no_longer_compiles_is_one_line(folder: Path, change: str) -> None:
    with (folder / "net.c").open("a", encoding="latin-1") as file:
        file.write(change)
    with pytest.raises(BadData, match=r"does not compile any more: net\.c:.*error|not text any more"):
        verify(folder)


@pytest.mark.parametrize("elf", ["verify.elf", pytest.param("net.elf", marks=pytest.mark.slow)])
def test_a_truncated_elf_is_named(folder: Path, elf: str) -> None:
    path = folder / "firmware" / elf
    content = path.read_bytes()
    require_whole_elf(content, "it")
    for size in (*range(100), len(content) // 2, len(content) - 1):
        with pytest.raises(BadData, match=r"it is (cut short|not an ELF)"):
            require_whole_elf(content[:size], "it")
    path.write_bytes(content[:-1])
    refused(folder, rf"firmware/{elf} is cut short", "verify emulate")
    path.unlink()
    refused(folder, rf"firmware/{elf} is missing; build it with: make -C", "emulate")


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, inner in entries for path in paths(inner, (*here, key)))]


WRONG = st.sampled_from((None, True, -1, 0, 1 << 80, 1e300, "text", "\x1b[31m", [], {}, [1], {"a": 1}, [[[]]], "x" * 5000))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_damage_to_the_report_is_survived(
    original: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    text = (original / "report.json").read_text()
    report = json.loads(text)
    path = data.draw(st.sampled_from([path for path in paths(report) if path]))
    place = report
    for key in path[:-1]:
        place = place[key]
    if data.draw(st.booleans()):
        place[path[-1]] = data.draw(WRONG)
    else:
        del place[path[-1]]
    content = json.dumps(report).encode()
    content = data.draw(st.sampled_from((content, content[: data.draw(st.integers(0, len(content)))])))
    (folder / "report.json").write_bytes(content)
    told = ""
    try:
        assert print_report(folder, as_json=False)
    except BadData as error:
        told = str(error)
    assert not told or ("damaged" in told and len(told) < 500)


@pytest.mark.parametrize("value", [None, 0, ...])
def test_any_value_of_the_report_may_be_null_zero_or_missing(original: Path, value: object) -> None:
    folder = original.parent / "damaged"
    folder.mkdir(exist_ok=True)
    text = (original / "report.json").read_text()
    for path in paths(json.loads(text))[1:]:
        report = place = json.loads(text)
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        if value is ...:
            del place[path[-1]]
        (folder / "report.json").write_text(json.dumps(report))
        with contextlib.suppress(BadData):
            assert print_report(folder, as_json=False)


@pytest.mark.parametrize("key", ["ram", "fits"])
def test_a_report_that_lacks_a_key_is_one_line_everywhere(folder: Path, key: str) -> None:
    rewrite(folder, lambda report: report.pop(key), "report.json")
    refused(folder, rf"report\.json is damaged: it lacks {key}", "verify emulate evaluate report")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("target", "name", "z80"),
        ("target", "optimize", "nothing"),
        ("ram", "stack_bytes", None),
        ("ram", "arena_bytes", 1 << 40),
        ("model", "class_names", [1]),
        ("flash", "budget_bytes", 0),
    ],
)
def test_a_report_with_a_wrong_value_is_one_line(folder: Path, section: str, key: str, value: object) -> None:
    rewrite(folder, lambda report: report[section].update({key: value}), "report.json")
    refused(folder, r"report\.json is damaged", "report" if section == "flash" else "emulate")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"schema": NaN}', b'{"schema": 2}']
)
def test_a_report_that_is_something_else_is_one_line(folder: Path, content: bytes) -> None:
    (folder / "report.json").write_bytes(content)
    refused(folder, r"report\.json is damaged", "verify emulate evaluate report")


def test_a_report_in_another_encoding_is_one_line_as_json_too(folder: Path) -> None:
    (folder / "report.json").write_text((folder / "report.json").read_text(), encoding="utf-16")
    for as_json in (False, True):
        with pytest.raises(BadData, match=r"report\.json is damaged"):
            print_report(folder, as_json)
