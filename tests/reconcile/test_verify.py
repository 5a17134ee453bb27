"""Both sides of a day agree; whatever is taken from either names its call; each rule sets aside."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant
from gkc_engine.reconcile.model import MEANING, Count, Difference, Kind, Outcome
from tests.reconcile.day import PHONES, Day, Written
from tests.recorder.support import START


def usual() -> Day:
    """Answered at once; missed, then answered by another; abandoned while a phone rang."""
    day = Day()
    day.login("anna", "gleb")
    day.at(10).call("c1")
    day.at(10.5)
    day.ring("c1")
    day.at(14).picks_up("c1")
    day.at(20).call("c2")
    day.at(20.5)
    first = day.ring("c2")
    day.at(30).misses("c2")
    day.at(50).goes("c1")
    day.at(60)
    second = day.ring("c2")
    assert {first, second} == {"anna", "gleb"}
    day.at(65).picks_up("c2")
    day.at(96).call("c3")
    day.at(97)
    day.ring("c3")
    day.at(100).goes("c3")
    day.at(110).goes("c2")
    day.at(130)
    return day


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return usual().written(tmp_path_factory.mktemp("usual"))


@pytest.fixture
def day(whole: Written, tmp_path: Path) -> Written:
    return whole.copy(tmp_path / "day")


def kinds(outcome: Outcome) -> set[Kind]:
    return {one.kind for one in outcome.differences}


def only(outcome: Outcome) -> Difference:
    (one,) = outcome.differences
    return one


def test_a_day_that_both_sides_tell_alike_has_no_difference(whole: Written) -> None:
    outcome = whole.verified()
    assert outcome.differences == []
    assert outcome.found == 0
    assert (outcome.counts[Count.CONTACTS], outcome.counts[Count.LEGS]) == (3, 7)
    assert outcome.counts[Count.CDR_ROWS] == 3


def uids(whole: Written) -> list[tuple[str, str]]:
    """Kind of row and the call's Uniqueid, for each line of the legs."""
    cells = (line.replace('"', "").split(",") for line in whole.lines("legs.csv"))
    return [(row[0], row[3]) for row in cells]


MISSING = {
    "CHAN_START": Kind.START_MISSING,
    "ANSWER": Kind.ANSWER_MISSING,
    "HANGUP": Kind.END_MISSING,
}


def test_a_line_of_cel_that_is_deleted_names_its_leg(whole: Written, tmp_path: Path) -> None:
    """Of a citizen, of a phone that talked, and of one that was not answered."""
    rows = uids(whole)
    assert len(rows) == 3 * 2 + 2 + 4 * 2 + 2
    citizen, talked = rows[0][1], rows[1][1]
    rang = next(uid for kind, uid in rows if kind == "HANGUP")
    for n, gone in enumerate(
        (
            (("ANSWER", citizen), ("HANGUP", talked), ("CHAN_START", rang)),
            (("HANGUP", citizen), ("ANSWER", talked), ("HANGUP", rang)),
            (("CHAN_START", talked),),
        )
    ):
        one = whole.copy(tmp_path / str(n))
        for kind, uid in gone:
            one.without("legs.csv", uids(one).index((kind, uid)))
        found = {(x.kind, x.uniqueid, x.contact_id) for x in one.verified().differences}
        for kind, uid in gone:
            contact = "c2" if uid == rang else "c1"
            assert (MISSING[kind], uid, contact) in found, (kind, uid)


def test_a_leg_that_is_gone_altogether_is_missed(day: Written) -> None:
    lines = day.lines("legs.csv")
    phone, citizen = uids(day)[1][1], uids(day)[-1][1]
    for uid, kind in ((phone, Kind.SEGMENT_LEG), (citizen, Kind.NO_LEG)):
        day.put("legs.csv", [x for x in lines if x.split(",")[3] != f'"{uid}"'])
        assert (kind, uid) in {(x.kind, x.uniqueid) for x in day.verified().differences}


