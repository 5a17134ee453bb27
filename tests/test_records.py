"""What ended today is counted again after a start: all of it, once, a page at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from gkc_engine import records
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition
from gkc_engine.federation.briefs import TOLD, Briefs
from gkc_engine.ids import ContactId, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.records import RecordReader, RecordsError
from tests.recorder.test_records_columns import Play


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 9])
async def test_each_ended_contact_comes_once_whatever_the_pages(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PAGE", 3)
    url = schema.sqlite_url(str(tmp_path / "gkc.sqlite"))
    engine = schema.make_engine(url)
    schema.metadata.create_all(engine)
    # Three begin in each instant; beside them who came before, is not over, or saw no queue.
    rows: list[dict[str, Any]] = [
        row(f"c{n}", started=100 + n // 3, ended=200, wait_us=n) for n in range(count)
    ]
    rows += [
        row("early", started=99, ended=150),
        row("open", started=100, ended=None),
        row("late", started=100, ended=300),
        row("menu", started=100, ended=200, first_queued=None),
    ]
    with engine.begin() as connection:
        connection.execute(schema.contact.insert(), rows)
    engine.dispose()

    async def settle() -> None:
        pass

    reader = RecordReader(url, cast(Any, None), settle)
    try:
        pages = [page async for page in reader.ended(since=Instant(100), before=Instant(300))]
    finally:
        await reader.close()
    assert sorted(one.wait_us for page in pages for one in page) == list(range(count))
    assert all(len(page) <= 3 for page in pages)
    assert all(one.disposition is Disposition.ANSWERED for page in pages for one in page)


async def test_while_the_store_is_away_a_question_is_refused_and_a_start_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not there yet stands for a server that does not answer."""
    monkeypatch.setattr(records, "AGAIN_S", 0.01)
    url = schema.sqlite_url(str(tmp_path / "gkc.sqlite"))

    async def settle() -> None:
        pass

    reader = RecordReader(url, cast(Any, None), settle)
    with pytest.raises(RecordsError, match="records cannot be read now: unable to open"):
        await reader.list_contacts(since=None, queue=None, limit=1)
    waits = asyncio.ensure_future(reader.open_intervals(Instant(0)))
    done, _ = await asyncio.wait({waits}, timeout=0.05)
    assert not done
    engine = schema.make_engine(url)
    schema.metadata.create_all(engine)
    engine.dispose()
    assert await asyncio.wait_for(waits, 5) == {}
    await reader.close()


def row(contact_id: str, **values: object) -> dict[str, Any]:
    """Return a whole row of the contact table."""
    plain: dict[str, Any] = {
        column.name: None if column.nullable else ("" if column.type.python_type is str else 0)
        for column in schema.contact.columns
    }
    return (
        plain
        | {
            "contact_id": contact_id,
            "queue": "passport",
            "first_queued": 100,
            "disposition": "answered",
            "wait_us": 0,
        }
        | values
    )


async def test_what_the_ledger_says_of_some_contacts_is_had_again_after_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A contact that is sent on after a restart goes with what was known of it before."""
    monkeypatch.setattr(records, "IDS_AT_ONCE", 2)
    store = LedgerStore(url := schema.sqlite_url(str(tmp_path / "gkc.sqlite")))
    store.open()
    play = Play(store)
    for contact in ("c1", "c2", "c3", "c4"):
        play.arrive(ContactId(contact))
        play.say(ev.MenuAnswered(contact_id=ContactId(contact), menu="main", digit=contact[1]))
    play.say(ev.LanguageChosen(contact_id=ContactId("c1"), language="en"))
    store.close()

    async def settle() -> None:
        pass

    reader = RecordReader(url, cast(Any, None), settle)
    briefs = Briefs()
    try:
        briefs.follow(await reader.told([ContactId(f"c{n}") for n in (1, 2, 4)], TOLD))
    finally:
        await reader.close()
    one, two = briefs.of(ContactId("c1")), briefs.of(ContactId("c2"))
    assert one is not None
    assert two is not None
    assert (one.language, one.menu) == ("en", (("main", "1"),))
    assert two.menu == (("main", "2"),)
    assert briefs.of(ContactId("c3")) is None
    assert briefs.of(ContactId("c4")) is not None
