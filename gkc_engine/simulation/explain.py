"""``gkc explain``: one contact's decisions, recomputed from the ledger by the core itself.

The ledger holds what happened and what was decided, not why: the recorded events are taken again,
and at each moment that mattered to the contact the core's state is read by the words of the
routing policy (``acd.why``). Nothing is stored for it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import sqlalchemy as sa

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition, OfferOutcome, SegmentKind, SegmentOutcome
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import Medium, Requirement
from gkc_engine.acd.watch import Eyes, step_watched
from gkc_engine.acd.why import UNSKILLED, Bar, Candidate, Obstacle, Part, Place, parted_by
from gkc_engine.ids import (
    SECOND,
    AgentId,
    ContactId,
    Instant,
    Micros,
    QueueId,
    SkillId,
    is_abroad,
)
from gkc_engine.recorder import history, schema
from gkc_engine.recorder.history import HistoryError, said
from gkc_engine.simulation.decisions import Decision, Decisions, Rule

_AT_ONCE: Final = 500
"""Values in one ``IN (…)``: SQLite took 999 before 3.32."""


class What(StrEnum):
    """What a moment of a contact was."""

    STARTED = "started"
    QUEUED = "queued"
    """Entered a queue, or moved to another."""
    WAITS = "waits"
    """Nobody could take it at once; also after a failed offer, at its old place."""
    STEP = "step"
    """Another requirement holds from here on."""
    CONFIG = "config"
    """Another config version holds from here on."""
    OVERTAKEN = "overtaken"
    """One that came later was offered to an operator before it."""
    OFFERED = "offered"
    SENT = "sent"
    """To another center, one of whose operators is kept free for it."""
    OFFER_ENDED = "offer ended"
    RESCINDED = "rescinded"
    """The engine takes the offer back; the answer is still to come."""
    ANSWERED = "answered"
    TRANSFERRED = "transferred"
    """Handed over, or lost by the operator's line: waits again, or talks with another."""
    PRIORITY = "priority"
    """A supervisor gave it another class, head start or slope; or the way in did."""
    PARKED = "parked"
    """Interrupted by a contact of another medium that its operator has taken."""
    RESUMED = "resumed"
    DETACHED = "detached"
    ATTACHED = "attached"
    TREATED = "treated"
    """The waiting is ended by config."""
    ENDED = "ended"


@dataclass(slots=True, kw_only=True)
class Moment:
    """One moment, with what it rests on; what does not apply stays empty."""

    at: Instant
    """Of a decision: when it was made; else when it happened, by Asterisk's word."""
    what: What
    seq: int
    """Row of the event in the ledger."""
    version: str
    """Config version."""
    rules: tuple[str, ...] = ()
    queue: QueueId | None = None
    step: int | None = None
    requirement: Requirement = field(default_factory=dict)
    former: Requirement | None = None
    """STEP: what it replaces."""
    place: Place | None = None
    before: tuple[Place, ...] = ()
    """WAITS: those before it who compete for an agent at work."""
    candidates: tuple[Candidate, ...] = ()
    decision: Decision | None = None
    """OFFERED."""
    agent_id: AgentId | None = None
    other: Place | None = None
    """OVERTAKEN: by whom."""
    part: Part | None = None
    """OVERTAKEN: in which part of P2's key the other comes first; None with ``obstacles``."""
    obstacles: tuple[Obstacle, ...] = ()
    """OVERTAKEN: why the agent could not take this contact."""
    outcome: str = ""
    reason: str = ""
    wait_us: Micros | None = None
    by_supervisor: bool = False
    """QUEUED, PRIORITY: a supervisor did it, by hand."""
    not_asked: dict[str, str] = field(default_factory=dict)
    """SENT: other centers, and why not they."""
    resumes: ContactId | None = None
    """QUEUED: whose place it has; the same citizen was cut off (``resume_within``)."""


@dataclass(slots=True, kw_only=True)
class Explanation:
    """Everything that mattered to one contact."""

    contact_id: ContactId
    number: str = ""
    """Registration number."""
    medium: Medium | None = None
    owner: str = ""
    """The center whose contact it is, if it is a guest; else empty."""
    moments: list[Moment] = field(default_factory=list)
    served_before: int = 0
    """Offers to contacts that had come earlier, while it waited."""
    passed_by: Counter[tuple[Bar, SkillId | None]] = field(default_factory=Counter)
    """Offers in other queues to contacts that came later, by agents who could not take it: why."""
    titles: dict[QueueId, str] = field(default_factory=dict)
    steps: int = 0
    """Of the ledger, taken again."""
    differences: int = 0
    """Of these, answered otherwise now than recorded: then nothing here is certain."""

    over: bool = False
    """Whether the contact has ended."""


