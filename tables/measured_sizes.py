"""Flash and SRAM of the networks that can be asked for by name, measured on a linked firmware and kept for `flynet-tiny models`.

A measurement takes half a minute, so it is kept in `data/models.json` with a hash of the sources that it depends on: after a
change of those it is stale.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from ..codegen.compiler import compile_tflite
from ..codegen.targets import Bank, Target, get_target
from ..deploy.building import write_library
from ..deploy.console import Reporter
from ..deploy.quantized_model import DeploymentPlan
from ..errors import OutputFailed, OverBudget
from ..firmware.project import FittedFirmware, fit_firmware
from ..firmware.toolchain import Tool, require_tools
from ..flynet.networks.flynet_config import FlyNetConfig
from ..flynet.networks.network_config import NetworkConfig
from ..flynet.networks.presets import PRESETS, Preset, preset
from ..folders.scratch import ScratchFolder
from ..sources.extras import require_torch

_PACKAGE = __package__.rpartition(".")[0]
STORE = Path(str(files(__package__).joinpath("data/models.json")))
CORE_OF = "stm32f412"  # the chip of the README; its memories are made large enough for every network
_MEMORY_BYTES = 64 << 20
_CALIBRATION_IMAGES = 2  # against 64 in `export`, flash differed by 0.7 % and SRAM not at all (FlyNet-h2 0.3x, 96x96)
_ROOMS = ("codegen", "export", "firmware", "firmware_templates")
_FILES = {"deploy": ("quantized_model.py",)}


@dataclass(frozen=True)
class Sizes:
    """flash_bytes of the int8 firmware; sram_bytes: arena, stack and statics."""

    flash_bytes: int
    sram_bytes: int


def measure_models(names: Sequence[str]) -> str:
    """`flynet-tiny models --measure`: export, compile and link these networks (all if none), and keep what they need.

    A network that is larger than every chip that we know has no sizes: a line says why.
    """
    chosen = [preset(name) for name in names] or list(PRESETS.values())
    require_torch()
    require_tools(Tool.CROSS_COMPILER, Tool.MAKE)
    _require_writable(STORE)
    reporter = Reporter()
    today = sources_hash()
    known: dict[object, Sizes] = {}
    for found in chosen:
        if read_store().get(found.name, (None, ""))[1] == today and not names:
            reporter.line("measure", f"{found.name}: known already")
            continue
        with reporter.step("measure") as step:
            network = _in_inference(found.config)
            try:
                sizes = known[network] if network in known else measure(found)
            except OverBudget as error:
                step.say(f"{found.name}: {error}")
                continue
            known[network] = sizes
            _write_store(read_store() | {found.name: (sizes, today)})
            step.say(f"{found.name}: flash {sizes.flash_bytes:,} B, SRAM {sizes.sram_bytes:,} B")
    return f"written: {STORE}\n"


def measure(found: Preset) -> Sizes:
    """What the network's firmware needs, with seeded weights: no emulation, few calibration images."""
    from ..export.onnx_export import export_onnx
    from ..export.tflite_export import export_tflite
    from ..flynet.data.images import photos
    from ..flynet.networks.bn_statistics import estimate_bn_statistics
    from ..flynet.register import build_network

    config = found.config
    images = photos(config.resolution, config.channels, _CALIBRATION_IMAGES)
    model = build_network(config, 0)
    estimate_bn_statistics(model, images.batches(_CALIBRATION_IMAGES))
    tflite = export_tflite(export_onnx(model, config.input_shape), images.batches(1), name="flynet").tflite
    plan = DeploymentPlan(_roomy_target(), emulate=False)
    library = compile_tflite(tflite, "flynet", plan.build).library
    with ScratchFolder() as scratch:
        write_library(library, scratch)
        linked: FittedFirmware = fit_firmware(
            library, plan.target, scratch / "firmware", 0, library_folder="..",
            optimization=plan.build.level.compiler_flag, verify=False,
        )  # fmt: skip
    return Sizes(linked.elf_info.flash_bytes, linked.placement.used_bytes)


def _in_inference(config: NetworkConfig) -> NetworkConfig:
    """The configuration without the quantization noise, which exists in training only."""
    return replace(config, quantization_levels=0) if isinstance(config, FlyNetConfig) else config


def sources_hash() -> str:
    """SHA-256 over every source that a firmware's size depends on; comments and empty lines of Python files do not count."""
    digest = hashlib.sha256(f"{CORE_OF}, {_CALIBRATION_IMAGES} images\n".encode())
    for name, source in sorted(_sources()):
        text = source.read_bytes()
        if name.endswith(".py"):
            lines = (line.strip() for line in text.splitlines())
            text = b"\n".join(line for line in lines if line and not line.startswith(b"#"))
        digest.update(f"{name} {len(text)}\n".encode() + text)
    return digest.hexdigest()


def _sources() -> Iterator[tuple[str, Traversable]]:
    package = files(_PACKAGE)
    for room in _ROOMS:
        yield from _walk(package.joinpath(room), room)
    for room, names in _FILES.items():
        yield from ((f"{room}/{name}", package.joinpath(room, name)) for name in names)
    yield from _network_sources(package.joinpath("flynet"))


def _network_sources(flynet: Traversable) -> Iterator[tuple[str, Traversable]]:
    """The register of networks and every file of the room that it imports, itself or through others."""
    pending: list[tuple[str, ...]] = [("register",)]
    seen = set(pending)
    while pending:
        *folders, name = pending.pop()
        source = flynet.joinpath(*folders, f"{name}.py")
        yield "/".join(("flynet", *folders, f"{name}.py")), source
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and 1 <= node.level <= len(folders) + 1:
                there = folders[: len(folders) + 1 - node.level]
                modules = [node.module.split(".")] if node.module else [[alias.name] for alias in node.names]
                for found in ((*there, *module) for module in modules):
                    if found not in seen:
                        seen.add(found)
                        pending.append(found)


def _walk(folder: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _walk(entry, f"{name}/{entry.name}")
        elif not entry.name.endswith(".pyc"):
            yield f"{name}/{entry.name}", entry


def _roomy_target() -> Target:
    """A chip whose memories hold every network of the list: sizes are measured, not whether they fit."""
    chip = get_target(CORE_OF)
    bank = chip.data_banks[0]
    roomy = Bank(bank.name, bank.base, _MEMORY_BYTES, bank.kind, bank.dma)
    return replace(chip, flash_bytes=_MEMORY_BYTES, banks=(roomy,))


def read_store() -> dict[str, tuple[Sizes, str]]:
    """What was measured: name -> (sizes, hash of the sources)."""
    if not STORE.is_file():
        return {}
    content = json.loads(STORE.read_text(encoding="utf-8"))
    return {name: (Sizes(row["flash_bytes"], row["sram_bytes"]), row["sources"]) for name, row in content.items()}


def _write_store(rows: Mapping[str, tuple[Sizes, str]]) -> None:
    content = {name: {**asdict(sizes), "sources": of} for name, (sizes, of) in sorted(rows.items()) if name in PRESETS}
    path = STORE
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise OutputFailed(f"cannot write {path}: {error.strerror}") from error


def _require_writable(path: Path) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        probe = path.with_name(".probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputFailed(f"cannot keep the figures in {path.parent}: {error.strerror}; measure from a checkout") from error
