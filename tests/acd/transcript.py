"""The language of the transcripts: a few lines of config, then ``SECONDS word word …``.

Config lines::

    center [order accumulating] [outbound 20 5 10s] [interrupts voice email] [excludes voice email]
    queue NAME [require skill=3,…] [relax 30s skill=1,…] [timeout 20s] [wrapup 10s] …
    agent NAME [skill=3,…] [voice=1,email=2]

Facts about segments and queues are left out but for those that a supervisor would ask for.
"""

from __future__ import annotations

from collections.abc import Callable

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import (
    AgentSettings,
    Blending,
    ContactClass,
    EmptyFactor,
    Medium,
    Order,
    OutboundSettings,
    QueueSettings,
    RelaxStep,
    Ring,
    Settings,
    Strategy,
    Then,
    Treatment,
)
from gkc_engine.ids import (
    SECOND,
    AgentId,
    ContactId,
    Instant,
    Micros,
    OfferId,
    QueueId,
    SkillId,
    seconds,
)


def _time(word: str) -> Micros:
    return seconds(float(word.removesuffix("s")))


def _skills(word: str) -> dict[SkillId, int]:
    pairs = [pair.split("=") for pair in word.split(",") if pair not in ("-", "")]
    return {SkillId(name): int(level) for name, level in pairs}


def _factors(word: str) -> tuple[EmptyFactor, ...]:
    return tuple(EmptyFactor(factor) for factor in word.split(","))


def _way_on(word: str) -> Treatment:
    return Treatment(then=Then.QUEUE, queue=QueueId(word))


def _agent(words: list[str]) -> AgentSettings:
    agent = AgentSettings(
        agent_id=AgentId(words[0]), skills=_skills(words[1]) if len(words) > 1 else {}
    )
    if len(words) > 2:
        slots = [pair.split("=") for pair in words[2].split(",")]
        agent.capacity = {Medium(medium): int(n) for medium, n in slots}
    return agent


def _queue(words: list[str]) -> QueueSettings:
    queue = QueueSettings(queue_id=QueueId(words[0]))
    rest = iter(words[1:])
    setters: dict[str, Callable[[str], None]] = {
        "require": lambda w: setattr(queue, "require", _skills(w)),
        "timeout": lambda w: setattr(queue, "timeout_us", _time(w)),
        "wrapup": lambda w: setattr(queue, "wrapup_us", _time(w)),
        "head_start": lambda w: setattr(queue, "head_start_us", _time(w)),
        "same_agent_after": lambda w: setattr(queue, "same_agent_after_us", _time(w)),
        "maxwait": lambda w: setattr(queue, "maxwait_us", _time(w)),
        "maxwait_unstaffed": lambda w: setattr(queue, "maxwait_unstaffed_us", _time(w)),
        "joinempty": lambda w: setattr(queue, "joinempty", _factors(w)),
        "leavewhenempty": lambda w: setattr(queue, "leavewhenempty", _factors(w)),
        "unstaffed": lambda w: setattr(queue, "unstaffed", _way_on(w)),
        "return_after": lambda w: setattr(queue, "return_after_us", _time(w)),
        "resume_within": lambda w: setattr(queue, "resume_within_us", _time(w)),
        "slope": lambda w: setattr(queue, "slope_milli", round(1000 * float(w))),
        "medium": lambda w: setattr(queue, "medium", Medium(w)),
        "maxlen": lambda w: setattr(queue, "maxlen", int(w)),
        "class": lambda w: setattr(queue, "contact_class", ContactClass(w)),
        "strategy": lambda w: setattr(queue, "strategy", Strategy(w)),
        "ring": lambda w: setattr(queue, "ring", Ring(w)),
        "fallback": lambda w: setattr(queue, "fallback", QueueId(w)),
        "closed": lambda w: setattr(queue, "closed", _way_on(w)),
    }
    for key in rest:
        if key == "relax":
            after, need = _time(next(rest)), _skills(next(rest))
            queue.relax = (*queue.relax, RelaxStep(after_us=after, require=need))
        else:
            setters[key](next(rest))
    return queue


