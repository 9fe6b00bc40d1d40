"""What minimisation removed, for the report."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..codegen.compiler import Compiled
from ..codegen.ir import Graph
from ..codegen.minimise.certificate import NarrowedTensor
from ..codegen.minimise.channels import constant_channels
from ..codegen.minimise.intervals import graph_bounds, is_analysable
from ..codegen.minimise.minimise import all_macs, constant_bytes
from .dead_channels import LAYERS
from .layer_names import layer_title
from .schema import CheaperOperator, Minimisation, RemovedChannels, RemovedOperator, StayingChannels, VariableInterval

VARIABLE = "VARIABLE"  # in place of an operator: the tensor that shows a variable's value when an inference begins


def minimisation_of(compiled: Compiled) -> Minimisation:
    """The certificate of a compiled graph with what stays."""
    source, certificate = compiled.source_graph, compiled.certificate
    layers = [op.output for op in source.ops if op.kind in LAYERS]
    lost = [certificate.by_name[name] for name in layers if name in certificate.by_name]
    folded = sum(len(entry.constants) for entry in lost)
    copies = sum(len(entry.copies) for entry in lost)
    staying = tuple(_staying(compiled))
    return Minimisation(
        channels=sum(source.tensor(name).shape[-1] for name in layers),
        constant=folded + sum(len(layer.constant) for layer in staying),
        unread=sum(len(entry.removed) for entry in lost) - folded - copies,
        copies=copies,
        macs=all_macs(compiled.minimised),
        macs_as_read=all_macs(source),
        parameter_bytes=constant_bytes(compiled.minimised),
        parameter_bytes_as_read=constant_bytes(source),
        tensors=tuple(_removed(entry, source) for entry in certificate.tensors),
        staying=staying,
        operators=tuple(_operators(compiled)),
        cheaper=tuple(_cheaper(compiled)),
        state=tuple(_variables(compiled)),
    )


def _variables(compiled: Compiled) -> Iterator[VariableInterval]:
    variables = {variable.before: variable.name for variable in compiled.source_graph.variables}
    for interval in compiled.certificate.state:
        title = layer_title(variables[interval.name], VARIABLE)
        yield VariableInterval(interval.name, title, min(interval.low), max(interval.high))


def _operators(compiled: Compiled) -> Iterator[RemovedOperator]:
    source, certificate = compiled.source_graph, compiled.certificate
    stay = {op.output for op in compiled.minimised.ops}
    known = {entry.name: entry.what for entry in certificate.simplified}
    known |= {entry.name: entry.why for entry in certificate.bypassed}
    for op in source.ops:
        if op.output not in stay:
            entry = certificate.by_name.get(op.output)
            never_changes = entry is not None and len(entry.constants) == entry.channels
            why = known.get(op.output, "its result never changes" if never_changes else "nobody reads it")
            title = layer_title(source.tensor(op.output).source_name, op.kind_name)
            yield RemovedOperator(op.kind_name, op.output, title, why)


def _cheaper(compiled: Compiled) -> Iterator[CheaperOperator]:
    stay = {op.output for op in compiled.minimised.ops}
    for entry in compiled.certificate.simplified:
        if entry.name in stay:
            title = layer_title(compiled.source_graph.tensor(entry.name).source_name, entry.kind)
            yield CheaperOperator(entry.kind, entry.name, title, entry.what)


def _staying(compiled: Compiled) -> Iterator[StayingChannels]:
    source = compiled.source_graph
    bounds = graph_bounds(source) if is_analysable(source) else {}
    for op in source.ops:
        if op.kind in LAYERS and bounds:
            entry = compiled.certificate.by_name.get(op.output)
            constant = np.flatnonzero(constant_channels(op.output, source, bounds)).tolist()
            staying = tuple(c for c in constant if entry is None or c not in entry.constants)
            if staying:
                tensor = source.tensor(op.output)
                title = layer_title(tensor.source_name, op.kind_name)
                yield StayingChannels(op.kind_name, op.output, title, tensor.shape[-1], staying)


def _removed(entry: NarrowedTensor, source: Graph) -> RemovedChannels:
    op = source.producer(entry.name)
    kind = VARIABLE if op is None else op.kind_name
    constant = [removed for removed in entry.removed if removed.value is not None]
    return RemovedChannels(
        op=kind,
        name=entry.name,
        title=layer_title(source.tensor(entry.name).source_name, kind),
        channels=entry.channels,
        constant=tuple(removed.channel for removed in constant),
        values=tuple(entry.constants.values()),
        sums=tuple(removed.accumulators for removed in constant if removed.accumulators is not None),
        unread=tuple(removed.channel for removed in entry.removed if removed.value is None and removed.copy_of is None),
        copies=tuple(entry.copies),
        copied=tuple(entry.copies.values()),
    )
