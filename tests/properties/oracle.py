"""The naive distributor's ears: what each event means to it (see ``rules.py``)."""

from __future__ import annotations

from gkc_engine.acd import events as ev
from tests.properties.offers import Offers
from tests.properties.people import OAgent, OContact
from tests.properties.rules import Decision

__all__ = ["Decision", "Oracle"]

OF_BROADCASTS = (ev.QueueAnnounced, ev.BroadcastStopped, ev.BroadcastHeard)
"""What is said to those who wait decides nothing."""


class Oracle(Offers):
    """Compared with the core by ``driver.py``, decision by decision."""

    def step(self, event: ev.Event, now: int) -> list[Decision]:
        if isinstance(event, ev.EngineRestarted):
            self.restart(now)
        self.run_due(now, *self.line_of(event))
        if not isinstance(event, OF_BROADCASTS):
            self.handle(event)
        self.note()
        said, self.said = self.said, []
        return said

    def line_of(self, event: ev.Event) -> tuple[int, int]:
        match event:
            case ev.Tick():
                return 5, 0
            case ev.OfferAccepted() | ev.OfferFailed() | ev.OfferRinging():
                raise AssertionError("use offer_event")
            case (
                ev.HoursChanged()
                | ev.EmergencyClosed()
                | ev.EmergencyOpened()
                | ev.StaffedElsewhere()
            ):
                return 3, -1
            case ev.ContactPriorityChanged():
                return 2, self.contacts[event.contact_id].seq
            case ev.ContactLeft():
                contact = self.contacts.get(event.contact_id)
                if contact is None:
                    return 3, -1
                if contact.state == "talk":
                    known = contact.agent is not None
                    return 1, self.agents[contact.agent].rank if known and contact.agent else -1
                return 3, contact.seq
            case ev.TransferRequested():
                return 1, self.agents[event.from_agent].rank
            case (
                ev.TalkEnded()
                | ev.AgentLoggedIn()
                | ev.AgentLoggedOut()
                | ev.AgentPaused()
                | ev.AgentReady()
                | ev.AgentDeviceChanged()
                | ev.AgentCallStarted()
                | ev.AgentCallEnded()
                | ev.SkillsChanged()
                | ev.SkillOverridden()
            ):
                return 1, self.agents[event.agent_id].rank
            case _:
                return 4, 10**18

    def handle(self, event: ev.Event) -> None:
        match event:
            case ev.Tick() | ev.EngineRestarted():
                pass
            case ev.HoursChanged() | ev.StaffedElsewhere():
                self.told_of_a_queue(event)
            case ev.EmergencyClosed():
                self.close_at_once(event.queue, event.say)
            case ev.EmergencyOpened():
                for name, queue in self.queues.items():
                    if event.queue in (None, name):
                        queue.emergency = None
            case ev.TalkEnded():
                self.talk_ended(event)
            case ev.TransferRequested():
                self.transfer(event)
            case _ if hasattr(event, "contact_id") and not hasattr(event, "call_id"):
                self.handle_contact(event)
            case _:
                self.handle_agent(event)

    def told_of_a_queue(self, event: ev.HoursChanged | ev.StaffedElsewhere) -> None:
        queue = self.queues[event.queue]
        if isinstance(event, ev.HoursChanged):
            queue.open = event.open
        else:
            queue.elsewhere = event.staffed

    # --- contacts --------------------------------------------------------------------------------

    def handle_contact(self, event: ev.Event) -> None:
        match event:
            case ev.ContactStarted():
                self.contacts[event.contact_id] = OContact(
                    event.contact_id, event.medium.value, event.citizen, self.now
                )
            case ev.ContactBlocked():
                self.blocked(self.contacts[event.contact_id])
            case ev.QueueRequested():
                self.queue_requested(event)
            case ev.ContactPriorityChanged():
                c = self.contacts[event.contact_id]
                if c.state != "treated":
                    self.own_priority(c, event)
            case ev.ContactDetached() | ev.ContactAttached():
                self.in_hand_or_not(event)
            case ev.FallbackAnswered():
                self.fallback(event)
            case ev.ContactLeft():
                self.left(event)
            case _:
                raise AssertionError(event)

    def blocked(self, c: OContact) -> None:
        if c.state == "menu" and c.enqueued is None:
            c.state, c.decided, c.then_queue = "treated", "blocked", None
        elif c.state != "treated" or c.decided != "blocked":
            return
        self.said.append(("treat", c.name, "blocked"))

    def own_priority(
        self, c: OContact, event: ev.QueueRequested | ev.ContactPriorityChanged
    ) -> None:
        asked = (event.contact_class, event.head_start_us, event.slope_milli)
        c.own = tuple(b if n is None else n for b, n in zip(c.own, asked, strict=True))  # type: ignore[assignment]

    def in_hand_or_not(self, event: ev.ContactDetached | ev.ContactAttached) -> None:
        c = self.contacts[event.contact_id]
        if isinstance(event, ev.ContactDetached):
            self.detached(c)
            return
        was, c.held = c.held, True
        if c.state == "detached" and not was:
            if c.queue:
                self.wait_again(c)
            else:
                c.state = "menu"

    def queue_requested(self, event: ev.QueueRequested) -> None:
        c = self.contacts[event.contact_id]
        if c.state == "talk" or (c.state == "treated" and c.then_queue != event.queue):
            return
        c.decided = c.then_queue = None
        self.own_priority(c, event)
        if c.state == "waiting" and c.queue == event.queue:
            return
        if c.state == "offered":
            c.held = True
            if c.queue != event.queue:
                c.queue, c.prefer = event.queue, None
                self.rescind(c)
            return
        c.held = True
        arrival = c.enqueued is None
        self.enqueue(c)
        self.enter(c, event.queue, arrival=arrival)

    def detached(self, c: OContact) -> None:
        if c.state in ("waiting", "menu"):
            if c.state == "menu":
                self.enqueue(c)
            c.state = "detached"
            c.held = False
        elif c.state == "offered":
            c.held = False

    def restart(self, now: int) -> None:
        for c in self.contacts.values():
            if c.state == "waiting":
                c.state, c.held = "detached", False
            elif c.state == "offered":
                c.held, c.doubt, c.lease = False, True, max(c.lease, now + 15_000_000)

    def fallback(self, event: ev.FallbackAnswered) -> None:
        c = self.contacts[event.contact_id]
        if c.state == "talk" or (c.state == "treated" and c.answered is not None):
            return
        freed = [self.agents[name] for name in c.asked]
        for a in freed:
            self.let_go(a, c)
        c.prefer, c.asked = None, []
        self.enqueue(c)
        if event.agent_id is None:
            c.state, c.held = "talk", True
            c.answered = self.now if c.answered is None else c.answered
        else:
            a = self.agents[event.agent_id]
            mine = [s for s in a.slots if s.medium == c.medium]
            free = [s for s in mine if s.doing == "nothing"]
            wrapping = [s for s in mine if s.doing == "wrap"]  # He really talks: it is cut short.
            self.talk(c, a, next(iter([*free, *wrapping]), None))
            freed = [*(f for f in freed if f is not a), a]
        for a in self.by_rank(freed):
            self.p2(a)

    def left(self, event: ev.ContactLeft) -> None:
        c = self.contacts.pop(event.contact_id)
        freed = [self.agents[name] for name in c.asked]
        for a in freed:
            self.let_go(a, c)
        self.said.append(("end", c.name, self.disposition(c, event)))
        if event.party is ev.Party.CITIZEN:
            self.keep_place(c)
        if c.state == "talk":
            self.after_talk(self.end_talk(c))
        for a in self.by_rank(freed):
            self.p2(a)

    def disposition(self, c: OContact, event: ev.ContactLeft) -> str:
        if c.answered is not None:
            return "answered"
        if c.decided is not None:
            return c.decided
        if c.state == "detached":
            return "failed_open"
        if event.party is ev.Party.SYSTEM:
            return "system_failed"
        if c.state == "menu":  # Left before any queue, Asterisk's own among them, or not.
            return "abandoned_menu" if c.enqueued is None else "failed_open"
        assert c.enqueued is not None
        short = self.now - c.enqueued <= self.rules_of(c).short_abandon_us
        return "abandoned_short" if short else "abandoned"

    # --- talks -----------------------------------------------------------------------------------

    def talk_ended(self, event: ev.TalkEnded) -> None:
        c = self.contacts[event.contact_id]
        if c.state != "talk" or c.agent != event.agent_id:
            return
        if event.end is ev.TalkEnd.MEDIA_LOST and c.queue:
            self.wait_after_talk(c, event.agent_id)
            return
        self.release(c)

    def release(self, c: OContact) -> None:
        a = self.end_talk(c)
        c.state, c.decided, c.then_queue = "treated", "answered", None
        self.said.append(("release", c.name))
        self.after_talk(a)

    def wait_after_talk(self, c: OContact, from_agent: str) -> None:
        a = self.end_talk(c)
        c.barred[from_agent] = self.now + self.rules_of(c).same_agent_after_us
        c.state, c.prefer = "detached", None
        self.after_talk(a)
        self.wait_again(c)

    def transfer(self, event: ev.TransferRequested) -> None:
        c = self.contacts[event.contact_id]
        if c.state != "talk" or c.agent != event.from_agent:
            return
        if event.to_queue is not None:
            a = self.end_talk(c)
            rules = self.queues[event.to_queue].rules
            c.barred[event.from_agent] = self.now + rules.same_agent_after_us
            c.state = "external"
            self.after_talk(a)
            self.enter(c, event.to_queue, arrival=False)
            return
        if event.to_agent is None:
            a = self.end_talk(c)
            c.state, c.held, c.step = "detached", False, 0
            self.after_talk(a)
            return
        target = self.agents[event.to_agent]
        if not c.queue:
            self.release(c)
        elif self.able(target, c.medium):
            a = self.end_talk(c)
            c.barred[event.from_agent] = self.now + self.rules_of(c).same_agent_after_us
            c.step = 0
            self.offer(c, [target])
            self.after_talk(a)
        else:
            self.wait_after_talk(c, event.from_agent)

    # --- agents ----------------------------------------------------------------------------------

    def handle_agent(self, event: ev.Event) -> None:
        assert isinstance(
            event,
            ev.AgentLoggedIn
            | ev.AgentLoggedOut
            | ev.AgentPaused
            | ev.AgentReady
            | ev.AgentDeviceChanged
            | ev.AgentCallStarted
            | ev.AgentCallEnded
            | ev.SkillsChanged
            | ev.SkillOverridden,
        ), event
        a = self.agents[event.agent_id]
        match event:
            case ev.AgentLoggedIn():
                self.logged_in(a)
            case ev.AgentLoggedOut():
                self.logged_out(a)
            case ev.AgentPaused():
                if a.at_work:
                    a.pause = (None if event.until is None else max(event.until, self.now),)
                    self.preferred_gone(a)
            case ev.AgentReady():
                self.asks_for_work(a)
            case ev.AgentDeviceChanged():
                self.device(a, event)
            case ev.AgentCallStarted() | ev.AgentCallEnded():
                self.own_call(a, event)
            case ev.SkillsChanged():
                a.base = {str(s): level for s, level in event.skills.items()}
                a.shift = True
                self.other_skills(a)
            case ev.SkillOverridden():
                self.overridden(a, event)

    def overridden(self, a: OAgent, event: ev.SkillOverridden) -> None:
        if event.level is None:
            if a.over.pop(event.skill, None) is not None:
                self.other_skills(a)
        elif (event.until is None or event.until > self.now) and a.over.get(event.skill) != (
            event.level,
            event.until,
        ):
            a.over[event.skill] = (event.level, event.until)
            self.other_skills(a)

    def own_call(self, a: OAgent, event: ev.AgentCallStarted | ev.AgentCallEnded) -> None:
        if isinstance(event, ev.AgentCallStarted):
            a.calls.add(event.call_id)
        elif event.call_id in a.calls:
            a.calls.remove(event.call_id)
            if not a.calls:
                self.ready(a)

    def device(self, a: OAgent, event: ev.AgentDeviceChanged) -> None:
        ours = any(s.medium == "voice" and s.doing in ("offer", "talk") for s in a.slots)
        hung_up = a.in_use and not event.in_use and not ours
        back = event.reachable and not a.reachable
        a.reachable, a.in_use, a.phone = event.reachable, event.in_use, event.phone.value
        if hung_up or back:
            self.ready(a)
        else:
            self.p2(a)

    def logged_in(self, a: OAgent) -> None:
        if not a.at_work:
            a.at_work, a.misses, a.log = True, 0, []
            self.ready(a)

    def asks_for_work(self, a: OAgent) -> None:
        wrapping = [slot for slot in a.slots if slot.doing == "wrap"]
        if a.at_work and (a.pause is not None or wrapping):
            a.pause = None
            for slot in wrapping:
                slot.clear()
            self.ready(a)

    def logged_out(self, a: OAgent) -> None:
        if not a.at_work:
            return
        a.at_work, a.pause, a.rest = False, None, None
        if a.shift:
            (mine,) = (s for s in self.settings.agents if s.agent_id == a.name)
            a.shift, a.base = False, {str(s): level for s, level in mine.skills.items()}
        a.over = {s: (level, until) for s, (level, until) in a.over.items() if until is not None}
        for slot in a.slots:
            c = self.contacts.get(slot.contact) if slot.doing == "offer" else None
            if c is not None and not any(self.agents[name].at_work for name in c.asked):
                self.rescind(c)
        self.preferred_gone(a)
        self.everybody_again()
