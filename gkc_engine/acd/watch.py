"""Looks on while the core makes a step: told of each command at the moment it is decided.

The core writes down each decision before it carries it out, so at that moment its state is still
the one on which it was decided: the agent of an ``OfferContact`` is free, the others wait. That
is what an explanation needs, and what no look between two steps can give: one step may hold
several decisions. For replays and tests; nothing of the core knows of it.
"""

from __future__ import annotations

from collections.abc import Callable

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd import views, why
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import QueueSettings, Requirement, Settings
from gkc_engine.acd.state import Contact, ContactState
from gkc_engine.acd.timers import Kind
from gkc_engine.acd.world import World
from gkc_engine.ids import AgentId, ContactId, Instant


class Eyes:
    """Questions to the core at one moment of a step; the answers are copies."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def now(self) -> Instant:
        """The instant that is being handled; of a timer, its own."""
        return self._world.now

    @property
    def kind(self) -> Kind:
        """P5: what kind of event is being handled."""
        return self._world.kind

    @property
    def settings(self) -> Settings:
        """The config in force."""
        return self._world.settings

    def view(self, contact_id: ContactId) -> views.ContactView | None:
        """Return where a contact is; None if it is unknown or over."""
        return views.contact_view(self._world, contact_id)

    def queue_of(self, contact_id: ContactId) -> QueueSettings:
        """Return the rules of the queue that the contact stands in."""
        contact = self._contact(contact_id)
        assert contact.queue is not None
        return self._world.queues[contact.queue].settings

    def requirement(self, contact_id: ContactId) -> Requirement:
        """Return the requirement of the contact's present step."""
        contact = self._contact(contact_id)
        assert contact.queue is not None
        return dict(self._world.queues[contact.queue].steps[contact.step][1].need)

    def is_waiting(self, contact_id: ContactId) -> bool:
        """Return whether the contact waits in our hands and is not being offered."""
        contact = self._world.contacts.get(contact_id)
        return contact is not None and contact.state is ContactState.WAITING

    def idle_since(self, agent_id: AgentId) -> Instant:
        """Return when the agent last became ready."""
        return self._world.agents[agent_id].idle_since

    def candidates(self, contact_id: ContactId) -> tuple[why.Candidate, ...]:
        """Return every agent in config order, with what stands against each (P1)."""
        return why.candidates(self._world, self._contact(contact_id))

    def obstacles(self, contact_id: ContactId, agent_id: AgentId) -> tuple[why.Obstacle, ...]:
        """Return what stands between an agent and a contact."""
        agent = self._world.agents[agent_id]
        return why.obstacles(self._world, self._contact(contact_id), agent)

    def line_of(self, agent_id: AgentId, also: ContactId) -> tuple[why.Place, ...]:
        """Return what the agent could take, first first (P2); ``also`` is what he is offered."""
        agent = self._world.agents[agent_id]
        return why.line_of(self._world, agent, self._contact(also))

    def place(self, contact_id: ContactId, agent_id: AgentId | None = None) -> why.Place:
        """Return a contact's place by P2."""
        agent = self._world.agents[agent_id] if agent_id is not None else None
        return why.place(self._world, self._contact(contact_id), agent)

    def before(self, contact_id: ContactId) -> tuple[why.Place, ...]:
        """Return who stands before the contact."""
        return why.before(self._world, self._contact(contact_id))

    def _contact(self, contact_id: ContactId) -> Contact:
        return self._world.contacts[contact_id]


Listener = Callable[[cmd.Command, Eyes], None]


class _Heard(list[cmd.Command]):
    """The core's output list, which tells of each command as it is written."""

    def __init__(self, listener: Listener, eyes: Eyes) -> None:
        super().__init__()
        self._listener = listener
        self._eyes = eyes

    def append(self, command: cmd.Command) -> None:
        super().append(command)
        self._listener(command, self._eyes)


def step_watched(acd: Acd, event: ev.Event, now: Instant, listener: Listener) -> list[cmd.Command]:
    """Make a step as ``acd.step`` does, with ``listener`` told of each command in its order."""
    world = acd._world
    assert not world.out, world.out
    world.out = _Heard(listener, Eyes(world))
    return list(acd.step(event, now))
