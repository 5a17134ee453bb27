"""``gkc records verify --city``: each center is asked by its own shipper, without a network."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from gkc_engine.acd import events as ev
from gkc_engine.cli import _store, _verify_city
from gkc_engine.engine import Step
from gkc_engine.errors import PeerError
from gkc_engine.federation.settings import LinkSettings, ShipperSettings
from gkc_engine.recorder import schema
from gkc_engine.recorder.behind import MARK
from gkc_engine.recorder.codec import KINDS, decode
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.shipping import questions, verify
from gkc_engine.shipping.city_store import CityStore, Feed
from gkc_engine.shipping.counts import Counts, of_center
from gkc_engine.shipping.position import Position
from gkc_engine.shipping.shipper import Shipper
from gkc_engine.shipping.verify import NotSettledError, Outcome, compare
from tests.shipping.world import TWO, Past, goes_on, numbered, url_of, whole_city

BUS = LinkSettings(urls=("nats://127.0.0.1:1",))
ALL = (0, 10**15)
DAY_US = 86_400_000_000


class Answers:
    """The centers at the other end of the line."""

    def __init__(self, stores: dict[str, LedgerStore]) -> None:
        self.shippers = {
            name: Shipper(url_of(store), ShipperSettings(center=name, bus=BUS))
            for name, store in stores.items()
        }
        self.silent: set[str] = set()
        self.says: questions.Answer | None = None

    @asynccontextmanager
    async def line(self, bus: LinkSettings, name: str, center: str) -> AsyncIterator[str]:
        assert (bus, name) == (BUS, "gkc records verify")
        if center in self.silent:
            raise PeerError("no way there")
        yield center

    async def ask(
        self, center: str, question: questions.Question, within_s: float
    ) -> questions.Answer:
        assert within_s == verify.ASK_S
        if self.says is not None:
            return self.says
        said: list[bytes] = []

        async def publish(_to: str, data: bytes) -> None:
            said.append(data)

        message = SimpleNamespace(reply="there", data=questions.encode(question))
        to = SimpleNamespace(client=SimpleNamespace(publish=publish))
        await self.shippers[center]._answer(cast(Any, to), cast(Any, message))
        return questions.answer(said[0])

    def close(self) -> None:
        for shipper in self.shippers.values():
            shipper._thread.shutdown()
            shipper._outbox.close()


@pytest.fixture
def centers(stores: dict[str, LedgerStore], monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    made = Answers(stores)
    monkeypatch.setattr(verify, "line", made.line)
    monkeypatch.setattr(verify, "ask", made.ask)
    yield made
    made.close()


@pytest.fixture
def city(tmp_path: Path, stores: dict[str, LedgerStore]) -> Iterator[CityStore]:
    ledgers = {name: numbered(store) for name, store in stores.items()}
    made = whole_city(schema.sqlite_url(str(tmp_path / "city.sqlite")), ledgers)
    yield made
    made.close()


async def compared(city: CityStore, *asked: str) -> dict[str, Outcome]:
    buses = dict.fromkeys(asked or TWO, BUS)
    found = await compare(city.store.engine, buses, *ALL)
    assert [one.center for one in found] == list(TWO)
    return {one.center: one for one in found}


async def test_both_sides_have_the_same(
    city: CityStore, centers: Answers, stores: dict[str, LedgerStore]
) -> None:
    del centers
    for name, one in (await compared(city)).items():
        rows = numbered(stores[name])
        assert one.here == one.city
        assert one.city.rows == len(rows)
        assert sum(one.city.begun.values()) > 3
        assert (one.differences, one.problem, one.behind) == ({}, None, 0)
        assert (one.last, one.last_us) == (rows[-1][0], rows[-1][1].ts_us)


def test_who_is_said_to_have_come_twice_counts_once(stores: dict[str, LedgerStore]) -> None:
    """An engine that is started anew may say it again."""
    store = stores["sever"]
    with store.transaction() as connection:
        before = of_center(connection, *ALL, 10**9)
        c, e = schema.contact.c, schema.event.c
        query = sa.select(e.data, e.ts_us).where(e.kind == KINDS[ev.ContactStarted]).limit(1)
        data, now = connection.execute(query).one()
        number = sa.select(sa.func.count()).where(c.direction == "in")
        assert 3 < before.begun["in"] == connection.scalar(number)
    again = decode(KINDS[ev.ContactStarted], data)
    assert isinstance(again, ev.ContactStarted)
    step = Step(now=now, event=again, source="core", source_key=None, commands=[])
    store.append(batch_of([step], "sever"))
    store.settle()
    with store.transaction() as connection:
        after = of_center(connection, *ALL, 10**9)
    assert (after.begun, after.rows) == (before.begun, before.rows + 1)


async def test_what_the_city_has_otherwise_is_named_with_both_figures(
    city: CityStore, centers: Answers
) -> None:
    del centers
    with city.store.transaction() as connection:
        c = schema.contact.c
        ours = (c.center_entry == "sever") & (c.direction == "in") & (c.disposition == "answered")
        one = connection.scalar(sa.select(sa.func.min(c.contact_id)).where(ours))
        change = schema.contact.update().where(c.contact_id == one)
        connection.execute(change.values(disposition="abandoned_menu"))
    found = await compared(city)
    assert found["centr"].differences == {}
    sever = found["sever"]
    assert sever.here is not None
    was = sever.here.ended["in answered"]
    assert sever.differences == {
        "ended in abandoned_menu": (0, 1),
        "ended in answered": (was, was - 1),
    }


async def test_a_center_that_goes_on_is_behind_and_not_different(
    city: CityStore, centers: Answers, stores: dict[str, LedgerStore], past: Past
) -> None:
    del centers
    before = len(numbered(stores["sever"]))
    rows = goes_on(stores["sever"], "sever", past)
    found = await compared(city)
    assert found["sever"].differences == {}
    assert found["sever"].behind == rows - before
    assert found["sever"].last == rows
    assert found["centr"].behind == 0


async def test_who_is_silent_and_who_is_not_asked(city: CityStore, centers: Answers) -> None:
    centers.silent.add("sever")
    found = await compared(city)
    assert (found["sever"].here, found["sever"].problem) == (None, "no way there")
    assert found["sever"].city.rows
    assert found["centr"].here is not None
    found = await compared(city, "sever")
    assert found["centr"].here is None
    assert found["centr"].problem == "not in collector.centers: it is not asked"
    assert (found["centr"].left, found["sever"].left) == (True, False)


async def test_another_ledger_is_told(
    city: CityStore, centers: Answers, stores: dict[str, LedgerStore]
) -> None:
    centers.shippers["sever"], centers.shippers["centr"] = (
        centers.shippers["centr"],
        centers.shippers["sever"],
    )
    found = await compared(city)
    assert found["sever"].here is None
    assert "not in this ledger: it is another one" in str(found["sever"].problem)
    counts = Counts(rows=found["sever"].city.rows)
    centers.says = questions.Answer(center="sever", ledger="other", last=3, counts=counts)
    found = await compared(city)
    assert found["sever"].problem == "another ledger than the city has: gkc city accept sever"
    centers.says = questions.Answer(center="sever")
    assert (await compared(city))["sever"].problem == "an answer without counts"
    del stores


async def test_without_tables_nothing_is_compared(city: CityStore, centers: Answers) -> None:
    del centers
    with city.store.transaction() as connection:
        connection.execute(schema.meta.delete().where(schema.meta.c.key == MARK))
    with pytest.raises(NotSettledError, match="run the collector"):
        await compared(city)


# --- the command ----------------------------------------------------------------------------------


def outcome(center: str, **how: Any) -> Outcome:  # noqa: ANN401 - as the class takes them
    counts = Counts(rows=9, begun={"in": 2, "out": 1}, ended={"in answered": 2})
    feed = Feed(center=center, number=1, position=Position(seq=9), ts_us=10**12, told_seq=9)
    made = Outcome(center=center, feed=feed, city=counts, here=counts)
    return replace(made, **how)


def said(
    folder: Path, patch: pytest.MonkeyPatch, outcomes: list[Outcome], *words: str
) -> tuple[int, str]:
    """Return the command's exit code and what it prints."""
    note = {"store": str(folder / "city.sqlite"), "config": str(folder), "state": str(folder)}
    (folder / "city_at.json").write_text(json.dumps(note | {"timezone": "Europe/Moscow"}))
    patch.setenv("GKC_CITY_STATE", str(folder))
    patch.setattr(_store, "_city", True)
    patch.setattr(_verify_city, "_buses", lambda _note: {})
    asked: list[tuple[int, int]] = []

    async def made(_engine: object, _buses: object, since: int, until: int) -> list[Outcome]:
        asked.append((since, until))
        return outcomes

    patch.setattr(verify, "compare", made)
    from gkc_engine.cli import records

    day = () if words == ("today",) else ("--day", "1970-01-12", *words)
    then, began = 11 * DAY_US, time.time_ns() // 1_000
    done = CliRunner().invoke(records.app, ["verify", "--city", *day])
    ended = time.time_ns() // 1_000  # It may have become midnight.
    ((since, until),) = asked
    began, ended = (then, then) if day else (began, ended)
    assert until == since + DAY_US
    assert since <= ended, done.output
    assert began < until, done.output
    assert since % DAY_US == 21 * DAY_US // 24  # Midnight of Moscow.
    return done.exit_code, done.stdout


