"""From a `.tflite` to a folder with its report, through the command line's functions, on a small FlyNet block."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flynet_tiny.api.commands import compile_model, print_report
from flynet_tiny.codegen.build import build_named
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.targets import get_target, list_targets
from flynet_tiny.deploy.emulate_folder import emulate_folder
from flynet_tiny.deploy.request import DeploymentRequest
from flynet_tiny.deploy.verify_folder import verify_folder
from flynet_tiny.errors import BadData, NumbersDiffer, OverBudget
from flynet_tiny.report.layers import layers_of
from flynet_tiny.report.page import render_page
from flynet_tiny.report.schema import Flash, ModelFacts, NotDone, Ram, Report, TargetFacts, Verification

from .. import one_op_models
from ..small_models import Sketch, attention_block, mdw_max_out


def deploy(data: bytes, folder: Path, target: str = "stm32f412", emulate: bool = True) -> dict:
    model = folder / "net.tflite"
    model.write_bytes(data)
    text = compile_model(model, DeploymentRequest(target, folder / "out", emulate=emulate, as_json=True))
    report: dict = json.loads(text)
    assert report == json.loads((folder / "out" / "report.json").read_text())
    return report


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deployed")
    deploy(attention_block(seed=3), folder)
    return folder / "out"


@pytest.fixture(scope="module")
def report(deployed: Path) -> dict:
    found: dict = json.loads((deployed / "report.json").read_text())
    return found


def test_folder_holds_everything(deployed: Path) -> None:
    names = {p.name for p in deployed.iterdir()}
    generated = {"net.h", "net.c", "net_weights.h", "net_weights.c"}
    told = {"report.json", "report.html", "manifest.json"}
    assert names == {"model.tflite", "golden.onnx", *generated, *told, "firmware", "net.elf"}
    assert {"Makefile", "net.elf", "verify.elf", "firmware.ld", "main.c"} <= {p.name for p in (deployed / "firmware").iterdir()}


def test_all_judges_agree_on_every_tensor(report: dict) -> None:
    pairs = {p["pair"]: p for p in report["verification"]}
    assert set(pairs) == {"onnxruntime = litert", "onnxruntime = C on the host", "onnxruntime = emulated board"}
    for pair in pairs.values():
        assert pair["inputs"] == 19
        assert pair["differing"] == 0
    assert pairs["onnxruntime = litert"]["tensors"] == 32
    assert pairs["onnxruntime = C on the host"]["tensors"] == pairs["onnxruntime = emulated board"]["tensors"] >= 20


def test_report_accounts_for_every_byte(report: dict) -> None:
    ram, flash = report["ram"], report["flash"]
    assert report["fits"] is True
    assert (
        ram["used_bytes"]
        == sum(b["used_bytes"] for b in ram["banks"])
        == ram["arena_bytes"] + ram["stack_bytes"] + ram["static_bytes"]
    )
    assert 0 < ram["stack_measured_bytes"] <= ram["stack_bound_bytes"] <= ram["stack_bytes"]
    assert flash["weights_bytes"] + flash["code_bytes"] <= flash["used_bytes"] <= flash["budget_bytes"] == 1 << 20


def test_instructions_add_up(report: dict) -> None:
    instructions = report["instructions"]
    assert instructions["total"] == sum(layer["instructions"] for layer in report["layers"])
    assert sum(layer["macs"] for layer in report["layers"]) == report["model"]["macs"]
    assert len(report["layers"]) == 14


def test_what_was_not_measured_says_so(report: dict) -> None:
    assert report["accuracy"] == {"not_done": "no labelled images"}
    assert report["model"]["trained"] is None


OTHER_CORES = {"stm32g0b1": "cortex-m0plus", "stm32f103": "cortex-m3", "stm32u585": "cortex-m33"}


@pytest.mark.parametrize("target", OTHER_CORES)
def test_all_judges_agree_on_other_cores(tmp_path: Path, target: str) -> None:
    report = deploy(attention_block(seed=3), tmp_path, target)
    assert report["target"]["core"] == OTHER_CORES[target]
    assert {p["pair"]: p["differing"] for p in report["verification"]} == {
        "onnxruntime = litert": 0,
        "onnxruntime = C on the host": 0,
        "onnxruntime = emulated board": 0,
    }
    assert report["instructions"]["total"] == sum(layer["instructions"] for layer in report["layers"]) > 0
    assert 0 < report["ram"]["stack_measured_bytes"] <= report["ram"]["stack_bound_bytes"]
    assert set(get_target(target).emulation_notes) <= set(report["model"]["notes"])


@pytest.mark.parametrize("target", ["stm32g0b1", "stm32f103"])
def test_nothing_is_said_of_a_board_that_was_not_run(tmp_path: Path, target: str) -> None:
    report = deploy(one_op_models.CASES["ADD"](0), tmp_path, target, emulate=False)
    assert get_target(target).emulation_notes
    assert not any("emulated" in note or "guarded" in note for note in report["model"]["notes"])


@pytest.mark.slow
@pytest.mark.parametrize("target", [t.name for t in list_targets() if t.name not in OTHER_CORES])
def test_all_judges_agree_on_every_chip(tmp_path: Path, target: str) -> None:
    report = deploy(mdw_max_out(seed=3), tmp_path, target)
    assert len(report["verification"]) == 3
    assert all(pair["differing"] == 0 for pair in report["verification"])
    assert report["instructions"]["total"] > 0


def test_ordinary_runtimes_are_reported_as_statistics(report: dict) -> None:
    assert set(report["accumulated_rounding"]) == {"qdq_onnxruntime", "xnnpack"}


def test_the_same_model_gives_the_same_files(deployed: Path, tmp_path: Path) -> None:
    deploy(attention_block(seed=3), tmp_path)
    for path in deployed.rglob("*"):
        if path.is_file():
            assert (tmp_path / "out" / path.relative_to(deployed)).read_bytes() == path.read_bytes(), path.name


def test_the_header_says_how_deep_the_invocation_goes(deployed: Path, report: dict) -> None:
    header = (deployed / "net.h").read_text()
    found = re.search(r"as built by arm-none-eabi-gcc \d[^;]* -O3;[^#]*\n#define NET_STACK_BYTES (\d+)u\n", header)
    assert found
    assert 0 < int(found.group(1)) < report["ram"]["stack_bound_bytes"]


def test_page_shows_the_verdict(deployed: Path, report: dict) -> None:
    page = (deployed / "report.html").read_text()
    assert "Fits." in page
    assert f"{report['instructions']['total']:,}" in page
    assert page.count("<rect") >= 15


def test_page_says_what_was_rewritten_and_what_a_judge_left_out() -> None:
    source = compile_tflite(attention_block(seed=3), "net", build_named("stm32f412"))
    facts = ModelFacts("net", 1, 1, (1,), 1, None, "0" * 64, 1, ((1,),), notes=("12 operators folded <b>", "LiteRT got a copy"))
    pairs = (
        Verification("onnxruntime = litert", 0, 0, 0, 0, 19, "its exponentials sum to 512"),
        Verification("onnxruntime = C on the host", 19, 1, 1, 0),
    )
    nothing = NotDone("not asked for")
    report = Report(
        facts, TargetFacts("stm32f412", "cortex-m4", "balanced"), Flash(1, 2, 1, 0), Ram(1, 2, 1, 1, 0, None, 0, 0, ()), True,
        pairs, nothing, nothing, nothing, layers=layers_of(source, None),
    )  # fmt: skip
    page = render_page(report, source)
    assert "<li>12 operators folded &lt;b&gt;</li>" in page
    assert "<li>LiteRT got a copy</li>" in page
    assert page.count("judged no input") == 1
    assert "litert left out for 19 inputs: its exponentials sum to 512" in page
    assert page.count('class="n good">0<') == 1
    plain = replace(report, model=replace(facts, notes=()), verification=pairs[1:])
    assert not re.search("judged no input|left out|<li>LiteRT", render_page(plain, source))


def test_report_prints_the_verdict(deployed: Path) -> None:
    text = print_report(deployed, as_json=False)
    assert "onnxruntime = emulated board: 19 inputs" in text
    assert "0 differing" in text


def test_verify_passes_on_fresh_inputs(deployed: Path) -> None:
    assert verify_folder(deployed, 4, 7, emulate=False).count(" 0 bytes differing") == 2


def test_emulate_prints_the_largest_outputs(deployed: Path) -> None:
    lines = emulate_folder(deployed, None, 3).splitlines()
    assert lines[0] == "y: the 3 largest of 240"
    assert len(lines) == 4


# Proving the judge: one number of the generated C is changed, and the tensor that it makes must be named.


def change(path: Path, pattern: str, amount: int) -> None:
    """Move the number that the pattern's only group matches towards 0 by `amount`, or past it."""
    text = path.read_text()
    found = re.search(pattern, text)
    assert found, f"no {pattern} in {path.name}"
    value = int(found.group(1))
    path.write_text(text[: found.start(1)] + str(value - amount if value > 0 else value + amount) + text[found.end(1) :])