def test_a_line_of_queue_log_that_is_deleted_is_named(day: Written) -> None:
    wanted = set()
    for name in ("ADDMEMBER", "ENTERQUEUE", "CONNECT", "RINGNOANSWER", "ABANDON"):
        n = next(n for n, x in enumerate(day.lines("queue_log")) if f"|{name}|" in x)
        epoch, callid, queue, agent, *_ = day.without("queue_log", n).split("|")
        uid = None if callid == "NONE" else callid
        wanted.add((Kind.QUEUE_LOG_MISSING, uid, f"{name} of {agent} in {queue} at {epoch}: 1"))
    assert {(x.kind, x.uniqueid, x.ours) for x in day.verified().differences} == wanted


def test_a_doubled_or_invented_line_of_queue_log_is_named(day: Written) -> None:
    lines = day.lines("queue_log")
    day.put("queue_log", [*lines, lines[-1], "rubbish"])
    assert kinds(day.verified()) == {Kind.QUEUE_LOG_UNKNOWN, Kind.TORN}


def test_other_billed_seconds_and_calls_that_one_list_lacks(day: Written) -> None:
    c1, c3, c2 = day.lines("calls.csv")
    uid = c1.split(",")[-1].strip('"')
    day.put("calls.csv", [c1.replace('"36.000000"', '"38.500000"'), c3, c2])
    one = only(day.verified())
    assert (one.kind, one.uniqueid, one.contact_id) == (Kind.BILLSEC, uid, "c1")
    assert one.theirs.endswith("calls.csv:1: billsec 38.500")
    within_a_second = c1.replace('"36.000000"', '"36.900000"')
    day.put("calls.csv", [within_a_second, c3, c3.replace(c3.split(",")[-1], '"centr-1.77"')])
    found = {(x.kind, x.contact_id) for x in day.verified().differences}
    assert found == {(Kind.CDR_MISSING, "c2"), (Kind.CDR_UNKNOWN, None)}


OF_C1 = "(SELECT linkedid FROM contact WHERE contact_id = 'c1')"
OF_C2 = "(SELECT channel_uniqueid FROM segment AS s WHERE s.kind = 'talk' AND s.contact_id = 'c2')"
TALK = "FROM segment WHERE kind = 'talk' AND contact_id"
OF_TALK = "WHERE kind = 'talk' AND contact_id = 'c1'"


CHANGES = [
    (
        (f"UPDATE segment SET channel_uniqueid = 'centr-1.1' {OF_TALK}", "c1", Kind.SEGMENT_LEG),
        ("UPDATE contact SET linkedid = 'centr-1.1' WHERE contact_id = 'c3'", "c3", Kind.NO_LEG),
    ),
    (
        (f"UPDATE segment SET channel_uniqueid = {OF_C2} {OF_TALK}", "c1", Kind.SEGMENT_LEG),
        ("DELETE FROM contact WHERE contact_id = 'c3'", None, Kind.NO_CONTACT),
    ),
    (
        (f"UPDATE segment SET start = start - 1500000 {OF_TALK}", "c1", Kind.TIMES),
        ("UPDATE contact SET ended = NULL WHERE contact_id = 'c3'", "c3", Kind.NOT_ENDED),
    ),
    (
        (f"DELETE {TALK} = 'c1'", "c1", Kind.TALK_UNRECORDED),
        ("UPDATE contact SET ended = ended + 1500000 WHERE contact_id = 'c3'", "c3", Kind.TIMES),
    ),
    (
        ("DELETE FROM segment WHERE contact_id = 'c1' AND kind = 'ring'", "c1", Kind.SUMS),
        (
            "UPDATE contact SET started = started - 1500000 WHERE contact_id = 'c3'",
            "c3",
            Kind.TIMES,
        ),
    ),
    (
        ("UPDATE contact SET talk_us = talk_us + 1 WHERE contact_id = 'c1'", "c1", Kind.SUMS),
        ("DELETE FROM offer WHERE contact_id = 'c3'", "c3", Kind.RING_UNRECORDED),
    ),
    ((f"UPDATE contact SET linkedid = {OF_C1} WHERE contact_id = 'c3'", "c1", Kind.TWO_CONTACTS),),
]