class Explainer:
    """Steps a core and gathers the moments of one contact."""

    def __init__(self, acd: Acd, contact_id: ContactId) -> None:
        self.explanation = Explanation(contact_id=contact_id)
        self._acd = acd
        self._mine = contact_id
        self._decisions = Decisions(acd)
        self._seq = 0
        self._event: ev.Event = ev.Tick()
        self._requirement: Requirement = {}
        self._sent_on = ""
        """What ended the waiting in one queue and leads to the next, without an announcement."""

    def step(self, seq: int, event: ev.Event, now: Instant) -> list[cmd.Command]:
        """Take a step of the history; ``seq`` is its row in the ledger."""
        self._seq, self._event = seq, event
        self._decisions.begin(event)
        self.explanation.steps += 1
        return step_watched(self._acd, event, now, self._heard)

    def started(self, event: ev.ContactStarted, now: Instant, version: str) -> None:
        """The contact reached us; told by hand, because the core says nothing to it."""
        told = self.explanation
        told.number, told.medium = event.number, event.medium
        at = now if event.at is None else min(event.at, now)
        told.moments.append(Moment(at=at, what=What.STARTED, seq=self._seq, version=version))

    def kept_free(self, asked: ev.ReservationAsked, now: Instant, version: str) -> None:
        """The contact is another center's, for which one of our operators is kept free."""
        told = self.explanation
        if told.moments:
            return
        told.owner = asked.owner
        moment = Moment(at=now, what=What.STARTED, seq=self._seq, version=version, rules=("P10",))
        moment.queue = asked.queue
        told.moments.append(moment)

    def configured(self, event: ev.SettingsApplied, now: Instant) -> None:
        """A config version took effect; of interest only while the contact is here."""
        told = self.explanation
        told.titles.update({q.queue_id: q.title for q in event.settings.queues})
        version = event.settings.version
        if told.moments and not told.over and told.moments[-1].version != version:
            told.moments.append(Moment(at=now, what=What.CONFIG, seq=self._seq, version=version))

    # --- what is said ------------------------------------------------------------------------

    def _heard(self, command: cmd.Command, eyes: Eyes) -> None:
        mine = getattr(command, "contact_id", None) == self._mine
        match command:
            case cmd.OfferContact():
                self._offered(command, eyes) if mine else self._other_offered(command, eyes)
            case cmd.ContactQueued() | cmd.HoldContact() | cmd.StepReached() if mine:
                self._in_line(command, eyes)
            case cmd.OverflowContact() if mine:
                self._sent(command, eyes)
            case cmd.OfferEnded() | cmd.RescindOffer() if mine:
                self._offer_over(command, eyes)
            case cmd.SegmentClosed() if mine:
                self._segment(command, eyes)
            case cmd.PriorityChanged() if mine:
                moment = self._moment(What.PRIORITY, eyes, "P2")
                moment.by_supervisor = self._by_supervisor()
                moment.queue, moment.place = command.queue, eyes.place(self._mine)
            case cmd.TreatContact() | cmd.ContactEnded() if mine:
                self._out(command, eyes)
            case _:
                pass
        self._decisions.heard(command, eyes)

    def _moment(self, what: What, eyes: Eyes, *rules: str) -> Moment:
        moment = Moment(
            at=eyes.now, what=what, seq=self._seq, version=eyes.settings.version, rules=rules
        )
        self.explanation.moments.append(moment)
        return moment

    def _in_line(
        self, command: cmd.ContactQueued | cmd.HoldContact | cmd.StepReached, eyes: Eyes
    ) -> None:
        if isinstance(command, cmd.ContactQueued):
            moment = self._moment(What.QUEUED, eyes, "P2", *self._rule_of_the_way())
            moment.reason, self._sent_on = self._sent_on, ""
            moment.by_supervisor = self._by_supervisor()
            moment.resumes = command.resumes
        elif isinstance(command, cmd.StepReached):
            moment = self._moment(What.STEP, eyes, "P3", "P1")
            moment.former = self._requirement
        else:
            moment = self._moment(What.WAITS, eyes, "P1")
            moment.before = eyes.before(self._mine)
        self._requirement = moment.requirement = eyes.requirement(self._mine)
        view = eyes.view(self._mine)
        moment.step = view.step if view is not None else None
        moment.queue, moment.place = command.queue, eyes.place(self._mine)
        if moment.what is not What.QUEUED:
            moment.candidates = eyes.candidates(self._mine)

    def _by_supervisor(self) -> bool:
        match self._event:
            case ev.ContactPriorityChanged():
                return self._event.contact_id == self._mine
            case ev.QueueRequested():
                mine = self._event.contact_id == self._mine
                return mine and self._event.reason == ev.BY_SUPERVISOR
            case _:
                return False

    def _rule_of_the_way(self) -> tuple[str, ...]:
        """Return the rule by which a config sends on to another queue, if one does."""
        if not self._sent_on:
            return ()
        return ("P9",) if self._sent_on == Disposition.FULL.value else ("P4",)

    def _offered(self, offer: cmd.OfferContact, eyes: Eyes) -> None:
        decision = self._decisions.decision(offer, eyes)
        rules = {
            Rule.P1: ("P1",),
            Rule.P2: (decision.parted.rule if decision.parted is not None else "P2",),
            Rule.KEPT: ("P10",),
            Rule.TRANSFER: (),
        }[decision.rule]
        moment = self._moment(What.OFFERED, eyes, *rules, *(("P6",) if decision.ring_all else ()))
        moment.decision, moment.agent_id = decision, decision.agents[0]
        moment.queue, moment.step = offer.queue, offer.step
        moment.requirement, moment.candidates = decision.requirement, decision.candidates
        moment.place = eyes.place(self._mine, decision.agents[0])

    def _sent(self, command: cmd.OverflowContact, eyes: Eyes) -> None:
        moment = self._moment(What.SENT, eyes, "P10")
        moment.queue, moment.agent_id = command.queue, command.agent_id
        moment.place, moment.wait_us = eyes.place(self._mine), Micros(eyes.now - command.enqueued)
        if isinstance(self._event, ev.ReservationGranted):
            moment.not_asked = self._event.not_asked
            if self._event.gain_us is not None:
                moment.reason = f"expected {self._event.gain_us // SECOND} s sooner than here"

    def _other_offered(self, offer: cmd.OfferContact, eyes: Eyes) -> None:
        if not eyes.is_waiting(self._mine) or isinstance(self._event, ev.GuestArrived):
            return  # Of a guest: he was kept free for it before, when nobody here waited for him.
        agent_id = offer.agent_ids[0]
        mine = eyes.place(self._mine, agent_id)
        other = eyes.place(offer.contact_id, agent_id)
        if other.sequence < mine.sequence:
            self.explanation.served_before += 1
            return
        obstacles = eyes.obstacles(self._mine, agent_id)
        if obstacles and other.queue != mine.queue:
            first = obstacles[0]
            self.explanation.passed_by[first.bar, first.skill] += 1
            return
        moment = self._moment(What.OVERTAKEN, eyes)
        moment.place, moment.other, moment.agent_id = mine, other, agent_id
        moment.queue = mine.queue
        moment.obstacles = obstacles
        if not obstacles and other.key < mine.key:
            moment.part = parted_by(other, mine, eyes.settings.order)
            moment.rules = (moment.part.rule,)

    def _offer_over(self, command: cmd.OfferEnded | cmd.RescindOffer, eyes: Eyes) -> None:
        if isinstance(command, cmd.RescindOffer):
            self._moment(What.RESCINDED, eyes, "P6").reason = command.reason
            return
        accepted = command.outcome is OfferOutcome.ACCEPTED
        kept = "P10" if is_abroad(command.agent_id) else "P6"
        what = What.ANSWERED if accepted else What.OFFER_ENDED
        moment = self._moment(what, eyes, *(() if accepted else (kept,)))
        moment.agent_id, moment.queue = command.agent_id, command.queue
        moment.outcome, moment.reason = command.outcome.value, command.reason
        if accepted:
            moment.at, place = command.ended, eyes.place(self._mine)
            moment.wait_us = Micros(command.ended - place.enqueued)

    def _segment(self, closed: cmd.SegmentClosed, eyes: Eyes) -> None:
        match closed.outcome:
            case SegmentOutcome.DETACHED:
                self._moment(What.DETACHED, eyes).at = closed.ended
            case SegmentOutcome.QUEUED | SegmentOutcome.MOVED:
                self._sent_on = "" if closed.reason == ev.BY_SUPERVISOR else closed.reason
            case SegmentOutcome.PARKED:
                self._parked(What.PARKED, closed, eyes)
            case SegmentOutcome.RESUMED if closed.kind is SegmentKind.PARKED:
                self._parked(What.RESUMED, closed, eyes)
            case SegmentOutcome.ATTACHED:
                self._moment(What.ATTACHED, eyes)
            case SegmentOutcome.TRANSFERRED | SegmentOutcome.MEDIA_LOST:
                moment = self._moment(What.TRANSFERRED, eyes)
                moment.agent_id, moment.outcome = closed.agent_id, closed.outcome.value
                moment.reason = closed.reason
            case SegmentOutcome.ANSWERED if isinstance(self._event, ev.FallbackAnswered):
                moment = self._moment(What.ANSWERED, eyes)
                moment.at = closed.ended
                moment.agent_id, moment.outcome = self._event.agent_id, "fallback"
            case _:
                pass

    def _parked(self, what: What, closed: cmd.SegmentClosed, eyes: Eyes) -> None:
        moment = self._moment(what, eyes, "P8")
        moment.at, moment.agent_id, moment.queue = closed.ended, closed.agent_id, closed.queue

    def _out(self, command: cmd.TreatContact | cmd.ContactEnded, eyes: Eyes) -> None:
        if isinstance(command, cmd.TreatContact):
            full = command.disposition is Disposition.FULL
            moment = self._moment(What.TREATED, eyes, "P9" if full else "P4")
            moment.outcome = command.disposition.value
            moment.queue = eyes.queue_of(self._mine).queue_id
            moment.candidates = eyes.candidates(self._mine)
            if command.disposition is Disposition.NO_AGENT:
                moment.reason = self._empty(moment, eyes)
            return
        moment = self._moment(What.ENDED, eyes)
        moment.at, self.explanation.over = command.ended, True
        moment.outcome, moment.reason = command.disposition.value, command.reason
        moment.queue, moment.agent_id = command.queue, command.agent_id
        moment.wait_us = command.wait_us if command.first_queued is not None else None

    def _empty(self, moment: Moment, eyes: Eyes) -> str:
        """Return the key by which a queue counts as empty (P4)."""
        queue, view = eyes.queue_of(self._mine), eyes.view(self._mine)
        if view is None or view.enqueued is None:
            return "joinempty"  # Refused at the door.
        lasts, longest = moment.at - view.enqueued, queue.maxwait_unstaffed_us
        if not queue.leavewhenempty or (longest is not None and lasts >= longest):
            unstaffed = all(
                any(o.bar in UNSKILLED or o.bar is Bar.OFFLINE for o in candidate.obstacles)
                for candidate in moment.candidates
            )
            if unstaffed or not queue.leavewhenempty:
                return "maxwait_unstaffed"
        return "leavewhenempty"


