"""What a supervisor's reactions do to those who wait, over the real core, and what is refused."""

from __future__ import annotations

from gkc_engine.acd import events as ev
from gkc_engine.ids import ContactId
from tests.control.fake import HOUSING, NOW, PASSPORT, after
from tests.control.test_with_core import FIRST, SECOND_ONE, City, city, started

__all__ = ["city"]

THIRD = ContactId("c3")


async def waits(city: City, *contacts: ContactId) -> None:
    for contact in contacts:
        await city.said(started(contact), ev.QueueRequested(contact_id=contact, queue=PASSPORT))


async def state_of(city: City, contact: ContactId) -> tuple[str, str, int | None]:
    rows = await city.show("queue.waiting")
    [row] = [row for row in rows if row["contact_id"] == contact]
    return row["queue"], row["state"], row["position"]


# --- skills ------------------------------------------------------------------------------------


async def test_a_lent_skill_serves_who_waits_at_once_and_ends_by_itself(city: City) -> None:
    await city.show("agent.login", agent="petrov")
    await waits(city, FIRST)
    assert await state_of(city, FIRST) == ("passport", "waiting", 1)
    until = after(NOW, 600)
    [row] = await city.show("agent.skill", agent="petrov", skill="passport", until_us=until)
    assert row["state"] == "reserved"
    assert row["skills"] == {"passport": 3}, "what the queue asks for"
    assert row["overrides"] == [
        {"skill": "passport", "level": 3, "until": "2026-11-18T11:16:40.000000Z"}
    ]
    assert row["queues"] == ["housing", "passport"]
    assert (await city.queue("passport"))["busy"] == 1
    assert await state_of(city, FIRST) == ("passport", "offered", 1)
    (_, action, subject, before, now) = city.audit[-1]
    assert (action, subject) == ("agent.skill", "agent petrov")
    assert (before["skills"], now["skills"]) == ({}, {"passport": 3})
    city.clock.moment = after(NOW, 601)
    await city.said(ev.Tick())
    [row] = await city.show("agent.show", agent="petrov")
    assert (row["skills"], row["overrides"]) == ({}, [])
    assert (await city.queue("passport"))["busy"] == 0, "he may serve it no more"


async def test_a_skill_is_taken_away_and_given_back(city: City) -> None:
    await city.show("agent.skill", agent="ivanova", skill="passport", level=0)
    await city.show("agent.login", agent="ivanova")
    await waits(city, FIRST)
    assert await state_of(city, FIRST) == ("passport", "waiting", 1)
    [row] = await city.show("agent.skill_reset", agent="ivanova")
    assert (row["state"], row["skills"]) == ("reserved", {"passport": 5})
    refused = await city.refused("agent.skill_reset", agent="ivanova")
    assert refused == ("refused", "ivanova has no override; nothing to take back")


WRONG_SKILLS: list[tuple[dict[str, object], str, str]] = [
    ({"agent": "nobody", "skill": "passport"}, "unknown_agent", "no operator 'nobody'"),
    ({"agent": "petrov", "skill": "pasport"}, "unknown_skill", "did you mean passport?"),
    ({"agent": "petrov", "skill": "xyz"}, "unknown_skill", "there are: housing, passport"),
    ({"agent": "petrov", "skill": "passport", "level": 11}, "bad_params", "<= 10"),
    (
        {"agent": "petrov", "skill": "passport", "until_us": NOW},
        "bad_params",
        "the end of an override is in the past",
    ),
    (
        {"agent": "petrov", "skill": "passport", "until_us": after(NOW, 32 * 86400)},
        "bad_params",
        "lasts at most 31 days",
    ),
]


async def test_a_wrong_skill_is_refused_by_name(city: City) -> None:
    for params, error_id, said in WRONG_SKILLS:
        found, message = await city.refused("agent.skill", **params)
        assert found == error_id, params
        assert said in message


# --- contacts ----------------------------------------------------------------------------------


async def test_a_move_keeps_the_enqueue_time_and_takes_a_ring_back(city: City) -> None:
    await city.show("agent.login", agent="ivanova")
    await waits(city, FIRST, SECOND_ONE)
    assert await state_of(city, FIRST) == ("passport", "offered", 1)
    city.clock.moment = after(NOW, 50)
    [row] = await city.show("contact.move", contact="2026-ЦАО-c2", queue="housing")
    assert (row["queue"], row["wait_s"], row["first_queued"]) == (
        "housing",
        50.0,
        "2026-11-18T11:06:40.000000Z",
    )
    [row] = await city.show("contact.move", contact="c1", queue="housing")
    assert (row["queue"], row["state"], row["position"]) == ("housing", "offered", 1)
    assert city.audit[-1][2:] == (
        "contact c1",
        {
            "queue": "passport",
            "position": 1,
            "state": "offered",
            "class": "normal",
            "head_start_s": 0.0,
        },
        {
            "queue": "housing",
            "position": 1,
            "state": "offered",
            "class": "normal",
            "head_start_s": 0.0,
        },
    )


