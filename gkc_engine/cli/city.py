"""``gkc city``: the records of all centers, brought into the city's store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gkc_engine.cli._client import ConfigOption, JsonOption, refusals
from gkc_engine.cli._console import print_json, state_dir
from gkc_engine.cli._store import Store, city_note, city_store, missing
from gkc_engine.control.protocol import ControlError

app = typer.Typer(help="The records of all centers, in the city's store.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """The records of all centers, in the city's store."""


@app.command()
def collect(
    *,
    config: Annotated[Path, typer.Option(help="Folder of *.yaml, with collector:.")] = Path(
        "config"
    ),
    state: Annotated[
        Path | None, typer.Option(help="Where store and notes lie (default: .gkc).")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Bring the records of all centers into the city's store, until Ctrl-C or SIGTERM.

    It may be killed at any time, and goes on where it was. Exit codes: 0 it was asked to end, 1 it
    could not start, 2 the configuration (or a secret that it refers to) is wrong.
    """
    from gkc_engine import log
    from gkc_engine.config.federation import collector_settings
    from gkc_engine.config.loader import load_config
    from gkc_engine.shipping import collector

    log.configure(log_level)
    folder = state if state is not None else state_dir()
    collector.collect(collector_settings(load_config(config), config, folder), config, folder)


@app.command()
def show(*, json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show what the city has of each center, and why nothing comes where nothing does.

    And whether the tables that reports are made of follow: if not, since when, and why.
    """
    with refusals(), missing():
        store = city_store(config)
        rows, still = _rows(store), _standstill(store)
    if json:
        since, why = (None, None) if still is None else still
        print_json([row | {"tables_still_since": since, "tables_problem": why} for row in rows])
        return
    if still is not None:
        print("the tables of the whole city stand still since {}: {}".format(*still))
    for row in rows:
        told = f"{row['rows']} rows, last of {row['last'] or '-'}"
        behind = f", {row['behind']} behind" if row["behind"] else ""
        refused = f", {row['refused']} messages refused" if row["refused"] else ""
        print(f"{row['center']}: {told}{behind}{refused}")
        if row["problem"]:
            print(f"  {row['problem']}")


@app.command()
def accept(
    center: Annotated[str, typer.Argument(metavar="CENTER", help="Whose ledger is a new one.")],
    *,
    config: ConfigOption = None,
) -> None:
    """Take the ledger that a center has now: it was installed anew, or put back from a copy.

    What the city has of it stays; rows that are there already are not taken twice.
    """
    from gkc_engine.shipping.collector import ACCEPT

    with refusals(), missing():
        known = [row["center"] for row in _rows(city_store(config))]
        if center not in known:
            found = f"CENTER: found {center[:40]!r}, expected one of {', '.join(known)}"
            raise ControlError("bad_params", found)
        state = Path(city_note(config)["state"])
        (state / f"{ACCEPT}{center}").touch()
    print(f"{center}: taken from its beginning, as soon as the collector runs (gkc city show)")


def _standstill(store: Store) -> tuple[str, str] | None:
    """Return since when the city's tables do not follow its rows, and why; ``None``: they do."""
    from gkc_engine.recorder.queries import iso
    from gkc_engine.shipping.standstill import noted

    assert store.state is not None, "the collector's note says where it is"
    found = noted(store.state)
    return None if found is None else (iso(found.since_us), found.why)


def _rows(store: Store) -> list[dict[str, Any]]:
    from gkc_engine.recorder.queries import iso
    from gkc_engine.shipping.city_store import feeds

    with store.reading() as connection:
        return [
            {
                "center": feed.center,
                "number": feed.number,
                "rows": feed.position.seq,
                "last": iso(feed.ts_us) if feed.ts_us else None,
                "taken": iso(feed.taken_us) if feed.taken_us else None,
                "behind": max(0, feed.told_seq - feed.position.seq),
                "refused": feed.refused,
                "ledger": feed.position.ledger,
                "problem": feed.problem,
            }
            for feed in feeds(connection)
        ]
