"""A slow, naive distributor written from docs/reference/routing-policy.md, for comparison.

It shares the vocabulary of events with the product and nothing else: no heaps, no profiles, no
lines, no timers. Every question is answered by looking at everybody. What it says is a list of
decisions; ``tests/properties/test_oracle.py`` demands the same from the core, in the same order.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import ContactClass, Order, QueueSettings, Settings, Strategy
from tests.properties.people import Due, OAgent, OContact

RANKS = {ContactClass.EMERGENCY: 0, ContactClass.NORMAL: 1, ContactClass.BACKGROUND: 2}
Decision = tuple[object, ...]
LEASE = 5_000_000


class Rules:
    """The policy; ``Oracle`` tells it what happens."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.queues: dict[str, QueueSettings] = {q.queue_id: q for q in settings.queues}
        self.agents: dict[str, OAgent] = {
            a.agent_id: OAgent(name=a.agent_id, rank=i, skills=dict(a.skills))  # type: ignore[arg-type]
            for i, a in enumerate(settings.agents)
        }
        self.contacts: dict[str, OContact] = {}
        self.last_served: dict[tuple[str, str], tuple[str, int]] = {}
        self.now = 0
        self.kind = 1
        self.seq = 0
        self.talks = 0
        self.said: list[Decision] = []

    def handle(self, event: ev.Event) -> None:
        raise NotImplementedError

    def restart(self, now: int) -> None:
        raise NotImplementedError

    # --- time ------------------------------------------------------------------------------------

    def step(self, event: ev.Event, now: int) -> list[Decision]:
        if isinstance(event, ev.EngineRestarted):
            self.restart(now)
        kind, rank = self.line_of(event)
        while True:
            due = min(self.all_due(), key=lambda d: d.key, default=None)
            if due is None or due.key[:3] >= (now, kind, rank):
                break
            self.now, self.kind = max(self.now, due.key[0]), due.key[1]
            due.act()
            self.note()
        self.now, self.kind = now, kind
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
                | ev.SkillsChanged()
            ):
                return 1, self.agents[event.agent_id].rank
            case _:
                return 4, 10**18

    def all_due(self) -> list[Due]:
        dues: list[Due] = []
        for a in self.agents.values():
            if a.doing == "wrap":
                dues.append(Due((a.wrap_until, 1, a.rank, 1), lambda a=a: self.end_wrap(a)))  # type: ignore[misc]
            if a.rest is not None:
                dues.append(Due((a.rest, 1, a.rank, 2), lambda a=a: self.end_rest(a)))  # type: ignore[misc]
            if a.pause is not None and a.pause[0] is not None:
                dues.append(Due((a.pause[0], 1, a.rank, 3), lambda a=a: self.end_pause(a)))  # type: ignore[misc]
        for c in self.contacts.values():
            if c.state == "offered":
                dues.append(Due((c.lease, 0, c.seq, 0), lambda c=c: self.lease_over(c)))  # type: ignore[misc]
            dues += [
                Due((until, 2, c.seq, 5), lambda c=c: self.end_bar(c))  # type: ignore[misc]
                for until in c.barred.values()
            ]
            if c.prefer is not None:
                dues.append(Due((c.prefer[1], 2, c.seq, 6), lambda c=c: self.end_prefer(c)))  # type: ignore[misc]
            if c.state == "waiting":
                dues += self.due_waiting(c)
        return dues

    def due_waiting(self, c: OContact) -> list[Due]:
        assert c.enqueued is not None
        q, dues = self.queues[c.queue], []
        if c.step < len(q.relax):
            at = max(c.enqueued + q.relax[c.step].after_us, self.now)
            dues.append(Due((at, 2, c.seq, 4), lambda: self.reach_step(c)))
        if q.maxwait_us is not None:
            at = max(c.enqueued + q.maxwait_us, self.now)
            dues.append(Due((at, 3, c.seq, 7), lambda: self.treat(c, "timeout")))
        if q.maxwait_unstaffed_us is not None and not self.staffed(c):
            at = max(c.enqueued + q.maxwait_unstaffed_us, self.now)
            dues.append(Due((at, 3, c.seq, 8), lambda: self.treat(c, "no_agent")))
        return dues

    # --- who fits whom ---------------------------------------------------------------------------

    def need(self, c: OContact, step: int | None = None) -> dict[str, int]:
        q = self.queues[c.queue]
        step = c.step if step is None else step
        return dict(q.require if step == 0 else q.relax[step - 1].require)  # type: ignore[arg-type]

    def fits(self, a: OAgent, need: dict[str, int]) -> bool:
        return all(s in a.skills and a.skills[s] >= level for s, level in need.items())

    def is_barred(self, a: OAgent, c: OContact) -> bool:
        others = [
            o
            for o in self.agents.values()
            if o is not a and o.at_work and self.fits(o, self.need(c))
        ]
        return a.name in c.barred and bool(others)

    def may_take(self, a: OAgent, c: OContact) -> bool:
        return (
            c.state == "waiting"
            and a.able()
            and self.fits(a, self.need(c))
            and not self.is_barred(a, c)
            and (c.prefer is None or c.prefer[0] == a.name)
        )

    def staffed(self, c: OContact) -> bool:
        steps = range(c.step, len(self.queues[c.queue].relax) + 1)
        return any(
            a.at_work and self.fits(a, self.need(c, step))
            for a in self.agents.values()
            for step in steps
        )

    def precedence(self, c: OContact) -> tuple[int, int, int]:
        q = self.queues[c.queue]
        cls, head, slope = c.own
        return (
            RANKS[q.contact_class if cls is None else cls],
            q.head_start_us if head is None else head,
            q.slope_milli if slope is None else slope,
        )

    # --- P1 and P2 -------------------------------------------------------------------------------

    def strategy_key(self, a: OAgent, c: OContact) -> tuple[object, ...]:
        q = self.queues[c.queue]
        last = (a.idle_since, a.rank)
        match q.strategy:
            case Strategy.LONGEST_IDLE:
                return last
            case Strategy.BEST_MATCH:
                return (-sum(a.skills.get(s, 0) for s in self.need(c)), *last)
            case Strategy.SPARE_SPECIALISTS:
                others = [o for o in self.queues.values() if o.queue_id != q.queue_id]
                return (sum(self.fits(a, dict(o.require)) for o in others), *last)  # type: ignore[arg-type]
            case Strategy.LEAST_OCCUPIED:
                return (self.occupancy(a), *last)

    def occupancy(self, a: OAgent) -> Fraction:
        spans = [*a.log, (self.now, "")]
        total = {"handling": 0, "ready": 0, "neither": 0}
        for (start, what), (end, _) in pairwise(spans):
            total[what] += end - start
        both = total["handling"] + total["ready"]
        return Fraction(total["handling"], both) if both else Fraction(0)

    def note(self) -> None:
        """Keep the diary of each agent for least-occupied."""
        for a in self.agents.values():
            what = "ready" if a.able() else "neither"
            if a.doing in ("talk", "wrap"):
                what = "handling"
            if not a.log or a.log[-1][1] != what:
                a.log.append((self.now, what))

    def p1(self, c: OContact) -> bool:
        able = [a for a in self.agents.values() if self.may_take(a, c)]
        if not able:
            return False
        self.offer(c, min(able, key=lambda a: self.strategy_key(a, c)))
        return True

    def p2(self, a: OAgent) -> None:
        fitting = [c for c in self.contacts.values() if self.may_take(a, c)]
        if fitting:
            self.offer(min(fitting, key=lambda c: self.law_key(a, c)), a)

    def law_key(self, a: OAgent, c: OContact) -> tuple[int, ...]:
        assert c.enqueued is not None
        rank, head, slope = self.precedence(c)
        place = c.enqueued - head
        match self.settings.order:
            case Order.FCFS:
                return (rank, place, c.seq)
            case Order.MATCH_FIRST:
                return (rank, -sum(a.skills.get(s, 0) for s in self.need(c)), place, c.seq)
            case Order.ACCUMULATING:
                return (rank, -slope * (self.now - c.enqueued), c.seq)

    def offer(self, c: OContact, a: OAgent) -> None:
        timeout = self.queues[c.queue].timeout_us
        self.note()
        a.doing = "offer"
        c.state, c.agent, c.created, c.rescinding, c.doubt = (
            "offered",
            a.name,
            self.now,
            False,
            False,
        )
        c.lease = self.now + timeout + LEASE
        self.said.append(("offer", c.name, a.name, c.step, self.now))

    def ready(self, a: OAgent) -> None:
        a.idle_since = self.now
        self.p2(a)

    # --- timers ----------------------------------------------------------------------------------

    def end_wrap(self, a: OAgent) -> None:
        a.doing = "nothing"
        self.ready(a)

    def end_rest(self, a: OAgent) -> None:
        a.rest = None
        self.ready(a)

    def end_pause(self, a: OAgent) -> None:
        a.pause = None
        self.ready(a)

    def reach_step(self, c: OContact) -> None:
        c.step += 1
        self.check_prefer(c)
        self.p1(c)

    def end_bar(self, c: OContact) -> None:
        c.barred = {a: until for a, until in c.barred.items() if until > self.now}
        if c.state == "waiting":
            self.p1(c)

    def end_prefer(self, c: OContact) -> None:
        c.prefer = None
        if c.state == "waiting":
            self.p1(c)
        elif c.state == "offered":
            self.rescind(c)

    def lease_over(self, c: OContact) -> None:
        if c.rescinding:
            self.offer_over(c, "rescinded")
            return
        self.said.append(("rescind", c.name))
        self.offer_over(c, "unreachable" if c.doubt else "no_answer")

    # --- offers ----------------------------------------------------------------------------------

    def offer_event(self, name: str, outcome: str, now: int) -> list[Decision]:
        """The offer of this contact was accepted or failed; its kind is 0."""
        c = self.contacts[name]
        while True:
            due = min(self.all_due(), key=lambda d: d.key, default=None)
            if due is None or due.key[:3] >= (now, 0, c.seq):
                break
            self.now, self.kind = max(self.now, due.key[0]), due.key[1]
            due.act()
            self.note()
        self.now, self.kind = now, 0
        if c.state == "offered":  # Else the lease ended it first.
            if outcome == "accepted":
                self.accept(c)
            else:
                self.offer_over(c, "rescinded" if c.rescinding else outcome)
        self.note()
        said, self.said = self.said, []
        return said

    def accept(self, c: OContact) -> None:
        assert c.agent is not None
        self.let_go(self.agents[c.agent])
        self.talk(c, self.agents[c.agent])

    def let_go(self, a: OAgent, then: str = "nothing") -> None:
        """What he was doing is over; who talks with him besides goes on."""
        besides = [
            c
            for c in self.contacts.values()
            if c.state == "talk" and c.agent == a.name and not c.holds_slot
        ]
        if besides:
            min(besides, key=lambda c: c.talk_n).holds_slot = True
            then = "talk"
        a.doing = then

    def talk(self, c: OContact, a: OAgent) -> None:
        c.prefer = None
        c.state, c.agent, c.held = "talk", a.name, True
        c.answered = self.now if c.answered is None else c.answered
        a.misses = 0
        self.talks += 1
        c.talk_n = self.talks
        c.holds_slot = a.doing == "nothing"
        if c.holds_slot:
            a.doing = "talk"
        if c.citizen is not None and c.queue and self.queues[c.queue].prefer is not None:
            self.last_served[c.citizen, c.queue] = (a.name, self.now)

    def offer_over(self, c: OContact, outcome: str) -> None:
        assert c.agent is not None
        a, q = self.agents[c.agent], self.queues[c.queue]
        c.agent = None
        if outcome != "rescinded":
            c.barred[a.name] = self.now + q.same_agent_after_us
            if a.at_work:
                self.blame(a, q, outcome)
        if c.held:
            self.wait(c)
        else:
            c.state = "detached"
        self.let_go(a)
        if a.pause is not None:
            self.preferred_gone(a)
        self.p2(a)

    def blame(self, a: OAgent, q: QueueSettings, outcome: str) -> None:
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

    def rescind(self, c: OContact) -> None:
        if not c.rescinding:
            c.rescinding, c.lease = True, self.now + LEASE
            self.said.append(("rescind", c.name))

    # --- contacts --------------------------------------------------------------------------------

    def wait(self, c: OContact) -> None:
        c.state = "waiting"
        self.set_step(c)
        self.check_prefer(c)
        self.p1(c)

    def set_step(self, c: OContact) -> None:
        assert c.enqueued is not None
        reached, c.step = self.now - c.enqueued, 0
        for i, relax in enumerate(self.queues[c.queue].relax):
            if reached > relax.after_us or (reached == relax.after_us and self.kind >= 2):
                c.step = i + 1

    def check_prefer(self, c: OContact) -> None:
        if c.prefer is not None and not self.may_prefer(c, c.prefer[0]):
            c.prefer = None

    def may_prefer(self, c: OContact, name: str) -> bool:
        a = self.agents[name]
        return (
            a.at_work
            and a.pause is None
            and self.fits(a, self.need(c))
            and not self.is_barred(a, c)
        )

    def preferred_gone(self, a: OAgent) -> None:
        for c in sorted(self.contacts.values(), key=lambda c: c.seq):
            if c.prefer is not None and c.prefer[0] == a.name and c.state == "waiting":
                self.check_prefer(c)
                if c.prefer is None:
                    self.p1(c)

    def enter(self, c: OContact, queue: str, *, arrival: bool) -> None:
        if c.enqueued is None:
            c.enqueued, c.seq = self.now, self.seq
            self.seq += 1
        q = self.queues[queue]
        c.queue, c.prefer, c.state = queue, None, "waiting"
        self.set_step(c)
        if q.prefer is not None and c.citizen is not None and c.answered is None:
            agent, at = self.last_served.get((c.citizen, queue), ("", 0))
            until = c.enqueued + q.prefer.for_us
            if agent and self.now - at <= q.prefer.window_us and until > self.now:
                c.prefer = (agent, until)
                self.check_prefer(c)
        if arrival:
            here = ("waiting", "offered", "detached")
            inside = [
                o for o in self.contacts.values() if o is not c and o.queue and o.state in here
            ]
            in_queue = sum(o.queue == queue for o in inside)
            full = q.maxlen is not None and in_queue >= q.maxlen
            full = full or len(inside) >= self.settings.maxlen
            if full and not any(self.may_take(a, c) for a in self.agents.values()):
                c.enqueued = None
                self.treat(c, "full")
                return
        self.wait(c)

    def treat(self, c: OContact, disposition: str) -> None:
        c.state, c.prefer = "treated", None
        c.decided = "answered" if c.answered is not None else disposition
        self.said.append(("treat", c.name, c.decided))

    def end_talk(self, c: OContact) -> OAgent | None:
        a = self.agents[c.agent] if c.agent is not None and c.holds_slot else None
        c.agent, c.holds_slot = None, False
        if a is not None:
            wrapup = self.queues[c.queue].wrapup_us if c.queue else 0
            self.let_go(a, "wrap" if wrapup else "nothing")
            a.wrap_until = self.now + wrapup
        return a

    def after_talk(self, a: OAgent | None) -> None:
        if a is not None and a.doing == "nothing":
            self.ready(a)
