"""Second lines in the records: calls for advice between centers, and contacts that come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.guests import HANDED_OVER
from gkc_engine.control.story import story
from gkc_engine.ids import ContactId, seconds
from gkc_engine.recorder import schema
from gkc_engine.recorder.queries import list_contacts
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.statistics.figures import Part
from gkc_engine.statistics.rollups import outcomes
from tests.recorder.test_overflow_records import by_queue, listed, people, period
from tests.recorder.test_records_columns import ANNA, LAW, Play

ASKED = ContactId("r1")
MOSCOW = ZoneInfo("Europe/Moscow")


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    store = LedgerStore(schema.sqlite_url(str(tmp_path / "ledger.db")))
    store.open()
    yield Play(store)
    store.close()


def advises(play: Play) -> None:
    """Sever's operator asks anna about c9: rings 4 s, 30 s of talk."""
    play.say(
        ev.ReservationAsked(
            reservation_id=ASKED,
            owner="sever",
            contact_id=ContactId("c9"),
            queue=LAW,
            waited_us=seconds(40),
            hold_us=seconds(3),
            advice=True,
        )
    )
    play.say(ev.GuestArrived(contact_id=ASKED, uniqueid="leg-1", at=play.now))
    play.after(4).answer(1, ANNA, "leg-2")
    play.after(30)


def kinds(play: Play) -> list[tuple[str, str]]:
    segments: list[dict[str, Any]] = play.shown(ASKED)["segments"]
    return [(s["kind"], s["outcome"]) for s in segments]


def test_advice_for_another_center_is_no_contact_of_any_figure(play: Play) -> None:
    advises(play)
    play.leave(ASKED)
    play.after(12)
    shown = play.shown(ASKED)
    wanted = {"direction": "consult", "owner": "sever", "origin": "c9", "talk_s": 0.0}
    assert {key: shown[key] for key in wanted} == wanted
    assert kinds(play)[-1] == ("consult", "left")
    row = by_queue(play).get(LAW, {"offered": 0, "guests": 0})
    assert (row["offered"], row["guests"]) == (0, 0)
    assert listed(play, Part.GUESTS) == listed(play, Part.OFFERED) == []
    mine = people(play)[ANNA]
    assert (mine["handled"], mine["wrap_up_s"]) == (0, 0.0)
    engine = play.store.engine
    assert [r["contact_id"] for r in list_contacts(engine, direction="consult")] == [ASKED]
    assert list_contacts(engine, direction="in") == list_contacts(engine, direction="guest") == []
    of = period(play)
    with engine.connect() as connection:
        (group,) = outcomes(connection, of, by=("direction",))
    assert group == ("consult",)
    told = story(shown, MOSCOW)
    assert "is kept free to advise an operator of center sever, about contact c9 there" in told
    assert "anna advises an operator of its center" in told


def test_put_through_it_is_a_guest_from_then_on(play: Play) -> None:
    advises(play)
    play.say(ev.ReservationReleased(reservation_id=ASKED, reason=HANDED_OVER))
    assert play.shown(ASKED)["direction"] == "guest"
    play.after(20).leave(ASKED)
    play.after(12)
    shown = play.shown(ASKED)
    assert (shown["talk_s"], shown["wrap_up_s"]) == (20.0, 7.0)
    row = by_queue(play)[LAW]
    assert (row["offered"], row["guests"], row["guests_answered"]) == (0, 1, 1)
    mine = people(play)[ANNA]
    assert (mine["handled"], mine["wrap_up_s"], mine["transfers"]) == (1, 7.0, 0)