class _Play:
    def __init__(self) -> None:
        self.acd = Acd()
        self.queues: list[QueueSettings] = []
        self.agents: list[AgentSettings] = []
        self.order = Order.FCFS
        self.blending: dict[Medium, Blending] = {}
        self.outbound = OutboundSettings()
        self.applied = False

    def settings(self, without: str = "") -> Settings:
        return Settings(
            version="1",
            order=self.order,
            blending=self.blending,
            outbound=self.outbound,
            queues=tuple(q for q in self.queues if q.queue_id != without),
            agents=tuple(a for a in self.agents if a.agent_id != without),
        )

    def _center(self, words: list[str]) -> None:
        rest = iter(words)
        for key in rest:
            if key == "order":
                self.order = Order(next(rest))
                continue
            if key == "outbound":
                self.outbound = OutboundSettings(
                    per_operator_hour=int(next(rest)),
                    concurrent=int(next(rest)),
                    wrapup_us=_time(next(rest)),
                )
                continue
            medium, other = Medium(next(rest)), Medium(next(rest))
            rule = self.blending.setdefault(medium, Blending())
            setattr(rule, key, (*getattr(rule, key), other))

    def events(self, name: str, words: list[str]) -> list[ev.Event]:
        table: dict[str, Callable[..., list[ev.Event]]] = {
            "login": lambda a: [ev.AgentLoggedIn(agent_id=AgentId(a))],
            "logout": lambda a: [ev.AgentLoggedOut(agent_id=AgentId(a))],
            "pause": lambda a, why="": [ev.AgentPaused(agent_id=AgentId(a), reason=why)],
            "ready": lambda a: [ev.AgentReady(agent_id=AgentId(a))],
            "phone": lambda a, state: [
                ev.AgentDeviceChanged(
                    agent_id=AgentId(a),
                    reachable=state not in ("gone", "missing"),
                    in_use=state == "busy",
                    phone=ev.Phone.INVALID if state == "missing" else ev.Phone.KNOWN,
                )
            ],
            "call": lambda a, call: [
                ev.AgentCallStarted(agent_id=AgentId(a), call_id=call, kind="outbound")
            ],
            "call_over": lambda a, call: [ev.AgentCallEnded(agent_id=AgentId(a), call_id=call)],
            "asks": lambda a, call, c, kind="consult": [
                ev.AgentCallStarted(
                    agent_id=AgentId(a), call_id=call, kind=kind, contact_id=ContactId(c)
                )
            ],
            "dials": lambda a, c, barred="": [
                ev.OutboundStarted(
                    contact_id=ContactId(c),
                    agent_id=AgentId(a),
                    number="2026-ЦАО-1",
                    barred=barred,
                )
            ],
            "far_answers": lambda c: [ev.OutboundAnswered(contact_id=ContactId(c))],
            "far_fails": lambda c, why: [
                ev.OutboundFailed(contact_id=ContactId(c), failure=ev.OutboundFailure(why))
            ],
            "hold": lambda c, a: [ev.HoldStarted(contact_id=ContactId(c), agent_id=AgentId(a))],
            "unhold": lambda c, a: [ev.HoldEnded(contact_id=ContactId(c), agent_id=AgentId(a))],
            "arrive": self._arrive,
            "reaches": self._reaches,
            "blocked": lambda c: [ev.ContactBlocked(contact_id=ContactId(c))],
            "priority": lambda c, to: [
                ev.ContactPriorityChanged(contact_id=ContactId(c), contact_class=ContactClass(to))
            ],
            "skills": lambda a, words: [
                ev.SkillsChanged(agent_id=AgentId(a), skills=_skills(words))
            ],
            "override": self._override,
            "announce": self._announce,
            "silence": lambda q: [ev.BroadcastStopped(queue=QueueId(q))],
            "heard": lambda c, b: [ev.BroadcastHeard(contact_id=ContactId(c), broadcast_id=int(b))],
            "supervisor_moves": lambda c, q: [
                ev.QueueRequested(
                    contact_id=ContactId(c), queue=QueueId(q), reason=ev.BY_SUPERVISOR
                )
            ],
            "move": lambda c, q: [ev.QueueRequested(contact_id=ContactId(c), queue=QueueId(q))],
            "leave": lambda c, party="citizen": [
                ev.ContactLeft(contact_id=ContactId(c), party=ev.Party(party))
            ],
            "detach": lambda c: [ev.ContactDetached(contact_id=ContactId(c))],
            "attach": lambda c: [ev.ContactAttached(contact_id=ContactId(c))],
            "rings": lambda o: [ev.OfferRinging(offer_id=OfferId(int(o)))],
            "answer": lambda o, a: [
                ev.OfferAccepted(offer_id=OfferId(int(o)), agent_id=AgentId(a))
            ],
            "fail": lambda o, why: [
                ev.OfferFailed(offer_id=OfferId(int(o)), failure=ev.OfferFailure(why))
            ],
            "end_talk": lambda c, a, end="released": [
                ev.TalkEnded(
                    contact_id=ContactId(c),
                    agent_id=AgentId(a),
                    end=ev.TalkEnd(end),
                    party=ev.Party.AGENT,
                )
            ],
            "transfer": lambda c, a, to, barred="": [self._transfer(c, a, to, barred)],
            "hands_back": lambda c, a: [
                ev.HandedBack(contact_id=ContactId(c), from_agent=AgentId(a))
            ],
            "completed": lambda c, a, b, q=None, consult=None: [
                ev.TransferCompleted(
                    contact_id=ContactId(c),
                    from_agent=AgentId(a),
                    to_agent=AgentId(b),
                    to_queue=QueueId(q) if q else None,
                    consult=ContactId(consult) if consult else None,
                )
            ],
            "consult": lambda c, a, q, about: [
                ev.ConsultStarted(
                    contact_id=ContactId(c),
                    agent_id=AgentId(a),
                    queue=QueueId(q),
                    about=ContactId(about),
                )
            ],
            "hours": lambda q, state: [ev.HoursChanged(queue=QueueId(q), open=state == "open")],
            "elsewhere": lambda q, who: [
                ev.StaffedElsewhere(queue=QueueId(q), staffed=who == "staffed")
            ],
            "emergency": lambda q, say: [ev.EmergencyClosed(queue=QueueId(q), say=say)],
            "reload_without": lambda what: [ev.SettingsApplied(settings=self.settings(what))],
            "restart": lambda: [ev.EngineRestarted()],
            "tick": lambda: [ev.Tick()],
            **self._between_centers(),
        }
        return table[name](*words)

    def _between_centers(self) -> dict[str, Callable[..., list[ev.Event]]]:
        return {
            "granted": lambda c, r, agent, until, timeout: [
                ev.ReservationGranted(
                    contact_id=ContactId(c),
                    reservation_id=ContactId(r),
                    center=agent.partition(":")[0],
                    agent_id=AgentId(agent),
                    until=Instant(_time(until)),
                    timeout_us=_time(timeout),
                )
            ],
            "asked": lambda r, owner, c, q, waited, hold, keep_free="0", consult="": [
                ev.ReservationAsked(
                    reservation_id=ContactId(r),
                    owner=owner,
                    contact_id=ContactId(c),
                    queue=QueueId(q),
                    waited_us=_time(waited),
                    hold_us=_time(hold),
                    keep_free=int(keep_free),
                    advice=bool(consult),
                )
            ],
            "released": lambda r, why: [
                ev.ReservationReleased(reservation_id=ContactId(r), reason=why)
            ],
            "guest": lambda r: [ev.GuestArrived(contact_id=ContactId(r))],
        }

    def _override(self, agent: str, skill: str, until: str = "") -> list[ev.Event]:
        """``skill``: ``tax=2``, ``tax=0`` (he has it not), ``tax=`` (taken back)."""
        name, _, level = skill.partition("=")
        return [
            ev.SkillOverridden(
                agent_id=AgentId(agent),
                skill=SkillId(name),
                level=int(level) if level else None,
                until=Instant(_time(until)) if until else None,
            )
        ]

    def _announce(self, queue: str, say: str, until: str, *how: str) -> list[ev.Event]:
        every = next((word for word in how if word != "newcomers"), None)
        return [
            ev.QueueAnnounced(
                queue=QueueId(queue),
                say=say,
                until=Instant(_time(until)),
                every_us=_time(every) if every is not None else None,
                newcomers="newcomers" in how,
            )
        ]

    def fallback(self, contact: str, agent: str, now: Instant) -> list[ev.Event]:
        return [ev.FallbackAnswered(contact_id=ContactId(contact), agent_id=AgentId(agent), at=now)]

    def _arrive(self, contact: str, queue: str, *own: str) -> list[ev.Event]:
        """``own``: a class, ``from=CITIZEN``."""
        contact_id = ContactId(contact)
        (medium,) = {q.medium for q in self.queues if q.queue_id == queue}
        citizen = next((word.removeprefix("from=") for word in own if "=" in word), None)
        classes = [ContactClass(word) for word in own if "=" not in word]
        return [
            ev.ContactStarted(
                contact_id=contact_id,
                medium=medium,
                number="2026-ЦАО-1",
                entry="+7495",
                citizen=citizen,
            ),
            ev.QueueRequested(
                contact_id=contact_id,
                queue=QueueId(queue),
                contact_class=classes[0] if classes else None,
            ),
        ]

    def _reaches(self, contact: str) -> list[ev.Event]:
        """He has come, and asked for nothing yet."""
        return [
            ev.ContactStarted(
                contact_id=ContactId(contact),
                medium=Medium.VOICE,
                number="2026-ЦАО-1",
                entry="+7495",
            )
        ]

    def _transfer(self, contact: str, agent: str, to: str, barred: str) -> ev.Event:
        to_queue = any(q.queue_id == to for q in self.queues)
        return ev.TransferRequested(
            contact_id=ContactId(contact),
            from_agent=AgentId(agent),
            to_queue=QueueId(to) if to_queue else None,
            to_agent=None if to_queue else AgentId(to),
            barred=barred,
        )

    def line(self, line: str) -> list[cmd.Command]:
        words = line.split()
        if words[0] == "queue":
            self.queues.append(_queue(words[1:]))
            return []
        if words[0] == "agent":
            self.agents.append(_agent(words[1:]))
            return []
        if words[0] == "center":
            self._center(words[1:])
            return []
        now = Instant(round(float(words[0]) * SECOND))
        out: list[cmd.Command] = []
        if not self.applied:
            self.applied = True
            out += self.acd.step(ev.SettingsApplied(settings=self.settings()), now)
        if words[1] == "fallback":
            events = self.fallback(words[2], words[3], now)
        else:
            events = self.events(words[1], words[2:])
        for event in events:
            out += self.acd.step(event, now)
        return out


