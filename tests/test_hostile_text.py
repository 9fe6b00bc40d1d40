"""Names that a stranger chose, in every field that a `.tflite` can bring and in the names of files, through the whole deployment.

Each hostile text carries the word `pwned`. In what is emitted it may stand where it is only read: in comments of C, in text of
HTML, in strings of JSON, and in plain identifiers; it may never be code, markup, a command, or a control of the terminal.
"""

from __future__ import annotations

import html.parser
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder
from hypothesis import given, settings
from hypothesis import strategies as st

from flynet_tiny import cli
from flynet_tiny.codegen.build import build_named
from flynet_tiny.codegen.c_library import CLibrary
from flynet_tiny.codegen.compiler import compile_tflite
from flynet_tiny.codegen.emit import template_environment
from flynet_tiny.deploy.library_name import given_library_name, library_name
from flynet_tiny.errors import UsageError
from flynet_tiny.firmware.templates import template_text, write_rendered
from flynet_tiny.quoting import ForeignText, UnquotedText, code_finalize
from flynet_tiny.report.evaluation import Evaluation, confusion_svg, evaluation_json, evaluation_text

from .small_models import attention_block, mdw_max_out
from .stateful_models import accumulator

RUN = "__attribute__((constructor)) static void pwned(void) { __builtin_trap(); }"
HOSTILE = (
    f"*/ {RUN} /*", f"a\n{RUN}\n", f"??/\n{RUN}", f"x \\\n{RUN}", f'"; {RUN} "', f"\r{RUN}", f"//*/ {RUN}", "/* pwned", "pwned /",
    "*pwned*", "\x1b[2J\x1b]0;pwned\x07", "\x9b31mpwned", "pwned\x00hidden", "\u202epwned\u2066", "\u2028pwned\u2029",
    "\ufeffpwned",
    "<script>pwned()</script>", "</title><img src=x onerror=pwned()>", "' onload='pwned()", "]]><!-- pwned", "&pwned;",
    "$(touch pwned)", "`touch pwned`", "; touch pwned", "${pwned}", "%n%spwned", "{{ pwned }}", "{% raw %}pwned", "../../pwned",
    "-Wl,pwned", "#define pwned", "int", "NULL", "INT32_MAX", "arena", "main", "9pwned", "ünïcödé pwned 名前", "", "pwned" * 2000,
)  # fmt: skip
SUFFIX_OF_TEXT = {".c", ".h", ".S", ".ld", ".json", ".html", ".svg", ""}
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def hostile_model(data: bytes, texts: tuple[str | bytes, ...] = HOSTILE) -> bytes:
    """The file with hostile texts in its description and in all names: tensors, subgraph, signature, metadata."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))

    def text(index: int) -> str | bytes:
        chosen = texts[index % len(texts)]
        return chosen if isinstance(chosen, bytes) else chosen.encode("utf-8", "surrogatepass")

    graph = model.subgraphs[0]
    for index, tensor in enumerate((*(graph.tensors[i] for i in (*graph.outputs, *graph.inputs)), *graph.tensors)):
        tensor.name = text(index)
    for op in (op for subgraph in model.subgraphs for op in subgraph.operators):
        if isinstance(op.builtinOptions, schema.VarHandleOptionsT):
            op.builtinOptions.sharedName = text(0)  # one for all handles: they are of one variable
    model.description, graph.name = text(1), text(2)
    model.metadata = [schema.MetadataT(name=text(3), buffer=0)]
    maps = [schema.TensorMapT(name=text(4 + i), tensorIndex=int(t)) for i, t in enumerate((*graph.inputs, *graph.outputs))]
    model.signatureDefs = [schema.SignatureDefT(inputs=maps[:1], outputs=maps[1:], signatureKey=text(6), subgraphIndex=0)]
    builder = Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@dataclass(frozen=True)
class Emitted:
    folder: Path
    out: Path
    printed: str


def call(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "flynet_tiny.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Emitted:
    folder = tmp_path_factory.mktemp("hostile")
    model = folder / 'a";$(touch owned)\n*\x1b[2J.tflite'
    model.write_bytes(hostile_model(attention_block(seed=3)))
    done = call(["compile", model.name, "--target", "stm32f412", "--out", "out"], folder)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.count(b" 0 differing") == 3
    return Emitted(folder, folder / "out", (done.stdout + done.stderr).decode())


def texts_of(emitted: Emitted) -> dict[Path, str]:
    files = [path for path in emitted.out.rglob("*") if path.is_file() and path.suffix in SUFFIX_OF_TEXT]
    assert {"Makefile", "main.c", "firmware.ld", "report.json", "report.html", "verify_switch.S"} <= {path.name for path in files}
    return {path: path.read_bytes().decode("utf-8") for path in files}


def test_what_is_printed_moves_no_cursor(emitted: Emitted) -> None:
    assert not CONTROLS.search(emitted.printed)
    forged = [line for line in emitted.printed.splitlines() if line.startswith((RUN[:20], "*", "owned"))]
    assert forged == [], "a name makes no line of its own"


def test_nothing_was_run_and_nothing_lies_elsewhere(emitted: Emitted) -> None:
    assert {path.name for path in emitted.folder.iterdir() if path.suffix != ".tflite"} == {"out"}
    assert not [path for path in emitted.folder.rglob("*pwned*") if path.parent != emitted.folder]


def test_no_text_of_the_folder_holds_controls(emitted: Emitted) -> None:
    for path, text in texts_of(emitted).items():
        assert not CONTROLS.search(text), path.name


def test_c_is_the_same_without_its_comments_whatever_the_names(emitted: Emitted) -> None:
    plain = compile_tflite(attention_block(seed=3), "a_touch_owned_2j", build_named("stm32f412")).library
    for name, text in plain.files.items():
        assert "pwned" not in preprocessed(emitted.out / name)
        assert strip_hash(code_of((emitted.out / name).read_text())) == strip_hash(code_of(text)), name


@pytest.mark.parametrize("text", HOSTILE)
def test_a_variable_of_any_name_is_the_same_c(text: str, tmp_path: Path) -> None:
    """Its name, which the file shares between its subgraphs, stands beside its start values."""
    hostile, plain = (compile_tflite(data, "net").library for data in (hostile_model(accumulator(), (text,)), accumulator()))
    for name, code in hostile.files.items():
        (tmp_path / name).write_text(code)
        assert "pwned" not in preprocessed(tmp_path / name)
        assert strip_hash(code_of(code)) == strip_hash(code_of(plain.files[name])), name
        assert not CONTROLS.search(code), name


def preprocessed(path: Path) -> str:
    """What the compiler sees: trigraphs replaced, lines joined, comments gone; standard headers left out."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#include"))
    command = ["cc", "-E", "-P", "-std=c11", "-Wall", "-Wcomment", "-Wtrigraphs", "-Werror", "-x", "c", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=60).stdout


