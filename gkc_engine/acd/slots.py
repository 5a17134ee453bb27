"""What a slot is doing, in the words of the record."""

from __future__ import annotations

from gkc_engine.acd.commands import AgentState
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.state import Agent, Slot, Work
from gkc_engine.ids import Instant


def slot_state(agent: Agent, slot: Slot) -> tuple[AgentState, str, Instant | None]:
    """Return what a slot is doing, why, and until when if it ends by itself."""
    match slot.work:
        case Work.TALK:
            if slot.parked:
                return AgentState.HOLD, "parked", None
            return (AgentState.HOLD if slot.on_hold else AgentState.TALK), "", None
        case Work.OFFER:
            return (AgentState.RINGING if slot.ringing else AgentState.RESERVED), "", None
        case Work.WRAP_UP:
            return AgentState.WRAP_UP, "", slot.until
        case Work.FREE:
            return _free_slot_state(agent, slot)


def _free_slot_state(agent: Agent, slot: Slot) -> tuple[AgentState, str, Instant | None]:
    if slot.medium is Medium.VOICE and agent.calls:
        return AgentState.TALK, next(reversed(agent.calls.values())), None
    if not agent.logged_in:
        return AgentState.OFFLINE, "", None
    if not agent.reachable:
        return AgentState.FAULTY, "unreachable", None
    if agent.paused:
        return AgentState.NOT_READY, agent.pause_reason, agent.pause_until
    if slot.medium is Medium.VOICE and agent.in_use:
        return AgentState.NOT_READY, "in_use", None
    return AgentState.READY, agent.rest_reason, agent.rest_until