def play(text: str) -> str:
    """Return the transcript with what the core really does."""
    script = _Play()
    out: list[str] = []
    for line in text.splitlines():
        if line.startswith("    "):
            continue
        out.append(line)
        if line and not line.startswith("#"):
            shown = [_render(c) for c in script.line(line)]
            out += [f"    {text}" for text in shown if text]
    return "\n".join(out) + "\n"


def _at(instant: Instant) -> str:
    return f"{instant / SECOND:.3f}"


def _render(command: cmd.Command) -> str:
    match command:
        case cmd.HoldContact():
            return f"music for {command.contact_id} in {command.queue}"
        case cmd.OfferContact():
            agents = " and ".join(command.agent_ids)
            step = f", step {command.step}" if command.step else ""
            return f"ring {agents} for {command.contact_id} (offer {command.offer_id}{step})"
        case cmd.RescindOffer():
            return f"stop ringing (offer {command.offer_id}): {command.reason}"
        case cmd.TreatContact():
            return f"announce to {command.contact_id}: {command.disposition}"
        case cmd.ReleaseContact():
            return f"release {command.contact_id}"
        case cmd.ContactQueued():
            place = f", the place of {command.resumes}" if command.resumes else ""
            since = _at(command.enqueued)
            return f"{command.contact_id} stands in {command.queue} since {since}{place}"
        case cmd.StepReached():
            return f"{command.contact_id} is at step {command.step} of {command.queue}"
        case cmd.OfferEnded():
            return f"offer {command.offer_id} to {command.agent_id} ended: {command.outcome}"
        case cmd.EventRejected():
            return f"rejected {command.kind}: {command.reason}"
        case _:
            return _render_between_centers(command)


