"""The nouns that everything shares. Lowest layer: imports nothing of ours."""

from __future__ import annotations

from typing import NewType

Instant = NewType("Instant", int)
"""Microseconds since 1970-01-01 UTC, never decreasing within one engine run."""

Micros = NewType("Micros", int)
"""A duration in microseconds."""

ContactId = NewType("ContactId", str)
"""UUIDv7 text, made by the adapter that saw the contact first; the same for ever."""

CONSULT = "consult:"
"""So begins the id of an operator's call for advice that stands in a queue: no contact, no row."""

OfferId = NewType("OfferId", int)
"""Counts up within one center's ledger, over restarts."""

AgentId = NewType("AgentId", str)
"""The key under ``operators:`` in the config."""

ABROAD = ":"
"""Between a center and what is its own: ``sever:115`` is operator 115 of ``sever``."""

OWN = "/"
"""In the city's store, between a center and what is its own: ``sever/115`` in the rows of ``sever``
itself. It is in no name of a config. The owner of a contact that he served has ``sever:115``."""

QueueId = NewType("QueueId", str)
"""The key under ``queues:`` in the config."""

SkillId = NewType("SkillId", str)
"""The key under ``skills:`` in the config."""

SECOND = 1_000_000
"""Microseconds in a second."""

FOREVER = Instant(2**63 - 1)
"""Later than any instant; stored in 64 bits."""


def abroad(center: str, agent_id: str) -> AgentId:
    """Return the name by which another center's operator stands in our records."""
    return AgentId(f"{center}{ABROAD}{agent_id}")


def is_abroad(agent_id: AgentId) -> bool:
    """Return whether it names an operator of another center."""
    return ABROAD in agent_id


def seconds(value: float) -> Micros:
    """Return ``value`` seconds as whole microseconds."""
    return Micros(round(value * SECOND))
