"""What the ledger tells of a stretch of time, parted into what came and what was decided.

For ``gkc plan``: contacts with their needs (talks, patience, how their offers went) and the
operators' presence are taken from the record; who got whom is left to the core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import AgentState, Disposition, OfferOutcome
from gkc_engine.acd.settings import Settings
from gkc_engine.acd.state import AcdState, ContactState
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, OfferId, QueueId
from gkc_engine.recorder import history
from gkc_engine.recorder.history import HistoryError, Recorded
from gkc_engine.recorder.queries import iso
from gkc_engine.recorder.table_reader import last_applied

TAIL_US: Final = Micros(3600 * SECOND)
"""How far beyond its end a stretch is read: those who come after it compete with those who wait."""

_FAILURES: Final = {
    OfferOutcome.REFUSED: ev.OfferFailure.REJECTED,
    OfferOutcome.NO_ANSWER: ev.OfferFailure.NO_ANSWER,
    OfferOutcome.BUSY: ev.OfferFailure.BUSY,
    OfferOutcome.UNREACHABLE: ev.OfferFailure.UNREACHABLE,
}

_PRESENCE: Final = (
    ev.AgentLoggedIn,
    ev.AgentLoggedOut,
    ev.AgentPaused,
    ev.AgentReady,
    ev.AgentDeviceChanged,
    ev.SkillsChanged,
    ev.SkillOverridden,
    ev.HoursChanged,
    ev.StaffedElsewhere,
    ev.EmergencyClosed,
    ev.EmergencyOpened,
)
"""Facts that no decision of the core has brought about."""

_LEFT: Final = (Disposition.ABANDONED, Disposition.ABANDONED_SHORT)


@dataclass(slots=True, kw_only=True)
class Ring:
    """How one offer of a contact went."""

    created: Instant
    ended: Instant
    failure: ev.OfferFailure | None
    """None = answered, or ``cut``."""
    cut: bool = False
    """The citizen left or the core took it back while it rang: it would have rung longer."""

    @property
    def answered(self) -> bool:
        """Whether somebody took it."""
        return self.failure is None and not self.cut

    @property
    def lasts_us(self) -> Micros:
        """From the offer to its end."""
        return Micros(self.ended - self.created)


@dataclass(slots=True, kw_only=True)
class Talk:
    """One operator's talk with the citizen, hold included."""

    began: Instant
    ended: Instant | None = None
    then: ev.TransferRequested | None = None
    """How it ended, if in a transfer; else the contact was over for the operator."""
    wrap_up_us: Micros | None = None
    """How long the operator wrapped up, if he ended it himself before its time."""


@dataclass(slots=True, kw_only=True)
class PastContact:
    """What one citizen brought along."""

    contact_id: ContactId
    start: ev.ContactStarted | None = None
    request: ev.QueueRequested | None = None
    """The first; later ones follow from decisions."""
    requested: Instant | None = None
    queue: QueueId | None = None
    """The first that it entered."""
    enqueued: Instant | None = None
    rings: list[Ring] = field(default_factory=list)
    talks: list[Talk] = field(default_factory=list)
    wait_us: Micros | None = None
    left: bool = False
    """Whether the citizen gave up: then ``wait_us`` is his patience."""

    @property
    def asked(self) -> QueueId | None:
        """The queue that it entered first, or was refused at the door of."""
        return self.queue or (self.request.queue if self.request is not None else None)


@dataclass(slots=True, kw_only=True)
class Past:
    """A stretch of time: its state at the beginning, and what came from there on."""

    since: Instant
    until: Instant
    end: Instant
    """How far it was read."""
    settings: Settings
    """Today's config."""
    tree: str
    """The whole of it as JSON; empty if an older engine recorded it."""
    state: AcdState
    """Of the core at ``since``."""
    version: str
    """Of the config that was in force last, while it is read."""
    contacts: dict[ContactId, PastContact] = field(default_factory=dict)
    presence: list[tuple[Instant, ev.Event]] = field(default_factory=list)
    changes: int = 0
    """Times that another config version took effect within."""
    by_fallback: set[ContactId] = field(default_factory=set)
    """Whom the native queue answered within: a rerun knows no engine that is away."""

    @property
    def never_ours(self) -> int:
        """How many of those were in no queue of ours: what they asked for is not on record."""
        return sum(
            self.contacts[contact_id].asked is None
            for contact_id in self.by_fallback
            if contact_id in self.contacts
        )

    def queued(self) -> list[PastContact]:
        """Return those who entered a first queue within [since, until), in their order."""
        return [
            contact
            for contact in self.contacts.values()
            if contact.enqueued is not None and self.since <= contact.enqueued < self.until
        ]


