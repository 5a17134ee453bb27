"""A small city on a real Asterisk, with real SIP phones, for the acceptance runs."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from gkc_engine.demo.city import City, CityOptions
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.model import OperatorPhone, Trunk
from tests.acceptance.reconciled import reconciled, told
from tests.acceptance.sipp import FOREVER_MS, SippBench
from tests.ports import free_ports

CONFIG = Path(__file__).with_name("city")
NEEDS_SIPP = os.environ.get("GKC_NO_SIPP") or (None if shutil.which("sipp") else "no sipp on PATH")
"""Why there is no SIPp, said by ``gkc test``; ``None`` when there is."""

Row = dict[str, Any]
T = TypeVar("T")


class Scene:
    """The city, its phones, and how to look at it."""

    def __init__(self, city: City, bench: SippBench) -> None:
        self.city = city
        self.bench = bench

    async def ask(self, method: str, **params: object) -> list[Row]:
        """Call a method of the control socket."""
        rows = await asyncio.to_thread(self.city.ask, method, **params)
        assert isinstance(rows, list)
        return rows

    async def login(self, *agents: str) -> None:
        """Log operators in and wait until each is ready."""
        for agent in agents:
            await self.ask("agent.login", agent=agent)
        for agent in agents:
            await self.agent_is(agent, "ready")

    async def agent_is(self, agent: str, state: str, timeout_s: float = 20.0) -> Row:
        """Wait until ``agent`` is in ``state``; return the row."""

        async def look() -> Row | None:
            row = (await self.ask("agent.show", agent=agent))[0]
            return row if row["state"] == state else None

        return await until(look, f"{agent} is {state}", timeout_s)

    async def contacts(self) -> list[Row]:
        """Return every contact on record, the oldest first."""
        return list(reversed(await self.ask("contact.list", limit=10_000)))

    async def on_record(self, count: int, timeout_s: float = 10.0) -> None:
        """Wait until the ledger has ``count`` contacts: the core knows of them a little earlier."""

        async def look() -> bool:
            return len(await self.contacts()) >= count

        await until(look, f"{count} contacts are on record", timeout_s)

    async def ended(self, count: int, timeout_s: float = 30.0) -> list[Row]:
        """Wait until ``count`` contacts have ended; return all rows."""

        async def look() -> list[Row] | None:
            rows = await self.contacts()
            return rows if sum(r["ended"] is not None for r in rows) >= count else None

        return await until(look, f"{count} contacts have ended", timeout_s)

    async def in_state(self, state: str, count: int, timeout_s: float = 30.0) -> list[Row]:
        """Wait until ``count`` contacts are in ``state`` (the core's word)."""

        async def look() -> list[Row] | None:
            rows = await self.ask("queue.waiting")
            found = [r for r in rows if r["state"] == state]
            return found if len(found) >= count else None

        return await until(look, f"{count} contacts are {state}", timeout_s)

    async def story(self, contact: str) -> Row:
        """Return everything on record about a contact."""
        return (await self.ask("contact.show", contact=contact))[0]


async def all_answer(bench: SippBench, talk_ms: int = FOREVER_MS) -> Mapping[str, int]:
    """Start one SIPp that answers for every operator after 0.2 s, and talks for ``talk_ms``."""
    return {"": (await bench.phones(talk_ms=talk_ms)).port}


async def until(
    look: Callable[[], Awaitable[T | None]], what: str, timeout_s: float, every_s: float = 0.05
) -> T:
    """Return the first truthy result of ``look``; fail with the last one after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        await asyncio.sleep(every_s)


async def first_of(timeout_s: float, *events: asyncio.Event) -> None:
    """Return as soon as one of ``events`` is set, at the latest after ``timeout_s``."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


@asynccontextmanager
async def scene(
    folder: Path,
    install: Install,
    *,
    phones: Callable[[SippBench], Awaitable[Mapping[str, int]]],
    config: Path = CONFIG,
    options: Callable[[CityOptions], CityOptions] = lambda o: o,
    verify: bool = True,
) -> AsyncIterator[Scene]:
    """Run the city, once ``phones`` has started the operators' phones.

    Whatever is done to it, its records are those of its Asterisk afterwards (``records verify``);
    ``verify``: unless it went on with records that were made up.

    It returns on which port of 127.0.0.1 the phone of each endpoint is; ``""`` = all others.
    Phones come first: Asterisk asks at its start which of them can be reached, then each 30 s.
    """
    ports = free_ports()
    bench = SippBench(folder / "sipp", f"127.0.0.1:{ports.sip}")
    bench.folder.mkdir(parents=True)
    try:
        at = await phones(bench)
    except BaseException:
        await bench.stop()
        raise

    def phone(operator: OperatorPhone) -> OperatorPhone:
        port = at.get(operator.endpoint) or at[""]
        return dataclasses.replace(operator, contact=f"sip:{operator.endpoint}@127.0.0.1:{port}")

    base = CityOptions(
        phone=phone,
        trunks=(Trunk(match=("127.0.0.11",)),),
        watchdog=False,
        qualify_s=3,  # a phone that missed its first question is asked again within the test
    )
    city = City(config, folder / "city", install, ports, options(base))
    try:
        await city.start_asterisk()
        await city.start_engine()
        yield Scene(city, bench)
    finally:
        await bench.stop()
        await city.stop()
    if verify:
        outcome = reconciled(city)
        assert outcome.found == 0, told(outcome)
