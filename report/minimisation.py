"""What minimisation removed, for the report."""

from __future__ import annotations

from ..codegen.compiler import Compiled
from ..codegen.ir import Graph, OpKind
from ..codegen.minimise.certificate import NarrowedTensor
from ..codegen.minimise.minimise import all_macs, constant_bytes
from .layer_names import layer_title
from .schema import Minimisation, RemovedChannels

_LAYERS = (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D, OpKind.FULLY_CONNECTED)


def minimisation_of(compiled: Compiled) -> Minimisation:
    """The certificate of a compiled graph with what stays."""
    source, certificate = compiled.source_graph, compiled.certificate
    layers = [op.output for op in source.ops if op.kind in _LAYERS]
    lost = [certificate.by_name[name] for name in layers if name in certificate.by_name]
    constant = sum(len(entry.constants) for entry in lost)
    return Minimisation(
        channels=sum(source.tensor(name).shape[-1] for name in layers),
        constant=constant,
        unread=sum(len(entry.removed) for entry in lost) - constant,
        macs=all_macs(compiled.minimised),
        macs_as_read=all_macs(source),
        parameter_bytes=constant_bytes(compiled.minimised),
        parameter_bytes_as_read=constant_bytes(source),
        tensors=tuple(_removed(entry, source) for entry in certificate.tensors),
    )


def _removed(entry: NarrowedTensor, source: Graph) -> RemovedChannels:
    op = source.producer(entry.name)
    assert op is not None, f"{entry.name} is an input"
    constant = [removed for removed in entry.removed if removed.value is not None]
    return RemovedChannels(
        op=op.kind_name,
        name=entry.name,
        title=layer_title(source.tensor(entry.name).source_name, op.kind_name),
        channels=entry.channels,
        constant=tuple(removed.channel for removed in constant),
        values=tuple(entry.constants.values()),
        sums=tuple(removed.accumulators for removed in constant if removed.accumulators is not None),
        unread=tuple(removed.channel for removed in entry.removed if removed.value is None),
    )
