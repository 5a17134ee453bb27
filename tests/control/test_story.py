from __future__ import annotations

from gkc_engine.control.story import story
from tests.control.fake import ZONE, contact_rows, full_contact


def test_a_contact_is_told_to_the_second() -> None:
    assert story(full_contact(), ZONE).splitlines() == [
        "contact      2026-ЦАО-000001  019ab000-0000-7000-8000-000000000003",
        "started      2026-11-18 13:56:40 Europe/Moscow",
        "disposition  answered",
        "queue        passport",
        "operator     ivanova",
        "language     ru",
        "times        menu 0:07, wait 0:33, ring 0:23, talk 1:00, hold 0:00, wrap-up 0:10",
        "",
        "13:56:40     +0:00  reaches us by voice, dialled +74957777777, from citizen abcdefgh",
        "13:56:40     +0:00  menu: 0:07, then queued",
        "13:56:43     +0:03  chooses language ru",
        "13:56:47     +0:07  asks for passport",
        "13:56:47     +0:07  waits in passport: 0:03, then offered",
        "13:56:50     +0:10  offer 1 to petrov",
        "13:56:50     +0:10  petrov's phone rings",
        "13:57:10     +0:30  petrov does not answer",
        "13:57:10     +0:30  waits in passport, requirement step 1: 0:07, then offered",
        "13:57:17     +0:37  offer 2 to ivanova",
        "13:57:17     +0:37  ivanova's phone rings",
        "13:57:20     +0:40  ivanova answers",
        "13:57:20     +0:40  talk with ivanova: 1:00, then left",
        "13:58:20     +1:40  ends: answered, by the citizen",
        "13:58:20     +1:40  ivanova wraps up: 0:10",
        "13:58:25     +1:45  ivanova gives result code 12",
    ]


def test_a_guest_comes_with_what_its_center_knows_of_it() -> None:
    contact = full_contact()
    asked = {
        "kind": "gkc.guest.asked",
        "ts": contact["started"],
        "data": {
            "owner": "sever",
            "waited_us": 95_000_000,
            "brief": {
                "number": "2026-С-000123",
                "language": "en",
                "menu": [["main", "2"], ["passport", "1"]],
                "past": [
                    {"kind": "menu", "took_us": 7_000_000},
                    {"kind": "talk", "took_us": 30_000_000, "queue": "tax", "agent_id": "anna"},
                ],
            },
        },
    }
    bare = {**asked, "data": {"owner": "sever", "waited_us": 5_000_000}}
    text = story({**contact, "owner": "sever", "origin": "c9", "events": [asked, bare]}, ZONE)
    assert (
        "its center asks for an operator: it has waited 1:35 there; language en; "
        "menu: main 2, passport 1; menu 0:07; talk (anna) 0:30\n" in text
    )
    assert "it has waited 0:05 there\n" in text


def test_a_parked_contact_a_place_and_a_priority_are_told() -> None:
    contact = full_contact()
    segments = [
        {**segment, "kind": "parked"} if segment["kind"] == "talk" else segment
        for segment in contact["segments"]
    ]
    priority = {
        "kind": "gkc.contact.priority",
        "ts": contact["started"],
        "data": {"contact_class": "emergency"},
    }
    changed = {"segments": segments, "related_contact_id": "c0", "events": [priority]}
    text = story({**contact, **changed}, ZONE)
    assert "is parked: a call interrupts ivanova: 1:00, then left" in text
    assert "has the place of  c0" in text
    assert "goes on with class emergency" in text


def test_a_contact_in_progress_has_no_end_yet() -> None:
    waiting = {**contact_rows()[0], "state": "waiting"}
    text = story(waiting, ZONE)
    assert "in progress (waiting)" in text
    assert "ends:" not in text


def test_what_he_was_told_of_the_wait_is_told() -> None:
    def told(hi_us: int | None) -> str:
        data = {"expected_us": 95_000_000, "lo_us": 60_000_000, "hi_us": hi_us}
        event = {"ts": full_contact()["started"], "kind": "gkc.contact.wait_told", "data": data}
        return story({**full_contact(), "events": [event]}, ZONE)

    assert "+0:00  is told how long to wait: 1:00 to 2:00 (expected 1:35)" in told(120_000_000)
    assert "is told how long to wait: more than 1:00 (expected 1:35)" in told(None)


def test_a_hostile_name_cannot_steer_the_terminal() -> None:
    contact = {**full_contact(), "reason": "\x1b[2Jgone\nfake line"}
    assert "\x1b" not in story(contact, ZONE)
    assert "\nfake line" not in story(contact, ZONE)
