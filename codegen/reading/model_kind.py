"""What kind of model a `.tflite` is, from the types of its tensors: for one line that says why it is not compiled."""

from __future__ import annotations

from collections.abc import Callable

from .channel_axes import CHANNEL_AXIS
from .file_model import FileModel, FileTensor
from .operands import is_on_int16
from .schema import ElementType

_SHOWN = 4
_FULLY = "convert the float network with full integer quantization (a representative_dataset, TFLITE_BUILTINS_INT8)"

_Types = frozenset[ElementType]


def _narrow(constants: _Types, activations: _Types) -> str | None:
    narrow = (constants | activations) & {ElementType.INT4, ElementType.UINT4, ElementType.INT2}
    if not narrow:
        return None
    names = " and ".join(sorted(t.name for t in narrow))
    return f"its tensors of type {names} are not supported there; convert the network with int8 weights and activations"


def _old(constants: _Types, activations: _Types) -> str | None:
    if ElementType.UINT8 not in activations | constants:
        return None
    if ElementType.INT8 in activations:
        return (
            "it is int8 only in part, the rest is uint8; convert the network with int8 for everything, input and output included"
        )
    return f"it is quantized to uint8, as older converters did; {_FULLY}"


def _floating(constants: _Types, activations: _Types) -> str | None:
    if not activations & {ElementType.FLOAT32, ElementType.FLOAT16, ElementType.BFLOAT16, ElementType.FLOAT64}:
        return None
    if ElementType.INT8 in activations:
        return f"it is quantized only in part, the rest is float; {_FULLY}"
    if ElementType.INT8 in constants:
        return f"only its weights are int8 (dynamic-range quantization), it computes in float; {_FULLY}"
    if ElementType.FLOAT16 in constants:
        return f"its weights are float16 and it computes in float; {_FULLY}"
    return f"it is a float model; {_FULLY}"


_KINDS: tuple[Callable[[_Types, _Types], str | None], ...] = (_narrow, _old, _floating)


def kind_of(model: FileModel, given: FileModel) -> str | None:
    """What kind of model it is, if it is one of those that are known not to be all int8.

    given  the same as its file has it: in the normalised one float16 weights are float32 already
    """
    used, written = _used(model), _written(model)
    constants = {t.type for t in used if t not in written} | {t.type for t in set(_used(given)) - _written(given)}
    activations = frozenset(t.type for t in used if t in written)
    return next((text for of in _KINDS if (text := of(frozenset(constants), activations)) is not None), None)


def not_int8(model: FileModel, given: FileModel) -> str | None:
    """Why a model is not one of int8 or int16, with the first tensors that are not; None where kernels take all types.

    int64 are biases beside int16 activations alone.
    """
    wide_biases = {op.inputs[2] for op in model.ops if op.opcode in CHANNEL_AXIS and len(op.inputs) > 2 and is_on_int16(op)}
    allowed = (ElementType.INT8, ElementType.INT16, ElementType.INT32)
    wrong = [t for t in _used(model) if t.type not in allowed and not (t.type is ElementType.INT64 and t in wide_biases)]
    if not wrong:
        return None
    kind = kind_of(model, given) or "some tensors have types that no kernel takes"
    return f"not an int8 model: {kind} (tensors {_listed(wrong)})"


def _written(model: FileModel) -> set[FileTensor]:
    return {t for op in model.ops for t in op.outputs} | set(model.inputs)


def _used(model: FileModel) -> list[FileTensor]:
    operands = (t for op in model.ops for t in (*op.inputs, *op.outputs) if t is not None)
    return list(dict.fromkeys((*model.inputs, *model.outputs, *operands)))


def _listed(tensors: list[FileTensor]) -> str:
    shown = ", ".join(f"{t.source_name!r} ({t.type.name})" for t in tensors[:_SHOWN])
    return f"{shown} and {len(tensors) - _SHOWN} more" if len(tensors) > _SHOWN else shown
