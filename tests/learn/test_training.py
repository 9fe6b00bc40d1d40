"""Training from the command line: stopped, killed, continued, over several processes, with a teacher."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from flynet_tiny.deploy.console import Step
from flynet_tiny.deploy.network import NetworkRequest, _held_out
from flynet_tiny.errors import (
    BadCheckpoint,
    BadData,
    Diverged,
    FlynetError,
    Interrupted,
    MismatchedTool,
    OutputFailed,
    UsageError,
)
from flynet_tiny.flynet.checkpoint import load_checkpoint
from flynet_tiny.flynet.training.optimization import Optimization
from flynet_tiny.learn.evaluating import EvaluationRequest, evaluate_model
from flynet_tiny.learn.request import Hardware, RecipeRequest, TeacherRequest, TrainingRequest
from flynet_tiny.learn.training import _recipe, train_network
from flynet_tiny.learn.training_files import TrainingFiles

from ..flynet.data.pictures import write_pictures

NETWORK = ("--width", "0.3", "--heads", "2", "--resolution", "16", "--channels", "1", "--recipe", "small", "--batch", "8")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


def command(pictures: Path, out: Path, epochs: int, *options: str) -> list[str]:
    told = ("train", "--data", str(pictures), *NETWORK, "--epochs", str(epochs), "--out", str(out), *options)
    return ["-m", "flynet_tiny.cli", *told]


def train(pictures: Path, out: Path, epochs: int, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command(pictures, out, epochs, *options)], capture_output=True, text=True, timeout=300, env=ENVIRONMENT
    )


def stop(pictures: Path, out: Path, epochs: int, how: signal.Signals) -> tuple[int, str]:
    """Begin a training, send it a signal after its first epoch, and give its exit code and what it said."""
    running = subprocess.Popen(
        [sys.executable, *command(pictures, out, epochs)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env=ENVIRONMENT, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )  # fmt: skip
    kept = out.with_name(f"{out.name}.resume")
    deadline = time.monotonic() + 200
    while not kept.is_file() and time.monotonic() < deadline:
        assert running.poll() is None, running.communicate()
        time.sleep(0.02)
    running.send_signal(how)
    return running.wait(60), running.communicate()[1]


def history(out: Path) -> list[dict[str, float]]:
    epochs = [json.loads(line) for line in out.with_suffix(".jsonl").read_text().splitlines()]
    return [{key: value for key, value in epoch.items() if key != "images_per_s"} for epoch in epochs]


@pytest.fixture(scope="module")
def uninterrupted(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "net.pt"
    done = train(pictures, out, 25)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_training_goes_on_to_the_same_weights(
    pictures: Path, uninterrupted: Path, tmp_path: Path, how: signal.Signals
) -> None:
    out = tmp_path / "net.pt"
    code, said = stop(pictures, out, 25, how)
    if how is signal.SIGINT:
        assert code == 130
        assert "--resume" in said.splitlines()[-1]
    assert not out.exists()
    before = history(out)
    done = train(pictures, out, 25, "--resume")
    assert done.returncode == 0, done.stderr
    assert 1 <= len(before) < 25
    assert history(out) == history(uninterrupted)
    assert history(out)[: len(before)] == before
    found, expected = (load_checkpoint(path)[0].state_dict() for path in (out, uninterrupted))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not out.with_name("net.pt.resume").exists()
    assert out.with_suffix(".svg").read_text().startswith("<svg")


RECIPE = RecipeRequest("small", epochs=3, batch=8)


def request(pictures: Path, out: Path, recipe: RecipeRequest = RECIPE, **options: Any) -> TrainingRequest:
    return TrainingRequest(str(pictures), NetworkRequest(width=0.3, heads=1, resolution=16, channels=1), out, recipe, **options)


def test_a_picture_that_breaks_is_named_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    train_network(request(pictures, tmp_path / "whole.pt"))
    broken = pictures / "val" / "dark" / "2.png"
    whole = broken.read_bytes()

    def break_it(_: Step, done: int, total: int, text: str = "") -> None:
        if done == 4:  # of three steps in an epoch
            broken.write_bytes(whole[:50])

    with monkeypatch.context() as patched:
        patched.setattr(Step, "progress", break_it)
        with pytest.raises(BadData, match=r"dark/2\.png.*; what was reached before it is kept.*--resume") as error:
            train_network(request(pictures, tmp_path / "net.pt"))
    assert "\n" not in str(error.value)
    broken.write_bytes(whole)
    train_network(request(pictures, tmp_path / "net.pt", resume=True))
    assert history(tmp_path / "net.pt") == history(tmp_path / "whole.pt")


def test_bad_data_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    def refused(change: Callable[[Path], object], words: str) -> None:
        pictures = write_pictures(tmp_path / f"pictures-{len(list(tmp_path.iterdir()))}")
        change(pictures)
        out = tmp_path / "out"
        with pytest.raises(BadData, match=words) as error:
            train_network(request(pictures, out / "net.pt"))
        assert "\n" not in str(error.value)
        assert list(out.iterdir()) == []

    def third_class(root: Path) -> None:
        (root / "train" / "middle").mkdir()
        shutil.copy(root / "train" / "dark" / "0.png", root / "train" / "middle")

    def one_class(root: Path) -> None:
        for split in ("train", "val"):
            shutil.rmtree(root / split / "dark")

    refused(one_class, "holds one class, 'bright'; a classifier needs at least two")
    refused(third_class, "must hold the same classes; 'middle' is in train alone")
    refused(lambda root: (root / "val" / "empty").mkdir(), "class folder .*val/empty holds no picture")
    refused(lambda root: shutil.rmtree(root / "val"), "must hold the folders train/CLASS/ and val/CLASS/")
    refused(lambda root: (root / "train" / "dark" / "3.png").write_bytes(b"\xff\xd8\xff"), r"cannot read picture .*dark/3\.png")
    refused(lambda root: (root / "val" / "dark" / "3.png").write_bytes(b""), r"cannot read picture .*val/dark/3\.png")


def interrupt(asked: TrainingRequest, step: int) -> str:
    """Ctrl-C at a step (there are three in an epoch); gives what is said then."""

    def stop(_: Step, done: int, total: int, text: str = "") -> None:
        if done == step:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Step, "progress", stop)
        with pytest.raises(Interrupted) as error:
            train_network(asked)
    return str(error.value)


def test_a_training_goes_on_with_its_own_images_alone(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    interrupt(request(pictures, tmp_path / "net.pt"), 4)
    kept = (tmp_path / "net.pt.resume").read_bytes()
    for index in range(8, 12):
        (pictures / "train" / "dark" / f"{index}.png").unlink()
        (pictures / "train" / "bright" / f"{index}.png").unlink()
    with pytest.raises(BadCheckpoint, match="had 3 steps in an epoch, these images give 2"):
        train_network(request(pictures, tmp_path / "net.pt", resume=True))
    for split in ("train", "val"):
        (pictures / split / "dark").rename(pictures / split / "black")
    with pytest.raises(BadData, match="other classes"):
        train_network(request(pictures, tmp_path / "net.pt", resume=True))
    assert "no epoch was finished, nothing was kept" in interrupt(request(pictures, tmp_path / "net.pt"), 1)
    assert (tmp_path / "net.pt.resume").read_bytes() == kept


def test_a_training_goes_on_with_its_own_options_alone_and_is_not_lost_to_another(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.pt"
    interrupt(request(pictures, out), 4)
    kept = (tmp_path / "net.pt.resume").read_bytes()
    with pytest.raises(UsageError, match="begun without --amp, not with --amp; give the same options"):
        train_network(request(pictures, out, resume=True, hardware=Hardware(mixed_precision=True)))
    train_network(request(pictures, tmp_path / "teacher.pt", replace(RECIPE, epochs=1)))
    with pytest.raises(UsageError, match=r"begun without --teacher, not with --teacher .*teacher\.pt"):
        train_network(request(pictures, out, resume=True, teacher=TeacherRequest(str(tmp_path / "teacher.pt"))))
    train_network(request(pictures, out))  # again from the beginning
    assert out.is_file()
    assert (tmp_path / "net.pt.resume.old").read_bytes() == kept


def test_two_processes_train_what_one_does(pictures: Path, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone.pt", tmp_path / "together.pt"
    assert train(pictures, alone, 1, "--lr", "1e-4").returncode == 0
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *torchrun, *command(pictures, together, 1, "--lr", "1e-4")],
        capture_output=True, text=True, timeout=300, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (one,), (two,) = history(alone), history(together)
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
    assert two["train_accuracy"] == one["train_accuracy"]
    found, expected = (load_checkpoint(path)[0].state_dict() for path in (together, alone))
    for name in expected:
        if expected[name].is_floating_point() and "running" not in name:
            torch.testing.assert_close(found[name], expected[name], rtol=0, atol=4e-4)  # some steps of Adam at 1e-4


def test_mistakes_are_one_line(pictures: Path, uninterrupted: Path, tmp_path: Path) -> None:
    for options, code, words in (
        (("--teacher-weight", "nan"), 2, "alpha"),
        (("--start", str(uninterrupted), "--heads", "3"), 2, "--start needs the same"),
    ):
        done = train(pictures, tmp_path / "net.pt", 1, *options)
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert (done.returncode, words in line, "Traceback" in done.stderr) == (code, True, False), done.stderr
    wrong: list[tuple[dict[str, Any], type[FlynetError], str]] = [
        ({"resume": True}, UsageError, "nothing to resume"),
        ({"teacher": TeacherRequest(str(tmp_path / "none.pt"))}, BadCheckpoint, "does not exist"),
        ({"recipe": replace(RECIPE, learning_rate=-1.0)}, UsageError, "learning rate"),
    ]
    if not torch.cuda.is_available():
        wrong.append(({"hardware": Hardware("cuda")}, UsageError, "no GPU"))
    for asked, error, words in wrong:
        with pytest.raises(error, match=words):
            train_network(request(pictures, tmp_path / "net.pt", **asked))
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_diverges_is_not_to_be_resumed(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="lower learning rate") as error:
        train_network(request(pictures, tmp_path / "net.pt", replace(RECIPE, epochs=9, learning_rate=1e5)))
    assert (tmp_path / "net.pt.resume").is_file()  # it was not the first epoch
    assert "--resume" not in str(error.value)
    assert not (tmp_path / "net.pt").exists()


def test_a_preset_is_annealed_from_its_own_temperature(pictures: Path, tmp_path: Path) -> None:
    def first_temperature(**options: Any) -> float:
        asked = TrainingRequest(str(pictures), NetworkRequest(resolution=16, **options), tmp_path / "net.pt")
        return _recipe(asked, 10**6).temperature_start

    assert first_temperature(model="flynet-h3-0.5x-t3") == 3.0
    assert first_temperature(model="flynet-h3-0.5x") == first_temperature(width=0.5) == 10.0


def test_a_teacher_of_torchvision_must_know_the_students_classes(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def teaches(network: object) -> None:
        models = types.ModuleType("torchvision.models")
        models.get_model = lambda *_, **__: network
        monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
        monkeypatch.setitem(sys.modules, "torchvision.models", models)

    asked = request(pictures, tmp_path / "net.pt", replace(RECIPE, epochs=1), teacher=TeacherRequest("torchvision:any"))
    teaches(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 1000)))
    with pytest.raises(UsageError, match=r"torchvision:any gives .*1000.*2 classes"):
        train_network(asked)
    teaches(torch.nn.Conv2d(3, 8, 3))  # takes colour
    with pytest.raises(UsageError, match=r"torchvision:any cannot take .*1, 16, 16"):
        train_network(asked)
    teaches(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 2)))
    train_network(asked)
    assert (tmp_path / "net.pt").is_file()


def test_a_torchvision_that_cannot_be_loaded_is_a_mismatched_tool(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build for another torch says RuntimeError when its operators are registered."""

    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "torchvision":
                raise RuntimeError("operator torchvision::nms does not exist")

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(MismatchedTool, match=r"does not match torch .*nms does not exist"):
        train_network(request(pictures, tmp_path / "net.pt", teacher=TeacherRequest("torchvision:resnet18")))


