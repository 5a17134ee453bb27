"""The commands of the city: collect as a process of its own, show, accept, verify, reports."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from gkc_engine.demo.tree import Document, copy_tree
from gkc_engine.engine import Step
from gkc_engine.recorder.behind import MARK
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.shipping.city_store import LEFT
from tests.cli.test_run import CITY
from tests.federation.centers import SECRET, Buses, buses, until
from tests.ports import free_port
from tests.shipping.net import BETWEEN_S, running, shipper_of
from tests.shipping.world import NAMES, goes_on, halves, numbered

pytestmark = pytest.mark.accept
"""Real processes, each with a start of its own."""

DAY = "1970-01-12"
"""Of the simulated city: its clock begins a million seconds after 1970."""


class Ground:
    """The folders of a city with a collector, and its commands."""

    def __init__(self, folder: Path, city: Buses) -> None:
        self.hub, self.metrics = city.hub_port, free_port()
        self.config = copy_tree(CITY, folder / "config", self._write)
        self.state = folder / ".gkc" / "city"
        self.log = folder / "collector.log"
        self.env = {k: v for k, v in os.environ.items() if k != "GKC_RUN_DIR"} | {
            "GKC_RUN_DIR": str(folder / ".gkc" / "run"),
            "SECRET_OF_ALL": SECRET,
            "TOKEN_KEY": "k" * 40,
            "GKC_TEST_SECRET": "x",
        }

    def _write(self, name: str, document: Document) -> None:
        if name != "pbx.yaml":
            document["center"]["name"] = "centr"
            return
        trunk = "127.0.0.{}:5160"
        document["federation"] = {
            "nats": f"nats://127.0.0.1:{self.hub}",
            "token_key": "env:TOKEN_KEY",
            "centers": {
                "centr": {"level": "city", "trunk": trunk.format(1)},
                "sever": {"level": "okrug", "parent": "centr", "trunk": trunk.format(2)},
                "yug": {"level": "okrug", "parent": "centr", "trunk": trunk.format(3)},
            },
        }
        document["collector"] = {
            "nats": f"nats://127.0.0.1:{self.hub}",
            "metrics": {"port": self.metrics},
            "centers": dict.fromkeys(NAMES, "env:SECRET_OF_ALL"),
        }

    def leaves(self, center: str) -> None:
        """Take a center out of what the collector collects."""

        def edit(_: str, document: Document) -> None:
            if "collector" in document:
                del document["collector"]["centers"][center]

        away = self.config.rename(self.config.with_name("before"))
        copy_tree(away, self.config, edit)

    def argv(self) -> list[str]:
        argv = [sys.executable, "-m", "gkc_engine", "city", "collect"]
        return [*argv, "--config", str(self.config), "--state", str(self.state)]

    @contextmanager
    def collecting(self) -> Iterator[subprocess.Popen[bytes]]:
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                self.argv(),
                env=self.env,
                stdout=output,
                stderr=output,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)

    def taken(self) -> int:
        """Return how many rows the city has, seen past our own code."""
        return self._number("SELECT coalesce(sum(seq), 0) FROM feed")

    def settled(self) -> int:
        """Return how many rows its tables have."""
        return self._number(f"SELECT value FROM meta WHERE key = '{MARK}'")

    def _number(self, query: str) -> int:
        path = self.state / "city.sqlite"
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reading:
                found = reading.execute(query).fetchone()
        except sqlite3.Error:
            return 0  # Not made yet.
        return int(found[0]) if found else 0

    async def gkc(self, *argv: str) -> subprocess.CompletedProcess[str]:
        def run() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "gkc_engine", *argv],
                env=self.env,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        return await asyncio.to_thread(run)

    async def rows(self, *argv: str) -> Any:  # noqa: ANN401 - whatever it prints
        done = await self.gkc(*argv, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    async def caught_up(self, stores: dict[str, LedgerStore]) -> None:
        want = {name: len(numbered(store)) for name, store in stores.items()}
        deadline = time.monotonic() + BETWEEN_S
        while time.monotonic() < deadline:
            done = await self.gkc("city", "show", "--json")
            if done.returncode == 0:
                have = {row["center"]: row["rows"] for row in json.loads(done.stdout)}
                if have == want:  # Its tables are behind for half a second.
                    await until(lambda: self.settled() == sum(want.values()), BETWEEN_S)
                    return
        raise AssertionError(self.log.read_text())


@pytest.fixture
def stores(tmp_path: Path, past: dict[str, list[Step]]) -> Iterator[dict[str, LedgerStore]]:
    """Of all three centers."""
    with halves(tmp_path, past, NAMES) as made:
        yield made


@asynccontextmanager
async def city_of(folder: Path) -> AsyncIterator[tuple[Buses, Ground]]:
    async with buses(folder / "bus", NAMES) as city:
        yield city, Ground(folder, city)


async def test_killed_again_and_again_it_goes_on_where_it_was(
    tmp_path: Path,
    stores: dict[str, LedgerStore],
    past: dict[str, list[Step]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGKILL at whatever it does just then; at last the city is the sum of its centers."""
    monkeypatch.setattr("gkc_engine.shipping.shipper.ROWS_MAX", 7)
    async with city_of(tmp_path) as (city, ground):
        shippers = [shipper_of(city, store, name) for name, store in stores.items()]
        async with running(*shippers):
            everything = sum(len(numbered(store)) for store in stores.values())
            for _ in range(4):
                before = ground.taken()
                with ground.collecting() as process:
                    await until(
                        lambda n=before: ground.taken() > n or n == everything,  # type: ignore[misc]
                        BETWEEN_S,
                    )
                    process.send_signal(signal.SIGKILL)
            for name, store in stores.items():
                goes_on(store, name, past)
            with ground.collecting():
                await ground.caught_up(stores)
                rows = await ground.rows("records", "verify", "--city", "--day", DAY)
                assert [row["differences"] for row in rows] == [{}, {}, {}]
                assert all(row["answered"] and row["counts"]["rows"] > 100 for row in rows)
                done = await ground.gkc("records", "verify", "--city", "--day", DAY)
                assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "0 differences")
                page = await asyncio.to_thread(scraped, ground.metrics)
                assert 'gkc_city_feed_up{center="sever"} 1.0' in page
                assert 'gkc_city_behind_rows{center="sever"} 0.0' in page
        done = await ground.gkc("--city", "records", "rebuild", "--check")
        assert done.returncode == 0, done.stderr


