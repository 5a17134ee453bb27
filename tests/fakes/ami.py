"""A fake Asterisk manager: speaks AMI's bytes, as scripted; for tests and the simulation.

By default it lets everybody in, is booted, answers ``Ping`` and says Success to the rest.
``on(action, answer)`` scripts one action; ``FakeConnection`` sends what the test wants, in the
pieces it wants. ``play`` sends a recorded stream (tests/channels/streams).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.fakes.facts import Facts

Fields = dict[str, str]
BANNER = b"Asterisk Call Manager/11.0.0\r\n"


def frame(*lines: str) -> bytes:
    """Return one AMI frame."""
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


class FakeConnection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: FakeAmi) -> None:
        self.server = server
        self.actions: Facts[Fields] = Facts()
        self.raw: list[bytes] = []
        self.closed = asyncio.Event()
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections.add(self)
        if self.server.close_at_once:
            transport.abort()
            return
        transport.write(BANNER)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            block, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self.raw.append(block)
            # Asterisk ends a header at a bare LF too.
            lines = block.decode().replace("\r\n", "\n").split("\n")
            fields = dict(line.split(": ", 1) for line in lines if ": " in line)
            self.actions.add(fields)
            if not self.server.frozen:
                self.server.answer(self, fields)

    def send(self, *lines: str) -> None:
        self.transport.write(frame(*lines))

    def event(self, name: str, **headers: str) -> None:
        self.send(f"Event: {name}", *(f"{key}: {value}" for key, value in headers.items()))

    def reply(self, fields: Fields, response: str = "Success", *lines: str) -> None:
        self.send(f"Response: {response}", f"ActionID: {fields['ActionID']}", *lines)

    def rows(self, fields: Fields, name: str, rows: Iterable[Fields]) -> None:
        """Answer with a list, as Asterisk does."""
        action_id = f"ActionID: {fields['ActionID']}"
        self.reply(fields, "Success", "EventList: start", "Message: will follow")
        for row in rows:
            self.send(f"Event: {name}", action_id, *(f"{k}: {v}" for k, v in row.items()))
        self.send(f"Event: {fields['Action']}Complete", action_id, "EventList: Complete")

    def names(self) -> list[str]:
        """The actions received, in order."""
        return [fields["Action"] for fields in self.actions.all]


Answer = Callable[[FakeConnection, Fields], None]


class FakeAmi:
    """Listens on a free port of the loopback."""

    def __init__(self) -> None:
        self.connections: Facts[FakeConnection] = Facts()
        self.frozen = False
        """Takes bytes and answers nothing: a stopped or half-open peer."""
        self.close_at_once = False
        self.port = 0
        self._answers: dict[str, Answer] = {"Login": login, "ListCommands": least_rights}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: FakeConnection(self), "127.0.0.1", self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self.connections.all:
            connection.transport.abort()
            await connection.closed.wait()

    def on(self, action: str, answer: Answer) -> None:
        self._answers[action] = answer

    def answer(self, connection: FakeConnection, fields: Fields) -> None:
        scripted = self._answers.get(fields["Action"])
        if scripted is not None:
            scripted(connection, fields)
        else:
            connection.reply(fields)

    @property
    def last(self) -> FakeConnection:
        """The newest connection."""
        return self.connections.all[-1]


def silence(connection: FakeConnection, fields: Fields) -> None:
    """Never answer."""


def login(connection: FakeConnection, fields: Fields) -> None:
    connection.reply(fields, "Success", "Message: Authentication accepted")
    connection.event("FullyBooted", Status="Fully Booted")


def refuse(message: str) -> Answer:
    """Answer with an error."""
    return lambda connection, fields: connection.reply(fields, "Error", f"Message: {message}")


def least_rights(connection: FakeConnection, fields: Fields) -> None:
    connection.reply(
        fields,
        "Success",
        "Hangup: Hangup channel.  (Priv: system,call,all)",
        "Ping: Keepalive command.  (Priv: <none>)",
        "ShowDialPlan: Show dialplan contexts and extensions  (Priv: config,reporting,all)",
    )


def play(connection: FakeConnection, path: Path, piece_bytes: int) -> None:
    """Send a recorded stream in pieces that respect neither lines nor letters."""
    data = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    for start in range(0, len(data), piece_bytes):
        connection.transport.write(data[start : start + piece_bytes])