def test_accuracy_is_of_images_with_the_checkpoints_classes(pictures: Path, uninterrupted: Path, tmp_path: Path) -> None:
    config = load_checkpoint(uninterrupted)[1].config
    asked = NetworkRequest(checkpoint=uninterrupted, calibration=str(pictures))
    found = _held_out(asked, config, str(pictures), ("bright", "dark"))
    assert found is not None
    assert len(found) == 8
    others = write_pictures(tmp_path / "others")
    (others / "val" / "dark").rename(others / "val" / "a")  # two classes too, in another order
    asked = NetworkRequest(checkpoint=uninterrupted, calibration=str(others))
    assert _held_out(asked, config, str(pictures), ("bright", "dark")) is None
    assert _held_out(asked, config, str(pictures), ()) is not None


def test_a_teacher_and_mixed_precision_train(pictures: Path, uninterrupted: Path, tmp_path: Path) -> None:
    out = tmp_path / "student.pt"
    done = train(pictures, out, 2, "--teacher", str(uninterrupted), "--teacher-weight", "0.9", "--amp")
    assert done.returncode == 0, done.stderr
    assert history(out) != history(uninterrupted)[:2]
    assert load_checkpoint(out)[1].class_names == ("bright", "dark")


def test_the_best_epoch_is_written_beside_the_last(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def measured(*shares: float) -> None:
        left = iter(shares)
        monkeypatch.setattr("flynet_tiny.flynet.training.classification.evaluate_classifier", lambda *_: next(left))

    out, best = tmp_path / "net.pt", tmp_path / "net.best.pt"
    measured(0.25, 0.875, 0.5)
    train_network(request(pictures, out))
    said = capfd.readouterr().err
    assert "last epoch, right 50.00% of 8 held-out images -> " in said
    assert f"the best epoch, 2, right 87.50% of the same -> {best}" in said
    (network, of_last), (chosen, of_best) = load_checkpoint(out), load_checkpoint(best)
    assert (of_last.metrics["accuracy"], of_last.metrics["epochs"]) == (0.5, 3)
    assert (of_best.metrics["accuracy"], of_best.metrics["epochs"]) == (0.875, 2)
    assert of_best.metrics["loss"] == history(out)[1]["loss"]
    assert not torch.equal(network.state_dict()["stem.conv.weight"], chosen.state_dict()["stem.conv.weight"])
    measured(0.25, 0.5, 0.875)
    train_network(request(pictures, out))
    assert "the best epoch of an earlier training is kept as net.best.pt.old" in capfd.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.best.pt.old", "net.jsonl", "net.pt", "net.svg"]
    assert load_checkpoint(tmp_path / "net.best.pt.old")[1].metrics == of_best.metrics


def test_what_is_not_of_a_training_is_left_alone(pictures: Path, uninterrupted: Path, tmp_path: Path) -> None:
    checkpoint = uninterrupted.read_bytes()
    for name, foreign in {
        "net.pt": b"years of work",
        "net.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><rect/></svg>",
        "net.jsonl": b'{"epoch": 1, "name": "mine"}\n',
        "net.best.pt": b"PK\x03\x04 another program's",
        "net.pt.resume": None,
    }.items():
        place = tmp_path / name
        place.mkdir() if foreign is None else place.write_bytes(foreign)
        with pytest.raises(OutputFailed, match=rf"{name} is not of a training of ours"):
            train_network(request(pictures, tmp_path / "net.pt"))
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert foreign is None or place.read_bytes() == foreign
        place.rmdir() if foreign is None else place.unlink()
    for file in (uninterrupted.with_suffix(".svg"), uninterrupted.with_suffix(".jsonl")):
        shutil.copy(file, tmp_path / f"net{file.suffix}")
    (tmp_path / "net.pt").write_bytes(checkpoint)
    train_network(request(pictures, tmp_path / "net.pt", replace(RECIPE, epochs=1)))
    assert (tmp_path / "net.pt").read_bytes() != checkpoint


def test_trainings_of_names_that_differ_after_a_point_have_files_of_their_own(tmp_path: Path) -> None:
    one, other = (TrainingFiles(tmp_path / name) for name in ("net-0.4", "net-0.5"))
    for files in (one, other):
        assert len({files.out, files.best, files.resume, files.metrics, files.curve}) == 5
    assert {one.best, one.metrics, one.curve}.isdisjoint({other.best, other.metrics, other.curve})
    assert len({getattr(TrainingFiles(Path("net.svg")), name) for name in ("out", "metrics", "curve")}) == 3


def test_the_figure_of_an_epoch_is_that_of_its_file(pictures: Path, uninterrupted: Path) -> None:
    """What is written scores what was said; at the first steps too, when running averages say nothing."""
    found = json.loads(evaluate_model(EvaluationRequest(uninterrupted, str(pictures), as_json=True)))
    assert found["top1"] == history(uninterrupted)[-1]["held_out_accuracy"]
    best = TrainingFiles(uninterrupted).best
    if best.is_file():
        shares = [epoch["held_out_accuracy"] for epoch in history(uninterrupted)]
        assert json.loads(evaluate_model(EvaluationRequest(best, str(pictures), as_json=True)))["top1"] == max(shares)


def test_pictures_are_looked_at_first_and_said_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    for name in ("0", "1"):
        Image.new("RGBA", (20, 20), (9, 9, 9, 0)).save(pictures / "train" / "dark" / f"{name}.png")
    Image.new("I;16", (20, 20), 40000).save(pictures / "val" / "bright" / "0.png")
    (pictures / "val" / "bright" / "1.png").write_bytes(b"")
    with pytest.raises(BadData, match=r"bright/1\.png: it is empty$"):  # no epoch is lost to it
        train_network(request(pictures, tmp_path / "net.pt"))
    (pictures / "val" / "bright" / "1.png").unlink()
    capfd.readouterr()
    train_network(request(pictures, tmp_path / "net.pt", replace(RECIPE, epochs=1)))
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "pictures: " in line]
    assert line.strip() == "pictures: 1 of more than 8 bits scaled to 8; 2 transparent, put on white"