@pytest.mark.parametrize("changes", CHANGES)
def test_what_is_changed_in_the_records_is_found(
    day: Written, changes: tuple[tuple[str, str | None, Kind], ...]
) -> None:
    for statement, _, _ in changes:
        day.change(statement)
    found = day.verified().differences
    for statement, contact, kind in changes:
        assert (kind, contact) in {(x.kind, x.contact_id) for x in found}, statement
    assert all(x.means and x.remedy for x in found)


def test_a_call_that_an_operator_made_is_answered_outside(day: Written) -> None:
    day.change("UPDATE contact SET direction = 'out' WHERE contact_id = 'c1'")
    day.roll_up()
    assert day.verified().found == 0
    rows = uids(day)
    answer = rows.index(("ANSWER", rows[1][1]))
    lines = day.lines("legs.csv")
    day.without("legs.csv", answer)
    assert only(day.verified()).kind is Kind.ANSWER_MISSING
    day.put("legs.csv", lines)
    day.change("UPDATE contact SET ended = ended - 4000000 WHERE contact_id = 'c1'")
    assert kinds(day.verified()) == {Kind.SUMS}, "a tone follows the call, no time is wrong"
    day.change("UPDATE contact SET ended = ended + 6000000 WHERE contact_id = 'c1'")
    assert Kind.TIMES in kinds(day.verified())


ROLLED = {
    "UPDATE rollup SET talk_us = talk_us + 1 WHERE outcome = 'answered'": {
        "talk_us": ("81000001", "81000000")
    },
    "DELETE FROM rollup WHERE outcome = 'abandoned_short'": {
        "contacts": ("no such row", "1"),
        "in_target": ("no such row", "1"),
        "wait_us": ("no such row", "4000000"),
        "agent_offers": ("no such row", "1"),
        "offers_withdrawn": ("no such row", "1"),
    },
    "UPDATE rollup SET start = start + 900000000 WHERE outcome = 'abandoned_short'": {
        "contacts": ("1", "0")
    },
}


@pytest.mark.parametrize("change", ROLLED)
def test_a_roll_up_that_is_not_what_its_contacts_give_is_named(day: Written, change: str) -> None:
    """By its queue, its quarter-hour and its column."""
    assert day.verified().counts[Count.ROLL_UPS] == 2
    day.change(change)
    outcome = day.verified()
    assert kinds(outcome) == {Kind.ROLL_UP}
    told = {x.ours: x.theirs.rpartition(" ")[2] for x in outcome.differences}
    for column, (stands, right) in ROLLED[change].items():
        later = "+ 9" in change
        at = "2026-09-21T14:15:00" if later else "2026-09-21T14:00:00"
        (said,) = [x for x in told if x.startswith(f"quarter-hour {at}") and f" {column}: " in x]
        assert f", queue passport, {column}: {stands} (" in said
        assert told[said] == right


def test_whom_an_operator_called_outside_and_then_gave_a_citizen_to(day: Written) -> None:
    """Of the talk that follows the leg is of the operator's call; else a foreign leg is none."""
    theirs = "SELECT channel_uniqueid FROM segment WHERE contact_id = 'c2' AND kind = 'talk'"
    mine = "contact_id = 'c1' AND kind = 'talk'"
    day.change(f"UPDATE segment SET channel_uniqueid = ({theirs}) WHERE {mine}")
    assert Kind.SEGMENT_LEG in kinds(day.verified())
    day.change("UPDATE contact SET direction = 'out' WHERE contact_id = 'c2'")
    assert Kind.SEGMENT_LEG not in kinds(day.verified())


def test_legs_of_a_call_without_a_line_and_a_call_that_never_ends(day: Written) -> None:
    rows = uids(day)
    citizen = rows[-1][1]
    day.put("legs.csv", [x for x in day.lines("legs.csv") if x.split(",")[3] != f'"{citizen}"'])
    day.change(f"DELETE FROM contact WHERE linkedid = '{citizen}'")
    assert (Kind.NO_LEG, citizen) in {(x.kind, x.uniqueid) for x in day.verified().differences}


