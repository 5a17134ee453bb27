"""What we missed, told to the core as ordinary events, call by call.

Two sources: the lines that Asterisk holds now, and its list of past legs (``cel.py``; may be
empty: then the instant of the resync stands in the record, and the reason says so).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import structlog

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import OfferContact
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.views import ContactView
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.cel import CITIZENS_CONTEXTS, History, PastLeg
from gkc_engine.channels.phone.live import Leg, Live, born
from gkc_engine.channels.phone.past_talks import Talk, apart, moved
from gkc_engine.channels.phone.spell import NEW_US, Spell
from gkc_engine.channels.phone.strangers import register
from gkc_engine.channels.phone.talks import Talks
from gkc_engine.ids import SECOND, AgentId, Instant, Micros, OfferId

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

log = structlog.get_logger(__name__)

IMPORTED = "imported from cel"
SEEN = "seen at resync"
LOST_WITH_ASTERISK = "asterisk restarted"

_NOT_YET = (
    ContactState.MENU,
    ContactState.WAITING,
    ContactState.DETACHED,
    ContactState.OFFERED,
    ContactState.DIALLING,  # put through outside, in vain
    ContactState.TREATED,  # whose announcement was cut off; of one after a talk the core knows
)


class CatchUp:
    """One comparison of the core with Asterisk."""

    def __init__(
        self,
        channel: PhoneChannel,
        live: Live,
        past: History,
        spell: Spell,
        booted: Instant | None,
        listed: frozenset[str],
    ) -> None:
        """``listed``: the calls we knew when ``live`` was asked for.

        Others are too new, and so is whatever has happened since to one of these.
        """
        self._channel = channel
        self._listed = listed
        self._asked = spell.asked
        self._live = live
        self._past = past
        self._since, self._heard, self._before = spell.since, spell.heard, spell.before
        self._talks = Talks(channel, live, past, spell)
        self._booted = booted
        self._attached: list[Call] = []

    def run(self) -> int:
        """Tell the core everything; return how many contacts we had not heard of."""
        calls = [c for c in self._channel.calls.by_leg.values() if c.leg in self._listed]
        # Ends first: an operator may have ended one talk and begun the next meanwhile.
        for call in sorted(calls, key=self._lives):
            self._known(call)
        # Without CEL, or begun long before it: only who is still there can be found.
        lines = [
            _as_past(leg, Instant(self._channel.now() - leg.seconds * SECOND))
            for leg in self._live
            if leg.uniqueid == leg.linkedid and leg.context in CITIZENS_CONTEXTS
        ]
        past = [told for told in self._past.citizens(self._before) if not self._too_new(told)]
        return sum(self._stranger(told) for told in sorted([*past, *lines], key=self._lives))

    def _too_new(self, told: PastLeg) -> bool:
        """Whether a call came after the list was made: not in it, and yet not gone."""
        there = told.ended is None and told.leg not in self._live.by_id
        return there and told.started is not None and told.started > self._asked - NEW_US

    def _lives(self, line: Call | PastLeg) -> bool:
        return line.leg in self._live.by_id

    # --- calls that we know --------------------------------------------------------------------

    def _known(self, call: Call) -> None:
        channel = self._channel
        leg = self._live.by_id.get(call.leg)
        if leg is not None:
            call.channel = leg.channel
        view = channel.contact(call.contact_id)
        if view is None:
            if leg is None:
                channel.calls.remove(call)
            return  # ended by ContactLeft; Asterisk is about to say so too
        held = call.session is not None and not call.session.closed.is_set()
        if leg is None:
            if not held:  # An open socket is proof that he is there: the list is too old.
                self._compare(view, call, None)
                self._gone(call)
            return
        if held and not view.held:
            self._attached.append(call)
        late = held and call.back is not None and call.back >= self._asked
        if view.since < self._asked and not late:  # Else what we know is newer than the list.
            self._compare(view, call, leg)

    def attach(self) -> None:
        """Let the core offer those whom we hold: last, when it knows what operators do."""
        for call in self._attached:
            self._channel.submit(ev.ContactAttached(contact_id=call.contact_id), None)

    def talked(self, call: Call) -> Talk | None:
        """Tell with whom a call has talked whose last talk is over; return that one."""
        view = self._channel.contact(call.contact_id)
        if view is None:
            return None
        if view.offer_id is not None:
            in_doubt(self._channel, call, view, view.offer_id)
        talks = [talk for talk in self._talks.of(call, None) if not _known_yet(view, talk)]
        if not talks:
            return None
        self._talked(view, call, talks)
        return talks[-1]

    def _compare(self, view: ContactView, call: Call, leg: Leg | None) -> None:
        """Tell what a call that was listed, or is gone, has been through."""
        self._channel.put_through.compare(call, view, leg, self._live, self._past)
        talks = [talk for talk in self._talks.of(call, leg) if not _known_yet(view, talk)]
        talk = talks[-1] if talks else None
        if view.offer_id is not None:
            # Of one that a socket of ours carries out, the socket knows: it may just have ended.
            if call.session is None:
                in_doubt(self._channel, call, view, view.offer_id)
            unanswered = all(talk.native for talk in talks)  # else it was, and he was sent on
            if leg is not None and leg.in_native_queue and unanswered:
                self._ring_is_over(call, view.offer_id)
        if talks:
            self._talked(view, call, talks)
        if leg is not None:
            self._still_there(view, call, leg, talk)

    def _still_there(self, view: ContactView, call: Call, leg: Leg, talk: Talk | None) -> None:
        over = talk is None or talk.ended is not None
        if call.session is None and leg.in_native_queue and over:
            self._stands_in_queue(call, leg, view, talk)
        if call.dialling is None or call.answered_by is not None:
            return
        for rung in self._live.rung_for(call.leg):
            agent_id = self._channel.agent_of(call, rung.endpoint)
            if agent_id in call.dialling.agent_ids and agent_id is not None:
                self._channel.calls.bind(call, rung.uniqueid, agent_id)

    def _ring_is_over(self, call: Call, offer_id: OfferId) -> None:
        """He stands in the native queue, so our Dial has ended without an answer."""
        offered = call.dialling.created - NEW_US if call.dialling is not None else 0
        rung = [
            told.ended
            for told in self._past.dialled_for(call.leg)
            if told.ended is not None and not self._talks.is_native(call, told)
            if told.started is None or told.started >= offered
        ]
        ended = rung[-1] if rung else self._since
        self._channel.calls.end_dial(call)
        self._channel.submit(ev.ContactDetached(contact_id=call.contact_id, at=ended), None)
        self._channel.submit(
            ev.OfferFailed(
                offer_id=offer_id,
                # Who was perhaps never rung is not to blame.
                failure=ev.OfferFailure.NO_ANSWER if rung else ev.OfferFailure.RESCINDED,
                reason=IMPORTED if rung else SEEN,
                at=ended,
            ),
            f"failed:{offer_id}",
        )

    def _stands_in_queue(
        self, call: Call, leg: Leg, view: ContactView | None, last: Talk | None
    ) -> None:
        """Asterisk's queue has him; out of a talk only by a transfer that found no engine."""
        agent_id: AgentId | None = None
        ended: Instant | None = None
        queue = view.queue if view is not None else None
        if last is not None:
            agent_id, ended = last.agent_id, last.ended
        elif view is not None and view.state is ContactState.TALK:
            agent_id, ended = view.agent_id, parted(self._past, self._channel, call, view)
        if agent_id is not None:
            fallbacks = self._channel.plan.fallbacks
            ours = (queue for queue, name in fallbacks.items() if name == leg.native_queue)
            self._channel.submit(
                ev.TransferRequested(
                    contact_id=call.contact_id,
                    from_agent=agent_id,
                    to_queue=next(ours, queue),
                    at=ended,
                ),
                None,
            )
        at = self._since if ended is None else ended
        self._channel.submit(ev.ContactDetached(contact_id=call.contact_id, at=at), None)

    def _talked(self, view: ContactView, call: Call, talks: Sequence[Talk]) -> None:
        """He talks, or has talked, with operators: does the core know it already."""
        channel = self._channel
        talk, last = talks[0], talks[-1]
        dialling = call.dialling
        if last.ended is None:
            channel.calls.bind(call, last.leg, last.agent_id)
        asked = dialling is not None and talk.agent_id in (dialling.agent_ids or (talk.agent_id,))
        if asked and not talk.native:
            channel.facts.answered(call, talk.agent_id, talk.leg, talk.answered)
        elif view.state in _NOT_YET:
            self._answered_natively(call, talk)
        elif view.state is ContactState.TALK and view.agent_id not in (None, talk.agent_id):
            assert view.agent_id is not None
            self._handed_on(call, view.agent_id, talk)
        self._and_then(call, talks)

    def _answered_natively(self, call: Call, talk: Talk) -> None:
        self._channel.submit(
            ev.FallbackAnswered(
                contact_id=call.contact_id,
                agent_id=talk.agent_id,
                at=talk.answered if talk.answered is not None else self._channel.now(),
                leg=talk.leg or None,
            ),
            f"fallback:{call.leg}:{talk.leg}",
        )

    def _and_then(self, call: Call, talks: Sequence[Talk]) -> None:
        """Tell who was given the citizen by whom, once the first of these talks is told."""
        for one, other in pairwise(talks):
            if one.agent_id != other.agent_id or apart(one, other):
                self._handed_on(call, one.agent_id, other)
        last = talks[-1]
        if last.ended is None:
            call.answered_by, call.talk_leg = last.agent_id, last.leg

    def _handed_on(self, call: Call, from_agent: AgentId, talk: Talk) -> None:
        agent_of = self._talks.agents_of(call)
        legs = self._past.dialled_for(call.leg)
        had_him = [told for told in legs if agent_of(told.endpoint) == from_agent]
        how = moved(self._past, had_him, talk)
        if how.left is not None:  # Who was to have him next, only Asterisk knew.
            self._channel.submit(
                ev.TransferRequested(
                    contact_id=call.contact_id, from_agent=from_agent, at=how.left
                ),
                f"moved:{call.leg}:{talk.leg}",
            )
            self._answered_natively(call, talk)
            return
        self._channel.submit(
            ev.TransferCompleted(
                contact_id=call.contact_id,
                from_agent=from_agent,
                to_agent=talk.agent_id,
                leg=talk.leg or None,
                attended=not talk.native if how.attended is None else how.attended,
                at=how.at,
            ),
            f"moved:{call.leg}:{talk.leg}",
        )

    def _gone(self, call: Call) -> None:
        """Asterisk does not have his line any more."""
        told = self._past.legs.get(call.leg)
        ended = told.ended if told is not None else None
        if told is not None and ended is not None:
            call.ended_by = call.ended_by or self._who_ended(call, told)
            self._channel.facts.citizen_gone(call, ended, IMPORTED)
        elif self._booted is not None and self._went_with_asterisk(call, self._booted):
            call.ended_by = ev.Party.SYSTEM
            self._channel.facts.citizen_gone(call, self._booted, LOST_WITH_ASTERISK)
        else:
            self._channel.facts.citizen_gone(call, last_held(call, self._since), SEEN)

    def _went_with_asterisk(self, call: Call, booted: Instant) -> bool:
        """Whether Asterisk was started anew since all of it was heard, after the call began.

        Both: after a step of the wall clock a call seems to have begun before any start.
        """
        began = born(call.leg)
        return booted > self._heard - SECOND and (began is None or began <= booted)

    def _who_ended(self, call: Call, told: PastLeg) -> ev.Party:
        """The far end that hung up: CEL names its channel."""
        name = told.ended_by.rpartition("-")[0]
        by_agent = self._channel.agent_of(call, name) is not None
        return ev.Party.AGENT if by_agent else ev.Party.CITIZEN

    # --- calls that we never heard of -----------------------------------------------------------

    def _stranger(self, told: PastLeg) -> int:
        """Register a call that came while we were away; return 1 if it was unknown."""
        call = register(
            self._channel, leg=told.leg, entry=told.exten, number=told.number, at=told.started
        )
        if call is None:
            return 0
        self._unfold(call)
        return 1

    def _unfold(self, call: Call) -> None:
        """Tell how a call went on of which the core knows only that it began."""
        channel = self._channel
        leg = self._live.by_id.get(call.leg)
        if leg is not None:
            call.channel = leg.channel
        talks = self._talks.of(call, leg)
        if talks:
            if talks[-1].ended is None:
                channel.calls.bind(call, talks[-1].leg, talks[-1].agent_id)
            self._answered_natively(call, talks[0])
            self._and_then(call, talks)
            if leg is not None and leg.in_native_queue and talks[-1].ended is not None:
                self._stands_in_queue(call, leg, None, talks[-1])
        if leg is None:
            self._gone(call)


