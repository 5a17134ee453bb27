"""Service before and after each config, by hand: where the stretches begin and end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from gkc_engine.ids import SECOND, Micros
from gkc_engine.recorder import schema
from gkc_engine.reports import versions
from gkc_engine.statistics.rollups import Period
from tests.reports.support import City, instant

WEEK = Micros(7 * 86_400 * SECOND)
APPLIED = {"a": "2026-11-02T00:00", "b": "2026-11-16T12:00", "c": "2026-11-20T12:00"}
MONTH = Period(since=instant("2026-11-02T00:00"), until=instant("2026-11-30T00:00"))


@pytest.fixture(scope="module")
def connection() -> Iterator[sa.Connection]:
    city = City()
    # The same four days, a week before: all in time. What lies just outside is another's.
    city.many(1, "2026-11-09T11:59", "passport", "answered", wait_s=900)
    city.many(40, "2026-11-09T12:00", "passport", "answered", wait_s=5)
    city.many(1, "2026-11-13T12:00", "passport", "answered", wait_s=900)
    # Under b: half of them late, some gave up.
    city.many(1, "2026-11-16T11:59", "housing", "answered", wait_s=900)
    city.many(20, "2026-11-16T12:00", "passport", "answered", wait_s=15)
    city.many(20, "2026-11-20T11:59", "passport", "answered", wait_s=25)
    city.many(10, "2026-11-18T10:00", "passport", "abandoned", wait_s=60)
    city.many(3, "2026-11-18T10:00", "housing", "answered", wait_s=1)
    city.many(1, "2026-11-20T12:00", "passport", "answered", wait_s=900)
    engine = city.store()
    with engine.begin() as writing:
        writing.execute(schema.config_version.delete())
        writing.execute(
            schema.config_version.insert(),
            [
                {
                    "hash": version,
                    "author": "cli",
                    "applied": instant(at),
                    "diff": "queues.passport.timeout: 15 -> 25\nskills.en: gone",
                    "event_id": f"e-{version}",
                }
                for version, at in APPLIED.items()
            ],
        )
    with engine.connect() as reading:
        yield reading
    engine.dispose()


def rows(
    connection: sa.Connection, period: Period = MONTH, now: str = "2026-11-25T00:00"
) -> dict[str, Any]:
    return {row["version"]: row for row in versions.rows(connection, period, WEEK, instant(now))}


def test_before_is_the_same_stretch_a_week_earlier(connection: sa.Connection) -> None:
    b = rows(connection)["b"]
    assert (b["applied"], b["author"], b["changes"]) == ("2026-11-16T09:00:00.000000Z", "cli", 2)
    assert b["change"] == "queues.passport.timeout: 15 -> 25; skills.en: gone"
    assert b["after_s"] == 4 * 86_400
    assert (b["before_offered"], b["offered"]) == (40, 53)
    assert (b["before_service_level"], b["service_level"]) == (1.0, round(23 / 53, 4))
    assert b["service_level_change"] == round(round(23 / 53, 4) - 1.0, 4)
    assert (b["service_level_verdict"], b["abandon_rate_verdict"]) == ("worse", "worse")
    assert (b["before_asa_s"], b["asa_s"]) == (5.0, round((20 * 15 + 20 * 25 + 3) / 43, 4))
    assert (b["before_abandon_rate"], b["abandon_rate"]) == (0.0, round(10 / 53, 4))


def test_after_ends_with_the_window_or_with_now(connection: sa.Connection) -> None:
    found = rows(connection)
    assert list(found) == ["a", "b", "c"]
    assert found["a"]["after_s"] == 7 * 86_400
    assert found["a"]["before_service_level"] is None
    assert found["a"]["service_level_verdict"] is None
    c = found["c"]
    assert c["after_s"] == 4.5 * 86_400
    assert (c["before_offered"], c["offered"]) == (1 + 1 + 20, 1)
    assert c["service_level_verdict"] == "too_few"


def test_one_queue_alone(connection: sa.Connection) -> None:
    housing = Period(since=MONTH.since, until=MONTH.until, queue="housing")
    b = rows(connection, housing)["b"]
    assert (b["before_offered"], b["offered"], b["service_level"]) == (0, 3, 1.0)


def test_only_what_was_applied_in_the_time_is_there(connection: sa.Connection) -> None:
    before_c = Period(since=instant(APPLIED["b"]), until=instant(APPLIED["c"]))
    found = rows(connection, before_c)
    assert list(found) == ["b"]
    assert found["b"]["after_s"] == 4 * 86_400, "c ends it, though c is not asked for"
    assert rows(connection, before_c, now="2026-11-16T12:00")["b"]["offered"] == 0
