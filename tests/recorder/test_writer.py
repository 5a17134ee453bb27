from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import OfferOutcome
from gkc_engine.ids import AgentId, Instant
from gkc_engine.recorder.journal import Journal
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.recorder.rebuild import dump, rebuild
from gkc_engine.recorder.store import LedgerError
from gkc_engine.recorder.writer import DurableWriter, Mode
from tests.recorder.places import Place, SqlitePlace
from tests.recorder.support import History

JOURNAL = 1024 * 1024


class Disk:
    """The store's files and its faults."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self.journal = folder / "journal"
        self.fail_with: str | None = None
        self.stall: threading.Event | None = None
        self.slow_s = 0.0

    def writer(self, *, journal_size: int = JOURNAL, commit_max_s: float = 0.2) -> DurableWriter:
        engine = self.place.engine(busy_ms=50)
        sa.event.listen(engine, "commit", self._on_commit)
        ledger = Ledger("", "centr", engine=engine)
        journal = Journal(self.journal, size=journal_size)
        return DurableWriter(ledger, journal, commit_max_s=commit_max_s)

    def _on_commit(self, _connection: sa.Connection) -> None:
        if self.stall is not None:
            self.stall.wait(30)
        if self.slow_s:
            threading.Event().wait(self.slow_s)
        if self.fail_with is not None:
            # As SQLAlchemy wraps what sqlite3 raises when COMMIT finds the disk full or broken.
            error = sqlite3.OperationalError(self.fail_with)
            raise sa.exc.OperationalError("COMMIT", None, error)

    def stored(self) -> list[str]:
        """The agents whose login the ledger holds, in its order."""
        rows = self.place.sql("SELECT agent_id FROM event WHERE role='in' ORDER BY seq")
        return [agent for (agent,) in rows]


@pytest.fixture
def disk(place: Place, tmp_path: Path) -> Disk:
    return Disk(place, tmp_path)


@pytest.fixture
async def writer(disk: Disk) -> AsyncIterator[DurableWriter]:
    writer = disk.writer()
    await writer.open()
    yield writer
    await writer.close()


def login(n: int) -> History:
    history = History()
    history.step(ev.AgentLoggedIn(agent_id=AgentId(f"a{n}")), key=f"login-{n}")
    return history


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what the writer does by itself, in threads and timers of its own."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextmanager
def standstill() -> Iterator[list[float]]:
    """Measure how long at most a thread that only sleeps was held up: by the machine itself."""
    longest, over = [0.0], threading.Event()

    def sleep() -> None:
        last = time.monotonic()
        while True:
            ended = over.wait(0.001)
            last, before = time.monotonic(), last
            longest[0] = max(longest[0], last - before)
            if ended:
                return

    thread = threading.Thread(target=sleep)
    thread.start()
    try:
        yield longest
    finally:
        over.set()
        thread.join()


async def rebuilt_the_same(writer: DurableWriter) -> bool:
    """Whether the projections are what the ledger says, no row folded twice or left out."""
    store = writer.ledger.store

    def dumped() -> list[str]:
        store.settle()
        with store.transaction() as connection:
            return list(dump(connection))

    def compare() -> bool:
        grown = dumped()
        rebuild(store)
        return len(grown) > 1 and dumped() == grown

    return await writer.ledger.call(compare)


def names(*numbers: int) -> list[str]:
    return [f"a{n}" for n in numbers]


async def test_a_locked_ledger_stops_nothing_and_gets_all_rows_in_order(
    disk: Disk, writer: DurableWriter
) -> None:
    await writer.write(login(0).steps)
    with disk.place.held(), standstill() as stood:
        loop = asyncio.get_running_loop()
        slowest = 0.0
        for n in range(1, 40):
            begun = loop.time()
            await writer.write(login(n).steps)
            slowest = max(slowest, loop.time() - begun)
        assert writer.mode is Mode.JOURNAL
        assert writer.accepting
    assert slowest < 1.0 + stood[0]
    await until(lambda: writer.mode is Mode.LEDGER)
    await writer.write(login(40).steps)
    assert disk.stored() == names(*range(41))


@pytest.mark.parametrize("fault", ["database or disk is full", "disk I/O error"])
async def test_a_full_or_broken_disk_goes_through_the_journal(disk: Disk, fault: str) -> None:
    writer = disk.writer(commit_max_s=30)  # only what is broken keeps rows from the ledger
    await writer.open()
    await writer.write(login(0).steps)
    disk.fail_with = fault
    for n in range(1, 4):
        await writer.write(login(n).steps)
    assert (writer.mode, writer.stats.ledger_failures) == (Mode.JOURNAL, 1)
    assert disk.stored() == names(0)
    disk.fail_with = None
    await until(lambda: writer.mode is Mode.LEDGER)
    assert disk.stored() == names(0, 1, 2, 3)
    await writer.close()


async def test_sqlites_own_full_is_understood(tmp_path: Path) -> None:
    disk = Disk(SqlitePlace(tmp_path), tmp_path)
    writer = disk.writer(commit_max_s=30)
    await writer.open()
    full = True

    def no_page_more(dbapi: Any, _record: object) -> None:  # noqa: ANN401
        (pages,) = dbapi.execute("PRAGMA page_count").fetchone()
        dbapi.execute(f"PRAGMA max_page_count={pages if full else 2**30}")

    sa.event.listen(writer.ledger.store.engine, "connect", no_page_more)
    await writer.ledger.call(writer.ledger.store.close)  # The next commit opens it anew.
    written = 0
    while writer.mode is Mode.LEDGER:
        await writer.write(login(written).steps)
        written += 1
    assert writer.stats.ledger_failures == 1
    full = False
    await until(lambda: writer.mode is Mode.LEDGER)
    assert disk.stored() == names(*range(written))
    await writer.close()


async def test_a_commit_in_doubt_that_succeeds_later_doubles_nothing(disk: Disk) -> None:
    writer = disk.writer(commit_max_s=0.02)
    await writer.open()
    disk.stall = threading.Event()
    for n in range(5):
        await writer.write(login(n).steps)
    assert (writer.mode, writer.stats.ledger_timeouts) == (Mode.JOURNAL, 1)
    disk.stall.set()
    await until(lambda: writer.mode is Mode.LEDGER)
    assert disk.stored() == names(*range(5))
    assert writer.stats.drained_rows == 4
    await writer.close()


@pytest.mark.parametrize("trouble", ["refused", "in doubt"])
async def test_after_trouble_no_fact_is_folded_twice_or_left_out(disk: Disk, trouble: str) -> None:
    writer = disk.writer(commit_max_s=0.05 if trouble == "in doubt" else 5)
    await writer.open()
    history = History()
    history.configured()
    history.talk("c1", "anna")
    first = len(history.steps)
    # Still waiting at the end: nothing that comes later sets its sums right again.
    history.arrive("c2")
    queued = history.now
    offer = history.offered("c2", "ben")
    history.after(1).step(
        ev.Tick(), history.offer_ended("c2", "ben", offer, queued, OfferOutcome.BUSY)
    )
    second = len(history.steps)
    history.talk("c3", "anna")
    history.talk("c4", "anna")
    cuts = [0, 3, first, second, second + 3, second + 7, second + 9]
    groups = [history.steps[a:b] for a, b in itertools.pairwise([*cuts, len(history.steps)])]
    for n, group in enumerate(groups):
        if n == 2:
            disk.stall = threading.Event() if trouble == "in doubt" else None
            disk.fail_with = "disk I/O error" if trouble == "refused" else None
        await writer.write(group)
        if n == 4:
            assert writer.mode is Mode.JOURNAL
            if disk.stall is not None:
                disk.stall.set()
            disk.stall = disk.fail_with = None
            await until(lambda: writer.mode is Mode.LEDGER)
    assert await rebuilt_the_same(writer)
    assert (await writer.ledger.load()).tail == history.steps
    await writer.close()


async def test_a_journal_left_by_a_crash_is_drained_before_anything_else(disk: Disk) -> None:
    crashed = disk.writer()
    await crashed.open()
    disk.fail_with = "database or disk is full"
    for n in range(3):
        await crashed.write(login(n).steps)
    crashed._journal.close()  # As the kernel does at SIGKILL; nothing else is closed.
    if crashed._retry is not None:
        crashed._retry.cancel()
    crashed._closed = True
    await crashed.ledger.call(lambda: None)
    crashed.ledger.store._drop()
    crashed.ledger.store.engine.dispose()
    disk.fail_with = None
    writer = disk.writer()
    await writer.open()
    assert disk.stored() == names(0, 1, 2)
    await writer.write(login(3).steps)
    assert disk.stored() == names(*range(4))
    assert [s.source_key for s in (await writer.ledger.load()).tail][-1] == "login-3"
    await writer.close()
    await crashed.ledger.close()


@pytest.mark.parametrize("commit_s", [0, 0.02])
async def test_a_busy_engine_comes_back_to_the_ledger(
    disk: Disk, writer: DurableWriter, commit_s: float
) -> None:
    disk.slow_s = commit_s
    disk.fail_with = "disk I/O error"
    await writer.write(login(0).steps)
    disk.fail_with = None
    written = 1
    async with asyncio.timeout(60):
        while writer.mode is not Mode.LEDGER:  # Never a moment without a write under way.
            await writer.write(login(written).steps)
            written += 1
    await writer.write(login(written).steps)
    assert disk.stored() == names(*range(written + 1))


async def test_a_journal_near_its_end_refuses_new_contacts_but_loses_nothing(disk: Disk) -> None:
    writer = disk.writer(journal_size=8 * 1024)
    await writer.open()
    disk.fail_with = "database or disk is full"
    taken = 0
    while writer.accepting:
        await writer.write(login(taken).steps)
        taken += 1
    assert writer.mode is Mode.FULL
    assert writer.stats.at_risk_rows == 0  # The reserve still serves the contacts in hand.
    for n in range(taken, taken + 20):
        await writer.write(login(n).steps)
    assert writer.stats.at_risk_rows > 0
    disk.fail_with = None
    await until(lambda: writer.accepting)
    assert writer.stats.at_risk_rows == 0
    assert disk.stored() == names(*range(taken + 20))
    await writer.close()


async def test_both_disks_failing_once_is_mended_by_itself_under_load(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = disk.writer()
    await writer.open()
    real = os.fdatasync
    broken = [True]

    def sometimes(descriptor: int) -> None:
        if broken:
            broken.pop()
            raise OSError(5, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", sometimes)
    disk.fail_with = "disk I/O error"
    await writer.write(login(0).steps)
    assert (writer.mode, writer.accepting) == (Mode.FULL, False)
    disk.fail_with = None
    written = 1
    # While a group takes over 0.2 s, as on a full machine, it is not back.
    async with asyncio.timeout(60):
        while writer.mode is not Mode.LEDGER:  # A write that never yields would starve the drain.
            await writer.write(login(written).steps)
            written += 1
    assert writer.stats.at_risk_rows == 0
    await writer.write(login(written).steps)
    assert disk.stored() == names(*range(written + 1))
    await writer.close()


async def test_a_snapshot_waits_until_the_ledger_is_complete(
    disk: Disk, writer: DurableWriter
) -> None:
    await writer.write(login(0).steps)
    disk.fail_with = "disk I/O error"
    await writer.write(login(1).steps)
    assert not await writer.snapshot(Instant(1), "{}")
    disk.fail_with = None
    await until(lambda: writer.mode is Mode.LEDGER)
    assert await writer.snapshot(Instant(1), "{}")
    assert (await writer.ledger.load()).tail == []


async def test_a_locked_ledger_at_start_is_named_with_its_remedy(disk: Disk) -> None:
    first = disk.writer()
    await first.open()
    await first.close()
    writer = disk.writer()
    with (
        disk.place.held(),
        pytest.raises(LedgerError, match=r"lock.*; another (process|session) holds"),
    ):
        await writer.open()
    await writer.close()


async def test_closing_while_the_ledger_is_stuck_leaves_the_rest_for_the_next_start(
    disk: Disk,
) -> None:
    writer = disk.writer()
    await writer.open()
    disk.fail_with = "disk I/O error"
    for n in range(3):
        await writer.write(login(n).steps)
    await writer.close()
    assert disk.stored() == []
    disk.fail_with = None
    again = disk.writer()
    await again.open()
    await again.close()
    assert disk.stored() == names(0, 1, 2)


async def test_the_loop_is_never_held_up_by_a_slow_commit(disk: Disk) -> None:
    writer = disk.writer()
    await writer.open()
    disk.stall = threading.Event()
    loop = asyncio.get_running_loop()
    writing = asyncio.ensure_future(writer.write(login(0).steps))
    longest, last = 0.0, loop.time()
    with standstill() as stood:
        while not writing.done():
            await asyncio.sleep(0.001)
            longest, last = max(longest, loop.time() - last), loop.time()
    disk.stall.set()
    assert longest < 0.15 + stood[0]
    await writer.close()
