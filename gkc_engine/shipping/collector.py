"""The city's collector: a process beside the hub that brings all centers' records into one store.

It may be killed at any time: what is in the store, with how far that is, is all that it knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import structlog

from gkc_engine.config.store import store_url
from gkc_engine.endings import end_tasks
from gkc_engine.errors import GkcError
from gkc_engine.federation.connection import TROUBLES
from gkc_engine.federation.settings import CollectorSettings
from gkc_engine.recorder.store import LedgerError
from gkc_engine.shipping import standstill
from gkc_engine.shipping.city_store import CityStore
from gkc_engine.shipping.feed import Feed, again, ask
from gkc_engine.shipping.line import line
from gkc_engine.shipping.lock import alone
from gkc_engine.shipping.metrics import CollectorMetrics

log = structlog.get_logger(__name__)

SETTLE_S: Final = 0.5
"""How far the tables may be behind the ledger."""

CITY_NOTE: Final = "city_at.json"
"""In the collector's state folder: where the city's store is (``cli/_store.py``)."""

ACCEPT: Final = "accept-"
"""So begin the names of files by which ``gkc city accept`` tells the collector."""

_T = TypeVar("_T")


class Collector:
    """Runs a feed for each center."""

    def __init__(self, settings: CollectorSettings, folder: Path, state: Path) -> None:
        """Take settings, the configuration's folder, and the folder for notes."""
        self.settings, self.folder, self.state = settings, folder, state
        self.store = CityStore(store_url(settings.store, folder))
        self.feeds = {name: Feed(name, bus, self) for name, bus in settings.buses.items()}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="city")
        self._stop = asyncio.Event()
        self.standstill = standstill.noted(state)
        """Why the tables do not follow the rows, if they do not: one before us may have seen it."""

    def now(self) -> int:
        """Return the wall clock, in microseconds."""
        return time.time_ns() // 1_000

    async def do(self, work: Callable[[], _T]) -> _T:
        """Run ``work`` in the one thread of the store."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def request_stop(self) -> None:
        """Begin an orderly end."""
        self._stop.set()

    async def run(self) -> None:
        """Collect until asked to stop.

        Raises:
            GkcError: The store cannot be opened, or another collector writes it.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        with _only(self.state):
            await self.do(lambda: self.store.open(sorted(self.feeds)))
            leave_note(self.settings, self.folder, self.state)
            metrics = CollectorMetrics(self)
            works = [feed.run() for feed in self.feeds.values()]
            works += [self._settle(), self._accept()]
            tasks = [asyncio.get_running_loop().create_task(work) for work in works]
            log.info("collecting", centers=sorted(self.feeds), store=self.settings.store)
            try:
                metrics.open()
                await self._stop.wait()
            finally:
                metrics.close()
                await end_tasks(tasks)
                await self.do(self.store.close)
                self._thread.shutdown(wait=False)

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(SETTLE_S)
            try:
                await self.do(self.store.settle)
            except Exception as error:
                self._stands_still(error)
            else:
                self._follows()

    def _stands_still(self, error: Exception) -> None:
        """Say that the tables do not follow the rows, once for each reason."""
        before, why = self.standstill, standstill.reason(error)
        if before is None or before.why != why:
            since = self.now() if before is None else before.since_us
            self.standstill = standstill.Standstill(since_us=since, why=why)
            standstill.note(self.state, self.standstill)
            log.warning("projections_behind", error=str(error), exc_info=error)

    def _follows(self) -> None:
        if self.standstill is not None:
            log.info("projections_follow", since=self.standstill.since_us)
            self.standstill = None
            standstill.note(self.state, None)

    async def _accept(self) -> None:
        """Take new ledgers where somebody has said that they are right."""
        stuck: set[str] = set()
        while True:
            await asyncio.sleep(SETTLE_S)
            for name in accepted(self.state, self.feeds):
                if name in stuck:
                    continue
                with contextlib.suppress(LedgerError):
                    await self.do(lambda name=name: self.store.accept(name))  # type: ignore[misc]
                    try:
                        (self.state / f"{ACCEPT}{name}").unlink(missing_ok=True)
                    except OSError as error:
                        stuck.add(name)  # Else it were taken from its beginning at each look.
                        log.warning("accept_failed", center=name, problem=str(error))
                    log.info("ledger_accepted", center=name)
                    await self._begin(name)

    async def _begin(self, name: str) -> None:
        """Have the center send all from the beginning; else a gap will tell it to."""
        try:
            async with line(self.settings.buses[name], "gkc city collect", name) as to:
                await ask(to, again(self.store.feeds[name].position))
        except (*TROUBLES, GkcError) as error:
            log.warning("center_not_asked", center=name, problem=str(error))


def accepted(state: Path, centers: Sequence[str] | dict[str, Feed]) -> list[str]:
    """Return the centers whose new ledger is to be taken."""
    found = [path.name.removeprefix(ACCEPT) for path in state.glob(f"{ACCEPT}*")]
    return sorted(name for name in found if name in centers)


def leave_note(settings: CollectorSettings, folder: Path, state: Path) -> None:
    """Let commands find the city's store. Holds no secret."""
    said = {
        "store": settings.store,
        "config": str(folder.resolve()),
        "timezone": settings.timezone,
        "state": str(state.resolve()),
    }
    path = state / CITY_NOTE
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(said, ensure_ascii=False) + "\n", "utf-8")
    aside.replace(path)


@contextlib.contextmanager
def _only(state: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(alone(state))
        except BlockingIOError:
            raise GkcError(f"another collector runs with {state}: stop that one first") from None
        yield


def collect(settings: CollectorSettings, folder: Path, state: Path) -> None:
    """Run a collector in this process until SIGTERM or SIGINT."""

    async def main() -> None:
        collector = Collector(settings, folder, state)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, collector.request_stop)
        await collector.run()

    asyncio.run(main())
