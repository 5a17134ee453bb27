"""Reports arrive once each at a real SMTP server, also when the engine dies at the very minute."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gkc_engine.delivery.outbox import FILE, OutboxError, left_in
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.store import LedgerStore
from tests.acceptance.harness import until
from tests.config.cities import tiny_city
from tests.delivery.support import Server, mailing, moment, serving
from tests.ports import free_ports
from tests.rolled import count_anew

pytestmark = pytest.mark.accept

AT = moment("2026-09-22T07:30+03:00")
REPORTS = """\
[{what: services, recipient: police, at: "07:30", format: csv},
 {what: queues, at: "07:30", to: a@city.example, format: json}]"""


@dataclass
class Engine:
    """One center whose clock can be set; may be killed and started again."""

    folder: Path
    state: Path
    offset_ns: int
    ports: tuple[int, int, int]
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        words = [str(self.offset_ns), str(self.folder), str(self.state), *map(str, self.ports)]
        with (self.state / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.acceptance.set_clock", *words, stdout=log, stderr=log
            )

    async def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await self.process.wait()

    def states(self) -> list[str]:
        try:
            return [row["state"] for row in reversed(left_in(self.state / FILE, 10))]
        except OutboxError:
            return []  # It is just being made.

    async def until(self, *wanted: str) -> None:
        """Wait until the mails are in these states, in their order."""

        async def look() -> bool:
            assert self.process is not None
            assert self.process.returncode is None, (self.state / "log").read_text()[-3000:]
            return self.states() == list(wanted)

        await until(look, f"mails are {wanted}, not {self.states()}", 60)

    def looks(self) -> int:
        """Return how many runs have been through the whole outbox, killed ones not counted."""
        return (self.state / "log").read_text(encoding="utf-8").count("delivery_up")

    async def looked(self, runs: int) -> None:
        """Wait until so many runs have."""

        async def look() -> bool:
            return self.looks() == runs

        await until(look, f"{runs} runs have looked at the outbox", 60)


def set_to(moment_us: int) -> int:
    """Return what makes an engine's clock show ``moment_us`` now, and go on from there."""
    return moment_us * 1000 - time.monotonic_ns()


def contact(n: int, service: str | None, queue: str) -> dict[str, object]:
    """Return a row of the contact table: somebody who was answered at noon of the day before."""
    started = Instant(AT - 19 * 3600 * SECOND + n * SECOND)
    row: dict[str, object] = {column.name: None for column in schema.contact.c}
    row |= {
        "contact_id": f"c{n}",
        "number": f"2026-ТСТ-{n:06d}",
        "medium": "voice",
        "via": "engine",
    }
    row |= {
        "direction": "in",
        "initiation": "inbound",
        "center_entry": "tiny",
        "did": "+74957777777",
    }
    row |= {"language": "ru", "service": service, "queue": queue, "agent_id": "anna", "offers": 1}
    row |= {"started": started, "first_queued": started, "answered": started + 5 * SECOND}
    row |= {"ended": started + 65 * SECOND, "wait_us": 5 * SECOND, "ring_us": 5 * SECOND}
    row |= {"talk_us": 60 * SECOND, "hold_us": 0, "wrap_up_us": 0, "menu_us": 0, "step": 0}
    row |= {"disposition": "answered", "sl_threshold_us": 20 * SECOND, "config_version": "v"}
    return row


@asynccontextmanager
async def center(folder: Path, smtp: int) -> AsyncIterator[Engine]:
    """Give a center with seven contacts of mvd and four of nobody's on record."""
    (folder / "state").mkdir()
    store = LedgerStore(schema.sqlite_url(str(folder / "state" / "gkc.sqlite")))
    store.open()
    rows = [contact(n, "mvd", "passport") for n in range(7)]
    rows += [contact(n, None, "general") for n in range(7, 11)]
    with store.transaction() as connection:
        connection.execute(schema.contact.insert(), rows)
        count_anew(connection)
    store.close()
    ports = free_ports()
    engine = Engine(
        tiny_city(folder / "config", ("calendars:\n", mailing(REPORTS, smtp) + "calendars:\n")),
        folder / "state",
        set_to(AT - 3600 * SECOND),
        (ports.metrics, ports.ami, ports.agi),
    )
    try:
        yield engine
    finally:
        if engine.process is not None:
            await engine.end(signal.SIGKILL)


async def test_once_each_though_it_is_killed_at_the_very_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GKC_AMI_SECRET", "nobody listens")
    async with serving(Server(data=["hang"])) as server, center(tmp_path, server.port) as engine:
        await engine.start()
        await engine.looked(1)
        await engine.end(signal.SIGKILL)
        engine.offset_ns = set_to(AT - SECOND)
        await engine.start()
        await engine.until("due", "due")
        await engine.end(signal.SIGKILL)
        await engine.start()
        await engine.until("sending", "queued")
        await server.hung()  # Killed before that, it would leave the hanging to the next one.
        await engine.end(signal.SIGKILL)
        await engine.start()
        await engine.until("sent", "sent")
        await engine.end(signal.SIGKILL)
        before = engine.looks()
        await engine.start()
        await engine.looked(before + 1)
        assert engine.states() == ["sent", "sent"]
        assert await engine.end(signal.SIGTERM) == 0
    assert [to for _, to in server.envelopes] == [["p@police.example"], ["a@city.example"]]
    police, everybody = (next(iter(m.iter_attachments())) for m in server.messages())
    (row,) = csv.DictReader(io.StringIO(police.get_content()))
    assert (row["service"], row["offered"], row["answered"]) == ("mvd", "7", "7")
    queues = {row["queue"]: row["offered"] for row in json.loads(everybody.get_content())}
    assert queues == {"general": 4, "passport": 7, None: 11}
    assert all(m["Date"].startswith("Tue, 22 Sep 2026 04:30:") for m in server.messages())
