"""The naive distributor, asking: offers, what becomes of them (P6), talks and their wrap-up."""

from __future__ import annotations

from gkc_engine.acd.settings import QueueSettings
from tests.properties.people import Due, OAgent, OContact, OSlot
from tests.properties.rules import LEASE, Decision
from tests.properties.waits import Waits


class Offers(Waits):
    # --- time ------------------------------------------------------------------------------------

    def run_due(self, now: int, kind: int, rank: int) -> None:
        while True:
            due = min(self.all_due(), key=lambda d: d.key, default=None)
            if due is None or due.key[:3] >= (now, kind, rank):
                break
            self.now, self.kind = max(self.now, due.key[0]), due.key[1]
            due.act()
            self.note()
        self.now, self.kind = now, kind

    def all_due(self) -> list[Due]:
        dues: list[Due] = []
        for a in self.agents.values():
            for i, slot in enumerate(a.slots):
                if slot.doing == "wrap":
                    key = (slot.until, 1, a.rank, 1, i)
                    dues.append(Due(key, lambda a=a, slot=slot: self.end_wrap(a, slot)))  # type: ignore[misc]
            if a.rest is not None:
                dues.append(Due((a.rest, 1, a.rank, 2, 0), lambda a=a: self.end_rest(a)))  # type: ignore[misc]
            if a.pause is not None and a.pause[0] is not None:
                dues.append(Due((a.pause[0], 1, a.rank, 3, 0), lambda a=a: self.end_pause(a)))  # type: ignore[misc]
            dues += [
                Due((until, 1, a.rank, 4, 0), lambda a=a: self.end_override(a))  # type: ignore[misc]
                for _, until in a.over.values()
                if until is not None
            ]
        for c in self.contacts.values():
            if c.state == "offered":
                dues.append(Due((c.lease, 0, c.seq, 0, 0), lambda c=c: self.lease_over(c)))  # type: ignore[misc]
            dues += [
                Due((until, 2, c.seq, 5, 0), lambda c=c: self.end_bar(c))  # type: ignore[misc]
                for until in c.barred.values()
            ]
            if c.prefer is not None:
                dues.append(Due((c.prefer[1], 2, c.seq, 6, 0), lambda c=c: self.end_prefer(c)))  # type: ignore[misc]
            if c.state == "waiting":
                dues += self.due_waiting(c)
        return dues

    def end_override(self, a: OAgent) -> None:
        a.over = {s: o for s, o in a.over.items() if o[1] is None or o[1] > self.now}
        self.other_skills(a)

    def other_skills(self, a: OAgent) -> None:
        self.preferred_gone(a)
        self.p2(a)
        self.everybody_again()

    def everybody_again(self) -> None:
        """Somebody went: for some contacts nobody else is left, so P6 bars nobody any more."""
        for c in sorted(self.contacts.values(), key=lambda c: c.seq):
            if c.state == "waiting":
                self.p1(c)

    def end_wrap(self, a: OAgent, slot: OSlot) -> None:
        slot.clear()
        self.ready(a)

    def end_rest(self, a: OAgent) -> None:
        a.rest = None
        self.ready(a)

    def end_pause(self, a: OAgent) -> None:
        a.pause = None
        self.ready(a)

    # --- offers ----------------------------------------------------------------------------------

    def offer(self, c: OContact, agents: list[OAgent]) -> None:
        self.note()
        for a in agents:
            slot = next(s for s in a.slots if s.doing == "nothing" and s.medium == c.medium)
            slot.doing, slot.contact = "offer", c.name
        c.state, c.asked, c.offered_by = "offered", [a.name for a in agents], c.queue
        c.created, c.rescinding, c.doubt = self.now, False, False
        c.lease = self.now + self.rules_of(c).timeout_us + LEASE
        self.said.append(("offer", c.name, tuple(c.asked), c.step, self.now))

    def rescind(self, c: OContact) -> None:
        if not c.rescinding:
            c.rescinding, c.lease = True, self.now + LEASE
            self.said.append(("rescind", c.name))

    def offer_event(self, name: str, outcome: str, agent: str | None, now: int) -> list[Decision]:
        """The open offer of this contact was accepted or failed; its kind is 0."""
        c = self.contacts[name]
        self.run_due(now, 0, c.seq)
        if c.state == "offered":  # Else the lease ended it first.
            if outcome == "accepted":
                assert agent is not None
                self.accept(c, self.agents[agent])
            elif agent is None or c.asked == [agent]:
                self.offer_over(c, "rescinded" if c.rescinding else outcome)
            elif agent in c.asked:
                outcome = "rescinded" if c.rescinding else outcome
                self.one_is_out(c, self.agents[agent], outcome)
        self.note()
        said, self.said = self.said, []
        return said

    def by_rank(self, agents: list[OAgent]) -> list[OAgent]:
        return sorted(agents, key=lambda a: a.rank)

    def accept(self, c: OContact, a: OAgent) -> None:
        if a.name not in c.asked:
            return
        asked = [self.agents[name] for name in c.asked]
        slots = {one.name: self.let_go(one, c) for one in asked}
        self.talk(c, a, slots[a.name])
        for one in self.by_rank(asked):
            self.p2(one)

    def let_go(self, a: OAgent, c: OContact) -> OSlot:
        """He is not asked for it any more; a talk that had no slot takes the one that is free."""
        slot = next(s for s in a.slots if s.doing == "offer" and s.contact == c.name)
        slot.clear()
        self.slot_for_besides(a, slot)
        return slot

    def slot_for_besides(self, a: OAgent, slot: OSlot) -> bool:
        besides = [
            c
            for c in self.contacts.values()
            if c.state == "talk"
            and c.agent == a.name
            and c.medium == slot.medium
            and a.slot_of(c.name) is None
        ]
        if besides:
            slot.doing, slot.contact = "talk", min(besides, key=lambda c: c.talk_n).name
        return bool(besides)

    def offer_over(self, c: OContact, outcome: str) -> None:
        asked, q = [self.agents[name] for name in c.asked], self.queues[c.offered_by].rules
        for a in asked:
            self.let_go(a, c)
            self.blame(c, a, q, outcome)
            a.aside = True
        c.asked = []
        if c.held:
            self.wait_again(c)
        else:
            c.state = "detached"
        for a in asked:
            a.aside = False
        self.after_failure(asked)

    def one_is_out(self, c: OContact, a: OAgent, outcome: str) -> None:
        """With ``ring: all``: the others ring on."""
        c.asked.remove(a.name)
        self.let_go(a, c)
        self.blame(c, a, self.queues[c.offered_by].rules, outcome)
        self.after_failure([a])

    def after_failure(self, agents: list[OAgent]) -> None:
        for a in self.by_rank(agents):
            if a.pause is not None:
                self.preferred_gone(a)
            self.p2(a)

    def blame(self, c: OContact, a: OAgent, q: QueueSettings, outcome: str) -> None:
        if outcome == "rescinded":
            return
        c.barred[a.name] = self.now + q.same_agent_after_us
        if not a.at_work:
            return
        delays = {
            "rejected": q.reject_delay_us,
            "busy": q.busy_delay_us,
            "no_answer": q.no_answer_delay_us,
            "unreachable": q.unreachable_delay_us,
        }
        if outcome == "no_answer":
            a.misses += 1
            if a.misses >= self.settings.max_no_answer and a.pause is None:
                a.misses = 0
                a.pause = (self.now + self.settings.autopause_us,)
                return
        a.rest = max(a.rest or 0, self.now + delays[outcome])

    def lease_over(self, c: OContact) -> None:
        if c.rescinding:
            self.offer_over(c, "rescinded")
            return
        self.said.append(("rescind", c.name))
        self.offer_over(c, "unreachable" if c.doubt else "no_answer")

    # --- talks -----------------------------------------------------------------------------------

    def talk(self, c: OContact, a: OAgent, slot: OSlot | None) -> None:
        """``slot``: the one that it takes, if that is free or in wrap-up."""
        c.prefer, c.asked = None, []
        c.state, c.agent, c.held = "talk", a.name, True
        c.answered = self.now if c.answered is None else c.answered
        a.misses = 0
        self.talks += 1
        c.talk_n = self.talks
        if slot is not None and slot.doing in ("nothing", "wrap"):
            slot.doing, slot.contact = "talk", c.name
        if c.citizen is not None and c.queue:
            service, prefer = self.service(c.queue)
            if prefer is not None:
                self.last_served[c.citizen, service] = (a.name, self.now)

    def end_talk(self, c: OContact) -> OAgent | None:
        """His hands: wrap-up, another talk that had no slot, or nothing: idle from now on."""
        a = self.agents[c.agent] if c.agent is not None else None
        slot = a.slot_of(c.name) if a is not None else None
        c.agent = None
        if a is None or slot is None:
            return None
        slot.clear()
        if self.slot_for_besides(a, slot):
            return a
        wrapup = self.queues[c.queue].rules.wrapup_us if c.queue else 0
        if wrapup:
            slot.doing, slot.contact, slot.until = "wrap", c.name, self.now + wrapup
        else:
            a.idle_since = self.now
        return a

    def after_talk(self, a: OAgent | None) -> None:
        if a is not None:
            self.p2(a)
