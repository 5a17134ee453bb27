"""The naive distributor, waiting: steps (P3), leaving (P4), preference (P7), room (P9), places."""

from __future__ import annotations

from gkc_engine.acd.settings import Prefer, QueueSettings, Then, Treatment
from tests.properties.people import Due, OAgent, OContact, OPlace
from tests.properties.rules import Rules

IN_LINE = ("waiting", "offered", "detached")


class Waits(Rules):
    def rescind(self, c: OContact) -> None:
        raise NotImplementedError

    def due_waiting(self, c: OContact) -> list[Due]:
        assert c.enqueued is not None
        q, dues = self.rules_of(c), []
        if c.step < len(q.relax):
            at = max(c.enqueued + q.relax[c.step].after_us, self.now)
            dues.append(Due((at, 2, c.seq, 4, 0), lambda: self.reach_step(c)))
        if q.maxwait_us is not None:
            at = max(c.enqueued + q.maxwait_us, self.now)
            act = lambda: self.end_waiting(c, "timeout", q.timed_out)  # noqa: E731
            dues.append(Due((at, 3, c.seq, 7, 0), act))
        gone = lambda: self.end_waiting(c, "no_agent", q.unstaffed)  # noqa: E731
        if q.maxwait_unstaffed_us is not None and not self.helped(c, ()):
            at = max(c.enqueued + q.maxwait_unstaffed_us, self.now)
            dues.append(Due((at, 3, c.seq, 8, 0), gone))
        if q.leavewhenempty and not self.helped(c, q.leavewhenempty):
            dues.append(Due((self.now, 3, c.seq, 9, 0), gone))
        return dues

    # --- P3 --------------------------------------------------------------------------------------

    def set_step(self, c: OContact) -> None:
        assert c.enqueued is not None
        reached, c.step = self.now - c.enqueued, 0
        for i, relax in enumerate(self.rules_of(c).relax):
            if reached > relax.after_us or (reached == relax.after_us and self.kind >= 2):
                c.step = i + 1

    def reach_step(self, c: OContact) -> None:
        c.step += 1
        self.check_prefer(c)
        self.p1(c)

    def wait(self, c: OContact) -> None:
        c.state = "waiting"
        self.set_step(c)
        self.check_prefer(c)
        self.p1(c)

    def wait_again(self, c: OContact) -> None:
        """Back in our hands; its queue may have been closed at once meanwhile."""
        self.wait(c)
        closing = self.queues[c.queue].emergency
        if c.state == "waiting" and closing is not None:
            self.end_waiting(c, "closed", closing)

    # --- P7 --------------------------------------------------------------------------------------

    def service(self, queue: str) -> tuple[str, Prefer | None]:
        rules = self.queues[queue].rules
        return rules.service or queue, rules.prefer

    def prefer_last(self, c: OContact) -> None:
        assert c.enqueued is not None
        service, prefer = self.service(c.queue)
        if prefer is None or c.citizen is None or c.answered is not None:
            return
        agent, at = self.last_served.get((c.citizen, service), ("", 0))
        until = c.enqueued + prefer.for_us
        if agent and self.now - at <= prefer.window_us and until > self.now:
            c.prefer = (agent, until)
            self.check_prefer(c)

    def check_prefer(self, c: OContact) -> None:
        if c.prefer is not None and not self.may_prefer(c, c.prefer[0]):
            c.prefer = None

    def may_prefer(self, c: OContact, name: str) -> bool:
        a = self.agents[name]
        return (
            a.at_work
            and a.pause is None
            and c.medium in a.media
            and self.fits(a, self.need(c))
            and not self.is_barred(a, c)
        )

    def preferred_gone(self, a: OAgent) -> None:
        for c in sorted(self.contacts.values(), key=lambda c: c.seq):
            if c.prefer is not None and c.prefer[0] == a.name and c.state == "waiting":
                self.check_prefer(c)
                if c.prefer is None:
                    self.p1(c)

    def end_prefer(self, c: OContact) -> None:
        c.prefer = None
        if c.state == "waiting":
            self.p1(c)
        elif c.state == "offered":
            self.rescind(c)

    def end_bar(self, c: OContact) -> None:
        c.barred = {a: until for a, until in c.barred.items() if until > self.now}
        if c.state == "waiting":
            self.p1(c)

    # --- the way in ------------------------------------------------------------------------------

    def enqueue(self, c: OContact) -> None:
        if c.enqueued is None:
            c.enqueued, c.seq = self.now, self.seq
            self.seq += 1

    def enter(self, c: OContact, asked_for: str, *, arrival: bool) -> None:
        queue, closed = self.follow_closed(c, asked_for)
        c.queue, c.prefer = queue, None
        if closed is not None:
            self.turn_away(c, "closed", closed, arrival=arrival)
            return
        q = self.queues[queue].rules
        arrival = arrival and not self.resume(c, q)
        self.set_step(c)
        if arrival and q.joinempty and not self.helped(c, q.joinempty):
            self.refuse(c, "no_agent", q.unstaffed)
            return
        c.state = "waiting"
        self.prefer_last(c)
        if arrival and self.no_room(c, q):
            c.prefer = None
            self.refuse(c, "full", q.full)
            return
        self.wait(c)

    def follow_closed(self, c: OContact, queue: str) -> tuple[str, Treatment | None]:
        while True:
            q = self.queues[queue]
            if q.emergency is not None:
                return queue, q.emergency
            if q.open:
                return queue, None
            c.queue = queue
            onward = self.way_on(c, q.rules.closed)
            if onward is None:
                return queue, q.rules.closed
            queue = onward

    def no_room(self, c: OContact, q: QueueSettings) -> bool:
        inside = [
            o for o in self.contacts.values() if o is not c and o.queue and o.state in IN_LINE
        ]
        in_queue = sum(o.queue == c.queue for o in inside)
        full = q.maxlen is not None and in_queue >= q.maxlen
        full = full or len(inside) >= self.settings.maxlen
        return full and not any(self.may_take(a, c) for a in self.agents.values())

    def refuse(self, c: OContact, disposition: str, treatment: Treatment) -> None:
        c.state = "menu"
        onward = self.way_on(c, treatment)
        if onward is not None:
            self.enter(c, onward, arrival=False)
        else:
            self.turn_away(c, disposition, treatment, arrival=True)

    def turn_away(
        self, c: OContact, disposition: str, treatment: Treatment, *, arrival: bool
    ) -> None:
        if arrival:
            c.enqueued = None
        self.treat(c, disposition, treatment)

    # --- places of those who were cut off --------------------------------------------------------

    def keep_place(self, c: OContact) -> None:
        if c.citizen is None or not c.queue or c.state not in IN_LINE:
            return
        assert c.enqueued is not None
        if self.rules_of(c).resume_within_us:
            mine = OPlace(c.queue, c.citizen, c.name, c.enqueued, c.seq, self.now)
            self.places.append(mine)

    def resume(self, c: OContact, q: QueueSettings) -> bool:
        """The place that this citizen left here last, in time, if its wait would go on still."""
        mine = [p for p in self.places if (p.queue, p.citizen) == (q.queue_id, c.citizen)]
        if not mine or not q.resume_within_us:
            return False
        place = mine[-1]
        if c.started - place.left > q.resume_within_us:
            return False
        if self.now - place.left > q.resume_within_us + 600_000_000:
            return False
        if q.maxwait_us is not None and place.enqueued + q.maxwait_us <= self.now:
            return False
        self.places = [p for p in self.places if p not in mine]
        c.enqueued, c.seq = place.enqueued, place.seq
        return True

    # --- P4 --------------------------------------------------------------------------------------

    def way_on(self, c: OContact, treatment: Treatment) -> str | None:
        if treatment.then is not Then.QUEUE or treatment.say is not None or not treatment.queue:
            return None
        c.sent_on.append(c.queue)
        return None if treatment.queue in c.sent_on else str(treatment.queue)

    def end_waiting(self, c: OContact, disposition: str, treatment: Treatment) -> None:
        onward = self.way_on(c, treatment)
        if onward is not None:
            self.enter(c, onward, arrival=False)
        else:
            self.treat(c, disposition, treatment)

    def treat(self, c: OContact, disposition: str, treatment: Treatment) -> None:
        c.state, c.prefer = "treated", None
        c.decided = "answered" if c.answered is not None else disposition
        c.then_queue = treatment.queue if treatment.then is Then.QUEUE else None
        self.said.append(("treat", c.name, c.decided))

    def close_at_once(self, queue: str | None, say: str | None) -> None:
        closed = [queue] if queue is not None else list(self.queues)
        for name in closed:
            q = self.queues[name]
            q.emergency = Treatment(say=say if say is not None else q.rules.closed.say)
        for c in sorted(self.contacts.values(), key=lambda c: c.seq):
            if c.state == "waiting" and c.queue in closed:
                closing = self.queues[c.queue].emergency
                assert closing is not None
                self.end_waiting(c, "closed", closing)
