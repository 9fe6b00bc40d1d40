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
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..codegen.ir import FileEnd, Graph, Tensor

Values = npt.NDArray[np.integer]


class Resolver(Enum):
    """Which of LiteRT's kernels run: the reference ones (exact, the golden) or XNNPACK (fast, rounds in its own way)."""

    BUILTIN_REF = "BUILTIN_REF"
    XNNPACK = "AUTO"


class LiteRtProcess:
    """The child process. It holds one loaded model at a time, and dies with the model that makes LiteRT abort.

    timeout_s  what loading or one inference may take; then the child ends as if LiteRT had ended it
    """

    def __init__(self, timeout_s: float = 300) -> None:
        self._timeout_s = timeout_s
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close())
        from ..processes.interruption import shielded  # not at the top: the child runs this file alone, outside the package

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

    def start_again(self) -> None:
        """Load the same model into a new interpreter: nothing else gives its variables their start values."""
        self._ask({"again": True, "inputs": []})

    def run(self, inputs: Mapping[int, npt.NDArray[np.generic]], tensors: list[int]) -> bytes:
        """The bytes of the wanted tensors, one after the other, for one set of inputs by tensor index."""
        types = [str(values.dtype) for values in inputs.values()]
        request = {"inputs": list(inputs), "types": types, "tensors": tensors}
        return self._ask(request, *(np.ascontiguousarray(values).tobytes() for values in inputs.values()))

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
            for payload in (json.dumps({**request, "timeout_s": self._timeout_s}).encode(), *payloads):
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
        if code == -signal.SIGALRM:
            self.close()
            raise _ended(f"LiteRT did not end within {self._timeout_s:g} s on this model")
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()]
        self.close()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        told = [line for line in lines if not line.startswith("INFO")]
        raise _ended(f"LiteRT ended its process ({how}) on this model: {told[-1][:300] if told else 'no message'}")


@dataclass(frozen=True)
class _Stored:
    """How the file's tensor `index` holds the values of one of `shape`: in its own type, or in float32 or uint8 at an end.

    stored  the type of the values themselves
    """

    index: int
    element: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    stored: str

    @staticmethod
    def own(tensor: Tensor) -> _Stored:
        assert tensor.source_index is not None
        dtype = tensor.dtype.value
        return _Stored(tensor.source_index, dtype, tensor.shape, tensor.scale, tensor.zero_point, dtype)

    @staticmethod
    def of(end: FileEnd, tensor: Tensor) -> _Stored:
        return _Stored(end.index, end.element, tensor.shape, tensor.scale, tensor.zero_point, tensor.dtype.value)

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.element).itemsize

    def encoded(self, values: Values) -> npt.NDArray[np.generic]:
        """Stored values as the file's tensor takes them."""
        if self.element == "float32":
            return np.float32(self.scale) * (values.astype(np.float32) - np.float32(self.zero_point))
        return values.view(np.uint8) ^ np.uint8(128) if self.element == "uint8" else values

    def decoded(self, payload: bytes) -> Values:
        """The stored values that the file's tensor stands for."""
        values = np.frombuffer(payload, self.element).reshape(self.shape)
        if self.element == "float32":
            limits = np.iinfo(self.stored)
            found = np.rint(values.astype(np.float64) / self.scale) + self.zero_point
            values = np.clip(found, limits.min, limits.max).astype(self.stored)
        decoded: Values = (values ^ np.uint8(128)).view(np.int8) if self.element == "uint8" else values
        return decoded