async def test_precedence_acts_at_once(city: City) -> None:
    await waits(city, FIRST)
    city.clock.moment = after(NOW, 30)
    await waits(city, SECOND_ONE)
    city.clock.moment = after(NOW, 31)
    await waits(city, THIRD)
    [row] = await city.show("contact.priority", contact="c3", head_start_s=20.0)
    assert (row["position"], row["head_start_s"]) == (2, 20.0)
    [row] = await city.show("contact.priority", contact="c3", head_start_s=15.0)
    assert (row["position"], row["head_start_s"]) == (1, 35.0), "upon what it had"
    [row] = await city.show("contact.priority", contact="c3", head_start_s=-40.0)
    assert (row["position"], row["head_start_s"]) == (3, -5.0)
    [row] = await city.show("contact.priority", contact="c3", contact_class="emergency")
    assert (row["position"], row["class"]) == (1, "emergency")
    [agent] = await city.show("agent.login", agent="ivanova")
    assert agent["contact_id"] == "c3"


async def test_what_does_not_wait_is_neither_moved_nor_preferred(city: City) -> None:
    await city.said(started(FIRST))
    for method, more in (("contact.move", {"queue": "housing"}), ("contact.priority", {})):
        more = more or {"contact_class": "emergency"}
        assert await city.refused(method, contact="gone", **more) == (
            "unknown_contact",
            "no contact 'gone' is here now; `gkc queue show QUEUE` lists who waits",
        )
        assert await city.refused(method, contact="c1", **more) == (
            "refused",
            "2026-ЦАО-c1 does not wait: its state is menu",
        )
    await waits(city, SECOND_ONE)
    await city.said(ev.ContactDetached(contact_id=SECOND_ONE))
    error_id, message = await city.refused("contact.move", contact="c2", queue="housing")
    assert (error_id, "Asterisk's own queue" in message) == ("refused", True)


async def test_a_move_to_where_nobody_could_be_served_is_refused(city: City) -> None:
    await waits(city, FIRST, SECOND_ONE)
    assert (await city.refused("contact.move", contact="c1", queue="passport"))[1] == (
        "2026-ЦАО-c1 waits in passport already"
    )
    error_id, message = await city.refused("contact.move", contact="c1", queue="housin")
    assert (error_id, "there are: housing, passport" in message) == ("unknown_queue", True)
    assert (await city.refused("contact.move", contact="c", queue="housing"))[1] == (
        "2 contacts begin with 'c'; give more of the id"
    )
    await city.show("queue.close", queue="housing")
    assert (await city.refused("contact.move", contact="c1", queue="housing"))[1] == (
        "housing is closed: who is led there would be sent away"
    )
    assert (await city.refused("contact.priority", contact="c1"))[0] == "bad_params"


# --- announcements -----------------------------------------------------------------------------


async def test_an_announcement_stands_and_is_stopped(city: City) -> None:
    await waits(city, FIRST)
    [row] = await city.show("queue.announce", queue="passport", prompt="outage")
    assert row["told"] == 1
    [said] = row["broadcasts"]
    assert (said["prompt"], said["every_s"], said["newcomers"]) == ("outage", None, False)
    assert said["until"] == "2026-11-18T11:16:40.000000Z", "ten minutes for whose phone call rings"
    until = after(NOW, 3600)
    [row] = await city.show(
        "queue.announce", queue="passport", text="Отключена вода", every_s=120.0, until_us=until
    )
    assert [s["newcomers"] for s in row["broadcasts"]] == [False, True]
    assert (await city.queue("passport"))["broadcasts"] == row["broadcasts"]
    assert (await city.queue("housing"))["broadcasts"] == []
    [row] = await city.show("queue.silence", queue="passport")
    assert row["broadcasts"] == []
    assert [entry[1] for entry in city.audit] == ["queue.announce"] * 2 + ["queue.silence"]
    assert (await city.refused("queue.silence", queue="passport"))[1] == (
        "nothing is being announced in passport"
    )


WRONG_ANNOUNCEMENTS: list[tuple[dict[str, object], str, str]] = [
    ({"prompt": "outag"}, "unknown_prompt", "did you mean outage?"),
    ({}, "bad_params", "either a prompt or --text"),
    ({"prompt": "outage", "text": "x"}, "bad_params", "either a prompt or --text"),
    ({"prompt": "outage", "every_s": 60.0}, "bad_params", "--every needs --until"),
    ({"prompt": "outage", "every_s": 1.0}, "bad_params", ">= 15"),
    ({"prompt": "outage", "until_us": NOW}, "bad_params", "in the past"),
    ({"text": "непроизносимо"}, "refused", "no tts.command"),
]


async def test_a_wrong_announcement_is_refused(city: City) -> None:
    for params, error_id, said in WRONG_ANNOUNCEMENTS:
        found, message = await city.refused("queue.announce", queue=HOUSING, **params)
        assert found == error_id, params
        assert said in message
    assert (await city.queue("housing"))["broadcasts"] == []
