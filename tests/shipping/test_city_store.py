"""The city's store: the rows of all centers once, in their order; tables that add up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gkc_engine.engine import Step
from gkc_engine.ids import Instant, abroad
from gkc_engine.recorder import schema
from gkc_engine.recorder.behind import projected_seq
from gkc_engine.recorder.city import OFFERS_MAX, offer_id_in_center, offer_id_in_city
from gkc_engine.recorder.compare import differences
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.recorder.store import LedgerError, LedgerStore
from gkc_engine.shipping.batches import BadMessageError, Numbered, messages
from gkc_engine.shipping.city_store import CityStore, DoubleError, feeds
from gkc_engine.shipping.counts import last_of, of_center, of_city
from gkc_engine.shipping.position import Verdict
from gkc_engine.statistics import operators
from gkc_engine.statistics.figures import offered
from gkc_engine.statistics.rollups import Period, read, total
from tests.recorder.places import Place
from tests.shipping.world import (
    anew,
    batches,
    deliver,
    expected_rows,
    ledger,
    numbered,
    position,
    records,
    rows_in,
    tables,
    url_of,
    whole_city,
)

ALL = Period(since=Instant(0), until=Instant(10**14))


@pytest.fixture
def centers(tmp_path: Path, past: dict[str, list[Step]]) -> Iterator[dict[str, LedgerStore]]:
    made = {name: ledger(tmp_path, name, steps) for name, steps in past.items()}
    yield made
    for store in made.values():
        store.close()


@pytest.fixture
def ledgers(centers: dict[str, LedgerStore]) -> dict[str, list[Numbered]]:
    return {name: numbered(store) for name, store in centers.items()}


@pytest.fixture
def city(place: Place, ledgers: dict[str, list[Numbered]]) -> Iterator[CityStore]:
    made = whole_city(place.url, ledgers)
    yield made
    made.close()


def test_the_citys_ledger_is_those_of_the_centers(
    city: CityStore, ledgers: dict[str, list[Numbered]]
) -> None:
    for name, rows in ledgers.items():
        assert rows_in(city, name) == expected_rows(city, rows)
        assert position(city, name).seq == rows[-1][0]
    with city.store.transaction() as connection:
        seqs = list(connection.scalars(sa.select(schema.event.c.seq).order_by(schema.event.c.seq)))
    assert seqs == list(range(1, sum(map(len, ledgers.values())) + 1))


def test_made_anew_the_tables_are_the_same_to_the_last_byte(
    city: CityStore, place: Place, tmp_path: Path
) -> None:
    grown = tables(city.store)
    assert len(grown) > 200
    assert list(differences(place.url, tmp_path, lambda _: None)) == []
    assert anew(city.store) == grown


def test_a_store_read_back_row_by_row_folds_to_the_same(
    place: Place, ledgers: dict[str, list[Numbered]]
) -> None:
    """What a projector has at hand, and what it reads back in its center's words, is one."""
    first = {name: rows[: len(rows) // 2] for name, rows in ledgers.items()}
    half = whole_city(place.url, first)
    half.close()
    city = CityStore(place.url)
    city.open(sorted(ledgers))
    for name, rows in ledgers.items():
        n = len(rows) // 2
        for one in batches(rows, n):
            deliver(city, one[1])
            city.store._drop()  # nothing stays at hand
            city.store.stand_ready()
        assert position(city, name).seq == rows[-1][0]
    city.settle()
    grown = tables(city.store)
    assert anew(city.store) == grown
    city.close()


def test_each_centers_tables_are_its_own_in_the_citys_words(
    city: CityStore, centers: dict[str, LedgerStore]
) -> None:
    """As the center has them, but for the names of what only it knows."""
    numbers = {feed.number: name for name, feed in city.feeds.items()}
    offers = {
        (numbers[one["offer_id"] >> 42], offer_id_in_center(one["offer_id"]), one["agent_id"])
        for one in records(city.store, schema.offer)
    }
    own = {
        (name, one["offer_id"], own_name(name, one["agent_id"]))
        for name, store in centers.items()
        for one in records(store, schema.offer)
    }
    assert offers == own
    for table in (schema.contact, schema.segment, schema.agent_interval, schema.rollup):
        both = sum(len(records(store, table)) for store in centers.values())
        assert len(records(city.store, table)) == both, table.name


def own_name(center: str, agent: str) -> str:
    return agent if ":" in agent else f"{center}/{agent}"


def test_who_answered_elsewhere_is_named_on_both_sides(city: CityStore) -> None:
    """His own center's rows count his work; the owner's say who it was."""
    contacts = {one["contact_id"]: one for one in records(city.store, schema.contact)}
    guests = [one for one in contacts.values() if one["direction"] == "guest" and one["answered"]]
    assert len(guests) >= 3
    for guest in guests:
        owner = contacts[guest["origin"]]
        assert owner["center_entry"] == guest["owner"]
        center, _, agent = guest["agent_id"].partition("/")
        assert center == guest["center_entry"]
        assert owner["agent_id"] == abroad(center, agent)


def test_operators_talks_count_once_in_the_city(
    city: CityStore, centers: dict[str, LedgerStore]
) -> None:
    since, until = Instant(0), Instant(10**14)
    own = {}
    for name, store in centers.items():
        with store.transaction() as connection:
            for row in operators.rows(connection, since, until, operators.last_word(connection)):
                if row["agent_id"] is not None:
                    own[f"{name}/{row['agent_id']}"] = row
    with city.store.transaction() as connection:
        whole = operators.rows(connection, since, until, operators.last_word(connection))
    assert {row["agent_id"] for row in whole} == {*own, None}
    for row in whole[:-1]:
        theirs = own[row["agent_id"]]
        for key in ("handled", "talk_s", "offers", "wrap_up_s"):
            assert row[key] == theirs[key], (row["agent_id"], key)
    assert whole[-1]["handled"] == sum(row["handled"] for row in own.values()) > 10


def test_a_contact_counts_once_in_the_city(
    city: CityStore, centers: dict[str, LedgerStore]
) -> None:
    own = []
    for store in centers.values():
        with store.transaction() as connection:
            own.append(total(read(connection, ALL).values()))
    with city.store.transaction() as connection:
        by_center = read(connection, ALL, by=("center",))
        whole = total(read(connection, ALL).values())
        alone = total(by_center.values())
    citizens = {
        one["contact_id"] for one in records(city.store, schema.contact) if one["direction"] == "in"
    }
    assert offered(whole.counts) == sum(offered(one.counts) for one in own) == len(citizens)
    assert whole.counts.answered == sum(one.counts.answered for one in own)
    assert whole.counts == alone.counts
    assert whole.counts.overflow_answered == sum(one.counts.overflow_answered for one in own) >= 3
    assert whole.counts.guests_answered == whole.counts.overflow_answered
    answered = [
        one
        for one in records(city.store, schema.contact)
        if one["answered"] is not None and one["direction"] == "in" and one["first_queued"]
    ]
    assert whole.counts.answered == len(answered)


def test_the_counts_of_both_sides_are_the_same_up_to_any_row(
    place: Place, centers: dict[str, LedgerStore], ledgers: dict[str, list[Numbered]]
) -> None:
    half = {name: rows[: len(rows) * 2 // 3] for name, rows in ledgers.items()}
    city = whole_city(place.url, half)
    for name, rows in half.items():
        since, until = rows[50][1].ts_us, rows[-20][1].ts_us
        for first, last in ((0, 10**15), (since, until), (until, 10**15)):
            with centers[name].transaction() as connection:
                theirs = of_center(connection, first, last, rows[-1][0])
            with city.store.transaction() as connection:
                ours = of_city(connection, name, first, last, 10**9)
                assert last_of(connection, name, 10**9) == rows[-1][1].event_id
            assert ours == theirs
            assert ours.rows
    city.close()


def test_counts_are_exact_where_the_tables_are_behind(
    place: Place, centers: dict[str, LedgerStore], ledgers: dict[str, list[Numbered]]
) -> None:
    """Rows come in all the time: what is counted are those that the tables hold."""
    half = {name: rows[: len(rows) // 2] for name, rows in ledgers.items()}
    city = whole_city(place.url, half)
    for rows in ledgers.values():
        for _, data in batches(rows, len(rows) // 2):
            deliver(city, data)
    with city.store.transaction() as connection:
        mark = projected_seq(connection)
        assert mark == sum(map(len, half.values()))
        for name, rows in half.items():
            last = last_of(connection, name, mark)
            assert last == rows[-1][1].event_id
            ours = of_city(connection, name, 0, 10**15, mark)
            with centers[name].transaction() as own:
                assert of_center(own, 0, 10**15, rows[-1][0]) == ours
    city.close()


# --- what is refused ------------------------------------------------------------------------------


def test_a_center_never_writes_into_the_citys_store(city: CityStore, place: Place) -> None:
    city.close()
    other = Ledger(place.url, "sever")

    async def opened() -> None:
        try:
            await other.open()
        finally:
            await other.close()

    import asyncio

    with pytest.raises(LedgerError, match="the whole city"):
        asyncio.run(opened())


def test_the_city_never_writes_into_a_centers_store(centers: dict[str, LedgerStore]) -> None:
    centers["sever"].close()
    city = CityStore(url_of(centers["sever"]))
    with pytest.raises(LedgerError, match="records of a center"):
        city.open(["sever"])
    city.close()


def test_who_is_taken_out_of_the_config_is_told_to_have_left(city: CityStore, place: Place) -> None:
    city.note("yug", problem="not reached: no way there")
    city.note("centr", problem="another ledger")
    rows = len(rows_in(city, "yug"))
    city.close()

    def told(centers: list[str]) -> dict[str, str | None]:
        again = CityStore(place.url)
        again.open(centers)
        with again.store.transaction() as connection:
            found = {feed.center: feed.problem for feed in feeds(connection)}
        assert found == {feed.center: feed.problem for feed in again.feeds.values()}
        assert len(rows_in(again, "yug")) == rows, "its records stay"
        again.close()
        return found

    left = "not in collector.centers: it is not asked"
    assert told(["centr", "sever"]) == {"centr": "another ledger", "sever": None, "yug": left}
    assert told(["centr", "sever"])["yug"] == left
    assert told(["centr", "sever", "yug"])["yug"] is None


def test_a_row_with_the_id_of_anothers_is_not_taken(
    city: CityStore, ledgers: dict[str, list[Numbered]]
) -> None:
    seq, row = ledgers["sever"][-1]
    _, theirs = ledgers["yug"][0]
    stolen = row._replace(event_id=theirs.event_id)
    at = position(city, "sever")
    assert at.ledger is not None
    ((header, _),) = messages(
        [(seq + 1, stolen)], ledger=at.ledger, after=at.seq, after_id=at.event_id, told=seq + 1
    )
    with pytest.raises(DoubleError, match="yug's already"):
        city.take(header, [(seq + 1, stolen)], now=1, stream_seq=1)
    assert position(city, "sever") == at
    assert rows_in(city, "yug") == expected_rows(city, ledgers["yug"])


def test_older_rows_of_a_history_that_went_another_way_are_told_apart(
    city: CityStore, ledgers: dict[str, list[Numbered]]
) -> None:
    """They end before what the city has, so their numbers alone look like repeats."""
    rows = ledgers["sever"]
    again = batches(rows, 50)[1]
    assert deliver(city, again[1]).verdict is Verdict.REPEATED
    other = [(seq, row._replace(event_id=f"x{seq}")) for seq, row in rows[50:100]]
    ledger, after_id = rows[0][1].event_id, rows[49][1].event_id
    ((_, data),) = messages(other, ledger=ledger, after=50, after_id=after_id, told=100)
    assert deliver(city, data).verdict is Verdict.DIVERGED


@pytest.mark.parametrize(
    "data",
    [
        '{"contact_id":"x","medium":"voice","number":"n","entry":1}',
        '{"contact_id":"x","medium":"voice","number":"n","entry":"e","at":99999999999999999999}',
        '{"contact_id":"x"',
        "[]",
        "[" * 100_000,
    ],
)
def test_rows_that_make_no_sense_harm_nobody(
    city: CityStore, ledgers: dict[str, list[Numbered]], data: str
) -> None:
    seq, row = ledgers["sever"][-1]
    bad = row._replace(event_id="bad-1", kind="gkc.contact.started", data=data)
    at = position(city, "sever")
    assert at.ledger is not None
    ((header, _),) = messages(
        [(seq + 1, bad)], ledger=at.ledger, after=at.seq, after_id=at.event_id, told=seq + 1
    )
    with pytest.raises(BadMessageError, match=f"row {seq + 1}"):
        city.take(header, [(seq + 1, bad)], now=1, stream_seq=1)
    assert position(city, "sever") == at
    grown = tables(city.store)
    assert anew(city.store) == grown


def test_offers_of_two_centers_never_meet() -> None:
    ids = {offer_id_in_city(n, offer) for n in (1, 2, 2047) for offer in (0, 1, OFFERS_MAX - 1)}
    assert len(ids) == 9
    assert max(ids) < 2**53
    with pytest.raises(ValueError, match="offer"):
        offer_id_in_city(1, OFFERS_MAX)
