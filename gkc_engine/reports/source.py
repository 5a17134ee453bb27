"""What a report is counted from: the one place in which reports read the records.

By `statistics.rollups`: sums by quarter-hours, and the waits of the contacts themselves.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from gkc_engine.config.guardrail_model import guardrails_of
from gkc_engine.ids import Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.city import is_city, name_in_city
from gkc_engine.recorder.new_records import CONSULT, GUEST
from gkc_engine.recorder.rollup import GRAIN_US, TALKING, WAITING
from gkc_engine.reports.periods import Stretch
from gkc_engine.statistics import rollups
from gkc_engine.statistics.drill import IN_PROGRESS
from gkc_engine.statistics.figures import Handling
from gkc_engine.statistics.intervals import at
from gkc_engine.statistics.rollups import Line, Period
from gkc_engine.statistics.scope import EVERYTHING, Scope
from gkc_engine.statistics.worktime import Within, time_of_all

GOAL: Final = 0.8
"""Service level that is asked for where no guard-rail says one: 80 % in time, the field's habit."""

OUT: Final = "out"
"""``direction`` of a call that an operator made."""

CENTERS_SHOWN: Final = 10
"""So many centers a report of the city names at its head."""

_V = TypeVar("_V")

Progress = Callable[[int], None]
"""Told how many contacts have been read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the config that was in force says: names for people, and what was asked for."""

    center: str = ""
    title: str = ""
    services: Mapping[str, str] = field(default_factory=dict)
    bodies: Mapping[str, str] = field(default_factory=dict)
    """Service -> executive body."""
    queues: Mapping[str, str] = field(default_factory=dict)
    goals: Mapping[str, float] = field(default_factory=dict)
    """Queue -> ``guardrails.QUEUE.sl_min``."""
    version: str = ""

    def service(self, key: str | None, without: str) -> str:
        """Return a service's name for people."""
        return without if not key else self.services.get(key, key)

    def queue(self, key: str | None, without: str) -> str:
        """Return a queue's name for people."""
        return without if not key else self.queues.get(key, key)


