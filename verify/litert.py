"""LiteRT as a judge: a `.tflite` run tensor by tensor in a child process.

LiteRT checks some models with an abort of its process, so it never runs in ours. The child is this file run as a script; it
answers one set of inputs at a time over a pipe, so that one inference is in memory.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from enum import Enum
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..codegen.ir import Graph

Int8 = npt.NDArray[np.int8]


class Resolver(Enum):
    """Which of LiteRT's kernels run: the reference ones (exact, the golden) or XNNPACK (fast, rounds in its own way)."""

    BUILTIN_REF = "BUILTIN_REF"
    XNNPACK = "AUTO"


class LiteRtProcess:
    """The child process. It holds one loaded model at a time, and dies with the model that makes LiteRT abort."""

    def __init__(self) -> None:
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close())
        from .interruption import shielded  # not at the top: the child runs this file alone, outside the package

        with shielded():
            self._process = subprocess.Popen(
                [sys.executable, "-I", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr
            )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def load(self, model: bytes, resolver: Resolver, preserve_all_tensors: bool) -> None:
        """Load a model and allocate its tensors. Raises BadModel with LiteRT's reason when it cannot."""
        self._ask({"resolver": resolver.value, "preserve": preserve_all_tensors}, model)

    def run(self, inputs: Mapping[int, Int8], tensors: list[int]) -> bytes:
        """The bytes of the wanted tensors, one after the other, for one set of inputs by tensor index."""
        request = {"inputs": list(inputs), "tensors": tensors}
        return self._ask(request, *(np.ascontiguousarray(inputs[index], np.int8).tobytes() for index in inputs))

    def close(self) -> None:
        """End the child."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def __enter__(self) -> LiteRtProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None and not isinstance(error, Exception):  # interrupted: it need not finish what it computes
            self._process.kill()
        self.close()

    def _ask(self, request: Mapping[str, object], *payloads: bytes) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            for payload in (json.dumps(request).encode(), *payloads):
                _write_frame(self._process.stdin, payload)
            self._process.stdin.flush()
            refusal = _read_frame(self._process.stdout).decode()
            answer = _read_frame(self._process.stdout)
        except (EOFError, BrokenPipeError):
            self._fail()
        if refusal:
            raise _bad_model(f"LiteRT refuses the model: {refusal}")
        return answer

    def _fail(self) -> NoReturn:
        """Raise what ended the child, with LiteRT's own last words."""
        code = self._process.wait()
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()]
        self.close()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        told = [line for line in lines if not line.startswith("INFO")]
        from ..errors import LiteRtEnded  # as in _bad_model

        raise LiteRtEnded(f"LiteRT ended its process ({how}) on this model: {told[-1][:300] if told else 'no message'}")


class LiteRt:
    """One loaded model as a judge; `run` may be called many times. Use it as a context manager.

    all_tensors  every activation is read back (the default for BUILTIN_REF, impossible with XNNPACK), else only the outputs
    process      a child to share with other models; by default the model has its own
    """

    def __init__(
        self,
        graph: Graph,
        model: bytes,
        resolver: Resolver = Resolver.BUILTIN_REF,
        all_tensors: bool | None = None,
        process: LiteRtProcess | None = None,
    ) -> None:
        if all_tensors is None:
            all_tensors = resolver is Resolver.BUILTIN_REF
        if all_tensors and resolver is Resolver.XNNPACK:
            raise ValueError("XNNPACK keeps no inner tensors")
        self.name = "litert" if resolver is Resolver.BUILTIN_REF else "xnnpack"
        wanted = [t.name for t in graph.activations()] if all_tensors else list(graph.outputs)
        self._names = {index: name for name in wanted if (index := graph.tensor(name).source_index) is not None}
        self._shapes = {index: graph.tensor(name).shape for index, name in self._names.items()}
        self._inputs = {name: index for name in graph.inputs if (index := graph.tensor(name).source_index) is not None}
        self._is_owner = process is None
        self._process = process or LiteRtProcess()
        try:
            self._process.load(model, resolver, all_tensors)
        except BaseException:
            self.close()
            raise

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Int8]:
        """Every wanted tensor of one inference, by its name in the graph."""
        by_index = {index: np.asarray(inputs[name], np.int8) for name, index in self._inputs.items()}
        payload = np.frombuffer(self._process.run(by_index, list(self._names)), np.int8)
        values: dict[str, Int8] = {}
        offset = 0
        for index, name in self._names.items():
            size = math.prod(self._shapes[index])
            values[name] = payload[offset : offset + size].reshape(self._shapes[index])
            offset += size
        if offset != payload.size:
            raise _bad_model("LiteRT computes tensors of other sizes than the model declares")
        return values

    def close(self) -> None:
        """End the child process, unless it is shared."""
        if self._is_owner:
            self._process.close()

    def __enter__(self) -> LiteRt:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_owner:
            self._process.__exit__(kind, error, trace)


def _bad_model(message: str) -> Exception:
    from ..errors import BadModel  # not at the top: the child runs this file alone, outside the package

    return BadModel(message)


def _write_frame(stream: IO[bytes], payload: bytes) -> None:
    stream.write(struct.pack("<q", len(payload)))
    stream.write(payload)


def _read_frame(stream: IO[bytes]) -> bytes:
    header = stream.read(8)
    if len(header) < 8:
        raise EOFError
    (size,) = struct.unpack("<q", header)
    payload = stream.read(size)
    if len(payload) < size:
        raise EOFError
    return payload


def _serve() -> None:
    """The child: answer every request with a refusal (empty when there is none) and a payload, until the pipe closes."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever LiteRT prints must not mix with the answers
    questions = sys.stdin.buffer
    interpreter: Any = None
    while True:
        try:
            request = json.loads(_read_frame(questions))
            payloads = [_read_frame(questions) for _ in request.get("inputs", ["model"])]
        except EOFError:
            return
        refusal, answer = "", b""
        try:
            if "resolver" in request:
                interpreter = _load(request, payloads[0])
            else:
                answer = _invoke(interpreter, request, payloads)
        except (RuntimeError, ValueError) as error:
            refusal = " ".join(str(error).split())[:300] or type(error).__name__
        _write_frame(answers, refusal.encode())
        _write_frame(answers, answer)
        answers.flush()


def _load(request: Mapping[str, Any], model: bytes) -> Any:
    from ai_edge_litert import interpreter as litert

    interpreter = litert.Interpreter(
        model_content=model,
        experimental_op_resolver_type=litert.OpResolverType[request["resolver"]],
        experimental_preserve_all_tensors=request["preserve"],
        num_threads=1,
    )
    interpreter.allocate_tensors()
    return interpreter


def _invoke(interpreter: Any, request: Mapping[str, Any], payloads: list[bytes]) -> bytes:
    shapes = {detail["index"]: detail["shape"] for detail in interpreter.get_input_details()}
    for index, payload in zip(request["inputs"], payloads, strict=True):
        interpreter.set_tensor(index, np.frombuffer(payload, np.int8).reshape(shapes[index]))
    interpreter.invoke()
    return b"".join(interpreter.get_tensor(index).tobytes() for index in request["tensors"])


if __name__ == "__main__":
    _serve()
