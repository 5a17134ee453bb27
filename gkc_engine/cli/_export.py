"""``gkc records export``: a day of the records as files for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gkc_engine.cli._client import REFUSED, ConfigOption, JsonOption, refusals
from gkc_engine.cli._console import print_json, progress
from gkc_engine.cli._store import Found, found, missing
from gkc_engine.cli._verify import period

if TYPE_CHECKING:
    from gkc_engine.recorder.export import Day


class Form(StrEnum):
    """Values of ``--format``."""

    PARQUET = "parquet"
    CSV = "csv"


def export(
    *,
    day: Annotated[
        str, typer.Option(help="The local day, as 2026-11-28.", metavar="DATE", show_default=False)
    ],
    form: Annotated[Form, typer.Option("--format", help="Form of the files.")] = Form.PARQUET,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write into; without it, export beside the records."),
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Write a day's contacts, segments, offers, operators' intervals and roll-ups as files."""
    from gkc_engine.recorder.export import ExportError, Format
    from gkc_engine.recorder.export import export as write

    with refusals(), found(config) as at, missing():
        since, until = period(at, day, None, None)
        at.settle()
        with at.store.reading() as connection:
            one = _day(at, connection, (since, until))
            into = out or at.store.beside / "export"
            try:
                done = write(connection, one, Format(form), into, progress)
            except ExportError as error:
                typer.echo(str(error), err=True)
                raise typer.Exit(REFUSED) from None
    if json:
        print_json(
            [{"folder": str(done.folder), "table": t, "rows": n} for t, n in done.rows.items()]
        )
        return
    print(f"{done.folder}:")
    for table, rows in done.rows.items():
        print(f"  {table}: {rows} rows")
    if not one.over:
        progress(f"the day {one.name} is not over: export it again when it is")


def _day(at: Found, connection: object, between: tuple[int, int]) -> Day:
    import sqlalchemy as sa

    from gkc_engine.ids import Instant
    from gkc_engine.recorder.export import Day, center_of
    from gkc_engine.statistics.intervals import at as moment

    assert isinstance(connection, sa.Connection)
    since, until = between
    zone = at.store.zone
    return Day(
        center=center_of(connection),
        name=f"{moment(since).astimezone(zone):%Y-%m-%d}",
        timezone=zone.key,
        since=Instant(since),
        until=Instant(until),
        over=until <= at.now,
    )
