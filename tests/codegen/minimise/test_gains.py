"""What each kind of minimisation is worth, on small networks that real files stand behind, with a margin; and all judges on them.

A figure above its bound is a gain that was lost: constants in flash, arena, multiply-accumulates and operators, each as a share
of what the graph as it came needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from flynet_tiny.codegen.build import build_named
from flynet_tiny.codegen.compiler import Compiled, compile_tflite
from flynet_tiny.codegen.ir import macs
from flynet_tiny.codegen.kernels.parameters import arrays_of
from flynet_tiny.verify.compare import compare_judges, require_equal
from flynet_tiny.verify.host_c import HostLibrary
from flynet_tiny.verify.inputs import extreme_inputs
from flynet_tiny.verify.litert import LiteRt, LiteRtProcess
from flynet_tiny.verify.onnx_twin import OnnxTwin

from ...judges import Recorded, ReferenceJudge
from ...small_models import Sketch
from .dead_channels import OUT_OF_REACH, clamp, set_channel, streaming
from .test_equal_channels import copy, halve
from .test_simplify import between, hard_swish_in_four, swish


def dead() -> bytes:
    """Half of the channels of layers one behind the other, as in visual wake words."""
    s = Sketch(1)
    source = s.act("x", (1, 12, 12, 3))
    for i in range(2):
        s.act(f"a{i}", (1, 12, 12, 16), 0.03, -128)
        s.conv(source, f"a{i}", 16)
        clamp(s, "RELU")
        for channel in range(0, 16, 2):
            set_channel(s, f"a{i}", channel, -OUT_OF_REACH)
        s.act(f"b{i}", (1, 12, 12, 16), 0.03, -128)
        source = s.depthwise(f"a{i}", f"b{i}", 1, 3)
        clamp(s, "RELU")
    s.act("y", (1, 12, 12, 4))
    s.conv(source, "y", 4)
    return s.file(("x",), ("y",))


def copies() -> bytes:
    """Each second channel of a layer and of the depthwise one behind it is the one before."""
    s = Sketch(2)
    s.act("x", (1, 12, 12, 8))
    s.act("a", (1, 12, 12, 16))
    s.conv("x", "a", 16)
    s.act("b", (1, 12, 12, 16))
    s.depthwise("a", "b", 1, 3)
    s.act("y", (1, 12, 12, 8))
    s.conv("b", "y", 8)
    halve(s, "y")
    for channel in range(1, 16, 2):
        copy(s, "a", channel, channel - 1)
        copy(s, "b", channel, channel - 1)
    return s.file(("x",), ("y",))


def groups() -> bytes:
    """A 3x3 convolution in two groups half of whose input never changes."""
    s = Sketch(3)
    s.act("x", (1, 8, 8, 3))
    s.act("a", (1, 8, 8, 16))
    s.conv("x", "a", 16)
    for channel in range(0, 16, 2):
        set_channel(s, "a", channel, 600)
    s.act("y", (1, 6, 6, 8))
    s._weighted("CONV_2D", "a", "y", (8, 3, 3, 8), 0, "VALID", 1, {})
    return s.file(("x",), ("y",))


def state() -> bytes:
    return streaming(unread=3)


def activations() -> bytes:
    return between(hard_swish_in_four)


def gate() -> bytes:
    return between(swish)


@dataclass(frozen=True)
class Share:
    """At most, of what the graph as it came needs."""

    constants: float = 1.0
    arena: float = 1.0
    macs: float = 1.0
    calls: float = 1.0


GAINS: dict[Callable[[], bytes], Share] = {
    dead: Share(constants=0.5, arena=0.63, macs=0.42),
    copies: Share(constants=0.6, arena=0.63, macs=0.55),
    groups: Share(constants=0.6, arena=0.57, macs=0.55),
    state: Share(constants=0.7, arena=0.85, macs=0.55),
    activations: Share(constants=0.7, arena=0.62, calls=0.45),
    gate: Share(arena=0.62, calls=0.55),
}


def constants(compiled: Compiled) -> int:
    return sum(values.nbytes for call in compiled.calls for values in arrays_of(call.parameters).values())


def work(compiled: Compiled) -> int:
    return sum(macs(op, compiled.graph) for op in compiled.ops)


@pytest.fixture(scope="module")
def process() -> Iterator[LiteRtProcess]:
    with LiteRtProcess() as started:
        yield started


@pytest.mark.parametrize("network", GAINS, ids=lambda network: network.__name__)
def test_a_gain_stays_and_every_byte_does(network: Callable[[], bytes], process: LiteRtProcess) -> None:
    data, most = network(), GAINS[network]
    found, came = compile_tflite(data, "net"), compile_tflite(data, "net", replace(build_named(), minimise=False))
    shares = Share(
        constants(found) / constants(came),
        found.plan.arena_bytes / came.plan.arena_bytes,
        work(found) / work(came),
        len(found.calls) / len(came.calls),
    )
    for name in ("constants", "arena", "macs", "calls"):
        assert getattr(shares, name) <= getattr(most, name), (name, shares)
    graph, inputs = found.source_graph, extreme_inputs(found.source_graph, 3)
    values, begins = [named.values for named in inputs], [named.begins for named in inputs]
    with HostLibrary(found.library, cflags=("-O0",)) as new, HostLibrary(came.library, cflags=("-O0",)) as old:
        judges = [
            OnnxTwin(graph), LiteRt(graph, data, process=process),
            Recorded(graph, new.run_many(values, begins=begins), "C", found.certificate),
            Recorded(graph, old.run_many(values, begins=begins), "C as it came"),
        ]  # fmt: skip
        require_equal(compare_judges(graph, ReferenceJudge(graph), judges, inputs))
