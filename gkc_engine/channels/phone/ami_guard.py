"""panoramisk's ``Manager`` with its traps closed. Nothing else may import panoramisk.

What the bare Manager 1.4 does, and what stands against it (each has a test that fails with the
bare one):

====  =================================================  ======================================
B1    drops a letter whose bytes two TCP chunks share    bytes are kept until a frame is whole
B2    an exception in a callback closes the link         one queue, one consumer, nothing escapes
B3    ``Originate`` without ``Async`` closes the link    ``Async: true`` is always added
B4    repeats unanswered actions after a reconnect       a new Manager for each connection
B5    checks no Ping, waits for ever for a reply         own ping, a time limit on every action
B7    keeps actions sent while down, sends them later    refused at once while down
N1    ``QueueAdd``: its reply never completes            completed by what was asked for
N2    swallows ``OriginateResponse``                     it is an event like any other
N3    a refused list action never completes              a refusal completes it
N4    peer accepts and closes at once: no reconnect      our own loop reconnects
N5    text that cannot be encoded: waits for ever        `clean_ami` makes it encodable
N6    a header that came twice may close the link        a bad frame is counted and left out
N7    rows of a list we gave up arrive as events         dropped by their ActionID
N8    a frame without an end grows without limit         `MAX_FRAME`
N9    takes four times as long for an event as need be   cut by `event_of`
N10   believes headers that a caller's number made       `ForgedEvent`
====  =================================================  ======================================
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from panoramisk import Manager
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.message import Message

from gkc_engine.channels.phone.ami_messages import AmiEvent, ForgedEvent, Headers, event_of
from gkc_engine.escape import printable, wire_text

__all__ = ["MAX_FRAME", "MAX_ROWS", "GuardedManager", "Message", "headers_of"]

_log: Final = logging.getLogger(__name__)

MAX_FRAME: Final = 1024 * 1024
"""Bytes of one event or reply; the longest known, ListCommands, has about 12 KiB."""

MAX_ROWS: Final = 100_000
"""Rows of one list action."""

_END: Final = b"\r\n\r\n"
_OWN_IDS: Final = "action/"  # how panoramisk's IdGenerator begins every ActionID


def headers_of(message: Message | AmiEvent) -> Headers:
    """Return a message as a plain dict with lower-case names."""
    if isinstance(message, AmiEvent):
        return message.headers
    pairs = ((key.lower(), value) for key, value in message.items())
    return {key: value for key, value in pairs if key != "content"}  # panoramisk's own


class _Action(Action):  # type: ignore[misc]
    """Complete when what was asked for is there: one reply, or a list with its end."""

    def add_row(self, row: AmiEvent) -> bool:
        """Take a row of a list; return whether it is one, and not the end of it."""
        last = row.get("EventList").lower() == "complete" or row.name.endswith("Complete")
        if not self.as_list or last or len(self.responses) >= MAX_ROWS:
            return False
        self.responses.append(row)
        return True

    def add_message(self, message: Message) -> bool:
        """Take one reply or row; return whether nothing more is expected."""
        self.responses.append(message)
        refused = "response" in message and message.response != "Success"
        last = str(message.eventlist).lower() == "complete" or message.event.endswith("Complete")
        if self.as_list and not refused and not last:
            if len(self.responses) <= MAX_ROWS:
                return False
            _log.error("AMI %s: more than %d rows, the rest is ignored", self["Action"], MAX_ROWS)
        if not self.future.done():
            self.future.set_result(self.responses)
        return True


class GuardedProtocol(AMIProtocol):  # type: ignore[misc]
    """Frames cut from bytes; replies to their actions, events to the link."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.encoding = "utf-8"
        self.received = 0
        self.bad_frames = 0
        self._bytes = bytearray()

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._bytes += data
        end = self._bytes.rfind(_END)
        if end >= 0:
            frames = bytes(self._bytes[:end]).split(_END)
            del self._bytes[: end + len(_END)]
            for frame in frames:
                self._frame(frame)
        if len(self._bytes) > MAX_FRAME:
            self.drop(f"a frame longer than {MAX_FRAME} bytes")

    def _frame(self, frame: bytes) -> None:
        try:
            text = wire_text(frame).strip("\r\n")
            event = event_of(text)
            if event is None or not self._taken(event):
                message = Message.from_line(text)
                if message is not None:
                    self.handle_message(message)
        except ForgedEvent as error:
            self.bad_frames += 1
            _log.warning("AMI event left out: %s", printable(str(error), 80))
        except Exception:
            self.bad_frames += 1
            _log.exception("AMI frame left out: %s", printable(frame))

    def _taken(self, event: AmiEvent) -> bool:
        """Take an event that answers nothing, or a row; what ends an action is panoramisk's."""
        if not event.bears("ActionID"):
            self._event(event)
            return True
        action = self.responses.get(event.get("ActionID"))
        ours = isinstance(action, _Action) and event.name != "OriginateResponse"
        return ours and action.add_row(event)

    def handle_message(self, message: Message) -> None:
        action = self.responses.get(message.action_id)
        if action is not None and message.event != "OriginateResponse":
            if action.add_message(message):
                self.responses.pop(action.id, None)
        elif "event" in message:
            if not isinstance(message.event, str):
                raise TypeError("an event with two names")
            if message.event == "OriginateResponse" or not message.actionid.startswith(_OWN_IDS):
                self._event(AmiEvent(headers_of(message)))

    def _event(self, event: AmiEvent) -> None:
        self.factory.dispatch(event)
        if event.name == "Shutdown":
            self.drop("Asterisk shuts down")

    def drop(self, why: str) -> None:
        """End the link for a reason of ours, without waiting for the peer."""
        if not self.lost.done():
            self.lost.set_result(why)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(f"connection lost: {exc or 'closed by Asterisk'}")
        self.close()

    def close(self) -> None:
        """Fail what waits for replies: nothing is kept for a later connection."""
        for action in self.responses.values():
            if not action.future.done():
                action.future.set_result([])
        self.responses.clear()
        self.closed = True
        self.transport.abort()


class GuardedManager(Manager):  # type: ignore[misc]
    """One connection's Manager: it connects and logs in; all else is the link's business."""

    def __init__(self, put: Callable[[AmiEvent], bool], **config: object) -> None:
        super().__init__(protocol_factory=GuardedProtocol, log=_log, **config)
        self._put = put
        self.booted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, f: asyncio.Task[Any]) -> None:
        """Log in; a failed connect is the caller's to see, not ours to repeat."""
        if not f.cancelled() and f.exception() is None:
            super().connection_made(f)

    def login(self, future: asyncio.Future[Any]) -> bool:
        """Note the reply to Login; without one the link broke, which `connection_lost` tells."""
        if future.cancelled() or isinstance(future.result(), list):
            return False
        return bool(super().login(future))

    def dispatch(self, event: AmiEvent) -> list[str]:
        """Queue the event; when there are too many, drop the link."""
        if event.name == "FullyBooted" and not self.booted.done():
            self.booted.set_result(None)
        if not self._put(event):
            self.protocol.drop("events come faster than they are handled")
        return []

    def ping(self) -> None:
        """Not this one: it never looks at the reply."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Not this one: it would connect again with the old actions."""

    async def ask(self, fields: dict[str, str | list[str]], *, as_list: bool) -> list[Message]:
        """Send one action; return its reply, or a list's reply, rows and end.

        The caller sets the time limit. Empty when the link broke before the reply.
        """
        action = _Action(fields)
        try:
            replies: list[Message] = await self.send_action(action, as_list=as_list)
        finally:
            self.protocol.responses.pop(action.id, None)
        return replies
