"""``gkc records``: the tables made from the ledger, whether they are right, how long they stay."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from gkc_engine.cli import _destroying
from gkc_engine.cli._client import ConfigOption, JsonOption, refusals
from gkc_engine.cli._console import print_json, progress
from gkc_engine.cli._export import export
from gkc_engine.cli._store import Store, found, missing
from gkc_engine.cli._verify import verify
from gkc_engine.control.protocol import ControlError

if TYPE_CHECKING:
    from gkc_engine.recorder.compare import Difference

app = typer.Typer(
    help="Whether the records are right, and how long they are kept.",
    no_args_is_help=True,
)
app.command("erase")(_destroying.erase)
app.command("retention")(_destroying.retention)
app.add_typer(_destroying.hold_app, name="hold")

DIFFERS = 1
"""Exit code: the tables are not what the ledger says."""

SHOWN = 20


@app.callback()
def _root() -> None:
    """Whether the records are right, and how long they are kept."""


@app.command()
def rebuild(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing: list what a rebuild would change.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make contacts, segments, offers, intervals and roll-ups anew from the ledger."""
    with refusals(), found(config) as at, missing():
        if check:
            differ = _compare(at.store, json=json)
            raise typer.Exit(DIFFERS if differ else 0)
        if at.client is not None:
            raise ControlError(
                "refused",
                "The engine that writes these records is running. Stop it first, or compare "
                "only: gkc records rebuild --check",
            )
        with at.store.kept() as ours:
            if not ours:
                raise ControlError(
                    "refused",
                    "The collector that writes these records is running. Stop it first, or "
                    "compare only: gkc --city records rebuild --check",
                )
            rows = _rebuild(at.store)
    if json:
        print_json([{"rows": rows}])
    else:
        print(f"{at.store.name}: made anew from {rows} rows of the ledger")


app.command()(verify)
app.command()(export)


def _rebuild(records: Store) -> int:
    from gkc_engine.recorder.rebuild import rebuild as make_anew
    from gkc_engine.recorder.store import LedgerStore

    store = LedgerStore(records.url)
    try:
        store.open()
        progress(f"folding the ledger of {records.name}")
        return make_anew(store)
    finally:
        store.close()


def _compare(records: Store, *, json: bool) -> bool:
    from gkc_engine.recorder.compare import differences

    every = differences(records.url, records.scratch, progress)
    shown = list(islice(every, SHOWN))
    more = sum(1 for _ in every)
    if json:
        print_json([_row(one) for one in shown])
    else:
        for one in shown:
            print(_said(one))
    total = len(shown) + more
    progress(f"{total} differences" if total else "the tables are what the ledger says")
    if more and not json:
        print(f"and {more} more")
    return bool(total)


def _row(one: Difference) -> dict[str, object]:
    return {
        "table": one.table,
        "key": list(one.key),
        "column": one.column,
        "stands": one.stands,
        "told": one.told,
    }


def _said(one: Difference) -> str:
    key = ", ".join(map(str, one.key))
    if one.column is not None:
        return f"{one.table} {key}: {one.column} is {one.stands!r}, by the ledger {one.told!r}"
    what = "is missing" if one.stands is None else "is not in the ledger"
    return f"{one.table} {key}: {what}"
