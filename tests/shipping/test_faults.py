"""NATS without a disk, frozen again and again, or cut off in the midst: the rows wait, and come."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gkc_engine.engine import Step
from gkc_engine.recorder import schema
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.shipping import shipper as shipping
from gkc_engine.shipping.line import Line
from gkc_engine.shipping.shipper import Shipper
from gkc_engine.shipping.verify import compare
from tests.federation.centers import buses, until
from tests.recorder.places import Place
from tests.shipping.net import (
    BETWEEN_S,
    arrived,
    collector_of,
    running,
    shipped,
    shipper_of,
    whole,
)
from tests.shipping.world import TWO, goes_on

pytestmark = pytest.mark.accept
"""Each waits for time-outs of real servers."""


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Give a folder a file system of its own, real and small."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder.mkdir(parents=True)
    size = f"size={megabytes}m"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no mount here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path) -> None:
    """Take what room there is."""
    with path.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        for _ in range(1_000):
            filler.write(b"x" * 65_536)
    assert os.statvfs(path.parent).f_bavail == 0


async def test_a_leaf_without_disk_costs_no_row(
    tmp_path: Path,
    stores: dict[str, LedgerStore],
    past: dict[str, list[Step]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shipping, "ROWS_MAX", 20)
    monkeypatch.setattr(shipping, "FULL_S", 0.2)
    disk = tmp_path / "bus" / "sever"
    with small_disk(disk, 8):
        async with buses(tmp_path / "bus", TWO) as city:
            collector = collector_of(city, ("sever",), tmp_path)
            shipper = shipper_of(city, stores["sever"], "sever")
            async with running(collector, shipper):
                await arrived(collector, {"sever": stores["sever"]})
                fill(disk / "filler")
                goes_on(stores["sever"], "sever", past)
                await until(lambda: shipper.behind > 0 and shipper.problem != "", BETWEEN_S)
                (disk / "filler").unlink()
                # A nats-server whose disk was full gives up its JetStream until it starts anew.
                await city.leaves["sever"].stop()
                await city.leaves["sever"].start()
                await arrived(collector, {"sever": stores["sever"]})
                await collector.do(lambda: whole(collector, {"sever": stores["sever"]}))


@pytest.mark.parametrize("where", ["hub", "leaf"])
async def test_a_bus_that_freezes_again_and_again(
    tmp_path: Path,
    stores: dict[str, LedgerStore],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    monkeypatch.setattr(shipping, "ROWS_MAX", 5)
    async with buses(tmp_path / "bus", TWO) as city:
        collector = collector_of(city, ("sever",), tmp_path)
        shipper = shipper_of(city, stores["sever"], "sever")
        server = city.hub if where == "hub" else city.leaves["sever"]

        async def flap() -> None:
            for _ in range(12):
                server.signal(signal.SIGSTOP)
                await asyncio.sleep(0.15)
                server.signal(signal.SIGCONT)
                await asyncio.sleep(0.1)

        async with running(collector, shipper):
            await flap()
            await arrived(collector, {"sever": stores["sever"]})
            await collector.do(lambda: whole(collector, {"sever": stores["sever"]}))


async def test_a_center_with_either_database_ships(
    tmp_path: Path, place: Place, past: dict[str, list[Step]]
) -> None:
    store = place.store()
    store.open()
    store.append(batch_of(past["sever"][:200], "sever"))
    async with buses(tmp_path / "bus", TWO) as city:
        collector = collector_of(city, ("sever",), tmp_path)
        async with running(collector, shipper_of(city, store, "sever")):
            await arrived(collector, {"sever": store})
            store.append(batch_of(past["sever"][200:], "sever"))
            store.settle()
            await arrived(collector, {"sever": store})
            await collector.do(lambda: whole(collector, {"sever": store}))
            reading = schema.make_engine(
                schema.sqlite_url(collector.settings.store), read_only=True
            )
            (outcome,) = await compare(reading, collector.settings.buses, 0, 10**16)
            reading.dispose()
            assert outcome.differences == {}
            assert outcome.here is not None
            assert outcome.here.rows > 200


def tidied(patch: pytest.MonkeyPatch) -> list[Shipper]:
    """Have shippers look all the time at what the city has taken; return who has looked."""
    looked: list[Shipper] = []
    whole = Shipper._tidy

    async def tidy(shipper: Shipper, to: Line) -> None:
        await whole(shipper, to)
        looked.append(shipper)

    patch.setattr(shipping, "TIDY_S", 0.0)
    patch.setattr(shipping, "ROWS_MAX", 20)
    patch.setattr(Shipper, "_tidy", tidy)
    return looked


async def test_a_city_store_that_is_held_waits(
    tmp_path: Path,
    place: Place,
    stores: dict[str, LedgerStore],
    past: dict[str, list[Step]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody holds its tables; each commit of the collector fails meanwhile.

    What the city has not stored is not acknowledged, so that its leaf does not purge it.
    """
    looked = tidied(monkeypatch)
    async with shipped(tmp_path, stores, place.url) as (_city, collector, shippers):
        with place.held():
            for name, store in stores.items():
                goes_on(store, name, past)
            sever = collector.feeds["sever"]
            await until(lambda: "the city's store" in sever.problem, BETWEEN_S)
            before = looked.count(shippers[1])
            await until(lambda: looked.count(shippers[1]) > before + 1, BETWEEN_S)
        await arrived(collector, stores)
        await collector.do(lambda: whole(collector, stores))
        assert not sever.refused
        assert collector.store.feeds["sever"].refused == 0


async def test_a_city_that_begins_anew_while_the_stream_is_full_gets_it_all(
    tmp_path: Path,
    stores: dict[str, LedgerStore],
    past: dict[str, list[Step]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its store was lost while it was away: what it lacks is in no stream any more."""
    for name, value in (("ROWS_MAX", 5), ("TIDY_S", 0.1), ("FULL_S", 0.2)):
        monkeypatch.setattr(shipping, name, value)
    monkeypatch.setattr(shipping, "STREAM_BYTES_MAX", 32_768)
    ours = {"sever": stores["sever"]}
    async with buses(tmp_path / "bus", TWO) as city:
        shipper = shipper_of(city, stores["sever"], "sever")
        async with running(shipper):
            before = collector_of(city, ("sever",), tmp_path / "before")
            async with running(before):
                await arrived(before, ours)
            goes_on(stores["sever"], "sever", past)
            await until(lambda: shipper.failed["full"] > 0, BETWEEN_S)
            after = collector_of(city, ("sever",), tmp_path / "after")
            async with running(after):
                await arrived(after, ours)
                await after.do(lambda: whole(after, ours))
            assert after.feeds["sever"].refused["gap"] > 0
