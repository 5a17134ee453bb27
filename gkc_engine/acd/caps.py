"""How many calls outside may be made: of one agent within the hour, of the center at a time."""

from __future__ import annotations

from typing import Final

from gkc_engine.acd.state import Agent, Contact
from gkc_engine.acd.world import World
from gkc_engine.ids import SECOND, Micros

HOUR_US: Final = Micros(3600 * SECOND)
"""Of ``per_operator_hour``: the hour that ends now."""

OPERATOR_CAP, CENTER_CAP = "operator_cap", "center_cap"
"""Reasons of ``barred`` that the core finds by itself."""


def over_cap(world: World, agent: Agent) -> str:
    """Return which cap one more call outside of the agent's would break; empty: none."""
    caps = world.settings.outbound
    agent.dialled = tuple(at for at in agent.dialled if at > world.now - HOUR_US)
    if len(agent.dialled) >= caps.per_operator_hour:
        return OPERATOR_CAP
    return CENTER_CAP if len(world.outbound) >= caps.concurrent else ""


def count(world: World, contact: Contact, agent: Agent) -> None:
    """Count a call outside: as the agent's within the hour, and as one that is on the line."""
    agent.dialled = (*agent.dialled, world.now)
    world.outbound.add(contact.contact_id)
