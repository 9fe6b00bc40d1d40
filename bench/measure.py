"""Count the instructions of a graph on the emulated board, and check its numbers on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..codegen.build import build_for
from ..codegen.compiler import compile_graph
from ..codegen.ir import Graph
from ..codegen.reference import run
from ..codegen.targets import Target
from ..errors import NumbersDiffer
from ..firmware.project import fit_firmware
from ..folders.scratch import ScratchFolder
from ..verify.qemu import run_emulated
from .layers import LAYERS
from .networks import mobilenet_v1
from .peers import peers_of_file, peers_of_layer

Progress = Callable[[int, int], None]
INPUT_SEED = 7


@dataclass(frozen=True)
class Measured:
    """One layer or network on the board.

    instructions   of the kernel calls of one inference, exact
    elements       of the output: the unit of layers without multiplications
    code_bytes     of the kernels and the invocation;  constant_bytes  weights, requantization and tables
    scratch_bytes  the most that one kernel needs beside its tensors
    flash_bytes    of a whole firmware around it
    core           that was emulated, or that another core stood in for
    sha256         of the file that was measured; empty for a layer or network of ours
    """

    name: str
    core: str
    macs: int
    elements: int
    instructions: int
    code_bytes: int
    constant_bytes: int
    scratch_bytes: int
    arena_bytes: int
    flash_bytes: int
    sha256: str = ""

    @property
    def peers(self) -> Mapping[str, int]:
        """The peers' instructions for the same layer or the same file on the same core."""
        if self.sha256:
            return {peer: figures["instructions"] for peer, figures in self.peers_on_file.items()}
        return peers_of_layer(self.name, self.core)

    @property
    def peers_on_file(self) -> Mapping[str, Mapping[str, int]]:
        """All figures of the peers for the same file on the same core."""
        return peers_of_file(self.sha256, self.core)

    @property
    def per_unit(self) -> float:
        """Instructions per MAC, or per output element where there are no MACs."""
        return self.instructions / (self.macs or self.elements)


def measure(name: str, graph: Graph, target: Target, sha256: str = "") -> Measured:
    """Build a graph for a chip, run it emulated on noise, compare its outputs with the reference, and count."""
    compiled = compile_graph(graph, "0" * 64, build_for(target))
    library = compiled.library
    rng = np.random.default_rng(INPUT_SEED)
    inputs = {n: rng.integers(-128, 128, graph.tensor(n).shape, np.int8) for n in graph.inputs}
    expected = run(graph, inputs)
    with ScratchFolder() as scratch:
        # The self-test is not run here: its hash may be anything.
        fitted = fit_firmware(library, target, scratch, 0)
        emulated = run_emulated(fitted.firmware, library, [inputs], trace=False)
    for output in graph.outputs:
        if not np.array_equal(emulated.sets[0].outputs[output], expected[output].reshape(-1)):
            raise NumbersDiffer(f"{name}: {output} on the emulated board differs from the reference")
    assert emulated.total_instructions is not None
    own = f"{library.name}_"
    return Measured(
        name,
        target.core.value,
        sum(op.macs for op in library.ops),
        sum(graph.tensor(n).num_elements for n in graph.outputs),
        emulated.total_instructions,
        sum(size for function, size in fitted.elf_info.functions.items() if function.startswith(own)),
        fitted.elf_info.weights_bytes,
        max((call.scratch_bytes for call in compiled.calls), default=0),
        library.arena_bytes,
        fitted.elf_info.flash_bytes,
        sha256,
    )


def measure_layers(target: Target, progress: Progress) -> list[Measured]:
    """All layers of the peers, in their order."""
    measured = []
    for done, (name, make) in enumerate(LAYERS.items()):
        progress(done, len(LAYERS))
        measured.append(measure(name, make(), target))
    progress(len(LAYERS), len(LAYERS))
    return measured


def measure_mobilenet(target: Target) -> Measured:
    """MobileNetV1 0.25 at 96x96 with seeded weights: it guards what the kernels have reached, and is compared with nobody."""
    return measure("mobilenet_v1 0.25 96 random", mobilenet_v1(), target)
