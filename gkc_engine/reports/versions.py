"""What became of service with each config: figures before and after it was applied (R5.2-6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa

from gkc_engine.ids import SECOND, Instant, Micros
from gkc_engine.recorder import schema
from gkc_engine.recorder.queries import iso
from gkc_engine.reports.compare import BY_KEY, verdict
from gkc_engine.reports.model import Column, Language, Unit
from gkc_engine.reports.tables import unit_of
from gkc_engine.reports.words import head, text
from gkc_engine.statistics import rollups
from gkc_engine.statistics.rollups import Line, Period

FIGURES: Final = ("service_level", "asa_s", "abandon_rate")
"""What stands there of both times, with what the difference means (docs/statistics.md)."""


def rows(
    connection: sa.Connection, period: Period, window: Micros, now: Instant
) -> list[dict[str, Any]]:
    """Return a row for each config that was applied within a period, the first one first.

    After: from then on, until the next config, the end of the window, or now. Before: the same
    stretch one window earlier, so that with whole weeks the same weekdays and hours are compared.

    Args:
        connection: To the records.
        period: In which configs were applied; its queue, service and scope narrow the figures.
        window: Whole days, in microseconds.
        now: Until when the records tell anything.
    """
    c = schema.config_version.c
    query = (
        sa.select(c.hash, c.applied, c.author, c.diff)
        .where(c.applied >= period.since)
        .order_by(c.applied, c.hash)
    )
    applied = list(connection.execute(query))
    ends = [one.applied for one in applied[1:]] + [now]
    made = []
    for one, following in zip(applied, ends, strict=True):
        if one.applied >= period.until:
            break
        until = min(following, one.applied + window, now)
        after, before = (
            _of_all(connection, replace(period, since=Instant(a), until=Instant(b)))
            for a, b in ((one.applied, until), (one.applied - window, until - window))
        )
        changes = (one.diff or "").splitlines()
        made.append(
            {
                "version": one.hash,
                "applied": iso(one.applied),
                "author": one.author,
                "changes": len(changes),
                "change": "; ".join(changes),
                "after_s": (until - one.applied) / SECOND,
                **dict(_figures(after, before)),
            }
        )
    return made


def _of_all(connection: sa.Connection, period: Period) -> Line:
    if period.until <= period.since:
        return Line()
    return rollups.total(rollups.read(connection, period, waits=False).values())


def _figures(after: Line, before: Line) -> Iterator[tuple[str, Any]]:
    for key in ("offered", *FIGURES):
        figure = BY_KEY[key]
        old, new = (_rounded(figure.of(line)) for line in (before, after))
        yield f"before_{key}", old
        yield key, new
        if key in FIGURES:
            yield f"{key}_change", None if None in (old, new) else _rounded(new - old)
            yield f"{key}_verdict", verdict(figure, after, before)


def _rounded(value: Any) -> Any:  # noqa: ANN401
    return round(value, 4) if isinstance(value, float) else value


def columns(language: Language) -> Iterator[Column]:
    """Give the columns of these rows, for people."""

    def plain(key: str, unit: Unit = Unit.TEXT, **more: Any) -> Column:  # noqa: ANN401
        return Column(key=key, head=head(key, language), unit=unit, **more)

    yield plain("applied", Unit.MOMENT)
    yield plain("author")
    yield plain("change", wide=True)
    yield plain("version", brief=False)
    yield plain("changes", Unit.COUNT, brief=False)
    yield plain("after_s", Unit.SECONDS, brief=False)
    yield plain("before_offered", Unit.COUNT, brief=False)
    yield plain("offered", Unit.COUNT)
    for key in FIGURES:
        unit = unit_of(key)
        yield plain(f"before_{key}", unit)
        yield plain(key, unit)
        yield Column(key=key, head=text("change", language), unit=unit, minus=f"before_{key}")
