"""Call by call: a contact with its segments and offers against the legs that Asterisk lists.

Each rule says what it compares and what it sets aside; docs/reference/records.md has them, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from gkc_engine.acd.commands import OfferOutcome, SegmentKind, TransferKind
from gkc_engine.acd.events import Party
from gkc_engine.channels.phone.catch_up import LOST_WITH_ASTERISK
from gkc_engine.ids import Instant, is_abroad
from gkc_engine.reconcile.model import HEARD_US, STAMP_US, Count, Difference, Kind
from gkc_engine.reconcile.sides import (
    OUT,
    OVER,
    Call,
    Known,
    Leg,
    Row,
    in_order,
    meet,
    meet_offer,
    near,
)
from gkc_engine.reconcile.spool import Spool
from gkc_engine.recorder.queries import iso

_CALLS_OUT: Final = (
    "SELECT count(*) FROM contact WHERE uid = ? AND json_extract(row, '$.direction') = ?"
)


ASKING: Final = "gkc-transfer"
"""The context in which an operator's phone calls a colleague by ``*2``."""


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
            segments=sorted((msgspec.json.decode(r["row"]) for r in ours), key=in_order),
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
        if contact["direction"] == OUT:
            yield from self._outbound(call, call.leg)
            return
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
        yield from self._came(call, leg)
        if leg.ended is not None and known.apart(contact["ended"], leg.ended, STAMP_US):
            if self._offered_meanwhile(call, leg.ended):
                self._counts[Count.HEARD_LATE] += 1
            else:
                ours, theirs = f"left {iso(contact['ended'])}", f"left {iso(leg.ended)}"
                yield self.found(Kind.TIMES, call, ours, theirs)
        if contact["answered"] is not None and leg.answered is None:
            ours = f"answered at {iso(contact['answered'])}"
            yield self.found(Kind.ANSWER_MISSING, call, ours, f"leg {leg.uid}: no ANSWER")

    def _offered_meanwhile(self, call: Call, gone: Instant) -> bool:
        """Whether an offer was made to one who had gone, before the engine heard of it.

        His parts tile his time: he ends where the offer begins, which rang nobody.
        """
        last = max((s for s in call.segments if s["party"] == Party.CITIZEN), key=in_order)
        ended = call.contact["ended"]
        if last["kind"] != SegmentKind.RING or not last["start"] == last["end"] == ended:
            return False
        made = [o for o in call.offers if o["created"] == ended]
        unheard = all(o["outcome"] == OfferOutcome.WITHDRAWN and o["ringing"] is None for o in made)
        return bool(made) and unheard and not self._known.later(ended, gone, HEARD_US)

    def _came(self, call: Call, leg: Leg) -> Iterator[Difference]:
        started = call.came
        if leg.started is not None and self._known.came_apart(started, leg.started):
            ours, theirs = f"came {iso(started)}", f"came {iso(leg.started)}"
            yield self.found(Kind.TIMES, call, ours, theirs)

    def _outbound(self, call: Call, leg: Leg) -> Iterator[Difference]:
        """An operator's call: his line outlives it by a tone or a word; who answers is outside."""
        contact, known = call.contact, self._known
        yield from self._came(call, leg)
        if leg.ended is not None and known.later(contact["ended"], leg.ended, STAMP_US):
            ours, theirs = f"ended {iso(contact['ended'])}", f"hung up {iso(leg.ended)}"
            yield self.found(Kind.TIMES, call, ours, theirs)
        outside = [one for one in call.dialled if not one.is_half]
        for one in outside:
            yield from self._whole(call, one, contact["ended"])
        answers = [one.answered for one in outside if one.answered is not None]
        answered = contact["answered"]
        if answered is None and answers:
            theirs = f"leg {outside[0].uid} answered {iso(answers[0])}"
            yield self.found(Kind.TALK_UNRECORDED, call, "not answered", theirs)
        elif answered is not None and not answers:
            ours = f"answered {iso(answered)}"
            yield self.found(Kind.ANSWER_MISSING, call, ours, "no leg of it has an ANSWER")
        elif answered is not None and all(known.apart(answered, a, STAMP_US) for a in answers):
            theirs = f"answered {iso(answers[0])}"
            yield self.found(Kind.TIMES, call, f"answered {iso(answered)}", theirs)

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
            first = self._is_first(call, leg, segments[0])
            if (known.apart if first else known.before)(start, leg.answered, STAMP_US):
                ours, theirs = f"{who} from {iso(start)}", f"answered {iso(leg.answered)}"
                yield self.found(Kind.TIMES, call, ours, theirs, leg.uid)
        if leg.ended is not None:
            over = last["outcome"] in OVER
            if (known.apart if over else known.later)(last["end"], leg.ended, STAMP_US):
                ours, theirs = f"{who} to {iso(last['end'])}", f"hung up {iso(leg.ended)}"
                yield self.found(Kind.TIMES, call, ours, theirs, leg.uid)

    def _is_first(self, call: Call, leg: Leg, talk: Row) -> bool:
        """Whether the answer of the leg began the talk: nobody had asked him before."""
        before = [s for s in call.segments if s["end"] == talk["start"] and s["n"] == talk["n"] - 1]
        asked = any(s["transfer_kind"] == TransferKind.ATTENDED for s in before)
        own = leg.linked != call.contact["linkedid"] or self._in_own_call(leg)
        return not asked and not own

    def _asked_first(self, leg: Leg) -> bool:
        """Whether the leg was made by an operator's own call, which a transfer then joined."""
        return (
            bool(self._spool.value("SELECT count(*) FROM own WHERE uid = ?", leg.linked))
            or bool(self._spool.value(_CALLS_OUT, leg.linked, OUT))
            or self._in_own_call(leg)
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
            told = segment["agent_id"]
            over_trunk = agent is None and told is not None and is_abroad(told)
            if unnamed and (over_trunk or told == agent) and meet(segment, leg):
                return
        if self._in_own_call(leg) or self._asked_meanwhile(call, leg):
            self._counts[Count.OWN_CALLS] += 1
            return
        theirs = f"{leg.channel} answered {iso(leg.answered)}"
        yield self.found(Kind.TALK_UNRECORDED, call, "no talk on that leg", theirs, leg.uid)

    def _asked_meanwhile(self, call: Call, leg: Leg) -> bool:
        """Whether a colleague was asked for advice by ``*2`` and let go, while no engine was there.

        Such a leg is made by a half of Asterisk's own that rings colleagues, and begins and ends
        while the one who asked talks with the citizen, which is on record.
        """
        talked = {s["channel_uniqueid"] for s in call.talks()}
        halves = [x for x in call.dialled if x.is_half and x.context == ASKING]
        return (
            self._known.was_away(leg.began)
            and any(_lasts(half, leg) for half in halves)
            and any(_lasts(x, leg) for x in call.dialled if x.uid in talked)
        )

    def _rings(self, call: Call, legs: list[Leg]) -> Iterator[Difference]:
        """Each ring is an offer's, the native queue's, or an operator's own call; and back."""
        left = [o for o in call.offers if o["outcome"] != OfferOutcome.ACCEPTED]
        unmatched = []
        for leg in legs:
            agent = self._known.phones.get(leg.endpoint or "")
            mine = [o for o in left if o["agent_id"] == agent and meet_offer(o, leg)]
            if mine:
                left.remove(mine[0])
            else:
                unmatched.append(leg)
        for leg in unmatched:
            # An operator may sit at another's phone for a while.
            elsewhere = next((o for o in left if meet_offer(o, leg)), None)
            if elsewhere is not None:
                left.remove(elsewhere)
            elif any(near(segment, leg) for segment in call.native()) or (
                self._known.was_away(leg.began)
            ):
                self._counts[Count.NATIVE_RINGS] += 1
            elif self._in_own_call(leg):
                self._counts[Count.OWN_CALLS] += 1
            elif leg.endpoint not in self._known.phones and any(
                near(ring, leg) for ring in call.rings_outside()
            ):
                self._counts[Count.RINGS_OUTSIDE] += 1
            elif not any(meet_offer(o, leg) for o in call.offers):
                theirs = f"{leg.channel} rang from {iso(leg.began)}"
                yield self.found(Kind.RING_UNRECORDED, call, "no offer then", theirs, leg.uid)
        yield from self._unheard(call, left)

    def _unheard(self, call: Call, offers: list[Row]) -> Iterator[Difference]:
        """Offers that rang a phone on which Asterisk has no leg."""
        for offer in offers:
            if offer["ringing"] is None or offer["created"] < self._known.file_from:
                continue
            if self._rang_natively(call, offer):
                self._counts[Count.NATIVE_RINGS] += 1
            elif not self._rang_for_a_colleague(offer):
                who = f"offer {offer['offer_id']} to {offer['agent_id']}"
                ours = f"{who} rang at {iso(offer['ringing'])}"
                yield self.found(Kind.RING_WITHOUT_LEG, call, ours, "no leg that rang then")

    def _rang_natively(self, call: Call, offer: Row) -> bool:
        """Whether the native queue took him as he was offered, and rang the same phone for him.

        The leg is that of the talk that followed, and has its place there.
        """
        return any(
            self._known.phones.get(leg.endpoint or "") == offer["agent_id"]
            and meet_offer(offer, leg)
            and any(near(segment, leg) for segment in call.native())
            for leg in call.dialled
        )

    def _rang_for_a_colleague(self, offer: Row) -> bool:
        """Whether a colleague's call rang the phone when the citizen was handed to that ring."""
        query = (
            "SELECT leg.* FROM leg JOIN own ON own.uid = leg.linked WHERE own.agent_id = ?"
            " AND leg.uid <> leg.linked AND leg.started <= ? AND leg.ended >= ?"
        )
        at = offer["ringing"]
        rows = self._spool.rows(query, offer["agent_id"], at + STAMP_US, at - STAMP_US)
        legs = (Leg.of(row) for row in rows)
        return any(self._known.phones.get(x.endpoint or "") == offer["agent_id"] for x in legs)


def _lasts(leg: Leg, other: Leg) -> bool:
    """Whether a leg was there for all of the other's time."""
    if other.ended is None:
        return False
    return leg.began <= other.began and (leg.ended is None or leg.ended >= other.ended - STAMP_US)