Watcher = Callable[[Instant, Sequence[cmd.Command]], None]
"""Told what was decided at each instant."""


def read(
    connection: sa.Connection,
    since: Instant,
    until: Instant,
    watch: Callable[[Past], Watcher],
) -> Past:
    """Return what the ledger tells of [since, until), and some time after it.

    Args:
        connection: Read only.
        since: First instant; not before the ledger's first.
        until: The instant after the last; not after the ledger's.
        watch: Called at the beginning with what is known then; what it returns is told what was
            decided from there on.

    Raises:
        HistoryError: Nobody came in that time, the ledger holds nothing of it, or it has a gap.
    """
    held = history.span(connection)
    applied = last_applied(connection)
    if applied is None:
        raise HistoryError("no config version is on record: the ledger's beginning is missing")
    if since >= until:
        raise HistoryError(f"{iso(since)} to {iso(until)} is no stretch of time: --from is first")
    since, until = max(since, held.first), min(until, Instant(held.last + 1))
    if since >= until:
        raise HistoryError(f"the ledger holds {held}; name a stretch within")
    base = history.base_before(connection, since)
    acd, gatherer = base.core(), _Gatherer(base.state)
    past: Past | None = None
    watcher: Watcher | None = None
    for step in history.steps(connection, base.seq):
        if step.now >= until + TAIL_US:
            break
        if step.now >= since and past is None:
            past = _begun(acd.snapshot(), since, until, applied)
            gatherer.calls = {call for agent in past.state.agents for call in agent.calls}
            watcher = watch(past)
        commands = gatherer.take(step)
        if past is None or watcher is None:
            acd.step(step.event, step.now)
            continue
        watcher(step.now, commands)
        _note(past, step, gatherer, commands)
    if past is None:
        raise HistoryError(f"nothing is on record after {iso(since)}; the ledger holds {held}")
    past.contacts = gatherer.contacts
    past.end = min(Instant(until + TAIL_US), held.last)
    if not past.queued():
        raise HistoryError(
            f"no contact entered a queue from {iso(since)} to {iso(until)}: nothing to plan with"
        )
    gatherer.close(past.end)
    return past


def _begun(state: AcdState, since: Instant, until: Instant, today: ev.SettingsApplied) -> Past:
    return Past(
        since=since,
        until=until,
        end=until,
        settings=today.settings,
        tree=today.tree,
        state=state,
        version=state.settings.version,
    )


def _note(past: Past, step: Recorded, gatherer: _Gatherer, commands: Iterable[cmd.Command]) -> None:
    event = step.event
    past.presence += [(step.now, call) for call in calls_out(commands)]
    if step.now < past.until:
        if isinstance(event, ev.FallbackAnswered):  # Told again after each restart.
            past.by_fallback.add(event.contact_id)
        if isinstance(event, ev.SettingsApplied):
            # None was in force before the first one of a new ledger: that is no change.
            past.changes += event.settings.version != past.version != ""
            past.version = event.settings.version
    if isinstance(event, _PRESENCE) or gatherer.is_own_call(event):
        past.presence.append((step.now, event))


def calls_out(commands: Iterable[cmd.Command]) -> Iterator[ev.Event]:
    """Give what calls outside, and guests, take of operators' time, as calls of their own."""
    for command in commands:
        match command:
            case cmd.DialOut():
                yield ev.AgentCallStarted(
                    agent_id=command.agent_id, call_id=command.contact_id, kind="outbound"
                )
            case cmd.GrantReservation():
                yield ev.AgentCallStarted(
                    agent_id=command.agent_id, call_id=command.reservation_id, kind="outbound"
                )
            case cmd.OfferEnded() if command.outcome is not OfferOutcome.ACCEPTED:
                # Of a guest; of any other offer it says nothing.
                yield ev.AgentCallEnded(agent_id=command.agent_id, call_id=command.contact_id)
            case cmd.ContactEnded() if (
                command.first_queued is None and command.agent_id is not None
            ):  # of a citizen who was never in a queue nobody ever heard
                yield ev.AgentCallEnded(agent_id=command.agent_id, call_id=command.contact_id)
            case _:
                pass


