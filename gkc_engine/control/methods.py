"""The table of methods of the control socket: parameters, rights, and what they do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from gkc_engine.acd.commands import (
    AgentState,
    Command,
    ContactQueued,
    EventRejected,
    TreatContact,
    WrapUpResult,
)
from gkc_engine.acd.events import (
    AgentLoggedIn,
    AgentLoggedOut,
    AgentPaused,
    AgentReady,
    EmergencyClosed,
    EmergencyOpened,
    Event,
    WrapUpCoded,
)
from gkc_engine.control.audit import Change
from gkc_engine.control.live import Backend, Row
from gkc_engine.control.pictures import Shared, snapshot, wall
from gkc_engine.control.protocol import ControlError, Json
from gkc_engine.control.server import Call, ControlServer
from gkc_engine.control.told_waits import accuracy_rows
from gkc_engine.control.views import agent_rows, contact_row, iso, queue_rows, waiting_rows
from gkc_engine.ids import SECOND, AgentId, Instant, QueueId

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Reason = Annotated[str, msgspec.Meta(max_length=64)]

LIMIT_MAX = 10_000
"""Contacts that one list may show."""

CLOSED_PROMPT = "emergency-closed"
MOVED_PROMPT = "emergency-moved"
"""Of the engine's own: all is closed; one queue is, and another takes its citizens."""

