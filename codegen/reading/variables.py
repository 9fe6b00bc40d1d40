"""Variables of a file, resolved: every read and every assignment is a tensor with one value in an inference.

TFLite runs its operators strictly in the file's order. A READ_VARIABLE shows the variable as the operators before it left it, an
ASSIGN_VARIABLE copies; CALL_ONCE runs a subgraph of assignments in the first inference alone, which gives the start values. Here
what the first READ_VARIABLE gives is a tensor that is there when the inference begins; one behind an assignment shows what was
assigned; only the last assignment stays, at the end, where nothing waits for it.

LiteRT copies raw bytes whatever shape and scale the two sides have, and reads beyond the end where the shapes differ: what it
runs without meaning anything is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...errors import BadModel, UnsupportedOperators
from ...quoting import ForeignText
from .file_model import FileModel, FileOp, FileTensor, FileVariable
from .schema import ElementType

RESOLVED = frozenset({"CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"})

_Key = tuple[ForeignText, ...]  # container and shared name: in all subgraphs one variable
_COUNTS: Mapping[str, tuple[int, int]] = {
    "CALL_ONCE": (0, 0),
    "VAR_HANDLE": (0, 1),
    "READ_VARIABLE": (1, 1),
    "ASSIGN_VARIABLE": (2, 0),
}


def resolve_variables(model: FileModel) -> FileModel:
    """The model with its variables and without the file's operators on them; the same where it has none.

    Raises `BadModel` for what LiteRT refuses when it runs, or runs without meaning anything, and `UnsupportedOperators` for what
    means something and is not compiled.
    """
    if not any(op.opcode in RESOLVED for op in model.ops):
        return model
    return _Resolution(model).resolved()


@dataclass(eq=False)
class _State:
    """A variable while the operators are followed.

    like      the tensor that was assigned or read first: all others must be like it
    start     the constant that CALL_ONCE assigned last
    before    the tensor that shows the value when an inference begins, once it is read
    current   the tensor with its value now; None: that from before the inference
    place     of the last assignment in the file
    """

    like: FileTensor
    start: FileTensor | None = None
    before: FileTensor | None = None
    current: FileTensor | None = None
    place: int = -1


class _Resolution:
    """One pass over the operators, in the order in which TFLite runs them."""

    def __init__(self, model: FileModel) -> None:
        self._model = model
        self._states: dict[_Key, _State] = {}
        self._handles: dict[FileTensor, _Key] = {}
        self._called: set[int] = set()

    def resolved(self) -> FileModel:
        ops = [new for op in self._model.ops for new in self._resolved(op)]
        variables = []
        for key, state in self._states.items():
            if state.before is None:
                continue  # nobody reads what the inference before assigned
            assert state.start is not None
            after = state.before
            if state.current not in (None, state.before):
                after = replace(state.before, index=None)
                ops.append(FileOp(state.place, "ASSIGN_VARIABLE", (state.current,), (after,), {}))
            variables.append(FileVariable(key[-1], state.before, after, state.start.constant()))
        return replace(self._model, ops=tuple(ops), variables=tuple(variables), called={})

    def _resolved(self, op: FileOp) -> list[FileOp]:
        """What becomes of an operator of the main subgraph."""
        if op.opcode not in RESOLVED:
            return [op]
        _require_counts(op)
        if op.opcode == "CALL_ONCE":
            self._call(op)
        elif op.opcode == "VAR_HANDLE":
            self._name(op)
        elif op.opcode == "ASSIGN_VARIABLE":
            state, source = self._state(op, op.input(1)), op.input(1)
            if source.is_constant:
                raise UnsupportedOperators([f"{op.label}: it assigns a constant in every inference (use the constant itself)"])
            state.current, state.place = source, op.index
        else:
            return self._read(op)
        return []

    def _read(self, op: FileOp) -> list[FileOp]:
        state = self._state(op, op.output)
        if state.current is None and state.start is None:
            raise BadModel(f"{op.label}: its variable has no value: neither CALL_ONCE nor an operator before assigns it")
        shown = state.current or state.before
        if shown is None:
            state.before = op.output
            return []
        return [FileOp(op.index, "RESHAPE", (shown,), op.outputs, {})]

    def _call(self, op: FileOp) -> None:
        """Take over the start values that a subgraph assigns; a second call of one does nothing."""
        number = int(op.options["subgraph"])
        called = self._model.called.get(number)
        if called is None:
            raise BadModel(f"{op.label}: it calls its own subgraph")
        if called.inputs or called.outputs:
            raise BadModel(f"{op.label}: subgraph {number} has inputs or outputs, which nobody gives or takes")
        if number in self._called:
            return
        self._called.add(number)
        for step in called.ops:
            if step.opcode == "VAR_HANDLE":
                _require_counts(step)
                self._name(step)
                continue
            if step.opcode == "ASSIGN_VARIABLE":
                _require_counts(step)
                if step.input(1).is_constant:
                    self._start(step)
                    continue
            raise UnsupportedOperators(
                [f"{step.label}: CALL_ONCE runs it; only VAR_HANDLE and ASSIGN_VARIABLE of constants are compiled there"]
            )

    def _start(self, step: FileOp) -> None:
        state = self._state(step, step.input(1))
        if state.before is not None or state.current is not None:
            raise UnsupportedOperators(
                [f"{step.label}: CALL_ONCE runs it in the first inference alone, behind operators that use its variable"]
            )
        state.start = step.input(1)

    def _name(self, op: FileOp) -> None:
        if op.output.type is not ElementType.RESOURCE or op.output.num_elements != 1:
            raise BadModel(f"{op.label}: its output is {op.output.type.name} {list(op.output.shape)}, not one handle")
        self._handles[op.output] = op.texts

    def _state(self, op: FileOp, value: FileTensor) -> _State:
        """The variable of an operator that reads or assigns `value`, which must be like all of that variable's values."""
        handle = op.input(0)
        if handle not in self._handles:
            raise BadModel(f"{op.label}: {handle.label} is no variable's handle, or is used before its VAR_HANDLE")
        if value.type is not ElementType.INT8:
            raise UnsupportedOperators([f"{op.label}: a variable of {value.type.name}; those of INT8 are compiled"])
        state = self._states.setdefault(self._handles[handle], _State(value))
        for what, found, first in (
            ("shape", list(value.shape), list(state.like.shape)),
            ("scale and zero point", _scale(value), _scale(state.like)),
        ):
            if found != first:
                raise BadModel(
                    f"{op.label}: {value.label} has {what} {found}, and another value of its variable, {state.like.label}, "
                    f"{first}; LiteRT copies the bytes as they are"
                )
        return state


def _require_counts(op: FileOp) -> None:
    found, needed = (len(op.inputs), len(op.outputs)), _COUNTS[op.opcode]
    if found != needed:
        raise BadModel(f"{op.label}: it has {found[0]} inputs and {found[1]} outputs, {needed[0]} and {needed[1]} are needed")


def _scale(tensor: FileTensor) -> str:
    q = tensor.quantization
    return "none" if q is None else f"{', '.join(map(str, q.scales))} and {', '.join(map(str, q.zero_points))}"
