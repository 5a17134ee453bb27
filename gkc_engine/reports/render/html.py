"""A report as one HTML file: nothing from outside, no script; on paper and on a phone too."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gkc_engine.reports.model import Report
from gkc_engine.reports.render.document import document

_TEMPLATES: Final = Path(__file__).with_name("templates")


def html(report: Report) -> bytes:
    """Return the page, UTF-8. Everything that is not ours is escaped by the template."""
    made = document(report, font="inherit", color="currentColor")
    for part in made["parts"]:
        if part["what"] == "chart":
            part["svg"] = Markup(part["svg"])  # Of `svg.draw`, which escapes.
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(made).encode()
