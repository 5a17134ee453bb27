"""Centers that ship over a real hub and real leaf nodes, and the city's collector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from nats.aio.client import Client

from gkc_engine.bus.config import RECORDS_USER, records_user
from gkc_engine.endings import end_tasks
from gkc_engine.federation.settings import CollectorSettings, LinkSettings, ShipperSettings
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.shipping.collector import Collector
from gkc_engine.shipping.shipper import Shipper
from tests.federation.centers import SECRET, Buses, buses, until
from tests.shipping.world import anew, expected_rows, numbered, rows_in, tables, url_of

BETWEEN_S = 60.0
"""Servers start, and the machine is shared."""


def shipper_of(city: Buses, store: LedgerStore, name: str, leaf: str = "") -> Shipper:
    """Return the shipper of a center; ``leaf``: beside another's."""
    return Shipper(url_of(store), ShipperSettings(center=name, bus=at_leaf(city, leaf or name)))


def at_leaf(city: Buses, name: str) -> LinkSettings:
    url = f"nats://127.0.0.1:{city.leaves[name].port}"
    return LinkSettings(urls=(url,), user=RECORDS_USER, password=SECRET)


def at_hub(city: Buses, name: str) -> LinkSettings:
    url = f"nats://127.0.0.1:{city.hub_port}"
    return LinkSettings(urls=(url,), user=records_user(name), password=SECRET)


def collector_of(
    city: Buses, names: Sequence[str], folder: Path, store: str | None = None
) -> Collector:
    settings = CollectorSettings(
        buses={name: at_hub(city, name) for name in names},
        store=store or str(folder / "city.sqlite"),
        timezone="Europe/Moscow",
    )
    return Collector(settings, folder, folder)


@asynccontextmanager
async def running(*works: Shipper | Collector) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run them until the end of the block."""
    tasks = [asyncio.get_running_loop().create_task(one.run()) for one in works]
    try:
        yield tasks
    finally:
        for one in works:
            if isinstance(one, Collector):
                one.request_stop()
        pairs = zip(works, tasks, strict=True)
        await end_tasks([task for one, task in pairs if isinstance(one, Shipper)])
        done = await asyncio.gather(*tasks, return_exceptions=True)
        for error in done:
            if isinstance(error, Exception):
                raise error


@asynccontextmanager
async def shipped(
    folder: Path, stores: dict[str, LedgerStore], store: str | None = None
) -> AsyncIterator[tuple[Buses, Collector, list[Shipper]]]:
    """Give centers that ship and a collector, once the city has all that they have."""
    async with buses(folder / "bus", tuple(stores)) as city:
        collector = collector_of(city, tuple(stores), folder, store)
        shippers = [shipper_of(city, own, name) for name, own in stores.items()]
        async with running(collector, *shippers):
            await arrived(collector, stores)
            yield city, collector, shippers


def has(collector: Collector, name: str, rows: int) -> bool:
    feed = collector.store.feeds.get(name)
    return feed is not None and feed.position.seq >= rows


async def arrived(collector: Collector, stores: dict[str, LedgerStore]) -> None:
    """Wait until the city has all that the centers have."""
    want = {name: len(numbered(store)) for name, store in stores.items()}
    await until(lambda: all(has(collector, name, n) for name, n in want.items()), BETWEEN_S)


def whole(collector: Collector, stores: dict[str, LedgerStore]) -> None:
    """The city's rows are the centers', each once and in order; the tables are theirs."""
    for name, store in stores.items():
        assert rows_in(collector.store, name) == expected_rows(collector.store, numbered(store))
    collector.store.settle()
    grown = tables(collector.store.store)
    assert anew(collector.store.store) == grown


async def records_client(city: Buses, name: str) -> Client:
    """Return a client of a center's records on its leaf: who has stolen its secret."""
    settings = at_leaf(city, name)
    client = Client()
    await client.connect(
        list(settings.urls), user=settings.user, password=settings.password, allow_reconnect=False
    )
    return client
