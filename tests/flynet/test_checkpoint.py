"""Checkpoints: what is saved comes back; what is missing, cut or foreign is refused in one line."""

import pickle
import resource

import pytest
import torch

from flynet_tiny.errors import BadCheckpoint, OutputFailed
from flynet_tiny.flynet.checkpoint import FORMAT, Metadata, load_checkpoint, save_checkpoint
from flynet_tiny.flynet.networks.flynet import build
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig, Residual

CONFIG = FlyNetConfig(width=0.3, resolution=16, classes=3, residual=Residual.CONV3X3)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "run" / "net.pt"
    model = build(CONFIG, seed=4)
    save_checkpoint(path, model, Metadata(CONFIG, {"accuracy": 0.5, "epochs": 3}, ("a", "b", "c"), "digits"))
    return path, model


def rewrite(path, **changes):
    content = torch.load(path, weights_only=True)
    content.update(changes)
    torch.save(content, path)


def test_a_checkpoint_comes_back_whole(saved):
    path, model = saved
    loaded, metadata = load_checkpoint(path)
    assert metadata == Metadata(CONFIG, {"accuracy": 0.5, "epochs": 3}, ("a", "b", "c"), "digits")
    assert loaded.config == CONFIG
    assert not loaded.training
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(loaded(x), model.eval()(x))
    assert [file.name for file in path.parent.iterdir()] == ["net.pt"]


def refused(path) -> str:
    with pytest.raises(BadCheckpoint) as error:
        load_checkpoint(path)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_a_missing_checkpoint_is_refused(tmp_path):
    assert "does not exist" in refused(tmp_path / "none.pt")
    assert "is a folder" in refused(tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(saved, keep):
    path, _ = saved
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(len(whole) * keep)])
    assert "not a whole checkpoint" in refused(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "other.pt"
    path.write_text("hello")
    assert "not a whole checkpoint" in refused(path)
    path.write_text("garbage")
    assert "weights_only" not in refused(path)  # torch advises to load it without its guard
    torch.save({"layer1.weight": torch.zeros(2)}, path)
    assert "found keys layer1.weight" in refused(path)
    torch.save([1, 2], path)
    assert "found a list" in refused(path)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps(Evil()))
    refused(path)
    torch.save({"format": FORMAT, "weights": Evil()}, path)
    refused(path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "content",
    [b"a.", b"t.", b"\x80\x02]\x89h\x05.", b"X\x01", b"\x80\x02}].s.", b"\x80\x02]}Ks."],
    ids=["empty stack", "no mark", "no memo", "cut off", "few", "unhashable"],
)
def test_a_broken_pickle_is_refused(tmp_path, content):
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    assert "not a whole checkpoint" in refused(path)


def test_weights_of_another_network_are_refused(saved):
    path, model = saved
    other = FlyNetConfig(width=0.5, resolution=16, classes=3, residual=Residual.CONV3X3)
    rewrite(path, config=other.as_dict())
    message = refused(path)
    assert "flynet-h3-0.5x" in message
    assert "needs (" in message
    weights = dict(model.state_dict())
    del weights["stem.conv.weight"]
    rewrite(path, config=CONFIG.as_dict(), weights=weights)
    assert "no tensor 'stem.conv.weight'" in refused(path)
    rewrite(path, weights={**model.state_dict(), "extra": torch.zeros(1)})
    assert "'extra'" in refused(path)
    rewrite(path, weights={**model.state_dict(), "stem.conv.weight": torch.full((8, 3, 3, 3), float("nan"))})
    assert "not finite" in refused(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"width": 9}},
        {"config": {"colour": 1}},
        {"config": {"network": "x" * 5000}},
        {"config": {"network": "\x1b[31m"}},
        {"config": 3},
        {"weights": 3},
        {"weights": {7: torch.zeros(1)}},
        {"weights": {"\x1b" * 5000: torch.zeros(1)}},
        {"metrics": None},
        {"metrics": {"accuracy": torch.zeros(2)}},
        {"metrics": {7: 1.0}},
        {"class_names": 3},
        {"class_names": "abc"},
        {"class_names": ["a", "b"]},
        {"class_names": ["a", "b", 7]},
        {"class_names": [["a"], "b", "c"]},
        {"class_names": {"a": 1, "b": 2, "c": 3}},
        {"class_names": [b"a", "b", "c"]},
        {"class_names": ["a"] * 100_000},
        {"dataset": 7},
        {"dataset": ["digits"]},
        {"version": "9" * 5000},
        {"format": "\x1b" * 5000},
        {"sha256": 7},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_damaged_content_is_refused(saved, changes):
    path, _ = saved
    rewrite(path, **changes)
    message = refused(path)
    assert message.isprintable()
    assert len(message) < len(str(path)) + 300


@pytest.mark.parametrize(
    "make",
    [
        lambda tensor: tensor.to_sparse(),
        lambda tensor: tensor.to("meta"),
        lambda tensor: tensor.double(),
        lambda tensor: tensor.reshape(-1),
        lambda tensor: tensor.tolist(),
    ],
    ids=["sparse", "meta", "double", "flat", "list"],
)
def test_weights_of_another_kind_are_refused(saved, make):
    path, model = saved
    weights = dict(model.state_dict())
    rewrite(path, weights={**weights, "stem.conv.weight": make(weights["stem.conv.weight"])})
    assert "'stem.conv.weight'" in refused(path)


def test_parameters_are_weights_too(saved):
    """Of a file that was written by hand: their digest is that of their values."""
    path, model = saved
    rewrite(path, weights=dict(model.named_parameters()) | dict(model.named_buffers()))
    assert "not those that were saved" in refused(path)  # in another order
    weights = {name: torch.nn.Parameter(v) if v.is_floating_point() else v for name, v in model.state_dict().items()}
    rewrite(path, weights=weights)
    assert torch.equal(load_checkpoint(path)[0].state_dict()["stem.conv.weight"], model.state_dict()["stem.conv.weight"])


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_single_flipped_bit_is_noticed(saved, place):
    path, _ = saved
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 0x10
    path.write_bytes(data)
    refused(path)


def test_another_version_is_refused(saved):
    path, _ = saved
    rewrite(path, version=99)
    assert "version 99" in refused(path)


def test_a_save_that_fails_half_way_keeps_the_old_checkpoint(saved):
    path, model = saved
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))  # the disk is full at half of the file
    try:
        with pytest.raises(OutputFailed, match=r"cannot write checkpoint .*net\.pt") as error:
            save_checkpoint(path, model, Metadata(CONFIG))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["net.pt"]


def test_an_unwritable_place_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match="file"):
        save_checkpoint(tmp_path / "file" / "net.pt", build(CONFIG, 0), Metadata(CONFIG))


def test_ctrl_c_while_a_checkpoint_is_written_leaves_the_old_one_alone(saved, monkeypatch):
    path, model = saved
    before = path.read_bytes()

    def interrupted(_, stream):
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, model, Metadata(CONFIG))
    assert [file.name for file in path.parent.iterdir()] == ["net.pt"]
    assert path.read_bytes() == before
