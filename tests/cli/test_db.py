"""``gkc db``: the form of a store, and moving it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gkc_engine.cli import contact, db
from gkc_engine.recorder import schema
from tests.cli.conftest import Running
from tests.postgres import Server
from tests.recorder.places import PostgresPlace, SqlitePlace
from tests.recorder.test_compare import compared, made
from tests.recorder.test_older_store import BACK


def test_the_form_is_shown_and_brought_up(run: Path, gkc: CliRunner) -> None:
    path = made(run.parent / "gkc.sqlite")
    SqlitePlace(path.parent, path.name).script(BACK)
    before = gkc.invoke(db.app, ["current"])
    assert before.stdout == f"{path}: 0001; this engine: {schema.REVISION}\n"
    upgraded = gkc.invoke(db.app, ["upgrade"])
    assert (upgraded.exit_code, upgraded.stdout) == (0, f"{path}: {schema.REVISION}\n")
    assert upgraded.stderr == f"gkc: {path}: 0001 to {schema.REVISION}\n"
    told = json.loads(gkc.invoke(db.app, ["current", "--json"]).stdout)
    assert told == [{"store": str(path), "revision": schema.REVISION, "engine": schema.REVISION}]
    assert compared(path) == []


def test_every_form_has_a_line(gkc: CliRunner) -> None:
    lines = gkc.invoke(db.app, ["history"]).stdout.splitlines()
    assert lines[0].startswith("0001  The ledger")
    assert lines[-1].startswith(schema.REVISION)


@pytest.mark.usefixtures("run")
def test_a_store_is_copied_and_never_over_another(gkc: CliRunner, tmp_path: Path) -> None:
    path, other = made(tmp_path / "a.sqlite"), tmp_path / "b.sqlite"
    words = ["copy", "--from", str(path), "--to", str(other)]
    done = gkc.invoke(db.app, words)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"{other}: ")
    assert "event: " in done.stderr
    assert compared(other) == []
    assert gkc.invoke(db.app, words).exit_code == 1
    missing = gkc.invoke(db.app, ["copy", "--from", "nowhere", "--to", str(tmp_path / "c")])
    assert (missing.exit_code, missing.stderr) == (2, "--from: there is no nowhere\n")
    clear = "postgresql+psycopg://gkc:hunter2@h/gkc"
    refused = gkc.invoke(db.app, ["copy", "--from", str(path), "--to", clear])
    assert refused.exit_code == 2
    assert "hunter2" not in refused.stderr
    assert "use env:VARIABLE" in refused.stderr


def test_a_running_engines_store_is_left_alone(
    engine: Running, gkc: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(engine.config.parent / "gkc.sqlite")
    health = engine.backend.health
    monkeypatch.setattr(engine.backend, "health", lambda: {**health(), "store": str(path)})
    refused = gkc.invoke(db.app, ["copy", "--from", str(path), "--to", f"{path}2"])
    assert (refused.exit_code, "is running. Stop it first" in refused.stderr) == (1, True)
    assert not Path(f"{path}2").exists()


@pytest.mark.accept
def test_a_store_in_a_server_is_found_copied_and_compared(
    run: Path,
    gkc: CliRunner,
    postgres: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gkc_engine.cli import records
    from gkc_engine.config.store import leave_note

    path = made(tmp_path / "a.sqlite")
    with PostgresPlace(postgres) as place:
        monkeypatch.setenv("GKC_TEST_URL", place.url)
        done = gkc.invoke(db.app, ["copy", "--from", str(path), "--to", "env:GKC_TEST_URL"])
        assert done.exit_code == 0, done.stderr
        leave_note("env:GKC_TEST_URL", run.parent, tmp_path, "Europe/Moscow")
        assert gkc.invoke(db.app, ["current"]).stdout.startswith("env:GKC_TEST_URL: 00")
        listed = json.loads(gkc.invoke(contact.app, ["list", "--json"]).stdout)
        assert [row["contact_id"] for row in listed] == ["c3", "c2", "c1"]
        right = gkc.invoke(records.app, ["rebuild", "--check"])
        assert (right.exit_code, right.stdout) == (0, ""), right.stderr
        place.sql("UPDATE contact SET talk_us = 61000000 WHERE contact_id = 'c1'")
        wrong = gkc.invoke(records.app, ["rebuild", "--check"])
        assert wrong.exit_code == 1
        assert wrong.stdout == "contact c1: talk_us is 61000000, by the ledger 60000000\n"
        assert gkc.invoke(records.app, ["rebuild"]).exit_code == 0
        assert gkc.invoke(records.app, ["rebuild", "--check"]).exit_code == 0
