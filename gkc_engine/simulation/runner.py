"""One run of the production core on a virtual clock; the world around it is played here.

Everything stands in one line by P5: what the world does (in a heap) and what the core has timed
itself (``Acd.next_due``). The first of both is handled with all its consequences; what these cause
at the same instant joins the line at its own kind. Instants are whole microseconds from 0.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from random import Random
from typing import Any, Final

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import Then
from gkc_engine.acd.timers import Kind
from gkc_engine.errors import GkcError
from gkc_engine.ids import AgentId, ContactId, Instant, OfferId, QueueId
from gkc_engine.simulation.draws import stream
from gkc_engine.simulation.plan import OFFERS_MAX, Arrival, Plan
from gkc_engine.simulation.tally import OUTCOMES, WAITING, Fate, Tally

_RESULT: Final = int(Kind.OFFER_RESULT)
_ABLE: Final = int(Kind.AGENT_ABLE)
_LEAVING: Final = int(Kind.LEAVING)
_ARRIVAL: Final = int(Kind.ARRIVAL)

# What an entry of the heap stands for; also its order where all else is equal.
_MARK: Final = 0
_HOURS: Final = 1
_RINGS: Final = 2
_TAKEN_BACK: Final = 3
_RESULT_COMES: Final = 4
_TALK_ENDS: Final = 5
_TOLD: Final = 6
_PATIENCE_ENDS: Final = 7
_ARRIVES: Final = 8
_MOVES: Final = 9

Entry = tuple[int, int, int, int, int]
"""Instant, kind, rank inside the kind (P5), what, and whom it is about."""

PROGRESS_EVERY: Final = 4096
"""Arrivals between two calls of ``progress``."""


_NO_OFFER: Final = OfferId(0)
"""The core's offers count from 1."""
_TALKS: Final = OfferId(-1)
"""Stands in place of an offer while the contact talks."""


class EndlessRunError(GkcError):
    """A contact is offered again and again and nothing ends it."""


class _Call:
    """A contact that is not over."""

    __slots__ = (
        *("answers", "arrival", "contact_id", "n", "offer", "offers", "queue", "sequence"),
        "served",
    )

    def __init__(self, arrival: Arrival, n: int) -> None:
        self.arrival = arrival
        self.n = n
        """Order of arrival."""
        self.contact_id = ContactId(str(n))
        self.queue = arrival.queue
        """The last one; of one who is treated, that which he is led to."""
        self.sequence = n
        """The core's: another one if he was refused at the door and moved on."""
        self.offer = _NO_OFFER
        self.answers: AgentId | None = None
        """Who will answer the open offer; ``None`` = nobody."""
        self.offers = 0
        self.served = False
        """The open offer is answered at this very instant: before the end of any patience (P5)."""


