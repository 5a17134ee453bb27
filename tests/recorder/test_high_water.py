from __future__ import annotations

import shutil
from pathlib import Path

from gkc_engine.recorder import schema
from gkc_engine.recorder.high_water import HighWater, Marks
from gkc_engine.recorder.journal import Journal
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.recorder.recovery import Recovery
from gkc_engine.recorder.writer import DurableWriter
from tests.recorder.support import History


def writer_of(folder: Path) -> DurableWriter:
    return DurableWriter(
        Ledger(schema.sqlite_url(str(folder / "ledger.db")), "centr"),
        Journal(folder / "journal", size=64 * 1024),
        high_water=HighWater(folder / "high_water"),
    )


async def loaded(folder: Path) -> Recovery:
    writer = writer_of(folder)
    await writer.open()
    recovery = await writer.load()
    await writer.close()
    return recovery


async def test_a_backup_of_yesterday_gives_no_id_again(tmp_path: Path) -> None:
    writer = writer_of(tmp_path)
    await writer.open()
    yesterday = History()
    yesterday.talk("c1", "anna")
    await writer.write(yesterday.steps)
    await writer.close()
    shutil.copy(tmp_path / "ledger.db", tmp_path / "backup.db")
    writer = writer_of(tmp_path)
    await writer.open()
    today = History(sequence=1, offers=1)
    today.talk("c2", "anna")
    await writer.write(today.steps)
    await writer.close()
    (tmp_path / "backup.db").rename(tmp_path / "ledger.db")
    recovery = await loaded(tmp_path)
    assert recovery.next_offer_id == 3
    assert recovery.last_numbers == {2026: 2}


async def test_counters_have_no_cap(tmp_path: Path) -> None:
    writer = writer_of(tmp_path)
    await writer.open()
    history = History(sequence=2**53, offers=2**53)
    history.talk("c1", "anna")
    await writer.write(history.steps)
    await writer.close()
    (tmp_path / "high_water").unlink()  # From the ledger alone, too.
    recovery = await loaded(tmp_path)
    assert recovery.next_offer_id == 2**53 + 2
    assert recovery.last_numbers == {2026: 2**53 + 1}


def test_a_torn_file_is_a_new_one_and_a_new_year_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "high_water"
    path.write_bytes(b'{"offer": 12, "num')
    marks = HighWater(path)
    marks.open()
    assert marks.marks == Marks()
    history = History(sequence=10**12, offers=10**12)
    history.talk("c1", "anna")
    marks.note([m for s in history.steps for m in (s.event, *s.commands)])
    marks.close()
    again = HighWater(path)
    again.open()
    assert again.marks == Marks(10**12 + 1, {2026: 10**12 + 1})
    again.close()
