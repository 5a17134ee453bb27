"""The city's store takes a batch: what is kept of it, what is known of its center afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from nats.aio.msg import Msg

from gkc_engine.acd import events as ev
from gkc_engine.federation.settings import LinkSettings
from gkc_engine.recorder import schema
from gkc_engine.recorder.codec import Message, encode, kind_of
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.rows import Row
from gkc_engine.recorder.store import LedgerError, LedgerStore
from gkc_engine.shipping import city_store
from gkc_engine.shipping.batches import (
    BadMessageError,
    Header,
    Numbered,
    messages,
    opened,
    rows_of,
)
from gkc_engine.shipping.city_store import CityStore, DoubleError, Taken
from gkc_engine.shipping.feed import Feed
from gkc_engine.shipping.position import Position, Verdict
from tests.recorder.support import History
from tests.shipping.world import (
    batches,
    deliver,
    expected_rows,
    numbered,
    position,
    records,
    rows_in,
)

CENTERS = ("sever", "yug")
SIZE = 4
NOW = 77


@pytest.fixture
def ledgers(tmp_path: Path) -> dict[str, list[Numbered]]:
    """Some dozen rows of each center."""
    found = {}
    for name in CENTERS:
        past = History()
        past.configured()
        past.talk(f"{name}-1", "anna")
        store = LedgerStore(schema.sqlite_url(str(tmp_path / f"{name}.sqlite")))
        store.open()
        store.append(batch_of(past.steps, name))
        found[name] = numbered(store)
        store.close()
    return found


@pytest.fixture
def city(tmp_path: Path) -> Iterator[CityStore]:
    made = CityStore(schema.sqlite_url(str(tmp_path / "city.sqlite")))
    made.open(CENTERS)
    yield made
    made.close()


def take(
    city: CityStore, message: tuple[Header, bytes], told: int = 0, stream_seq: int = 1
) -> Taken:
    header, body = opened(message[1])
    rows = rows_of(header, body)
    return city.take(replace(header, told=told), rows, now=NOW, stream_seq=stream_seq)


def take_all(city: CityStore, rows: list[Numbered]) -> None:
    for message in batches(rows, SIZE):
        assert take(city, message).verdict is Verdict.TAKE


def stored(city: CityStore, center: str) -> city_store.Feed:
    """Return what is on disk of a center."""
    with city.store.transaction() as connection:
        return {one.center: one for one in city_store.feeds(connection)}[center]


def test_what_is_known_of_a_center_after_a_batch(
    city: CityStore, ledgers: dict[str, list[Numbered]]
) -> None:
    rows = ledgers["sever"]
    first, second, *_ = batches(rows, SIZE)
    city.note("sever", refused=2, problem="not reached")
    assert take(city, first, told=90, stream_seq=5) == Taken(Verdict.TAKE, SIZE)
    feed = stored(city, "sever")
    assert feed == city.feed("sever")
    assert feed.position == Position(
        ledger=rows[0][1].event_id, seq=rows[3][0], event_id=rows[3][1].event_id
    )
    assert (feed.ts_us, feed.taken_us) == (rows[3][1].ts_us, NOW)
    assert rows[3][1].ts_us > rows[0][1].ts_us
    assert (feed.stream_seq, feed.told_seq) == (5, 90)
    assert (feed.refused, feed.problem) == (2, None)
    take(city, second, told=1)  # As it never is: a row that came is known of.
    assert stored(city, "sever").told_seq == rows[7][0]


def test_what_was_refused_is_counted_and_what_is_wrong_stands_on_disk(city: CityStore) -> None:
    city.note("sever", refused=1, problem="bad")
    city.note("sever", refused=1, problem="worse")
    city.note("sever", problem="worst")
    assert stored(city, "sever") == city.feed("sever")
    assert (city.feed("sever").refused, city.feed("sever").problem) == (2, "worst")
    assert city.feed("yug").refused == 0


def test_after_a_word_a_ledger_is_taken_from_its_beginning_and_no_row_twice(
    city: CityStore, ledgers: dict[str, list[Numbered]]
) -> None:
    rows = ledgers["sever"]
    take_all(city, rows)
    city.note("sever", problem="another ledger")
    city.accept("sever")
    feed = stored(city, "sever")
    assert feed == city.feed("sever")
    assert (feed.position, feed.stream_seq, feed.problem) == (Position(), 0, None)
    assert take(city, batches(rows, SIZE)[0]) == Taken(Verdict.TAKE, 0)
    assert rows_in(city, "sever") == expected_rows(city, rows)


def test_older_rows_are_only_those_that_are_this_centers(
    city: CityStore, ledgers: dict[str, list[Numbered]]
) -> None:
    for rows in ledgers.values():
        take_all(city, rows)
    rows = ledgers["sever"]
    assert take(city, batches(rows, SIZE)[0]).verdict is Verdict.REPEATED
    header, body = opened(batches(rows, SIZE)[0][1])
    of_another = replace(header, last_id=ledgers["yug"][0][1].event_id)
    taken = city.take(of_another, rows_of(header, body), now=NOW, stream_seq=1)
    assert taken.verdict is Verdict.DIVERGED


def test_no_row_comes_twice_in_one_batch_nor_is_anothers(
    city: CityStore, ledgers: dict[str, list[Numbered]]
) -> None:
    header, body = opened(batches(ledgers["sever"], SIZE)[0][1])
    rows = rows_of(header, body)
    twice = [rows[0], (rows[1][0], rows[0][1]), *rows[2:]]
    with pytest.raises(BadMessageError, match="the same row twice"):
        city.take(header, twice, now=NOW, stream_seq=1)
    take_all(city, ledgers["yug"])
    stolen = [(rows[0][0], rows[0][1]._replace(event_id=ledgers["yug"][-1][1].event_id)), *rows[1:]]
    with pytest.raises(DoubleError, match="yug's already"):
        city.take(header, stolen, now=NOW, stream_seq=1)
    assert position(city, "sever") == Position()
    assert take(city, batches(ledgers["sever"], SIZE)[0]).rows == SIZE


def test_rows_are_looked_up_some_at_a_time(
    city: CityStore, ledgers: dict[str, list[Numbered]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is: also the first and the last of a lot."""
    monkeypatch.setattr(city_store, "_IDS", 3)
    take_all(city, ledgers["yug"])
    header, body = opened(batches(ledgers["sever"], 8)[0][1])
    rows = rows_of(header, body)
    for at, (seq, row) in enumerate(rows):
        stolen = list(rows)
        stolen[at] = (seq, row._replace(event_id=ledgers["yug"][0][1].event_id))
        with pytest.raises(DoubleError):
            city.take(header, stolen, now=NOW, stream_seq=1)


