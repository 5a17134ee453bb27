"""The AMI link: comes back by itself, says why it is away, forgets nothing and repeats nothing."""

from __future__ import annotations

import asyncio
import logging
import random
from asyncio import FIRST_COMPLETED
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gkc_engine.channels.phone.ami_guard import MAX_ROWS, GuardedManager, Message, headers_of
from gkc_engine.channels.phone.ami_messages import (
    AmiDown,
    AmiEvent,
    AmiRefused,
    AmiReply,
    AmiTimeout,
    AmiTooBroad,
    FieldValue,
    action_fields,
    broad_rights,
)
from gkc_engine.endings import end_tasks
from gkc_engine.errors import PeerError
from gkc_engine.escape import clean_ami, printable

__all__ = ["AmiDown", "AmiEvent", "AmiLink", "AmiRefused", "AmiReply", "AmiTimeout", "AmiTooBroad"]

_log: Final = logging.getLogger(__name__)

CONNECT_S: Final = 5.0
"""For the TCP connection and, again, for the reply to Login."""

UP_S: Final = 30.0
"""For FullyBooted after Login and, again, for ``on_up``."""

BATCH: Final = 100
"""Events handed over before others on the loop get their turn."""


def _advice(refusal: str) -> str:
    if "in use" in refusal.lower():
        return (
            "another engine is logged in, or Asterisk has not noticed yet that our last link broke"
        )
    return "compare user and secret with manager.conf, and its permit="


class _Inbox:
    """The bounded, ordered queue between the socket and ``on_event``."""

    def __init__(self, limit: int, deliver: Callable[[AmiEvent], None]) -> None:
        self.overflowed = False
        self._limit = limit
        self._deliver = deliver
        self._events: deque[AmiEvent] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._consumer: asyncio.Task[None] | None = None

    def put(self, event: AmiEvent) -> bool:
        """Queue one event; false when there are too many and the link must be dropped."""
        if len(self._events) >= self._limit:
            self.overflowed = True
            self._events.clear()  # the resync after the next login replaces them
        if self.overflowed:
            return False
        self._events.append(event)
        self._wake.set()
        return True

    def start(self) -> None:
        """Begin to deliver, what has already come first."""
        self._consumer = asyncio.create_task(self._consume(), name="ami-events")

    async def finish(self) -> None:
        """Deliver what is left, if delivery ever began."""
        self._closed = True
        self._wake.set()
        if self._consumer is not None:
            await self._consumer

    def cancel(self) -> None:
        """Deliver nothing more."""
        if self._consumer is not None:
            self._consumer.cancel()

    async def _consume(self) -> None:
        while self._events or not self._closed:
            await self._wake.wait()
            for _ in range(min(BATCH, len(self._events))):
                self._deliver(self._events.popleft())
            if not self._events and not self._closed:
                self._wake.clear()
            await asyncio.sleep(0)


