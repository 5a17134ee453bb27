"""``gkc report``: figures over a stretch of time, from the records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from gkc_engine.cli import _listed, _outbox, _reports, _tables
from gkc_engine.cli._client import ConfigOption, JsonOption, refusals
from gkc_engine.cli._console import print_json
from gkc_engine.cli._formats import (
    DOCUMENTS,
    Every,
    ForceOption,
    FormatOption,
    LanguageOption,
    Out,
    OutputOption,
    out_of,
    print_report,
)
from gkc_engine.cli._listed import DrillOption, none_of
from gkc_engine.cli._scope import RecipientOption, scope_for
from gkc_engine.cli._store import Found, engine_of, found, last_store, missing
from gkc_engine.cli.contact import instant_of
from gkc_engine.cli.queue import zone_of
from gkc_engine.clock import SystemClock
from gkc_engine.control.protocol import ControlError, Params
from gkc_engine.control.told_waits import accuracy_rows
from gkc_engine.control.when import from_iso
from gkc_engine.ids import SECOND, AgentId, Instant, Micros
from gkc_engine.reports.model import Language
from gkc_engine.reports.periods import stretch
from gkc_engine.statistics.figures import Part, Work

if TYPE_CHECKING:
    from gkc_engine.statistics.rollups import By

app = typer.Typer(help="Figures over a stretch of time.", no_args_is_help=True)

DAY = "1d"
_DAY_US: Final = 86_400 * SECOND

FromOption = Annotated[
    str,
    typer.Option(
        "--from",
        help="Contacts that entered a queue from then on: 2h (ago), 09:30, 2026-11-23.",
        metavar="TIME",
    ),
]
ToOption = Annotated[
    str | None,
    typer.Option("--to", help="… and before then; without it, till now.", metavar="TIME"),
]
QueueOption = Annotated[str | None, typer.Option(help="Only this queue; -: of none.")]
ServiceOption = Annotated[str | None, typer.Option(help="Only this service; -: of none.")]


def _by_column(name: str, column: By) -> Callable[..., None]:
    """Return the command that shows a row for each value of a column."""

    def command(
        *,
        from_: FromOption = DAY,
        to: ToOption = None,
        queue: QueueOption = None,
        service: ServiceOption = None,
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
            _report(name, column, _Asked(from_, to, queue, service, recipient, drill, out, config))

    return command


_reports.add_to(app)

_COLUMNS: Final[tuple[tuple[str, By, str], ...]] = (
    ("queues", "queue", "Show the figures of each queue."),
    ("centers", "center", "Show the figures of each center of the city (gkc --city)."),
    ("services", "service", "Show the figures of each service of the city."),
    ("numbers", "did", "Show the figures of each number that citizens dialled."),
)
for _name, _column, _help in _COLUMNS:
    app.command(_name, help=_help)(_by_column(_name, _column))


@app.command()
def interval(
    *,
    from_: FromOption = DAY,
    to: ToOption = None,
    every: Annotated[
        Every, typer.Option("--every", help="Minutes of the wall clock.")
    ] = Every.HALF_HOUR,
    queue: QueueOption = None,
    service: ServiceOption = None,
    recipient: RecipientOption = None,
    drill: DrillOption = None,
    form: FormatOption = None,
    output: OutputOption = None,
    force: ForceOption = False,
    language: LanguageOption = Language.RU,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show the figures of each interval of the day, by the time of the first queue entry."""
    with refusals():
        out = out_of(form, output, json=json, force=force, language=language)
        asked = _Asked(from_, to, queue, service, recipient, drill, out, config)
        _report("interval", "interval", asked, int(every.value))


