from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from gkc_engine.ids import Instant, seconds
from gkc_engine.recorder import schema
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.queries import NoSuchContactError, iso, list_contacts, show_contact
from tests.recorder.places import Place
from tests.recorder.support import START, History


@pytest.fixture
def engine(place: Place) -> Engine:
    history = History()
    history.configured()
    history.talk("0192-a1", "anna")
    history.abandon("0192-b2", 7)
    history.arrive("0193-c3")
    store = place.store()
    store.open()
    store.append(batch_of(history.steps, "centr"))
    store.close()
    return place.reading()


def test_the_list_has_the_newest_first_and_the_names_of_the_definitions(engine: Engine) -> None:
    rows = list_contacts(engine)
    assert [r["contact_id"] for r in rows] == ["0193-c3", "0192-b2", "0192-a1"]
    answered = rows[-1]
    assert answered["started"] == iso(START) == "2026-09-21T14:13:20.000000Z"
    assert answered["answered"] == "2026-09-21T14:13:25.000000Z"
    assert (answered["menu_s"], answered["wait_s"], answered["talk_s"]) == (2.0, 3.0, 60.0)
    assert (answered["wrap_up_s"], answered["sl_threshold_s"]) == (10.0, 20.0)
    assert (answered["sl_met"], answered["short"]) == (True, None)
    assert rows[1]["disposition"] == "abandoned"
    assert not any(name.endswith("_us") or name.startswith("number_") for name in answered)


def test_the_list_is_cut_by_time_queue_and_number(engine: Engine) -> None:
    later = Instant(START + seconds(70))
    assert len(list_contacts(engine, since=later)) == 2
    assert list_contacts(engine, queue="tax") == []
    assert len(list_contacts(engine, queue="passport", limit=2)) == 2


@pytest.mark.parametrize("key", ["0192-a1", "0192-a", "2026-ЦАО-000001"])
def test_a_contact_is_shown_with_its_story_in_order(engine: Engine, key: str) -> None:
    shown = show_contact(engine, key)
    assert shown["contact_id"] == "0192-a1"
    assert [s["kind"] for s in shown["segments"]] == ["menu", "ring", "talk", "wrap_up"]
    assert [o["outcome"] for o in shown["offers_list"]] == ["accepted"]
    assert [i["state"] for i in shown["agent_intervals"]] == ["ringing", "talk", "wrap_up"]
    kinds = [e["kind"] for e in shown["events"]]
    assert kinds[:2] == ["gkc.contact.started", "gkc.contact.queue_requested"]
    # The answer names the offer only, and belongs to the story all the same.
    assert kinds.index("gkc.offer.created") < kinds.index("gkc.offer.accepted")
    assert kinds.index("gkc.offer.accepted") < kinds.index("gkc.contact.ended")
    assert [e["seq"] for e in shown["events"]] == sorted(e["seq"] for e in shown["events"])
    assert shown["events"][0]["ts"] == iso(START)
    assert shown["events"][0]["data"]["entry"] == "+74957777777"


def test_who_is_not_found_or_not_alone_is_said(engine: Engine) -> None:
    with pytest.raises(NoSuchContactError, match="not found"):
        show_contact(engine, "0194")
    with pytest.raises(NoSuchContactError, match=r"several begin so .*000001, 2026-ЦАО-000002"):
        show_contact(engine, "0192")
    with pytest.raises(NoSuchContactError, match="several"):
        show_contact(engine, "2026-")


def test_nothing_can_be_changed_through_it(engine: Engine) -> None:
    with (
        pytest.raises(sa.exc.DBAPIError, match=r"read-?only"),
        engine.begin() as connection,
    ):
        connection.execute(schema.contact.delete())


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    missing = schema.make_engine(schema.sqlite_url(str(tmp_path / "no.db")), read_only=True)
    with pytest.raises(sa.exc.OperationalError):
        list_contacts(missing)
    assert not (tmp_path / "no.db").exists()
