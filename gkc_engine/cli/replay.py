"""``gkc replay``: the recorded events once more through the core, compared byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gkc_engine.cli._client import ConfigOption, refusals
from gkc_engine.cli._console import print_json, progress
from gkc_engine.cli._store import found, missing

DIFFERS = 1
"""Exit code: the core says something else now than is on record."""


def replay(
    since: Annotated[str, typer.Argument(metavar="FROM", help="2h ago, 09:30, 2026-11-23T09:30.")],
    until: Annotated[str, typer.Argument(metavar="TO", help="The same; 0s is now.")],
    *,
    other_version: Annotated[
        bool, typer.Option("--other-version", help="Compare with another engine's record too.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one object for programs.")] = False,
    config: ConfigOption = None,
) -> None:
    """Run recorded events again and compare what the core says with what is on record.

    Exit codes: 0 no difference, 1 differences (the first is printed), 2 nothing is on record there,
    rows are missing, or another engine version recorded them.
    """
    _replay(since, until, config, other_version=other_version, json=json)


def _replay(
    since: str, until: str, config: Path | None, *, other_version: bool, json: bool
) -> None:
    from gkc_engine.simulation.replay import as_json, text
    from gkc_engine.simulation.replay import replay as again

    with refusals(), found(config, of_city=False) as at, missing():
        start, end = at.instant("FROM", since), at.instant("TO", until)
        progress(f"replaying {at.store.name}")
        with at.store.reading() as connection:
            report = again(connection, start, end, other_version=other_version)
    if json:
        print_json(as_json(report))
    else:
        print(text(report))
    if report.differences:
        raise typer.Exit(DIFFERS)