def code_of(text: str) -> str:
    """C without comments, by the language's rule: the first `*/` ends one."""
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)


def strip_hash(text: str) -> str:
    """The hash of the model's file differs, and the bound of the stack is known only after linking."""
    return re.sub(r"\s+", " ", re.sub(r'#define \w+_(MODEL_SHA256 "\w+"|STACK_BYTES \w+)', "", text))


def test_firmware_holds_no_foreign_text(emitted: Emitted) -> None:
    for path in (emitted.out / "firmware").iterdir():
        if path.is_file():
            assert b"pwned" not in path.read_bytes(), path.name


class Page(html.parser.HTMLParser):
    """Every element and attribute of a page; nesting is checked."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] != tag and self.open[-1] in {"p", "li", "td", "th", "tr", "tbody", "thead", "dt", "dd"}:
            self.open.pop()
        assert self.open
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_has_no_script(emitted: Emitted) -> None:
    page = Page()
    page.feed((emitted.out / "report.html").read_text())
    page.close()
    assert page.open == []
    assert not {tag for tag, _ in page.seen} & {"script", "iframe", "object", "embed", "img", "link", "base", "form"}
    for _, attributes in page.seen:
        assert not any(name.startswith("on") or name in ("src", "href", "srcdoc") for name in attributes)


def test_the_report_is_json_of_plain_characters(emitted: Emitted) -> None:
    text = (emitted.out / "report.json").read_text()
    assert json.loads(text)["fits"] is True


def test_names_in_onnx_are_plain(emitted: Emitted) -> None:
    model = onnx.load(emitted.out / "golden.onnx")
    names = [n.name for n in model.graph.node] + [v.name for v in (*model.graph.input, *model.graph.output)]
    names += [output for node in model.graph.node for output in node.output] + [i.name for i in model.graph.initializer]
    assert names
    for name in filter(None, names):
        assert re.fullmatch(r"[\w./:-]+", name, re.ASCII), name


PATH = os.fsdecode(b"a\xff\xfe \x1b[2J\n\r\xe2\x80\xae'\"*;$(touch pwned)`touch pwned`")


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile", "{}.tflite", "--target", "stm32f412"),
        ("compile", "{}/x.tflite", "--target", "stm32f412", "--emit", "c"),
        ("compile", "net.tflite", "--target", "{}"),
        ("compile", "net.tflite", "--target", "stm32f412", "--name", "{}"),
        ("export", "--checkpoint", "{}.pt", "--target", "stm32f412"),
        ("export", "--model", "{}", "--target", "stm32f412"),
        ("export", "--name", "{}", "--target", "stm32f412"),
        ("export", "--calibration", "{}", "--width", "0.3", "--target", "stm32f412"),
        ("report", "{}"),
        ("verify", "{}"),
        ("emulate", "{}"),
        ("evaluate", "{}.onnx", "--data", "{}"),
        ("train", "--data", "{}", "--out", "x.pt"),
    ],
    ids=lambda a: " ".join(a),
)
def test_an_error_about_a_hostile_name_is_one_harmless_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.tflite").write_bytes(mdw_max_out())
    with pytest.raises(SystemExit) as caught:
        cli.main([argument.format(PATH) for argument in arguments])
    said = capfd.readouterr()
    assert caught.value.code in (2, 3)
    assert not CONTROLS.search(said.out + said.err)
    assert said.err.count("error: ") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"net.tflite"}


def test_emulate_names_a_hostile_picture_harmlessly(emitted: Emitted, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "\x1b[31m$(touch pwned).npy"
    np.save(picture, np.zeros(3, np.int8))
    for name in (picture, tmp_path / "none\x1b.npy", tmp_path / os.fsdecode(b"\xff.jpg")):
        with pytest.raises(SystemExit) as caught:
            cli.main(["emulate", str(emitted.out), "--input", str(name)])
        assert caught.value.code == 3
        said = capfd.readouterr()
        assert not CONTROLS.search(said.out + said.err)


def test_outputs_are_shown_harmlessly(emitted: Emitted, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["emulate", str(emitted.out)])
    assert caught.value.code == 0
    said = capfd.readouterr()
    assert "pwned" in said.out, "the output's name is shown"
    assert not CONTROLS.search(said.out + said.err)


def test_class_names_are_text_in_table_json_and_picture() -> None:
    names = tuple(text or "none" for text in HOSTILE)
    confusion = np.ones((len(names), len(names)), np.int64)
    found = Evaluation("net", "host", "pictures", names, confusion, 1, {})
    picture = ElementTree.fromstring(confusion_svg(found))
    assert not any(element.tag.endswith(("script", "img", "foreignObject")) for element in picture.iter())
    assert not any(name.startswith("on") for element in picture.iter() for name in element.attrib)
    assert not CONTROLS.search(evaluation_json(found))
    assert json.loads(evaluation_json(found))["per_class"][0]["name"] == names[0]
    assert isinstance(evaluation_text(found), str)


@cache
def plain_library() -> CLibrary:
    return compile_tflite(mdw_max_out(), "net").library


BYTES = st.one_of(st.sampled_from([text.encode("utf-8", "surrogatepass") for text in HOSTILE]), st.binary(max_size=40))


@settings(max_examples=12, deadline=None)
@given(st.lists(BYTES, min_size=1, max_size=8))
def test_names_of_any_bytes_give_the_same_code(names: list[bytes]) -> None:
    library = compile_tflite(hostile_model(mdw_max_out(), tuple(names)), "net").library
    plain = plain_library()
    for name, text in library.files.items():
        assert text.isascii()
        assert not CONTROLS.search(text)
        assert strip_hash(code_of(text)) == strip_hash(code_of(plain.files[name]))
    for record in library.trace:
        assert re.fullmatch(r"[A-Za-z]\w*", record.tensor, re.ASCII)


def test_an_unknown_custom_operator_is_named_harmlessly(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(mdw_max_out()))
    code = model.operatorCodes[0]
    code.builtinCode, code.deprecatedBuiltinCode, code.customCode = schema.BuiltinOperator.CUSTOM, 32, "\x1b[2J\n*/ pwned"
    builder = Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    (tmp_path / "net.tflite").write_bytes(bytes(builder.Output()))
    with pytest.raises(SystemExit) as caught:
        cli.main(["compile", str(tmp_path / "net.tflite"), "--target", "stm32f412", "--emit", "c"])
    assert caught.value.code in (3, 4)
    said = capfd.readouterr()
    assert not CONTROLS.search(said.out + said.err)


# The library's own name.


FIRMWARE = (
    *(f"common/{name}.c" for name in ("console", "faults", "mpu", "stack", "startup")),
    *("common/main.c.j2", "common/semihosting.h", "common/board.h", "mps2/board.c.j2", "netduinoplus2/board.c.j2"),
    *("verify/verify.c.j2", "verify/verify_port_host.c", "verify/verify_port_board.c.j2", "verify/verify_switch.S.j2"),
)


@given(st.text(max_size=60))
def test_a_file_of_any_name_gives_an_identifier(name: str) -> None:
    made = library_name(name)
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,39}", made, re.ASCII)
    assert given_library_name(made) == made


TAKEN = ("string", "main", "startup", "flag", "ft", "pthread_attr")


@pytest.mark.parametrize("name", [*HOSTILE, *TAKEN, "9a", "a-b", "a" * 41, "ü"])
def test_a_given_name_is_an_identifier_that_nobody_has_or_refused(name: str) -> None:
    if name in ("int", "NULL", "INT32_MAX", "arena"):
        assert given_library_name(name) == name.lower()  # only a prefix: int_init, ARENA_OK
    else:
        with pytest.raises(UsageError):
            given_library_name(name)


def test_no_free_name_makes_an_identifier_of_the_firmware() -> None:
    library = plain_library()
    made = {
        word for text in library.files.values() for word in re.findall(r"\b(?:net|NET)_(\w+)", without_strings(code_of(text)))
    }
    words = {word for path in FIRMWARE for word in re.findall(r"\b[A-Za-z]\w*", re.sub("{{.*?}}", "", template_text(path)))}
    clashes = {word[: -len(end) - 1].lower() for word in words for end in made if word.endswith(f"_{end}")}
    assert {"board", "flag"} <= clashes, "board_init, FLAG_TRACE"
    assert {name for name in clashes if library_name(name) == name} == set()


def without_strings(code: str) -> str:
    return re.sub(r'"[^"\n]*"', "", code)


# Templates cannot forget.


def test_every_environment_that_writes_code_refuses_foreign_text(tmp_path: Path) -> None:
    assert template_environment().finalize is code_finalize
    with pytest.raises(UnquotedText):
        write_rendered("verify/verify.c.j2", tmp_path, {**VALUES, "name": ForeignText(HOSTILE[0])})
    assert not list(tmp_path.iterdir())


VALUES = {"macro": "NET", "input_bytes": (1,), "output_bytes": (1,)}
