"""``gkc report``: the engine is asked while one runs, else the store that the last one left."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gkc_engine.cli import report
from gkc_engine.cli._formats import Every
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.reports.render.plain import write_csv
from gkc_engine.statistics.intervals import LENGTHS_MIN
from tests.cli.conftest import Running
from tests.cli.test_contact_offline import make_store
from tests.control.fake import DONE, NOW
from tests.recorder.support import History
from tests.recorder.test_compare import change

TABLE = """\
Queue     Told  Wait   Bias  RMSE  In range
housing      4  0:50  -5.0%   20%       75%
passport     4  0:50  -5.0%   20%       75%
all          8  0:50  -5.0%   20%       75%
"""

QUEUES = """\
Queue     Offered  C  In time  A  Short  Ended  Failed  W  A %   ASA   P50   P90   Max   AHT   SL  SL-1  SL-2  SL-3  SL-4
passport        5  3        2  2      1      0       0  0  20%  0:14  0:09  0:30  0:30  1:10  50%   66%   40%   50%   60%
"""  # noqa: E501 - as it is printed

OPERATORS = """\
Operator  Handled   AHT  Talk  Hold  Wrap-up  Ready  At work  Occ  Util  Rings  RNA  Out  Transf
anna            2  1:10  2:00  0:00     0:20   3:00     5:32  43%   96%      2   0%    0      0%
boris           1  1:10  1:00  0:00     0:10   1:16     2:56  47%   82%      1   0%    0      0%
all             3  1:10  3:00  0:00     0:30   4:16     8:28  45%   91%      3   0%    0      0%
"""
"""Both are ready at the end, until the last word of the ledger: 178 and 76 s."""


def test_the_running_engine_is_asked(engine: Running, gkc: CliRunner) -> None:
    result = gkc.invoke(report.app, ["ewt"])
    assert (result.exit_code, result.stdout) == (0, TABLE)
    day = 24 * 3600 * SECOND
    assert engine.backend.lists == [{"since": NOW - day, "until": None, "queue": None}]


def test_json_and_options(engine: Running, gkc: CliRunner) -> None:
    options = ["ewt", "--from", "2h", "--to", "30m", "--queue", "passport", "--json"]
    (row,) = json.loads(gkc.invoke(report.app, options).stdout)
    assert row == {
        "queue": "passport",
        "n": 4,
        "mean_wait_s": 50.0,
        "bias": -0.05,
        "rmse": 0.2,
        "within_range": 0.75,
    }
    asked = engine.backend.lists[0]
    assert asked["since"] == Instant(NOW - 2 * 3600 * SECOND)
    assert asked["until"] == Instant(NOW - 1800 * SECOND)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--from", "soon"], 2, "--from: found 'soon', expected a duration"),
        (["--to", "1x"], 2, "--to: found '1x'"),
        (["--from", "1h", "--to", "2h"], 2, "--to is not after --from"),
        (["--queue", "pasport"], 1, "no queue 'pasport'; there are: housing, passport"),
    ],
)
def test_refusals(gkc: CliRunner, options: list[str], code: int, said: str) -> None:
    result = gkc.invoke(report.app, ["ewt", *options])
    assert result.exit_code == code
    assert said in result.stderr


def test_without_an_engine_the_last_store_is_read(run: Path, gkc: CliRunner) -> None:
    path = make_store(run.parent / "gkc.sqlite")
    assert "Nobody who was told" in gkc.invoke(report.app, ["ewt", "--from", "2026-11-01"]).stdout
    engine = schema.make_engine(schema.sqlite_url(str(path)))
    contact = schema.contact
    with engine.begin() as connection:
        connection.execute(
            contact.update().where(contact.c.contact_id == DONE),
            {
                "ewt_queue": "passport",
                "ewt_told": NOW + 10 * SECOND,
                "ewt_said_us": 40 * SECOND,
                "ewt_lo_us": 0,
                "ewt_hi_us": 60 * SECOND,
                "answered": NOW + 60 * SECOND,
                "via": "engine",
            },
        )
    engine.dispose()
    options = ["ewt", "--json", "--from", "2026-11-18"]
    (row,) = json.loads(gkc.invoke(report.app, options).stdout)
    assert (row["n"], row["bias"], row["rmse"], row["within_range"]) == (1, -0.2, 0.2, 1.0)
    before = [*options, "--to", "2026-11-18T11:06"]  # UTC: nothing here tells a zone
    assert json.loads(gkc.invoke(report.app, before).stdout) == []
    refused = gkc.invoke(report.app, ["ewt", "--from", "1h", "--to", "2h"])
    assert refused.exit_code == 2


def test_without_anything_it_says_so(run: Path, gkc: CliRunner) -> None:
    assert run.is_dir()
    result = gkc.invoke(report.app, ["ewt"])
    assert result.exit_code == 1
    assert "No engine is running" in result.stderr


# --- queues, services, numbers, interval ----------------------------------------------------------


def make_day(path: Path, *, killed: bool = False) -> Path:
    """Three answered calls (3, 9 and 30 s), one given up after 2 s, one after 70 s.

    ``killed``: the engine was, before it wrote the tables that the ledger tells of.
    """
    history = History()
    history.configured()
    for n, (agent, ring_s) in enumerate((("anna", 3), ("anna", 9), ("boris", 30))):
        history.talk(f"t{n}", agent, ring_s=ring_s)
    history.abandon("a0", 2)
    history.abandon("a1", 70)
    store = LedgerStore(schema.sqlite_url(str(path)))
    store.open()
    store.append(batch_of(history.steps, "centr"))
    if killed:
        store.engine.dispose()
    else:
        store.close()
    return path


SPAN = ["--from", "2026-09-21", "--to", "2026-09-22"]


def test_queues_of_a_day(run: Path, gkc: CliRunner) -> None:
    make_day(run.parent / "gkc.sqlite")
    result = gkc.invoke(report.app, ["queues", *SPAN])
    assert (result.exit_code, result.stdout) == (0, QUEUES)
    (row,) = json.loads(gkc.invoke(report.app, ["queues", *SPAN, "--format", "json"]).stdout)
    assert (row["offered"], row["answered"], row["abandoned"]) == (5, 3, 2)
    assert row["service_level"] == round(2 / 4, 4)
    assert row["abandon_time_s"] == 36.0
    assert json.loads(gkc.invoke(report.app, ["queues", *SPAN, "--json"]).stdout) == [row]
    listed = gkc.invoke(report.app, ["queues", *SPAN, "--drill", "abandoned", "--format", "json"])
    assert [c["contact_id"] for c in json.loads(listed.stdout)] == ["a0", "a1"]


def test_all_together_and_those_without_are_named(run: Path, gkc: CliRunner) -> None:
    path = make_day(run.parent / "gkc.sqlite")
    change(path, "UPDATE contact SET service = NULL WHERE contact_id = 't0'")
    lines = gkc.invoke(report.app, ["services", *SPAN]).stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["mvd", "4"], ["-", "1"], ["all", "5"]]


@pytest.mark.parametrize("what", ["queues", "operators"])
def test_what_a_killed_engine_had_not_written_counts(run: Path, gkc: CliRunner, what: str) -> None:
    path = make_day(run.parent / "gkc.sqlite", killed=True)
    note = {"store": str(path), "timezone": "Europe/Moscow"}  # Else the tables are asked for it.
    (run / "demo.json").write_text(json.dumps(note), encoding="utf-8")
    *_, last = json.loads(gkc.invoke(report.app, [what, *SPAN, "--json"]).stdout)
    assert last["answered" if what == "queues" else "handled"] == 3


def test_operators_of_a_day(run: Path, gkc: CliRunner) -> None:
    make_day(run.parent / "gkc.sqlite")
    result = gkc.invoke(report.app, ["operators", *SPAN])
    assert (result.exit_code, result.stdout) == (0, OPERATORS)
    rows = json.loads(gkc.invoke(report.app, ["operators", *SPAN, "--json"]).stdout)
    assert [row["agent_id"] for row in rows] == ["anna", "boris", None]
    nobody = gkc.invoke(report.app, ["operators", "--from", "2026-09-01", "--to", "2026-09-02"])
    assert nobody.stdout == "Nobody was at work in that time.\n"


def test_csv_begins_with_its_columns(run: Path, gkc: CliRunner) -> None:
    make_day(run.parent / "gkc.sqlite")
    result = gkc.invoke(report.app, ["interval", *SPAN, "--every", "60", "--format", "csv"])
    lines = result.stdout.splitlines()
    assert lines[0].startswith("begin,end,interval,offered,answered,")
    assert len(lines) == 1 + 24 + 1
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["offered"] for row in rows if row["offered"] != "0"] == ["5", "5"]


def test_a_sheet_takes_no_text_for_a_formula() -> None:
    told = io.StringIO()
    rows = [{"a": '=cmd|" /C calc"!A0', "b": "+7495", "c": -1.5, "d": "плюс"}, {"a": "@x", "b": 1}]
    write_csv([rows[0], {**rows[1], "c": None, "d": "\tx"}], told)
    first, second = csv.DictReader(io.StringIO(told.getvalue()))
    assert first == {"a": '\'=cmd|" /C calc"!A0', "b": "'+7495", "c": "-1.5", "d": "плюс"}
    assert second == {"a": "'@x", "b": "1", "c": "", "d": "'\tx"}


def test_a_day_without_contacts_says_so(run: Path, gkc: CliRunner) -> None:
    make_day(run.parent / "gkc.sqlite")
    other = ["--from", "2026-09-01", "--to", "2026-09-02"]
    assert "No contact entered" in gkc.invoke(report.app, ["queues", *other]).stdout
    assert gkc.invoke(report.app, ["services", *other, "--format", "csv"]).stdout == ""
    assert json.loads(gkc.invoke(report.app, ["numbers", *other, "--format", "json"]).stdout) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--from", "soon"], "--from: found 'soon', expected a duration"),
        (["--to", "2026-13-01"], "--to: found '2026-13-01'"),
        (["--from", "1h", "--to", "2h"], "--to is not after --from"),
        (["--drill", "waits"], "'waits' is not one of"),
        (["--format", "doc"], "'doc' is not one of"),
    ],
)
def test_bad_questions(run: Path, gkc: CliRunner, options: list[str], said: str) -> None:
    make_day(run.parent / "gkc.sqlite")
    result = gkc.invoke(report.app, ["queues", *options])
    assert result.exit_code == 2
    assert said in result.stderr


def test_every_length_of_an_interval_can_be_asked_for() -> None:
    assert tuple(int(every.value) for every in Every) == LENGTHS_MIN
