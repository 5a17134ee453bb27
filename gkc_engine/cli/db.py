"""``gkc db``: the database that the records lie in: its form, and moving to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gkc_engine.cli._client import ConfigOption, JsonOption, refusals
from gkc_engine.cli._console import print_json, progress, state_dir
from gkc_engine.cli._store import Store, engine_of, last_store, missing
from gkc_engine.control.protocol import ControlError

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(help="The database of the records.", no_args_is_help=True)

StateOption = Annotated[
    Path | None, typer.Option("--state", help="The engine's state folder (default: .gkc).")
]


@app.callback()
def _root() -> None:
    """The database of the records."""


@app.command()
def current(
    *, config: ConfigOption = None, state: StateOption = None, json: JsonOption = False
) -> None:
    """Show which form the store has, and which one this engine writes."""
    from gkc_engine.recorder import migrate, schema

    with refusals(), missing():
        store = _of(config, state)
        with store.reading() as connection:
            found = migrate.current(connection)
    if json:
        print_json([{"store": store.name, "revision": found, "engine": schema.REVISION}])
    else:
        print(f"{store.name}: {found or 'no tables yet'}; this engine: {schema.REVISION}")


@app.command()
def history(*, json: JsonOption = False) -> None:
    """List the forms that a store can have, the first one first."""
    from gkc_engine.recorder import migrate

    rows = [{"revision": revision, "what": what} for revision, what in migrate.history()]
    if json:
        print_json(rows)
    else:
        for row in rows:
            print(f"{row['revision']}  {row['what']}")


@app.command()
def upgrade(*, config: ConfigOption = None, state: StateOption = None) -> None:
    """Bring the store to this engine's form, or make it; the engine does so itself at its start."""
    from gkc_engine.recorder import migrate, schema
    from gkc_engine.recorder.store import LedgerStore

    with refusals():
        store = _of(config, state)
        _nobody_writes([store])
        records = LedgerStore(store.url)
        try:
            with records.transaction() as connection:
                found = migrate.current(connection)
            if found != schema.REVISION:
                progress(f"{store.name}: {found or 'nothing'} to {schema.REVISION}")
            records.open()
        finally:
            records.close()
    print(f"{store.name}: {schema.REVISION}")


@app.command()
def copy(
    source: Annotated[str, typer.Option("--from", help="File, URL, env:VARIABLE or file:PATH.")],
    target: Annotated[str, typer.Option("--to", help="The same, without records yet.")],
) -> None:
    """Copy all records into another store, of either kind: all of them or none."""
    from gkc_engine.recorder.copying import copy_rows
    from gkc_engine.recorder.store import LedgerStore

    with refusals():
        stores = [_named(source), _named(target)]
        if not stores[0].is_there:
            raise ControlError("bad_params", f"--from: there is no {source}")
        _nobody_writes(stores)
        reading, writing = (LedgerStore(store.url) for store in stores)
        try:
            reading.open()  # What the last engine left unfolded; an older form is brought up.
            with reading.transaction() as connection:
                rows = copy_rows(connection, writing, progress)
        finally:
            reading.close()
            writing.close()
    print(f"{target}: {rows} rows of {source}")


def _of(config: Path | None, state: Path | None) -> Store:
    """Return the store of a configuration; without one, the one that was written last."""
    if config is None:
        return last_store()
    from gkc_engine.config.loader import load_config
    from gkc_engine.config.store import store_name

    found = load_config(config)
    return Store(
        store_name(found.store, state or state_dir()), found.center.timezone, folder=config
    )


def _named(text: str) -> Store:
    """Return the store that an argument names; a password in it would stand in the shell's list."""
    from gkc_engine.config.store import named_store
    from gkc_engine.errors import ConfigError

    if "://" not in text:
        return Store(text)
    try:
        return Store(named_store(text))
    except ConfigError as error:
        raise ControlError("bad_params", str(error)) from None


def _nobody_writes(stores: Sequence[Store]) -> None:
    client = engine_of(None)
    if client is None:
        return
    with client:
        running = client.call("engine.show")[0].get("store")
    if any(store.name == running for store in stores):
        raise ControlError(
            "refused", f"The engine that writes {running} is running. Stop it first."
        )