def test_every_kind_says_what_it_means_and_what_to_do() -> None:
    assert set(MEANING) == set(Kind)


# --- what is set aside, and why -------------------------------------------------------------------


def test_calls_in_progress_are_counted_and_compared_when_they_are_over(tmp_path: Path) -> None:
    day = usual()
    day.at(140).call("c4")
    day.at(141)
    day.ring("c4")
    written = day.written(tmp_path)
    outcome = written.verified(running=True)
    assert (outcome.found, outcome.counts[Count.IN_PROGRESS]) == (0, 1)
    assert written.verified().found == 0


def test_lists_that_asterisk_has_not_begun_yet_are_no_fault(tmp_path: Path) -> None:
    day = Day()
    day.login("anna")
    day.at(10).call("c1")
    written = day.written(tmp_path)
    (tmp_path / "calls.csv").unlink()
    outcome = written.verified(running=True)
    assert (outcome.found, outcome.counts[Count.IN_PROGRESS]) == (0, 1), outcome.differences


def test_calls_before_the_engine_and_after_its_last_word_are_not_its_own(tmp_path: Path) -> None:
    day = Day()
    day.asterisk.leg("CHAN_START", Instant(START - 60 * SECOND), "PJSIP/trunk-1", "centr-1.1")
    day.asterisk.leg("HANGUP", Instant(START - 50 * SECOND), "PJSIP/trunk-1", "centr-1.1")
    day.asterisk.call("centr-1.1", Instant(START - 60 * SECOND), None, Instant(START - 50 * SECOND))
    day.login("anna")
    day.at(10).call("c1")
    day.at(11).goes("c1", phone=False)
    day.at(20).say(ev.Tick())
    after = Instant(day.now + 5 * SECOND)
    day.asterisk.leg("CHAN_START", after, "PJSIP/trunk-2", f"centr-{after // SECOND}.9")
    day.asterisk.leg("HANGUP", after, "PJSIP/trunk-2", f"centr-{after // SECOND}.9")
    written = day.written(tmp_path)
    outcome = written.verified(since=Instant(START - 3600 * SECOND))
    assert outcome.found == 0, outcome.differences
    assert (outcome.counts[Count.BEFORE_US], outcome.counts[Count.LATER]) == (1, 1)
    # With an engine at work nobody but it can have missed the call.
    assert Kind.NO_CONTACT in kinds(written.verified(running=True))


def test_emergency_calls_feature_codes_and_refused_calls_are_not_compared(tmp_path: Path) -> None:
    day = usual()
    day.at(140)
    for exten, context in (("112", "gkc-operators"), ("x", "own-plan"), ("*45", "gkc-operators")):
        uid = day.uid()
        for kind in ("CHAN_START", "HANGUP"):
            day.asterisk.leg(kind, day.now, "PJSIP/101-9", uid, context=context, exten=exten)
        day.asterisk.call(uid, day.now, None, day.now)
    refused = day.uid()
    for kind in ("CHAN_START", "HANGUP"):
        day.asterisk.leg(kind, day.now, "PJSIP/101-9", refused, context="gkc-consult", exten="201")
    day.asterisk.call(refused, day.now, None, day.now)
    outcome = day.at(141).written(tmp_path).verified()
    assert outcome.found == 0, outcome.differences
    assert outcome.counts[Count.NOT_OURS] == 2
    assert outcome.counts[Count.FEATURE_CODES] == 1
    assert outcome.counts[Count.REFUSED_OWN_CALLS] == 1


