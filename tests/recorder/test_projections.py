from __future__ import annotations

import itertools
import os
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import ContactClass
from gkc_engine.ids import AgentId, ContactId, OfferId, seconds
from gkc_engine.recorder import schema
from gkc_engine.recorder.citizens import Citizens
from gkc_engine.recorder.ledger import Ledger, batch_of
from gkc_engine.recorder.queries import show_contact
from gkc_engine.recorder.queue_log import QueueLog
from gkc_engine.recorder.queue_log_file import QueueLogFile
from gkc_engine.recorder.rebuild import dump, rebuild
from gkc_engine.recorder.store import LedgerStore
from tests.postgres import Server
from tests.recorder.places import Place, PostgresPlace, SqlitePlace
from tests.recorder.support import History

EXAMPLES = int(os.environ.get("GKC_RECORDER_EXAMPLES", "12"))
"""Each writes two databases; a night may take thousands."""

MANY = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
FEW = settings(MANY, max_examples=3)
"""Over one connection to a server each example takes ten times as long."""

AGENTS = ("anna", "ben", "clara")


@pytest.fixture
async def ledger(place: Place) -> AsyncIterator[Ledger]:
    ledger = Ledger(place.url, "centr")
    await ledger.open()
    yield ledger
    await ledger.close()


def random_day(seed: int, contacts: int) -> History:
    """Answered, abandoned, missed and open contacts; log-outs, late codes, repeated facts."""
    chance = random.Random(seed)
    history = History()
    history.configured()
    for agent in AGENTS:
        history.step(
            ev.AgentLoggedIn(agent_id=AgentId(agent)), history.state(agent, cm.AgentState.READY)
        )
    for n in range(contacts):
        contact = f"c{n}"
        agent = chance.choice(AGENTS)
        history.after(chance.choice((0, 0.5, 30)))
        match chance.randrange(6):
            case 0:
                history.abandon(contact, chance.choice((0, 4, 5, 5.000001, 90)))
            case 1:
                miss(history, contact, agent, chance)
            case 2:
                history.arrive(contact)
                history.offered(contact, agent)
            case 3:
                history.talk(contact, agent)
                history.step(
                    ev.WrapUpCoded(agent_id=AgentId(agent), code="ok"),
                    cm.WrapUpResult(
                        agent_id=AgentId(agent), contact_id=ContactId(contact), code="ok"
                    ),
                )
            case 4:
                history.step(
                    ev.AgentLoggedOut(agent_id=AgentId(agent)),
                    history.state(agent, cm.AgentState.OFFLINE),
                )
            case _:
                history.talk(contact, agent, ring_s=chance.choice((0, 25)))
    history.configured("v2")
    return history


def miss(history: History, contact: str, agent: str, chance: random.Random) -> None:
    history.arrive(contact)
    queued = history.now
    offer = history.offered(contact, agent)
    history.after(20)
    outcome = chance.choice([o for o in cm.OfferOutcome if o is not cm.OfferOutcome.ACCEPTED])
    history.step(
        ev.Tick(),
        history.offer_ended(contact, agent, offer, queued, outcome),
        history.state(agent, cm.AgentState.NOT_READY),
    )


def store_of(place: Place, history: History, sizes: Sequence[int]) -> LedgerStore:
    """Write ``history`` in groups of ``sizes``, over and over.

    After each group of 50 the store is closed and opened again, after one of 2 its projections
    are written, after one of 7 the process dies: what was not written is gone.
    """
    store = place.store()
    store.open()
    at, turn = 0, 0
    while at < len(history.steps):
        size = sizes[turn % len(sizes)]
        store.append(batch_of(history.steps[at : at + size], "centr"))
        if size == 2:
            store.settle()
        elif size == 50:
            store.close()
        elif size == 7:
            store._drop()
            store = place.store()
            store.open()
        at, turn = at + size, turn + 1
    store.settle()
    return store


def dumped(store: LedgerStore) -> list[str]:
    with store.transaction() as connection:
        return [line for line in dump(connection) if not line.startswith("config_version")]


