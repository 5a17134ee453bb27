"""Reports against counts by hand: day, month, outcomes, bodies; nothing at all; a day half over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from gkc_engine.ids import Instant
from gkc_engine.reports import source
from gkc_engine.reports.kinds import build
from gkc_engine.reports.model import Headline, Language, Report, Verdict
from gkc_engine.reports.order import Order
from gkc_engine.reports.periods import Length, period_of, stretch
from gkc_engine.reports.source import Asked
from tests.reports.support import MOSCOW, City, instant

LATER = instant("2026-12-01T09:00")


def the_city() -> City:
    city = City()
    # The 16th, a week before: 40 calls, all in time.
    city.many(40, "2026-11-16T09:59", "passport", "answered", wait_s=5)
    # The 23rd. Passports: 40 in time, 20 late, 4 gave up at once, 16 later. Housing: 36 of 40.
    city.many(40, "2026-11-23T00:00", "passport", "answered", wait_s=20)
    city.many(20, "2026-11-23T10:29", "passport", "answered", wait_s=21, talk_s=200)
    city.many(4, "2026-11-23T10:30", "passport", "abandoned_short", wait_s=5)
    city.many(16, "2026-11-23T23:59", "passport", "abandoned", wait_s=80)
    city.many(36, "2026-11-23T12:00", "housing", "answered", wait_s=1)
    city.many(4, "2026-11-23T12:00", "housing", "timeout", wait_s=600)
    city.many(2, "2026-11-23T13:00", "operator", "failed_open", wait_s=9)
    # Never in a queue: by their start.
    city.many(7, "2026-11-23T23:59", None, "abandoned_menu")
    city.many(3, "2026-11-23T00:00", None, "self_served")
    city.many(5, "2026-11-24T00:00", None, "self_served")
    # What operators dialled themselves is beside all of that.
    city.many(6, "2026-11-23T12:00", None, "answered", direction="out")
    city.many(2, "2026-11-23T12:00", None, "busy", direction="out")
    # The 24th, which is another day.
    city.many(9, "2026-11-24T00:00", "passport", "answered", wait_s=1)
    return city


@pytest.fixture(scope="module")
def connection() -> Iterator[sa.Connection]:
    engine = the_city().store()
    with engine.connect() as reading:
        yield reading
    engine.dispose()


def made(
    connection: sa.Connection,
    kind: str,
    *,
    day: str = "2026-11-23",
    now: Instant = LATER,
    length: Length | None = Length.DAY,
    **asked: str,
) -> Report:
    since, until = instant("2026-11-23"), instant("2026-11-24")
    of = stretch(since, until, now)
    if length is not None:
        of = period_of(length, instant(day), now, MOSCOW)
    order = Order(
        kind=kind,
        asked=Asked(
            zone=MOSCOW, known=LATER, queue=asked.get("queue"), service=asked.get("service")
        ),
        of=of,
        length=length,
        language=Language.RU,
    )
    return build(connection, order, lambda _: None)


def rows(report: Report, table: str) -> list[Any]:
    (found,) = (one for one in report.tables() if one.name == table)
    return list(found.rows)


def by(key: str, found: list[Any]) -> dict[Any, Any]:
    return {row[key]: row for row in found}


def test_the_summary_of_a_day(connection: sa.Connection) -> None:
    report = made(connection, "day")
    found = by("figure", rows(report, "summary"))
    assert found["offered"]["value"] == 40 + 20 + 4 + 16 + 36 + 4 + 2
    assert found["answered"]["value"] == 96
    assert found["answered_in_target"]["value"] == 76  # Twenty seconds are in time.
    assert (found["abandoned"]["value"], found["abandoned_short"]["value"]) == (20, 4)
    assert (found["ended_waiting"]["value"], found["failed"]["value"]) == (4, 2)
    assert found["service_level"]["value"] == round(76 / 112, 4)
    assert found["service_level"]["week_before"] == 1.0
    assert found["service_level"]["week_before_change"] == round(76 / 112, 4) - 1
    assert found["service_level"]["week_before_verdict"] is Verdict.WORSE
    assert found["service_level"]["day_before"] is None
    assert found["service_level"]["day_before_verdict"] is None
    assert found["abandon_rate"]["value"] == round(16 / 122, 4)
    assert found["asa_s"]["value"] == round((40 * 20 + 20 * 21 + 36) / 96, 4)
    assert found["wait_p50_s"]["value"] == 20.0
    assert found["wait_max_s"]["value"] == 21.0
    assert found["aht_s"]["value"] == round((40 * 100 + 20 * 200 + 36 * 100) / 96, 4)
    assert found["sl_1"]["value"] == round(76 / 96, 4)
    assert found["sl_2"]["value"] == round(76 / 116, 4)
    assert found["sl_3"]["value"] == round(76 / 112, 4)  # Four left within the threshold.
    assert found["sl_4"]["value"] == round(80 / 116, 4)


def test_by_half_hours_every_contact_stands_once(connection: sa.Connection) -> None:
    found = rows(made(connection, "day"), "by_interval")
    assert len(found) == 48
    assert {row["interval"]: row["offered"] for row in found if row["offered"]} == {
        "00:00": 40,
        "10:00": 20,
        "10:30": 4,
        "12:00": 40,
        "13:00": 2,
        "23:30": 16,
    }
    assert found[0]["begin"] == "2026-11-22T21:00:00.000000Z"
    parts = ("answered_in_target", "answered_late", "abandoned", "other")
    assert all(sum(row[part] for part in parts) == row["offered"] for row in found)


def test_services_and_queues_the_worst_first(connection: sa.Connection) -> None:
    report = made(connection, "day")
    services = rows(report, "by_service")
    assert [row["title"] for row in services] == ["Паспорта", "ЖКХ", "Без услуги", "Всего"]
    assert [row["service"] for row in services] == ["mvd", "zhkh", "", None]
    assert [row["late"] for row in services] == [36, 0, 0, 36]
    assert services[0]["service_level_change"] == round(40 / 76 - 1, 4)
    queues = by("queue", rows(report, "by_queue"))
    assert queues["passport"]["goal_met"] == "не достигнута"
    assert queues["housing"]["goal_met"] == "достигнута"  # 100 % of a goal of 90 %.
    assert queues["housing"]["goal"] == 0.9
    assert queues["operator"]["goal_met"] == ""  # Two contacts say nothing.


def test_the_first_glance(connection: sa.Connection) -> None:
    (head,) = (p for p in made(connection, "day").parts if isinstance(p, Headline))
    assert head.good is False
    assert head.verdict.replace("\u00a0", " ") == "Плохо: в срок отвечено 67,8 %, цель 80 %"
    assert [where.replace("\u00a0", " ") for where in head.where] == [
        "Паспорта: в срок 52,6 %, не в срок 36"
    ]
    assert [tile.value.replace("\u00a0", " ") for tile in head.tiles] == [
        "122",
        "67,8 %",
        "13,1 %",
        "0:13",
    ]


def test_a_month_by_days(connection: sa.Connection) -> None:
    report = made(connection, "month", length=Length.MONTH)
    days = rows(report, "by_day")
    assert len(days) == 30
    assert {row["interval"]: row["offered"] for row in days if row["offered"]} == {
        "16.11 понедельник": 40,
        "23.11 понедельник": 122,
        "24.11 вторник": 9,
    }
    summary = by("figure", rows(report, "summary"))
    assert summary["offered_per_day"]["value"] == round((40 + 122 + 9) / 30)


def test_outcomes_count_those_too_that_never_entered_a_queue(connection: sa.Connection) -> None:
    report = made(connection, "outcomes", length=None)
    found = {row["disposition"]: row["contacts"] for row in rows(report, "by_outcome")}
    assert found == {
        "answered": 96,
        "self_served": 3,
        "abandoned_menu": 7,
        "abandoned_short": 4,
        "abandoned": 16,
        "timeout": 4,
        "failed_open": 2,
    }
    shares = [row["share"] for row in rows(report, "by_outcome")]
    assert sum(shares) == pytest.approx(1, abs=0.001)
    of_service = by("service", rows(report, "outcomes_by_service"))
    assert of_service["mvd"]["contacts"] == 80
    assert of_service[""]["abandoned_menu"] == 7


def test_calls_that_operators_made_stand_apart(connection: sa.Connection) -> None:
    for kind in ("outcomes", "day"):
        report = made(connection, kind, length=Length.DAY if kind == "day" else None)
        found = {row["title"]: row["contacts"] for row in rows(report, "outgoing")}
        assert found == {"Ответили": 6, "Занято": 2}
    other = made(connection, "day", day="2026-11-16")
    assert "outgoing" not in [table.name for table in other.tables()]


def test_bodies_have_their_services_together(connection: sa.Connection) -> None:
    report = made(connection, "bodies", length=None)
    found = by("title", rows(report, "by_body"))
    assert set(found) == {"ГУ МВД", "Департамент ЖКХ", "Управление ЗАГС", "Без ведомства", "Всего"}
    assert (found["ГУ МВД"]["offered"], found["ГУ МВД"]["late"]) == (80, 36)
    assert found["Управление ЗАГС"]["contacts"] == 0
    assert found["Без ведомства"]["contacts"] == 2 + 7 + 3
    assert found["Всего"]["contacts"] == 132
    assert found["Всего"]["offered"] == 122


def test_one_service_has_nothing_of_the_others(connection: sa.Connection) -> None:
    report = made(connection, "day", service="zhkh")
    assert [row["service"] for row in rows(report, "by_service")] == ["zhkh"]
    found = by("figure", rows(report, "summary"))
    assert found["offered"]["value"] == 40
    assert "operators_h" not in found
    assert "occupancy" not in found
    assert ("Отбор", "услуга «ЖКХ»") in report.made_from
    assert report.subtitle.endswith(", услуга «ЖКХ»")
    body = made(connection, "bodies", length=None, service="zhkh")
    assert [row["title"] for row in rows(body, "by_body")] == ["Департамент ЖКХ"]


def test_a_day_half_over_is_beside_the_same_half(connection: sa.Connection) -> None:
    report = made(connection, "day", now=instant("2026-11-23T09:30"))
    found = by("figure", rows(report, "summary"))
    assert found["offered"]["value"] == 40
    assert found["offered"]["week_before"] == 0  # They came at 09:59.
    assert report.subtitle.endswith(" (данные до 09:30)")
    assert [row["interval"] for row in rows(report, "by_interval")][-1] == "09:00", "no zeros yet"


def test_a_period_without_data_says_so(connection: sa.Connection) -> None:
    for kind in ("day", "outcomes", "bodies"):
        order = Order(
            kind=kind,
            asked=Asked(zone=MOSCOW, known=LATER),
            of=stretch(instant("2026-09-01"), instant("2026-09-02"), LATER),
            length=Length.DAY if kind == "day" else None,
        )
        report = build(connection, order, lambda _: None)
        assert report.nothing == "За это время нет ни одного обращения."
        assert not any(row.get("offered") for table in report.tables() for row in table.rows)


def test_names_are_of_the_config_that_was_in_force(connection: sa.Connection) -> None:
    of = stretch(instant("2026-11-23"), instant("2026-11-24"), LATER)
    found = source.facts(connection, of)
    assert (found.version, found.services["mvd"], found.bodies["mvd"]) == (
        "v1",
        "Паспорта",
        "ГУ МВД",
    )
    assert found.goals == {"housing": 0.9}
    now = source.facts(connection, stretch(instant("2026-09-01"), instant("2026-09-02"), LATER))
    assert (now.version, now.services["mvd"]) == ("v2", "Паспорта и визы")  # No contact says.
    assert source.facts_of_tree("old", "").services == {}  # A ledger of before.
