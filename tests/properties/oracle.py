"""The naive distributor's ears: what each event means to it (see ``rules.py``)."""

from __future__ import annotations

from gkc_engine.acd import events as ev
from tests.properties.people import OAgent, OContact
from tests.properties.rules import Decision, Rules

__all__ = ["Decision", "Oracle"]


class Oracle(Rules):
    """Compared with the core by ``driver.py``, decision by decision."""

    def handle(self, event: ev.Event) -> None:
        match event:
            case ev.Tick() | ev.EngineRestarted():
                pass
            case ev.ContactStarted():
                self.contacts[event.contact_id] = OContact(event.contact_id, event.citizen)
            case ev.QueueRequested():
                self.queue_requested(event)
            case ev.ContactDetached() | ev.ContactAttached():
                self.in_hand_or_not(event)
            case ev.FallbackAnswered():
                self.fallback(event)
            case ev.ContactLeft():
                self.left(event)
            case ev.TalkEnded():
                self.talk_ended(event)
            case ev.TransferRequested():
                self.transfer(event)
            case _:
                self.handle_agent(event)

    def in_hand_or_not(self, event: ev.ContactDetached | ev.ContactAttached) -> None:
        c = self.contacts[event.contact_id]
        if isinstance(event, ev.ContactDetached):
            self.detached(c)
            return
        was, c.held = c.held, True
        if c.state == "detached" and not was:
            if c.queue:
                self.wait(c)
            else:
                c.state = "menu"

    def queue_requested(self, event: ev.QueueRequested) -> None:
        c = self.contacts[event.contact_id]
        if c.state in ("talk", "treated"):
            return
        asked = (event.contact_class, event.head_start_us, event.slope_milli)
        c.own = tuple(b if n is None else n for b, n in zip(c.own, asked, strict=True))  # type: ignore[assignment]
        if c.state == "waiting" and c.queue == event.queue:
            return
        if c.state == "offered":
            c.held = True
            if c.queue != event.queue:
                c.queue, c.prefer = event.queue, None
                self.rescind(c)
            return
        c.held = True
        self.enter(c, event.queue, arrival=c.enqueued is None)

    def detached(self, c: OContact) -> None:
        if c.state in ("waiting", "menu"):
            if c.state == "menu" and c.enqueued is None:
                c.enqueued, c.seq = self.now, self.seq
                self.seq += 1
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
        if c.state in ("talk", "treated"):
            return
        freed = None
        if c.state == "offered":
            assert c.agent is not None
            freed = self.agents[c.agent]
            self.let_go(freed)
        c.agent, c.prefer = None, None
        if c.enqueued is None:
            c.enqueued, c.seq = self.now, self.seq
            self.seq += 1
        if event.agent_id is None:
            c.state, c.held = "talk", True
            c.answered = self.now if c.answered is None else c.answered
        else:
            a = self.agents[event.agent_id]
            if a.doing == "wrap":  # He really talks: what he was writing up is cut short.
                a.doing = "nothing"
            self.talk(c, a)
        if freed is not None and freed.name != event.agent_id:
            self.p2(freed)

    def left(self, event: ev.ContactLeft) -> None:
        c = self.contacts.pop(event.contact_id)
        freed = self.agents[c.agent] if c.state == "offered" and c.agent else None
        if freed is not None:
            self.let_go(freed)
        self.said.append(("end", c.name, self.disposition(c, event)))
        if c.state == "talk":
            self.after_talk(self.end_talk(c))
        if freed is not None:
            self.p2(freed)

    def disposition(self, c: OContact, event: ev.ContactLeft) -> str:
        if c.answered is not None:
            return "answered"
        if c.decided is not None:
            return c.decided
        if c.state == "detached":
            return "failed_open"
        if event.party is ev.Party.SYSTEM:
            return "system_failed"
        if c.state == "menu":
            return "abandoned_menu"
        assert c.enqueued is not None
        short = self.now - c.enqueued <= self.queues[c.queue].short_abandon_us
        return "abandoned_short" if short else "abandoned"

    def talk_ended(self, event: ev.TalkEnded) -> None:
        c = self.contacts[event.contact_id]
        if c.state != "talk" or c.agent != event.agent_id:
            return
        if event.end is ev.TalkEnd.MEDIA_LOST and c.queue:
            self.wait_after_talk(c, event.agent_id, c.queue)
            return
        a = self.end_talk(c)
        c.state, c.decided = "treated", "answered"
        self.said.append(("release", c.name))
        self.after_talk(a)

    def wait_after_talk(self, c: OContact, from_agent: str, queue: str) -> None:
        a = self.end_talk(c)
        c.barred[from_agent] = self.now + self.queues[queue].same_agent_after_us
        c.queue, c.state, c.prefer = queue, "detached", None
        self.after_talk(a)
        self.wait(c)

    def transfer(self, event: ev.TransferRequested) -> None:
        c = self.contacts[event.contact_id]
        if c.state != "talk" or c.agent != event.from_agent:
            return
        if event.to_queue is not None:
            self.wait_after_talk(c, event.from_agent, event.to_queue)
            return
        target = self.agents[event.to_agent or ""]
        if not c.queue:
            a = self.end_talk(c)
            c.state, c.decided = "treated", "answered"
            self.said.append(("release", c.name))
            self.after_talk(a)
        elif target.able():
            a = self.end_talk(c)
            c.barred[event.from_agent] = self.now + self.queues[c.queue].same_agent_after_us
            c.step = 0
            self.offer(c, target)
            self.after_talk(a)
        else:
            self.wait_after_talk(c, event.from_agent, c.queue)

    def handle_agent(self, event: ev.Event) -> None:
        match event:
            case ev.AgentLoggedIn():
                self.logged_in(self.agents[event.agent_id])
            case ev.AgentLoggedOut():
                self.logged_out(self.agents[event.agent_id])
            case ev.AgentPaused():
                a = self.agents[event.agent_id]
                if a.at_work:
                    until = None if event.until is None else max(event.until, self.now)
                    a.pause = (until,)
                    self.preferred_gone(a)
            case ev.AgentReady():
                self.asks_for_work(self.agents[event.agent_id])
            case ev.AgentDeviceChanged():
                a = self.agents[event.agent_id]
                better = event.reachable and not a.reachable
                a.reachable = event.reachable
                if better:
                    self.ready(a)
            case ev.SkillsChanged():
                a = self.agents[event.agent_id]
                a.skills = {str(s): level for s, level in event.skills.items()}
                self.preferred_gone(a)
                self.p2(a)
                self.everybody_again()
            case _:
                raise AssertionError(event)

    def logged_in(self, a: OAgent) -> None:
        if not a.at_work:
            a.at_work, a.misses, a.log = True, 0, []
            self.ready(a)

    def asks_for_work(self, a: OAgent) -> None:
        if a.at_work and (a.pause is not None or a.doing == "wrap"):
            a.pause = None
            a.doing = "nothing" if a.doing == "wrap" else a.doing
            self.ready(a)

    def logged_out(self, a: OAgent) -> None:
        if not a.at_work:
            return
        a.at_work, a.pause, a.rest = False, None, None
        for c in self.contacts.values():
            if c.state == "offered" and c.agent == a.name:
                self.rescind(c)
        self.preferred_gone(a)
        self.everybody_again()

    def everybody_again(self) -> None:
        """Somebody went: for some contacts nobody else is left, so P6 bars nobody any more."""
        for c in sorted(self.contacts.values(), key=lambda c: c.seq):
            if c.state == "waiting":
                self.p1(c)
