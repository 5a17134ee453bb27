"""``gkc run`` of a center that has others: a whole engine on the bus, and what it shows of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.endings import end_tasks
from gkc_engine.federation.peers import State
from gkc_engine.federation.settings import FederationSettings
from gkc_engine.ids import QueueId
from tests.cli.test_run import Ground
from tests.federation.centers import SECRET, TAX, Buses, Node, buses, settings_of, until

pytestmark = pytest.mark.accept

OWN = "testcity"

PART = """
from gkc_engine import federating
from gkc_engine.federation.settings import *

def part_of(config, folder):
    assert config.center.name == "testcity"
    centers = (
        CenterEntry(name="testcity", level=CenterLevel.CITY, parent=None, status=CenterStatus.LIVE),
        CenterEntry(name="sever", level=CenterLevel.OKRUG, parent="testcity",
                    status=CenterStatus.PILOT),
    )
    rule = OverflowRule(queues=frozenset({"passport", "housing"}), to=("sever",), after_us=0,
                        gain_min_us=0, donor_sl_min_milli=0)
    settings = FederationSettings(center="testcity", peers=("sever",), rules=(rule,))
    link = LinkSettings(urls=("nats://127.0.0.1:PORT",), user="link", password="SECRET")
    return Part(settings=settings, link=link, centers=centers)

federating.part_of = part_of
"""
"""A ``sitecustomize`` for the engine: what ``federation:`` in its config would say."""


def grounded(folder: Path, city: Buses) -> Ground:
    ground = Ground(folder)
    site = folder / "site"
    site.mkdir()
    text = PART.replace("PORT", str(city.leaves[OWN].port)).replace("SECRET", SECRET)
    (site / "sitecustomize.py").write_text(text, encoding="utf-8")
    ground.env["PYTHONPATH"] = f"{site}:{os.environ.get('PYTHONPATH', '')}"
    return ground


def scraped(ground: Ground) -> str:
    with urlopen(f"http://127.0.0.1:{ground.metrics}/metrics", timeout=30) as page:
        text: str = page.read().decode()
    return text


def helped(ground: Ground) -> list[tuple[str, bool]]:
    """Return what the core was told of other centers that are there, as it is on record."""
    with closing(sqlite3.connect(ground.state / "gkc.sqlite")) as db:
        rows = db.execute(
            "SELECT data FROM event WHERE kind = 'gkc.queue.staffed_elsewhere' ORDER BY seq"
        )
        told = [json.loads(data) for (data,) in rows]
    return [(one["queue"], one["staffed"]) for one in told]


async def test_an_engine_is_heard_shows_the_others_and_says_goodbye(tmp_path: Path) -> None:
    async with buses(tmp_path / "bus", (OWN, "sever")) as city:
        part = FederationSettings(center="sever", peers=(OWN,))
        sever = Node(part, city.settings("sever"), 2)
        tasks = await sever.start()
        queues = (TAX, QueueId("passport"))
        sever.engine.submit(ev.SettingsApplied(settings=settings_of(2, queues)))
        ground = grounded(tmp_path, city)
        with ground.running() as process:
            await until(lambda: sever.state_of(OWN) is State.UNSTAFFED, 60.0)
            load = sever.federation.peers[OWN].load
            assert load is not None
            assert {"passport", "housing"} <= set(load.queues)
            rows = []
            for _ in range(100):
                done = await asyncio.to_thread(ground.gkc, "center", "show", "--json")
                assert done.returncode == 0, done.stderr
                rows = json.loads(done.stdout)
                if rows[1]["state"] == "normal":
                    break
            assert [row["center"] for row in rows] == [OWN, "sever"]
            assert rows[1]["queues"]["tax"]["ready"] == 2
            assert rows[0]["bus_up"]
            await until(lambda: helped(ground) == [("passport", True)], 10.0)
            text = await asyncio.to_thread(scraped, ground)
            assert 'gkc_center_up{center="sever"} 1.0' in text
            assert "gkc_bus_up 1.0" in text
            done = await asyncio.to_thread(ground.gkc, "agent", "login", "anna")
            assert done.returncode == 0, done.stderr
            await until(lambda: sever.state_of(OWN) is State.NORMAL)
            process.send_signal(signal.SIGTERM)
            await until(lambda: sever.state_of(OWN) is State.GOING_DOWN)
        await end_tasks(tasks)


def test_an_engine_that_runs_alone_says_so(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    with ground.running():
        done = ground.gkc("center", "show")
        assert done.returncode == 1
        assert "no others" in done.stderr
