"""``gkc report day|week|month|outcomes|bodies``: the reports that people are sent."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gkc_engine.cli._client import ConfigOption, JsonOption, refusals
from gkc_engine.cli._console import progress
from gkc_engine.cli._formats import (
    ForceOption,
    Format,
    FormatOption,
    LanguageOption,
    Out,
    OutputOption,
    give,
    out_of,
)
from gkc_engine.cli._listed import none_of
from gkc_engine.cli._scope import RecipientOption, scope_for
from gkc_engine.cli._store import Found, found, missing
from gkc_engine.config.problems import closest
from gkc_engine.control.protocol import ControlError
from gkc_engine.ids import Instant
from gkc_engine.reports.model import Language, Report
from gkc_engine.reports.periods import Length, Stretch, last_whole, period_of, stretch
from gkc_engine.statistics.figures import Part

if TYPE_CHECKING:
    import sqlalchemy as sa

    from gkc_engine.statistics.rollups import Period

DAY = "1d"
"""Since when a report of any stretch of time is, unless it is told."""

PROGRESS_S = 2.0
"""Seconds until the first line of progress, and between two."""

FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="The day, week or month in which this lies; else from then on: 2h, 2026-11-23.",
        metavar="TIME",
    ),
]
ToOption = Annotated[
    str | None, typer.Option("--to", help="Until then; without it, all of it.", metavar="TIME")
]
QueueOption = Annotated[str | None, typer.Option(help="Only this queue; -: of none.")]
ServiceOption = Annotated[str | None, typer.Option(help="Only this service; -: of none.")]
BodyOption = Annotated[
    str | None,
    typer.Option(help="Only the services of this executive body.", metavar="TITLE"),
]
DrillOption = Annotated[
    str | None,
    typer.Option(
        "--drill",
        help="List the contacts that this figure counts; of outcomes: a disposition.",
        metavar="FIGURE",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What these commands share."""

    kind: str
    length: Length | None
    from_: str | None
    to: str | None
    queue: str | None
    service: str | None
    body: str | None
    recipient: str | None
    drill: str | None
    out: Out
    config: Path | None


_HELP = {
    "day": "Yesterday's report, or that of --from: summary, comparison, charts, a note.",
    "week": "The report of the last week (Monday to Sunday), or of that of --from.",
    "month": "The report of the last month, or of that of --from.",
    "outcomes": "How contacts ended, those too that never entered a queue.",
    "bodies": "The figures of each executive body of the city and of its services.",
}


_LENGTHS = {
    "day": Length.DAY,
    "week": Length.WEEK,
    "month": Length.MONTH,
    "outcomes": None,
    "bodies": None,
}


def add_to(app: typer.Typer) -> None:
    """Add the commands to ``gkc report``."""
    for kind, length in _LENGTHS.items():
        app.command(kind, help=_HELP[kind])(_command(kind, length))


def _command(kind: str, length: Length | None) -> Callable[..., None]:
    def command(
        *,
        from_: FromOption = None,
        to: ToOption = None,
        queue: QueueOption = None,
        service: ServiceOption = None,
        body: BodyOption = None,
        recipient: RecipientOption = None,
        drill: DrillOption = None,
        form: FormatOption = None,
        output: OutputOption = None,
        force: ForceOption = False,
        language: LanguageOption = Language.RU,
        json: JsonOption = False,
        config: ConfigOption = None,
    ) -> None:
        with refusals():
            out = out_of(form, output, json=json, force=force, language=language)
            asked = Asked(
                kind=kind,
                length=length,
                from_=from_,
                to=to,
                queue=none_of(queue),
                service=none_of(service),
                body=body,
                recipient=recipient,
                drill=None if drill is None else figure(kind, drill),
                out=out,
                config=config,
            )
            _make(asked)

    return command


def _make(asked: Asked) -> None:
    from gkc_engine.reports import source
    from gkc_engine.reports.kinds import build
    from gkc_engine.reports.order import Order

    with found(asked.config) as at, missing():
        of = _stretch(at, asked)
        at.settle()
        with at.store.reading() as connection:
            scope = scope_for(connection, asked.recipient, service=asked.service, queue=asked.queue)
            check_names(connection, of, queue=asked.queue, service=asked.service)
            if asked.body is not None:
                scope = scope.of_services(_services_of(connection, of, asked.body))
            question = source.Asked(
                zone=at.store.zone,
                known=known(at, connection),
                queue=asked.queue,
                service=asked.service,
                scope=scope,
                body=asked.body,
            )
            if asked.drill is not None:
                _list(at, connection, asked, question.period(of))
                return
            order = Order(
                kind=asked.kind,
                asked=question,
                of=of,
                length=asked.length,
                language=asked.out.language,
            )
            report = build(connection, order, _Progress().tell)
    show(asked.out, report)


