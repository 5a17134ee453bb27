"""The parts of a contact, put on record one after the other: they tile its time (invariant 2)."""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.commands import SegmentKind, SegmentOutcome, TransferKind
from gkc_engine.acd.state import Contact
from gkc_engine.ids import CONSULT, Instant, Micros

_WITH_A_PARTY = (
    *(SegmentKind.TALK, SegmentKind.HOLD, SegmentKind.PARKED, SegmentKind.EXTERNAL),
    SegmentKind.CONSULT,
)
# Of what every step asks for: a member of an enum costs a look-up in its class.
_MENU, _QUEUE, _RING = SegmentKind.MENU, SegmentKind.QUEUE, SegmentKind.RING
_TALK, _HOLD, _CONSULT = SegmentKind.TALK, SegmentKind.HOLD, SegmentKind.CONSULT

CONSULTED = "consulted"
"""``AgentCallStarted.kind`` of the operator who was called."""


class Segments:
    """The instant that is being handled, and what is said of it; the base of ``World``."""

    def __init__(self) -> None:
        self.now = Instant(0)
        self.out: list[cmd.Command] = []

    def instant(self, at: Instant | None, floor: Instant) -> Instant:
        """Return the far side's instant, not before ``floor`` and not after now."""
        return self.now if at is None else max(floor, min(at, self.now))

    def next_segment(
        self,
        contact: Contact,
        kind: SegmentKind | None,
        outcome: SegmentOutcome,
        at: Instant | None = None,
        reason: str = "",
        transfer: TransferKind | None = None,
    ) -> Instant:
        """Close the present segment, open the next one of ``kind``; return the instant between.

        ``None``: there is no next one. The present one is put on record, and added to the sums.
        """
        started, present = contact.segment_started, contact.segment_kind
        ended = self.now if at is None else self.instant(at, started)
        if contact.advice and (present is _TALK or present is _HOLD):
            present = _CONSULT  # An expert's time, and no talk with a citizen.
        if present is _TALK:
            contact.talk_us += ended - started  # type: ignore[assignment]  # A NewType is dear.
        elif ended != started:
            _add(contact, present, ended - started)
        if not contact.consult:
            leg = contact.talk_leg
            asked = present is _QUEUE or (present is _RING and not contact.outbound)
            self.out.append(
                cmd.SegmentClosed(
                    contact_id=contact.contact_id,
                    n=contact.segment_n,
                    kind=present,
                    started=started,
                    ended=ended,
                    outcome=outcome,
                    reason=reason,
                    queue=contact.segment_queue,
                    agent_id=contact.agent,
                    offer_id=contact.offer,
                    step=contact.step if asked else None,
                    channel_uniqueid=leg if leg is not None and present in _WITH_A_PARTY else None,
                    transfer_kind=transfer,
                    outside=contact.outside,
                )
            )
        elif present is _TALK or present is _HOLD:
            self._advised(contact, started, ended)
        if kind is not None:
            contact.segment_n += 1
            contact.segment_kind = kind
            contact.segment_started = ended
            contact.segment_queue = contact.queue
        return ended

    def _advised(self, contact: Contact, started: Instant, ended: Instant) -> None:
        """Put on record the part of a colleague whom a queue chose, as of one asked by name."""
        if contact.about is None or contact.agent is None:
            return
        if contact.answered is not None and contact.agent == contact.first_agent:
            started = contact.answered  # one row for him, whatever he has put on hold meanwhile
        self.out.append(
            cmd.ConsultEnded(
                contact_id=contact.about,
                n=contact.about_n,
                agent_id=contact.agent,
                call_id=contact.contact_id.removeprefix(CONSULT),
                kind=CONSULTED,
                started=started,
                ended=ended,
            )
        )


def _add(contact: Contact, kind: SegmentKind, spent: int) -> None:
    """Add a part, of any kind but a talk, to the contact's sums."""
    if kind is _RING:
        contact.ring_us = Micros(contact.ring_us + spent)
    elif kind is _HOLD:
        contact.hold_us = Micros(contact.hold_us + spent)
    elif kind is _MENU:
        contact.menu_us = Micros(contact.menu_us + spent)
