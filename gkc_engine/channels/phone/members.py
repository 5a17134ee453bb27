"""The native fallback queues know who is at work, always: when we die, they ring the right people.

Login, logout and pause go to Asterisk at once; after each reconnect the whole membership is
compared and put right. Telephony contract: "Members mirror reality".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from gkc_engine.acd.commands import AgentState, AgentStateChanged, SkillsInForce
from gkc_engine.acd.matchspace import serves
from gkc_engine.channels.phone.ami import AmiEvent
from gkc_engine.channels.phone.facts import FALLBACK_PREFIX
from gkc_engine.errors import PeerError
from gkc_engine.ids import AgentId

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

log = structlog.get_logger(__name__)


class Members:
    """Mirrors operators into ``app_queue``."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel
        self._said: dict[AgentId, tuple[bool, bool]] = {}
        """What Asterisk was told last: (at work, paused)."""
        self._in: dict[AgentId, list[str]] = {}
        """The queues that Asterisk was told last for each who is at work."""
        self._missing: frozenset[str] | None = None
        """Queues of ours that this Asterisk does not have: an administrator's own plan.

        ``None`` until Asterisk was asked for the first time.
        """

    def mirror(self, fact: AgentStateChanged) -> None:
        """Tell Asterisk if this change makes a difference there."""
        if self._missing is None:
            return  # `compare` is still to come, and tells everything
        at_work, paused = self._wanted(fact.agent_id)
        before = self._said.get(fact.agent_id, (False, False))
        if before == (at_work, paused):
            return
        self._said[fact.agent_id] = (at_work, paused)
        phone = self._channel.roster.by_agent.get(fact.agent_id)
        if phone is None:
            return
        stays = [queue for queue in self._in.get(fact.agent_id, []) if at_work and before[0]]
        self._move(fact.agent_id, phone.interface, at_work=at_work, paused=paused)
        if paused != before[1]:
            for queue in stays:
                if queue in self._in[fact.agent_id]:
                    self._pause(queue, phone.interface, paused=paused)

    def reskilled(self, fact: SkillsInForce) -> None:
        """Tell Asterisk which queues he serves from here on, as long as he is at work."""
        phone = self._channel.roster.by_agent.get(fact.agent_id)
        at_work, paused = self._said.get(fact.agent_id, (False, False))
        leaves = not self._wanted(fact.agent_id)[0]  # his state is about to tell
        if self._missing is not None and phone is not None and at_work and not leaves:
            self._move(fact.agent_id, phone.interface, at_work=True, paused=paused)

    def _move(self, agent_id: AgentId, interface: str, *, at_work: bool, paused: bool) -> None:
        """Let him be a member of the queues that are his now, and of no other."""
        before = self._in.get(agent_id, [])
        now = self._in[agent_id] = self._queues_of(agent_id) if at_work else []
        for queue in now:
            if queue not in before:
                self._add(queue, agent_id, interface, paused=paused)
        for queue in before:
            if queue not in now:
                self._channel.jobs.put("QueueRemove", Queue=queue, Interface=interface)

    def _queues_of(self, agent_id: AgentId) -> list[str]:
        plan, view = self._channel.plan, self._channel.engine.acd.agent_view(agent_id)
        queues = plan.members.get(agent_id, ())
        if view is not None and view.overrides:  # else the config says it all
            served = (q for q, needs in plan.needs.items() if serves(view.skills, needs))
            queues = (*queues[:1], *(plan.fallbacks[queue] for queue in served))
        return [queue for queue in queues if queue not in (self._missing or ())]

    def _learn_queues(self, known: set[str]) -> None:
        wanted = {queue for queues in self._channel.plan.members.values() for queue in queues}
        missing = frozenset(wanted - known)
        if missing and missing != self._missing:
            log.warning("fallback_queues_missing", queues=sorted(missing))
        self._missing = missing

    def _wanted(self, agent_id: AgentId) -> tuple[bool, bool]:
        """Return whether he is at work, and paused; a talk alone does not bring him to work."""
        view = self._channel.engine.acd.agent_view(agent_id)
        if view is None or not view.logged_in:
            return False, False
        return True, view.paused or view.state in (AgentState.NOT_READY, AgentState.FAULTY)

    def _add(self, queue: str, agent_id: AgentId, interface: str, *, paused: bool) -> None:
        self._channel.jobs.put(
            "QueueAdd",
            Queue=queue,
            Interface=interface,
            MemberName=agent_id,
            Paused="true" if paused else "false",
        )

    def _pause(self, queue: str, interface: str, *, paused: bool) -> None:
        """Never without the queue: that would be all of them, also those that are not ours."""
        self._channel.jobs.put(
            "QueuePause", Queue=queue, Interface=interface, Paused="true" if paused else "false"
        )

    async def reconcile(self) -> None:
        """Read Asterisk's members of our queues and put every difference right."""
        try:
            self.compare(await self._channel.ami.list_action("QueueStatus"))
        except PeerError as error:
            log.warning("members_unread", reason=str(error))

    def compare(self, rows: Sequence[AmiEvent]) -> None:
        """Put right where the members in ``rows`` of a QueueStatus differ from who is at work."""
        self._learn_queues({row.get("Queue") for row in rows})
        there = {
            (row.get("Queue"), row.get("Location") or row.get("StateInterface")): row.get("Paused")
            for row in rows
            if row.name == "QueueMember" and row.get("Queue").startswith(FALLBACK_PREFIX)
        }
        for agent_id, phone in self._channel.roster.by_agent.items():
            at_work, paused = self._wanted(agent_id)
            self._said[agent_id] = (at_work, paused)
            queues = self._queues_of(agent_id)
            self._in[agent_id] = queues if at_work else []
            for queue in queues:
                is_paused = there.pop((queue, phone.interface), None)
                if at_work and is_paused is None:
                    self._add(queue, agent_id, phone.interface, paused=paused)
                elif at_work and (is_paused == "1") is not paused:
                    self._pause(queue, phone.interface, paused=paused)
                elif not at_work and is_paused is not None:
                    self._channel.jobs.put("QueueRemove", Queue=queue, Interface=phone.interface)
        for queue, interface in there:
            self._channel.jobs.put("QueueRemove", Queue=queue, Interface=interface)
