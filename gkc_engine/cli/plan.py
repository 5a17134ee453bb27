"""``gkc plan``: what another configuration would have done with the contacts of a recorded time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gkc_engine.cli._client import ConfigOption, refusals
from gkc_engine.cli._console import print_json, progress
from gkc_engine.cli._store import found, missing

BROKEN = 3
"""Exit code: a guard-rail would break."""


def plan(
    newdir: Annotated[Path, typer.Argument(metavar="NEWDIR", help="The new folder of *.yaml.")],
    *,
    since: Annotated[
        str, typer.Option("--from", help="2h ago, 09:30, 2026-11-23T09:30.", metavar="TIME")
    ],
    until: Annotated[str, typer.Option("--to", help="The same; 0s is now.", metavar="TIME")] = "0s",
    seed: Annotated[int, typer.Option(help="Of what is drawn; the same seed, the same bytes.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one object for programs.")] = False,
    config: ConfigOption = None,
) -> None:
    """Try a configuration on recorded contacts before it is applied.

    Exit codes: 0 done, 2 NEWDIR is wrong, or what the ledger lacks is named, 3 a guard-rail would
    break.
    """
    _plan(newdir, (since, until), config, seed=seed, json=json)


def _plan(
    newdir: Path, times: tuple[str, str], config: Path | None, *, seed: int, json: bool
) -> None:
    from gkc_engine.config.loader import load_config
    from gkc_engine.simulation.dryrun import change_of, dry_run
    from gkc_engine.simulation.dryrun_text import as_json, text, warnings

    change = change_of(load_config(newdir))
    with refusals(), found(config, of_city=False) as at, missing():
        since, until = at.instant("--from", times[0]), at.instant("--to", times[1])
        progress(f"replaying {at.store.name}")
        with at.store.reading() as connection:
            run = dry_run(connection, change, since, until, seed=seed)
    for warning in warnings(run):
        typer.echo(warning, err=True)
    if json:
        print_json(as_json(run))
    else:
        print(text(run))
    if run.broken:
        raise typer.Exit(BROKEN)
