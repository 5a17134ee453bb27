"""A TCP relay that can be cut and frozen: a network that fails between the engine and Asterisk."""

from __future__ import annotations

import asyncio
import contextlib

from gkc_engine.endings import end_tasks


class Relay:
    """Listens on a free port of the loopback and passes everything on to ``target``."""

    def __init__(self) -> None:
        self.port = 0
        self.target = 0
        self.connections = 0
        self.bytes_s: float | None = None
        """How much is passed on in a second, each way; ``None`` = all of it."""
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._refusing = False
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Close every connection and refuse new ones."""
        self._refusing = True
        for writer in tuple(self._open):
            writer.transport.abort()

    def freeze(self) -> None:
        """Pass nothing on, in either direction, and close nothing: half-open."""
        self._thawed.clear()

    def mend(self) -> None:
        """Work again."""
        self._refusing = False
        self._thawed.set()

    async def stop(self) -> None:
        """End everything."""
        self.cut()
        if self._server is not None:
            self._server.close()
        await end_tasks(tuple(self._tasks))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        ways = [self._pass(reader, far_writer), self._pass(far_reader, writer)]
        for way in ways:
            task = asyncio.get_running_loop().create_task(way)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536 if self.bytes_s is None else 512):
                await self._thawed.wait()
                if self.bytes_s is not None:  # the wire is what takes the time
                    await asyncio.sleep(len(data) / self.bytes_s)
                writer.write(data)
                await writer.drain()
        self._open.discard(writer)
        writer.transport.abort()