@app.command()
def operators(
    *,
    from_: Annotated[
        str, typer.Option("--from", help="From then on: 2h (ago), 09:30.", metavar="TIME")
    ] = DAY,
    to: ToOption = None,
    recipient: RecipientOption = None,
    drill: Annotated[
        Work | None,
        typer.Option("--drill", help="List what this figure counts.", metavar="FIGURE"),
    ] = None,
    operator: Annotated[
        str | None, typer.Option(help="Of --drill: only this operator.", metavar="NAME")
    ] = None,
    form: FormatOption = None,
    output: OutputOption = None,
    force: ForceOption = False,
    language: LanguageOption = Language.RU,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show what each operator did: handling, occupancy, rings not answered, transfers."""
    from gkc_engine.statistics import operators as of
    from gkc_engine.statistics.operator_drill import done
    from gkc_engine.statistics.rollups import Period

    with refusals():
        out = out_of(form, output, json=json, force=force, language=language)
        with found(config) as at, missing():
            since, until = _period(at, from_, to)
            at.settle()
            with at.store.reading() as connection:
                scope = scope_for(connection, recipient)
                period = Period(since=since, until=until, scope=scope)
                if drill is not None:
                    whose = None if operator is None else AgentId(operator)
                    listed = done(connection, since, until, drill, whose, scope)
                    _listed.contacts(out, at, connection, period, listed)
                    return
                rows = of.rows(connection, since, until, _reports.known(at, connection), scope)
                if out.form in DOCUMENTS:
                    what = ("operators", "agent_id")
                    _listed.document(out, at, connection, period, what, rows)
                    return
        print_report(out, _tables.OPERATORS, rows, "Nobody was at work in that time.")


@app.command()
def versions(
    *,
    from_: Annotated[
        str, typer.Option("--from", help="Applied from then on: 30d, 2026-11-01.", metavar="TIME")
    ] = "30d",
    to: ToOption = None,
    days: Annotated[
        int, typer.Option(min=1, max=28, help="Days that are compared; 7: the same weekdays.")
    ] = 7,
    queue: QueueOption = None,
    service: ServiceOption = None,
    recipient: RecipientOption = None,
    form: FormatOption = None,
    output: OutputOption = None,
    force: ForceOption = False,
    language: LanguageOption = Language.RU,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show the service before and after each config that was applied."""
    from gkc_engine.reports import versions as of
    from gkc_engine.statistics.rollups import Period

    with refusals():
        out = out_of(form, output, json=json, force=force, language=language)
        with found(config) as at, missing():
            since, until = _period(at, from_, to)
            at.settle()
            with at.store.reading() as connection:
                queue, service = none_of(queue), none_of(service)
                scope = scope_for(connection, recipient, service=service, queue=queue)
                period = Period(since=since, until=until, queue=queue, service=service, scope=scope)
                asked = stretch(since, until, at.now)
                _reports.check_names(connection, asked, queue=queue, service=service)
                known = _reports.known(at, connection)
                rows = of.rows(connection, period, Micros(days * _DAY_US), known)
                if out.form in DOCUMENTS:
                    _listed.document(out, at, connection, period, ("versions", "version"), rows)
                    return
        columns = _tables.versions(at.store.zone)
        print_report(out, columns, rows, "No config was applied in that time.")


def _period(at: Found, from_: str, to: str | None) -> tuple[Instant, Instant]:
    since = at.instant("--from", from_)
    until = at.now if to is None else at.instant("--to", to)
    _refuse_empty(since, until)
    return since, until


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the report commands share."""

    from_: str
    to: str | None
    queue: str | None
    service: str | None
    recipient: str | None
    drill: Part | None
    out: Out
    config: Path | None


def _report(name: str, by: By | Literal["interval"], asked: _Asked, minutes: int = 30) -> None:
    from gkc_engine.statistics import drill, report, rollups
    from gkc_engine.statistics.intervals import interval_bounds

    out = asked.out
    with found(asked.config) as at, missing():
        since, until = _period(at, asked.from_, asked.to)
        zone = at.store.zone
        at.settle()
        with at.store.reading() as connection:
            queue, service = none_of(asked.queue), none_of(asked.service)
            scope = scope_for(connection, asked.recipient, service=service, queue=queue)
            period = rollups.Period(
                since=since, until=until, queue=queue, service=service, scope=scope
            )
            of = stretch(since, until, at.now)
            _reports.check_names(connection, of, queue=queue, service=service)
            if asked.drill is not None:
                rows = drill.counted(connection, period, asked.drill)
                _listed.contacts(out, at, connection, period, rows)
                return
            if by == "interval":
                bounds = interval_bounds(since, until, minutes, zone)
                lines = rollups.read(connection, period, bounds=bounds)
                rows = report.interval_rows(bounds, zone, lines)
            else:
                lines = rollups.read(connection, period, by=(by,))
                rows = report.rows_by(by, lines)
            if out.form in DOCUMENTS:
                _listed.document(out, at, connection, period, (name, by), rows)
                return
    print_report(out, _tables.report(by, rows), rows, "No contact entered a queue in that time.")


@app.callback()
def _root() -> None:
    """Figures over a stretch of time."""


@app.command()
def ewt(
    *,
    from_: Annotated[
        str,
        typer.Option(
            "--from",
            help="Contacts queued from then on: 2h (ago), 09:30, 2026-11-23.",
            metavar="TIME",
        ),
    ] = DAY,
    to: Annotated[
        str | None, typer.Option("--to", help="… and before then; without it, till now.")
    ] = None,
    queue: Annotated[str | None, typer.Option(help="Only this queue.")] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show how good the expected waits were that citizens were told."""
    with refusals():
        rows = _rows(from_, to, queue, config)
    if json:
        print_json(rows)
    else:
        shown = [{**row, "queue": row["queue"] or "all"} for row in rows]
        _tables.print_rows(
            _tables.TOLD_WAITS, shown, "Nobody who was told a wait was answered in that time."
        )


def _rows(from_: str, to: str | None, queue: str | None, config: Path | None) -> list[Any]:
    client = engine_of(config)
    if client is None:
        store = last_store()
        now = SystemClock().now()
        since, until = instant_of("--from", from_, now, store.zone), None
        if to is not None:
            until = instant_of("--to", to, now, store.zone)
        _refuse_empty(since, until)
        return accuracy_rows(store.told_waits(since, until, queue))
    with client:
        zone, now = zone_of(client), from_iso(client.call("engine.show")[0]["now"])
        params: Params = {"since_us": instant_of("--from", from_, now, zone)}
        if to is not None:
            params["until_us"] = instant_of("--to", to, now, zone)
            _refuse_empty(params["since_us"], params["until_us"])
        if queue is not None:
            params["queue"] = queue
        rows: list[Any] = client.call("report.ewt", params)
        return rows


def _refuse_empty(since: int, until: int | None) -> None:
    if until is not None and until <= since:
        raise ControlError("bad_params", "--to is not after --from")


app.command("outbox")(_outbox.outbox)
app.command("send")(_outbox.send)
app.command("retry")(_outbox.retry)
