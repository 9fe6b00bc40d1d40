"""Training from the command line: stopped, killed, continued, over several processes, with a teacher."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from flynet_tiny.flynet.checkpoint import load_checkpoint

from ..flynet.pictures import write_pictures

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
        (("--resume",), 2, "nothing to resume"),
        (("--teacher", str(tmp_path / "none.pt")), 3, "does not exist"),
        (("--teacher-weight", "2"), 2, "alpha"),
        (("--start", str(uninterrupted), "--heads", "3"), 2, "--start needs the same"),
        (("--device", "cuda"), 2, "no GPU") if not torch.cuda.is_available() else (("--lr", "-1"), 2, "learning rate"),
    ):
        done = train(pictures, tmp_path / "net.pt", 1, *options)
        assert (done.returncode, words in done.stderr, done.stderr.count("\n")) == (code, True, 1), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_teacher_and_mixed_precision_train(pictures: Path, uninterrupted: Path, tmp_path: Path) -> None:
    out = tmp_path / "student.pt"
    done = train(pictures, out, 2, "--teacher", str(uninterrupted), "--teacher-weight", "0.9", "--amp")
    assert done.returncode == 0, done.stderr
    assert history(out) != history(uninterrupted)[:2]
    assert load_checkpoint(out)[1].class_names == ("bright", "dark")