def test_mixed_precision_without_native_bfloat16_is_said_and_float32(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
    train_network(
        request(pictures, tmp_path / "amp.pt", replace(RECIPE, epochs=1), hardware=Hardware("cpu", mixed_precision=True))
    )
    assert capfd.readouterr().err.count("--amp: this processor does not compute bfloat16 itself") == 1
    train_network(request(pictures, tmp_path / "plain.pt", replace(RECIPE, epochs=1), hardware=Hardware("cpu")))
    assert "--amp" not in capfd.readouterr().err
    assert history(tmp_path / "amp.pt") == history(tmp_path / "plain.pt")


def test_skipped_steps_are_said(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    step, seen = Optimization.step, iter(range(10**6))

    def spoiled(self: Optimization, loss: torch.Tensor) -> bool:
        return step(self, loss * (float("inf") if next(seen) == 1 else 1.0))

    monkeypatch.setattr(Optimization, "step", spoiled)
    train_network(request(pictures, tmp_path / "net.pt", replace(RECIPE, epochs=2)))
    said = [line for line in capfd.readouterr().err.splitlines() if "epoch   " in line]
    assert ["1 of 3 steps skipped: their gradients were not finite" in line for line in said] == [True, False]
    assert [epoch["skipped_steps"] for epoch in history(tmp_path / "net.pt")] == [1, 0]