PAUSE_S_MAX = 31 * 24 * 3600.0
RELOAD_S = 60.0
"""A reload reads and checks a whole tree of files."""


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A method without parameters."""


class OfQueue(msgspec.Struct, forbid_unknown_fields=True):
    """All queues, or one."""

    queue: Name | None = None


class OfAgent(msgspec.Struct, forbid_unknown_fields=True):
    """All agents, or one."""

    agent: Name | None = None


class OneAgent(msgspec.Struct, forbid_unknown_fields=True):
    """One agent, and why."""

    agent: Name
    reason: Reason = ""


class Result(msgspec.Struct, forbid_unknown_fields=True):
    """One agent, and the code of what came of his contact."""

    agent: Name
    code: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Pause(msgspec.Struct, forbid_unknown_fields=True):
    """One agent, why, and for how long or until when (microseconds UTC)."""

    agent: Name
    reason: Reason = ""
    for_s: Annotated[float, msgspec.Meta(gt=0, le=PAUSE_S_MAX)] | None = None
    until_us: int | None = None


class ContactList(msgspec.Struct, forbid_unknown_fields=True):
    """Which contacts; ``since`` in microseconds UTC, ``citizen`` his number in any spelling."""

    since_us: int | None = None
    queue: Name | None = None
    citizen: Name | None = None
    direction: Literal["in", "out", "guest", "consult"] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)] = 50


class ToldWaits(msgspec.Struct, forbid_unknown_fields=True):
    """Contacts first queued from ``since`` on and before ``until``, microseconds UTC."""

    since_us: int
    until_us: int | None = None
    queue: Name | None = None


class OneContact(msgspec.Struct, forbid_unknown_fields=True):
    """One contact, by contact_id or registration number."""

    contact: Name
    reveal: bool = False


class CloseQueue(msgspec.Struct, forbid_unknown_fields=True):
    """Close one queue, or (``None``) all; ``to``: the queue that its citizens are led on to."""

    queue: Name | None
    reason: Reason = ""
    to: Name | None = None


class OpenQueue(msgspec.Struct, forbid_unknown_fields=True):
    """End the emergency closing of one queue, or (``None``) of all."""

    queue: Name | None


class Reload(msgspec.Struct, forbid_unknown_fields=True):
    """``force``: also when more than 30 % of queues or operators would go."""

    force: bool = False


class Methods:
    """Every method, over one backend."""

    def __init__(self, backend: Backend, version: str) -> None:
        self._backend = backend
        self._version = version
        self._shared = Shared(lambda: asyncio.get_running_loop().time())

    def register(self, server: ControlServer) -> None:
        """Enter the methods into the server's table."""
        server.method("engine.show", Nothing, self.engine_show)
        server.method("queue.show", OfQueue, self.queue_show)
        server.method("queue.waiting", OfQueue, self.queue_waiting)
        server.method("queue.close", CloseQueue, self.queue_close, changes=True)
        server.method("queue.open", OpenQueue, self.queue_open, changes=True)
        server.method("agent.show", OfAgent, self.agent_show)
        server.method("agent.login", OneAgent, self.agent_login, changes=True)
        server.method("agent.logout", OneAgent, self.agent_logout, changes=True)
        server.method("agent.pause", Pause, self.agent_pause, changes=True)
        server.method("agent.ready", OneAgent, self.agent_ready, changes=True)
        server.method("agent.result", Result, self.agent_result, changes=True)
        server.method("contact.list", ContactList, self.contact_list)
        server.method("contact.show", OneContact, self.contact_show)
        server.method("report.ewt", ToldWaits, self.report_ewt)
        server.method("core.reload", Reload, self.reload, changes=True, timeout_s=RELOAD_S)
        server.stream("watch", OfQueue, self.watch)
        server.stream("wall", Nothing, self.wall)

    async def engine_show(self, _params: Nothing, _call: Call) -> Json:
        """Return one row about the engine itself."""
        directory = self._backend.directory
        return [
            {
                "center": directory.center,
                "timezone": directory.timezone,
                "version": self._version,
                "pid": os.getpid(),
                "config": directory.config,
                "config_version": directory.config_version,
                "now": iso(self._backend.now()),
                **self._backend.health(),
            }
        ]

    async def queue_show(self, params: OfQueue, _call: Call) -> Json:
        """Return the queues."""
        return queue_rows(self._backend, params.queue)

    async def queue_waiting(self, params: OfQueue, _call: Call) -> Json:
        """Return the contacts in progress."""
        return waiting_rows(self._backend, params.queue)

    async def queue_close(self, params: CloseQueue, _call: Call) -> Change:
        """Close at once: who waits and who comes is told, and led on if that is said."""
        queue, to = self._queue(params.queue), self._queue(params.to)
        if to is not None and queue is None:
            raise ControlError("bad_params", "--to is for one queue: with all closed none is left")
        if to is not None and (to == queue or self._backend.closing(to) is not None):
            raise ControlError("refused", f"{to} is closed: who is led there would be sent away")
        say = CLOSED_PROMPT if queue is None else MOVED_PROMPT if to is not None else None
        event = EmergencyClosed(queue=queue, say=say, then_queue=to, reason=params.reason)
        return await self._closing(queue, event, {"reason": params.reason, "to": to})

    async def queue_open(self, params: OpenQueue, _call: Call) -> Change:
        """Take calls again; the hours of the calendar hold as before."""
        queue = self._queue(params.queue)
        if not any(closed == "emergency" for closed in self._closed(queue).values()):
            which = queue or "the center"
            raise ControlError("refused", f"{which} is not closed in an emergency")
        return await self._closing(queue, EmergencyOpened(queue=queue), {})

    async def _closing(self, queue: QueueId | None, event: Event, more: Row) -> Change:
        before = self._closed(queue)
        said = await self._backend.submit(event)
        refuse_rejected(said)
        told = sum(isinstance(c, TreatContact | ContactQueued) for c in said)
        rows = queue_rows(self._backend, queue)
        return Change(
            object="center" if queue is None else f"queue {queue}",
            before={"closed": before},
            after={"closed": self._closed(queue), "led_on": told, **more},
            result=[{**row, "led_on": told} for row in rows],
        )

    def _closed(self, queue: QueueId | None) -> Row:
        rows = queue_rows(self._backend, queue)
        return {str(row["queue"]): row["closed"] for row in rows if row["closed"] is not None}

    async def agent_show(self, params: OfAgent, _call: Call) -> Json:
        """Return the agents."""
        return agent_rows(self._backend, params.agent)

    async def watch(self, params: OfQueue, _call: Call) -> Json:
        """Return a snapshot; the server asks again each second."""
        queue = self._queue(params.queue)
        return self._shared.get(queue, lambda: snapshot(self._backend, queue))

    async def wall(self, _params: Nothing, _call: Call) -> Json:
        """Return what a wallboard shows; the server asks again each second."""
        return self._shared.get("", lambda: wall(self._backend))

    async def agent_login(self, params: OneAgent, _call: Call) -> Change:
        """Log an agent in."""
        event = AgentLoggedIn(agent_id=AgentId(params.agent), by="cli")
        return await self._agent(params.agent, event)

    async def agent_logout(self, params: OneAgent, _call: Call) -> Change:
        """Log an agent out; a talk in progress ends first."""
        event = AgentLoggedOut(agent_id=AgentId(params.agent), reason=params.reason or "cli")
        return await self._agent(params.agent, event)

    async def agent_pause(self, params: Pause, _call: Call) -> Change:
        """Make an agent not ready."""
        now = self._backend.now()
        until = None if params.until_us is None else Instant(params.until_us)
        if params.for_s is not None:
            if until is not None:
                raise ControlError("bad_params", "give --for or --until, not both")
            until = Instant(now + round(params.for_s * SECOND))
        if until is not None and until <= now:
            raise ControlError("bad_params", "the end of the pause is in the past")
        if until is not None and until - now > PAUSE_S_MAX * SECOND:
            raise ControlError("bad_params", "a pause lasts at most 31 days; log the agent out")
        self._refuse_offline(params.agent)
        event = AgentPaused(agent_id=AgentId(params.agent), reason=params.reason, until=until)
        return await self._agent(params.agent, event)

    async def agent_ready(self, params: OneAgent, _call: Call) -> Change:
        """End a pause, an automatic pause or wrap-up."""
        self._refuse_offline(params.agent)
        return await self._agent(params.agent, AgentReady(agent_id=AgentId(params.agent)))

    async def agent_result(self, params: Result, _call: Call) -> Change:
        """Put on record what came of an agent's present contact, or of his last one."""
        agent = params.agent
        self._refuse_offline(agent)
        said = await self._backend.submit(WrapUpCoded(agent_id=AgentId(agent), code=params.code))
        refuse_rejected(said)
        kept = [fact for fact in said if isinstance(fact, WrapUpResult)]
        if not kept:
            raise ControlError("refused", f"{agent} has had no contact yet to give a result of")
        return Change(
            object=f"agent {agent}",
            before=None,
            after={"contact": kept[0].contact_id, "code": params.code},
            result=agent_rows(self._backend, agent),
        )

    def _refuse_offline(self, agent: str) -> None:
        # The core passes over what a person who is not at work asks for; people should be told.
        if agent_rows(self._backend, agent)[0]["state"] == AgentState.OFFLINE.value:
            raise ControlError(
                "not_logged_in", f"{agent} is not logged in; `gkc agent login {agent}` comes first"
            )

    async def _agent(self, agent: str, event: Event) -> Change:
        before = agent_rows(self._backend, agent)
        said = await self._backend.submit(event)
        refuse_rejected(said)
        after = agent_rows(self._backend, agent)
        return Change(
            object=f"agent {agent}", before=_state(before), after=_state(after), result=after
        )

    def _queue(self, name: str | None) -> QueueId | None:
        queue = None if name is None else QueueId(name)
        if queue is not None and queue not in self._backend.directory.queues:
            queue_rows(self._backend, queue)  # Refuses with the names that there are.
        return queue

    async def report_ewt(self, params: ToldWaits, _call: Call) -> Json:
        """Return how good the waits were that citizens were told."""
        until = None if params.until_us is None else Instant(params.until_us)
        sums = await self._backend.told_waits(
            since=Instant(params.since_us), until=until, queue=self._queue(params.queue)
        )
        return accuracy_rows(sums)

    async def contact_list(self, params: ContactList, _call: Call) -> Json:
        """Return recent contacts, newest first; those in progress with their present state."""
        queue = self._queue(params.queue)
        since = None if params.since_us is None else Instant(params.since_us)
        rows = await self._backend.list_contacts(
            since=since,
            queue=queue,
            direction=params.direction,
            limit=params.limit,
            of=params.citizen,
        )
        return self._with_present(rows)

    def _with_present(self, rows: Sequence[Row]) -> list[Row]:
        now = self._backend.now()
        present = {contact.contact_id: contact for contact in self._backend.contacts()}
        merged: list[Row] = []
        for row in rows:
            contact = present.get(row["contact_id"])
            if contact is None or row.get("ended") is not None:
                merged.append(row)
                continue
            live = contact_row(contact, now)
            merged.append({**row, **{k: live[k] for k in ("state", "wait_s", "agent_id", "queue")}})
        return merged

    async def contact_show(self, params: OneContact, _call: Call) -> Json:
        """Return one contact with everything that is on record about it."""
        row = await self._backend.show_contact(params.contact, reveal=params.reveal)
        if row is None:
            raise ControlError("unknown_contact", f"no contact {params.contact!r}")
        rows = self._with_present([row])
        if not params.reveal:
            return rows
        return Change(
            object=f"contact {row['contact_id']}",
            before=None,
            after={"revealed": "citizen's number"},
            result=rows,
        )

    async def reload(self, params: Reload, call: Call) -> Change:
        """Apply the configuration as it is on disk now."""
        done = await self._backend.reload(force=params.force, author=call.actor)
        changes = [{"version": done.version, "previous": done.previous, "diff": list(done.diff)}]
        return Change(
            object="config",
            before={"version": done.previous},
            after={"version": done.version, "changes": len(done.diff), "force": params.force},
            result=changes,
        )


def refuse_rejected(said: Sequence[Command]) -> None:
    """Raise ControlError ``refused`` when the core rejected the event."""
    for command in said:
        if isinstance(command, EventRejected):
            raise ControlError("refused", command.reason)


def _state(rows: Sequence[Row]) -> Row:
    return {k: rows[0][k] for k in ("state", "reason", "until")} if rows else {}