class AmiLink:
    """A link to Asterisk's manager that comes back by itself.

    ``on_event`` gets every event in the order of the wire. ``on_up`` runs after each login, when
    Asterisk is fully booted, and does the full resync; events that arrive meanwhile are delivered
    after it, so that a list never overwrites what is newer. When it fails, the link is dropped
    and tried again. ``on_down`` is told, at once, why the link is away: when it goes and whenever
    the reason changes. Events received before that are still delivered.
    """

    def __init__(
        self,
        host: str,
        port: int,
        user: str,
        secret: str,
        *,
        on_event: Callable[[AmiEvent], None],
        on_up: Callable[[], Awaitable[None]],
        on_down: Callable[[str], None],
        ping_every: float = 2.0,
        ping_timeout: float = 2.0,
        queue_max: int = 50_000,
        retry_first: float = 0.5,
        retry_max: float = 5.0,
        allow_broad: bool = False,
    ) -> None:
        self.up = False
        """Whether actions can be sent: from login until the link is lost."""
        self.problem = "not started"
        """Why the link is away; empty while it is up."""
        self.events_total = 0
        self.failed_total = 0
        """Events on which ``on_event`` raised."""
        self.bad_frames_total = 0
        self.overflow_total = 0
        """Links dropped because ``queue_max`` events waited."""
        self.connects_total = 0
        self._place = f"{host}:{port}"
        self._config: dict[str, Any] = {
            "host": host,
            "port": port,
            "username": clean_ami(user),
            "secret": clean_ami(secret),
        }
        self._on_event = on_event
        self._on_up = on_up
        self._on_down = on_down
        self._ping_every = ping_every
        self._ping_timeout = ping_timeout
        self._queue_max = queue_max
        self._retry_first = retry_first
        self._retry_max = retry_max
        self._allow_broad = allow_broad
        self._manager: GuardedManager | None = None
        self._task: asyncio.Task[None] | None = None
        self._open = False  # logged in: actions can be sent, though `up` comes later

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        self._task = asyncio.create_task(self._run(), name="ami-link")

    async def stop(self) -> None:
        """Close the link; neither ``on_down`` nor any other callback runs after it."""
        if self._task is not None:
            await end_tasks([self._task])
        self.up, self.problem = False, "stopped"

    async def action(
        self,
        name: str,
        /,
        *,
        timeout: float = 5.0,  # noqa: ASYNC109 - a limit on the reply, no cancel scope
        **fields: FieldValue,
    ) -> AmiReply:
        """Send one action and return its reply. Nothing is queued and nothing is sent twice.

        Raises:
            AmiDown: no link, or it broke before the reply.
            AmiTimeout: no reply in time.
            AmiRefused: Asterisk said no.
        """
        replies = await self._send(name, fields, timeout, as_list=False)
        return AmiReply(headers_of(replies[0]))

    async def list_action(
        self,
        name: str,
        /,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109 - as above
        **fields: FieldValue,
    ) -> list[AmiEvent]:
        """Return the rows of an action that answers with a list, without its closing event.

        Raises: as `action`.
        """
        replies = await self._send(name, fields, timeout, as_list=True)
        rows = replies[1:-1] if len(replies) <= MAX_ROWS else replies[1:]
        return [AmiEvent(headers_of(row)) for row in rows]

    async def _send(
        self, name: str, fields: dict[str, FieldValue], limit_s: float, *, as_list: bool
    ) -> list[Message]:
        lines = action_fields(name, fields)
        manager = self._manager
        if manager is None or not self._open or manager.protocol.lost.done():
            raise AmiDown(f"AMI {name}: no link to {self._place} ({self.problem})")
        try:
            async with asyncio.timeout(limit_s):
                replies = await manager.ask(lines, as_list=as_list)
        except TimeoutError:
            raise AmiTimeout(f"AMI {name}: no reply within {limit_s:g} s") from None
        if not replies:
            raise AmiDown(f"AMI {name}: the link broke before the reply")
        reply = AmiReply(headers_of(replies[0]))
        if not reply.ok:
            raise AmiRefused(f"AMI {name}: {reply.message}")
        return replies

    # --- the life of the link

    async def _run(self) -> None:
        tries = 0
        while True:
            inbox = _Inbox(self._queue_max, self._deliver)
            manager = self._manager = self._new_manager(inbox)
            was_up = False
            try:
                reason = await self._session(manager, inbox)
            except asyncio.CancelledError:
                inbox.cancel()
                raise
            finally:
                was_up, self.up, self._open = self.up, False, False
                manager.close()
            self._count(manager, inbox)
            self._tell_down(reason, was_up=was_up)
            await inbox.finish()
            tries = 0 if was_up else tries + 1
            pause = min(self._retry_max, self._retry_first * 2 ** min(tries, 10))
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    def _new_manager(self, inbox: _Inbox) -> GuardedManager:
        return GuardedManager(inbox.put, **self._config, loop=asyncio.get_running_loop())

    async def _session(self, manager: GuardedManager, inbox: _Inbox) -> str:
        """One connection from beginning to end; return why it ended."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await manager.connect()
            self.connects_total += 1
            await self._login(manager)
            self._open = True
            await self._check_rights()
            no_boot = "no FullyBooted event: the AMI user needs read=system"
            await self._while_linked(manager, manager.booted, UP_S, no_boot)
            self.up, self.problem = True, ""
            resync = asyncio.ensure_future(self._on_up())
            await self._while_linked(manager, resync, UP_S, "the resync took too long")
            inbox.start()
            return await self._watch(manager)
        except (OSError, TimeoutError, PeerError) as error:
            return str(error) or f"{self._place}: {type(error).__name__}"
        except Exception as error:
            _log.exception("AMI on_up failed, the link is dropped")
            return f"the resync failed: {error!r}"

    async def _login(self, manager: GuardedManager) -> None:
        late = f"no reply to Login from {self._place} within {CONNECT_S:g} s: is it Asterisk?"
        login = manager.authenticated_future
        await self._while_linked(manager, login, CONNECT_S, late)
        reply = AmiReply(headers_of(login.result()))
        if not reply.ok:
            raise AmiRefused(
                f"AMI login of user {self._config['username']} at {self._place} refused"
                f" ({reply.message}): {_advice(reply.message)}"
            )

    async def _check_rights(self) -> None:
        if self._allow_broad:
            return
        (reply,) = await self._send("ListCommands", {}, CONNECT_S, as_list=False)
        lines = (value for value in reply.values() if isinstance(value, str))
        if broad := broad_rights(lines):
            raise AmiTooBroad(
                f"AMI user {self._config['username']} has write={','.join(sorted(broad))}: take it"
                " out of manager.conf, or set pbx.ami.allow_broad: true"
            )

    async def _while_linked(
        self, manager: GuardedManager, wanted: asyncio.Future[Any], limit_s: float, late: str
    ) -> None:
        """Wait for ``wanted``, but no longer than the link lives or ``limit_s``."""
        lost = manager.protocol.lost
        try:
            await asyncio.wait({wanted, lost}, timeout=limit_s, return_when=FIRST_COMPLETED)
        finally:
            if not wanted.done():
                wanted.cancel()
        if lost.done():
            raise AmiDown(lost.result())
        if not wanted.done() or wanted.cancelled():
            raise AmiDown(late)
        wanted.result()

    async def _watch(self, manager: GuardedManager) -> str:
        """Ping until the link is lost; return why it was."""
        protocol = manager.protocol
        while True:
            await asyncio.wait({protocol.lost}, timeout=self._ping_every)
            if protocol.lost.done():
                return str(protocol.lost.result())
            received = protocol.received
            try:
                await self._send("Ping", {}, self._ping_timeout, as_list=False)
            except AmiTimeout:
                # Asterisk answers in order: while a long list or a burst comes, it is alive.
                if protocol.received == received:
                    return f"no answer to Ping within {self._ping_timeout:g} s"
            except AmiDown:
                continue

    # --- callbacks

    def _deliver(self, event: AmiEvent) -> None:
        self.events_total += 1
        try:
            self._on_event(event)
        except Exception:
            self.failed_total += 1
            _log.exception("AMI event %s was not handled", printable(event.name))

    def _tell_down(self, reason: str, *, was_up: bool) -> None:
        if not was_up and reason == self.problem:
            return
        self.problem = reason
        _log.warning("AMI link to %s is down: %s", self._place, printable(reason, 400))
        try:
            self._on_down(reason)
        except Exception:
            _log.exception("AMI on_down failed")

    def _count(self, manager: GuardedManager, inbox: _Inbox) -> None:
        self.overflow_total += inbox.overflowed
        if manager.protocol is not None:
            self.bad_frames_total += manager.protocol.bad_frames
