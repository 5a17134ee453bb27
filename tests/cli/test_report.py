"""``gkc report ewt``: the engine is asked while one runs, else the store that the last one left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gkc_engine.cli import report
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import schema
from tests.cli.conftest import Running
from tests.cli.test_contact_offline import make_store
from tests.control.fake import DONE, NOW

TABLE = """\
Queue     Told  Wait   Bias  RMSE  In range
housing      4  0:50  -5.0%   20%       75%
passport     4  0:50  -5.0%   20%       75%
all          8  0:50  -5.0%   20%       75%
"""


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