GROWN = given(
    seed=st.integers(0, 2**32),
    contacts=st.integers(1, 25),
    sizes=st.lists(st.sampled_from((1, 2, 7, 50)), min_size=1, max_size=4),
)


@MANY
@GROWN
def test_rebuilt_projections_are_the_same_however_they_grew(
    tmp_path: Path, seed: int, contacts: int, sizes: list[int]
) -> None:
    rebuilt_projections_are_the_same_however_they_grew(SqlitePlace(tmp_path), seed, contacts, sizes)


@pytest.mark.accept
@FEW
@GROWN
def test_rebuilt_projections_are_the_same_however_they_grew_on_postgresql(
    postgres: Server, seed: int, contacts: int, sizes: list[int]
) -> None:
    with PostgresPlace(postgres) as place:
        rebuilt_projections_are_the_same_however_they_grew(place, seed, contacts, sizes)


def rebuilt_projections_are_the_same_however_they_grew(
    place: Place, seed: int, contacts: int, sizes: list[int]
) -> None:
    history = random_day(seed, contacts)
    store = store_of(place.another(), history, sizes)
    grown = dumped(store)
    other = store_of(place.another(), history, [len(history.steps)])
    assert dumped(other) == grown
    with store.transaction() as connection:
        versions = list(dump(connection))
    assert rebuild(store) == len(batch_of(history.steps, "centr").rows)
    with store.transaction() as connection:
        assert list(dump(connection)) == versions
    store.close()
    other.close()


DAYS = given(seed=st.integers(0, 2**32), contacts=st.integers(1, 40))


@MANY
@DAYS
def test_the_records_reconcile(tmp_path: Path, seed: int, contacts: int) -> None:
    the_records_reconcile(SqlitePlace(tmp_path), seed, contacts)


@pytest.mark.accept
@FEW
@DAYS
def test_the_records_reconcile_on_postgresql(postgres: Server, seed: int, contacts: int) -> None:
    with PostgresPlace(postgres) as place:
        the_records_reconcile(place, seed, contacts)


def the_records_reconcile(place: Place, seed: int, contacts: int) -> None:
    history = random_day(seed, contacts)
    store = store_of(place.another(), history, [7, 3])
    with store.transaction() as connection:
        rows = list(connection.execute(sa.select(schema.contact)).mappings())
        segments = list(
            connection.execute(
                sa.select(schema.segment).order_by(schema.segment.c.contact_id, schema.segment.c.n)
            ).mappings()
        )
        intervals = list(
            connection.execute(
                sa.select(schema.agent_interval).order_by(
                    schema.agent_interval.c.agent_id, schema.agent_interval.c.start
                )
            ).mappings()
        )
    store.close()
    started = [s.event for s in history.steps if isinstance(s.event, ev.ContactStarted)]
    assert sorted(r["contact_id"] for r in rows) == sorted(e.contact_id for e in started)
    assert len({r["number"] for r in rows}) == len(rows)
    for row in rows:
        own = [
            s for s in segments if (s["contact_id"], s["party"]) == (row["contact_id"], "citizen")
        ]
        assert [s["n"] for s in own] == list(range(len(own)))
        assert all(a["end"] == b["start"] for a, b in itertools.pairwise(own))
        assert own[0]["start"] == row["started"]
        assert (row["ended"] is None) == (row["disposition"] is None)
        if row["ended"] is not None:
            assert own[-1]["end"] == row["ended"]
            assert row["wait_us"] == (row["answered"] or row["ended"]) - row["first_queued"]
            assert row["sl_met"] == (None if row["answered"] is None else row["wait_us"] <= 20e6)
            assert row["short"] == (None if row["answered"] else row["wait_us"] <= 5e6)
    for agent in AGENTS:
        own = [i for i in intervals if i["agent_id"] == agent]
        assert all(a["end"] == b["start"] for a, b in itertools.pairwise(own))
        assert [i["end"] for i in own].count(None) == 1
        assert own[-1]["end"] is None
    wrapped = sum(i["end"] - i["start"] for i in intervals if i["state"] == "wrap_up" and i["end"])
    assert sum(r["wrap_up_us"] for r in rows) == wrapped
    wrap_ups = [s for s in segments if s["party"] == "agent"]
    assert sum(s["end"] - s["start"] for s in wrap_ups) == wrapped