def test_what_makes_no_sense_leaves_no_trace(
    city: CityStore, ledgers: dict[str, list[Numbered]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of itself nor in what comes next; it is this center's fault, nobody else's."""
    first, second, *_ = batches(ledgers["sever"], SIZE)
    take(city, first)
    before = stored(city, "sever")
    with monkeypatch.context() as patch:
        fold = "gkc_engine.recorder.city.CityProjector.fold"
        patch.setattr(fold, lambda *_: (_ for _ in ()).throw(KeyError("no such thing")))
        with pytest.raises(BadMessageError, match="cannot be folded: KeyError"):
            take(city, second)
    assert stored(city, "sever") == city.feed("sever") == before
    city.store.append(batch_of([], "sever"))  # Nothing of it goes along with the next one.
    assert stored(city, "sever") == before
    assert take(city, second).rows == SIZE


def test_after_a_lost_connection_too_nothing_is_taken_that_makes_no_sense(
    city: CityStore, ledgers: dict[str, list[Numbered]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it is on disk before anybody looks at it, and the tables of all stand still."""
    first, second, *_ = batches(ledgers["sever"], SIZE)
    take(city, first)
    city.settle()
    with monkeypatch.context() as patch:
        fold = "gkc_engine.recorder.city.CityProjector.fold"
        patch.setattr(fold, lambda *_: (_ for _ in ()).throw(KeyError("no such thing")))
        city.store._drop()
        with pytest.raises(BadMessageError, match="cannot be folded: KeyError"):
            take(city, second)
    city.settle()
    assert len(rows_in(city, "sever")) == SIZE


def test_of_a_commit_in_doubt_the_database_tells(
    city: CityStore, ledgers: dict[str, list[Numbered]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = batches(ledgers["sever"], SIZE)
    whole = city.store.append

    def in_doubt(batch: object) -> object:
        whole(batch)  # type: ignore[arg-type]
        city.feeds["sever"] = known
        raise LedgerError("no answer")

    known = city.feed("sever")
    with monkeypatch.context() as patch:
        patch.setattr(city.store, "append", in_doubt)
        with pytest.raises(LedgerError, match="no answer"):
            take(city, first)
    assert take(city, first).verdict is Verdict.REPEATED
    assert take(city, second).rows == SIZE
    assert rows_in(city, "sever") == expected_rows(city, ledgers["sever"])[: 2 * SIZE]


def test_numbers_of_centers_are_given_once(
    tmp_path: Path, city: CityStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    city.close()
    url = schema.sqlite_url(str(tmp_path / "city.sqlite"))
    monkeypatch.setattr(city_store, "CENTERS_MAX", 3)
    more = CityStore(url)
    more.open(["centr", "yug"])  # Sever is collected no more; its rows stay, and its number.
    assert {name: feed.number for name, feed in more.feeds.items()} == {
        "sever": 1,
        "yug": 2,
        "centr": 3,
    }
    more.close()
    full = CityStore(url)
    with pytest.raises(LedgerError, match="more than 3 centers"):
        full.open(["zapad"])
    full.close()


@pytest.mark.parametrize(
    ("number", "taken"), [(2**63 - 1, True), (2**63, False), (-(2**63) - 1, False)]
)
@pytest.mark.parametrize("shape", ['{{"a":{{"b":{0}}}}}', '{{"a":[1,{0}]}}'])
def test_a_kind_that_a_newer_engine_has_is_kept_if_its_numbers_can_be(
    city: CityStore, ledgers: dict[str, list[Numbered]], number: int, taken: bool, shape: str
) -> None:
    header, body = opened(batches(ledgers["sever"], 1)[0][1])
    ((seq, row),) = rows_of(header, body)
    newer = row._replace(kind="gkc.contact.dreamt", data=shape.format(number))
    if taken:
        assert city.take(header, [(seq, newer)], now=NOW, stream_seq=1).rows == 1
        with city.store.transaction() as connection:
            assert connection.scalar(sa.select(schema.event.c.data)) == newer.data
    else:
        with pytest.raises(BadMessageError, match="more than 64 bits"):
            city.take(header, [(seq, newer)], now=NOW, stream_seq=1)


def as_of(center: str, seq: int, message: Message) -> Numbered:
    """Return a row in which a center says something."""
    row = Row(
        event_id=f"said-{seq}",
        ts_us=1_900_000_000_000_000 + seq,
        center=center,
        kind=kind_of(message),
        contact_id=None,
        agent_id=None,
        queue=None,
        offer_id=None,
        config_version="v",
        source="core",
        source_key=None,
        role="out",
        schema_version=1,
        data=encode(message),
    )
    return seq, row


def of_yug(city: CityStore) -> list[dict[str, Any]]:
    """Return the contacts of yug in the city's tables."""
    return [one for one in records(city.store, schema.contact) if one["center_entry"] == "yug"]


def test_what_a_center_says_of_anothers_contact_changes_nothing(
    city: CityStore, ledgers: dict[str, list[Numbered]]
) -> None:
    for rows in ledgers.values():
        take_all(city, rows)
    city.settle()
    (before,) = of_yug(city)
    known = position(city, "sever")
    said = as_of(
        "sever", known.seq + 1, ev.LanguageChosen(contact_id=before["contact_id"], language="xx")
    )
    ((_, data),) = messages(
        [said], ledger=str(known.ledger), after=known.seq, after_id=known.event_id, told=0
    )
    assert deliver(city, data).rows == 1
    city.settle()
    assert of_yug(city) == [before]


async def test_a_center_sends_its_own_rows_alone(
    city: CityStore, ledgers: dict[str, list[Numbered]]
) -> None:
    """By its own way it could name another in the header, too."""

    class Here:
        store = city

        def now(self) -> int:
            return NOW

        async def do(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it does
            return work()

    sever = Feed("sever", LinkSettings(urls=("nats://127.0.0.1:1",)), Here())
    where = SimpleNamespace(sequence=SimpleNamespace(stream=1))
    stolen, own = (
        cast(Msg, SimpleNamespace(data=batches(ledgers[name], SIZE)[0][1], metadata=where))
        for name in ("yug", "sever")
    )
    with pytest.raises(BadMessageError, match="it is of 'yug', not 'sever'"):
        await sever._stored(stolen)
    assert position(city, "yug") == Position()
    _, taken = await sever._stored(own)
    assert taken == Taken(Verdict.TAKE, SIZE)


def test_what_two_centers_say_by_one_key_are_two_facts(
    city: CityStore, ledgers: dict[str, list[Numbered]]
) -> None:
    for name, rows in ledgers.items():
        header, body = opened(batches(rows, SIZE)[0][1])
        said = [(seq, row._replace(source_key=f"k{seq}")) for seq, row in rows_of(header, body)]
        assert city.take(header, said, now=NOW, stream_seq=1).rows == SIZE
        assert [row.source_key for row in rows_in(city, name)] == [
            f"{name}:k{seq}" for seq, _ in said
        ]
