"""A `.tflite` that a user names: its bytes and its graph, or one line that says what lies there instead."""

from __future__ import annotations

from pathlib import Path

from ..codegen.ir import Graph
from ..codegen.reading.parse import MAX_FILE_BYTES
from ..codegen.tflite_reader import read_tflite
from ..errors import BadModel, FlynetError
from ..folders.regular_file import read_regular


def open_tflite(path: Path, name: str) -> tuple[bytes, Graph]:
    """The file's bytes and its verified graph, which is called `name`; every error names the file."""
    data = read_model_file(path)
    try:
        return data, read_tflite(data, name)
    except FlynetError as error:
        raise error.about(path) from error.__cause__


def read_model_file(path: Path) -> bytes:
    """The bytes of a file that should be a model; `BadModel` for a folder, for what is not a file, and for what no chip holds."""
    if path.is_dir():
        raise BadModel(f"{path} is a folder, not a .tflite file{_advice(path)}")
    try:
        return read_regular(path, MAX_FILE_BYTES)
    except OSError as error:
        raise BadModel(f"cannot read {path}: {error.strerror}") from error


def _advice(folder: Path) -> str:
    if (folder / "saved_model.pb").exists():
        return ", but a SavedModel; convert it with tf.lite.TFLiteConverter.from_saved_model and a representative_dataset"
    if (folder / "report.json").exists() and (folder / "model.tflite").exists():
        return f"; its model is {folder / 'model.tflite'}"
    if folder.suffix == ".mlpackage":
        return ", but a model of Core ML; make an int8 .tflite of the network that it was made of"
    found = sorted(folder.glob("*.tflite"))
    return f"; it holds {found[0]}" if found else ""