class LiteRt:
    """One loaded model as a judge; `run` may be called many times. Use it as a context manager.

    all_tensors  every activation is read back (the default for BUILTIN_REF, impossible with XNNPACK), else only the outputs
    process      a child to share with other models; by default the model has its own

    Float and uint8 ends of the file are fed with and read as the stored values that they stand for. `note` says where LiteRT got
    a patched copy of the file (`litert_copy`), else it is empty.
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
        from ..codegen.ir import file_inputs, file_outputs  # not at the top: the child runs this file alone, outside the package

        self.name = "litert" if resolver is Resolver.BUILTIN_REF else "xnnpack"
        inner = {t.name: t for t in graph.activations() if t.source_index is not None} if all_tensors else {}
        self._read = {name: _Stored.own(tensor) for name, tensor in inner.items()}
        for name, end in zip(graph.outputs, file_outputs(graph), strict=True):
            if name not in self._read:
                if end.left_to_caller and resolver is Resolver.XNNPACK:
                    raise _bad_model(f"{end.name!r} is behind a float {end.left_to_caller[0]}, whose input it does not keep")
                all_tensors = all_tensors or bool(end.left_to_caller)
                self._read[name] = _Stored.of(end, graph.tensor(name))
        self._given = {name: _Stored.of(e, graph.tensor(name)) for name, e in zip(graph.inputs, file_inputs(graph), strict=True)}
        self._has_variables, self._is_new = bool(graph.variables), True
        self._is_owner = process is None
        self._process = process or LiteRtProcess()
        try:
            self.note = self._load(model, resolver, all_tensors)
        except BaseException:
            self.close()
            raise

    def _load(self, model: bytes, resolver: Resolver, all_tensors: bool) -> str:
        """Load the file, or a copy of it that says the same in LiteRT's form; what the copy changed."""
        from ..errors import BadModel
        from .litert_copy import for_litert

        changes: list[str] = []
        while True:
            try:
                self._process.load(model, resolver, all_tensors)
                return f"LiteRT judges a copy with {', '.join(changes)}" if changes else ""
            except BadModel as error:
                found = for_litert(model, str(error)) if self._process.is_alive else None
                if found is None:
                    raise
                model, change = found
                changes.append(change)

    def reset(self) -> None:
        """Give the variables their start values."""
        if self._has_variables and not self._is_new:
            self._process.start_again()
            self._is_new = True

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Values]:
        """Every wanted tensor of one inference, by its name in the graph."""
        self._is_new = False
        by_index = {stored.index: stored.encoded(np.asarray(inputs[name], stored.stored)) for name, stored in self._given.items()}
        payload = self._process.run(by_index, [stored.index for stored in self._read.values()])
        values: dict[str, Values] = {}
        offset = 0
        for name, stored in self._read.items():
            values[name] = stored.decoded(payload[offset : offset + stored.size_bytes])
            offset += stored.size_bytes
        if offset != len(payload):
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
    from ..errors import BadModel  # not at the top, for the child

    return BadModel(message)


def _ended(message: str) -> Exception:
    from ..errors import LiteRtEnded  # as in _bad_model

    return LiteRtEnded(message)


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
    loaded: Any = None
    while True:
        try:
            request = json.loads(_read_frame(questions))
            payloads = [_read_frame(questions) for _ in request.get("inputs", ["model"])]
        except EOFError:
            return
        refusal, answer = "", b""
        signal.setitimer(signal.ITIMER_REAL, request["timeout_s"])  # its default action ends the process, whatever LiteRT does
        try:
            if "resolver" in request:
                loaded = (request, payloads[0])
            if "resolver" in request or "again" in request:
                interpreter = _load(*loaded)
            else:
                answer = _invoke(interpreter, request, payloads)
        except (RuntimeError, ValueError) as error:
            refusal = " ".join(str(error).split())[:300] or type(error).__name__
        signal.setitimer(signal.ITIMER_REAL, 0)
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
    for index, dtype, payload in zip(request["inputs"], request["types"], payloads, strict=True):
        interpreter.set_tensor(index, np.frombuffer(payload, dtype).reshape(shapes[index]))
    interpreter.invoke()
    return b"".join(interpreter.get_tensor(index).tobytes() for index in request["tensors"])


if __name__ == "__main__":
    _serve()
