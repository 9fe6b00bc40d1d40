"""The page to look at: the report as HTML with pictures, in one file that needs nothing else."""

from __future__ import annotations

import jinja2

from ..codegen.plan_memory import MemoryPlan
from ..quoting import markup_finalize
from .memory_picture import HEIGHT, WIDTH, memory_picture
from .schema import Instructions, NotDone, Report


def render_page(report: Report, plan: MemoryPlan) -> str:
    """The HTML text of a report and the memory plan behind it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__ or "report", "."),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        finalize=markup_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["grouped"] = lambda value: "not measured" if value is None else f"{value:,}"
    environment.filters["percent"] = lambda share: f"{100 * share:.2f} %"
    environment.tests["not_done"] = lambda value: isinstance(value, NotDone)
    per_op = report.instructions.per_op if isinstance(report.instructions, Instructions) else ()
    return environment.get_template("page.html.j2").render(
        report=report,
        rectangles=memory_picture(plan),
        picture_width=WIDTH,
        picture_height=HEIGHT,
        most_instructions=max((op.instructions for op in per_op), default=1),
    )