@pytest.mark.parametrize("away", [True, False])
def test_a_colleague_asked_while_no_engine_was_there_is_no_talk(tmp_path: Path, away: bool) -> None:
    day = usual()
    day.login("boris")
    day.at(140).call("c4")
    day.at(140.5)
    day.ring("c4")
    day.at(144).picks_up("c4")
    citizen, half, phone = day.lines["c4"].uid, day.uid(), day.uid()
    legs = ((half, "Local/102@gkc-transfer-01;1", "gkc-transfer"), (phone, "PJSIP/102-f", "gkc-x"))
    for second, kind in ((150, "CHAN_START"), (151, "ANSWER"), (153, "HANGUP")):
        day.at(second)
        for uid, channel, context in legs:
            day.asterisk.leg(kind, day.now, channel, uid, citizen, context=context, exten="102")
    day.at(158)
    if away:
        day.say(ev.EngineRestarted())
        day.at(159).say(ev.CaughtUp())
    day.at(170).goes("c4")
    outcome = day.at(180).written(tmp_path).verified()
    if away:
        assert outcome.found == 0, outcome.differences
        assert outcome.counts[Count.OWN_CALLS] == 1
    else:
        assert (only(outcome).kind, only(outcome).uniqueid) == (Kind.TALK_UNRECORDED, phone)


@pytest.mark.parametrize("told", [True, False])
def test_an_engine_was_away_until_it_had_caught_up(tmp_path: Path, told: bool) -> None:
    """Back at 150, it was told all at 165: of a phone that rang at 160 no offer can be known."""
    day = usual()
    day.at(140).call("c4")
    day.at(140.5)
    day.ring("c4")
    day.at(144).picks_up("c4")
    day.at(150).say(ev.EngineRestarted())
    citizen, phone = day.lines["c4"].uid, day.uid()
    for second, kind in ((160, "CHAN_START"), (162, "HANGUP")):
        day.at(second)
        day.asterisk.leg(kind, day.now, "PJSIP/102-f", phone, citizen, context="gkc-operators")
    day.at(165).say(ev.CaughtUp() if told else ev.Tick())
    day.at(170).goes("c4")
    outcome = day.at(180).written(tmp_path).verified()
    assert kinds(outcome) == (set() if told else {Kind.RING_UNRECORDED})
    assert outcome.counts[Count.NATIVE_RINGS] == told


def own_call(day: Day, *, told: bool) -> str:
    """An operator asks a colleague, who answers; returns the calling leg."""
    day.at(140)
    uid, phone = day.uid(), day.uid()
    if told:
        for agent, kind in (("anna", "consult"), ("boris", "consulted")):
            day.say(ev.AgentCallStarted(agent_id=AgentId(agent), call_id=uid, kind=kind))
    for kind, leg in (("CHAN_START", uid), ("CHAN_START", phone), ("ANSWER", phone)):
        channel = f"{PHONES['anna' if leg == uid else 'boris']}-9"
        day.asterisk.leg(kind, day.now, channel, leg, uid, context="gkc-consult", exten="201")
    day.at(145)
    for leg in (phone, uid):
        day.asterisk.leg("HANGUP", day.now, "PJSIP/x-9", leg, uid, context="gkc-consult")
    day.asterisk.call(uid, Instant(day.now - 5 * SECOND), None, day.now)
    if told:
        for agent in ("anna", "boris"):
            day.say(ev.AgentCallEnded(agent_id=AgentId(agent), call_id=uid))
    return uid


def test_an_operators_own_call_must_be_on_record(tmp_path: Path) -> None:
    day = usual()
    own_call(day, told=True)
    outcome = day.written(tmp_path).verified()
    assert (outcome.found, outcome.counts[Count.OWN_CALLS]) == (0, 1), outcome.differences
    other = usual()
    uid = own_call(other, told=False)
    (tmp_path / "untold").mkdir()
    one = only(other.written(tmp_path / "untold").verified())
    assert (one.kind, one.uniqueid) == (Kind.OWN_CALL_UNRECORDED, uid)


