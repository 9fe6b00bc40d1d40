"""LiteRT as a judge that may be left out: inputs at which LiteRT itself ends its process say nothing about the model.

LiteRT's SOFTMAX aborts where the exponentials of a row sum to 512 or more (a network with 1,000 classes and nothing to say comes
there). Such inputs are known before, from the exact tensors. As a second line, a child that dies is started again, and the input
at which it died is left out too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType

import numpy as np
import numpy.typing as npt

from ..codegen.fixed_point import SOFTMAX_ABORT_Q19, softmax_exponentials
from ..codegen.ir import DType, Graph, Op, OpKind, SoftmaxAttrs
from ..errors import LiteRtEnded
from .compare import CannotJudge
from .litert import LiteRt
from .onnx_twin import OnnxTwin

Stored = npt.NDArray[np.integer]
Tensors = Mapping[str, npt.NDArray[np.generic]]

MOST_DEATHS = 3  # after these LiteRT is not asked again: it would only end once more


def may_abort(graph: Graph) -> bool:
    """Whether some input could make LiteRT abort as far as we know: a SOFTMAX over rows of 512 and more."""
    return any(_may_abort(op, graph) and graph.tensor(op.inputs[0]).shape[-1] >= 512 for op in graph.ops)


def _may_abort(op: Op, graph: Graph) -> bool:
    """A SOFTMAX of int8; that of int16 does not."""
    return op.kind is OpKind.SOFTMAX and graph.tensor(op.inputs[0]).dtype is DType.INT8


def foreseen_abort(graph: Graph, tensors: Tensors) -> str | None:
    """Why LiteRT would end its process at this inference, None when nothing is known of.

    tensors  the exact values of the inputs and of every activation (those that SOFTMAX reads are enough)
    """
    for op in graph.ops:
        if isinstance(op.attrs, SoftmaxAttrs) and _may_abort(op, graph) and op.inputs[0] in tensors:
            scale = graph.tensor(op.inputs[0]).scale
            _, total_q19 = softmax_exponentials(tensors[op.inputs[0]].astype(np.int64), scale, op.attrs.beta)
            if int(total_q19.max()) >= SOFTMAX_ABORT_Q19:
                return f"LiteRT aborts in {op.label}, where the exponentials of a row sum to 512 or more"
    return None


class LiteRtJudge:
    """LiteRT's reference kernels; `run` raises `CannotJudge` for inputs at which LiteRT ends. Use it as a context manager.

    exact        the exact tensors of the inputs that `run` is given at that moment, to foresee an abort; None foresees nothing
    all_tensors  every activation is read back, else only the outputs
    A model that LiteRT does not even load raises BadModel, one at whose first inputs it always ends, without our knowing why,
    LiteRtEnded: then no runtime but our own would have judged it. `note` says where it got a patched copy of the file.
    """

    name = "litert"

    def __init__(
        self, graph: Graph, model: bytes, exact: Callable[[Tensors], Tensors] | None = None, all_tensors: bool = True
    ) -> None:
        self._graph, self._model, self._exact, self._all_tensors = graph, model, exact, all_tensors
        self._deaths = self._answers = 0
        self._has_lost_state = False
        self._why = ""
        self._litert: LiteRt | None = self._start()
        self.note = self._litert.note

    def _start(self) -> LiteRt:
        return LiteRt(self._graph, self._model, all_tensors=self._all_tensors)

    def reset(self) -> None:
        """Give the variables their start values."""
        self._has_lost_state = False
        if self._litert is not None:
            self._litert.reset()

    def run(self, inputs: Tensors, /) -> Mapping[str, Stored]:
        """Every wanted tensor of one inference, by its name in the graph."""
        try:
            return self._run(inputs)
        except CannotJudge:
            self._has_lost_state = bool(self._graph.variables)
            raise

    def _run(self, inputs: Tensors) -> Mapping[str, Stored]:
        if self._has_lost_state:
            raise CannotJudge("LiteRT left out an input before it in the same sequence")
        reason = foreseen_abort(self._graph, {**inputs, **self._exact(inputs)}) if self._exact is not None else None
        if reason is not None:
            raise CannotJudge(reason)
        if self._deaths >= MOST_DEATHS:
            if not self._answers:
                raise LiteRtEnded(
                    f"LiteRT ended its process at each of {self._deaths} inputs; nothing would be proven: {self._why}"
                )
            raise CannotJudge(f"LiteRT ended its process {self._deaths} times on this model and was not asked again")
        if self._litert is None:
            self._litert = self._start()
        try:
            found = self._litert.run(inputs)
        except LiteRtEnded as error:
            self.close()
            self._deaths += 1
            self._why = str(error)
            raise CannotJudge(self._why) from error
        self._answers += 1
        return found

    def close(self) -> None:
        """End the child process."""
        if self._litert is not None:
            self._litert.close()
            self._litert = None

    def __enter__(self) -> LiteRtJudge:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class LiteRtOrTwin:
    """LiteRT's reference kernels for whoever needs an answer to every input by itself; use it as a context manager.

    An input at which LiteRT ends is computed by the golden twin in onnxruntime, equal in every byte wherever both compute.
    `replaced` counts these inputs.
    """

    def __init__(self, graph: Graph, model: bytes, all_tensors: bool = False) -> None:
        self._graph = graph
        self._twin: OnnxTwin | None = None
        self._latest: Mapping[str, Stored] = {}
        self._judge = LiteRtJudge(graph, model, self._exact if may_abort(graph) else None, all_tensors)
        self.replaced = 0
        self._why = ""

    def run(self, inputs: Tensors) -> Mapping[str, Stored]:
        """The graph's outputs, and all activations where they were asked for."""
        self._latest = {}
        self._judge.reset()
        try:
            return self._judge.run(inputs)
        except CannotJudge as limit:
            self.replaced += 1
            self._why = self._why or str(limit)
            return self._latest or self._exact(inputs)

    def _exact(self, inputs: Tensors) -> Mapping[str, Stored]:
        if self._twin is None:
            self._twin = OnnxTwin(self._graph)
        self._twin.reset()
        self._latest = self._twin.run(inputs)
        return self._latest

    @property
    def remark(self) -> str:
        """What must be said beside the figures, empty when LiteRT computed all of them."""
        return f"; {self.replaced} inputs by the golden twin in onnxruntime ({self._why})" if self.replaced else ""

    def __enter__(self) -> LiteRtOrTwin:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._judge.close()
