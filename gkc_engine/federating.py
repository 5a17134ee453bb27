"""One center among others: its link to them, built from the engine's parts, and its metrics."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.clock import new_uuid
from gkc_engine.config.federation import federation_settings, link_settings, members
from gkc_engine.config.models import Config
from gkc_engine.control.day import DayCounters
from gkc_engine.engine import Engine
from gkc_engine.federation.briefs import Briefs
from gkc_engine.federation.owner import Counted
from gkc_engine.federation.peers import State
from gkc_engine.federation.protocol import Federation
from gkc_engine.federation.settings import CenterEntry, Part
from gkc_engine.federation.sight import MEDIUM, CenterSight
from gkc_engine.ids import SECOND, ContactId, Instant, QueueId
from gkc_engine.statistics.figures import service_level

if TYPE_CHECKING:  # A center alone needs no NATS, nor the time to load it at each start.
    from gkc_engine.federation.link import Link

SL_FROM: Final = 10
"""With fewer contacts in the last half hour a service level says nothing."""


def part_of(config: Config, folder: Path) -> Part | None:
    """Return how a center takes part by its config; ``None``: it runs alone.

    Raises:
        ConfigError: A secret's reference leads nowhere.
    """
    settings, link = federation_settings(config), link_settings(config, folder)
    if settings is None or link is None:
        return None
    centers = tuple(
        CenterEntry(name=one.name, level=one.level, parent=one.parent, status=one.status)
        for one in members(config).values()
    )
    return Part(settings=settings, link=link, centers=centers)


@dataclass(slots=True)
class Joined:
    """A center among the others: what its config says of them, and its link to them."""

    part: Part
    link: Link
    briefs: Briefs
    sight: CenterSight

    def change(self, part: Part) -> None:
        """Put a reloaded config in force."""
        self.part, settings = part, part.settings
        self.sight.change(
            settings.keep_free,
            planned=settings.own_planned,
            second_lines=settings.second_lines,
        )
        self.link.federation.change(settings)


def joined(
    part: Part | None, engine: Engine, expected: ExpectedWait, day: DayCounters
) -> Joined | None:
    """Attach the center's link to its engine; ``None``: it runs alone."""
    if part is None:
        return None
    briefs = Briefs()
    sight = sight_of(part, engine, expected, day)
    link = link_of(part, engine, sight, briefs)
    engine.attach(link.perform)
    engine.observe(link.observe)
    engine.observe(
        lambda steps: briefs.follow(m for step in steps for m in (step.event, *step.commands))
    )
    return Joined(part, link, briefs, sight)


def sight_of(part: Part, engine: Engine, expected: ExpectedWait, day: DayCounters) -> CenterSight:
    """Return what the center says of itself."""

    def level(queue: QueueId, now: Instant) -> float | None:
        counts = day.recent(queue, now)
        return service_level(counts) if counts.answered + counts.abandoned >= SL_FROM else None

    return CenterSight(
        engine.acd,
        engine.now,
        expect=lambda contact_id, now: expected.expect(engine.acd, contact_id, now),
        expect_new=lambda queue, now: expected.expect_new(engine.acd, queue, now),
        level=level,
        target_us=day.target_us,
        keep_free=part.settings.keep_free,
        planned=part.settings.own_planned,
        second_lines=part.settings.second_lines,
    )


def link_of(part: Part, engine: Engine, sight: CenterSight, briefs: Briefs) -> Link:
    """Return the center's link, which knows who stands in its lines from before."""
    from gkc_engine.federation.link import Link

    federation = Federation(
        part.settings,
        sight,
        epoch=engine.now(),
        new_id=lambda: ContactId(new_uuid(engine.now())),
        brief=briefs.of,
    )
    federation.owner.standing.recall(engine.acd.in_line(MEDIUM), engine.acd.guests())
    return Link(engine, federation, part.link)


def served_elsewhere(one: Joined | None, engine: Engine) -> Callable[[QueueId], bool]:
    """Return what tells whether another center is there to serve contacts of a queue of ours."""
    if one is None:
        return lambda _queue: False
    return lambda queue: one.link.federation.may_help(queue, engine.now())


class CenterMetrics:
    """Instruments of a center that has others; their labels are the centers of the config."""

    def __init__(self, registry: CollectorRegistry, link: Link) -> None:
        self._link = link
        self._sums: dict[tuple[str, ...], int] = {}
        """What the counters have been told so far."""
        self._shown: set[str] = set()
        """Centers that have gauges."""
        self.bus_up = Gauge(
            "gkc_bus_up", "1 while the center's NATS leaf node answers.", registry=registry
        )
        self.up = Gauge(
            "gkc_center_up",
            "1 while another center was heard within 3 s and is not going down.",
            ["center"],
            registry=registry,
        )
        self.age = Gauge(
            "gkc_center_data_age_seconds",
            "How old what another center said of itself is; NaN before its first word.",
            ["center"],
            registry=registry,
        )
        self.out = Counter(
            "gkc_overflow_out_total",
            "Contacts of ours and another center: what became of the asking.",
            ["center", "what"],
            registry=registry,
        )
        self.guests = Counter(
            "gkc_overflow_in_total",
            "Contacts of another center and us: granted, why denied, how guests ended.",
            ["center", "what"],
            registry=registry,
        )
        self.refused = Counter(
            "gkc_federation_refused_total",
            "Messages not listened to; center is empty where it is none of the config.",
            ["center", "reason"],
            registry=registry,
        )
        self.dropped = Counter(
            "gkc_bus_dropped_total",
            "What was not said, or not handed to the core.",
            ["reason"],
            registry=registry,
        )
        for center in link.federation.settings.peers:
            for what in Counted:
                self.out.labels(center, what.value)

    def set(self) -> None:
        """Bring the instruments to what the link knows; in the event loop."""
        link, federation = self._link, self._link.federation
        now = link.now()
        self.bus_up.set(link.up)
        for name in self._shown - federation.peers.keys():  # A reload named it no more.
            self.up.remove(name)
            self.age.remove(name)
        self._shown = set(federation.peers)
        for name, peer in federation.peers.items():
            age = peer.age_us(now)
            self.up.labels(name).set(peer.state(now) not in (State.DOWN, State.GOING_DOWN))
            self.age.labels(name).set(math.nan if age is None else age / SECOND)
        for (center, what), n in federation.owner.counted.items():
            self._bring(self.out, n, center, what.value)
        for (center, said), n in federation.donor.counted.items():
            self._bring(self.guests, n, center, said)
        for (center, why), n in federation.refused.items():
            self._bring(self.refused, n, center, why.value)
        for reason, n in link.dropped.items():
            self._bring(self.dropped, n, reason)

    def _bring(self, counter: Counter, to: int, *labels: str) -> None:
        key = (str(counter), *labels)
        counter.labels(*labels).inc(to - self._sums.get(key, 0))
        self._sums[key] = to
