"""What a report is counted from, against a count by contact, also where clocks are moved."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from gkc_engine.acd.slots import DIALS
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import schema
from gkc_engine.reports.order import Order, bounds_of
from gkc_engine.reports.periods import Length, Stretch, period_of
from gkc_engine.reports.source import Asked, Counted, count, staff
from gkc_engine.statistics import operators
from gkc_engine.statistics.drill import IN_PROGRESS
from gkc_engine.statistics.figures import occupancy
from gkc_engine.statistics.intervals import at
from gkc_engine.statistics.report import row
from gkc_engine.statistics.rollups import Line
from tests.rolled import count_anew
from tests.statistics.test_report import by_hand, drawn, figures_in

Contacts = list[dict[str, Any]]

WEEKS: Final = (
    ("Europe/Moscow", "2026-11-18"),
    ("Europe/Berlin", "2026-10-25"),  # a day of 25 hours
    ("Europe/Berlin", "2026-03-29"),  # and one of 23
    ("Asia/Kathmandu", "2026-11-18"),  # off by 5 h 45 min
    ("Australia/Lord_Howe", "2026-04-05"),  # the clock is moved by half an hour
    ("Pacific/Chatham", "2026-09-27"),  # off by 12 h 45 min, and moved
)
"""Each in the week of that day."""

PERCENTILES: Final = frozenset({"wait_p50_s", "wait_p90_s", "wait_p95_s", "wait_max_s"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A week or day, and every contact of about that time."""

    zone: ZoneInfo
    order: Order
    contacts: Contacts

    def within(self, of: Stretch) -> Contacts:
        """The contacts that count there, queued or not."""
        return [c for c in self.contacts if of.since <= moment(c) < of.seen]


def moment(contact: Mapping[str, Any]) -> int:
    """When it counts: at its first queue entry, else where it started."""
    first = contact["first_queued"]
    return int(contact["started"] if first is None else first)


def some(rng: random.Random, zone: ZoneInfo, first: datetime, days: int) -> Contacts:
    """Contacts of ``days`` days, at any second of them; not every queue has some each day."""
    made: Contacts = []
    for n in range(40 * days):
        contact = drawn(rng, n + 3)
        night = datetime(first.year, first.month, first.day, tzinfo=zone)
        begin = int((night + timedelta(days=rng.randrange(days))).timestamp())
        # By the clock of UTC: so the hour that comes twice is met twice.
        shift = (begin + rng.randrange(86_400)) * SECOND - moment(contact)
        for name in ("started", "first_queued", "answered", "ended"):
            if contact[name] is not None:
                contact[name] += shift
        local = datetime.fromtimestamp(moment(contact) / SECOND, zone)
        if contact["queue"] == "housing" and local.day % 2:
            contact |= {"queue": "passport", "service": "mvd"}
        if contact["queue"] == "passport" and rng.random() < 0.1:
            contact["service"] = "gkh"  # It was another service's when this one came.
        made.append(contact)
    return made


def case(zone_name: str, day: str, length: Length, *, part: bool = False) -> Case:
    zone, rng = ZoneInfo(zone_name), random.Random(f"{zone_name} {day}")
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=zone)
    now = Instant(int((noon + timedelta(days=20)).timestamp()) * SECOND)
    of = period_of(length, Instant(int(noon.timestamp()) * SECOND), now, zone)
    if part:  # Until some minute of the day.
        seen = Instant(int(noon.timestamp()) * SECOND + 7 * 60 * SECOND + 5)
        of = Stretch(since=of.since, until=of.until, seen=seen)
    order = Order(kind=str(length), asked=Asked(zone=zone, known=now), of=of, length=length)
    first = at(of.since).astimezone(zone) - timedelta(days=1)
    return Case(zone=zone, order=order, contacts=some(rng, zone, first, 10))


@contextmanager
def stored(contacts: Contacts) -> Iterator[sa.Connection]:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    schema.metadata.create_all(engine)
    with engine.begin() as connection:
        if contacts:
            connection.execute(schema.contact.insert(), contacts)
            count_anew(connection)
        yield connection
    engine.dispose()


def grouped(contacts: Contacts, key: Any) -> dict[Any, Contacts]:  # noqa: ANN401 - any function
    made: dict[Any, Contacts] = {}
    for contact in contacts:
        if contact["first_queued"] is not None:
            made.setdefault(key(contact), []).append(contact)
    return made


def same(
    lines: Mapping[Any, Line], found: Mapping[Any, Contacts], *, percentiles: bool = True
) -> None:
    """Each line is what its contacts are by hand, and no line is of nobody."""
    assert {key for key, line in lines.items() if not line.counts.guests} <= found.keys()
    assert found.keys() <= lines.keys()
    for key, line in lines.items():
        expected = by_hand(found.get(key, []))
        if not percentiles:
            expected = {k: v for k, v in expected.items() if k not in PERCENTILES}
        assert figures_in(row("all", None, line), expected) == expected, key