def _render_between_centers(command: cmd.Command) -> str:
    match command:
        case cmd.OverflowContact():
            timeout = command.timeout_us / SECOND
            return (
                f"ring {command.agent_id} for {command.contact_id} as {command.reservation_id}"
                f" for {timeout:.3f} s (offer {command.offer_id})"
            )
        case cmd.ReleaseReservation():
            return f"give {command.reservation_id} back to {command.center}: {command.reason}"
        case cmd.GrantReservation():
            hold = command.hold_us / SECOND
            return (
                f"keep {command.agent_id} free for {command.contact_id} of {command.owner}"
                f" for {hold:.3f} s ({command.reservation_id})"
            )
        case cmd.DenyReservation():
            return f"deny {command.reservation_id} to {command.owner}: {command.reason}"
        case cmd.RefuseGuest():
            return f"turn {command.contact_id} back: {command.reason}"
        case cmd.ConsultQueued():
            return f"{command.contact_id} stands in {command.queue} since {_at(command.enqueued)}"
        case cmd.ConsultOver():
            return f"{command.contact_id} is over"
        case cmd.GuestHandedOver():
            return f"{command.contact_id} is a guest from now on"
        case cmd.ReturnGuest():
            return f"give {command.contact_id} back to its center"
        case _:
            return _render_record(command)