async def test_a_contacts_row_grows_while_it_lives(ledger: Ledger) -> None:
    history = History()
    history.configured()
    history.arrive("c1", citizen="hash")
    offer = history.offered("c1", "anna")
    await ledger.append(history.steps)

    def row() -> dict[str, object]:
        ledger.store.settle()
        with ledger.store.transaction() as connection:
            return dict(connection.execute(sa.select(schema.contact)).mappings().one())

    before = await ledger.call(row)
    assert before | {"ended": None} == before
    assert (before["queue"], before["service"], before["sl_threshold_us"]) == (
        "passport",
        "mvd",
        seconds(20),
    )
    assert (before["citizen_id"], before["did"], before["linkedid"]) == (
        "hash",
        "+74957777777",
        "c1.1",
    )
    done = history.after(4).step(
        ev.OfferAccepted(offer_id=offer, agent_id=AgentId("anna")),
        history.offer_ended("c1", "anna", offer, history.now, cm.OfferOutcome.ACCEPTED),
        history.state("anna", cm.AgentState.TALK, "c1"),
    )
    await ledger.append([done])
    after = await ledger.call(row)
    assert (after["answered"], after["agent_id"], after["offers"]) == (history.now, "anna", 1)


async def test_a_resumed_contact_names_whose_place_it_has(ledger: Ledger) -> None:
    history = History()
    history.configured()
    history.arrive("c1", citizen="hash")
    history.arrive("c2", citizen="hash")
    (queued,) = (c for c in history.steps[-1].commands if isinstance(c, cm.ContactQueued))
    queued.resumes = ContactId("c1")
    history.step(
        ev.ContactPriorityChanged(contact_id=ContactId("c2")),
        cm.PriorityChanged(
            contact_id=ContactId("c2"),
            queue=queued.queue,
            contact_class=ContactClass.EMERGENCY,
            head_start_us=seconds(5),
            slope_milli=1000,
        ),
    )
    await ledger.append(history.steps)
    await ledger.settle()
    first, second = (show_contact(ledger.store.engine, c) for c in ("c1", "c2"))
    assert (first["related_contact_id"], second["related_contact_id"]) == (None, "c1")
    assert (first["class"], second["class"]) == ("normal", "emergency")


async def test_a_fact_about_an_unknown_contact_stops_nothing(ledger: Ledger) -> None:
    history = History()
    queued = history.now
    history.step(
        ev.Tick(),
        history.offer_ended("ghost", "anna", OfferId(7), queued, cm.OfferOutcome.BUSY),
        history.ended("ghost", queued, queued, None, None, 0, 0),
    )
    await ledger.append(history.steps)
    with ledger.store.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.contact)) == 0


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


async def test_no_citizens_number_is_in_any_file(
    ledger: Ledger, place: Place, tmp_path: Path
) -> None:
    number, name = "+79165550123", "Тестова Анна"
    citizens = Citizens(ledger.store.engine, tmp_path / "citizen.key")
    ledger.store.along(citizens.write)
    key = citizens.remember(number, name, now=History().now)
    history = History()
    history.configured()
    history.arrive("c1", citizen=key)
    history.after(9)
    log = QueueLogFile(tmp_path / "queue_log", QueueLog())
    await ledger.append(history.steps)
    await ledger.settle()
    log(history.steps)
    log.reopen()
    files = contents(tmp_path)
    assert {"queue_log", "citizen.key"} <= set(files)
    files["the store"] = place.content()
    assert key.encode() in files["the store"]
    assert key.encode() in files["queue_log"]
    for file, content in files.items():
        for secret in (number[1:], number[-7:], name):
            assert secret.encode() not in content, file
    assert place.sql("SELECT citizen_id FROM contact") == [(key,)]
    shown = show_contact(ledger.store.engine, "c1")
    assert shown["citizen_id"] == key
