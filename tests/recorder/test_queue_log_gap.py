"""An engine that was killed between commit and file: the next one writes what is missing, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gkc_engine.acd import events as ev
from gkc_engine.ids import AgentId, ContactId, QueueId
from gkc_engine.recorder import queue_log_gap, schema
from gkc_engine.recorder.queue_log import QueueLog
from gkc_engine.recorder.store import LedgerStore
from tests.simulation.ledgers import CITY, Center


def center() -> Center:
    """One talk that lasts, one missed ring; within the last second a caller, a pause, an end."""
    made = Center()
    made.login("anna", "gleb")
    made.at(10).arrive("c1", "passport")
    made.at(12).answer("c1")
    made.at(20).arrive("c2", "passport")
    made.at(22).fail("c2", ev.OfferFailure.NO_ANSWER)
    made.at(60).arrive("c3", "passport")
    made.say(ev.AgentPaused(agent_id=AgentId("gleb"), reason="lunch"))
    made.at(60.5).leave("c1")
    made.leave("c2")
    return made


def opened(folder: Path) -> list[str]:
    store = LedgerStore(schema.sqlite_url(str(folder / "gkc.sqlite")))
    store.open()
    file = queue_log_gap.opened(folder / "queue_log", store.engine, CITY)
    file.reopen()
    store.close()
    path = folder / "queue_log"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def keys(lines: list[str]) -> list[list[str]]:
    return sorted(line.split("|")[:5] for line in lines)


@pytest.mark.parametrize("lost", [0, 4])
def test_lines_of_the_last_steps_are_written_once(tmp_path: Path, lost: int) -> None:
    made = center()
    made.write(tmp_path / "gkc.sqlite")
    whole = QueueLog().lines(made.steps)
    assert len([x for x in whole if int(x.split("|")[0]) >= made.start // 10**6 + 60]) >= 6
    kept = whole[: len(whole) - lost]
    (tmp_path / "queue_log").write_text("".join(f"{x}\n" for x in kept), encoding="utf-8")
    assert keys(opened(tmp_path)) == keys(whole)
    assert keys(opened(tmp_path)) == keys(whole), "and not once more"


def test_a_new_center_has_nothing_to_write(tmp_path: Path) -> None:
    assert opened(tmp_path) == []


def test_who_waits_again_after_a_transfer_is_not_taken_for_one_who_talks(tmp_path: Path) -> None:
    """Found on a real Asterisk: the first operator had "completed" the second one's talk."""
    made = Center()
    made.login("anna", "gleb")
    made.at(10).arrive("c1", "passport")
    made.at(12).answer("c1")
    first = made.offers[ContactId("c1")].agent_ids[0]
    made.at(20).say(
        ev.TransferRequested(
            contact_id=ContactId("c1"), from_agent=AgentId(first), to_queue=QueueId("passport")
        )
    )
    second = made.offers[ContactId("c1")].agent_ids[0]
    assert second != first
    before = written(made, tmp_path)
    made.at(24).answer("c1")
    made.at(30).leave("c1")
    told = [line.split("|")[3:5] for line in lines_after(made, tmp_path, before)]
    assert told == [[second, "CONNECT"], [second, "COMPLETECALLER"]]


def written(made: Center, folder: Path) -> int:
    """Leave the records to the next engine; return how many steps they have."""
    made.write(folder / "gkc.sqlite")
    return len(made.steps)


def lines_after(made: Center, folder: Path, before: int) -> list[str]:
    """Return the lines that the next engine writes of the steps after the first ``before``."""
    store = LedgerStore(schema.sqlite_url(str(folder / "gkc.sqlite")))
    store.open()
    log = QueueLog()
    with store.engine.connect() as connection:
        log.prime(connection, CITY)
    store.close()
    return log.lines(made.steps[before:])


@pytest.mark.parametrize("asked", [True, False])
def test_who_was_given_a_citizen_completes_nothing_after_a_restart_either(
    tmp_path: Path, asked: bool
) -> None:
    """The queue was done with the transfer. Found by verify after 20 kills of the demo's city."""
    made = Center()
    made.login("anna", "gleb")
    made.at(10).arrive("c1", "passport")
    made.at(12).answer("c1")
    contact = ContactId("c1")
    first = made.offers[contact].agent_ids[0]
    other = AgentId("gleb" if first == "anna" else "anna")
    made.at(20)
    if asked:
        made.say(ev.TransferCompleted(contact_id=contact, from_agent=first, to_agent=other))
    else:
        made.say(ev.TransferRequested(contact_id=contact, from_agent=first, at=made.now))
        made.say(ev.FallbackAnswered(contact_id=contact, agent_id=other, at=made.now))
    before = written(made, tmp_path)
    made.at(30).leave("c1")
    whole = QueueLog().lines(made.steps)
    assert whole[-1].split("|")[3:5] == [first, "ATTENDEDTRANSFER" if asked else "BLINDTRANSFER"]
    assert lines_after(made, tmp_path, before) == []


def test_whose_operator_has_hung_up_abandons_nothing(tmp_path: Path) -> None:
    """Killed in the tenth of a second before his own line ended: he was taken for one who waits."""
    made = Center()
    made.login("anna")
    made.at(10).arrive("c1", "passport")
    made.at(12).answer("c1")
    made.at(20).say(
        ev.TalkEnded(
            contact_id=ContactId("c1"),
            agent_id=AgentId("anna"),
            end=ev.TalkEnd.RELEASED,
            party=ev.Party.AGENT,
        )
    )
    before = written(made, tmp_path)
    made.at(21).leave("c1")
    assert lines_after(made, tmp_path, before) == []


def test_a_start_does_not_read_what_operators_did_in_all_the_years(tmp_path: Path) -> None:
    """Ten million contacts have tens of millions of intervals: it took seconds of each restart."""
    center().write(tmp_path / "gkc.sqlite")
    store = LedgerStore(schema.sqlite_url(str(tmp_path / "gkc.sqlite")))
    store.open()
    read: list[str] = []

    def listen(connection: sa.Connection, _c: object, text: str, given: Any, *_: object) -> None:  # noqa: ANN401
        if text.startswith(("SELECT", "WITH")):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given)
            read.extend(line[3] for line in plan)

    sa.event.listen(store.engine, "before_cursor_execute", listen)
    queue_log_gap.opened(tmp_path / "queue_log", store.engine, CITY).reopen()
    store.close()
    ways = {line.rpartition("(")[2] for line in read if " USING INDEX " in line}
    assert "agent_id=? AND slot=? AND start<?)" in ways, read
    assert not [way for way in ways if way.startswith("start<")], read
    scanned = {line for line in read if line.startswith("SCAN agent_interval")}
    assert scanned <= {"SCAN agent_interval USING INDEX agent_interval_open"}, read
