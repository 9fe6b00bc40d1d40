"""A network, trained or seeded, as a float ONNX model, and the images to calibrate it with and to try it on.

torch is imported inside the functions, so that this file can be imported without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from ..codegen.ir import DType, Tensor
from ..errors import BadData, UsageError
from ..flynet.data.image_folder import FolderStream
from ..flynet.data.images import PHOTO_COUNT, ImageSet, digits, folder, source
from ..flynet.data.pixels import OURS, Pixels
from ..flynet.detection.detector_config import DetectorConfig
from ..flynet.networks.flynet_config import FlyNetConfig
from ..flynet.networks.network_config import NetworkConfig
from ..flynet.networks.presets import preset
from ..quoting import ForeignText
from ..sources.samples import Samples
from ..verify.pictures import drawn_pictures
from .console import Reporter

if TYPE_CHECKING:
    from torch import nn

    from ..flynet.training.classification import LabelledImages

Floats = npt.NDArray[np.float32]
Stored = npt.NDArray[np.integer]

DIGITS_CALIBRATION_IMAGES = 1347  # the whole training split: 16 / 50 / 1,347 images gave 18 / 23 / 28 dB of SQNR at the logits
CALIBRATION_BATCH = 16
REAL_INPUTS = 16  # of a deployment's test inputs

_SHAPES = ("width", "heads")  # what a preset's name says; the other options fit a preset to a task
_OPTIONS = (*_SHAPES, "resolution", "classes", "channels")


@dataclass(frozen=True)
class NetworkRequest:
    """What the user asked for; None means the checkpoint's value, or without a checkpoint the preset's or the default."""

    width: float | None = None
    heads: int | None = None
    resolution: int | None = None
    classes: int | None = None
    channels: int | None = None
    checkpoint: Path | None = None
    calibration: str = "photos"
    seed: int = 0
    model: str | None = None
    backbone: bool = False
    qat_epochs: int = 0
    distillation: float = 0.5

    def config(self) -> NetworkConfig:
        """The configuration of a network without a checkpoint."""
        given = self._given()
        if self.model is None:
            return replace(FlyNetConfig(), **given)
        found = preset(self.model).config
        self._require_same_shape(found, f"--model {self.model}")
        return cast(NetworkConfig, replace(cast(Any, found), **{k: v for k, v in given.items() if k not in _SHAPES}))

    def require_trainable(self) -> None:
        """Refuse a fine-tuning that has nothing to learn from."""
        if self.qat_epochs and self.checkpoint is None:
            raise UsageError("--qat-epochs refines a trained network; give its --checkpoint")
        if self.qat_epochs and self.backbone:
            raise UsageError("--qat-epochs needs class scores, and a --backbone has none; leave one of them out")
        if self.qat_epochs and self.calibration == "photos":
            raise UsageError("--qat-epochs needs labelled images; give --calibration digits or DIR/class/picture")

    def require_agreement(self, config: NetworkConfig) -> None:
        """Refuse an option that contradicts the checkpoint."""
        if self.model is not None:
            free = {name: getattr(config, name) for name in _OPTIONS if name not in _SHAPES}
            if replace(cast(Any, preset(self.model).config), **free) != config:
                raise UsageError(f"--model {self.model} contradicts the checkpoint, which is {config.name}; leave it out")
        self._require_same_shape(config, "the checkpoint")
        for name, value in self._given().items():
            if name not in _SHAPES and value != getattr(config, name):
                raise UsageError(f"--{name} {value} contradicts the checkpoint, which has {getattr(config, name)}; leave it out")

    def _require_same_shape(self, config: NetworkConfig, other: str) -> None:
        for name, value in self._given().items():
            if name in _SHAPES and value != getattr(config, name, None):
                has = f"has {getattr(config, name)}" if hasattr(config, name) else "has no such option"
                raise UsageError(f"--{name} {value:g} contradicts {other}, which {has}; leave it out")

    def _given(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in _OPTIONS}
        return {name: value for name, value in options.items() if value is not None}


@dataclass(frozen=True)
class PreparedNetwork:
    """A float network ready for quantization, whatever it comes from.

    trained      None where nobody says it: of a foreign network
    held_out     labelled inputs for the accuracy, where there are any
    is_backbone  it gives maps for a detector, no classes
    training     labelled images to fine-tune on, batch by batch; None without fine-tuning
    """

    name: str
    onnx: bytes
    trained: bool | None
    params: int
    calibration: Samples
    held_out: Samples | None
    is_backbone: bool = False
    qat_epochs: int = 0
    training: LabelledImages | None = None
    distillation: float = 0.5
    seed: int = 0
    class_names: tuple[str, ...] = ()  # of the checkpoint, where it has them
    pixels: Pixels | None = None  # how pictures are normalised, where that is known


def prepare_network(request: NetworkRequest, reporter: Reporter) -> PreparedNetwork:
    """Build or load the network, estimate BN statistics where it is untrained, and write it as ONNX."""
    if request.checkpoint is None:
        request.config()  # bad options are refused before torch is loaded
    request.require_trainable()
    with reporter.step("network") as step:
        from ..flynet.counts import count

        model, config, dataset, class_names = _model(request)
        if isinstance(config, DetectorConfig) and not request.backbone:
            raise UsageError(f"{config.name} upsamples in its pyramid, for which there is no kernel; add --backbone")
        name = config.name
        if request.backbone:
            from ..flynet.detection.backbone import backbone_of

            counts = count(config, backbone_of)
            model, name = backbone_of(model), f"{name}-backbone"
        else:
            counts = count(config)
        training = training_images(request, config, class_names)
        calibration = _calibration(request, config)
        if request.checkpoint is None:
            from ..flynet.networks.bn_statistics import estimate_bn_statistics

            estimate_bn_statistics(model, calibration.batches(CALIBRATION_BATCH))
        made = "maps at strides 4 to 32" if request.backbone else f"{config.classes} classes"
        shape = f"{config.resolution}x{config.resolution}x{config.channels} -> {made}"
        state = "trained" if request.checkpoint else f"UNTRAINED (seed {request.seed})"
        step.say(f"{name} {shape}, {counts.params:,} parameters, {counts.macs:,} MACs without the attention's, {state}")
    with reporter.step("onnx") as step:
        from ..export.onnx_export import export_onnx

        onnx = export_onnx(model, config.input_shape)
        step.say(f"model.onnx, {len(onnx):,} bytes, float")
    held_out = _held_out(request, config, dataset, class_names) if request.checkpoint and not request.backbone else None
    return PreparedNetwork(
        name=name,
        onnx=onnx,
        trained=request.checkpoint is not None,
        params=counts.params,
        calibration=Samples.of_images(calibration),
        held_out=None if held_out is None else Samples.of_images(held_out),
        is_backbone=request.backbone,
        qat_epochs=request.qat_epochs,
        training=training,
        distillation=request.distillation,
        seed=request.seed,
        class_names=class_names,
        pixels=OURS[config.channels],
    )


def _model(request: NetworkRequest) -> tuple[nn.Module, NetworkConfig, str, tuple[str, ...]]:
    """The network, its configuration, and the data and the classes that it was trained on."""
    from ..flynet.checkpoint import load_checkpoint
    from ..flynet.register import build_network

    if request.checkpoint is not None:
        model, metadata = load_checkpoint(request.checkpoint)
        request.require_agreement(metadata.config)
        return model, metadata.config, metadata.dataset, metadata.class_names
    config = request.config()
    return build_network(config, request.seed), config, "", ()


def _calibration(request: NetworkRequest, config: NetworkConfig) -> ImageSet:
    if request.calibration == "digits":
        return source("digits", config.resolution, config.channels, DIGITS_CALIBRATION_IMAGES, request.seed)
    return source(request.calibration, config.resolution, config.channels, PHOTO_COUNT, request.seed)


def training_images(request: NetworkRequest, config: NetworkConfig, class_names: Sequence[str]) -> LabelledImages | None:
    """What a fine-tuning learns from: all the images of the training split, augmented as in training, a folder's never in memory.

    Raises BadData where they are not labelled with the checkpoint's classes.
    """
    if not request.qat_epochs:
        return None
    if request.calibration == "digits":
        found: LabelledImages = digits(config.resolution, config.channels)[0]
    else:
        found = FolderStream(request.calibration, config.resolution, config.channels, "train")
    if len(found.class_names) != config.classes:
        count = len(found.class_names)
        raise BadData(
            f"the calibration images have {count} classes, the checkpoint {config.classes}; fine-tuning needs the same ones"
        )
    for known, given in zip(class_names, found.class_names, strict=False):
        if known != given:
            names = f"class {ForeignText(known)!r} is {ForeignText(given)!r}"
            raise BadData(f"the checkpoint's {names} in the calibration images; they must be the same")
    return found


def _held_out(request: NetworkRequest, config: NetworkConfig, dataset: str, class_names: Sequence[str]) -> ImageSet | None:
    """Labelled images of the data that the checkpoint was trained on, or of the calibration folder's `val` split.

    None where their classes are not the checkpoint's (`class_names`, empty where it does not say them).
    """
    if dataset == "digits":
        return digits(config.resolution, config.channels)[1]
    place = Path(request.calibration)
    if (place / "val").is_dir():
        images = folder(place, config.resolution, config.channels, split="val", limit=500)
        known = tuple(class_names) or images.class_names
        return images if len(images.class_names) == config.classes and images.class_names == known else None
    return None


def quantize_images(images: Floats, tensor: Tensor) -> Stored:
    """float [N, C, H, W] as the [N, H, W, C] that a graph's input takes: round half to even, clamp."""
    return quantize_values(np.ascontiguousarray(np.transpose(images, (0, 2, 3, 1))), tensor)