def scraped(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
        text: str = page.read().decode()
    return text


@asynccontextmanager
async def yug_off(
    city: Buses, ground: Ground, stores: dict[str, LedgerStore]
) -> AsyncIterator[None]:
    """All three were collected; then yug is silent, and no collector runs."""
    shippers = {name: shipper_of(city, store, name) for name, store in stores.items()}
    async with running(shippers["centr"], shippers["sever"]):
        async with running(shippers["yug"]):
            with ground.collecting():
                await ground.caught_up(stores)
        yield


async def test_verify_names_what_is_wrong_and_who_is_silent(
    tmp_path: Path, stores: dict[str, LedgerStore]
) -> None:
    async with city_of(tmp_path) as (city, ground), yug_off(city, ground, stores):
        # Somebody's hand in the city's tables, and a center that is off.
        changed = LedgerStore(f"sqlite:///{ground.state / 'city.sqlite'}")
        changed.open()
        with changed.transaction() as connection:
            connection.exec_driver_sql(
                "UPDATE contact SET disposition = 'abandoned' WHERE contact_id = ("
                "SELECT min(contact_id) FROM contact WHERE center_entry = 'sever' "
                "AND direction = 'in' AND disposition = 'answered')"
            )
        changed.close()
        done = await ground.gkc("records", "verify", "--city", "--day", DAY, "--json")
        assert done.returncode == 1
        centr, sever, yug = json.loads(done.stdout)
        assert centr["differences"] == {}
        ended = sever["counts"]["ended in answered"]
        assert sever["differences"]["ended in answered"] == {
            "center": ended + 1,
            "city": ended,
        }
        assert not yug["answered"]
        assert yug["records_until"].startswith(DAY)
        other = await ground.gkc("records", "verify", "--city", "--day", "1970-01-13")
        assert (other.returncode, other.stdout.splitlines()[-1]) == (1, "0 differences")
        said = await ground.gkc("records", "verify", "--city", "--day", DAY)
        assert said.returncode == 1
        assert "yug: " in said.stdout
        assert "does not answer" in said.stdout
        assert "records are here until 1970-01-12" in said.stdout


async def test_a_center_that_left_the_city_is_no_fault(
    tmp_path: Path, stores: dict[str, LedgerStore]
) -> None:
    async with city_of(tmp_path) as (city, ground), yug_off(city, ground, stores):
        silent = await ground.gkc("records", "verify", "--city", "--day", DAY)
        assert (silent.returncode, "1 of 3 centers" in silent.stderr) == (1, True)
        ground.leaves("yug")
        with ground.collecting():
            await until(lambda: ground.log.read_text().count('"collecting"') == 2, BETWEEN_S)
            shown = await ground.rows("city", "show")
            assert [row["problem"] for row in shown if row["center"] == "yug"] == [LEFT]
            said = await ground.gkc("records", "verify", "--city", "--day", DAY)
        assert (said.returncode, said.stdout.splitlines()[-1]) == (0, "0 differences")
        assert f"  {LEFT}; its records are here until 1970-01-12" in said.stdout
        assert said.stdout.count("up to date") == 2
        assert "did not answer" not in said.stderr


async def test_reports_of_the_city_count_each_contact_once(
    tmp_path: Path, stores: dict[str, LedgerStore], past: dict[str, list[Step]]
) -> None:
    async with city_of(tmp_path) as (city, ground):
        shippers = [shipper_of(city, store, name) for name, store in stores.items()]
        for name, store in stores.items():
            goes_on(store, name, past)
        async with running(*shippers):
            with ground.collecting():
                await ground.caught_up(stores)
        span = ("--from", DAY, "--to", "1970-01-13")
        rows = await ground.rows("--city", "report", "centers", *span)
        assert [row["center"] for row in rows] == [*NAMES, None]
        whole = await ground.rows("--city", "report", "queues", *span)
        assert rows[-1]["offered"] == whole[-1]["offered"] == sum(r["offered"] for r in rows[:-1])
        own = []
        for name in NAMES:
            stores[name].close()
            shutil.copy(tmp_path / f"{name}.sqlite", tmp_path / ".gkc" / "one.sqlite")
            own.append((await ground.rows("report", "queues", *span))[-1]["offered"])
        assert [row["offered"] for row in rows[:-1]] == own
        shown = await ground.rows("--city", "contact", "list", "--limit", "500")
        agents = {row["agent_id"] for row in shown if row["agent_id"]}
        assert agents
        assert all(agent.replace(":", "/").partition("/")[0] in NAMES for agent in agents)
        people = await ground.rows("--city", "report", "operators", *span)
        assert {row["agent_id"].partition("/")[0] for row in people[:-1]} == set(NAMES)
        text = await ground.gkc("--city", "report", "outcomes", *span)
        assert text.returncode == 0, text.stderr
        refused = await ground.gkc("--city", "explain", shown[0]["contact_id"])
        assert refused.returncode == 2
        assert "ask the center itself" in refused.stderr


async def test_two_collectors_of_one_city_are_one_too_many(tmp_path: Path) -> None:
    async with city_of(tmp_path) as (_, ground):
        with ground.collecting():
            await until(lambda: (ground.state / "city_at.json").exists(), BETWEEN_S)
            second = await ground.gkc(
                *("city", "collect", "--config", str(ground.config), "--state", str(ground.state))
            )
            assert second.returncode == 1
            assert "another collector runs" in second.stderr
            done = await ground.gkc("--city", "records", "rebuild")
            assert done.returncode == 1
            assert "Stop it first" in done.stderr
            ground.env["GKC_RUN_DIR"] = str(tmp_path / "elsewhere" / "run")
            lost = await ground.gkc("city", "show")
            assert lost.returncode == 1
            assert "GKC_CITY_STATE" in lost.stderr
            ground.env["GKC_CITY_STATE"] = str(ground.state)
            shown = await ground.rows("city", "show")
            assert [row["center"] for row in shown] == list(NAMES)
            done = await ground.gkc("city", "accept", "zapad")
            assert done.returncode == 2
            assert "centr, sever, yug" in done.stderr