def outcomes(contacts: Iterable[Mapping[str, Any]]) -> Counter[tuple[str | None, str]]:
    came = (c for c in contacts if c["direction"] == "in")
    return Counter((c["service"], c["disposition"] or IN_PROGRESS) for c in came)


def hour(zone: ZoneInfo) -> Any:  # noqa: ANN401 - a function of a contact
    return lambda c: datetime.fromtimestamp(c["first_queued"] // SECOND, zone).hour


def counted(made: Case, *, compared: bool = False) -> Counted:
    order = made.order
    with stored(made.contacts) as connection:
        bounds = bounds_of(order, order.of)
        return count(connection, order.asked, order.of, bounds, lambda _: None, compared=compared)


@pytest.mark.parametrize("part", [False, True], ids=["whole", "part"])
@pytest.mark.parametrize(("zone", "day"), WEEKS, ids=[f"{z} {d}" for z, d in WEEKS])
def test_a_week_is_what_its_contacts_are(zone: str, day: str, *, part: bool) -> None:
    made = case(zone, day, Length.WEEK, part=part)
    mine, found = made.within(made.order.of), counted(made)

    def midnight(contact: Mapping[str, Any]) -> int:
        local = datetime.fromtimestamp(contact["first_queued"] // SECOND, made.zone)
        night = datetime(local.year, local.month, local.day, tzinfo=made.zone)
        return int(night.timestamp()) * SECOND

    same({"all": found.of_all}, grouped(mine, lambda _: "all"))
    same(found.by_interval, grouped(mine, midnight))
    same(found.by_queue, grouped(mine, lambda c: c["queue"]))
    same(found.by_service, grouped(mine, lambda c: c["service"]))
    same(found.by_hour, grouped(mine, hour(made.zone)), percentiles=False)
    assert found.outcomes == outcomes(mine)
    came = [c for c in mine if c["direction"] == "in"]
    assert found.contacts == len(came)
    outside = [c for c in came if c["first_queued"] is None]
    assert found.outside == Counter(c["disposition"] for c in outside)
    out = [c for c in mine if c["direction"] == "out"]
    assert found.outgoing == Counter(c["disposition"] or IN_PROGRESS for c in out)
    assert out


@pytest.mark.parametrize(("zone", "day"), WEEKS, ids=[f"{z} {d}" for z, d in WEEKS])
def test_a_day_is_what_its_contacts_are(zone: str, day: str) -> None:
    made = case(zone, day, Length.DAY)
    mine, found = made.within(made.order.of), counted(made)
    bounds = bounds_of(made.order, made.order.of)
    same({"all": found.of_all}, grouped(mine, lambda _: "all"))
    same(
        found.by_interval,
        grouped(mine, lambda c: max(b for b in bounds if b <= c["first_queued"])),
    )
    same(found.by_hour, grouped(mine, hour(made.zone)), percentiles=False)


def test_what_is_only_compared_with_has_the_same_figures() -> None:
    """Of all together with percentiles; of queues, services and hours without."""
    made = case(*WEEKS[1], Length.WEEK)
    mine, found = made.within(made.order.of), counted(made, compared=True)
    same({"all": found.of_all}, grouped(mine, lambda _: "all"))
    same(found.by_queue, grouped(mine, lambda c: c["queue"]), percentiles=False)
    same(found.by_service, grouped(mine, lambda c: c["service"]), percentiles=False)
    same(found.by_hour, grouped(mine, hour(made.zone)), percentiles=False)
    assert found.outcomes == outcomes(mine)
    assert not found.by_interval


def test_operators_have_the_occupancy_of_their_own_report() -> None:
    """Calls that an operator dials are work there and here."""
    doing = [
        ("ready", "", None),
        ("ready", "", None),
        ("talk", DIALS[1], "c1"),
        ("talk", "", "c2"),
        ("wrap_up", "", "c2"),
    ]
    rows = [
        {"agent_id": "anna", "slot": 0, "start": n * 60 * SECOND, "end": (n + 1) * 60 * SECOND}
        | {"state": state, "reason": reason, "contact_id": contact_id}
        for n, (state, reason, contact_id) in enumerate(doing)
    ]
    since, until = Instant(0), Instant(300 * SECOND)
    with stored([]) as connection:
        connection.execute(schema.agent_interval.insert(), rows)
        of_all = staff(connection, since, until, until)
        (anna,) = operators.rows(connection, since, until, until)
    assert occupancy(of_all) == anna["occupancy"] == 0.6