def explain(connection: sa.Connection, contact_id: ContactId) -> Explanation:
    """Return the explanation of a contact from its ledger, by replay from the snapshot before it.

    Args:
        connection: Read only.
        contact_id: Of a contact on record; in progress is enough.

    Raises:
        HistoryError: It is not on record, or rows that it rests on are missing.
    """
    event = schema.event
    first = connection.execute(
        sa.select(event.c.seq, event.c.ts_us)
        .where(event.c.contact_id == contact_id)
        .order_by(event.c.seq)
        .limit(1)
    ).first()
    if first is None:
        raise HistoryError(f"contact {contact_id} is not in the ledger")
    base = history.base_before(connection, Instant(first.ts_us))
    acd = base.core()
    explainer = Explainer(acd, contact_id)
    told = explainer.explanation
    if base.state is not None:
        told.titles = {q.queue_id: q.title for q in base.state.settings.queues}
    for step in history.steps(connection, base.seq):
        commands = explainer.step(step.seq, step.event, step.now)
        told.differences += step.said != [said(command) for command in commands]
        if isinstance(step.event, ev.SettingsApplied):
            explainer.configured(step.event, step.now)
        elif isinstance(step.event, ev.ContactStarted) and step.event.contact_id == contact_id:
            explainer.started(step.event, step.now, step.config_version)
        elif (
            isinstance(step.event, ev.ReservationAsked) and step.event.reservation_id == contact_id
        ):
            explainer.kept_free(step.event, step.now, step.config_version)
        if told.over:
            break
    # What happened while the engine was away is on record late, with its own instant.
    told.moments.sort(key=lambda moment: moment.at)
    return told


def numbers_of(connection: sa.Connection, told: Explanation) -> dict[ContactId, str]:
    """Return the registration numbers of all contacts that an explanation names."""
    ids = {told.contact_id}
    for moment in told.moments:
        places = [*moment.before, *([moment.other] if moment.other is not None else [])]
        ids.update([moment.resumes] if moment.resumes is not None else [])
        obstacles = [*moment.obstacles, *(o for c in moment.candidates for o in c.obstacles)]
        if moment.decision is not None:
            places += moment.decision.line
        ids.update(place.contact_id for place in places)
        ids.update(o.contact_id for o in obstacles if o.contact_id is not None)
    table, wanted = schema.contact, sorted(ids)
    found: dict[ContactId, str] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        rows = connection.execute(
            sa.select(table.c.contact_id, table.c.number).where(table.c.contact_id.in_(some))
        )
        found.update({ContactId(row.contact_id): row.number for row in rows})
    return found
