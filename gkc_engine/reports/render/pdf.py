"""A report as PDF, by Typst: offline, with the fonts of its wheel, the same bytes each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from gkc_engine.reports.model import Report
from gkc_engine.reports.render.document import document
from gkc_engine.statistics.intervals import at

FONT: Final = "Libertinus Serif"
"""In the wheel of Typst, with Cyrillic (SIL Open Font License)."""

_TEMPLATE: Final = Path(__file__).with_name("templates") / "report.typ"


def pdf(report: Report) -> bytes:
    """Return the document. Its date is the report's, not that of the run."""
    import typst  # 0.1 s that only this form needs

    made = document(report, font=FONT, color="#1c2430")
    inputs = {}
    for n, part in enumerate(made["parts"]):
        if part["what"] == "chart":
            part["input"] = f"chart{n}"
            inputs[part["input"]] = part.pop("svg")
    when = at(report.made).astimezone(report.zone)
    made["date"] = [when.year, when.month, when.day]
    inputs["report"] = json.dumps(made, ensure_ascii=False)
    return typst.compile(
        _TEMPLATE.read_bytes(),
        format="pdf",
        sys_inputs=inputs,
        ignore_system_fonts=True,
    )
