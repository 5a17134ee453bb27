"""``gkc records verify``: the records against Asterisk's own lists of the same calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gkc_engine.cli._client import USAGE, ConfigOption, JsonOption, refusals
from gkc_engine.cli._console import print_json, progress
from gkc_engine.cli._store import Found, found, missing, of_city, read_city
from gkc_engine.control.protocol import ControlError

if TYPE_CHECKING:
    from gkc_engine.ids import Instant
    from gkc_engine.reconcile.model import Difference, Outcome
    from gkc_engine.reconcile.run import Asked

DIFFERS: Final = 1
"""Exit code: the two sides disagree."""

SHOWN: Final = 50

DayOption = Annotated[
    str | None,
    typer.Option(help="A local day, as 2026-11-28; without it and --from, today.", metavar="DATE"),
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", help="Calls that came from then on: 2h (ago), 09:30, 2026-11-23."),
]
ToOption = Annotated[
    str | None, typer.Option("--to", help="… and before then; without it, till now.")
]


def verify(
    *,
    day: DayOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    cel: Annotated[
        Path | None, typer.Option(help="Asterisk's legs.csv; without it, pbx.cel.")
    ] = None,
    cdr: Annotated[
        Path | None, typer.Option(help="Asterisk's calls.csv; without it, pbx.cdr.")
    ] = None,
    city: Annotated[
        bool,
        typer.Option("--city", help="Compare the city's store with each center's own instead."),
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compare the records with Asterisk's lists of legs and calls, and with the queue_log file."""
    if city or of_city():
        _whole_city(day, config, json=json, others=(from_, to, cel, cdr))
        return
    from gkc_engine.reconcile.files import SourceError
    from gkc_engine.reconcile.run import compare

    with refusals(), found(config, of_city=False) as at, missing():
        since, until = period(at, day, from_, to)
        at.settle()
        with at.store.reading() as connection:
            asked = _asked(at, connection, (since, until), cel, cdr)
            try:
                outcome = compare(connection, asked, progress)
            except SourceError as error:
                typer.echo(str(error), err=True)
                raise typer.Exit(USAGE) from None
    if json:
        print_json(_object(outcome))
    else:
        _print(outcome)
    raise typer.Exit(DIFFERS if outcome.found else 0)


def _whole_city(
    day: str | None, config: Path | None, *, json: bool, others: tuple[object, ...]
) -> None:
    from gkc_engine.cli._verify_city import verify_city

    with refusals():
        if any(one is not None for one in others):
            raise ControlError("bad_params", "--city takes --day alone")
        read_city()
        verify_city(day, config, json=json)


def period(
    at: Found, day: str | None, from_: str | None, to: str | None
) -> tuple[Instant, Instant]:
    """Return the stretch of time that ``--day``, or ``--from`` and ``--to``, name.

    Raises:
        ControlError: they name none, or both are given.
    """
    from gkc_engine.ids import Instant
    from gkc_engine.statistics.intervals import local_midnight, next_midnight

    if day is not None and (from_ is not None or to is not None):
        raise ControlError("bad_params", "say --day, or --from and --to, not both")
    if from_ is None and to is not None:
        raise ControlError("bad_params", "--to needs --from")
    zone = at.store.zone
    if from_ is None:
        since = local_midnight(at.now if day is None else at.instant("--day", day), zone)
        return since, next_midnight(since, zone)
    since = at.instant("--from", from_)
    until = Instant(at.now + 1) if to is None else at.instant("--to", to)
    if until <= since:
        raise ControlError("bad_params", "--to is not after --from")
    return since, until


def _asked(
    at: Found,
    connection: object,
    between: tuple[Instant, Instant],
    cel: Path | None,
    cdr: Path | None,
) -> Asked:
    import sqlalchemy as sa

    from gkc_engine.reconcile.ledger import paths_of
    from gkc_engine.reconcile.run import Asked

    assert isinstance(connection, sa.Connection)
    told = paths_of(connection)
    folder = _config_folder(at)

    def path(given: Path | None, name: str) -> Path | None:
        if given is not None or name not in told:
            return given
        return folder / told[name]

    of_cel = path(cel, "cel")
    if of_cel is None:
        raise ControlError(
            "bad_params",
            "no list of legs to compare with: set pbx.cel in the config (gkc pbx config has "
            "Asterisk write it), or say --cel FILE",
        )
    queue_log = at.store.beside / "queue_log"
    return Asked(
        since=between[0],
        until=between[1],
        cel=of_cel,
        cdr=path(cdr, "cdr"),
        queue_log=queue_log if queue_log.is_file() else None,
        now=at.now,
        running=at.client is not None,
    )


def _config_folder(at: Found) -> Path:
    """Return what the config's relative paths are relative to; else the present folder."""
    if at.client is None:
        return Path()
    return Path(at.client.call("engine.show")[0]["config"])


def _object(outcome: Outcome) -> dict[str, object]:
    from gkc_engine.reconcile.model import Count
    from gkc_engine.recorder.queries import iso

    return {
        "from": iso(outcome.since),
        "to": iso(outcome.until),
        "differences": outcome.found,
        "counts": {str(count): outcome.counts[count] for count in Count},
        "clock_steps": [
            {"at": iso(at), "apart_s": round(apart / 1e6, 3)} for at, apart in outcome.steps
        ],
        "notes": outcome.notes,
        "listed": [_row(one) for one in outcome.differences],
    }


def _row(one: Difference) -> dict[str, object]:
    return {
        "kind": str(one.kind),
        "contact_id": one.contact_id,
        "number": one.number,
        "uniqueid": one.uniqueid,
        "records": one.ours,
        "other": one.theirs,
        "means": one.means,
        "remedy": one.remedy,
    }


def _print(outcome: Outcome) -> None:
    from gkc_engine.recorder.queries import iso

    for one in outcome.differences[:SHOWN]:
        call = one.number or one.contact_id or one.uniqueid or "-"
        leg = f" (leg {one.uniqueid})" if one.uniqueid and one.uniqueid != call else ""
        print(f"{call}{leg}: {one.kind}")
        print(f"  records: {one.ours}; other side: {one.theirs}")
        print(f"  {one.means}; {one.remedy}")
    if outcome.found > SHOWN:
        print(f"and {outcome.found - SHOWN} more (--json lists {len(outcome.differences)})")
    print(f"from {iso(outcome.since)} to {iso(outcome.until)}:")
    print("  " + ", ".join(f"{n} {str(c).replace('_', ' ')}" for c, n in outcome.counts.items()))
    for at, apart in outcome.steps:
        print(f"  the wall clock was stepped before {iso(at)}: {apart / 1e6:+.3f} s apart since")
    for note in outcome.notes:
        print(f"  {note}")
    print("1 difference" if outcome.found == 1 else f"{outcome.found} differences")
