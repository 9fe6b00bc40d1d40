"""`flynet-tiny emulate`: run the firmware of an output folder on one input."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..codegen.ir import Tensor
from ..errors import BadData, UsageError
from ..firmware.toolchain import Tool, require_tools
from ..flynet.data.images import centre_crop, normalise
from ..flynet.data.picture_file import read_image
from ..flynet.data.pixels import Pixels
from ..folders.regular_file import read_regular
from ..quoting import ForeignText
from ..verify.qemu import run_emulated
from .console import Reporter
from .contents import built_firmware, read_contents, require_firmware
from .network import quantize_images
from .proof import first_line

Stored = npt.NDArray[np.integer]
_MOST_HEADER_BYTES = 1 << 16  # of a .npy, before its numbers


def emulate_folder(folder: Path, picture: Path | None, top: int, pixels: Pixels | None = None) -> str:
    """`flynet-tiny emulate`: the folder's firmware on one input; outputs, instructions and stack.

    pixels  what a foreign model wants of a picture; None: what the folder says, else it is normalised as in training
    """
    drawn = picture is not None and picture.suffix != ".npy"
    if pixels is not None and not drawn:
        raise UsageError("--pixels, --mean and --std say how a picture is normalised; give one with --input")
    found = read_contents(folder)
    require_tools(Tool.EMULATOR)
    require_firmware(found)
    reporter = Reporter()
    found.say_changed(reporter)
    library, graph = found.compiled.library, found.compiled.source_graph
    said = found.report.model.pixels
    pixels = pixels or (None if said is None else Pixels(said.mean, said.std))
    values = {name: _input(graph.tensor(name), picture, pixels) for name in graph.inputs}
    if drawn and pixels is None and found.report.model.trained is None:
        reporter.line("picture", "normalised as in our training; say with --pixels what this model was trained on, else it errs")
    with reporter.step("emulate") as step:
        run = run_emulated(built_firmware(found), library, [values], trace=False)
        step.say(f"{run.total_instructions:,} instructions on {found.target.machine}, stack {run.stack_bytes:,} B")
    class_names = found.report.model.class_names
    lines = []
    for name, end in zip(graph.outputs, graph.file_outputs, strict=True):
        tensor = graph.tensor(name)
        before = f", before {' and '.join(end.left_to_caller)}" if end.left_to_caller else ""
        stored = run.sets[0].outputs[name].reshape(-1).astype(np.int64)
        order = np.argsort(-stored, kind="stable")[:top]
        lines.append(f"{end.name or name}: the {len(order)} largest of {stored.size}{before}")
        classes = class_names if len(class_names) == stored.size else ()
        for i in order:
            real = (stored[i] - tensor.zero_point) * tensor.scale
            known = f"  {ForeignText(str(classes[i]))}" if classes else ""
            lines.append(f"  {i:>6}  {real:>12.5f}  ({tensor.dtype.value} {stored[i]}){known}")
    return "\n".join(lines) + "\n"


def _input(tensor: Tensor, picture: Path | None, how: Pixels | None) -> Stored:
    """One input from a picture, from a .npy of the input's type, or noise; `how` a picture is normalised."""
    if picture is None:
        noise: Stored = np.random.default_rng(0).integers(*tensor.dtype.limits, tensor.shape, tensor.dtype.value, endpoint=True)
        return noise
    if picture.suffix == ".npy":
        return _array(picture, tensor)
    element = tensor.dtype.value
    if len(tensor.shape) != 4 or tensor.shape[1] != tensor.shape[2] or tensor.shape[3] not in (1, 3):
        raise BadData(f"the network takes {list(tensor.shape)}, which is not a square picture; give an {element} .npy")
    pixels = centre_crop(read_image(picture), tensor.shape[1])
    return quantize_images(normalise(pixels[None], tensor.shape[3], how), tensor)


def _array(file: Path, tensor: Tensor) -> Stored:
    """The array in a .npy; its header is looked at before numpy believes in its size."""
    element, (low, high) = tensor.dtype.value, tensor.dtype.limits
    try:
        content = io.BytesIO(read_regular(file, _MOST_HEADER_BYTES + tensor.size_bytes))
        version = np.lib.format.read_magic(content)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(content)
        if dtype != element or math.prod(shape) != tensor.num_elements:
            raise BadData(
                f"{file} holds {dtype}{list(shape)}, the network takes {element}{list(tensor.shape)}: "
                f"round(real / {tensor.scale:g}) {tensor.zero_point:+}, clamped to {low}..{high}"
            )
        content.seek(0)
        array = np.lib.format.read_array(content, allow_pickle=False)
    except OSError as error:
        raise BadData(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise BadData(f"{file} is not a .npy of an {element} array: {first_line(error)}") from error
    return np.ascontiguousarray(array.reshape(tensor.shape))
