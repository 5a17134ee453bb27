"""Rows and lists of contacts, in whatever form they are asked for; ``--drill``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gkc_engine.cli import _tables
from gkc_engine.cli._formats import DOCUMENTS, Out, give, print_report
from gkc_engine.cli._store import Found
from gkc_engine.reports.periods import stretch
from gkc_engine.statistics.figures import Part

if TYPE_CHECKING:
    import sqlalchemy as sa

    from gkc_engine.statistics.rollups import Period

DrillOption = Annotated[
    Part | None,
    typer.Option("--drill", help="List the contacts that this figure counts.", metavar="FIGURE"),
]


def none_of(name: str | None) -> str | None:
    """Return what ``rollups.Period`` takes: ``-``, as tables show it, is an empty name."""
    return "" if name == "-" else name


def contacts(
    out: Out, at: Found, connection: sa.Connection, period: Period, rows: Sequence[dict[str, Any]]
) -> None:
    """Give a list of contacts."""
    if out.form in DOCUMENTS:
        document(out, at, connection, period, ("contacts", "contact"), rows)
    else:
        print_report(out, _tables.contacts(at.store.zone), list(rows), "There is no such contact.")


def document(
    out: Out,
    at: Found,
    connection: sa.Connection,
    period: Period,
    what: tuple[str, str],
    rows: Sequence[dict[str, Any]],
) -> None:
    """Give rows as a report that is laid out; ``what``: its kind, and whose its rows are."""
    from gkc_engine.cli._reports import known
    from gkc_engine.reports import source
    from gkc_engine.reports.listed import of_rows
    from gkc_engine.reports.order import Order

    of = stretch(period.since, period.until, at.now)
    asked = source.Asked(
        zone=at.store.zone,
        known=known(at, connection),
        queue=period.queue,
        service=period.service,
        scope=period.scope,
    )
    order = Order(kind=what[0], asked=asked, of=of, length=None, language=out.language)
    give(out, of_rows(order, source.facts(connection, of), list(rows), what[1]))
