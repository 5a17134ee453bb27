"""Histories made by hand: what the core would say, without the core."""

from __future__ import annotations

from dataclasses import dataclass, field

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import ContactClass, Medium, QueueSettings, Settings
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, OfferId, QueueId, seconds
from gkc_engine.recorder.rows import Step

START = Instant(1_790_000_000 * SECOND)
"""2026-09-21 14:13:20 UTC."""

PASSPORT = QueueId("passport")


def settings(version: str = "v1") -> Settings:
    queue = QueueSettings(queue_id=PASSPORT, service="mvd", servicelevel_us=seconds(20))
    return Settings(version=version, center="centr", queues=(queue,))


@dataclass
class History:
    """Builds steps one after the other; ``now`` moves only by ``after``."""

    now: Instant = START
    steps: list[Step] = field(default_factory=list)
    sequence: int = 0
    offers: int = 0

    def after(self, duration_s: float) -> History:
        self.now = Instant(self.now + seconds(duration_s))
        return self

    def step(self, event: ev.Event, *commands: cm.Command, key: str | None = None) -> Step:
        step = Step(
            now=self.now,
            event=event,
            source="ami" if key else "core",
            source_key=key,
            commands=list(commands),
            config_version="v1",
        )
        self.steps.append(step)
        return step

    def configured(self, version: str = "v1") -> Step:
        return self.step(ev.SettingsApplied(settings=settings(version)))

    def state(
        self, agent: str, state: cm.AgentState, contact: str | None = None
    ) -> cm.AgentStateChanged:
        return cm.AgentStateChanged(
            agent_id=AgentId(agent),
            slot=0,
            state=state,
            since=self.now,
            contact_id=ContactId(contact) if contact else None,
        )

    def arrive(self, contact: str, *, citizen: str | None = None) -> Instant:
        """The contact starts and stands in the queue two seconds later; returns its start."""
        started = self.now
        self.sequence += 1
        self.step(
            ev.ContactStarted(
                contact_id=ContactId(contact),
                medium=Medium.VOICE,
                number=f"2026-ЦАО-{self.sequence:06d}",
                entry="+74957777777",
                citizen=citizen,
                uniqueid=f"{contact}.1",
            ),
            key=f"start-{contact}",
        )
        self.after(2)
        self.step(
            ev.QueueRequested(contact_id=ContactId(contact), queue=PASSPORT),
            cm.SegmentClosed(
                contact_id=ContactId(contact),
                n=0,
                kind=cm.SegmentKind.MENU,
                started=started,
                ended=self.now,
                outcome=cm.SegmentOutcome.QUEUED,
            ),
            cm.ContactQueued(
                contact_id=ContactId(contact),
                queue=PASSPORT,
                enqueued=self.now,
                sequence=self.sequence,
                contact_class=ContactClass.NORMAL,
                head_start_us=Micros(0),
                medium=Medium.VOICE,
            ),
        )
        return started

    def talk(self, contact: str, agent: str, *, ring_s: float = 3, talk_s: float = 60) -> None:
        """A whole answered contact: arrival, ring, talk, wrap-up of ten seconds."""
        started = self.arrive(contact)
        queued = self.now
        offer = self.offered(contact, agent)
        self.after(ring_s)
        answered = self.now
        self.step(
            ev.OfferAccepted(offer_id=offer, agent_id=AgentId(agent)),
            self.segment(contact, 1, cm.SegmentKind.RING, queued, cm.SegmentOutcome.ANSWERED),
            self.offer_ended(contact, agent, offer, queued, cm.OfferOutcome.ACCEPTED),
            self.state(agent, cm.AgentState.TALK, contact),
        )
        self.after(talk_s)
        self.step(
            ev.ContactLeft(contact_id=ContactId(contact), party=ev.Party.CITIZEN),
            self.segment(contact, 2, cm.SegmentKind.TALK, answered, cm.SegmentOutcome.LEFT, agent),
            self.ended(contact, started, queued, answered, agent, ring_s, talk_s),
            self.state(agent, cm.AgentState.WRAP_UP, contact),
        )
        self.after(10)
        self.step(ev.Tick(), self.state(agent, cm.AgentState.READY))

    def abandon(self, contact: str, wait_s: float) -> None:
        """The citizen leaves the queue after ``wait_s``."""
        started = self.arrive(contact)
        queued = self.now
        self.after(wait_s)
        self.step(
            ev.ContactLeft(contact_id=ContactId(contact), party=ev.Party.CITIZEN),
            self.segment(contact, 1, cm.SegmentKind.QUEUE, queued, cm.SegmentOutcome.LEFT),
            self.ended(contact, started, queued, None, None, 0, 0),
        )

    def offered(self, contact: str, agent: str) -> OfferId:
        self.offers += 1
        offer = OfferId(self.offers)
        self.step(
            ev.Tick(),
            cm.OfferContact(
                offer_id=offer,
                contact_id=ContactId(contact),
                agent_ids=(AgentId(agent),),
                queue=PASSPORT,
                timeout_us=seconds(20),
                step=0,
                created=self.now,
            ),
            self.state(agent, cm.AgentState.RINGING, contact),
        )
        return offer

    def segment(
        self,
        contact: str,
        n: int,
        kind: cm.SegmentKind,
        started: Instant,
        outcome: cm.SegmentOutcome,
        agent: str | None = None,
    ) -> cm.SegmentClosed:
        return cm.SegmentClosed(
            contact_id=ContactId(contact),
            n=n,
            kind=kind,
            started=started,
            ended=self.now,
            outcome=outcome,
            queue=PASSPORT,
            agent_id=AgentId(agent) if agent else None,
        )

    def offer_ended(
        self, contact: str, agent: str, offer: OfferId, created: Instant, outcome: cm.OfferOutcome
    ) -> cm.OfferEnded:
        return cm.OfferEnded(
            offer_id=offer,
            contact_id=ContactId(contact),
            agent_id=AgentId(agent),
            queue=PASSPORT,
            created=created,
            ringing=created,
            ended=self.now,
            outcome=outcome,
        )

    def ended(
        self,
        contact: str,
        started: Instant,
        queued: Instant,
        answered: Instant | None,
        agent: str | None,
        ring_s: float,
        talk_s: float,
    ) -> cm.ContactEnded:
        wait = Micros((self.now if answered is None else answered) - queued)
        short = wait <= seconds(5)
        lost = cm.Disposition.ABANDONED_SHORT if short else cm.Disposition.ABANDONED
        return cm.ContactEnded(
            contact_id=ContactId(contact),
            disposition=lost if answered is None else cm.Disposition.ANSWERED,
            medium=Medium.VOICE,
            started=started,
            ended=self.now,
            party=ev.Party.CITIZEN,
            reason="",
            via="engine",
            queue=PASSPORT,
            first_queued=queued,
            answered=answered,
            agent_id=AgentId(agent) if agent else None,
            menu_us=Micros(queued - started),
            wait_us=wait,
            ring_us=seconds(ring_s),
            talk_us=seconds(talk_s),
            hold_us=Micros(0),
            offers=0 if answered is None else 1,
        )
