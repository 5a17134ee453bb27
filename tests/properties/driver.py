"""Plays the outside world to the core, the oracle, a restored twin and the invariants at once.

Ids are drawn from what is live, so that deep states are reached. Times are whole seconds on
purpose: many things then fall on one instant, and P5 has to decide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import ContactClass, Medium, Settings
from gkc_engine.acd.state import ContactState
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, OfferId, QueueId
from tests.properties import invariants
from tests.properties.city import AGENTS, LETTERS, QUEUES, SKILLS
from tests.properties.oracle import Oracle
from tests.properties.support import FAILURES, Pick, copy_of, decisions

T = TypeVar("T")


class Driver:
    """One history. ``with_oracle``: what the oracle does not know is left out."""

    def __init__(self, settings: Settings, pick: Pick, *, with_oracle: bool) -> None:
        self.pick = pick
        self.acd = Acd()
        self.twin: Acd | None = None
        self.now = Instant(0)
        self.settings = settings
        self.oracle = Oracle(settings) if with_oracle else None
        self.checker = invariants.Checker()
        self.ledger: list[tuple[ev.Event, Instant, list[cmd.Command]]] = []
        self.arrived = 0
        self.offers: dict[OfferId, cmd.OfferContact] = {}
        self.apply(ev.SettingsApplied(settings=settings))
        for agent_id in AGENTS[: self.one_of([8, 3])]:
            self.send(ev.AgentLoggedIn(agent_id=agent_id))

    # --- plumbing --------------------------------------------------------------------------------

    def one_of(self, items: list[T]) -> T:
        return items[self.pick.number(0, len(items) - 1)]

    def apply(self, event: ev.Event) -> list[cmd.Command]:
        before = self.checker.before(self.acd)
        commands = self.acd.step(event, self.now)
        self.ledger.append((event, self.now, commands))
        if self.twin is not None:
            assert self.twin.step(event, self.now) == commands, "a restored core acts otherwise"
        self.offers.update({c.offer_id: c for c in commands if isinstance(c, cmd.OfferContact)})
        self.checker.after(self.acd, before, event, commands)
        return commands

    def send(self, event: ev.Event) -> None:
        commands = self.apply(event)
        if self.oracle is not None:
            said = self.oracle.step(event, self.now)
            assert decisions(commands) == said, (
                f"{event}\ncore {decisions(commands)}\noracle {said}"
            )
            self.compare()

    def send_result(self, contact_id: ContactId, event: ev.Event, outcome: str) -> None:
        commands = self.apply(event)
        if self.oracle is not None:
            said = self.oracle.offer_event(contact_id, outcome, self.now)
            assert decisions(commands) == said, (
                f"{event}\ncore {decisions(commands)}\noracle {said}"
            )
            self.compare()

    def compare(self) -> None:
        """The oracle and the core agree on everybody, not only on what was said."""
        assert self.oracle is not None
        for agent in self.oracle.agents.values():
            view = self.acd.agent_view(AgentId(agent.name))
            assert view is not None
            assert view.can_take == agent.able(), agent
            assert (view.paused, view.misses) == (agent.pause is not None, agent.misses), agent
            assert not agent.able() or view.idle_since == agent.idle_since, agent
        assert set(self.acd.contacts()) == set(self.oracle.contacts)
        for contact in self.oracle.contacts.values():
            seen = self.acd.contact_view(ContactId(contact.name))
            assert seen is not None
            assert seen.state.value == contact.state, contact
            assert seen.state is not ContactState.WAITING or seen.step == contact.step, contact

    def contacts_in(self, *states: ContactState) -> list[ContactId]:
        views = [self.acd.contact_view(c) for c in self.acd.contacts()]
        return [v.contact_id for v in views if v is not None and v.state in states]

    def chance(self, percent: int) -> bool:
        return self.pick.number(0, 99) < percent

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
        ]
        if self.oracle is None:
            base += [self.reload, self.close, self.late_answer, self.own_call, self.hold]
        return base

    def act(self) -> None:
        self.one_of(self.actions())()

    def arrive(self) -> None:
        contact_id = ContactId(f"c{self.arrived}")
        self.arrived += 1
        letters = self.oracle is None and self.chance(25)
        citizen = self.one_of([None, "k1", "k2", "k3"])
        self.send(
            ev.ContactStarted(
                contact_id=contact_id,
                medium=Medium.EMAIL if letters else Medium.VOICE,
                number="2026-ЦАО-1",
                entry="+74957777777",
                citizen=citizen,
            )
        )
        if self.chance(95):
            self.queue(contact_id)

    def queue(self, contact_id: ContactId) -> None:
        self.send(
            ev.QueueRequested(
                contact_id=contact_id,
                queue=self.queue_for(contact_id),
                contact_class=self.one_of([None, None, None, None, *ContactClass]),
                head_start_us=self.one_of([None, None, None, Micros(7 * SECOND)]),
                slope_milli=self.one_of([None, None, None, 1500]),
            )
        )

    def queue_for(self, contact_id: ContactId) -> QueueId:
        view = self.acd.contact_view(contact_id)
        letter = view is not None and view.medium is Medium.EMAIL
        return LETTERS if letter else self.one_of(QUEUES)

    def move(self) -> None:
        if contacts := list(self.acd.contacts()):
            self.queue(self.one_of(contacts))

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
        self.send(ev.AgentDeviceChanged(agent_id=self.agent(), reachable=self.chance(70)))

    def skills(self) -> None:
        self.send(ev.SkillsChanged(agent_id=self.agent(), skills=SKILLS[self.agent()]))

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
        to_agent = self.agent() if to_queue is None else None
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
            ev.ContactAttached(contact_id=ContactId("gone")),
        ):
            assert self.apply(event) == [], event

    # --- beyond the oracle -----------------------------------------------------------------------

    def reload(self) -> None:
        keep = [q for q in self.settings.queues if self.chance(80)]
        agents = [a for a in self.settings.agents if self.chance(80)]
        settings = Settings(
            version=f"{len(self.ledger)}",
            order=self.settings.order,
            maxlen=7,
            queues=tuple(keep),
            agents=tuple(agents),
        )
        contacts = set(self.acd.contacts())
        self.send(ev.SettingsApplied(settings=settings))
        assert contacts == set(self.acd.contacts()), "a reload drops a contact"
        if self.chance(70):
            self.send(ev.SettingsApplied(settings=self.settings))

    def close(self) -> None:
        queue = self.one_of(QUEUES)
        events: list[ev.Event] = [
            ev.HoursChanged(queue=queue, open=False),
            ev.HoursChanged(queue=queue, open=True),
            ev.EmergencyClosed(queue=queue, say="closed"),
            ev.EmergencyOpened(queue=queue),
            ev.EmergencyOpened(),
        ]
        self.send(self.one_of(events))

    def late_answer(self) -> None:
        offers = [o for o in self.offers.values() if self.acd.contact_view(o.contact_id)]
        if offers:
            offer = self.one_of(offers)
            self.send(
                ev.OfferAccepted(
                    offer_id=offer.offer_id, agent_id=self.one_of(list(offer.agent_ids))
                )
            )

    def own_call(self) -> None:
        agent_id = self.agent()
        call = self.one_of(["x", "y"])
        if self.chance(50):
            self.send(ev.AgentCallStarted(agent_id=agent_id, call_id=call, kind="outbound"))
        else:
            self.send(ev.AgentCallEnded(agent_id=agent_id, call_id=call))

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

    # --- the end ---------------------------------------------------------------------------------

    def finish(self) -> None:
        """Replay: the same events give the same commands (and the last checks of the stream)."""
        again = Acd()
        for event, now, commands in self.ledger:
            assert again.step(event, now) == commands, "replay differs"
        self.checker.finish(self.acd)
