"""The phones of the test city."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.acceptance.phone import Phone
from tests.acceptance.sipp import SippBench


@asynccontextmanager
async def citizen_of(
    bench: SippBench, user: str = "+79001234567", name: str = "Citizen"
) -> AsyncIterator[Phone]:
    """A citizen's phone that can press keys: SIPp does that by a raw socket, as root alone."""
    phone = await _citizen(_server(bench), user, name).start()
    try:
        yield phone
    finally:
        await phone.stop()


def _server(bench: SippBench) -> tuple[str, int]:
    host, _, port = bench.server.partition(":")
    return host, int(port)


def _citizen(server: tuple[str, int], user: str, name: str) -> Phone:
    return Phone(user, server, host="127.0.0.11", signature=0x55, name=name)


class Desk:
    """The operators' phones of the test city, 101 to 106, and its citizens' phones."""

    def __init__(self) -> None:
        self.phones: dict[str, Phone] = {}
        self._server = ("", 0)
        self._all: list[Phone] = []

    async def start(self, bench: SippBench) -> dict[str, int]:
        """Start the operators' phones (``harness.scene``'s ``phones``)."""
        self._server = _server(bench)
        for n in range(101, 107):
            phone = Phone(str(n), self._server, signature=0x20 + n - 100)
            self.phones[phone.user] = await phone.start()
        self._all += self.phones.values()
        return {user: phone.port for user, phone in self.phones.items()}

    async def citizen(self, user: str = "+79001234567", name: str = "Citizen") -> Phone:
        """Return a new citizen's phone, whose calls come over the trunk."""
        phone = _citizen(self._server, user, name)
        self._all.append(phone)
        return await phone.start()

    async def calm(self) -> None:
        """End every call and let every phone do nothing by itself."""
        for phone in self._all:
            phone.on_call = None
            for leg in phone.calls:
                if not leg.ended.is_set() and leg.answered.is_set():
                    with contextlib.suppress(TimeoutError):
                        await leg.bye()
                elif not leg.ended.is_set():
                    leg.cancel() if leg.outgoing else leg.refuse(480)
            phone.calls.clear()
            while not phone.rang.empty():
                phone.rang.get_nowait()

    async def stop(self) -> None:
        """Take every phone off the wall."""
        for phone in self._all:
            await phone.stop()
