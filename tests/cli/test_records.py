"""``gkc records rebuild``: compare, and make anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gkc_engine.cli import records
from tests.cli.conftest import Running
from tests.recorder.test_compare import change, compared, made

WRONG = "UPDATE contact SET talk_us = 61000000 WHERE contact_id = 'c1'"


def test_check_says_what_differs_and_changes_nothing(run: Path, gkc: CliRunner) -> None:
    path = made(run.parent / "gkc.sqlite")
    right = gkc.invoke(records.app, ["rebuild", "--check"])
    assert (right.exit_code, right.stdout) == (0, "")
    assert "the tables are what the ledger says" in right.stderr
    change(path, WRONG)
    wrong = gkc.invoke(records.app, ["rebuild", "--check"])
    assert wrong.exit_code == 1
    assert wrong.stdout == "contact c1: talk_us is 61000000, by the ledger 60000000\n"
    told = gkc.invoke(records.app, ["rebuild", "--check", "--json"])
    assert json.loads(told.stdout) == [
        {
            "table": "contact",
            "key": ["c1"],
            "column": "talk_us",
            "stands": 61_000_000,
            "told": 60_000_000,
        }
    ]
    assert len(compared(path)) == 1


def test_many_differences_are_counted(run: Path, gkc: CliRunner) -> None:
    path = made(run.parent / "gkc.sqlite")
    columns = ("number", "did", "language", "medium", "direction", "initiation", "center_entry")
    for contact in ("c1", "c2", "c3"):
        values = ", ".join(f"{name} = 'x'" for name in columns)
        change(path, f"UPDATE contact SET {values} WHERE contact_id = '{contact}'")
    lines = gkc.invoke(records.app, ["rebuild", "--check"]).stdout.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 1 more"


def test_rebuild_mends_it(run: Path, gkc: CliRunner) -> None:
    path = made(run.parent / "gkc.sqlite")
    change(path, WRONG)
    result = gkc.invoke(records.app, ["rebuild"])
    assert result.exit_code == 0
    assert "made anew from" in result.stdout
    assert compared(path) == []


def test_beside_a_running_engine_nothing_is_made_anew(
    engine: Running, gkc: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(engine.config.parent / "gkc.sqlite")
    change(path, WRONG)
    health = engine.backend.health
    monkeypatch.setattr(engine.backend, "health", lambda: {**health(), "store": str(path)})
    refused = gkc.invoke(records.app, ["rebuild"])
    assert refused.exit_code == 1
    assert "is running. Stop it first, or compare only" in refused.stderr
    assert len(compared(path)) == 1, "it was made anew all the same"
    assert gkc.invoke(records.app, ["rebuild", "--check"]).exit_code == 1


@pytest.mark.usefixtures("run")
def test_without_records_it_says_so(gkc: CliRunner) -> None:
    result = gkc.invoke(records.app, ["rebuild", "--check"])
    assert result.exit_code == 1
    assert "No engine is running" in result.stderr
