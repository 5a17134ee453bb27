"""Records of real ledgers over real NATS: what is killed, cut, wiped or full loses and doubles
nothing."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from gkc_engine.engine import Step
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.shipping import shipper as shipping
from gkc_engine.shipping.batches import Header, opened
from gkc_engine.shipping.collector import ACCEPT
from gkc_engine.shipping.line import STREAM, SUBJECT
from tests.federation.centers import Buses, buses, until
from tests.shipping.net import (
    BETWEEN_S,
    arrived,
    collector_of,
    has,
    records_client,
    running,
    shipped,
    shipper_of,
    whole,
)
from tests.shipping.world import (
    TWO,
    batches,
    expected_rows,
    goes_on,
    ledger,
    numbered,
    rows_in,
)


async def test_all_comes_to_the_city_and_what_comes_later_too(
    tmp_path: Path, stores: dict[str, LedgerStore], past: dict[str, list[Step]]
) -> None:
    async with shipped(tmp_path, stores) as (_city, collector, _shippers):
        for name, store in stores.items():
            goes_on(store, name, past)
        await arrived(collector, stores)
        await collector.do(lambda: whole(collector, stores))


async def test_the_hub_is_restarted_and_a_leaf_is_killed(
    tmp_path: Path, stores: dict[str, LedgerStore], past: dict[str, list[Step]]
) -> None:
    async with shipped(tmp_path, stores) as (city, collector, shippers):
        await city.hub.kill()
        want = goes_on(stores["sever"], "sever", past)
        await until(lambda: shippers[1].sent.seq == want, BETWEEN_S)  # the leaf goes on alone
        await city.leaves["centr"].kill()
        goes_on(stores["centr"], "centr", past)
        await city.hub.start()
        await until(lambda: has(collector, "sever", want), BETWEEN_S)
        assert not collector.feeds["centr"].up
        await city.leaves["centr"].start()
        await arrived(collector, stores)
        await collector.do(lambda: whole(collector, stores))


async def test_a_leaf_whose_store_is_wiped_is_filled_anew(
    tmp_path: Path, stores: dict[str, LedgerStore], past: dict[str, list[Step]]
) -> None:
    async with shipped(tmp_path, stores) as (city, collector, _shippers):
        await city.leaves["sever"].kill()
        shutil.rmtree(tmp_path / "bus" / "sever" / "store")
        goes_on(stores["sever"], "sever", past)
        await city.leaves["sever"].start()
        await arrived(collector, stores)
        await collector.do(lambda: whole(collector, stores))
        assert not collector.feeds["sever"].refused


async def test_a_city_store_put_back_from_a_copy_asks_for_what_it_lacks(
    tmp_path: Path,
    stores: dict[str, LedgerStore],
    past: dict[str, list[Step]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The leaf has purged what the city once had: the ledger still has it."""
    monkeypatch.setattr(shipping, "TIDY_S", 0.1)
    monkeypatch.setattr(shipping, "ROWS_MAX", 40)
    async with buses(tmp_path / "bus", TWO) as city:
        shippers = [shipper_of(city, store, name) for name, store in stores.items()]
        first = collector_of(city, TWO, tmp_path)
        async with running(*shippers):
            async with running(first):
                await arrived(first, stores)
            shutil.copy(tmp_path / "city.sqlite", tmp_path / "copy.sqlite")
            second = collector_of(city, TWO, tmp_path)
            async with running(second):
                for name, store in stores.items():
                    goes_on(store, name, past)
                await arrived(second, stores)
                await purged(city, "sever")
            shutil.copy(tmp_path / "copy.sqlite", tmp_path / "city.sqlite")
            third = collector_of(city, TWO, tmp_path)
            async with running(third):
                await arrived(third, stores)
                await third.do(lambda: whole(third, stores))
                assert third.feeds["sever"].refused["gap"] >= 1


