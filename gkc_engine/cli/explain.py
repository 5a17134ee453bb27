"""``gkc explain``: why one contact waited as it did and who was chosen, recomputed by replay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gkc_engine.cli._client import ConfigOption, refusals
from gkc_engine.cli._console import print_json, progress
from gkc_engine.cli._store import found, missing

UNCERTAIN = 1
"""Exit code: the core decides otherwise now than is on record; the explanation proves nothing."""


def explain(
    contact: Annotated[
        str, typer.Argument(help="Contact id, registration number, or its beginning.")
    ],
    *,
    citizen: Annotated[
        bool, typer.Option("--citizen", help="The answer to a complaint, in Russian.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one object for programs.")] = False,
    config: ConfigOption = None,
) -> None:
    """Tell for each moment that mattered to a contact what was decided, by which rule, and why.

    Exit codes: 0 told, 1 no such contact, or the record differs from what the core decides now, 2
    rows are missing in the ledger.
    """
    _explain(contact, config, citizen=citizen, json=json)


def _explain(contact: str, config: Path | None, *, citizen: bool, json: bool) -> None:
    from gkc_engine.ids import ContactId
    from gkc_engine.simulation.explain import explain as told_of
    from gkc_engine.simulation.explain import numbers_of
    from gkc_engine.simulation.explain_citizen import Answer
    from gkc_engine.simulation.explain_json import as_json
    from gkc_engine.simulation.explain_text import Teller

    with refusals(), found(config, of_city=False) as at, missing():
        contact_id = ContactId(at.contact_id(contact))
        progress(f"replaying {at.store.name}")
        with at.store.reading() as connection:
            told = told_of(connection, contact_id)
            numbers = numbers_of(connection, told)
        zone = at.store.zone
    if json:
        print_json(as_json(told, numbers))
    else:
        print(Answer(told, zone).text() if citizen else Teller(told, zone, numbers).text())
    if told.differences:
        raise typer.Exit(UNCERTAIN)
