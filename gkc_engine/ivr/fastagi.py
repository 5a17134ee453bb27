"""FastAGI server: one socket per held caller, and the socket is the lease (telephony.md).

When our side closes, Asterisk goes on with the dialplan by itself within milliseconds. So every
failure here (a bug in the handler, a flood, a limit) ends in closing, never in silence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from gkc_engine.endings import end_tasks, stop_listening
from gkc_engine.ivr.agi_protocol import MAX_HEADER, AgiReply, AgiRequest
from gkc_engine.ivr.agi_session import (
    LEASE_MARGIN_S,
    AgiClosed,
    AgiSession,
    DataResult,
    StreamResult,
)

__all__ = [
    "LEASE_MARGIN_S",
    "AgiClosed",
    "AgiReply",
    "AgiRequest",
    "AgiServer",
    "AgiSession",
    "DataResult",
    "StreamResult",
]

_log: Final = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""How often it is looked whether a reply is overdue."""

Handler = Callable[[AgiSession], Awaitable[None]]


class AgiServer:
    """Listens for Asterisk and runs ``handler`` once per connection."""

    def __init__(
        self,
        handler: Handler,
        host: str,
        port: int,
        *,
        backlog: int = 1024,
        header_timeout: float = 5.0,
        max_header: int = MAX_HEADER,
        max_sessions: int = 4000,
    ) -> None:
        self.header_timeout = header_timeout
        self.max_header = max_header
        self.refused_total = 0
        """Connections closed because ``max_sessions`` were open."""
        self.bad_total = 0
        """Connections closed because they spoke no AGI, or a caller had written in the header."""
        self.failed_total = 0
        """Handlers that raised; their callers went on to the fallback."""
        self._handler = handler
        self._host = host
        self._port = port
        self._backlog = backlog
        self._max_sessions = max_sessions
        self._sessions: set[AgiSession] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._clock: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        """The port listened on (the real one when 0 was asked for)."""
        if self._server is None or not self._server.sockets:
            return self._port
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def sessions(self) -> int:
        """Open connections."""
        return len(self._sessions)

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken or not ours.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: AgiSession(self), self._host, self._port, backlog=self._backlog
        )
        self._look_at_clock()

    async def stop(self) -> None:
        """Stop listening, cancel the handlers, close the sockets: callers go to the fallback."""
        if self._clock is not None:
            self._clock.cancel()
        if self._server is not None:
            await stop_listening(self._server)
        tasks = list(self._tasks)
        await end_tasks(tasks)
        sessions = list(self._sessions)
        for session in sessions:
            session.close()
        for session in sessions:
            await session.closed.wait()

    def look_at_clock(self, now: float) -> None:
        """Close every socket on which Asterisk owes a reply for too long (loop time, s)."""
        for session in tuple(self._sessions):
            session.look_at_clock(now)

    def _look_at_clock(self) -> None:
        loop = asyncio.get_running_loop()
        self.look_at_clock(loop.time())
        self._clock = loop.call_later(LOOK_S, self._look_at_clock)

    # --- for AgiSession

    def admit(self, session: AgiSession) -> bool:
        """Take a new connection, unless there are too many."""
        if len(self._sessions) >= self._max_sessions:
            self.refused_total += 1
            return False
        self._sessions.add(session)
        return True

    def forget(self, session: AgiSession) -> None:
        """A connection is closed."""
        self._sessions.discard(session)

    def run(self, session: AgiSession) -> None:
        """Run the handler of a connection whose header is complete."""
        task = asyncio.get_running_loop().create_task(self._run(session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, session: AgiSession) -> None:
        try:
            await self._handler(session)
        except AgiClosed:
            _log.debug("AGI session ended by its socket")
        except Exception:
            self.failed_total += 1
            _log.exception("AGI handler failed, the caller goes to the fallback")
        finally:
            session.close()