async def purged(city: Buses, name: str) -> None:
    """Wait until a leaf's stream holds its last message alone."""
    client = await records_client(city, name)
    jetstream = client.jetstream()
    async with asyncio.timeout(BETWEEN_S):
        while (await jetstream.stream_info(STREAM)).state.messages > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await client.close()


async def messages_of(city: Buses, name: str) -> list[Header]:
    """Return what every message of a leaf's stream says of itself."""
    client = await records_client(city, name)
    jetstream = client.jetstream()
    state = (await jetstream.stream_info(STREAM)).state
    every = range(state.first_seq, state.last_seq + 1)
    found = [await jetstream.get_msg(STREAM, seq) for seq in every]
    await client.close()
    return [opened(one.data or b"")[0] for one in found]


async def test_what_the_city_has_is_purged_but_the_last_message(
    tmp_path: Path,
    stores: dict[str, LedgerStore],
    past: dict[str, list[Step]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By which a shipper that begins anew knows where it is."""
    monkeypatch.setattr(shipping, "TIDY_S", 0.1)
    monkeypatch.setattr(shipping, "ROWS_MAX", 40)
    async with buses(tmp_path / "bus", TWO) as city:
        collector = collector_of(city, TWO, tmp_path)
        shipper = shipper_of(city, stores["sever"], "sever")
        async with running(collector):
            async with running(shipper):
                await until(lambda: shipper.rows_sent > 0 and not shipper.behind, BETWEEN_S)
                await purged(city, "sever")
            want = goes_on(stores["sever"], "sever", past)
            again = shipper_of(city, stores["sever"], "sever")
            before = shipper.sent.seq
            async with running(again):
                await until(lambda: has(collector, "sever", want), BETWEEN_S)
            assert again.rows_sent == want - before


async def test_a_stream_that_is_full_waits_and_nothing_is_lost(
    tmp_path: Path,
    stores: dict[str, LedgerStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shipping, "STREAM_BYTES_MAX", 12_000)
    monkeypatch.setattr(shipping, "ROWS_MAX", 40)
    monkeypatch.setattr(shipping, "FULL_S", 0.1)
    async with buses(tmp_path / "bus", TWO) as city:
        shipper = shipper_of(city, stores["sever"], "sever")
        async with running(shipper):
            await until(lambda: shipper.failed["full"] >= 2, BETWEEN_S)
            assert shipper.behind > 0
            assert "takes nothing" in shipper.problem
            collector = collector_of(city, ("sever",), tmp_path)
            async with running(collector):
                await arrived(collector, {"sever": stores["sever"]})
                await collector.do(lambda: whole(collector, {"sever": stores["sever"]}))


async def test_two_shippers_of_one_ledger_double_nothing(
    tmp_path: Path, stores: dict[str, LedgerStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "ROWS_MAX", 20)
    async with buses(tmp_path / "bus", TWO) as city:
        collector = collector_of(city, ("sever",), tmp_path)
        pair = [shipper_of(city, stores["sever"], "sever") for _ in range(2)]
        async with running(*pair):
            await until(lambda: all(one.up and not one.behind for one in pair), BETWEEN_S)
            sent = await messages_of(city, "sever")
            assert [h.after for h in sent] == [0, *(h.last for h in sent[:-1])]
            async with running(collector):
                await arrived(collector, {"sever": stores["sever"]})
                await collector.do(lambda: whole(collector, {"sever": stores["sever"]}))
        assert sum(one.rows_sent for one in pair) >= len(numbered(stores["sever"]))
        assert not collector.feeds["sever"].refused


# --- strangers ------------------------------------------------------------------------------------


async def test_a_strangers_messages_are_refused_counted_and_stop_nobody(
    tmp_path: Path, stores: dict[str, LedgerStore], past: dict[str, list[Step]]
) -> None:
    foreign = batches(numbered(stores["centr"]), 50)
    mine = batches(numbered(stores["sever"]), 50)
    async with buses(tmp_path / "bus", TWO) as city:
        client = await records_client(city, "sever")
        collector = collector_of(city, TWO, tmp_path)
        shippers = [shipper_of(city, store, name) for name, store in stores.items()]
        async with running(collector, *shippers):
            await arrived(collector, stores)
            for data in (
                b"",
                b"junk",
                b'{"v":1}\n',
                foreign[0][1],  # another center's
                mine[0][1],  # an old one of its own
                mine[2][1][:-7],  # cut
                mine[1][1],
            ):
                await client.jetstream().publish(SUBJECT, data)
            for name, store in stores.items():
                goes_on(store, name, past)
            await arrived(collector, stores)
            await collector.do(lambda: whole(collector, stores))
            assert collector.feeds["sever"].refused["bad"] >= 5
            assert collector.store.feeds["sever"].refused >= 5
            assert not collector.feeds["centr"].refused
        await client.close()


async def test_a_center_installed_anew_waits_for_somebodys_word(
    tmp_path: Path, stores: dict[str, LedgerStore], past: dict[str, list[Step]]
) -> None:
    async with buses(tmp_path / "bus", TWO) as city:
        collector = collector_of(city, TWO, tmp_path)
        async with running(collector):
            async with running(shipper_of(city, stores["sever"], "sever")):
                await until(lambda: has(collector, "sever", 1), BETWEEN_S)
                await arrived(collector, {"sever": stores["sever"]})
            before = await collector.do(lambda: rows_in(collector.store, "sever"))
            fresh = ledger(tmp_path, "sever", past["sever"][:40], name="fresh")
            async with running(shipper_of(city, fresh, "sever")):
                await until(lambda: collector.store.feeds["sever"].refused == 1, BETWEEN_S)
                assert "gkc city accept sever" in str(collector.store.feeds["sever"].problem)
                (tmp_path / f"{ACCEPT}sever").touch()
                want = len(numbered(fresh))
                ours = numbered(fresh)[0][1].event_id
                await until(
                    lambda: (
                        collector.store.feeds["sever"].position.ledger == ours
                        and has(collector, "sever", want)
                    ),
                    BETWEEN_S,
                )
            after = await collector.do(lambda: rows_in(collector.store, "sever"))
            assert after == before + expected_rows(collector.store, numbered(fresh))
            assert collector.store.feeds["sever"].problem is None
            fresh.close()


async def test_a_ledger_put_back_from_a_copy_is_seen_and_taken_on_somebodys_word(
    tmp_path: Path, stores: dict[str, LedgerStore], past: dict[str, list[Step]]
) -> None:
    """Its rows have the numbers of those that the city has: none is passed over for another."""
    stores["sever"].close()
    shutil.copy(tmp_path / "sever.sqlite", tmp_path / "copy.sqlite")
    store = LedgerStore(f"sqlite:///{tmp_path / 'sever.sqlite'}")
    store.open()
    async with buses(tmp_path / "bus", TWO) as city:
        collector = collector_of(city, TWO, tmp_path)
        async with running(collector):
            want = goes_on(store, "sever", past)
            async with running(shipper_of(city, store, "sever")):
                await until(lambda: has(collector, "sever", want), BETWEEN_S)
            before = await collector.do(lambda: rows_in(collector.store, "sever"))
            old = LedgerStore(f"sqlite:///{tmp_path / 'copy.sqlite'}")
            old.open()
            same = len(numbered(old))
            goes_on(old, "sever", past)  # the same events, other rows: their ids are new
            async with running(shipper_of(city, old, "sever")):
                await until(lambda: collector.store.feeds["sever"].refused >= 1, BETWEEN_S)
                assert await collector.do(lambda: rows_in(collector.store, "sever")) == before
                (tmp_path / f"{ACCEPT}sever").touch()
                last = numbered(old)[-1]
                await until(
                    lambda: collector.store.feeds["sever"].position.event_id == last[1].event_id,
                    BETWEEN_S,
                )
            after = await collector.do(lambda: rows_in(collector.store, "sever"))
            assert after == before + expected_rows(collector.store, numbered(old))[same:]
            old.close()
    store.close()
