"""The page to look at: the report as HTML with pictures, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from ..codegen.compiler import Compiled
from ..quoting import markup_environment
from . import memory_picture
from .layer_names import layer_title
from .schema import Instructions, NotDone, Report, left_out_line


def render_page(report: Report, compiled: Compiled) -> str:
    """The HTML text of a report and of the memory plan behind it."""
    environment = markup_environment(__package__ or "report")
    environment.filters["grouped"] = lambda value: "not measured" if value is None else f"{value:,}"
    environment.filters["percent"] = lambda share: f"{100 * share:.2f} %"
    environment.filters["share"] = lambda part, whole: "" if part is None or not whole else f"{100 * part / whole:.1f} %"
    environment.filters["ratio"] = lambda part, whole: "" if part is None or not whole else f"{part / whole:.2f}"
    environment.filters["shape"] = lambda shape: " x ".join(str(d) for d in shape) or "1"
    environment.filters["left_out"] = left_out_line
    environment.tests["not_done"] = lambda value: isinstance(value, NotDone)
    counted = isinstance(report.instructions, Instructions)
    return environment.get_template("page.html.j2").render(
        report=report,
        library=compiled.library.name,
        picture=memory_picture.memory_picture(compiled.plan, _buffer_titles(compiled)),
        plot={
            "width": memory_picture.WIDTH,
            "height": memory_picture.HEIGHT,
            "left": memory_picture.LEFT,
            "below": memory_picture.BELOW,
            "above": memory_picture.ABOVE,
        },
        most_instructions=max((layer.instructions or 0 for layer in report.layers), default=1) or 1,
        counted=counted,
        excess=_excess(report),
    )


def _buffer_titles(compiled: Compiled) -> Mapping[str, str]:
    """What each buffer of the arena holds: the layer that writes it, an input, a variable, or a kernel's scratch."""
    graph, buffer_of = compiled.graph, compiled.plan.lifetimes.buffer_of
    titles = {buffer_of[name]: f"input {graph.tensor(name).source_name}" for name in graph.inputs}
    titles |= {buffer_of[variable.before]: f"variable {variable.name}" for variable in graph.variables}
    for index, op in enumerate(compiled.ops):
        title = layer_title(graph.tensor(op.output).source_name, op.kind_name)
        for name in op.outputs:
            titles.setdefault(buffer_of[name], f"output of {title}")
        titles[f"scratch:{index}"] = f"scratch of {title}"
    return titles


def _excess(report: Report) -> Mapping[str, int]:
    """Why flash holds more constants than the model has parameters, in bytes."""
    weights = sum(layer.weights_bytes for layer in report.layers)
    tables = sum(layer.tables_bytes for layer in report.layers)
    return {"weights": weights, "tables": tables}