def in_doubt(channel: PhoneChannel, call: Call, view: ContactView, offer_id: OfferId) -> None:
    """Know the offer that was open when the last engine died: its Dial may still run."""
    if call.dialling is not None or view.queue is None:
        return
    channel.calls.start_dial(
        call,
        OfferContact(
            offer_id=offer_id,
            contact_id=view.contact_id,
            agent_ids=(view.agent_id,) if view.agent_id is not None else (),
            queue=view.queue,
            timeout_us=Micros(0),
            step=0,
            created=view.offered or channel.now(),
        ),
    )


def last_held(call: Call, alive: Instant) -> Instant | None:
    """Return when our socket of a citizen who is gone ended, if he was there at ``alive`` yet.

    With nothing better: whoever leaves while we hold him ends it by that.
    """
    return call.let_go if call.let_go is not None and call.let_go >= alive else None


def parted(past: History, channel: PhoneChannel, call: Call, view: ContactView) -> Instant | None:
    """Return when the operator of a talk left it, if the list of past legs knows."""
    ended = [
        told.ended
        for told in past.dialled_for(call.leg)
        if told.ended is not None and told.answered is not None
        if told.ended >= view.since and channel.agent_of(call, told.endpoint) == view.agent_id
    ]
    return max(ended, default=None)


def _known_yet(view: ContactView, talk: Talk) -> bool:
    """Whether the talk is one of before: it was over when what he is in now began."""
    before = talk.ended is not None and talk.ended <= view.since + SECOND
    return before and view.answered is not None


def _as_past(leg: Leg, started: Instant) -> PastLeg:
    return PastLeg(
        leg=leg.uniqueid,
        linked=leg.linkedid,
        endpoint=leg.endpoint,
        number=leg.number,
        exten=leg.exten,
        context=leg.context,
        started=started,
    )