class Runner:
    """One run. ``fates``: what became of each contact, kept only when asked for."""

    def __init__(
        self,
        plan: Plan,
        arrivals: Iterator[Arrival],
        seed: int,
        replication: int,
        *,
        keep_fates: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        settings = plan.settings
        self.tally = Tally(settings, plan.groups)
        self.fates: list[Fate] | None = [] if keep_fates else None
        self._plan = plan
        self._arrivals = arrivals
        self._progress = progress
        self._acd = Acd()
        self._heap: list[Entry] = []
        self._calls: dict[int, _Call] = {}
        """By order of arrival."""
        self._asked: dict[int, _Call] = {}
        """By offer, until its result comes."""
        self._next: Arrival | None = None
        self._came = 0
        self._now = Instant(0)
        self._last = Instant(0)
        """When anything happened last."""
        self._hears = self._heard()
        self._medium = {q.queue_id: q.medium for q in settings.queues}
        self._queues = list(plan.hours) if plan.start is not None else []
        self._ranks = {agent.agent_id: rank for rank, agent in enumerate(settings.agents)}
        self._missed: dict[QueueId, Random] = {}
        if plan.miss > 0.0:
            self._missed = {q: stream(seed, replication, q, "miss") for q in self._medium}

    def run(self) -> None:
        """Run until nothing is left to happen.

        Raises:
            EndlessRunError: a contact was offered a thousand times.
        """
        with _no_collections():
            self._begin()
            self._play()
        plan = self._plan
        if plan.duration_us is None and plan.contacts is None:
            self.tally.end(self._last)
        for n, call in self._calls.items():
            if call.arrival.at >= plan.warmup_us:
                self.tally.never_served(call.queue)
            assert self.fates is None or self.fates[n] is WAITING
        self._calls.clear()

    def _begin(self) -> None:
        plan, acd = self._plan, self._acd
        self._take(acd.step(ev.SettingsApplied(settings=plan.settings), Instant(0)))
        for agent in plan.settings.agents:
            self._take(acd.step(ev.AgentLoggedIn(agent_id=agent.agent_id), Instant(0)))
        for n in range(len(self._queues)):
            heappush(self._heap, (0, _LEAVING, -1, _HOURS, n))
        heappush(self._heap, (plan.warmup_us, -2, 0, _MARK, 0))
        if plan.duration_us is not None:
            heappush(self._heap, (plan.duration_us, -2, 1, _MARK, 1))
        self._fetch()

    def _fetch(self) -> None:
        """Put the next arrival into the line."""
        plan, came = self._plan, self._came
        arrival = next(self._arrivals, None) if came != plan.contacts else None
        if arrival is not None and plan.duration_us is not None and arrival.at >= plan.duration_us:
            arrival = None
        self._next = arrival
        if arrival is not None:
            heappush(self._heap, (arrival.at, _ARRIVAL, came, _ARRIVES, came))
        elif plan.contacts is not None:
            self.tally.end(self._now)

    def _play(self) -> None:
        acd, heap, acts = self._acd, self._heap, self._acts()
        deadline = acd.next_deadline
        while True:
            due = deadline()
            if not heap:
                if due is None:
                    return
                ahead = False
            else:
                entry = heap[0]
                ahead = due is None or due > entry[0] or entry[:3] <= (acd.next_due() or ())
            if ahead:
                entry = heappop(heap)
                self._now = Instant(entry[0])
                acts[entry[3]](entry[4])
            else:
                assert due is not None
                self._now = self._last = due
                self._take(acd.run_next())

    def _acts(self) -> tuple[Callable[[int], None], ...]:
        """Return what is to be done for each kind of entry, by its number."""
        acts = {
            _MARK: self._mark,
            _HOURS: self._hours,
            _RINGS: self._rings,
            _TAKEN_BACK: self._taken_back,
            _RESULT_COMES: self._result,
            _TALK_ENDS: self._talk_ends,
            _TOLD: self._told,
            _PATIENCE_ENDS: self._patience_ends,
            _ARRIVES: self._arrives,
            _MOVES: self._moves,
        }
        return tuple(acts[what] for what in range(len(acts)))

    # --- the world acts --------------------------------------------------------------------------

    def _send(self, event: ev.Event) -> None:
        self._last = self._now
        self._take(self._acd.step(event, self._now))

    def _mark(self, which: int) -> None:
        (self.tally.end if which else self.tally.begin)(self._now)

    def _hours(self, index: int) -> None:
        """A calendar opens or closes its queue, as long as anything else is left to happen."""
        others = self._next is not None or self._acd.next_deadline() is not None
        if not others and all(entry[3] == _HOURS for entry in self._heap):
            return
        from gkc_engine.config.hours import is_open, next_change  # Slow to import, seldom used.
        from gkc_engine.config.values import zone

        plan, queue = self._plan, self._queues[index]
        assert plan.start is not None
        opening = plan.hours[queue]
        tz, now = zone(opening.zone), Instant(plan.start + self._now)
        self._send(ev.HoursChanged(queue=queue, open=is_open(opening.calendar, tz, now)))
        change = next_change(opening.calendar, tz, now)
        if change is not None:
            heappush(self._heap, (change - plan.start, _LEAVING, -1, _HOURS, index))

    def _arrives(self, n: int) -> None:
        arrival = self._next
        assert arrival is not None
        call = self._calls[n] = _Call(arrival, n)
        if self.fates is not None:
            self.fates.append(WAITING)
        medium = self._medium[arrival.queue]
        self._send(
            ev.ContactStarted(contact_id=call.contact_id, medium=medium, number="", entry="")
        )
        self._send(ev.QueueRequested(contact_id=call.contact_id, queue=arrival.queue))
        if arrival.patience_us is not None and not call.served:
            ends = arrival.at + arrival.patience_us
            heappush(self._heap, (ends, _LEAVING, call.sequence, _PATIENCE_ENDS, n))
        self._came = n + 1
        if self._progress is not None and self._came % PROGRESS_EVERY == 0:
            self._progress(self._came)
        self._fetch()

    def _rings(self, offer: int) -> None:
        call = self._asked[offer]
        if call.offer == offer:
            self._send(ev.OfferRinging(offer_id=call.offer))

    def _result(self, offer: int) -> None:
        """The phone is answered, or has rung for the whole timeout."""
        call = self._asked.pop(offer)
        if call.offer != offer:
            return  # The citizen left, or we took it back.
        offer_id, agent = call.offer, call.answers
        if agent is None:
            call.offer = _NO_OFFER
            self._send(ev.OfferFailed(offer_id=offer_id, failure=ev.OfferFailure.NO_ANSWER))
            return
        call.offer = _TALKS
        ends = self._now + call.arrival.handle_us
        heappush(self._heap, (ends, _ABLE, self._ranks[agent], _TALK_ENDS, call.n))
        self._send(ev.OfferAccepted(offer_id=offer_id, agent_id=agent))

    def _taken_back(self, offer: int) -> None:
        offer_id = OfferId(offer)
        self._send(ev.OfferFailed(offer_id=offer_id, failure=ev.OfferFailure.RESCINDED))

    def _talk_ends(self, n: int) -> None:
        self._send(ev.ContactLeft(contact_id=self._calls[n].contact_id, party=ev.Party.CITIZEN))

    def _patience_ends(self, n: int) -> None:
        call = self._calls.get(n)
        if call is not None and call.offer != _TALKS:
            self._send(ev.ContactLeft(contact_id=call.contact_id, party=ev.Party.CITIZEN))

    def _told(self, n: int) -> None:
        """A treatment is over that ends the call: announcements take no time here."""
        self._send(ev.ContactLeft(contact_id=self._calls[n].contact_id, party=ev.Party.SYSTEM))

    def _moves(self, n: int) -> None:
        """A treatment with an announcement is over that leads to another queue."""
        call = self._calls.get(n)
        if call is not None:
            self._send(ev.QueueRequested(contact_id=call.contact_id, queue=call.queue))

    # --- the core speaks -------------------------------------------------------------------------

    def _take(self, commands: list[cmd.Command]) -> None:
        hears = self._hears
        for command in commands:
            heard = hears.get(type(command))
            if heard is not None:
                heard(command)

    def _heard(self) -> dict[type, Callable[[Any], None]]:
        """Return what is done with each command; facts that are not named do not matter here."""
        return {
            cmd.AgentStateChanged: self.tally.changed,
            cmd.OfferContact: self._offered,
            cmd.RescindOffer: self._rescinded,
            cmd.ContactQueued: self._queued,
            cmd.TreatContact: self._treated,
            cmd.ContactEnded: self._ended,
            cmd.EventRejected: _never,
        }

    def _queued(self, fact: cmd.ContactQueued) -> None:
        call = self._calls[int(fact.contact_id)]
        call.queue, call.sequence = fact.queue, fact.sequence

    def _offered(self, offer: cmd.OfferContact) -> None:
        plan, call = self._plan, self._calls[int(offer.contact_id)]
        call.offers += 1
        if call.offers > OFFERS_MAX:
            raise EndlessRunError(
                f"contact {call.n + 1}, to {call.queue}: offered {OFFERS_MAX} times without an"
                " answer; lower offer.miss, or let contacts leave (patience, maxwait)"
            )
        agent: AgentId | None = offer.agent_ids[0]
        takes = plan.ring_us
        if self._missed:
            chance = self._missed[offer.queue].random
            agent = next((a for a in offer.agent_ids if chance() >= plan.miss), None)
            takes = plan.ring_us if agent is not None else offer.timeout_us
        call.offer, call.answers = offer.offer_id, agent
        call.served = not takes
        self._asked[offer.offer_id] = call
        created, rank = offer.created, call.sequence
        if takes:
            heappush(self._heap, (created, _RESULT, rank, _RINGS, offer.offer_id))
        heappush(self._heap, (created + takes, _RESULT, rank, _RESULT_COMES, offer.offer_id))

    def _rescinded(self, command: cmd.RescindOffer) -> None:
        """The ring is stopped at once."""
        offer, call = command.offer_id, self._asked[command.offer_id]
        call.offer = _NO_OFFER
        heappush(self._heap, (self._now, _RESULT, call.sequence, _TAKEN_BACK, offer))

    def _ended(self, fact: cmd.ContactEnded) -> None:
        call = self._calls.pop(int(fact.contact_id))
        call.offer = _NO_OFFER
        if self.fates is not None:
            self.fates[call.n] = Fate(
                OUTCOMES[fact.disposition], fact.agent_id or "", fact.answered
            )
        if call.arrival.at >= self._plan.warmup_us:
            self.tally.ended(fact)

    def _treated(self, command: cmd.TreatContact) -> None:
        call = self._calls[int(command.contact_id)]
        treatment = command.treatment
        if treatment.then is Then.QUEUE and treatment.queue is not None:
            call.queue = treatment.queue
            heappush(self._heap, (self._now, _ARRIVAL, call.n, _MOVES, call.n))
        else:
            heappush(self._heap, (self._now, _LEAVING, call.sequence, _TOLD, call.n))


def _never(command: cmd.EventRejected) -> None:
    raise AssertionError(f"the core knows nothing of it: {command}")


@contextmanager
def _no_collections() -> Iterator[None]:
    """Let the collector rest: a run makes no cycles, and looking for them costs a quarter of it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