@pytest.fixture
def there(tmp_path: Path) -> Path:
    store = CityStore(schema.sqlite_url(str(tmp_path / "city.sqlite")))
    store.open(["sever"])
    store.close()
    return tmp_path


def test_a_day_without_a_difference(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = said(there, monkeypatch, [outcome("sever")])
    assert code == 0
    assert text.splitlines()[1:] == [
        "sever: 9 rows, 3 begun, 2 ended; up to date",
        "0 differences",
    ]


def test_it_is_today_unless_a_day_is_named(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(there, monkeypatch, [outcome("sever")], "today")[0] == 0


UNTIL = "1970-01-12T13:46:40.000000Z"


@pytest.mark.parametrize(
    ("how", "lines"),
    [
        (
            {"differences": {"rows": (9, 8)}},
            ["  rows: 9 at the center, 8 in the city", "1 difference"],
        ),
        (
            {"here": None, "problem": "no way there"},
            [
                "  does not answer (no way there); its records are here until " + UNTIL,
                "0 differences",
            ],
        ),
        ({"problem": "another ledger"}, ["  another ledger", "0 differences"]),
    ],
)
def test_what_is_wrong_is_said_and_the_exit_code_says_that_something_is(
    there: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], lines: list[str]
) -> None:
    code, text = said(there, monkeypatch, [outcome("sever", **how)])
    assert code == 1
    assert text.splitlines()[2:] == lines


def test_who_is_behind_or_was_refused_is_said_and_is_no_difference(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(
        center="sever", number=1, position=Position(seq=9), ts_us=10**12, told_seq=12, refused=4
    )
    late = outcome("sever", feed=feed, last=19, last_us=10**12 + 2_600_000)
    code, text = said(there, monkeypatch, [late])
    assert code == 0
    assert text.splitlines()[1:3] == [
        "sever: 9 rows, 3 begun, 2 ended; 10 rows behind (3 s)",
        "  4 messages of it were refused (gkc city show)",
    ]


def test_of_whom_there_is_no_row_yet_it_is_not_said_how_late_he_is(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(center="sever", number=1, position=Position(seq=0), ts_us=0, told_seq=0)
    new = outcome("sever", feed=feed, city=Counts(rows=0), last=224, last_us=10**12)
    code, text = said(there, monkeypatch, [new])
    assert code == 0
    assert text.splitlines()[1] == "sever: 0 rows, 0 begun, 0 ended; 224 rows behind"
    (row,) = json.loads(said(there, monkeypatch, [new], "--json")[1])
    assert (row["behind_rows"], row["behind_s"], row["records_until"]) == (224, None, None)


def test_who_left_the_city_is_said_and_is_no_fault(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = outcome("sever", here=None, problem="not asked", left=True)
    code, text = said(there, monkeypatch, [left])
    assert code == 0
    assert text.splitlines()[1:] == [
        "sever: 9 rows, 3 begun, 2 ended; left",
        "  not asked; its records are here until " + UNTIL,
        "0 differences",
    ]


def test_the_same_for_machines(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = outcome("sever", differences={"rows": (9, 8)}, last=11, last_us=10**12 + 2_500_000)
    silent = outcome("yug", here=None, problem="no way there")
    anew = outcome("anew", problem="another ledger")
    refused = Feed(center="zapad", number=3, problem="another ledger", refused=2)
    code, text = said(
        there, monkeypatch, [bad, silent, outcome("zapad", feed=refused), anew], "--json"
    )
    assert code == 1
    counts = {"rows": 9, "begun in": 2, "begun out": 1, "ended in answered": 2}
    first, second, third, fourth = json.loads(text)
    assert first == {
        "center": "sever",
        "day": "1970-01-12",
        "differences": {"rows": {"center": 9, "city": 8}},
        "answered": True,
        "left": False,
        "problem": None,
        "counts": counts,
        "center_counts": counts,
        "records_until": UNTIL,
        "behind_rows": 2,
        "behind_s": 2.5,
        "refused": 0,
    }
    assert (second["answered"], second["center_counts"], second["behind_s"]) == (False, None, None)
    assert second["problem"] == "no way there"
    assert (third["problem"], third["refused"]) == ("another ledger", 2)
    assert third["records_until"] is None
    assert (fourth["answered"], fourth["problem"]) == (True, "another ledger")
