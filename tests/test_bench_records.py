"""The bench of reports does not rot: its store in small is what the writer would have made."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from bench.records import report_figures, start_figures
from bench.records_fill import fill, midnight
from gkc_engine.recorder import schema
from gkc_engine.statistics.figures import offered
from gkc_engine.statistics.rollups import Period, read, total
from tests.recorder.rolled import counted, rows, stands
from tests.rolled import add_time_up

LAST = date(2026, 11, 3)


def test_a_small_store_adds_up_and_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "gkc.sqlite"
    said: list[str] = []
    filled = fill(path, 120, LAST, said.append, 2)
    assert (filled.contacts, filled.events) == (120, 60 * 17 + 201)
    engine = schema.make_engine(schema.sqlite_url(str(path)), read_only=True)
    with engine.connect() as connection:
        assert len(rows(connection, "contact")) == 120
        kept, told = stands(connection), counted(connection)
        assert kept == told
        days = Period(since=midnight(LAST), until=midnight(date(2026, 11, 4)))
        of_the_ledger = total(read(connection, days).values())
    engine.dispose()
    engine = schema.make_engine(schema.sqlite_url(str(path)))
    with engine.begin() as connection:
        grown = sorted(map(str, rows(connection, "agent_time")))
        add_time_up(connection)
        assert grown == sorted(map(str, rows(connection, "agent_time")))
    engine.dispose()
    assert of_the_ledger.counts.answered >= 60
    assert offered(of_the_ledger.counts) - of_the_ledger.counts.answered <= 3  # left after midnight
    ticks = iter(range(1_000))
    clock = lambda: float(next(ticks))  # noqa: E731 - a clock of its own
    found = report_figures(path, date(2026, 11, 2), "120", clock)
    found += start_figures(path, "120", clock)
    assert len(found) == 12
    assert {figure.measured for figure in found} == {1.0}