def _list(at: Found, connection: sa.Connection, asked: Asked, period: Period) -> None:
    """Give the contacts that a figure counts."""
    from gkc_engine.cli import _listed
    from gkc_engine.statistics import drill

    assert asked.drill is not None
    if asked.kind == "outcomes":
        of, _, disposition = asked.drill.rpartition(":")
        direction = {"": "in", "outgoing": "out", "guests": "guest"}[of]
        rows = drill.ended_as(connection, period, disposition, direction)
    else:
        rows = drill.counted(connection, period, Part(asked.drill))
    _listed.contacts(asked.out, at, connection, period, rows)


def figure(kind: str, name: str) -> str:
    """Return a figure of that kind of report.

    Raises:
        ControlError: It has none of that name; what there is, and what was probably meant.
    """
    from gkc_engine.reports.words import DISPOSITIONS, GUESTS, OUTGOING
    from gkc_engine.statistics.drill import ALL

    known: list[str] = list(Part)
    if kind == "outcomes":
        known = [*map(str, DISPOSITIONS), ALL]
        known += [f"outgoing:{one}" for one in (*OUTGOING, ALL)]
        known += [f"guests:{one}" for one in (*GUESTS, ALL)]
    if name not in known:
        raise ControlError("bad_params", _unknown("drill", name, known))
    return name


def _services_of(connection: sa.Connection, of: Stretch, body: str) -> frozenset[str]:
    """Return the services of an executive body, by the config that was in force."""
    from gkc_engine.reports import source

    bodies = source.facts(connection, of).bodies
    services = frozenset(service for service, one in bodies.items() if one == body)
    if not services:
        raise ControlError("bad_params", _unknown("body", body, frozenset(bodies.values())))
    return services


def show(out: Out, report: Report) -> None:
    """Give a report; a table on a terminal is drawn to its width."""
    if out.form is Format.TABLE and out.output is None and sys.stdout.isatty():
        from gkc_engine.cli._report_text import text_of
        from gkc_engine.cli._tables import terminal

        print(text_of(report, width=terminal().width), end="")
        return
    if out.form is Format.PDF:
        progress("laying out the pages")
    give(out, report)


def known(at: Found, connection: sa.Connection) -> Instant:
    """Return until when the records tell what goes on."""
    from gkc_engine.statistics.operators import last_word

    return at.now if at.client is not None else last_word(connection)


# --- which time -----------------------------------------------------------------------------------


def _stretch(at: Found, asked: Asked) -> Stretch:
    if asked.length is not None:
        return _period(at, asked.length, asked.from_, asked.to)
    since = at.instant("--from", asked.from_ or DAY)
    until = at.now if asked.to is None else at.instant("--to", asked.to)
    if until <= since:
        raise ControlError("bad_params", "--to is not after --from")
    return stretch(since, until, at.now)


def _period(at: Found, length: Length, from_: str | None, to: str | None) -> Stretch:
    zone = at.store.zone
    if from_ is None and to is None:
        return last_whole(length, at.now, zone)
    end = None if to is None else at.instant("--to", to)
    if from_ is None:
        assert end is not None
        of = period_of(length, Instant(end - 1), at.now, zone)
    else:
        since = at.instant("--from", from_)
        if end is not None and end <= since:
            raise ControlError("bad_params", "--to is not after --from")
        of = period_of(length, since, at.now, zone)
    if of.since >= at.now:
        raise ControlError("bad_params", f"--from: found {from_!r}: that {length} is to come yet")
    if end is None or end == of.until:
        return of
    if end > of.until:
        from gkc_engine.statistics.intervals import clock_time

        raise ControlError(
            "bad_params",
            f"--to: found {to!r}, expected at most {clock_time(of.until, zone)[:10]}, the end of "
            f"that {length}; for any stretch of time there are outcomes, bodies, queues, interval",
        )
    return replace(of, seen=min(of.seen, end))  # That period as it stood then.


# --- which names ----------------------------------------------------------------------------------


def check_names(
    connection: sa.Connection, of: Stretch, *, queue: str | None, service: str | None
) -> None:
    """Refuse a queue or service that neither the config on record nor any contact knows.

    Raises:
        ControlError: with what there is, and what was probably meant.
    """
    if queue is None and service is None:
        return
    from gkc_engine.reports import source

    facts = source.facts(connection, of)
    for column, value, names in (
        ("queue", queue, facts.queues),
        ("service", service, facts.services),
    ):
        if not value or value in names or source.occurs(connection, column, value):
            continue
        raise ControlError("bad_params", _unknown(column, value, names))


def _unknown(option: str, value: str, names: Iterable[str]) -> str:
    there = sorted(names)
    said = f"--{option}: found {value[:40]!r}, "
    if not there:
        return f"{said}expected one that is on record"
    near = closest(value, there)
    mean = f"; did you mean {near}?" if near else ""
    return f"{said}expected one of {', '.join(there)}{mean}"


class _Progress:
    """Lines on stderr while contacts are read, none in the first seconds."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PROGRESS_S

    def tell(self, contacts: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + PROGRESS_S
            progress(f"{contacts} contacts read")
