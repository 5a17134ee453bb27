"""Call by call: a contact with its segments and offers against the legs that Asterisk lists.

Each rule says what it compares and what it sets aside; docs/reference/records.md has them, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from gkc_engine.acd.commands import OfferOutcome, SegmentKind, SegmentOutcome
from gkc_engine.acd.events import Party
from gkc_engine.channels.phone.catch_up import LOST_WITH_ASTERISK
from gkc_engine.channels.phone.consults import LOCAL
from gkc_engine.channels.phone.live import born
from gkc_engine.channels.phone.translate import endpoint_of
from gkc_engine.ids import SECOND, Instant, Micros
from gkc_engine.reconcile.model import STAMP_US, START_US, Count, Difference, Kind
from gkc_engine.reconcile.spool import Spool
from gkc_engine.recorder.queries import iso

_TALKS: Final = (SegmentKind.TALK, SegmentKind.HOLD, SegmentKind.PARKED, SegmentKind.EXTERNAL)
_OVER: Final = (SegmentOutcome.LEFT, SegmentOutcome.RELEASED)

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

    def talks(self) -> list[Row]:
        """Return the segments with somebody on the other side."""
        return [s for s in self.segments if s["party"] == Party.CITIZEN and s["kind"] in _TALKS]

    def native(self) -> list[Row]:
        """Return the segments in Asterisk's own queue."""
        return [s for s in self.segments if s["kind"] == SegmentKind.FALLBACK]


