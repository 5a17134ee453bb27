"""A whole engine at a real Asterisk ships its records: what it sends names nobody, a NATS that is
frozen costs no call, and the city counts what the center counts."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest
import sqlalchemy as sa

from gkc_engine.bus.config import RECORDS_USER
from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from gkc_engine.recorder import schema
from gkc_engine.shipping.collector import Collector
from gkc_engine.shipping.verify import compare
from tests.acceptance.desk import citizen_of
from tests.acceptance.harness import Scene, all_answer, scene
from tests.acceptance.stage import hears
from tests.federation.centers import SECRET, Buses, buses, until
from tests.shipping.net import collector_of, running

pytestmark = [pytest.mark.accept, pytest.mark.usefixtures("sipp")]

OWN = "testcity"
NUMBER = "+74957777777"


def shipping(city: Buses, folder: Path, options: CityOptions) -> CityOptions:
    """Return the options of a center that ships its records to its leaf node."""
    for name, text in (("secret", SECRET), ("token_key", "k" * 40)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)

    def tune(document: Document) -> None:
        if "pbx" not in document:
            return
        document["federation"] = {
            "nats": f"nats://127.0.0.1:{city.leaves[OWN].port}",
            "user": "link",
            "secret": f"file:{folder / 'secret'}",
            "token_key": f"file:{folder / 'token_key'}",
            "records": {"user": RECORDS_USER, "secret": f"file:{folder / 'secret'}"},
            "centers": {
                OWN: {"level": "city", "trunk": "127.0.0.21:5160"},
                "sever": {"level": "okrug", "parent": OWN, "status": "planned"},
            },
        }

    return dataclasses.replace(options, tune=tune)


async def served(city: Scene, ended: int) -> None:
    """Let a citizen call and be answered."""
    async with citizen_of(city.bench, "+79001230000", "Fedorov") as citizen:
        leg = await citizen.dial(NUMBER)
        await hears(leg, "hold-please")
        await leg.press("1")
        async with asyncio.timeout(30):
            await leg.ended.wait()
        assert leg.how == "BYE"
    await city.ended(ended)


def metric(city: Scene, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{city.city.ports.metrics}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


async def until_metric(city: Scene, name: str, least: float, most: float) -> None:
    async with asyncio.timeout(60):
        while not least <= await asyncio.to_thread(metric, city, name) <= most:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_calls_go_on_and_nobody_is_named(tmp_path: Path, install: Install) -> None:
    async with buses(tmp_path / "bus", (OWN,)) as city_bus:
        leaf = city_bus.leaves[OWN]
        async with scene(
            tmp_path,
            install,
            phones=partial(all_answer, talk_ms=500),
            options=partial(shipping, city_bus, tmp_path),
        ) as city:
            await city.login("anna")
            await served(city, 1)
            await until_metric(city, "gkc_shipping_behind_rows", 0, 0)
            assert leaf.pid is not None
            os.kill(leaf.pid, signal.SIGSTOP)
            await served(city, 2)
            await until_metric(city, "gkc_shipping_behind_rows", 1, 10_000)
            await until_metric(city, "gkc_shipping_up", 0, 0)
            os.kill(leaf.pid, signal.SIGCONT)
            await until_metric(city, "gkc_shipping_behind_rows", 0, 0)
            collector = collector_of(city_bus, (OWN,), tmp_path)
            async with running(collector):
                await until(lambda: collector.feeds[OWN].up)
                await caught_up(collector)
                await collector.do(lambda: names_nobody(collector))
                reading = schema.make_engine(
                    schema.sqlite_url(collector.settings.store), read_only=True
                )
                (outcome,) = await compare(reading, collector.settings.buses, 0, 10**16)
                reading.dispose()
                assert outcome.differences == {}
                assert outcome.here is not None
                assert outcome.here.ended == {"in answered": 2}
                assert outcome.here.rows > 20


async def caught_up(collector: Collector) -> None:
    """Wait until both contacts are in the city's tables."""

    def look() -> int:
        with collector.store.store.transaction() as connection:
            query = sa.select(sa.func.count()).where(schema.contact.c.disposition == "answered")
            return connection.scalar(query) or 0

    async with asyncio.timeout(60):
        while await collector.do(look) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def names_nobody(collector: Collector) -> None:
    """The numbers and names of those who called are in no table of the city."""
    with collector.store.store.transaction() as connection:
        citizens = connection.scalars(sa.select(schema.contact.c.citizen_id)).all()
        assert len(citizens) == 2
        assert all(citizens), "they are known by a key"
        for table in schema.metadata.sorted_tables:
            text = repr(connection.execute(sa.select(table)).all())
            assert "Fedorov" not in text, table.name
            assert "900123000" not in text, table.name
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.citizen)) == 0
