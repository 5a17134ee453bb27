"""What a supervisor does by hand: overrides of skills over a reload, and who hears a broadcast."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import AgentSettings, QueueSettings, Settings
from gkc_engine.acd.state import AcdState
from gkc_engine.ids import AgentId, ContactId, Instant, QueueId, SkillId, seconds
from tests.acd.test_core import ANNA, TAX, arrive, at, core_with, settings

TAXES, HOUSING = SkillId("taxes"), SkillId("housing")


def skills(acd: Acd) -> dict[str, int]:
    view = acd.agent_view(ANNA)
    assert view is not None
    return {str(skill): level for skill, level in view.skills.items()}


def of(**levels: int) -> Settings:
    mine = {SkillId(name): level for name, level in levels.items()}
    return replace(
        settings(QueueSettings(queue_id=TAX)), agents=(AgentSettings(agent_id=ANNA, skills=mine),)
    )


def override(level: int | None, until: int | None = None) -> ev.SkillOverridden:
    end = None if until is None else at(until)
    return ev.SkillOverridden(agent_id=ANNA, skill=TAXES, level=level, until=end)


def test_a_reload_changes_what_is_under_an_override_and_not_the_override() -> None:
    acd = core_with(of(taxes=1, housing=1), ANNA)
    acd.step(override(5, 60), at(2))
    assert skills(acd) == {"taxes": 5, "housing": 1}
    acd.step(ev.SettingsApplied(settings=of(taxes=2, housing=7)), at(3))
    assert skills(acd) == {"taxes": 5, "housing": 7}
    acd.step(ev.Tick(), at(60))
    assert skills(acd) == {"taxes": 2, "housing": 7}


def test_skills_of_the_shift_are_under_an_override() -> None:
    acd = core_with(of(taxes=1), ANNA)
    acd.step(override(0), at(2))
    acd.step(ev.SkillsChanged(agent_id=ANNA, skills={TAXES: 3, HOUSING: 3}), at(3))
    assert skills(acd) == {"housing": 3}
    acd.step(override(None), at(4))
    assert skills(acd) == {"taxes": 3, "housing": 3}
    acd.step(override(9), at(5))
    acd.step(ev.AgentLoggedOut(agent_id=ANNA), at(6))
    assert skills(acd) == {"taxes": 1}


def test_what_is_said_again_changes_nothing() -> None:
    acd = core_with(of(taxes=1), ANNA)
    assert len(acd.step(override(4), at(2))) == 1
    assert acd.step(override(4), at(3)) == []
    assert len(acd.step(override(None), at(4))) == 1
    assert acd.step(override(None), at(5)) == []


def announce(acd: Acd, now: int, **how: object) -> None:
    event = ev.QueueAnnounced(queue=TAX, say="outage", until=at(100), **how)  # type: ignore[arg-type]
    acd.step(event, at(now))


def due(acd: Acd, contact: str, now: int) -> list[tuple[Instant, int]]:
    found = acd.broadcast_due(ContactId(contact), at(now))
    return [(when, broadcast.broadcast_id) for when, broadcast in found]


def hear(acd: Acd, contact: str, broadcast: int, now: int) -> None:
    acd.step(ev.BroadcastHeard(contact_id=ContactId(contact), broadcast_id=broadcast), at(now))


def restored(acd: Acd) -> Acd:
    text = msgspec.json.encode(acd.snapshot())
    return Acd.restore(msgspec.json.decode(text, type=AcdState))


def test_once_is_for_those_who_wait_and_once_for_each() -> None:
    acd = core_with(of())
    arrive(acd, "c1", at(1))
    announce(acd, 2)
    arrive(acd, "c2", at(3))
    assert due(acd, "c1", 3) == [(at(2), 1)]
    assert due(acd, "c2", 3) == []
    hear(acd, "c1", 1, 4)
    assert due(acd, "c1", 5) == []
    assert due(restored(acd), "c1", 5) == [], "said twice after a restart"


def test_again_and_for_newcomers_until_its_end() -> None:
    acd = core_with(of())
    arrive(acd, "c1", at(1))
    announce(acd, 2, every_us=seconds(40), newcomers=True)
    arrive(acd, "c2", at(3))
    hear(acd, "c1", 1, 4)
    again = restored(acd)
    for one in (acd, again):
        assert due(one, "c1", 5) == [(at(44), 1)]
        assert due(one, "c2", 5) == [(at(2), 1)]
    hear(acd, "c1", 1, 70)
    assert due(acd, "c1", 71) == [], "110 s is behind its end"
    assert due(acd, "c2", 100) == []
    assert acd.broadcasts(TAX) != ()
    acd.step(ev.BroadcastStopped(queue=TAX), at(72))
    assert due(acd, "c2", 72) == []


def test_one_of_two_broadcasts_that_was_heard_stays_heard() -> None:
    acd = core_with(of())
    arrive(acd, "c1", at(1))
    announce(acd, 2)
    announce(acd, 3)
    hear(acd, "c1", 1, 4)
    hear(acd, "c1", 2, 5)
    assert due(acd, "c1", 6) == []


def test_overrides_end_each_at_its_own_time() -> None:
    acd = core_with(of(), ANNA)
    acd.step(override(5, 60), at(2))
    housing = ev.SkillOverridden(agent_id=ANNA, skill=HOUSING, level=2, until=at(90))
    acd.step(housing, at(3))
    acd.step(ev.Tick(), at(60))
    assert skills(acd) == {"housing": 2}
    acd.step(ev.Tick(), at(90))
    assert skills(acd) == {}


def test_who_is_moved_or_served_hears_it_no_more() -> None:
    other = QueueSettings(queue_id=QueueId("other"))
    acd = core_with(replace(of(), queues=(QueueSettings(queue_id=TAX), other)))
    arrive(acd, "c1", at(1))
    arrive(acd, "c2", at(1))
    announce(acd, 2)
    acd.step(ev.QueueRequested(contact_id=ContactId("c1"), queue=QueueId("other")), at(3))
    assert due(acd, "c1", 4) == []
    acd.step(ev.AgentLoggedIn(agent_id=AgentId(ANNA)), at(5))
    view = acd.contact_view(ContactId("c1"))
    assert view is not None
    assert view.offer_id is not None
    acd.step(ev.OfferAccepted(offer_id=view.offer_id, agent_id=ANNA), at(6))
    assert due(acd, "c1", 7) == []
    assert due(acd, "c2", 7) == [(at(2), 1)]