def quantize_values(real: Floats, tensor: Tensor) -> Stored:
    """float values in the tensor's order as it stores them: round half to even, clamp."""
    stored = np.rint(real / np.float32(tensor.scale)) + tensor.zero_point
    clamped: Stored = np.clip(stored, *tensor.dtype.limits).astype(tensor.dtype.value)
    return clamped


def inputs_for_any_model(tensor: Tensor, count: int, seed: int = 0) -> Stored:
    """[count, *shape without batch]: drawn pictures over the type's whole range where the input is a picture, else noise."""
    shape, rng = tensor.shape, np.random.default_rng(seed)
    if len(shape) == 4 and shape[0] == 1 and shape[3] in (1, 3) and min(shape[1:3]) >= 8:
        pictures = drawn_pictures(count, *shape[1:], seed)
        if tensor.dtype is DType.INT8:
            return pictures
        finer: Stored = pictures.astype(np.int16) * 256 + rng.integers(0, 256, pictures.shape, np.int16)
        return finer
    low, high = tensor.dtype.limits
    noise: Stored = rng.integers(low, high, (count, math.prod(shape)), tensor.dtype.value, endpoint=True)
    return noise.reshape(count, *shape[1:]) if shape and shape[0] == 1 else noise.reshape(count, *shape)
