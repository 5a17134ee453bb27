"""What is destroyed, when, and what is not: the statistics, the young, and who is held."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from gkc_engine.config.store import sqlite_path
from gkc_engine.ids import SECOND, Instant, Micros
from gkc_engine.recorder import schema
from gkc_engine.recorder.citizens import CitizenError, Citizens
from gkc_engine.retention.run import (
    READ,
    HeldError,
    NothingKeptError,
    Places,
    Retention,
    Rules,
)
from tests.postgres import Server
from tests.recorder.places import all_bytes

DAY = 86_400 * SECOND
NOW = Instant(int(datetime(2026, 11, 29, 3, 40, tzinfo=UTC).timestamp()) * SECOND)
ANNA, BORIS, CLARA = "+79000000001", "+79000000002", "+79000000003"
WHO = "test"


@dataclass
class Place:
    """A center's folder with citizens in it."""

    folder: Path
    engine: sa.Engine
    reading: sa.Engine
    citizens: Citizens
    rules: Rules
    lists: list[Path]
    server: Server | None = None
    serial: int = 0

    @property
    def url(self) -> str:
        return str(self.engine.url)

    @property
    def retention(self) -> Retention:
        places = Places(
            recordings=self.folder / "recordings",
            legs=tuple(self.lists),
            acts=self.folder / "acts",
        )
        zone = ZoneInfo("Europe/Moscow")
        return Retention(self.reading, self.citizens, places, self.rules, ("Центр", zone))

    def call(self, number: str, days_ago: float, *, ended: bool = True) -> str:
        """Somebody has called; return his contact."""
        self.serial += 1
        began = Instant(NOW - round(days_ago * DAY))
        key = self.citizens.remember(number, "Тестова", raw=f"tel:{number}", now=began)
        contact = f"0190000-0000-7000-8000-{self.serial:013d}"
        day = datetime.fromtimestamp(began / SECOND, ZoneInfo("Europe/Moscow"))
        ref = f"{day:%Y/%m/%d}/{contact}-7.wav"
        row: dict[str, Any] = {c.name: None for c in schema.contact.columns}
        row |= dict.fromkeys(("medium", "direction", "initiation", "center_entry", "did"), "x")
        row |= {"contact_id": contact, "number": f"n{self.serial}", "language": "ru", "offers": 1}
        row |= {"step": 0, "wrap_up_us": 0, "config_version": "v", "citizen_id": key}
        row |= {"started": began, "ended": began + 60 * SECOND if ended else None}
        row |= {"disposition": "answered" if ended else None, "recording_refs": ref}
        with self.engine.begin() as connection:
            committed = self.citizens.write(connection)
            connection.execute(schema.contact.insert(), row)
        committed()
        path = self.folder / "recordings" / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"RIFF")
        with (self.folder / "legs.csv").open("a") as file:
            file.write(f'"CHAN_START","{began // SECOND}.000001","{number}","tel:{number}"\n')
        return contact

    def on_disk(self) -> bytes:
        if self.server is None:
            return all_bytes(self.folder)
        with self.server.connect() as connection:
            connection.execute("CHECKPOINT")
        return all_bytes(self.folder) + all_bytes(self.server.data, without="pg_wal")

    def recordings(self) -> set[str]:
        return {p.name[:36] for p in (self.folder / "recordings").rglob("*.wav")}

    def contacts(self) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(schema.contact)))


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, store_url: str) -> Iterator[Place]:
    engine = schema.make_engine(store_url)
    schema.metadata.create_all(engine)
    citizens = Citizens(engine, tmp_path / "citizen.key")
    rules = Rules(
        citizens=Micros(100 * DAY), recordings=Micros(30 * DAY), legs=Micros(50 * DAY), files={}
    )
    reading = schema.make_engine(store_url, read_only=True)
    sqlite = sqlite_path(store_url) is not None
    server = None if sqlite else request.getfixturevalue("postgres")
    yield Place(tmp_path, engine, reading, citizens, rules, [tmp_path / "legs.csv"], server)
    reading.dispose()
    engine.dispose()


def known(place: Place, number: str) -> bool:
    return place.citizens.reveal(place.citizens.key_of(number)) is not None


def test_who_was_put_through_to_keeps_his_number_for_as_long(place: Place) -> None:
    contact = place.call(ANNA, 200)
    place.call(BORIS, 200)
    row: dict[str, Any] = {c.name: None for c in schema.segment.columns}
    row |= dict.fromkeys(("party", "kind", "center", "outcome", "end_reason"), "x")
    row |= {"segment_id": f"{contact}.2", "contact_id": contact, "n": 2, "start": 0}
    row |= {"end": NOW - 99 * DAY, "citizen_id": place.citizens.key_of(BORIS)}
    with place.engine.begin() as connection:
        connection.execute(schema.segment.insert(), row)
    place.retention.run(NOW, WHO)
    assert [known(place, who) for who in (ANNA, BORIS)] == [False, True]
    place.retention.run(Instant(NOW + 2 * DAY), WHO)
    assert not known(place, BORIS)