def test_who_was_asked_first_answered_before_the_talk_was_his(tmp_path: Path) -> None:
    """Consultation, then an attended transfer: the colleague's leg was made by the question."""
    day = Day()
    day.login("anna", "boris")
    line = day.at(10).call("c1")
    day.at(11)
    assert day.ring("c1") == "anna"
    day.at(14).picks_up("c1")
    day.at(20)
    asks, asked = day.uid(), day.uid()
    for agent, kind in (("anna", "consult"), ("boris", "consulted")):
        day.say(ev.AgentCallStarted(agent_id=AgentId(agent), call_id=asks, kind=kind))
    for kind, leg, phone in (("CHAN_START", asks, "anna"), ("CHAN_START", asked, "boris")):
        day.asterisk.leg(kind, day.now, f"{PHONES[phone]}-9", leg, asks, context="gkc-operators")
    day.at(25).asterisk.leg("ANSWER", day.now, f"{PHONES['boris']}-9", asked, asks)
    day.at(40)
    day.phone_leg("HANGUP", line)
    day.asterisk.leg("HANGUP", day.now, f"{PHONES['anna']}-9", asks)
    day.asterisk.call(asks, Instant(day.now - 20 * SECOND), None, day.now)
    day.say(
        ev.TransferCompleted(
            contact_id=ContactId("c1"),
            from_agent=AgentId("anna"),
            to_agent=AgentId("boris"),
            leg=asked,
            at=day.now,
        )
    )
    for agent in ("boris", "anna"):
        day.say(ev.AgentCallEnded(agent_id=AgentId(agent), call_id=asks))
    day.at(60).asterisk.leg("HANGUP", day.now, f"{PHONES['boris']}-9", asked, asks)
    day.goes("c1", phone=False)
    written = day.at(70).written(tmp_path)
    outcome = written.verified()
    assert (outcome.found, outcome.counts[Count.OWN_CALLS]) == (0, 1), outcome.differences
    written.change(
        f"UPDATE segment SET start = start - 17000000 WHERE channel_uniqueid = '{asked}'"
    )
    assert Kind.TIMES in kinds(written.verified()), "nobody talks before he has answered"


def test_the_native_queue_rang_the_phone_that_he_was_just_being_offered_to(tmp_path: Path) -> None:
    """A stalled engine's offer and Asterisk's queue met; the ring is the native talk's leg."""
    day = Day()
    day.login("anna")
    line = day.at(10).call("c1")
    day.at(11)
    day.ring("c1")
    offer, contact = day.offers[ContactId("c1")], ContactId("c1")
    day.say(ev.ContactDetached(contact_id=contact, at=day.now))
    day.say(
        ev.OfferFailed(
            offer_id=offer.offer_id, failure=ev.OfferFailure.RESCINDED, reason="", at=day.now
        )
    )
    day.at(14).phone_leg("ANSWER", line)
    line.answered = day.wall
    day.asterisk.leg("ANSWER", day.wall, "PJSIP/trunk-1", line.uid)
    day.say(
        ev.FallbackAnswered(
            contact_id=contact, agent_id=AgentId("anna"), at=day.now, leg=line.phone
        )
    )
    day.at(20).goes("c1")
    written = day.at(30).written(tmp_path)
    outcome = written.verified()
    assert (outcome.found, outcome.counts[Count.NATIVE_RINGS]) == (0, 1), outcome.differences
    written.change("UPDATE offer SET agent_id = 'boris'")
    assert kinds(written.verified()) == {Kind.RING_WITHOUT_LEG}, "that is not his phone"


@pytest.mark.parametrize(("late", "known"), [(3, True), (8, False)])
def test_an_offer_to_one_who_had_gone_before_the_engine_heard(
    tmp_path: Path, late: float, known: bool
) -> None:
    day = Day()
    line = day.at(10).call("c1")
    day.at(10.1).asterisk.leg("ANSWER", day.wall, "PJSIP/trunk-1", line.uid)
    day.at(30).asterisk.leg("HANGUP", day.wall, "PJSIP/trunk-1", line.uid)
    gone = day.now
    day.asterisk.call(line.uid, line.started, None, day.wall, said="20.000000")
    day.at(30 + late).login("anna")
    day.say(ev.ContactLeft(contact_id=ContactId("c1"), party=ev.Party.CITIZEN, reason="", at=gone))
    written = day.at(60).written(tmp_path)
    outcome = written.verified()
    times = {one.kind for one in outcome.differences if one.kind is Kind.TIMES}
    assert (times, outcome.counts[Count.HEARD_LATE]) == (
        (set(), 1) if known else ({Kind.TIMES}, 0)
    ), outcome.differences
    written.change("UPDATE offer SET ringing = created")
    assert Kind.TIMES in kinds(written.verified()), "that phone rang: he was there"