@dataclass(slots=True, kw_only=True)
class Counted:
    """The contacts of one stretch of time, grouped in every way that a report needs."""

    of_all: Line = field(default_factory=Line)
    by_interval: dict[Instant, Line] = field(default_factory=dict)
    by_hour: dict[int, Line] = field(default_factory=dict)
    """By the hour that the wall clock shows, 0 to 23; without percentiles."""
    by_queue: dict[str | None, Line] = field(default_factory=dict)
    by_service: dict[str | None, Line] = field(default_factory=dict)
    outcomes: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    """(service, disposition) -> contacts; also those that never entered a queue."""
    outgoing: Counter[str] = field(default_factory=Counter)
    """Disposition -> calls that operators made: contacts of direction out, beside all else."""
    guests: Counter[str] = field(default_factory=Counter)
    """Disposition -> contacts of other centers, beside all else: they are counted there."""
    outside: Counter[str] = field(default_factory=Counter)
    """Disposition -> contacts that never entered a queue."""
    staff: Handling | None = None
    """On what all operators' time went; ``None`` where only a part of the contacts is asked for."""

    def ended_as(self) -> Counter[str]:
        """Return how many contacts there were of each disposition."""
        found: Counter[str] = Counter()
        for (_, disposition), n in self.outcomes.items():
            found[disposition] += n
        return found

    @property
    def contacts(self) -> int:
        """How many contacts there were, queued or not."""
        return self.outcomes.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Of which contacts a report is."""

    zone: ZoneInfo
    known: Instant
    """Until when the records tell what goes on."""
    queue: str | None = None
    service: str | None = None
    scope: Scope = EVERYTHING
    """Who asks."""
    body: str | None = None
    """The executive body whose services ``scope`` holds alone; ``None``: no body was asked for."""

    @property
    def narrowed(self) -> bool:
        """Whether only a part of the contacts is asked for: then operators cannot be counted."""
        return self.queue is not None or self.service is not None or self.scope.limited

    def period(self, of: Stretch) -> Period:
        """Return the stretch as the statistics ask for it."""
        return Period(
            since=of.since,
            until=of.seen,
            queue=self.queue,
            service=self.service,
            scope=self.scope,
        )


def count(
    connection: sa.Connection,
    asked: Asked,
    of: Stretch,
    bounds: Sequence[Instant] | None,
    tell: Progress,
    *,
    compared: bool = False,
) -> Counted:
    """Return the figures of a stretch of time.

    Args:
        connection: To the records.
        asked: Of which contacts.
        of: The stretch.
        bounds: Where its intervals begin, and where the last one ends: half-hours, or days;
            ``None``: it is not asked what came when.
        tell: Told how many contacts have been read.
        compared: It is only what another stretch is held against: then nothing is counted by
            interval, and percentiles are of all together alone.
    """
    found = Counted()
    if of.seen <= of.since:
        return found
    zone, period = asked.zone, asked.period(of)
    inner = None if compared else bounds
    by: tuple[rollups.By, ...] = ("direction", "queue", "service")
    lines, ends = rollups.sums(connection, period, by=by, bounds=inner)
    for (*begin, _, queue, service), line in lines.items():
        for group in _groups(found, begin, queue, service):
            group.add(line)
    _count_ends(found, ends)
    by = () if compared else ("queue", "service")
    for key, waits in rollups.waits_of(connection, period, by=by, bounds=inner):
        if compared:
            found.of_all.waits.append(waits)
            continue
        *begin, queue, service = key
        for group in _groups(found, begin, queue, service):
            group.waits.append(waits)
    if bounds is not None:
        found.by_hour = _by_hour(connection, period, zone)
    tell(found.contacts)
    if not asked.narrowed:
        found.staff = staff(connection, of.since, of.seen, asked.known)
    return found


def _groups(found: Counted, begin: Sequence[Instant], queue: str, service: str) -> Iterator[Line]:
    """Give the lines in which contacts of that interval (if one is told) and queue count."""
    yield found.of_all
    yield found.by_queue.setdefault(queue or None, Line())
    yield found.by_service.setdefault(service or None, Line())
    for interval in begin:
        yield found.by_interval.setdefault(interval, Line())


def _count_ends(found: Counted, ends: Mapping[rollups.Group, rollups.Outcomes]) -> None:
    for (*_, direction, _, service), counter in ends.items():
        for (outcome, queued), n in counter.items():
            name = IN_PROGRESS if outcome in (TALKING, WAITING) else outcome
            if direction == OUT:
                found.outgoing[name] += n
                continue
            if direction == CONSULT:
                continue
            if direction == GUEST:
                found.guests[name] += n
                continue
            found.outcomes[service or None, name] += n
            if not queued:
                found.outside[name] += n


def _by_hour(connection: sa.Connection, period: Period, zone: ZoneInfo) -> dict[int, Line]:
    """Return the counts of each hour that the wall clock shows, all days together."""
    found: dict[int, Line] = {}
    hours = _hours(period.since, period.until, zone)
    for (begin,), line in rollups.read(connection, period, bounds=hours, waits=False).items():
        found.setdefault(at(begin).astimezone(zone).hour, Line()).add(line)
    return found


def _hours(since: Instant, until: Instant, zone: ZoneInfo) -> list[Instant]:
    """Return at which quarter-hours the wall clock begins to show another hour, from ``since`` on.

    No interval of the clock would do: on the Chatham Islands 02:44 is followed by 03:45.
    """
    first, last = since - since % GRAIN_US, -(-until // GRAIN_US) * GRAIN_US
    bounds: list[Instant] = []
    shown: tuple[date, int] | None = None
    for moment in range(first, last, GRAIN_US):
        local = at(moment).astimezone(zone)
        if (local.date(), local.hour) != shown:
            shown = (local.date(), local.hour)
            bounds.append(Instant(moment))
    return [*bounds, Instant(last)]


def staff(connection: sa.Connection, since: Instant, until: Instant, known: Instant) -> Handling:
    """Return on what the time of all operators together went in a stretch of time."""
    return time_of_all(connection, Within(since=since, until=until, known=known))


# --- what the config said -------------------------------------------------------------------------


def facts(connection: sa.Connection, of: Stretch) -> Facts:
    """Return the names of the config under which the last contact of the stretch was decided.

    So a report of a past month says the same when services are renamed. Without a contact: of the
    config that was applied last. Of the city: those of all centers, as each had them last in that
    time; a name that two centers give otherwise is the first center's.
    """
    if is_city(connection):
        return _facts_of_city(connection, of)
    c, versions = schema.contact.c, schema.config_version.c
    query = (
        sa.select(c.config_version)
        .where(c.started >= of.since, c.started < of.seen)
        .order_by(c.started.desc(), c.contact_id.desc())
        .limit(1)
    )
    version = connection.scalar(query)
    found = sa.select(versions.hash, schema.event.c.data).join(
        schema.event, schema.event.c.event_id == versions.event_id
    )
    if version is not None:
        row = connection.execute(found.where(versions.hash == version)).first()
    else:
        row = connection.execute(found.order_by(versions.applied.desc()).limit(1)).first()
    if row is None:
        return Facts()
    return facts_of_tree(row[0], json.loads(row[1]).get("tree") or "")


def _facts_of_city(connection: sa.Connection, of: Stretch) -> Facts:
    feed, versions = schema.feed.c, schema.config_version.c
    configs = [
        _config_of(connection, versions.hash, center, of)
        for center in connection.scalars(sa.select(feed.center).order_by(feed.number))
    ]
    found = [
        facts_of_tree(row.hash, json.loads(row.data).get("tree") or "")
        for row in configs
        if row is not None
    ]
    shown = [one.center for one in found if one.center]
    more = "…" if len(shown) > CENTERS_SHOWN else ""
    return Facts(
        center=", ".join(shown[:CENTERS_SHOWN]) + more,
        services=_merged(one.services for one in found),
        bodies=_merged(one.bodies for one in found),
        queues=_merged(one.queues for one in found),
        goals=_merged(one.goals for one in found),
    )


def _config_of(
    connection: sa.Connection, column: sa.Column[str], center: str, of: Stretch
) -> sa.Row[tuple[str, str]] | None:
    """Return name and data of the config that a center had applied last in a stretch of time."""
    versions, own = schema.config_version.c, name_in_city(center, "")
    query = (
        sa.select(column, schema.event.c.data)
        .join(schema.event, schema.event.c.event_id == versions.event_id)
        .where(column >= own, column < own + "\U0010ffff")
        # One of the time, if there is any: false sorts before true.
        .order_by(versions.applied >= of.seen, versions.applied.desc())
        .limit(1)
    )
    return connection.execute(query).first()


def _merged(several: Iterable[Mapping[str, _V]]) -> dict[str, _V]:
    made: dict[str, _V] = {}
    for one in several:
        made = {**one, **made}
    return made


def facts_of_tree(version: str, tree: str) -> Facts:
    """Return the names in a config on record (``Config.tree``; empty of older ledgers)."""
    told = json.loads(tree) if tree else {}
    services = told.get("services", {})
    return Facts(
        center=told.get("center", {}).get("prefix", ""),
        title=told.get("center", {}).get("title", ""),
        services={key: one["title"] for key, one in services.items()},
        bodies={key: one["body"] for key, one in services.items() if one.get("body")},
        queues={key: one.get("title") or key for key, one in told.get("queues", {}).items()},
        goals={
            queue: rail.sl_min
            for queue, rail in guardrails_of(tree).items()
            if rail.sl_min is not None
        },
        version=version,
    )


def occurs(connection: sa.Connection, column: str, value: str) -> bool:
    """Return whether any contact on record has that queue or service."""
    table = schema.contact
    query = sa.select(sa.literal(1)).where(table.c[column] == value).limit(1)
    return connection.scalar(query) is not None


def total(lines: Mapping[Any, Line], keys: Sequence[Any]) -> Line:
    """Return the lines of these keys together."""
    made = Line()
    for key in keys:
        if key in lines:
            made.counts.add(lines[key].counts)
            made.handling.add(lines[key].handling)
            made.waits += lines[key].waits
    return made
