"""A recorded stretch of time once more through the core, under a config of one's choice.

The contacts bring along what they brought then: when they came, how long they talk, how long they
are willing to wait, how their offers went (the n-th offer of a contact goes as its n-th recorded
one did). The operators come, pause and go as they did. Who gets whom, the core decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Final

from msgspec.structs import replace

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import AgentState, OfferOutcome
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import Settings, Then
from gkc_engine.acd.state import Contact, ContactState
from gkc_engine.acd.timers import Kind
from gkc_engine.errors import GkcError
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, OfferId, QueueId
from gkc_engine.simulation.measured import Fate, Measured
from gkc_engine.simulation.needs import Needs
from gkc_engine.simulation.past import TAIL_US, Past

OFFERS_MAX: Final = 1_000
"""Offers of one contact; more means that the run never ends."""

Action = Callable[[], None]


class EndlessRunError(GkcError):
    """A contact is offered again and again and nothing ends it."""


class _Live:
    """A contact of the run that is not over."""

    __slots__ = ("agent", "answered", "needs", "offer", "offers", "past_rings", "talks")

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.offer: OfferId | None = None
        self.agent: AgentId | None = None
        """Who talks with it."""
        self.answered = False
        self.offers = 0
        self.talks = 0
        self.past_rings = 0
        """Offers that it had before the run."""


class Rerun:
    """One run; ``measured`` is fed with what the core says."""

    def __init__(
        self,
        past: Past,
        settings: Settings,
        needs: Mapping[ContactId, Needs],
        presence: Sequence[tuple[Instant, ev.Event]],
    ) -> None:
        """Prepare a run of ``past`` under ``settings``.

        Args:
            past: Whose state it begins with.
            settings: The config.
            needs: Of the contacts, in the order in which they come.
            presence: What else happens: operators come and go, queues open and close.
        """
        state = past.state
        self._acd = Acd.restore(state)
        self._state = state
        self._settings = settings
        self._needs = needs
        self._presence = presence
        self._since, self._end = past.since, past.end
        self._homes = _homes(past.settings, settings)
        self._now = self._since
        self._heap: list[tuple[int, int, int, int, Action]] = []
        self._n = 0
        self._live: dict[ContactId, _Live] = {}
        self._ranks = {agent.agent_id: rank for rank, agent in enumerate(settings.agents)}
        self._measured = Measured(state, past.since, past.until)
        self.at_end = self._measured
        """After the run: what had come of it where the record ends."""

    def run(self) -> Measured:
        """Run to the end; return what came of it.

        Raises:
            EndlessRunError: a contact was offered a thousand times.
        """
        for contact in self._state.contacts:
            self._takes_part(contact)
        self._send(ev.SettingsApplied(settings=self._settings))
        for contact in self._state.contacts:
            self._go_on(contact)
        for at, event in self._presence:
            self._fact(at, event)
        for needs in self._needs.values():
            if needs.arrives is not None:
                self._arrival(needs.arrives, needs)
        self._play(self._end)
        left = self._measured.undecided()
        if left:
            # Who waits the longest would else be in no figure: so they are waited for, with the
            # operators who are there.
            self.at_end = self._measured.as_of(self._end)
            self._play(Instant(self._end + TAIL_US), left)
        self._measured.finish(self._end)
        return self._measured

    def _arrival(self, at: Instant, needs: Needs) -> None:
        self._at(at, Kind.ARRIVAL, 0, lambda: self._arrives(needs))

    def _play(self, end: Instant, left: list[Fate] | None = None) -> None:
        """Handle what comes and what the core has timed, in the order of P5.

        To ``end``, or until nobody of ``left`` waits.

        What happens at an instant is given to the core before its tick: it handles what is due
        before each event by itself.
        """
        while True:
            while left and left[-1].outcome != "waiting":
                left.pop()
            due = self._acd.next_deadline()
            ahead = bool(self._heap) and (due is None or self._heap[0][0] <= due)
            if not ahead and due is None:
                return
            at = self._heap[0][0] if ahead else due
            assert at is not None
            if at > end or left == []:
                return
            self._now = Instant(max(at, self._now))
            if ahead:
                heappop(self._heap)[4]()
            else:
                self._send(ev.Tick())

    def _at(self, at: int, kind: Kind, rank: int, action: Action) -> None:
        self._n += 1
        heappush(self._heap, (max(at, self._now), int(kind), rank, self._n, action))

    def _send(self, event: ev.Event) -> None:
        commands = self._acd.step(event, self._now)
        self._measured.observe(self._now, commands)
        for command in commands:
            self._heard(command)

    # --- what comes ----------------------------------------------------------------------------

    def _fact(self, at: Instant, event: ev.Event) -> None:
        agent_id = getattr(event, "agent_id", None)
        if agent_id is None:
            self._at(at, Kind.LEAVING, -1, lambda: self._send(event))
            return
        rank = self._ranks.get(agent_id, -1)
        if rank < 0:
            return  # Not in this config.
        if isinstance(event, ev.AgentReady):
            self._at(at, Kind.AGENT_ABLE, rank, lambda: self._back(event))
        else:
            self._at(at, Kind.AGENT_ABLE, rank, lambda: self._send(event))

    def _back(self, event: ev.AgentReady) -> None:
        """The end of a pause; that of a wrap-up belongs to its contact."""
        view = self._acd.agent_view(event.agent_id)
        if view is not None and view.paused:
            self._send(event)

    def _arrives(self, needs: Needs) -> None:
        contact_id, asked = needs.contact_id, needs.request.queue
        home = self._homes.get(asked, asked)
        if home is None:
            return  # The queue is gone, and with it the way in.
        live = self._live[contact_id] = _Live(needs)
        if self._acd.contact_view(contact_id) is None:
            self._send(replace(needs.start, at=None))
        self._send(replace(needs.request, queue=home))
        view = self._acd.contact_view(contact_id)
        if contact_id in self._live and view is not None and view.enqueued is not None:
            self._waits_until(live, view.enqueued, view.sequence)

    def _waits_until(self, live: _Live, enqueued: Instant, sequence: int) -> None:
        patience = live.needs.patience_us
        if patience is not None:
            at = enqueued + patience
            self._at(at, Kind.LEAVING, sequence, lambda: self._gives_up(live))

    def _gives_up(self, live: _Live) -> None:
        if self._live.get(live.needs.contact_id) is live and not live.answered:
            self._leaves(live, ev.Party.CITIZEN)

    def _leaves(self, live: _Live, party: ev.Party) -> None:
        contact_id = live.needs.contact_id
        if self._live.get(contact_id) is live:
            self._send(ev.ContactLeft(contact_id=contact_id, party=party))

    # --- who was there at the beginning --------------------------------------------------------

    def _takes_part(self, contact: Contact) -> None:
        """Know the contact before the config is applied: it may be offered by that."""
        contact_id = contact.contact_id
        needs = self._needs.get(contact_id)
        if needs is None or contact.consult or contact.state is ContactState.MENU:
            return
        live = self._live[contact_id] = _Live(needs)
        live.answered = contact.answered is not None
        live.past_rings = live.offers = needs.rings_before
        live.talks = needs.talks_before
        if contact.state is ContactState.TALK:
            live.agent, live.talks = contact.agent, live.talks + 1
            ends = self._since + needs.talk(live.talks - 1)
            self._at(ends, Kind.AGENT_ABLE, 0, lambda: self._talk_over(live))
        elif contact.state is ContactState.OFFERED and contact.offer is not None:
            self._ring_goes_on(live, contact.offer)
        if not live.answered and contact.enqueued is not None:
            self._waits_until(live, contact.enqueued, contact.sequence)

    def _go_on(self, contact: Contact) -> None:
        """Bring a contact whose part is not played to where the run can play it, or out of it."""
        contact_id, live = contact.contact_id, self._live.get(contact.contact_id)
        if live is None:
            needs = self._needs.get(contact_id)
            if needs is None or needs.arrives is None:  # Else it comes into a queue later.
                self._send(ev.ContactLeft(contact_id=contact_id, party=ev.Party.SYSTEM))
        elif contact.state is ContactState.DETACHED:
            self._send(ev.ContactAttached(contact_id=contact_id))
        elif contact.state in (ContactState.TREATED, ContactState.EXTERNAL):
            self._leaves(live, ev.Party.SYSTEM)

    def _ring_goes_on(self, live: _Live, offer_id: OfferId) -> None:
        offer = next(o for o in self._state.offers if o.offer_id == offer_id)
        timeout = next(
            (q.timeout_us for q in self._settings.queues if q.queue_id == offer.queue), Micros(0)
        )
        agents = tuple(leg.agent for leg in offer.legs)
        self._ring(live, offer_id, agents, offer.created, timeout)

    # --- what the core says --------------------------------------------------------------------

    def _heard(self, command: cmd.Command) -> None:
        match command:
            case cmd.AgentStateChanged(state=AgentState.WRAP_UP):
                self._wraps_up(command)
            case (
                cmd.OfferContact()
                | cmd.RescindOffer()
                | cmd.OfferEnded()
                | cmd.TreatContact()
                | cmd.ReleaseContact()
                | cmd.ContactEnded()
            ):
                live = self._live.get(command.contact_id)
                if live is not None:
                    self._about(live, command)
            case _:
                pass

    def _about(
        self,
        live: _Live,
        command: cmd.OfferContact
        | cmd.RescindOffer
        | cmd.OfferEnded
        | cmd.TreatContact
        | cmd.ReleaseContact
        | cmd.ContactEnded,
    ) -> None:
        match command:
            case cmd.OfferContact():
                ids = command.agent_ids
                self._ring(live, command.offer_id, ids, command.created, command.timeout_us)
            case cmd.RescindOffer():
                self._rescinded(live, command.offer_id)
            case cmd.OfferEnded():
                self._offer_ended(live, command)
            case cmd.TreatContact():
                self._treated(live, command)
            case cmd.ReleaseContact():
                self._at(self._now, Kind.LEAVING, -1, lambda: self._leaves(live, ev.Party.AGENT))
            case cmd.ContactEnded():
                del self._live[command.contact_id]

    def _ring(
        self,
        live: _Live,
        offer_id: OfferId,
        agents: Sequence[AgentId],
        created: Instant,
        timeout: Micros,
    ) -> None:
        """An offer rings: it goes as the contact's recorded one did, within the queue's timeout."""
        if live.offers - live.past_rings > OFFERS_MAX:
            raise EndlessRunError(
                f"contact {live.needs.contact_id}: offered {OFFERS_MAX} times without an answer"
            )
        lasts, failure = live.needs.ring(live.offers)
        live.offers += 1
        live.offer = offer_id
        if failure is ev.OfferFailure.NO_ANSWER or lasts >= timeout:
            lasts, failure = timeout, ev.OfferFailure.NO_ANSWER
        agent = agents[0]

        def result() -> None:
            if live.offer != offer_id:
                return  # The citizen left, or it was taken back.
            if failure is None:
                self._send(ev.OfferAccepted(offer_id=offer_id, agent_id=agent))
            else:
                live.offer = None
                self._send(ev.OfferFailed(offer_id=offer_id, failure=failure))

        self._at(created + lasts, Kind.OFFER_RESULT, 0, result)

    def _rescinded(self, live: _Live, offer_id: OfferId) -> None:
        if live.offer == offer_id:
            live.offer = None
            rescinded = ev.OfferFailed(offer_id=offer_id, failure=ev.OfferFailure.RESCINDED)
            self._at(self._now, Kind.OFFER_RESULT, 0, lambda: self._send(rescinded))

    def _offer_ended(self, live: _Live, ended: cmd.OfferEnded) -> None:
        if ended.outcome is not OfferOutcome.ACCEPTED:
            return
        live.offer, live.agent, live.answered = None, ended.agent_id, True
        lasts = live.needs.talk(live.talks)
        live.talks += 1
        rank = self._ranks.get(ended.agent_id, -1)
        self._at(self._now + lasts, Kind.AGENT_ABLE, rank, lambda: self._talk_over(live))

    def _talk_over(self, live: _Live) -> None:
        if self._live.get(live.needs.contact_id) is not live:
            return
        then = live.needs.then(live.talks - 1)
        if then is None or live.agent is None:
            self._leaves(live, ev.Party.CITIZEN)
            return
        self._send(replace(then, from_agent=live.agent, at=None))

    def _treated(self, live: _Live, command: cmd.TreatContact) -> None:
        """A treatment is over at once: announcements take no time here."""
        contact_id, treatment = command.contact_id, command.treatment
        if treatment.then is Then.QUEUE and treatment.queue is not None:
            request = ev.QueueRequested(contact_id=contact_id, queue=treatment.queue)
            self._at(self._now, Kind.ARRIVAL, 0, lambda: self._send(request))
        else:
            self._at(self._now, Kind.LEAVING, -1, lambda: self._leaves(live, ev.Party.SYSTEM))

    def _wraps_up(self, fact: cmd.AgentStateChanged) -> None:
        """End a wrap-up as early as the operator did then."""
        needs = self._needs.get(fact.contact_id) if fact.contact_id is not None else None
        early = needs.wrap_up_us if needs is not None else None
        if early is None or fact.until is None or self._now + early >= fact.until:
            return

        def ready() -> None:
            view = self._acd.agent_view(fact.agent_id)
            if view is None or view.paused or fact.slot >= len(view.slots):
                return
            slot = view.slots[fact.slot]
            if slot.state is AgentState.WRAP_UP and slot.contact_id == fact.contact_id:
                self._send(ev.AgentReady(agent_id=fact.agent_id))

        rank = self._ranks.get(fact.agent_id, -1)
        self._at(self._now + early, Kind.AGENT_ABLE, rank, ready)


def _homes(today: Settings, settings: Settings) -> dict[QueueId, QueueId | None]:
    """Return where those go who ask for a queue that the config no longer has."""
    known = {queue.queue_id for queue in settings.queues}
    return {
        queue.queue_id: queue.fallback if queue.fallback in known else None
        for queue in today.queues
        if queue.queue_id not in known
    }