def test_who_went_with_asterisk_has_no_end_in_its_list(tmp_path: Path) -> None:
    day = usual()
    day.at(140).call("c4")
    day.at(150)
    day.say(
        ev.ContactLeft(
            contact_id=ContactId("c4"), party=ev.Party.SYSTEM, reason="asterisk restarted"
        )
    )
    day.at(160)
    outcome = day.written(tmp_path).verified()
    assert (outcome.found, outcome.counts[Count.LOST_WITH_ASTERISK]) == (0, 1), outcome.differences


def test_a_restart_of_asterisk_is_seen_by_its_count_of_channels(tmp_path: Path) -> None:
    day = usual()
    lost = day.uid()
    day.at(140).asterisk.leg("CHAN_START", day.now, "PJSIP/trunk-1", lost, context="gkc")
    day.at(150)
    day.legs = -1
    day.call("c5")
    day.at(151).goes("c5", phone=False)
    day.at(160)
    written = day.written(tmp_path)
    outcome = written.verified(running=True)
    assert (outcome.found, outcome.counts[Count.LOST_WITH_ASTERISK]) == (0, 1), outcome.differences


def test_a_step_of_the_wall_clock_shifts_all_calls_alike(tmp_path: Path) -> None:
    day = Day()
    day.login("anna", "gleb")
    day.at(10).call("c1")
    day.at(11)
    day.ring("c1")
    day.at(14).picks_up("c1")
    day.at(20)
    day.shift = -3600 * SECOND
    day.at(30).goes("c1")
    day.at(40).call("c2")
    day.at(50).goes("c2", phone=False)
    written = day.at(60).written(tmp_path)
    outcome = written.verified()
    assert [one.kind for one in outcome.differences] == [], outcome.differences
    ((at, apart),) = outcome.steps
    assert (at, apart) == (Instant(START + 30 * SECOND), 3600 * SECOND)
    written.change("UPDATE contact SET ended = ended + 5000000 WHERE contact_id = 'c2'")
    assert Kind.TIMES in kinds(written.verified()), "a step explains nothing else"


# --- the files ------------------------------------------------------------------------------------


def test_rotated_files_are_read_too(day: Written) -> None:
    lines = day.lines("legs.csv")
    (day.folder / "legs.csv.2.gz").write_bytes(gzip.compress("\n".join(lines[:6]).encode() + b"\n"))
    (day.folder / "legs.csv.1").write_text("".join(f"{x}\n" for x in lines[6:9]))
    day.put("legs.csv", lines[9:])
    assert day.verified().found == 0


def test_a_file_that_begins_late_is_one_difference_not_a_thousand(day: Written) -> None:
    day.put(
        "legs.csv",
        [x for x in day.lines("legs.csv") if float(x.split('"')[3]) > START / 1e6 + 95.5],
    )
    one = next(x for x in day.verified().differences if x.kind is Kind.CEL_BEGINS_LATE)
    assert one.ours.startswith("2 calls from")
    assert not {Kind.NO_LEG, Kind.SEGMENT_LEG} & kinds(day.verified())


def test_a_torn_line_is_named_and_one_being_written_is_not(day: Written) -> None:
    path = day.folder / "legs.csv"
    path.write_text(path.read_text() + '"CHAN_START","17900')
    assert day.verified().found == 0
    path.write_text(path.read_text() + "\n")
    one = only(day.verified())
    assert (one.kind, one.theirs.startswith(f"{path}:19: ")) == (Kind.TORN, True), one
