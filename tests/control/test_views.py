"""Rows of the views: order, empty cities, one instant for a whole snapshot."""

from __future__ import annotations

import dataclasses

import pytest

from gkc_engine.acd.commands import AgentState
from gkc_engine.control.live import ContactNow
from gkc_engine.control.pictures import snapshot
from gkc_engine.control.protocol import ControlError
from gkc_engine.control.views import agent_rows, queue_rows, waiting_rows
from gkc_engine.ids import ContactId, Instant
from tests.control.fake import HOUSING, NOW, FakeBackend, after


def contact(name: str, state: str, waited: float, answered: float | None = None) -> ContactNow:
    return ContactNow(
        contact_id=ContactId(name),
        number=name,
        medium="voice",
        state=state,
        started=after(NOW, -waited - 5),
        queue=HOUSING,
        first_queued=after(NOW, -waited),
        answered=None if answered is None else after(NOW, -answered),
    )


@pytest.fixture
def city() -> FakeBackend:
    return FakeBackend()


def test_the_queue_with_the_longest_wait_stands_first(city: FakeBackend) -> None:
    assert [row["queue"] for row in queue_rows(city)] == ["passport", "housing"]
    city.in_progress.append(contact("c", "waiting", 46))
    assert [row["queue"] for row in queue_rows(city)] == ["housing", "passport"]


def test_without_contacts_queues_stand_in_config_order(city: FakeBackend) -> None:
    city.in_progress.clear()
    assert [row["queue"] for row in queue_rows(city)] == ["housing", "passport"]


def test_in_asterisk_s_own_queue_a_contact_still_waits(city: FakeBackend) -> None:
    city.in_progress.append(contact("c", "detached", 46))
    row = queue_rows(city, "housing")[0]
    assert (row["waiting"], row["ringing"], row["longest_wait_s"]) == (1, 0, 46.0)


def test_one_who_was_transferred_to_a_queue_waits_again_and_counts_as_answered_once(
    city: FakeBackend,
) -> None:
    city.in_progress.append(contact("c", "waiting", 100, answered=90))
    city.in_progress[-1].state_since = after(NOW, -12)
    row = queue_rows(city, "housing")[0]
    assert (row["waiting"], row["talking"], row["longest_wait_s"]) == (1, 0, 12.0)
    assert (row["offered"], row["answered"], row["asa_s"]) == (1, 1, 10.0)


def test_contacts_stand_longest_wait_first_and_those_in_the_menu_last(city: FakeBackend) -> None:
    menu = contact("m", "menu", 0)
    menu.queue = menu.first_queued = None
    city.in_progress[:] = [menu, contact("a", "waiting", 1), contact("b", "waiting", 2)]
    assert [row["contact_id"] for row in waiting_rows(city)] == ["b", "a", "m"]
    assert waiting_rows(city)[2]["wait_s"] is None
    assert [row["contact_id"] for row in waiting_rows(city, "passport")] == []


@pytest.mark.parametrize(
    ("state", "group"),
    [
        (AgentState.OFFLINE, "offline"),
        (AgentState.READY, "ready"),
        (AgentState.RESERVED, "busy"),
        (AgentState.RINGING, "busy"),
        (AgentState.TALK, "busy"),
        (AgentState.HOLD, "busy"),
        (AgentState.WRAP_UP, "busy"),
        (AgentState.NOT_READY, "not_ready"),
        (AgentState.FAULTY, "not_ready"),
    ],
)
def test_every_state_of_an_agent_is_in_one_group(
    city: FakeBackend, state: AgentState, group: str
) -> None:
    city.agents()[1].state = state
    row = queue_rows(city, "housing")[0]
    groups = {name: row[name] for name in ("ready", "busy", "not_ready", "offline")}
    assert groups == {name: int(name == group) for name in groups}


def test_a_city_of_nothing_has_empty_lists(city: FakeBackend) -> None:
    city.directory = dataclasses.replace(city.directory, queues={}, agents={})
    city.in_progress.clear()
    assert queue_rows(city) == agent_rows(city) == waiting_rows(city) == []


def test_unknown_names_are_refused(city: FakeBackend) -> None:
    with pytest.raises(ControlError, match="there are: housing, passport"):
        queue_rows(city, "x")
    with pytest.raises(ControlError, match="there are: ivanova, petrov"):
        agent_rows(city, "x" * 1000)


def test_a_snapshot_is_of_one_instant(city: FakeBackend) -> None:
    class Moving(FakeBackend):
        def now(self) -> Instant:
            self.clock = after(self.clock, 1)
            return self.clock

    shot = snapshot(Moving())
    waits = {row["wait_s"] for row in shot["contacts"] if row["state"] == "waiting"}
    assert waits == {46.0}
    assert shot["queues"][0]["longest_wait_s"] == 46.0
    assert shot["now"] == "2026-11-18T11:06:41.000000Z"
    assert city.clock == NOW