def test_a_citizens_time_runs_from_his_last_contact(place: Place) -> None:
    place.call(ANNA, 200)
    place.call(BORIS, 200)
    place.call(BORIS, 99)
    place.call(CLARA, 200, ended=False)
    before = place.contacts()
    assert place.retention.due(NOW)["citizens"] == 1
    act = place.retention.run(NOW, WHO)
    assert act.destroyed["citizens"] == 1
    assert [known(place, who) for who in (ANNA, BORIS, CLARA)] == [False, True, True]
    assert place.contacts() == before  # The statistics are what they were.
    assert place.retention.due(NOW)["citizens"] == 0


def test_more_than_one_transaction_takes_are_destroyed_too(place: Place) -> None:
    for n in range(5):
        place.call(f"+7900000010{n}", 200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gkc_engine.retention.run.AT_ONCE", 2)
        assert place.retention.run(NOW, WHO).destroyed["citizens"] == 5


def test_recordings_go_by_the_centers_day_and_their_folders_with_them(place: Place) -> None:
    old, edge, young = (place.call(ANNA, days) for days in (31.5, 30.0, 29.0))
    assert place.retention.due(NOW)["recordings"] == 1
    act = place.retention.run(NOW, WHO)
    assert act.destroyed["recordings"] == 1
    assert place.recordings() == {edge, young}
    assert old not in place.recordings()
    assert not (place.folder / "recordings/2026/10/28").exists()
    assert (place.folder / "recordings/2026/10/30").is_dir()


def test_numbers_in_asterisks_lists_are_masked_by_age(place: Place) -> None:
    place.call(ANNA, 51)
    place.call(BORIS, 49)
    assert place.retention.run(NOW, WHO).destroyed["legs"] == 2
    legs = (place.folder / "legs.csv").read_bytes()
    assert ANNA[1:].encode() not in legs
    assert BORIS.encode() in legs
    # What was masked is not read again each night: a number put there by hand stays.
    (place.folder / "legs.csv").write_bytes(legs.replace(b"x" * 11, ANNA[1:].encode()))
    assert place.retention.run(NOW, WHO).destroyed["legs"] == 0


def calls_line(ended: Instant, number: str) -> str:
    """One of ``calls.csv``, whose seventh column says when."""
    stamps = [f"{(ended // SECOND) - back}.250000" for back in (60, 50, 0)]
    row = ["90000000099", "talked", number, "+74957777777", *stamps, "60.1", "50.1", "ANSWERED"]
    return ",".join(f'"{one}"' for one in [*row, f"centr-{stamps[0][:10]}.7"]) + "\n"


def test_calls_are_masked_by_their_end_and_keep_somebody_elses_id(place: Place) -> None:
    calls = place.folder / "calls.csv"
    old, young = (Instant(NOW - days * DAY) for days in (51, 49))
    calls.write_text(calls_line(old, ANNA) + calls_line(young, BORIS))
    place.lists.append(calls)
    place.call(CLARA, 1)
    assert place.retention.run(NOW, WHO).destroyed["legs"] == 2  # and the center's own number
    said = calls.read_text().splitlines(keepends=True)
    hidden = calls_line(old, "+" + "x" * 11).replace("+74957777777", "+" + "x" * 11)
    assert said == [hidden, calls_line(young, BORIS)]


@pytest.mark.parametrize("rotate", ["rename", "copy", "compress"])
def test_a_rotation_changes_nothing_of_what_is_masked(place: Place, rotate: str) -> None:
    """The list that comes after is longer, the old one is known under its new name."""
    legs, old = place.folder / "legs.csv", place.folder / "legs.csv-20261128"
    place.call(ANNA, 60)
    place.call(BORIS, 40)
    assert place.retention.run(NOW, WHO).destroyed["legs"] == 2
    assert place.retention.due(NOW)["legs"] == len(legs.read_bytes()) // 2
    if rotate == "copy":
        old.write_bytes(legs.read_bytes())
        legs.write_bytes(b"")
    else:
        legs.rename(old)
    if rotate == "compress":
        packed = Path(f"{old}.gz")
        packed.write_bytes(gzip.compress(old.read_bytes()))
        packed.chmod(0o640)
        old.unlink()
        old = packed
    for _ in range(4):
        place.call(CLARA, 30)
    later = Instant(NOW + 15 * DAY)
    assert place.retention.run(later, WHO).destroyed["legs"] == 2  # Boris, who lies in the old one
    text = gzip.decompress(old.read_bytes()) if rotate == "compress" else old.read_bytes()
    assert BORIS[1:].encode() not in text
    assert rotate != "compress" or old.stat().st_mode & 0o777 == 0o640
    assert legs.read_text().count(CLARA) == 8
    act = place.retention.erase(CLARA, "заявление", later, WHO)
    assert (act.destroyed["legs"], str(old) in act.places) == (8, True)
    assert place.retention.run(Instant(NOW + 30 * DAY), WHO).destroyed["legs"] == 0


def test_a_rotated_list_that_is_no_whole_file_is_named(place: Place) -> None:
    place.call(ANNA, 60)
    torn = place.folder / "legs.csv.2.gz"
    torn.write_bytes(gzip.compress(f"{ANNA}\n".encode() * 1000)[:-12])
    for act in (place.retention.erase(ANNA, "x", NOW, WHO), place.retention.run(NOW, WHO)):
        (left,) = act.left
        assert left.startswith(f"{torn}: ")
    assert not [p for p in place.folder.iterdir() if p.name.startswith(".")]


def test_who_has_just_hung_up_is_erased_a_moment_later(place: Place) -> None:
    place.call(ANNA, 60 / 86_400)  # It lasted a minute.
    with pytest.raises(HeldError, match="has ended just now"):
        place.retention.erase(ANNA, "x", NOW, WHO)
    assert place.retention.erase(ANNA, "x", Instant(NOW + 6 * SECOND), WHO).destroyed["legs"] == 2


def test_a_callers_text_is_found_as_the_lists_have_it(place: Place) -> None:
    """FILTER() leaves out what might break a line."""
    place.call("ivan@example.org", 1)
    with (place.folder / "legs.csv").open("a") as file:
        file.write('"ivanexample.org","ivanexample.orgs"\n')
    assert place.retention.erase("ivan@example.org", "x", NOW, WHO).destroyed["legs"] == 3
    assert (place.folder / "legs.csv").read_text().count("ivanexample.org") == 1


def test_files_are_deleted_by_age(place: Place) -> None:
    logs = place.folder / "logs"
    logs.mkdir()
    for name, days in (("messages.1", 9), ("messages.2", 11), ("other.2", 11)):
        (logs / name).write_text("+79000000001")
        os.utime(logs / name, (NOW // SECOND - days * 86_400,) * 2)
    place.rules = Rules(files={f"{logs}/messages.*": Micros(10 * DAY)})
    assert place.retention.due(NOW)["files"] == 1
    assert place.retention.run(NOW, WHO).destroyed["files"] == 1
    assert sorted(p.name for p in logs.iterdir()) == ["messages.1", "other.2"]


def test_without_rules_nothing_is_destroyed_and_no_act_is_written(place: Place) -> None:
    place.call(ANNA, 5000)
    place.rules = Rules(files={})
    assert place.retention.due(NOW) == dict.fromkeys(("citizens", "recordings", "legs", "files"), 0)
    assert not place.retention.run(NOW, WHO).anything
    assert not (place.folder / "acts").exists()
    assert known(place, ANNA)


# --- one citizen ----------------------------------------------------------------------------------


def test_of_an_erased_citizen_nothing_is_left_on_the_disk_but_the_statistics(place: Place) -> None:
    mine = [place.call(ANNA, days) for days in (200, 40, 0.5)]
    other = place.call(BORIS, 0.5)
    before = place.contacts()
    act = place.retention.erase("8 900 000-00-01", "заявление № 7", NOW, WHO)
    assert act.row | {"places": {}} == {
        "at": "2026-11-29T03:40:00.000000Z",
        "actor": WHO,
        "reason": "заявление № 7",
        "citizen": place.citizens.key_of(ANNA),
        "citizens": 1,
        "blocks": 0,
        "recordings": 3,
        "legs": 6,
        "files": 0,
        "places": {},
        "left": [],
    }
    disk = place.on_disk()
    for digits in (ANNA[1:], ANNA[2:], "900 000-00-01"):
        assert digits.encode() not in disk
    assert BORIS.encode() in disk
    assert place.recordings() == {other}
    assert not set(mine) & place.recordings()
    assert place.contacts() == before
    assert [known(place, who) for who in (ANNA, BORIS)] == [False, True]


def test_who_reads_the_store_is_waited_for_and_else_named(place: Place) -> None:
    """A reader keeps what was deleted in SQLite's write-ahead log, or in PostgreSQL's table even
    when that is written anew: his key may be read there."""
    place.call(ANNA, 1)
    key = place.citizens.key_of(ANNA)
    with place.engine.connect() as connection:
        sealed = connection.scalar(sa.select(schema.citizen_key.c.wrapped))
    assert isinstance(sealed, bytes)
    reading = schema.make_engine(place.url, read_only=True)
    with reading.connect() as reader:
        reader.execute(sa.select(schema.contact)).fetchall()
        retention = place.retention
        retention.readers_s = 0.0
        assert retention.erase(ANNA, "заявление", NOW, WHO).left == [READ]
        assert sealed in place.on_disk()
        ended = threading.Timer(0.3, reader.close)
        ended.start()
        act = place.retention.run(NOW, WHO)  # It waits for him.
    ended.join()
    reading.dispose()
    assert act.left == []
    assert sealed not in place.on_disk()
    assert place.citizens.reveal(key) is None


def test_a_number_is_also_found_as_the_network_sent_it(place: Place) -> None:
    place.call(ANNA, 1)
    place.citizens.remember(ANNA, raw="8   900   000   00   01", now=NOW)
    with (place.folder / "legs.csv").open("a") as file:
        file.write("8   900   000   00   01\n")
    assert place.retention.erase(ANNA, "заявление", NOW, WHO).destroyed["legs"] == 3
    assert b"900   000" not in place.on_disk()


def test_the_act_says_what_was_done_and_names_nobody(place: Place) -> None:
    place.call(ANNA, 1)
    act = place.retention.erase(ANNA, "заявление", NOW, WHO)
    (text,) = (place.folder / "acts").glob("*-erasure.txt")
    said = text.read_text()
    assert "29.11.2026 06:40:00 (Europe/Moscow)" in said
    assert f"гражданин с ключом {act.citizen}" in said
    assert "- записи разговоров: 1" in said
    assert ANNA[2:] not in said
    assert json.loads(text.with_suffix(".json").read_text()) == act.row
    assert (place.folder / "acts").stat().st_mode & 0o077 == 0


def test_who_was_erased_and_calls_again_is_kept_anew(place: Place) -> None:
    place.call(ANNA, 1)
    place.retention.erase(ANNA, "заявление", NOW, WHO)
    place.call(ANNA, 0)
    assert known(place, ANNA)


def test_nobody_a_withheld_number_and_one_on_the_line_are_refused(place: Place) -> None:
    with pytest.raises(NothingKeptError, match="nothing is kept under this number"):
        place.retention.erase(ANNA, "x", NOW, WHO)
    with pytest.raises(CitizenError, match="withheld"):
        place.retention.erase("anonymous", "x", NOW, WHO)
    contact = place.call(ANNA, 0, ended=False)
    with pytest.raises(HeldError, match=f"contact {contact} .* in progress"):
        place.retention.erase(ANNA, "x", NOW, WHO)
    assert known(place, ANNA)
    assert place.recordings() == {contact}


def test_a_file_that_cannot_be_worked_on_is_named_and_the_rest_is_done(place: Place) -> None:
    place.call(ANNA, 1)
    legs = place.folder / "legs.csv"
    legs.rename(place.folder / "away")
    legs.mkdir()
    act = place.retention.erase(ANNA, "заявление", NOW, WHO)
    assert act.left == [f"{legs}: Is a directory"]
    assert not known(place, ANNA)
    act = place.retention.run(NOW, WHO)
    assert act.left == [f"{legs}: Is a directory"]


# --- holds ----------------------------------------------------------------------------------------


def test_a_hold_keeps_number_and_recordings_until_it_is_removed(place: Place) -> None:
    held, free = place.call(ANNA, 200), place.call(BORIS, 200)
    key = place.retention.hold("89000000001", "суд", NOW, "юрист")
    assert place.retention.holds() == [
        {"citizen_key": key, "since": NOW, "actor": "юрист", "reason": "суд"}
    ]
    place.retention.run(NOW, WHO)
    assert [known(place, who) for who in (ANNA, BORIS)] == [True, False]
    assert place.recordings() == {held}
    assert free not in place.recordings()
    with pytest.raises(HeldError, match="is held \\(суд\\)"):
        place.retention.erase(ANNA, "x", NOW, WHO)
    place.retention.release(ANNA)
    assert place.retention.holds() == []
    with pytest.raises(NothingKeptError, match="is not held"):
        place.retention.release(ANNA)
    place.retention.run(Instant(NOW + 1), WHO)
    assert not known(place, ANNA)
    assert place.recordings() == set()
