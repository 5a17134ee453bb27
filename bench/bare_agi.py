"""The least that anybody can be who distributes calls over FastAGI from Python: what that costs.

    python -m bench.bare_agi PORT FIRST AGENTS

Each call is dialled to the next phone: one socket, one command. No manager connection, no state, no
record, no music, no choice. `bench.run --floor` measures it as an arm; not a distributor.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import cycle
from typing import Final

_HEADER_END: Final = b"\n\n"


class Call(asyncio.Protocol):
    """One call; a protocol, not streams: one callback for what Asterisk says."""

    def __init__(self, phones: cycle[int]) -> None:
        self._phones = phones
        self._said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._said.endswith(_HEADER_END):
            self._transport.close()  # Dial() has come back: the talk is over.
            return
        self._said += data
        if self._said.endswith(_HEADER_END):
            command = f"EXEC Dial PJSIP/{next(self._phones)},15,gim(default)\n"
            self._transport.write(command.encode())


async def serve(port: int, first: int, agents: int) -> None:
    """Serve until killed."""
    phones = cycle(range(first, first + agents))
    server = await asyncio.get_running_loop().create_server(
        lambda: Call(phones), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*(int(argument) for argument in sys.argv[1:4])))
