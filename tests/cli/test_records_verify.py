"""``gkc records verify`` and ``export`` as a person calls them, with and without differences."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gkc_engine.cli import records, report
from tests.reconcile.day import Written
from tests.reconcile.test_verify import usual

PERIOD = ("--from", "2026-09-21T17:00", "--to", "2026-09-21T18:00")
"""The calls came from 17:13:30 on, in Moscow."""


def call(gkc: CliRunner, *words: str | Path) -> Result:
    return gkc.invoke(records.app, ["verify", *map(str, words)])


@pytest.fixture
def day(run: Path) -> Written:
    folder = run.parent / "state"
    folder.mkdir()
    written = usual().written(folder)
    note = {"store": str(written.store), "timezone": "Europe/Moscow"}
    (run / "demo.json").write_text(json.dumps(note), encoding="utf-8")
    return written


def lists(day: Written) -> tuple[str | Path, ...]:
    return ("--cel", day.folder / "legs.csv", "--cdr", day.folder / "calls.csv")


def test_no_difference_is_exit_0_and_one_is_1_with_its_call(day: Written, gkc: CliRunner) -> None:
    same = call(gkc, *PERIOD, *lists(day))
    assert (same.exit_code, same.stdout.splitlines()[-1]) == (0, "0 differences")
    assert "3 contacts" in same.stdout
    hangup = day.without("legs.csv", len(day.lines("legs.csv")) - 1)
    uid = hangup.split(",")[3].strip('"')
    other = call(gkc, "--day", "2026-09-21", *lists(day))
    assert other.exit_code == 1
    assert other.stdout.startswith(f"2026-ЦАО-000002 (leg {uid}): end_missing\n")
    assert other.stdout.splitlines()[-1] == "1 difference"


def test_json_is_one_object(day: Written, gkc: CliRunner) -> None:
    day.without("calls.csv", 0)
    value = json.loads(call(gkc, *PERIOD, *lists(day), "--json").stdout)
    assert (value["differences"], value["counts"]["contacts"]) == (1, 3)
    assert value["from"] == "2026-09-21T14:00:00.000000Z"
    (one,) = value["listed"]
    assert (one["kind"], one["contact_id"]) == ("cdr_missing", "c1")
    assert one["means"]
    assert one["remedy"]


def test_what_is_not_compared_is_said(day: Written, gkc: CliRunner) -> None:
    (day.folder / "queue_log").unlink()
    said = call(gkc, *PERIOD, "--cel", day.folder / "legs.csv").stdout
    assert "CDR was not compared: pbx.cdr is not set" in said
    assert "queue_log was not compared: there is no such file" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--day", "soon"), "--day: found 'soon'"),
        (("--day", "2026-09-21", "--from", "2h"), "say --day, or --from and --to, not both"),
        (("--to", "2h"), "--to needs --from"),
        (("--from", "2026-09-22", "--to", "2026-09-21"), "--to is not after --from"),
        ((), "no list of legs to compare with: set pbx.cel"),
        (("--cel", "/nowhere/legs.csv"), "/nowhere/legs.csv: there is no such folder, and Aste"),
        ((*PERIOD, "--cel", "/legs.csv"), "/legs.csv: there is no such file, and 3 calls should"),
    ],
)
@pytest.mark.usefixtures("day")
def test_wrong_calls_end_with_2(gkc: CliRunner, words: tuple[str, ...], said: str) -> None:
    result = call(gkc, *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_an_export_says_where_it_is_and_what_is_in_it(
    day: Written, gkc: CliRunner, tmp_path: Path
) -> None:
    words = ["export", "--day", "2026-09-21", "--format", "csv"]
    done = gkc.invoke(records.app, words)
    assert done.exit_code == 0, done.output
    folder = day.folder / "export" / "centr-2026-09-21-csv"
    assert done.stdout.startswith(f"{folder}:\n  contact: 3 rows\n")
    rows = json.loads(gkc.invoke(records.app, [*words, "--json"]).stdout)
    assert rows[0] == {"folder": str(folder), "table": "contact", "rows": 3}
    (tmp_path / "file").touch()
    refused = gkc.invoke(records.app, [*words, "--out", str(tmp_path / "file")])
    assert (refused.exit_code, "nothing was written" in refused.stderr) == (1, True)


def locked(path: Path) -> sqlite3.Connection:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("CREATE TABLE held (it)")
    return holder


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def no_database(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def malformed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(8192, len(data), 8192):
        data[at : at + 600] = b"\xff" * 600
    path.write_bytes(data)


TROUBLE: dict[Callable[[Path], sqlite3.Connection | None], tuple[str, str]] = {
    locked: ("database is locked", "wait for its end"),
    emptied: ("no such table: ", "is it the right file?"),
    no_database: ("file is not a database", "restore the backup"),
    malformed: ("database disk image is malformed", "restore the backup"),
}


@pytest.mark.parametrize("spoil", TROUBLE)
def test_a_store_in_trouble_is_told_with_cause_and_remedy(
    day: Written,
    gkc: CliRunner,
    tmp_path: Path,
    spoil: Callable[[Path], sqlite3.Connection | None],
) -> None:
    cause, remedy = TROUBLE[spoil]
    holder = spoil(day.store)
    out = tmp_path / "out"
    export = ["export", "--day", "2026-09-21", "--format", "csv", "--out", str(out)]
    for done in (
        call(gkc, *PERIOD, *lists(day)),
        gkc.invoke(records.app, export),
        gkc.invoke(report.app, ["day", "--from", "2026-09-21"]),
    ):
        assert done.exit_code == 2
        assert done.stderr.splitlines()[-1].startswith(f"{day.store}: ")
        assert cause in done.stderr
        assert remedy in done.stderr
    assert not out.exists() or list(out.iterdir()) == []
    if holder is not None:
        holder.close()


def test_output_that_has_no_room_is_told_and_no_traceback() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gkc_engine", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    said = "the output cannot be written: No space left on device; is its disk full?\n"
    assert (done.returncode, done.stderr.decode()) == (1, said)
