"""What a file is that is not a `.tflite`: known by its first bytes, for one line with the next step.

Nothing of it is trusted or unpacked; of a zip only the list of names is read, of a protobuf only the numbers of its fields.
"""

from __future__ import annotations

import io
import zipfile

from .flatbuffer import TFLITE_IDENTIFIER

_TO_TFLITE = "convert it to an int8 .tflite first"
_TORCH = (
    "a PyTorch file; a checkpoint that flynet-tiny train wrote goes through: flynet-tiny export --checkpoint FILE; "
    "of another network the program that made it must make an int8 .tflite"
)
_TENSORFLOW = f"{_TO_TFLITE} with tf.lite.TFLiteConverter and a representative_dataset"
_UNPACK = "unpack it and give the .tflite inside"

# first bytes and what begins so; of two that fit the longer comes first
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", f"an HDF5 file, as Keras' .h5 is; {_TENSORFLOW}"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the model; fetch the model with: git lfs pull"),
    (b"\x93NUMPY", "an array of NumPy, not a network"),
    (b"GGUF", "a GGUF file of a language model; only networks as int8 .tflite are compiled"),
    (b"\x7fELF", "a program or library (ELF), not a network"),
    (b"MZ", "a program of Windows, not a network"),
    (b"\x89PNG", "a picture (PNG), not a network"),
    (b"\xff\xd8\xff", "a picture (JPEG), not a network"),
    (b"GIF8", "a picture (GIF), not a network"),
    (b"RIFF", "a sound, film or picture (RIFF), not a network"),
    (b"%PDF", "a PDF, not a network"),
    (b"\x1f\x8b", f"compressed (gzip); {_UNPACK}"),
    (b"BZh", f"compressed (bzip2); {_UNPACK}"),
    (b"\xfd7zXZ", f"compressed (xz); {_UNPACK}"),
    (b"(\xb5/\xfd", f"compressed (zstd); {_UNPACK}"),
    (b"7z\xbc\xaf", f"an archive (7z); {_UNPACK}"),
)
_IDENTIFIERS: dict[bytes, str] = {
    b"ET12": "a program of ExecuTorch (.pte); make an int8 .tflite of the network instead",
    b"ORTM": "a model of ONNX Runtime (.ort); make an int8 .tflite of the network instead",
    b"TFL2": "a .tflite of schema version 2; convert the network again with a newer converter",
    b"TFL1": "a .tflite of schema version 1; convert the network again with a newer converter",
}


def describe(data: bytes) -> str | None:
    """What the file is and what to do; None for a `.tflite` and for what nobody here knows."""
    if data[4:8] == TFLITE_IDENTIFIER:
        return None
    if not data:
        return "an empty file; it was not written to the end, or not downloaded"
    for beginning, what in _BEGINNINGS:
        if data.startswith(beginning):
            return what
    if data[4:8] in _IDENTIFIERS:
        return _IDENTIFIERS[data[4:8]]
    if data.startswith(b"PK"):
        return _zip(data)
    if data[257:262] == b"ustar":
        return f"an archive (tar); {_UNPACK}"
    if data[8:10] == b'{"' and int.from_bytes(data[:8], "little") <= len(data):
        return "weights (safetensors) without a network; export the network to an int8 .tflite with the program that has it"
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return f"a pickle of Python, which is never loaded; if it is {_TORCH}"
    return _protobuf(data) or _text(data[:4096])


def _zip(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data[-(1 << 22) :])) as archive:  # the list of names is at the end
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return "a zip archive, and a damaged one; fetch it again"
    if any(name.endswith("data.pkl") for name in names):
        return _TORCH
    if "model.weights.h5" in names or "config.json" in names:
        return f"a model of Keras (.keras); {_TENSORFLOW}"
    if names and all(name.endswith(".npy") for name in names):
        return "arrays of NumPy (.npz), not a network"
    if any(name.endswith(".tflite") for name in names):
        return f"a zip archive; {_UNPACK}"
    return "a zip archive, not a network"


def _protobuf(data: bytes) -> str | None:
    """ONNX, a SavedModel, a frozen graph and Core ML are protobufs; the fields of the outermost message tell them apart."""
    fields = _fields(data)
    if {(1, 0), (7, 2)} <= fields:
        return (
            "an ONNX model; flynet-tiny compile takes int8 .tflite files, so convert it and quantize it to int8 "
            "(onnx2tf -oiqt, or the program that made it); networks of flynet-tiny go through: flynet-tiny export"
        )
    if any(number >= 200 and wire == 2 for number, wire in fields) and (1, 0) in fields:
        return f"a model of Core ML; {_TO_TFLITE}, from the network that it was made of"
    if fields == {(1, 0), (2, 2)}:
        return f"the saved_model.pb of a SavedModel; {_TENSORFLOW}"
    if (1, 2) in fields and fields <= {(1, 2), (2, 2), (3, 0), (4, 2)} and (b"Placeholder" in data or b"Const" in data):
        return f"a frozen graph of TensorFlow (.pb); {_TENSORFLOW}"
    return None


def _fields(data: bytes, limit: int = 100_000) -> set[tuple[int, int]]:
    """(field number, wire type) of a message's outermost fields; empty where the bytes are not a protobuf from end to end."""
    found: set[tuple[int, int]] = set()
    at = 0
    for _ in range(limit):
        if at == len(data):
            return found
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            _, at = _varint(data, at)
        elif wire == 2:
            size, at = _varint(data, at)
            at += size
        else:
            at += {1: 8, 5: 4}.get(wire, len(data) + 1)
        if number == 0 or at > len(data):
            return set()
        found.add((number, wire))
    return set()


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(10):
        if at + i >= len(data):
            break
        value |= (data[at + i] & 0x7F) << 7 * i
        if data[at + i] < 0x80:
            return value, at + i + 1
    return 0, len(data) + 1


def _text(start: bytes) -> str | None:
    text = start.decode("utf-8", "replace").lstrip("\ufeff \t\r\n").lower()
    if text.startswith(("<!doctype", "<html")):
        return "a web page, as a failed download leaves it; fetch the file itself"
    if text.startswith("{") and "modeltopology" in text:
        return f"a model of TensorFlow.js; {_TO_TFLITE}, from the network that it was made of"
    if text.startswith("{"):
        return "text (JSON), not a network"
    if "unsigned char" in text or "uint8_t" in text:
        return "C source with a model as an array; give the .tflite that it was made of"
    if text and all(char.isprintable() or char in "\r\n\t" for char in text):
        return "text, not a network"
    return None
