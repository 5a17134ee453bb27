"""How long contacts were wrapped up, counted with each contact once it is over. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gkc_engine.acd.commands import AgentState, AgentStateChanged
from gkc_engine.ids import AgentId, ContactId, Instant
from gkc_engine.statistics.counting import Ended


@dataclass(slots=True)
class _Of:
    """One contact's wrap-ups: after a transfer there are several."""

    done_us: int = 0
    open: int = 0
    over: bool = False
    """The contact has ended; a wrap-up of it has not."""
    ended: Ended | None = None
    """How it ended; ``None`` also for one that never stood in a queue."""


class WrapUps:
    """Holds only contacts in progress that had a wrap-up, and wrap-ups in progress."""

    def __init__(self) -> None:
        self._slots: dict[tuple[AgentId, int], tuple[ContactId, Instant]] = {}
        self._of: dict[ContactId, _Of] = {}

    def changed(self, fact: AgentStateChanged) -> tuple[Ended, int] | None:
        """Take a slot's new state; return the wrap-up that this ends, if its contact is over."""
        slot = (fact.agent_id, fact.slot)
        before = self._slots.pop(slot, None)
        if fact.state is AgentState.WRAP_UP and fact.contact_id is not None:
            self._slots[slot] = (fact.contact_id, fact.since)
            self._of.setdefault(fact.contact_id, _Of()).open += 1
        if before is None:
            return None
        contact_id, since = before
        of = self._of[contact_id]
        of.open -= 1
        took = fact.since - since
        if not of.over:
            of.done_us += took
            return None
        if not of.open:
            del self._of[contact_id]
        return None if of.ended is None else (of.ended, took)

    def ended(self, contact_id: ContactId, ended: Ended | None) -> int:
        """Take the end of a contact; return the wrap-up so far, in microseconds."""
        of = self._of.get(contact_id)
        if of is None:
            return 0
        of.over, of.ended = True, ended
        if not of.open:
            del self._of[contact_id]
        return of.done_us