class _Gatherer:
    """Follows the record and keeps what each contact brought along."""

    def __init__(self, state: AcdState | None) -> None:
        """``state``: of the core where the record begins; those who are there go on."""
        self.contacts: dict[ContactId, PastContact] = {}
        self._offers: dict[OfferId, Instant] = {}
        self._rings: dict[OfferId, Ring] = {}
        """Of the offers that had an end."""
        self.calls: set[str] = set()
        """Operators' own calls whose end is of interest."""
        self._wrap_up: dict[tuple[AgentId, int], tuple[Talk, Instant, Instant | None]] = {}
        """Who wraps up: after which talk, since when, until when."""

        for there in [] if state is None else state.contacts:
            contact = self._of(there.contact_id)
            if not there.consult:
                contact.queue, contact.enqueued = there.queue, there.enqueued
            if there.state is ContactState.TALK:
                contact.talks.append(Talk(began=there.segment_started))
        for offer in [] if state is None else state.offers:
            self._offers[offer.offer_id] = offer.created

    def is_own_call(self, event: ev.Event) -> bool:
        """Return whether an operator's own call takes his time beside the contacts."""
        match event:
            case ev.AgentCallStarted(kind="outbound" | "consulted"):
                self.calls.add(event.call_id)
                return True
            case ev.AgentCallEnded():
                return event.call_id in self.calls
            case _:
                return False

    def take(self, step: Recorded) -> list[cmd.Command]:
        """Take a step; return what was said to it."""
        event = step.event
        match event:
            case ev.ContactStarted():
                self._of(event.contact_id).start = event
            case ev.QueueRequested():
                contact = self._of(event.contact_id)
                if contact.request is None and contact.enqueued is None:
                    contact.request, contact.requested = event, step.now
            case ev.TransferRequested():
                # Where an unwatched transfer led is not known: nothing can be made to follow.
                known = event.to_agent is not None or event.to_queue is not None
                then = event if known else None
                self._talk_over(event.contact_id, event.at or step.now, then)
            case ev.TalkEnded() | ev.PutThrough():
                self._talk_over(event.contact_id, event.at or step.now, None)
            case ev.FallbackAnswered():
                self._of(event.contact_id).talks.append(Talk(began=event.at))
            case _:
                pass
        commands = step.commands()
        for command in commands:
            self._heard(command, step.now)
        return commands

    def close(self, end: Instant) -> None:
        """Nothing more comes: who still waits has waited until ``end``."""
        for contact in self.contacts.values():
            if contact.wait_us is None and contact.enqueued is not None:
                answered = contact.talks[0].began if contact.talks else end
                contact.wait_us = Micros(max(0, answered - contact.enqueued))

    def _of(self, contact_id: ContactId) -> PastContact:
        return self.contacts.setdefault(contact_id, PastContact(contact_id=contact_id))

    def _talk_over(
        self, contact_id: ContactId, now: Instant, then: ev.TransferRequested | None
    ) -> None:
        talks = self._of(contact_id).talks
        if talks and talks[-1].ended is None:
            talks[-1].ended, talks[-1].then = max(now, talks[-1].began), then

    def _heard(self, command: cmd.Command, now: Instant) -> None:
        match command:
            case cmd.ContactQueued():
                contact = self._of(command.contact_id)
                if contact.enqueued is None:
                    contact.queue, contact.enqueued = command.queue, command.enqueued
            case cmd.OfferContact():
                self._offers[command.offer_id] = command.created
            case cmd.OfferEnded():
                self._offer_ended(command)
            case cmd.AgentStateChanged():
                self._state(command, now)
            case cmd.ContactEnded():
                self._talk_over(command.contact_id, command.ended, None)
                contact = self._of(command.contact_id)
                contact.left = command.disposition in _LEFT
                contact.wait_us = command.wait_us if command.first_queued is not None else None
            case _:
                pass

    def _offer_ended(self, fact: cmd.OfferEnded) -> None:
        # Asterisk's own instants: what happened while the engine was away is told late.
        accepted = fact.outcome is OfferOutcome.ACCEPTED
        contact, created = self._of(fact.contact_id), self._offers.get(fact.offer_id)
        if created is not None:
            failure = _FAILURES.get(fact.outcome)
            cut = not accepted and failure is None
            ring = Ring(created=created, ended=fact.ended, failure=failure, cut=cut)
            told = self._rings.get(fact.offer_id)
            if told is None:
                contact.rings.append(ring)
                self._rings[fact.offer_id] = ring
            elif accepted or not told.answered:  # of ``ring: all`` the answer tells, else the last
                told.ended, told.failure, told.cut = ring.ended, ring.failure, ring.cut
        if accepted:
            contact.talks.append(Talk(began=fact.ended))

    def _state(self, fact: cmd.AgentStateChanged, now: Instant) -> None:
        key = (fact.agent_id, fact.slot)
        before = self._wrap_up.pop(key, None)
        if before is not None:
            talk, since, until = before
            if until is not None and now < until:
                talk.wrap_up_us = Micros(now - since)
        if fact.state is AgentState.WRAP_UP and fact.contact_id is not None:
            talks = self._of(fact.contact_id).talks
            if talks:
                self._wrap_up[key] = (talks[-1], now, fact.until)