class Judge:
    """Compares one call after another."""

    def __init__(self, spool: Spool, known: Known, counts: Counter[Count]) -> None:
        self._spool = spool
        self._known = known
        self._counts = counts

    def call(self, row: Row) -> Call:
        """Return the call of a row of the spool's contacts."""
        contact = msgspec.json.decode(row["row"])
        uid = row["uid"]
        ask = self._spool.all
        legs = [Leg.of(r) for r in ask("SELECT * FROM leg WHERE uid = ? OR linked = ?", uid, uid)]
        ours = ask("SELECT row FROM segment WHERE contact_id = ?", row["contact_id"])
        offers = ask("SELECT row FROM offer WHERE contact_id = ?", row["contact_id"])
        return Call(
            contact=contact,
            leg=next((leg for leg in legs if leg.uid == uid), None),
            dialled=sorted((leg for leg in legs if leg.uid != uid), key=lambda leg: leg.began),
            segments=sorted((msgspec.json.decode(r["row"]) for r in ours), key=_in_order),
            offers=[msgspec.json.decode(r["row"]) for r in offers],
        )

    def differences(self, call: Call) -> Iterator[Difference]:
        """Compare one call; count what was looked at and what was set aside."""
        contact, known = call.contact, self._known
        self._counts[Count.CONTACTS] += 1
        ended = contact["ended"]
        if call.leg is None:
            if contact["started"] < known.file_from:
                self._counts[Count.BEFORE_FILE] += 1
            elif contact["started"] > known.settled:
                self._counts[Count.IN_PROGRESS] += 1
            else:
                theirs = "no such leg"
                yield self.found(Kind.NO_LEG, call, f"a call at {iso(contact['started'])}", theirs)
            return
        self._counts[Count.LEGS] += 1 + len(call.dialled)
        if ended is None or ended > known.settled:
            gone = call.leg.ended
            if ended is None and gone is not None and gone <= known.settled:
                yield self.found(Kind.NOT_ENDED, call, "not ended", f"hung up at {iso(gone)}")
            else:
                self._counts[Count.IN_PROGRESS] += 1
            return
        yield from self._whole(call, call.leg, ended)
        yield from self._citizens_times(call, call.leg)
        if not self._lost(call, call.leg):
            yield from self._others(call)

    def found(self, kind: Kind, call: Call, ours: str, theirs: str, leg: str = "") -> Difference:
        """Return a difference of this call, on ``leg`` (without it: the citizen's)."""
        return Difference(
            kind=kind,
            contact_id=call.contact["contact_id"],
            number=call.contact["number"],
            uniqueid=leg or call.contact["linkedid"],
            ours=ours,
            theirs=theirs,
        )

    # --- are all lines of a leg there ----------------------------------------------------------

    def _whole(self, call: Call, leg: Leg, over: Instant) -> Iterator[Difference]:
        """A leg that is over has CHAN_START and HANGUP, unless Asterisk or the file ended first."""
        name = f"leg {leg.uid} ({leg.channel})"
        if leg.started is None and leg.began >= self._known.file_from:
            yield self.found(
                Kind.START_MISSING, call, "a call of ours", f"{name}: no CHAN_START", leg.uid
            )
        if leg.ended is None:
            if self._lost(call, leg):
                self._counts[Count.LOST_WITH_ASTERISK] += 1
            else:
                ours = f"the call ended at {iso(over)}"
                yield self.found(Kind.END_MISSING, call, ours, f"{name}: no HANGUP", leg.uid)

    def _lost(self, call: Call, leg: Leg) -> bool:
        """Whether Asterisk went down with the leg: it says so to the engine, or counts anew."""
        with_it = call.contact["reason"] == LOST_WITH_ASTERISK
        return leg.ended is None and (with_it or self._known.restarted_after(leg.began))

    def _citizens_times(self, call: Call, leg: Leg) -> Iterator[Difference]:
        contact, known = call.contact, self._known
        pairs = (
            ("came", contact["started"], leg.started, START_US),
            ("left", contact["ended"], leg.ended, STAMP_US),
        )
        for what, ours, theirs, limit in pairs:
            if theirs is not None and known.apart(ours, theirs, limit):
                yield self.found(Kind.TIMES, call, f"{what} {iso(ours)}", f"{what} {iso(theirs)}")
        if contact["answered"] is not None and leg.answered is None:
            ours = f"answered at {iso(contact['answered'])}"
            yield self.found(Kind.ANSWER_MISSING, call, ours, f"leg {leg.uid}: no ANSWER")

    # --- the other side: operators, their phones, outside parties -------------------------------

    def _others(self, call: Call) -> Iterator[Difference]:
        over = call.contact["ended"]
        on_record: dict[str, list[Row]] = {}
        for segment in call.talks():
            if segment["channel_uniqueid"]:
                on_record.setdefault(segment["channel_uniqueid"], []).append(segment)
        legs = {leg.uid: leg for leg in call.dialled if not leg.is_half}
        for uid, segments in on_record.items():
            yield from self._talk(call, legs.get(uid) or self._leg(uid), uid, segments)
        rings = []
        for leg in legs.values():
            if leg.began < self._known.file_from:
                continue
            yield from self._whole(call, leg, over)
            if leg.uid in on_record:
                continue
            if leg.answered is not None:
                yield from self._unrecorded_talk(call, leg)
            else:
                rings.append(leg)
        yield from self._rings(call, rings)

    def _leg(self, uid: str) -> Leg | None:
        rows = self._spool.all("SELECT * FROM leg WHERE uid = ?", uid)
        return Leg.of(rows[0]) if rows else None

    def _talk(
        self, call: Call, leg: Leg | None, uid: str, segments: list[Row]
    ) -> Iterator[Difference]:
        """A talk stands on a leg of this call, which was answered, and within its time."""
        first = segments[0]
        who = f"{first['kind']} with {first['agent_id'] or 'an outside party'} on leg {uid}"
        if leg is None:
            if first["start"] >= self._known.file_from:
                yield self.found(Kind.SEGMENT_LEG, call, who, "no such leg", uid)
            return
        if leg.linked != call.contact["linkedid"] and not self._asked_first(leg):
            theirs = f"that leg ({leg.channel}) was in call {leg.linked}"
            yield self.found(Kind.SEGMENT_LEG, call, who, theirs, uid)
            return
        yield from self._talk_times(call, leg, segments, who)

    def _talk_times(
        self, call: Call, leg: Leg, segments: list[Row], who: str
    ) -> Iterator[Difference]:
        """A talk begins with the answer of its leg, if nobody was asked first, and ends with it."""
        known, start, last = self._known, segments[0]["start"], segments[-1]
        if leg.answered is None:
            theirs = f"leg {leg.uid}: no ANSWER"
            yield self.found(Kind.ANSWER_MISSING, call, who, theirs, leg.uid)
        else:
            first = self._is_first(call, leg)
            if (known.apart if first else known.before)(start, leg.answered, STAMP_US):
                ours, theirs = f"{who} from {iso(start)}", f"answered {iso(leg.answered)}"
                yield self.found(Kind.TIMES, call, ours, theirs, leg.uid)
        if leg.ended is not None:
            over = last["outcome"] in _OVER
            if (known.apart if over else known.later)(last["end"], leg.ended, STAMP_US):
                ours, theirs = f"{who} to {iso(last['end'])}", f"hung up {iso(leg.ended)}"
                yield self.found(Kind.TIMES, call, ours, theirs, leg.uid)

    def _is_first(self, call: Call, leg: Leg) -> bool:
        """Whether the answer of the leg began the talk: nobody had asked him before."""
        return leg.linked == call.contact["linkedid"] and not self._in_own_call(leg)

    def _asked_first(self, leg: Leg) -> bool:
        """Whether the leg was made by an operator's own call, which a transfer then joined."""
        return bool(self._spool.value("SELECT count(*) FROM own WHERE uid = ?", leg.linked)) or (
            self._in_own_call(leg)
        )

    def _in_own_call(self, leg: Leg) -> bool:
        agent = self._known.phones.get(leg.endpoint or "")
        if agent is None:
            return False
        edge = STAMP_US
        return bool(
            self._spool.value(
                "SELECT count(*) FROM own WHERE agent_id = ? AND started <= ?"
                " AND (ended IS NULL OR ended >= ?)",
                agent,
                (leg.ended or leg.began) + edge,
                leg.began - edge,
            )
        )

    def _unrecorded_talk(self, call: Call, leg: Leg) -> Iterator[Difference]:
        """An answered leg that no segment names: known if its talk is, or as an own call."""
        agent = self._known.phones.get(leg.endpoint or "")
        assert leg.answered is not None
        for segment in call.talks():
            unnamed = not segment["channel_uniqueid"]
            if unnamed and segment["agent_id"] == agent and _meet(segment, leg):
                return
        if self._in_own_call(leg):
            self._counts[Count.OWN_CALLS] += 1
            return
        theirs = f"{leg.channel} answered {iso(leg.answered)}"
        yield self.found(Kind.TALK_UNRECORDED, call, "no talk on that leg", theirs, leg.uid)

    def _rings(self, call: Call, legs: list[Leg]) -> Iterator[Difference]:
        """Each ring is an offer's, the native queue's, or an operator's own call; and back."""
        left = [o for o in call.offers if o["outcome"] != OfferOutcome.ACCEPTED]
        unmatched = []
        for leg in legs:
            agent = self._known.phones.get(leg.endpoint or "")
            mine = [o for o in left if o["agent_id"] == agent and _meet_offer(o, leg)]
            if mine:
                left.remove(mine[0])
            else:
                unmatched.append(leg)
        for leg in unmatched:
            # An operator may sit at another's phone for a while.
            elsewhere = next((o for o in left if _meet_offer(o, leg)), None)
            if elsewhere is not None:
                left.remove(elsewhere)
            elif any(_near(segment, leg) for segment in call.native()) or (
                self._known.was_away(leg.began)
            ):
                self._counts[Count.NATIVE_RINGS] += 1
            elif self._in_own_call(leg):
                self._counts[Count.OWN_CALLS] += 1
            elif not any(_meet_offer(o, leg) for o in call.offers):
                theirs = f"{leg.channel} rang from {iso(leg.began)}"
                yield self.found(Kind.RING_UNRECORDED, call, "no offer then", theirs, leg.uid)
        for offer in left:
            if offer["ringing"] is not None and offer["created"] >= self._known.file_from:
                ours = (
                    f"offer {offer['offer_id']} rang {offer['agent_id']} at {iso(offer['ringing'])}"
                )
                yield self.found(Kind.RING_WITHOUT_LEG, call, ours, "no leg that rang then")


def _in_order(segment: Row) -> tuple[int, str]:
    return segment["n"], segment["segment_id"]


def _meet(segment: Row, leg: Leg) -> bool:
    """Whether the leg was up during the segment."""
    end = leg.ended if leg.ended is not None else segment["end"]
    return bool(leg.began <= segment["end"] + STAMP_US and end >= segment["start"] - STAMP_US)


def _near(segment: Row, leg: Leg) -> bool:
    """Whether the leg began while the segment lasted."""
    return bool(segment["start"] - START_US <= leg.began <= segment["end"] + START_US)


def _meet_offer(offer: Row, leg: Leg) -> bool:
    """Whether the leg may have been made by the offer."""
    end = offer["ended"] if offer["ended"] is not None else leg.began
    return bool(offer["created"] - START_US <= leg.began <= end + START_US)


def clock_steps(
    instants: Iterable[tuple[Instant, Micros]], normal: Micros = START_US
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