def _render_record(command: cmd.Command) -> str:
    match command:
        case cmd.SkillsInForce():
            skills = ", ".join(f"{skill} {level}" for skill, level in command.skills.items())
            return f"{command.agent_id} has {skills or 'no skill'}"
        case cmd.BroadcastStarted():
            broadcast = f"broadcast {command.broadcast_id} in {command.queue}"
            return f"{broadcast}: {command.waiting} wait there"
        case cmd.PriorityChanged():
            return f"{command.contact_id} has class {command.contact_class} in {command.queue}"
        case cmd.AgentStateChanged():
            reason = f" ({command.reason})" if command.reason else ""
            until = f" until {_at(command.until)}" if command.until is not None else ""
            return f"{command.agent_id} is {command.state}{reason}{until}"
        case cmd.SegmentClosed():
            spent = (command.ended - command.started) / SECOND
            agent = f" with {command.agent_id}" if command.agent_id else ""
            return (
                f"{command.contact_id} segment {command.n}: {command.kind} {spent:.3f} s{agent},"
                f" {command.outcome}"
            )
        case cmd.DialOut():
            return f"dial for {command.contact_id}, whom {command.agent_id} calls"
        case cmd.ConsultEnded():
            spent = (command.ended - command.started) / SECOND
            return (
                f"{command.agent_id} was {command.kind} in {command.call_id} about"
                f" {command.contact_id} segment {command.n} for {spent:.3f} s"
            )
        case cmd.ContactEnded():
            wait = command.wait_us / SECOND
            return (
                f"{command.contact_id} ended: {command.disposition} via {command.via},"
                f" waited {wait:.3f} s, {command.offers} offers"
            )
        case _:
            return ""
