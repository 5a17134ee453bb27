"""``gkc replay``, ``explain`` and ``plan``: whose records they read, what they print, their end."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from gkc_engine.cli import explain, plan, replay
from gkc_engine.errors import ConfigError
from tests.cli.conftest import Running
from tests.config.cities import tiny_city
from tests.simulation.ledgers import change, overtaken

app = typer.Typer()
app.command("replay")(replay.replay)
app.command("explain")(explain.explain)
app.command("plan")(plan.plan)

WHOLE = ("2026-09-21T17:13:20", "2026-09-21T17:16:00")
PLANNED = ("--from", WHOLE[0], "--to", WHOLE[1])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return overtaken().write(tmp_path_factory.mktemp("commands") / "gkc.sqlite").read_bytes()


@pytest.fixture
def store(run: Path, recorded: bytes) -> Path:
    """What the last engine left behind; its note says that the center is in Moscow."""
    path = run.parent / "gkc.sqlite"
    path.write_bytes(recorded)
    note = {"store": str(path), "timezone": "Europe/Moscow"}
    (run / "demo.json").write_text(json.dumps(note), encoding="utf-8")
    return path


def call(gkc: CliRunner, *words: str | Path) -> Result:
    return gkc.invoke(app, [str(word) for word in words])


@pytest.mark.usefixtures("store")
def test_replay_says_that_nothing_differs(gkc: CliRunner) -> None:
    result = call(gkc, "replay", *WHOLE)
    assert result.exit_code == 0, result.output
    assert "0 steps differ" in result.stdout
    value = json.loads(call(gkc, "replay", *WHOLE, "--json").stdout)
    assert (value["differences"], value["first_difference"]) == (0, None)
    assert value["from"] == "2026-09-21T14:13:20.000000Z"


def test_replay_ends_with_1_when_a_recorded_command_was_changed(
    store: Path, gkc: CliRunner
) -> None:
    offered = "kind = 'gkc.offer.created' AND contact_id = 'c2'"
    change(store, f"UPDATE event SET data = replace(data, 'anna', 'gleb') WHERE {offered}")
    result = call(gkc, "replay", *WHOLE)
    assert result.exit_code == 1
    assert "first difference at row" in result.stdout


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("replay", "2026-01-01", "2026-01-02"), "nothing is on record"),
        (("replay", "soon", "0s"), "FROM: found 'soon'"),
        (("replay", WHOLE[0]), "Missing argument"),
        (("plan", "new"), "Missing option"),
    ],
)
def test_wrong_calls_end_with_2(gkc: CliRunner, words: tuple[str, ...], said: str) -> None:
    result = call(gkc, *words)
    assert result.exit_code == 2, result.output
    assert said in result.stderr


@pytest.mark.usefixtures("store")
def test_plan_refuses_a_wrong_folder(gkc: CliRunner, tmp_path: Path) -> None:
    """With a ``ConfigError``, at which ``gkc`` itself ends with 2."""
    result = call(gkc, "plan", tmp_path / "none", *PLANNED)
    assert isinstance(result.exception, ConfigError)


def test_a_gap_or_another_version_ends_with_2(store: Path, gkc: CliRunner) -> None:
    change(store, "UPDATE snapshot SET engine_version = '0.0.9'")
    result = call(gkc, "replay", *WHOLE)
    assert (result.exit_code, "0.0.9" in result.stderr) == (2, True)
    assert call(gkc, "replay", *WHOLE, "--other-version").exit_code == 0
    change(store, "DELETE FROM event WHERE seq = 30")
    for words in (("replay", *WHOLE), ("explain", "c2"), ("plan", tiny(store), *PLANNED)):
        result = call(gkc, *words)
        assert result.exit_code == 2, words
        assert "row 30 is missing" in result.stderr


DAMAGES = {
    "an empty file": b"",
    "another file": b"contact,queue\n" * 99,
    "another database": "CREATE TABLE other (a)",
    "no ledger": "DROP TABLE event",
    "cut off": 5000,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_no_ledger_ends_with_2(
    run: Path, store: Path, gkc: CliRunner, damage: bytes | str | int
) -> None:
    (run / "demo.json").unlink()  # Now the time zone is looked for in the store, too.
    if isinstance(damage, int):
        os.truncate(store, damage)
    elif isinstance(damage, bytes):
        store.write_bytes(damage)
    else:
        if damage.startswith("CREATE"):
            store.unlink()
        with closing(sqlite3.connect(store)) as connection:
            connection.execute(damage)
    for words in (("replay", *WHOLE), ("explain", "c2"), ("plan", tiny(store), *PLANNED)):
        result = call(gkc, *words)
        assert result.exit_code == 2, (words, result.output)
        assert "can be read" in result.stderr
        assert result.stderr.count("\n") <= 2, "no more than what is read, and why it cannot be"


def test_a_snapshot_that_cannot_be_read_ends_with_2(store: Path, gkc: CliRunner) -> None:
    change(store, "UPDATE snapshot SET state = replace(state, 'settings', 'sets')")
    result = call(gkc, "replay", "2026-09-21T17:13:40", WHOLE[1])
    assert (result.exit_code, "the snapshot at row" in result.stderr) == (2, True)


def tiny(store: Path, rails: str = "{}") -> Path:
    """A new config beside the store, without the queues urgent and housing."""
    folder = store.parent / "new"
    folder.mkdir(exist_ok=True)
    return tiny_city(folder, ("services:\n", f"guardrails: {rails}\nservices:\n"))


@pytest.mark.usefixtures("store")
def test_explain_tells_by_registration_number(gkc: CliRunner) -> None:
    result = call(gkc, "explain", "2026-ЦАО-000002")
    assert result.exit_code == 0, result.output
    assert "overtaken by an emergency contact: 2026-ЦАО-000004 is offered to anna" in result.stdout
    answer = call(gkc, "explain", "c2", "--citizen").stdout
    assert "правило P2(1)" in answer
    assert "anna" not in answer
    value = json.loads(call(gkc, "explain", "c2", "--json").stdout)
    assert [m["what"] for m in value["moments"]][:3] == ["started", "queued", "waits"]
    result = call(gkc, "explain", "c7")
    assert (result.exit_code, "not found" in result.stderr) == (1, True)


def test_explain_ends_with_1_when_the_record_differs(store: Path, gkc: CliRunner) -> None:
    change(store, "UPDATE event SET data = replace(data, 'offered', 'moved') WHERE role = 'out'")
    result = call(gkc, "explain", "c2")
    assert (result.exit_code, "NOT CERTAIN" in result.stdout) == (1, True)


@pytest.mark.parametrize(("bound", "code"), [("1s", 3), ("1h", 0)])
def test_plan_ends_with_3_when_a_guard_rail_breaks(
    store: Path, gkc: CliRunner, bound: str, code: int
) -> None:
    folder = tiny(store, f"{{passport: {{asa_max: {bound}}}}}")
    result = call(gkc, "plan", folder, *PLANNED, "--json")
    assert result.exit_code == code, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    assert [b["figure"] for b in value["guardrails_broken"]] == ["asa_max"] * (code == 3)
    assert value["contacts"] == 4
    assert value["queues"]["passport"]["really"] == value["queues"]["passport"]["now"]
    assert value["queues"]["housing"]["then"] is None
    text = call(gkc, "plan", folder, *PLANNED).stdout
    assert ("guard-rail broken: passport: asa_max" in text) is (code == 3)


def test_the_running_engine_s_store_is_read(
    engine: Running, store: Path, gkc: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = call(gkc, "replay", *WHOLE)
    assert (result.exit_code, "does not say where" in result.stderr) == (1, True)
    health = engine.backend.health()
    monkeypatch.setattr(engine.backend, "health", lambda: {**health, "store": str(store)})
    assert call(gkc, "replay", *WHOLE).exit_code == 0
