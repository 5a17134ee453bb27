"""P7: a contact reserved for one agent for a while, the one who served the citizen last."""

from __future__ import annotations

from gkc_engine.acd.matching import barred
from gkc_engine.acd.state import Contact
from gkc_engine.acd.world import World
from gkc_engine.ids import AgentId


def keep_preference(world: World, contact: Contact) -> None:
    """End the contact's preference unless its agent may still take it (P7)."""
    agent_id = contact.prefer_agent
    if agent_id is not None and not may_prefer(world, contact, agent_id):
        drop_preference(world, contact)


def may_prefer(world: World, contact: Contact, agent_id: AgentId) -> bool:
    """Return whether the agent is at work, not paused, and meets the present step."""
    assert contact.queue is not None
    agent = world.agents.get(agent_id)
    if agent is None or not agent.logged_in or agent.paused:
        return False
    queue = world.queues[contact.queue]
    req, medium = queue.steps[contact.step][1], contact.medium
    return (
        medium in agent.capacity
        and agent.profile in req.met_by
        and agent_id not in barred(contact, req, medium)
    )


def drop_preference(world: World, contact: Contact) -> None:
    """From now on anybody may take the contact; the caller applies P1."""
    assert contact.prefer_agent is not None
    mine = world.preferring[contact.prefer_agent]
    mine.pop(contact.contact_id, None)
    if not mine:
        del world.preferring[contact.prefer_agent]
    contact.prefer_agent = contact.prefer_until = None
