from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import AgentState
from gkc_engine.config.settings import applied
from gkc_engine.ids import AgentId, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.behind import MARK
from gkc_engine.recorder.codec import decode
from gkc_engine.recorder.ledger import Ledger, batch_of
from gkc_engine.recorder.rebuild import dump, settle_left
from gkc_engine.recorder.store import SNAPSHOTS_KEPT, LedgerError
from tests.config.cities import tiny_config
from tests.recorder.places import Place
from tests.recorder.support import START, History


@pytest.fixture
async def ledger(place: Place) -> AsyncIterator[Ledger]:
    ledger = Ledger(place.url, "centr")
    await ledger.open()
    yield ledger
    await ledger.close()


def day() -> History:
    history = History()
    history.configured()
    history.step(ev.AgentLoggedIn(agent_id=AgentId("anna")), key="login")
    history.talk("c1", "anna")
    history.abandon("c2", 3)
    return history


async def test_what_was_appended_is_loaded_in_order(ledger: Ledger) -> None:
    history = day()
    for step in history.steps:
        await ledger.append([step])
    recovery = await ledger.load()
    assert recovery.tail == history.steps
    assert recovery.settings is not None
    assert recovery.settings.version == "v1"
    assert recovery.next_offer_id == 2
    assert recovery.last_numbers == {2026: 2}
    assert recovery.last_now == history.now
    assert recovery.recent_source_keys == [
        ("ami", "login"),
        ("ami", "start-c1"),
        ("ami", "start-c2"),
    ]


async def test_a_store_of_the_next_version_is_refused(place: Place) -> None:
    ledger = Ledger(place.url, "centr")
    await ledger.open()
    await ledger.close()
    newer = f"{int(schema.REVISION) + 1:04}"
    place.sql(f"UPDATE alembic_version SET version_num = '{newer}'")
    again = Ledger(place.url, "centr")
    with pytest.raises(LedgerError, match=f"store version {newer}.*start the newer engine"):
        await again.open()
    await again.close()


async def test_the_config_itself_is_read_back(ledger: Ledger, place: Place, tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "config")
    history = History()
    history.step(applied(config, author="start"))
    await ledger.append(history.steps)
    await ledger.settle()
    ((kind, data),) = place.sql(
        "SELECT kind, data FROM config_version JOIN event USING (event_id) "
        f"WHERE hash = '{config.version}'"
    )
    event = decode(kind, data)
    assert isinstance(event, ev.SettingsApplied)
    assert hashlib.sha256(event.tree.encode()).hexdigest()[:16] == config.version
    tree = json.loads(event.tree)
    assert tree["ivr"].keys() == config.ivr.keys()
    assert tree["pbx"]["ami"]["secret"] == "env:GKC_AMI_SECRET"
    before = json.loads(data)
    for later in ("tree", "author", "diff"):
        del before[later]
    assert decode(kind, json.dumps(before)) == ev.SettingsApplied(settings=event.settings)


def contacts_in(place: Place) -> int:
    """Return how many contacts another process reads now."""
    return int(place.sql("SELECT count(*) FROM contact")[0][0])


async def test_the_projections_follow_by_themselves(ledger: Ledger, place: Place) -> None:
    await ledger.append(day().steps)
    assert contacts_in(place) == 0
    async with asyncio.timeout(10):
        while contacts_in(place) < 2:  # noqa: ASYNC110 - another process has no event to give
            await asyncio.sleep(0.02)


async def test_who_asks_for_it_reads_what_was_just_appended(ledger: Ledger, place: Place) -> None:
    await ledger.append(day().steps)
    await ledger.settle()
    assert contacts_in(place) == 2


async def test_a_locked_store_leaves_the_projections_behind_and_loses_nothing(
    ledger: Ledger, place: Place
) -> None:
    await ledger.append(day().steps)
    with place.held():
        await ledger.settle()
    assert contacts_in(place) == 0
    await ledger.settle()
    assert contacts_in(place) == 2


def test_a_killed_engines_store_is_read_whole(place: Place) -> None:
    store = place.store()
    store.open()
    store.append(batch_of(day().steps, "centr"))
    assert contacts_in(place) == 0
    store.engine.dispose()
    store._drop()  # As the kernel does; nothing is settled.
    settle_left(place.url)
    assert contacts_in(place) == 2


def test_a_store_without_a_mark_is_projected_anew(place: Place) -> None:
    store = place.store()
    store.open()
    store.append(batch_of(day().steps, "centr"))
    store.close()
    with store.engine.begin() as connection:
        grown = list(dump(connection))
        connection.execute(schema.meta.delete().where(schema.meta.c.key == MARK))
    store.open()
    with store.engine.begin() as connection:
        assert list(dump(connection)) == grown


async def test_a_new_ledger_starts_from_nothing(ledger: Ledger) -> None:
    recovery = await ledger.load()
    assert recovery.tail == []
    assert recovery.snapshot_state is None
    assert recovery.settings is None
    assert (recovery.next_offer_id, recovery.last_numbers, recovery.last_now) == (1, {}, 0)


async def test_replay_starts_after_the_last_snapshot(ledger: Ledger) -> None:
    history = day()
    await ledger.append(history.steps[:3])
    for n in range(SNAPSHOTS_KEPT + 2):
        await ledger.append(history.steps[3 + n : 4 + n])
        await ledger.snapshot(Instant(START + n), f'{{"n":{n}}}')
    await ledger.append(history.steps[5 + SNAPSHOTS_KEPT :])
    recovery = await ledger.load()
    assert recovery.snapshot_state == f'{{"n":{SNAPSHOTS_KEPT + 1}}}'
    assert recovery.tail == history.steps[5 + SNAPSHOTS_KEPT :]
    with ledger.store.engine.connect() as connection:
        kept = connection.scalar(sa.select(sa.func.count()).select_from(schema.snapshot))
    assert kept == SNAPSHOTS_KEPT


async def test_a_repeated_fact_that_changed_nothing_is_stored_once(ledger: Ledger) -> None:
    history = History()
    login = history.step(ev.AgentLoggedIn(agent_id=AgentId("anna")), key="k")
    await ledger.append([login])
    other = history.step(ev.AgentReady(agent_id=AgentId("anna")))
    appended = await ledger.append([login, other, login])
    assert appended.repeated == (("ami", "k"),)
    assert (await ledger.load()).tail == [login, other]


async def test_a_repeated_fact_that_was_acted_on_stays_for_replay(ledger: Ledger) -> None:
    history = day()
    start = history.steps[1]
    await ledger.append([start])
    start.commands.append(history.state("anna", AgentState.READY))
    appended = await ledger.append([start])
    assert appended.repeated == (("ami", "login"),)
    tail = (await ledger.load()).tail
    assert [s.source_key for s in tail] == ["login", None]
    assert tail[1].commands == start.commands


async def test_rows_in_doubt_are_not_doubled(ledger: Ledger) -> None:
    history = day()
    batch = batch_of(history.steps[:4], "centr")
    first = await ledger.submit(batch)
    again = await ledger.submit(batch)
    assert first.written == len(batch.rows)
    assert again.written == 0
    assert again.repeated == ()
    assert again.seq == first.seq
