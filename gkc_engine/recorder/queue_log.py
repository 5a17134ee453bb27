"""Asterisk's queue_log, written from our facts: QueueMetrics, Asternic and QPanel read it.

``EPOCH|CALLID|QUEUE|AGENT|EVENT|D1|D2…`` as ``ast_queue_log`` of Asterisk 22 writes it
(main/logger.c; the events and their data: app_queue.c). In place of a number stands the citizen's
key. What the native fallback queue does, Asterisk writes into its own file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import AgentSettings, Medium, QueueSettings, Settings
from gkc_engine.ids import SECOND, Instant, is_abroad
from gkc_engine.recorder import agent_places, schema
from gkc_engine.recorder.codec import KINDS
from gkc_engine.recorder.new_records import CONSULT, GUEST
from gkc_engine.recorder.rollup import answered_elsewhere
from gkc_engine.recorder.rows import StepLike

_NONE: Final = "NONE"
_MS: Final = 1000


@dataclass(slots=True)
class _Call:
    callid: str
    citizen: str
    queue: str | None = None
    entered: int = 0
    position: int = 0
    agent: str | None = None
    """Set while an agent talks with the citizen."""
    answered: int = 0
    hold_s: int = 0
    ring_s: int = 0


class QueueLog:
    """Turns committed steps into lines. Pure but for what it remembers of open calls."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._waiting: dict[str, dict[str, None]] = {}
        self._states: dict[str, cm.AgentState] = {}
        self._members: dict[str, list[str]] = {}

    def prime(self, connection: sa.Connection, settings: Settings | None) -> None:
        """Take calls and agents of a running day from the projections, after a restart."""
        if settings is not None:
            self._settle(settings)
        contact, interval = schema.contact, schema.agent_interval
        rows = connection.execute(
            sa.select(contact)
            .where(contact.c.ended.is_(None), contact.c.direction.not_in((GUEST, CONSULT)))
            .order_by(contact.c.first_queued)
        )
        talkers, gone = _talkers(connection), _out_of_queue(connection)
        for row in rows.mappings():
            contact_id = row["contact_id"]
            call = self._call_of(contact_id, row["medium"], row["linkedid"])
            call.citizen = row["citizen_id"] or ""
            if row["first_queued"] is None:
                continue
            self._enter(contact_id, call, row["queue"], row["first_queued"])
            agent = talkers.get(contact_id)
            if agent is None and answered_elsewhere(row):
                agent = row["agent_id"]
            if agent is not None or contact_id in gone:
                self._leave(contact_id, call)
                # Who had a citizen given to him completes nothing: the queue is done with that one.
                call.agent = None if contact_id in gone else agent
                call.answered = row["answered"] or row["first_queued"]
                call.hold_s = _s(call.answered - row["first_queued"])
        for agent, state in connection.execute(
            sa.select(interval.c.agent_id, interval.c.state).where(interval.c.end.is_(None))
        ):
            self._states[agent] = cm.AgentState(state)

    def begin(self, connection: sa.Connection, at: Instant, settings: Settings | None) -> None:
        """Take the agents' states at ``at``, to give the lines of what came later once more."""
        if settings is not None:
            self._settle(settings)
        c = agent_places.last_before(at, ("start", "end", "state")).c
        there = c.start.is_not(None) & (c.end.is_(None) | (c.end >= at))
        query = sa.select(c.agent_id, c.state).where(there)
        for agent, state in connection.execute(query.order_by(c.start)):
            self._states[agent] = cm.AgentState(state)

    def lines(self, steps: Iterable[StepLike]) -> list[str]:
        """Return the lines of ``steps``, without line ends."""
        lines: list[str] = []
        for step in steps:
            if isinstance(step.event, ev.ContactStarted):
                fact = step.event
                call = self._call_of(fact.contact_id, fact.medium, fact.uniqueid)
                call.citizen = fact.citizen or ""
            elif isinstance(step.event, ev.SettingsApplied):
                self._settle(step.event.settings)
            for command in step.commands:
                handler = _HANDLERS.get(type(command))
                if handler is not None:
                    lines.extend(handler(self, step, command))
        return lines

    # --- what is remembered ------------------------------------------------------------------

    def _call_of(self, contact_id: str, medium: str, uniqueid: str | None) -> _Call:
        callid = uniqueid or contact_id
        if medium != Medium.VOICE:
            callid = f"{_NAMES.get(medium, medium)}/{contact_id}"
        call = _Call(callid, "")
        self._calls[contact_id] = call
        return call

    def _settle(self, settings: Settings) -> None:
        # Agents are many, kinds of them few: a thousand would cost a restart 0.1 s.
        kinds: dict[frozenset[tuple[str, int]], list[str]] = {}
        self._members = {}
        for agent in settings.agents:
            kind = frozenset(agent.skills.items())
            if kind not in kinds:
                kinds[kind] = [q.queue_id for q in settings.queues if _serves(agent, q)]
            self._members[agent.agent_id] = kinds[kind]

    def _enter(self, contact_id: str, call: _Call, queue: str, at: int) -> None:
        waiting = self._waiting.setdefault(queue, {})
        waiting[contact_id] = None
        call.queue, call.entered, call.position = queue, at, len(waiting)

    def _leave(self, contact_id: str, call: _Call) -> int:
        """Take the call out of its queue; return the position it had, 0 if it did not wait."""
        waiting = self._waiting.get(call.queue or "", {})
        if contact_id not in waiting:
            return 0
        position = list(waiting).index(contact_id) + 1
        del waiting[contact_id]
        return position

    # --- facts -------------------------------------------------------------------------------

    def _queued(self, step: StepLike, fact: cm.ContactQueued) -> list[str]:
        call = self._calls.get(fact.contact_id)
        if call is None or fact.contact_id in self._waiting.get(fact.queue, {}):
            return []
        lines = self._exit(step, fact.contact_id, call, "EXITWITHTIMEOUT")
        self._enter(fact.contact_id, call, fact.queue, fact.enqueued)
        call.agent = None
        lines.append(_line(step.now, call, None, "ENTERQUEUE", "", call.citizen, call.position))
        return lines

    def _treated(self, step: StepLike, fact: cm.TreatContact) -> list[str]:
        call = self._calls.get(fact.contact_id)
        name = "EXITWITHTIMEOUT" if fact.disposition is cm.Disposition.TIMEOUT else "EXITEMPTY"
        return [] if call is None else self._exit(step, fact.contact_id, call, name)

    def _exit(self, step: StepLike, contact_id: str, call: _Call, name: str) -> list[str]:
        position = self._leave(contact_id, call)
        if not position:
            return []
        waited = _s(step.now - call.entered)
        return [_line(step.now, call, None, name, position, call.position, waited)]

    def _offer_ended(self, step: StepLike, fact: cm.OfferEnded) -> list[str]:
        call = self._calls.get(fact.contact_id)
        if call is None:
            return []
        ring_us = 0 if fact.ringing is None else fact.ended - fact.ringing
        if fact.outcome is cm.OfferOutcome.ACCEPTED:
            call.ring_s = _s(ring_us)
            if is_abroad(fact.agent_id):
                return self._connected(fact.agent_id, fact.ended, fact.contact_id)
            return []  # CONNECT follows with the agent's state.
        blameless = fact.outcome in {cm.OfferOutcome.WITHDRAWN, cm.OfferOutcome.RESCINDED}
        name = "RINGCANCELED" if blameless else "RINGNOANSWER"
        return [_line(step.now, call, fact.agent_id, name, ring_us // _MS)]

    def _segment(self, step: StepLike, fact: cm.SegmentClosed) -> list[str]:
        call = self._calls.get(fact.contact_id)
        if call is None:
            return []
        answer = step.event
        if fact.outcome is cm.SegmentOutcome.ANSWERED and isinstance(answer, ev.OfferAccepted):
            # An answer elsewhere that crossed its recall: no offer of it ends.
            crossed = fact.kind is cm.SegmentKind.QUEUE and is_abroad(answer.agent_id)
            if crossed:
                return self._connected(answer.agent_id, fact.ended, fact.contact_id)
        if call.agent is None:
            return []
        if fact.kind not in _TALK:
            return []
        agent = call.agent
        data: tuple[object, ...] = (call.hold_s, _s(fact.ended - call.answered), call.position)
        match fact.outcome:
            case cm.SegmentOutcome.LEFT:
                name = "COMPLETECALLER"
            case cm.SegmentOutcome.RELEASED | cm.SegmentOutcome.MEDIA_LOST:
                name = "COMPLETEAGENT"
            case cm.SegmentOutcome.TRANSFERRED:
                name, target = _transfer(step.event)
                data = (*target, *data)
            case _:
                return []
        call.agent = None
        return [_line(fact.ended, call, agent, name, *data)]

    def _ended(self, step: StepLike, fact: cm.ContactEnded) -> list[str]:
        call = self._calls.pop(fact.contact_id, None)
        return [] if call is None else self._exit(step, fact.contact_id, call, "ABANDON")

    def _wrap_up(self, step: StepLike, fact: cm.WrapUpResult) -> list[str]:
        # QueueMetrics' own event for a result code; the call may be over.
        call = self._calls.get(fact.contact_id) or _Call(fact.contact_id, "")
        return [_line(step.now, call, fact.agent_id, "CALLSTATUS", fact.code)]

    def _agent_state(self, step: StepLike, fact: cm.AgentStateChanged) -> list[str]:
        before = self._states.get(fact.agent_id, cm.AgentState.OFFLINE)
        self._states[fact.agent_id] = fact.state
        off, paused = cm.AgentState.OFFLINE, cm.AgentState.NOT_READY
        lines: list[str] = []
        if fact.state is cm.AgentState.TALK and fact.contact_id is not None:
            lines += self._connected(fact.agent_id, fact.since, fact.contact_id)
        if before is paused and fact.state is not paused:
            lines += self._member(step.now, fact.agent_id, "UNPAUSE", "", everywhere="UNPAUSEALL")
        if before is off and fact.state is not off:
            lines += self._member(step.now, fact.agent_id, "ADDMEMBER", "")
        if before is not off and fact.state is off:
            lines += self._member(step.now, fact.agent_id, "REMOVEMEMBER", "")
        if fact.state is paused and before is not paused:
            lines += self._member(
                step.now, fact.agent_id, "PAUSE", fact.reason, everywhere="PAUSEALL"
            )
        return lines

    def _connected(self, agent_id: str, at: Instant, contact_id: str) -> list[str]:
        call = self._calls.get(contact_id)
        if call is None or not self._leave(contact_id, call):
            return []  # Back from hold, or taken over in a transfer: the queue is done with it.
        call.agent, call.answered = agent_id, at
        call.hold_s = _s(at - call.entered)
        ring_s, call.ring_s = call.ring_s, 0
        return [_line(at, call, agent_id, "CONNECT", call.hold_s, "", ring_s)]

    def _member(
        self, now: Instant, agent: str, name: str, reason: str, *, everywhere: str | None = None
    ) -> list[str]:
        call = _Call(_NONE, "")
        lines = [_line(now, call, agent, everywhere, reason)] if everywhere else []
        for queue in self._members.get(agent, []):
            call.queue = queue
            lines.append(_line(now, call, agent, name, reason))
        return lines


def _talkers(connection: sa.Connection) -> dict[str, str]:
    """Return who is connected with whom now: contact → agent. After a transfer not the first."""
    t = schema.agent_interval.c
    states = [str(cm.AgentState.TALK), str(cm.AgentState.HOLD)]
    query = sa.select(t.contact_id, t.agent_id).where(t.end.is_(None), t.state.in_(states))
    return {contact: agent for contact, agent in connection.execute(query) if contact}


def _out_of_queue(connection: sa.Connection) -> set[str]:
    """Return the open contacts that have left their queue otherwise than into a talk of now.

    They are led on or treated, let go after a talk, or were handed to somebody, and stand in no
    queue since.
    """
    e, open_ones = schema.event.c, sa.select(schema.contact.c.contact_id)
    handed = (ev.TransferCompleted, ev.TransferRequested, ev.PutThrough)
    out = (*handed, cm.TreatContact, cm.ReleaseContact)
    back = cm.ContactQueued
    query = (
        sa.select(e.contact_id, e.kind, sa.func.max(e.seq))
        .where(e.contact_id.in_(open_ones.where(schema.contact.c.ended.is_(None))))
        .where(e.kind.in_([KINDS[kind] for kind in (*out, back)]))
        .group_by(e.contact_id, e.kind)
        .order_by(sa.func.max(e.seq))
    )
    last = {contact_id: kind for contact_id, kind, _ in connection.execute(query)}
    return {contact_id for contact_id, kind in last.items() if kind != KINDS[back]}


_TALK: Final = frozenset((cm.SegmentKind.TALK, cm.SegmentKind.HOLD, cm.SegmentKind.PARKED))

_Handler = Callable[[QueueLog, StepLike, Any], list[str]]

_HANDLERS: Final[dict[type[object], _Handler]] = {
    cm.ContactQueued: QueueLog._queued,
    cm.TreatContact: QueueLog._treated,
    cm.OfferEnded: QueueLog._offer_ended,
    cm.SegmentClosed: QueueLog._segment,
    cm.ContactEnded: QueueLog._ended,
    cm.WrapUpResult: QueueLog._wrap_up,
    cm.AgentStateChanged: QueueLog._agent_state,
}

_NAMES: Final[dict[str, str]] = {Medium.EMAIL: "mail"}


def _serves(agent: AgentSettings, queue: QueueSettings) -> bool:
    """Return whether the agent ever serves the queue: a member, in Asterisk's words."""
    requirements = [queue.require, *(step.require for step in queue.relax)]
    return any(
        all(agent.skills.get(skill, 0) >= level for skill, level in require.items())
        for require in requirements
    )


def _transfer(event: ev.Event) -> tuple[str, tuple[object, ...]]:
    if isinstance(event, ev.TransferRequested):
        return "BLINDTRANSFER", (event.to_agent or event.to_queue or "", "")
    if isinstance(event, ev.TransferCompleted) and event.to_agent is not None:
        return "ATTENDEDTRANSFER", ("AGENT", event.to_agent)
    # An outside party's number is nobody's business here.
    if isinstance(event, ev.PutThrough):
        return "BLINDTRANSFER", ("EXTERNAL", "")
    return "ATTENDEDTRANSFER", ("EXTERNAL", "")


def _s(duration_us: int) -> int:
    return duration_us // SECOND


def _line(at: int, call: _Call, agent: str | None, name: str, *data: object) -> str:
    fields = (_s(at), call.callid, call.queue or _NONE, agent or _NONE, name, *data)
    return "|".join(_clean(field) for field in fields)


def _clean(field: object) -> str:
    """A field can neither end the line nor begin another field."""
    text = str(field)
    if text.isprintable() and "|" not in text:
        return text
    return "".join(c if c.isprintable() and c != "|" else "_" for c in text)
