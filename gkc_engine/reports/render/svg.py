"""Charts as SVG, for HTML and PDF: no script, no outside, readable without colour. Pure.

Series differ by tone and by pattern, and the numbers stand in the table beside. Text takes the
colour of the page (``currentColor``) where the page has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from gkc_engine.reports.compare import FEW
from gkc_engine.reports.model import Chart, ChartKind, Column, Language, Report, Row, Unit
from gkc_engine.reports.render.tones import LIGHT, RED, tone_of
from gkc_engine.reports.wording import count, goal, shown
from gkc_engine.reports.words import head, text

WIDTH: Final = 560.0
HEIGHT: Final = 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 12.0, 34.0, 34.0
_SIZE: Final = 11
"""Of the text, in units of the picture."""


@dataclass(slots=True)
class _Canvas:
    parts: list[str]
    color: str

    def text(
        self, x: float, y: float, said: str, *, anchor: str = "start", bold: bool = False
    ) -> None:
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{self.color}"{weight}>'
            f"{escape(said)}</text>"
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, *, dash: str = "") -> None:
        dashed = f' stroke-dasharray="{dash}"' if dash else ' stroke-opacity="0.18"'
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{self.color}" stroke-width="1"{dashed}/>'
        )

    def box(self, x: float, y: float, wide: float, high: float, tone: str) -> None:
        if wide > 0 and high > 0:
            self.parts.append(
                f'<rect x="{x:.2f}" y="{y:.2f}" width="{wide:.2f}" height="{high:.2f}" '
                f'fill="{tone}"/>'
            )


def draw(chart: Chart, report: Report, *, font: str, color: str = "currentColor") -> str:
    """Return a chart as one ``<svg>`` element with a title for screen readers.

    Args:
        chart: What is drawn.
        report: Whose it is: language and zone.
        font: Family of the text.
        color: Of text and lines.
    """
    rows = chart.table.rows
    canvas = _Canvas([], color)
    height = HEIGHT
    if chart.kind is ChartKind.BARS:
        height = _bars(canvas, chart, rows, report)
    else:
        _legend(canvas, chart, report.language)
        _columns(canvas, chart, rows, report)
    label = quoteattr(f"{chart.title}. {report.title}, {report.subtitle}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height:.0f}" '
        f'role="img" aria-label={label} font-family={quoteattr(font)} font-size="{_SIZE}">'
        f"{''.join(canvas.parts)}</svg>"
    )


def _column(chart: Chart, key: str) -> Column:
    return next(c for c in chart.table.columns if c.key == key and c.minus is None)


def _legend(canvas: _Canvas, chart: Chart, language: Language) -> None:
    x = _LEFT
    for key in chart.series:
        said = head(key, language)
        canvas.box(x, 8, 10, 10, tone_of(key))
        canvas.text(x + 14, 17, said)
        x += 14 + len(said) * _SIZE * 0.56 + 14
    if chart.goal is not None:
        for tone, key in ((RED, "below_goal"), (LIGHT, "few_short")):
            said = text(key, language)
            canvas.box(x, 8, 10, 10, tone)
            canvas.text(x + 14, 17, said)
            x += 14 + len(said) * _SIZE * 0.56 + 14
        canvas.line(x, 13, x + 18, 13, dash="4 3")
        canvas.text(x + 22, 17, f"{text('goal', language)} {goal(chart.goal, language)}")


def _columns(canvas: _Canvas, chart: Chart, rows: Sequence[Row], report: Report) -> None:
    """Draw stacked columns, or columns of a share with a goal across."""
    unit = _column(chart, chart.series[0]).unit
    sums = [sum(row.get(key) or 0 for key in chart.series) for row in rows]
    top = 1.0 if unit is Unit.SHARE else float(_nice(max(sums, default=0)))
    wide = WIDTH - _LEFT - _RIGHT
    high = HEIGHT - _TOP - _BOTTOM
    floor = HEIGHT - _BOTTOM
    for part in range(5):
        y = floor - high * part / 4
        value = top * part / 4
        said = (
            f"{value:.0%}".replace("%", "\u00a0%")
            if unit is Unit.SHARE
            else count(round(value), report.language)
        )
        if unit is Unit.SHARE or value == round(value):
            canvas.line(_LEFT, y, WIDTH - _RIGHT, y)
            canvas.text(_LEFT - 6, y + 4, said, anchor="end")
    step = wide / max(len(rows), 1)
    every = max(1, ceil(len(rows) * 40 / wide))
    for n, row in enumerate(rows):
        x, y = _LEFT + n * step + step * 0.12, floor
        for key in chart.series:
            tall = high * (row.get(key) or 0) / top
            y -= tall
            canvas.box(x, y, step * 0.76, tall, _tone(chart, row, key))
        if n % every == 0:
            canvas.text(_LEFT + (n + 0.5) * step, floor + 15, row["label"], anchor="middle")
    if chart.goal is not None:
        y = floor - high * chart.goal / top
        canvas.line(_LEFT, y, WIDTH - _RIGHT, y, dash="4 3")


def _tone(chart: Chart, row: Row, key: str) -> str:
    """Return the tone of a bar: where there is a goal, whether it is met, or too few to say."""
    if chart.goal is None:
        return tone_of(key)
    if row.get("offered", FEW) < FEW:
        return LIGHT
    return RED if (row.get(key) or 0) < chart.goal else tone_of(key)


def _bars(canvas: _Canvas, chart: Chart, rows: Sequence[Row], report: Report) -> float:
    """Draw a bar for each row with its value behind it; return the height of the picture."""
    key = chart.series[0]
    column = _column(chart, key)
    names = 235.0
    rows = [row for row in rows if not row.get("total") and row.get(key) is not None]
    top = max((row.get(key) or 0 for row in rows), default=0) or 1
    if column.unit is Unit.SHARE:
        top = 1.0
    wide = WIDTH - names - 78
    y = 4.0
    for row in rows:
        value = row.get(key)
        canvas.text(names - 8, y + 13, _cut(str(row[chart.category])), anchor="end")
        long = wide * (value or 0) / top
        canvas.box(names, y + 3, long, 13, _tone(chart, row, key))
        said = shown(value, column.unit, report.language, report.zone)
        canvas.text(names + long + 6, y + 13, said, bold=True)
        y += 21
    if chart.goal is not None:
        x = names + wide * chart.goal / top
        canvas.line(x, 2, x, y, dash="4 3")
        said = f"{text('goal', report.language)} {goal(chart.goal, report.language)}"
        canvas.text(x, y + 12, said, anchor="middle")
        y += 16
    return y + 6


def _cut(name: str, longest: int = 34) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1].rstrip()}…"


def _nice(most: float) -> int:
    """Return a round number, a multiple of four, that is not less than ``most``."""
    if most <= 4:
        return 4
    power = float(10 ** int(log10(most)))
    for steps in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10, 12):
        top = round(steps * power)
        if top >= most and top % 4 == 0:
            return top
    return ceil(most / 4) * 4