def layer_data(folder: Path, op_index: int) -> str:
    found = re.search(rf"net_op{op_index} = \{{[^}}]*\}}", (folder / "net.c").read_text())
    assert found, f"op {op_index} has no data"
    return found.group(0)


@pytest.mark.parametrize(
    ("op_index", "field", "tensor"),
    [
        (0, "gemm_weights", "active"),
        (0, "gemm_table", "active"),
        (6, "scaling_multiplier", "heads"),
        (6, "weights", "heads"),
    ],
)
def test_one_changed_number_is_found_and_its_tensor_named(
    deployed: Path, tmp_path: Path, op_index: int, field: str, tensor: str
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(deployed, folder)
    pointer = re.search(rf"/\* {field} \*/ (net_\w+)", layer_data(folder, op_index))
    if pointer:
        # The weights' words hold several packed numbers: a change of 2^22 moves one of them, whatever the word holds.
        amount = 64 if field.endswith("table") else 1 << 22
        change(folder / "net_weights.c", rf"\b{pointer.group(1)}\[\d+\] = \{{\s*(-?\d+)", amount)
    else:
        change(folder / "net.c", rf"net_op{op_index} = \{{[^}}]*/\* {field} \*/ (-?\d+)", 1 << 24)
    with pytest.raises(NumbersDiffer, match=rf"C on the host fails: {tensor}\[.*op \d+ ") as caught:
        verify_folder(folder, 2, 1, emulate=False)
    assert caught.value.exit_code == 6


# Budgets.


def large_model() -> bytes:
    """One convolution whose input and output need 200,704 bytes."""
    s = Sketch()
    s.act("x", (1, 112, 112, 8))
    s.act("y", (1, 112, 112, 8))
    s.conv("x", "y", 8, 3, "SAME")
    s.act("z", (1, 112, 112, 8))
    s.op("ADD", ("x", "y"), "z", fusedActivationFunction="NONE")
    return s.file(("x",), ("z",))


def test_network_over_budget_is_refused_with_numbers_and_a_report(tmp_path: Path) -> None:
    with pytest.raises(OverBudget, match=r"needs .* B of RAM.*stm32f411 has 131,072 B") as caught:
        deploy(large_model(), tmp_path, "stm32f411")
    assert caught.value.exit_code == 5
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["fits"] is False
    assert "131,072" in report["over_budget"]
    assert report["flash"]["used_bytes"] is None
    assert not list((tmp_path / "out").rglob("*.elf"))
    assert not (tmp_path / "out" / "firmware").exists()
    with pytest.raises(BadData, match="does not fit"):
        emulate_folder(tmp_path / "out", None, 1)


def test_the_same_network_fits_a_chip_with_banks(tmp_path: Path) -> None:
    report = deploy(large_model(), tmp_path, "stm32h743", emulate=False)
    used = {b["name"]: b["used_bytes"] for b in report["ram"]["banks"] if b["used_bytes"]}
    assert set(used) == {"DTCM", "AXI_SRAM"}
    assert report["instructions"] == {"not_done": "--no-emulate"}


def test_chip_that_qemu_has_also_runs_at_its_own_addresses(tmp_path: Path) -> None:
    deploy(mdw_max_out(), tmp_path, "stm32f405")
    project = tmp_path / "out" / "firmware-netduinoplus2"
    assert (project / "net.elf").is_file()
    assert "0x08000000" in (project / "firmware.ld").read_text()


def test_verify_of_a_foreign_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="not an output folder of ours"):
        verify_folder(tmp_path, 2, 1, emulate=False)
