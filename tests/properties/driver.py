"""Plays the outside world to what ``wiring.py`` ties together.

Ids are drawn from what is live, so that deep states are reached. Times are whole seconds on
purpose: many things then fall on one instant, and P5 has to decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import AgentSettings, ContactClass, Medium, QueueSettings, Settings
from gkc_engine.acd.state import ContactState
from gkc_engine.ids import (
    SECOND,
    AgentId,
    ContactId,
    Instant,
    Micros,
    OfferId,
    QueueId,
    SkillId,
)
from tests.properties.city import AGENTS, LETTERS, QUEUES, SKILLS
from tests.properties.support import FAILURES, Pick, copy_of
from tests.properties.wiring import Wiring


class Driver(Wiring):
    """Draws what happens. ``with_oracle``: what the oracle does not know is left out.

    ``supervised``: single skills are overridden, and broadcasts are made. ``neighbours``: other
    centers are there for queues, or are not any more.
    """

    def __init__(
        self,
        settings: Settings,
        pick: Pick,
        *,
        with_oracle: bool,
        supervised: bool = False,
        neighbours: bool = False,
    ) -> None:
        super().__init__(settings, pick, with_oracle=with_oracle)
        self.supervised, self.neighbours = supervised, neighbours
        self.helped: set[QueueId] = set()
        """Queues for which another center is there."""
        for agent_id in AGENTS[: self.one_of([8, 3])]:
            self.send(ev.AgentLoggedIn(agent_id=agent_id))

    # --- what may happen -------------------------------------------------------------------------

    def actions(self) -> list[Callable[[], None]]:
        base = [
            *[self.arrive] * 5,
            *[self.answer] * 3,
            *[self.fail] * 3,
            *[self.end_talk] * 3,
            *[self.pass_time] * 4,
            *[self.deadline] * 4,
            self.leave,
            self.leave,
            self.login,
            self.logout,
            self.pause,
            self.ready,
            self.device,
            self.skills,
            self.detach,
            self.attach,
            self.move,
            self.fallback,
            self.transfer,
            self.restart,
            self.snapshot,
            self.stale,
            self.close,
            self.own_call,
            self.priority,
            self.call_again,
            self.blocked,
        ]
        if self.supervised:
            base += [self.override, self.override, self.broadcast]
        if self.neighbours:
            base += [self.neighbour] * 4
        if self.oracle is None:
            base += [self.reload, self.late_answer, self.hold]
        return base

    def act(self) -> None:
        self.one_of(self.actions())()

    def arrive(self) -> None:
        letter = self.letters and self.chance(35)
        contact_id = self.start(self.one_of([None, "k1", "k2", "k3"]), letter=letter)
        if self.chance(95):
            self.queue(contact_id, self.queue_for(contact_id))

    def start(self, citizen: str | None, *, letter: bool = False) -> ContactId:
        contact_id = ContactId(f"c{self.arrived}")
        self.arrived += 1
        self.citizens[contact_id] = citizen
        self.send(
            ev.ContactStarted(
                contact_id=contact_id,
                medium=Medium.EMAIL if letter else Medium.VOICE,
                number="2026-ЦАО-1",
                entry="+74957777777",
                citizen=citizen,
            )
        )
        return contact_id

    def blocked(self) -> None:
        """One who has just come, as a rule; else anybody, of whom nothing may come."""
        contacts = list(self.acd.contacts())
        anybody = self.one_of(contacts) if contacts and self.chance(50) else self.start("k1")
        self.send(ev.ContactBlocked(contact_id=anybody))

    def queue(self, contact_id: ContactId, queue: QueueId) -> None:
        self.send(
            ev.QueueRequested(
                contact_id=contact_id,
                queue=queue,
                contact_class=self.one_of([None, None, None, None, *ContactClass]),
                head_start_us=self.one_of([None, None, None, Micros(7 * SECOND)]),
                slope_milli=self.one_of([None, None, None, 1500]),
            )
        )

    def queue_for(self, contact_id: ContactId) -> QueueId:
        view = self.acd.contact_view(contact_id)
        letter = view is not None and view.medium is Medium.EMAIL
        return LETTERS if letter else self.one_of(self.voice)

    def move(self) -> None:
        if contacts := list(self.acd.contacts()):
            contact_id = self.one_of(contacts)
            self.queue(contact_id, self.queue_for(contact_id))

    def priority(self) -> None:
        if contacts := list(self.acd.contacts()):
            self.send(
                ev.ContactPriorityChanged(
                    contact_id=self.one_of(contacts),
                    contact_class=self.one_of([None, *ContactClass]),
                    head_start_us=self.one_of([None, Micros(0), Micros(9 * SECOND)]),
                    slope_milli=self.one_of([None, 0, 4000]),
                )
            )

    def call_again(self) -> None:
        """Somebody who waits is cut off, and calls again."""
        for contact_id in self.contacts_in(ContactState.WAITING, ContactState.OFFERED):
            citizen, view = self.citizens.get(contact_id), self.acd.contact_view(contact_id)
            assert view is not None
            if citizen is None or view.queue is None or view.medium is not Medium.VOICE:
                continue
            self.send(ev.ContactLeft(contact_id=contact_id, party=ev.Party.CITIZEN))
            self.pass_time()
            again = self.start(citizen)
            self.pass_time()
            self.queue(again, view.queue)
            return

    def live_offer(self) -> cmd.OfferContact | None:
        offers = []
        for contact_id in self.contacts_in(ContactState.OFFERED):
            view = self.acd.contact_view(contact_id)
            assert view is not None
            assert view.offer_id is not None
            offers.append(self.offers[view.offer_id])
        return self.one_of(offers) if offers else None

    def answer(self) -> None:
        if (offer := self.live_offer()) is not None:
            event = ev.OfferAccepted(
                offer_id=offer.offer_id, agent_id=self.one_of(list(offer.agent_ids))
            )
            self.send_result(offer.contact_id, event, "accepted")

    def fail(self) -> None:
        if (offer := self.live_offer()) is not None:
            failure = self.one_of([ev.OfferFailure.NO_ANSWER, *FAILURES])
            one = self.one_of([None, *offer.agent_ids]) if len(offer.agent_ids) > 1 else None
            event = ev.OfferFailed(offer_id=offer.offer_id, failure=failure, agent_id=one)
            self.send_result(offer.contact_id, event, FAILURES[failure])

    def end_talk(self) -> None:
        if talks := self.contacts_in(ContactState.TALK):
            contact_id = self.one_of(talks)
            view = self.acd.contact_view(contact_id)
            assert view is not None
            if view.agent_id is None or self.chance(40):
                self.send(ev.ContactLeft(contact_id=contact_id, party=ev.Party.CITIZEN))
                return
            end = self.one_of([ev.TalkEnd.RELEASED, ev.TalkEnd.RELEASED, ev.TalkEnd.MEDIA_LOST])
            self.send(
                ev.TalkEnded(
                    contact_id=contact_id, agent_id=view.agent_id, end=end, party=ev.Party.AGENT
                )
            )

    def leave(self) -> None:
        if contacts := list(self.acd.contacts()):
            party = self.one_of([ev.Party.CITIZEN, ev.Party.CITIZEN, ev.Party.SYSTEM])
            self.send(ev.ContactLeft(contact_id=self.one_of(contacts), party=party))

    def pass_time(self) -> None:
        self.now = Instant(self.now + self.pick.number(0, 6) * SECOND)
        self.tick()

    def deadline(self) -> None:
        due = self.acd.next_deadline()
        if due is None or due < self.now:
            assert due is None, "a deadline in the past"
            return
        self.now = due
        if self.chance(50):
            self.tick()

    def tick(self) -> None:
        self.send(ev.Tick())
        due = self.acd.next_deadline()
        assert due is None or due > self.now, "a timer that fires must make progress"

    def agent(self) -> AgentId:
        return self.one_of(AGENTS)

    def login(self) -> None:
        self.send(ev.AgentLoggedIn(agent_id=self.agent()))

    def logout(self) -> None:
        self.send(ev.AgentLoggedOut(agent_id=self.agent()))

    def pause(self) -> None:
        until = self.one_of([None, Instant(self.now + 5 * SECOND)])
        self.send(ev.AgentPaused(agent_id=self.agent(), reason="lunch", until=until))

    def ready(self) -> None:
        self.send(ev.AgentReady(agent_id=self.agent()))

    def device(self) -> None:
        reachable = self.chance(70)
        phone = ev.Phone.UNKNOWN if reachable else ev.Phone.INVALID
        self.send(
            ev.AgentDeviceChanged(
                agent_id=self.agent(),
                reachable=reachable,
                in_use=self.chance(15),
                phone=self.one_of([ev.Phone.KNOWN, phone]),
            )
        )

    def skills(self) -> None:
        self.send(ev.SkillsChanged(agent_id=self.agent(), skills=SKILLS[self.agent()]))

    def override(self) -> None:
        ends = [None, Instant(self.now + 3 * SECOND), Instant(self.now + 7 * SECOND)]
        self.send(
            ev.SkillOverridden(
                agent_id=self.agent(),
                skill=SkillId(self.one_of(["passport", "housing", "tatar"])),
                level=self.one_of([None, 0, 0, 2, 5]),
                until=self.one_of(ends),
            )
        )

    def broadcast(self) -> None:
        """What is said to those who wait: to the oracle it means nothing."""
        queue = self.one_of(self.voice)
        heard = [
            ev.BroadcastHeard(contact_id=contact_id, broadcast_id=1)
            for contact_id in list(self.acd.contacts())[:1]
        ]
        events: list[ev.Event] = [
            *heard,
            ev.QueueAnnounced(
                queue=queue,
                say="outage",
                until=Instant(self.now + self.pick.number(1, 9) * SECOND),
                every_us=self.one_of([None, Micros(2 * SECOND)]),
                newcomers=self.chance(50),
            ),
            ev.BroadcastStopped(queue=queue),
        ]
        self.send(self.one_of(events))

    def detach(self) -> None:
        if contacts := list(self.acd.contacts()):
            self.send(ev.ContactDetached(contact_id=self.one_of(contacts)))

    def attach(self) -> None:
        if contacts := self.contacts_in(ContactState.DETACHED, ContactState.OFFERED):
            self.send(ev.ContactAttached(contact_id=self.one_of(contacts)))

    def fallback(self) -> None:
        if contacts := self.contacts_in(ContactState.DETACHED):
            agent_id = self.one_of([None, self.agent()])
            contact_id = self.one_of(contacts)
            self.send(ev.FallbackAnswered(contact_id=contact_id, agent_id=agent_id, at=self.now))

    def transfer(self) -> None:
        talks = [self.acd.contact_view(c) for c in self.contacts_in(ContactState.TALK)]
        known = [v for v in talks if v is not None and v.agent_id is not None]
        if not known:
            return
        view = self.one_of(known)
        assert view.agent_id is not None
        to_queue = self.one_of([None, self.queue_for(view.contact_id)])
        to_agent = self.agent() if to_queue is None and not self.chance(20) else None
        self.send(
            ev.TransferRequested(
                contact_id=view.contact_id,
                from_agent=view.agent_id,
                to_agent=to_agent,
                to_queue=to_queue,
            )
        )

    def restart(self) -> None:
        if self.chance(30):
            self.send(ev.EngineRestarted())

    def snapshot(self) -> None:
        self.twin = copy_of(self.acd)

    def stale(self) -> None:
        """Ids of what is over, or never was: nothing happens."""
        self.tick()
        for event in (
            ev.OfferAccepted(offer_id=OfferId(10_000), agent_id=AGENTS[0]),
            ev.OfferFailed(offer_id=OfferId(10_000), failure=ev.OfferFailure.NO_ANSWER),
            ev.OfferRinging(offer_id=OfferId(10_000)),
            ev.ContactLeft(contact_id=ContactId("gone"), party=ev.Party.CITIZEN),
            ev.QueueRequested(contact_id=ContactId("gone"), queue=QUEUES[0]),
            ev.ContactPriorityChanged(contact_id=ContactId("gone"), slope_milli=1),
            ev.ContactAttached(contact_id=ContactId("gone")),
            ev.ContactBlocked(contact_id=ContactId("gone")),
        ):
            assert self.apply(event) == [], event

    def close(self) -> None:
        queue = self.one_of(self.voice)
        events: list[ev.Event] = [
            ev.HoursChanged(queue=queue, open=False),
            ev.HoursChanged(queue=queue, open=True),
            ev.HoursChanged(queue=queue, open=True),
            ev.EmergencyClosed(queue=queue, say="closed"),
            ev.EmergencyClosed(queue=self.one_of([None, queue])),
            ev.EmergencyOpened(queue=queue),
            ev.EmergencyOpened(),
            ev.EmergencyOpened(),
        ]
        self.send(self.one_of(events))

    def neighbour(self) -> None:
        queue = self.one_of(self.voice)
        self.helped ^= {queue}
        self.send(ev.StaffedElsewhere(queue=queue, staffed=queue in self.helped))

    def own_call(self) -> None:
        agent_id = self.agent()
        call = self.one_of(["x", "y"])
        if self.chance(50):
            self.send(ev.AgentCallStarted(agent_id=agent_id, call_id=call, kind="outbound"))
        else:
            self.send(ev.AgentCallEnded(agent_id=agent_id, call_id=call))

    # --- beyond the oracle -----------------------------------------------------------------------

    def reload(self) -> None:
        keep = [self.retuned(q) for q in self.settings.queues if self.chance(80)]
        agents = [self.changed(a) for a in self.settings.agents if self.chance(80)]
        settings = replace(
            self.settings,
            version=f"{len(self.ledger)}",
            queues=tuple(keep),
            agents=tuple(agents),
            blending=self.one_of([self.settings.blending, {}]),
        )
        contacts = set(self.acd.contacts())
        if self.twin is not None:  # It puts all in anew; the other only what changes.
            self.twin._world.overgrown = True
        self.send(ev.SettingsApplied(settings=settings))
        assert contacts == set(self.acd.contacts()), "a reload drops a contact"
        if self.chance(70):
            self.send(ev.SettingsApplied(settings=self.settings))

    def retuned(self, queue: QueueSettings) -> QueueSettings:
        other = self.one_of(list(self.settings.queues))
        if self.chance(60) or other.medium is not queue.medium:
            return queue
        whole = replace(other, queue_id=queue.queue_id, fallback=queue.fallback)
        treatments = {k: getattr(queue, k) for k in ("full", "closed", "timed_out", "unstaffed")}
        return self.one_of(
            [
                replace(whole, **treatments),
                replace(queue, relax=other.relax),
                replace(queue, require=other.require),
                replace(queue, timeout_us=other.timeout_us, strategy=other.strategy),
                replace(queue, leavewhenempty=other.leavewhenempty, joinempty=other.joinempty),
            ]
        )

    def changed(self, agent: AgentSettings) -> AgentSettings:
        if self.chance(70):
            return agent
        return replace(agent, capacity={m: self.pick.number(0, 2) for m in agent.capacity})

    def late_answer(self) -> None:
        offers = [o for o in self.offers.values() if self.acd.contact_view(o.contact_id)]
        if offers:
            offer = self.one_of(offers)
            self.send(
                ev.OfferAccepted(
                    offer_id=offer.offer_id, agent_id=self.one_of(list(offer.agent_ids))
                )
            )

    def hold(self) -> None:
        for contact_id in self.contacts_in(ContactState.TALK):
            view = self.acd.contact_view(contact_id)
            assert view is not None
            if view.agent_id is None:
                continue
            if self.chance(60):
                self.send(ev.HoldStarted(contact_id=contact_id, agent_id=view.agent_id))
            else:
                self.send(
                    ev.TransferCompleted(
                        contact_id=contact_id,
                        from_agent=view.agent_id,
                        to_agent=self.one_of([None, self.agent()]),
                    )
                )
            return
