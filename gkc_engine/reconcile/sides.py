"""What both sides have of one call, and when two facts of them are one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gkc_engine.acd.commands import SegmentKind, SegmentOutcome
from gkc_engine.acd.events import Party
from gkc_engine.channels.phone.consults import LOCAL
from gkc_engine.channels.phone.live import born
from gkc_engine.channels.phone.translate import endpoint_of
from gkc_engine.ids import SECOND, Instant, Micros
from gkc_engine.reconcile.model import NEAR_US, STAMP_US, START_US

TALKS: Final = (
    *(SegmentKind.TALK, SegmentKind.HOLD, SegmentKind.PARKED, SegmentKind.EXTERNAL),
    SegmentKind.CONSULT,  # of another center's operator, whose call is on record like a guest's
)
OVER: Final = (SegmentOutcome.LEFT, SegmentOutcome.RELEASED)

OUT: Final = "out"
"""``contact.direction`` of a call that an operator made."""

AWAY_US: Final = Micros(5 * SECOND)
"""So long an engine that comes back needs to hear of what goes on."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One channel as Asterisk lists it."""

    uid: str
    linked: str
    channel: str
    exten: str
    context: str
    started: Instant | None
    answered: Instant | None
    ended: Instant | None

    @classmethod
    def of(cls, row: Row) -> Leg:
        """Return the leg of a row of the spool."""
        return cls(**{name: row[name] for name in cls.__slots__})

    @property
    def endpoint(self) -> str | None:
        """``PJSIP/101``."""
        return endpoint_of(self.channel)

    @property
    def is_half(self) -> bool:
        """Whether it is a half of Asterisk's own, and nobody's telephone."""
        return self.channel.startswith(LOCAL)

    @property
    def began(self) -> Instant:
        """When it began, by its name if the line is missing."""
        known = (self.started, self.answered, self.ended, born(self.uid))
        return next((at for at in known if at is not None), Instant(0))


@dataclass(slots=True, kw_only=True)
class Known:
    """What the rules need to know of the whole comparison."""

    file_from: Instant
    """Of the first line of CEL."""
    settled: Instant
    """What ended later may still be on its way into either list."""
    phones: Mapping[str, str]
    """Endpoint → operator."""
    away: list[tuple[Instant, Instant]]
    steps: list[Micros] = field(default_factory=list)
    """How far the two clocks lie apart, beside 0: after steps of the wall clock."""
    restarts: list[Instant] = field(default_factory=list)
    """When Asterisk was started anew, by its own count of channels."""

    def apart(self, ours: int, theirs: int, limit: int) -> bool:
        """Whether two instants of one fact lie farther apart than ``limit``, a step aside."""
        return all(abs(ours - theirs - step) > limit for step in (0, *self.steps))

    def came_apart(self, ours: int, theirs: int) -> bool:
        """Whether two words on when a call came do not fit: ours may be late, never early."""
        return all(not -STAMP_US <= ours - theirs - step <= START_US for step in (0, *self.steps))

    def later(self, ours: int, theirs: int, limit: int) -> bool:
        """Whether ``ours`` is later than ``theirs`` by more than ``limit``, a step aside."""
        return all(ours - theirs - step > limit for step in (0, *self.steps))

    def before(self, ours: int, theirs: int, limit: int) -> bool:
        """Whether ``ours`` is earlier than ``theirs`` by more than ``limit``, a step aside."""
        return all(theirs - ours + step > limit for step in (0, *self.steps))

    def was_away(self, at: int) -> bool:
        """Whether no engine was there to see what happened at ``at``."""
        return any(since - AWAY_US <= at <= until + AWAY_US for since, until in self.away)

    def restarted_after(self, at: int) -> bool:
        """Whether Asterisk was started anew later than ``at``: it wrote no end of what it held."""
        return any(restart > at for restart in self.restarts)


@dataclass(slots=True, kw_only=True)
class Call:
    """One contact with all that both sides have of it."""

    contact: Row
    leg: Leg | None
    dialled: list[Leg]
    """Legs that were made for it."""
    segments: list[Row]
    offers: list[Row]

    @property
    def came(self) -> Instant:
        """When its line came to us: of a guest, at the end of its way, later than it begins."""
        first = min(self.segments, key=in_order, default=None)
        if first is not None and first["kind"] == SegmentKind.TRANSIT:
            return Instant(first["end"])
        return Instant(self.contact["started"])

    def talks(self) -> list[Row]:
        """Return the segments with somebody on the other side."""
        return [s for s in self.segments if s["party"] == Party.CITIZEN and s["kind"] in TALKS]

    def rings_outside(self) -> list[Row]:
        """Return the segments in which he was put through to a number that had not answered."""
        rings = [s for s in self.segments if s["kind"] == SegmentKind.RING]
        return [s for s in rings if s["citizen_id"] is not None]

    def native(self) -> list[Row]:
        """Return the segments in Asterisk's own queue."""
        return [s for s in self.segments if s["kind"] == SegmentKind.FALLBACK]


def in_order(segment: Row) -> tuple[int, str]:
    """Return what segments of one contact are sorted by."""
    return segment["n"], segment["segment_id"]


def meet(segment: Row, leg: Leg) -> bool:
    """Whether the leg was up during the segment."""
    end = leg.ended if leg.ended is not None else segment["end"]
    return bool(leg.began <= segment["end"] + STAMP_US and end >= segment["start"] - STAMP_US)


def near(segment: Row, leg: Leg) -> bool:
    """Whether the leg began while the segment lasted."""
    return bool(segment["start"] - NEAR_US <= leg.began <= segment["end"] + NEAR_US)


def meet_offer(offer: Row, leg: Leg) -> bool:
    """Whether the leg may have been made by the offer."""
    end = offer["ended"] if offer["ended"] is not None else leg.began
    return bool(offer["created"] - NEAR_US <= leg.began <= end + NEAR_US)


def clock_steps(
    instants: Iterable[tuple[Instant, Micros]], normal: Micros = STAMP_US
) -> list[tuple[Instant, Micros]]:
    """Return the steps of the wall clock: when, and how far the two sides lie apart since.

    Args:
        instants: (when, ours − theirs) of facts that both sides wrote down, in order of time.
        normal: So far apart they may lie without a step.

    A step is seen by two instants in a row, at least, that lie equally far apart: what is wrong in
    one call is wrong alone.
    """
    steps: list[tuple[Instant, Micros]] = []
    last: tuple[Instant, Micros] | None = None
    for at, apart in instants:
        if abs(apart) <= normal:
            last = None
            continue
        again = last is not None and abs(apart - last[1]) <= normal
        if again and not any(abs(apart - known) <= normal for _, known in steps):
            assert last is not None
            steps.append(last)
        last = (at, apart)
    return steps
