"""What an operator's shift comes to, by hand; over several places at once, at the edges."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.agent_time import ACTIVITIES
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.queries import list_contacts
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.statistics.figures import Handling, Work
from gkc_engine.statistics.operator_drill import done
from gkc_engine.statistics.operators import last_word, rows
from gkc_engine.statistics.worktime import Interval, spend
from tests.recorder.support import START, History


def minutes(n: float) -> int:
    return int(n * 60 * SECOND)


def test_every_instant_counts_once_over_several_places() -> None:
    handling = Handling()
    spend(
        handling,
        [
            # A call from 10 to 20; beside it a mail from 15 to 40, ready for another until then.
            (minutes(0), minutes(10), "ready"),
            (minutes(10), minutes(20), "talk"),
            (minutes(20), minutes(22), "wrap_up"),
            (minutes(22), minutes(30), "not_ready"),
            (minutes(0), minutes(15), "ready"),
            (minutes(15), minutes(40), "talk"),
        ],
    )
    assert handling == Handling(
        talk_us=minutes(30), ready_us=minutes(10), paid_us=minutes(40), wrap_up_us=0
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_sweep_is_a_count_of_seconds(seed: int) -> None:
    rng = random.Random(seed)
    slots: list[Interval] = []
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(20)
        while at < 100:
            until = at + rng.randrange(12)
            slots.append((at * SECOND, until * SECOND, rng.choice([*ACTIVITIES, "rest", "own"])))
            at = until + rng.choice((0, 0, 3))
    expected = Handling()
    for second in range(120):
        doing = {what for start, end, what in slots if start <= second * SECOND < end}
        expected.paid_us += SECOND * bool(doing)
        for activity in ACTIVITIES:
            if activity in doing:
                name = f"{activity}_us"
                setattr(expected, name, getattr(expected, name) + SECOND)
                break
    found = Handling()
    spend(found, slots)
    assert found == expected


def shift() -> History:
    """Anna: ready 100 s; three calls, each rung for 5 s, 60 s of talk and 10 s of wrap-up."""
    history = History()
    history.configured()
    history.step(
        ev.AgentLoggedIn(agent_id=AgentId("anna")), history.state("anna", cm.AgentState.READY)
    )
    history.after(100)
    for n in range(3):
        history.talk(f"c{n}", "anna", ring_s=5)
    history.step(
        ev.AgentLoggedOut(agent_id=AgentId("anna")), history.state("anna", cm.AgentState.OFFLINE)
    )
    history.after(50)
    history.step(
        ev.AgentLoggedIn(agent_id=AgentId("boris")), history.state("boris", cm.AgentState.READY)
    )
    history.after(20)
    history.step(ev.AgentDeviceChanged(agent_id=AgentId("boris"), reachable=True, in_use=False))
    return history


@contextmanager
def stored(url: str, history: History) -> Iterator[sa.Connection]:
    store = LedgerStore(url)
    store.open()
    store.append(batch_of(history.steps, "centr"))
    store.close()
    engine = schema.make_engine(url, read_only=True)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def records(store_url: str) -> Iterator[sa.Connection]:
    with stored(store_url, shift()) as connection:
        yield connection


def report(records: sa.Connection, since_s: float, until_s: float) -> dict[str, dict[str, Any]]:
    since, until = (Instant(START + round(s * SECOND)) for s in (since_s, until_s))
    found = rows(records, since, until, last_word(records))
    return {row["agent_id"] or "all": row for row in found}


def test_a_shift_by_hand(records: sa.Connection) -> None:
    found = report(records, 0, 86_400)
    anna = found["anna"]
    assert (anna["handled"], anna["talk_s"], anna["wrap_up_s"]) == (3, 180.0, 30.0)
    assert anna["aht_s"] == 70.0
    # 100 s at first, and 2 s in each menu of the next citizen; neither while he rings.
    assert anna["ready_s"] == 106.0
    assert anna["paid_s"] == 331.0
    assert anna["occupancy"] == round(210 / 316, 4)
    assert anna["utilisation"] == round(316 / 331, 4)
    assert (anna["offers"], anna["offers_unanswered"], anna["rna_rate"]) == (3, 0, 0.0)
    # Boris is logged in still: until the last word of the records.
    assert (found["boris"]["paid_s"], found["boris"]["ready_s"]) == (20.0, 20.0)
    assert found["boris"]["aht_s"] is None
    assert found["all"]["paid_s"] == 351.0
    assert found["all"]["handled"] == 3


def test_a_rest_and_a_call_of_his_own_are_at_work_and_nothing_else(store_url: str) -> None:
    history = History()
    history.configured()
    shown = [
        (cm.AgentState.READY, "", 30),
        (cm.AgentState.READY, "no_answer", 7),  # Nobody rings him so soon again.
        (cm.AgentState.TALK, "outbound", 11),
        (cm.AgentState.NOT_READY, "lunch", 13),
        (cm.AgentState.OFFLINE, "", 17),
    ]
    for state, reason, lasts_s in shown:
        fact = cm.AgentStateChanged(
            agent_id=AgentId("anna"), slot=0, state=state, since=history.now, reason=reason
        )
        history.step(ev.Tick(), fact)
        history.after(lasts_s)
    asked = cm.AgentStateChanged(
        agent_id=AgentId("anna"),
        slot=0,
        state=cm.AgentState.TALK,
        since=history.now,
        contact_id=ContactId("consult:1"),  # By a queue's number: a call of his own all the same.
    )
    history.step(ev.Tick(), asked)
    history.after(5)
    history.step(ev.AgentReady(agent_id=AgentId("anna")))
    with stored(store_url, history) as records:
        anna = report(records, 0, 86_400)["anna"]
    assert (anna["ready_s"], anna["talk_s"], anna["paid_s"]) == (30.0, 0.0, 66.0)
    assert anna["occupancy"] == 0.0


def test_a_talk_with_holds_is_one_contact_and_a_transfer_one_transfer(store_url: str) -> None:
    history = History()
    history.configured()
    history.arrive("c")
    kinds, outcomes = cm.SegmentKind, cm.SegmentOutcome
    parts = [
        (kinds.TALK, outcomes.HELD, "anna"),
        (kinds.HOLD, outcomes.RESUMED, "anna"),
        (kinds.TALK, outcomes.TRANSFERRED, "anna"),
        (kinds.TALK, outcomes.TRANSFERRED, "boris"),
        (kinds.TALK, outcomes.LEFT, "anna"),  # Back with her.
    ]
    for n, (kind, outcome, agent) in enumerate(parts):
        begun = history.now
        history.after(10)
        history.step(ev.Tick(), history.segment("c", n + 1, kind, begun, outcome, agent))
    with stored(store_url, history) as records:
        found = report(records, 0, 86_400)
        assert (found["anna"]["handled"], found["anna"]["transfers"]) == (1, 1)
        assert (found["boris"]["handled"], found["boris"]["transfers"]) == (1, 1)
        assert found["all"]["transfers"] == 2
        whole = Instant(START), Instant(START + 86_400 * SECOND)
        for work in (Work.HANDLED, Work.TRANSFERS):
            assert len(done(records, *whole, work)) == found["all"][work] == 2
        # Hers ended at 32 s and at 52 s: what ends at an edge belongs to what begins there.
        assert report(records, 0, 32) == {}
        assert report(records, 32, 42)["anna"]["transfers"] == 1
        assert report(records, 42, 52).keys() == {"boris"}
        assert report(records, 52, 60)["anna"]["transfers"] == 0


def test_every_count_of_an_operator_leads_to_what_it_counts(records: sa.Connection) -> None:
    whole = Instant(START), Instant(START + 86_400 * SECOND)
    for work in Work:
        listed = done(records, *whole, work, AgentId("anna"))
        assert len(listed) == report(records, 0, 86_400)["anna"][work], work
        assert done(records, *whole, work, AgentId("boris")) == []
    handled = done(records, *whole, Work.HANDLED)
    assert [(row["contact_id"], row["agent_id"]) for row in handled] == [
        (f"c{n}", "anna") for n in range(3)
    ]
    offers = done(records, *whole, Work.OFFERS)
    assert [row["offer_outcome"] for row in offers] == ["accepted"] * 3
    assert [row["disposition"] for row in offers] == ["answered"] * 3
    first = Instant(START + 150 * SECOND)  # The first call was offered before, and ends after it.
    assert len(done(records, first, whole[1], Work.HANDLED)) == 3
    assert len(done(records, first, whole[1], Work.OFFERS)) == 2


def test_a_part_of_a_shift_is_cut_at_its_edges(records: sa.Connection) -> None:
    whole = report(records, 0, 86_400)["anna"]
    parts = [report(records, at, at + 37)["anna"] for at in range(0, 332, 37)]
    for key in ("talk_s", "wrap_up_s", "ready_s", "paid_s", "handled", "offers"):
        assert sum(part[key] for part in parts) == whole[key], key


def test_nobody_at_work_gives_no_row(records: sa.Connection) -> None:
    assert report(records, 40_000, 50_000) == {}


def test_no_report_of_operators_reads_a_whole_table(tmp_path: Path) -> None:
    """By SQLite's plans: PostgreSQL makes them by how full the tables are."""
    with stored(schema.sqlite_url(str(tmp_path / "gkc.sqlite")), shift()) as records:
        plan = _plans(records)
    tables = ("segment", "offer", "contact", "agent_interval")
    assert not [t for t in tables if f"SCAN {t}\n" in f"{plan}\n"], plan
    for index in ("segment_work", "offer_created", "contact_out"):
        assert f"USING INDEX {index}" in plan


def _plans(records: sa.Connection) -> str:
    said: list[str] = []

    def listen(_c: object, _cursor: object, text: str, given: Any, *_: object) -> None:  # noqa: ANN401
        if not text.startswith("EXPLAIN"):
            plan = records.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given)
            said.extend(line[3] for line in plan)

    sa.event.listen(records.engine, "before_cursor_execute", listen)
    report(records, 100, 200)
    list_contacts(records.engine, direction="out")
    sa.event.remove(records.engine, "before_cursor_execute", listen)
    return "\n".join(said)
