from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from flynet_tiny.codegen.reading.foreign_formats import describe
from flynet_tiny.codegen.tflite_reader import read_tflite
from flynet_tiny.deploy.model_file import open_tflite
from flynet_tiny.errors import BadModel

from ...one_op_models import CASES, Quant, unary


def _zip(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return file.getvalue()


def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def _field(number: int, payload: bytes | int) -> bytes:
    """A field of a protobuf, shorter than 128 bytes."""
    if isinstance(payload, int):
        return bytes([number << 3, payload])
    key = number << 3 | 2
    return (bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])) + bytes([len(payload)]) + payload


_ONNX = _field(1, 8) + _field(2, b"pytorch") + _field(7, _field(2, b"graph")) + _field(8, _field(2, 17))
_SAVED_MODEL = _field(1, 1) + _field(2, _field(1, _field(4, b"serve")))
_FROZEN = 3 * _field(1, _field(1, b"input") + _field(2, b"Placeholder")) + _field(4, _field(1, 2))
_CORE_ML = _field(1, 4) + _field(2, b"\x0a\x01x") + _field(500, b"layers")
_SAFETENSORS = (20).to_bytes(8, "little") + b'{"w":{"dtype":"F32"}}'

FOREIGN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "an empty file"),
    "onnx": (_ONNX, "an ONNX model; .*onnx2tf"),
    "saved model": (_SAVED_MODEL, "a SavedModel; .* tf.lite.TFLiteConverter"),
    "frozen graph": (_FROZEN, "a frozen graph of TensorFlow"),
    "core ml": (_CORE_ML, "a model of Core ML"),
    "torch": (
        _zip("archive/data.pkl", "archive/version", "archive/data/0"),
        "a PyTorch file; .* flynet-tiny export --checkpoint",
    ),
    "old torch": (pickle.dumps({"w": [1.0]}, protocol=2), "a pickle of Python, which is never loaded"),
    "keras": (_zip("metadata.json", "config.json", "model.weights.h5"), r"a model of Keras \(.keras\)"),
    "h5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "an HDF5 file, as Keras' .h5 is"),
    "safetensors": (_SAFETENSORS, "safetensors"),
    "gguf": (b"GGUF" + bytes(64), "a GGUF file"),
    "npy": (_npy(), "an array of NumPy"),
    "npz": (_zip("a.npy", "b.npy"), "arrays of NumPy"),
    "zip": (_zip("readme.txt"), "a zip archive, not a network"),
    "zipped": (_zip("readme.txt", "model.tflite"), "unpack it and give the .tflite inside"),
    "broken zip": (_zip("model.tflite")[:40], "a damaged one"),
    "gzip": (b"\x1f\x8b\x08" + bytes(64), r"compressed \(gzip\)"),
    "elf": (b"\x7fELF" + bytes(64), "a program or library"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(64), "a picture"),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(64), "a picture"),
    "html": (b"<!DOCTYPE html><title>404</title>", "a web page, as a failed download"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "c": (b"const unsigned char model[] = {0x1c, 0x00};", "C source"),
    "json": (b'{"format": "layers-model", "modelTopology": {}}', "TensorFlow.js"),
    "text": (b"hello\n", "text, not a network"),
    "executorch": (bytes(4) + b"ET12" + bytes(64), "ExecuTorch"),
    "ort": (bytes(4) + b"ORTM" + bytes(64), "ONNX Runtime"),
}


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_a_file_of_another_kind_is_named(name: str) -> None:
    data, message = FOREIGN[name]
    with pytest.raises(BadModel, match=message) as caught:
        read_tflite(data)
    assert str(caught.value).startswith("this is not a .tflite file but ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_a_file_of_another_kind_that_is_cut_or_damaged_is_one_line_too(name: str) -> None:
    data, _ = FOREIGN[name]
    rng = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(data[: rng.integers(0, len(data) + 1)])
        for at in rng.integers(0, len(damaged), 2) if damaged else ():
            damaged[at] = rng.integers(256)
        with pytest.raises(BadModel):
            read_tflite(bytes(damaged))


def test_no_model_is_taken_for_a_foreign_file() -> None:
    assert all(describe(make(0)) is None for make in CASES.values())


def test_every_error_names_the_file(tmp_path: Path) -> None:
    good = unary("RELU")
    refused = unary("RELU", input_quant=Quant(1.0, 0), output_quant=Quant(2.0**-30, 0))
    for name, data in {"truncated.tflite": good[:300], "page.tflite": FOREIGN["html"][0], "relu.tflite": refused}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Exception, match=f"^{tmp_path / name}: "):
            open_tflite(tmp_path / name, "model")
    (tmp_path / "good.tflite").write_bytes(good)
    data, graph = open_tflite(tmp_path / "good.tflite", "model")
    assert (data, graph.name) == (good, "model")


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ((), "is a folder, not a .tflite file$"),
        (("saved_model.pb",), "but a SavedModel; convert it with"),
        (("report.json", "model.tflite"), r"its model is .*model\.tflite"),
        (("other.tflite",), r"it holds .*other\.tflite"),
    ],
)
def test_a_folder_says_what_it_is(tmp_path: Path, inside: tuple[str, ...], message: str) -> None:
    for name in inside:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(BadModel, match=message):
        open_tflite(tmp_path, "model")
