"""What a slot is doing, in the words of the record."""

from __future__ import annotations

from gkc_engine.acd.commands import AgentState
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.state import Agent, Slot, Work
from gkc_engine.ids import Instant

# Of what every step asks for: a member of an enum costs a look-up in its class.
_FREE, _OFFER, _TALK = Work.FREE, Work.OFFER, Work.TALK
RESERVED = (AgentState.RESERVED, "", None)
_IS_RINGING = (AgentState.RINGING, "", None)
TALKS = (AgentState.TALK, "", None)
IS_READY = AgentState.READY
DIALS = (AgentState.TALK, "dialling", None)
"""He calls outside: that is handling, answered or not."""


def slot_state(agent: Agent, slot: Slot) -> tuple[AgentState, str, Instant | None]:
    """Return what a slot is doing, why, and until when if it ends by itself."""
    work = slot.work
    if work is _FREE:
        return _free_slot_state(agent, slot)
    if work is _OFFER:
        return _IS_RINGING if slot.ringing else RESERVED
    if work is _TALK:
        if slot.parked:
            return AgentState.HOLD, "parked", None
        if slot.ringing:
            return DIALS
        return (AgentState.HOLD, "", None) if slot.on_hold else TALKS
    return AgentState.WRAP_UP, "", slot.until


def _free_slot_state(agent: Agent, slot: Slot) -> tuple[AgentState, str, Instant | None]:
    if agent.calls and slot.medium is Medium.VOICE:
        return AgentState.TALK, [*agent.calls.values()][-1], None
    if not agent.logged_in:
        return AgentState.OFFLINE, "", None
    if not agent.reachable:
        return AgentState.FAULTY, "unreachable", None
    if agent.paused:
        return AgentState.NOT_READY, agent.pause_reason, agent.pause_until
    if agent.in_use and slot.medium is Medium.VOICE:
        return AgentState.NOT_READY, "in_use", None
    return IS_READY, agent.rest_reason, agent.rest_until
