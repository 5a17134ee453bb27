"""What a center could do for others, and who stands in its lines: views for ``federation``.

What a center can do costs as much as it has idle agents and queues, however many contacts wait.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from gkc_engine.acd.contacts import IN_LINE
from gkc_engine.acd.settings import ContactClass, Medium
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.world import World
from gkc_engine.ids import ContactId, Instant, Micros, QueueId


class Capacity(NamedTuple):
    """One queue at this instant."""

    queue: QueueId
    open: bool
    waiting: int
    """Contacts waiting, offered and detached."""
    ready: int
    """Agents to whom one who comes now could be offered at once."""
    at_work: int
    """Agents who are logged in and could take one who comes now, whatever they do just now."""
    staffed_elsewhere: bool
    """As last told by ``StaffedElsewhere``."""


class InLine(NamedTuple):
    """A contact that stands in a queue."""

    contact_id: ContactId
    queue: QueueId
    enqueued: Instant
    sequence: int
    contact_class: ContactClass
    head_start_us: Micros
    waits: bool
    """Neither offered nor detached."""


def capacities(world: World, medium: Medium) -> list[Capacity]:
    """Return the queues of a medium, in config order, removed ones that still drain last."""
    idle = Counter(agent.profile for agent in world.space.idle[medium].agents.values())
    found = []
    for queue_id, queue in world.queues.items():
        if queue.settings.medium is not medium:
            continue
        status, able = queue.status, queue.steps[0][1].met_by
        ready = sum(n for profile, n in idle.items() if profile in able)
        is_open = status.open and status.emergency is None and not status.draining
        at_work = sum(p.logged_in.get(medium, 0) for p in queue.steps[0][1].profiles)
        found.append(
            Capacity(queue_id, is_open, queue.count, ready, at_work, status.staffed_elsewhere)
        )
    return found


def at_work(world: World, medium: Medium) -> int:
    """Return how many agents are logged in for a medium, whatever they do."""
    return sum(profile.logged_in.get(medium, 0) for profile in world.space.profiles)


def in_line(world: World, medium: Medium) -> list[InLine]:
    """Return the center's own contacts that stand in queues of a medium.

    Guests are none, nor are calls for advice, which end with their engine.
    """
    found = []
    for contact in world.contacts.values():
        if contact.state not in IN_LINE or contact.owner is not None or contact.consult:
            continue
        if contact.queue is None or contact.enqueued is None or contact.medium is not medium:
            continue
        contact_class, head_start_us, _ = world.precedence(contact)
        found.append(
            InLine(
                contact.contact_id,
                contact.queue,
                contact.enqueued,
                contact.sequence,
                contact_class,
                head_start_us,
                contact.state is ContactState.WAITING,
            )
        )
    return found


def guests(world: World) -> list[ContactId]:
    """Return the other centers' contacts that are here."""
    return [c.contact_id for c in world.contacts.values() if c.owner is not None]
