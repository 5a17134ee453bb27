"""What a new engine makes of what it finds: the lines that Asterisk holds, and those of before."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import structlog

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition, OfferContact
from gkc_engine.acd.settings import Medium
from gkc_engine.channels.phone import channel, resync
from gkc_engine.channels.phone.ami import AmiEvent
from gkc_engine.channels.phone.calls import Call
from gkc_engine.errors import PeerError
from gkc_engine.ids import AgentId, ContactId, QueueId
from tests.channels.test_cel import PHONE, STARTED, line, stamp
from tests.channels.world import World, at, citizen_row, leg, phone_row, world
from tests.fakes.facts import Facts


def citizen_hung_up(n: int, seconds: float) -> str:
    source = f"PJSIP/gkc-trunk-{n:08x}"
    return line("HANGUP", leg(n), seconds, f'{{"hangupcause":16,"hangupsource":"{source}"}}')


def agent_hung_up(n: int, seconds: float, phone: str) -> str:
    source = f"PJSIP/{phone}-0000000f"
    return line("HANGUP", leg(n), seconds, f'{{"hangupcause":16,"hangupsource":"{source}"}}')


def cel(path: Path, *lines: str) -> Path:
    file = path / "legs.csv"
    file.write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")
    return file


async def test_a_talk_that_went_on_is_known_and_not_touched(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        await talking(here)
        here.ami.channels(citizen_row(1, bridge="b"), phone_row(2, "101", 1, bridge="b"))
        await here.restart(20, 1)
        call = here.channel.calls.by_leg[leg(1)]
        assert (call.answered_by, call.talk_leg) == (AgentId("anna"), leg(2))
        assert here.agent("anna") == "talk"
        assert not here.ended()
        assert here.ami.actions("Hangup") == here.ami.actions("Redirect") == []


async def talking(here: World) -> None:
    """Citizen 1 talks with anna."""
    await here.waiting(1, 1)
    (offer,) = [c for c in here.commands() if isinstance(c, OfferContact)]
    accepted = ev.OfferAccepted(offer_id=offer.offer_id, agent_id=AgentId("anna"), at=at(3))
    await here.said(accepted, seconds=3)


async def test_a_talk_that_ended_has_its_own_instant_and_its_own_party(tmp_path: Path) -> None:
    past = cel(tmp_path, agent_hung_up(2, 9, "101"), agent_hung_up(1, 9.25, "101"))
    async with world(cel=past, agents=["anna"]) as here:
        await talking(here)
        await here.restart(20, 1)
        (row,) = here.ended().values()
        assert (row.ended, row.party, row.reason) == (
            at(9.25),
            ev.Party.AGENT,
            "imported from cel",
        )
        assert row.disposition is Disposition.ANSWERED
        assert here.agent("anna") == "ready"
        assert not here.channel.calls.by_leg


async def test_without_cel_the_instant_of_the_resync_stands_and_says_so() -> None:
    async with world(agents=["anna"]) as here:
        await talking(here)
        await here.restart(20, 1)
        (row,) = here.ended().values()
        assert (row.ended, row.reason) == (at(20), "seen at resync")


async def test_who_was_answered_by_the_native_queue_and_left_again(tmp_path: Path) -> None:
    past = cel(
        tmp_path,
        PHONE.format(t=stamp(8), leg=leg(7), linked=leg(1)),
        line("ANSWER", leg(7), 10),
        agent_hung_up(7, 14, "101"),
        citizen_hung_up(1, 14.5),
    )
    async with world(cel=past) as here:
        await here.waiting(1, 1)
        await here.restart(20, 1)
        (row,) = here.ended().values()
        assert (row.via, row.answered, row.ended) == ("fallback", at(10), at(14.5))
        assert (row.agent_id, row.disposition) == (AgentId("anna"), Disposition.ANSWERED)
        assert here.agent("anna") == "offline", "a talk does not bring him to work"


@pytest.mark.parametrize("why", ["blocked", "closed"])
async def test_whose_announcement_was_cut_off_was_answered_by_the_native_queue(
    tmp_path: Path, why: str
) -> None:
    past = cel(
        tmp_path,
        PHONE.format(t=stamp(8), leg=leg(7), linked=leg(1)),
        line("ANSWER", leg(7), 10),
        agent_hung_up(7, 14, "101"),
        citizen_hung_up(1, 14.5),
    )
    contact_id = ContactId("c1")
    async with world(cel=past) as here:
        if why == "closed":
            await here.waiting(1, 1)
            await here.said(ev.EmergencyClosed(queue=QueueId("passport"), say="sorry"))
        else:
            came = ev.ContactStarted(
                contact_id=contact_id, medium=Medium.VOICE, number="", entry="", uniqueid=leg(1)
            )
            await here.said(came, ev.ContactBlocked(contact_id=contact_id), seconds=1)
        treated = here.view("c1")
        assert treated is not None
        assert treated.state == "treated"
        await here.restart(20, 1)
        (row,) = here.ended().values()
        assert (row.via, row.answered, row.ended) == ("fallback", at(10), at(14.5))
        assert (row.agent_id, row.disposition) == (AgentId("anna"), Disposition.ANSWERED)


async def test_a_ring_that_was_answered_meanwhile_is_our_offer(tmp_path: Path) -> None:
    past = cel(
        tmp_path,
        PHONE.format(t=stamp(1.1), leg=leg(2), linked=leg(1)),
        line("ANSWER", leg(2), 4.5),
    )
    async with world(cel=past, agents=["anna"]) as here:
        await here.waiting(1, 1)
        here.ami.channels(citizen_row(1, bridge="b"), phone_row(2, "101", 1, bridge="b"))
        await here.restart(20, 1)
        view = here.view("c1")
        assert view is not None
        assert (view.state, view.answered, view.via) == ("talk", at(4.5), "engine")


async def test_a_ring_that_goes_on_is_left_alone_and_known(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        await here.waiting(1, 1)
        here.ami.channels(citizen_row(1), phone_row(2, "101", 1, up=False))
        await here.restart(3, 1)
        call = here.channel.calls.by_leg[leg(1)]
        assert call.dialling is not None
        assert call.legs == {leg(2): AgentId("anna")}
        assert here.agent("anna") == "reserved"
        assert here.ami.actions("Hangup") == []


async def test_an_offer_that_never_rang_blames_nobody(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        await here.waiting(1, 1)
        here.ami.channels(citizen_row(1, app="Queue"))
        await here.restart(20, 1)
        assert here.agent("anna") == "ready"
        view = here.engine.acd.agent_view(AgentId("anna"))
        assert view is not None
        assert view.misses == 0
        contact = here.view("c1")
        assert contact is not None
        assert contact.state == "detached"


async def test_a_ring_that_ended_unanswered_is_a_miss_at_its_own_instant(tmp_path: Path) -> None:
    past = cel(
        tmp_path,
        PHONE.format(t=stamp(1.1), leg=leg(2), linked=leg(1)),
        line("HANGUP", leg(2), 6),
    )
    async with world(cel=past, agents=["anna"]) as here:
        await here.waiting(1, 1)
        here.ami.channels(citizen_row(1, app="Queue"))
        await here.restart(20, 1)
        (failed,) = [e for e in here.events() if isinstance(e, ev.OfferFailed)]
        assert (failed.failure, failed.at) == (ev.OfferFailure.NO_ANSWER, at(6))


async def test_one_who_came_and_was_served_entirely_without_us(tmp_path: Path) -> None:
    past = cel(
        tmp_path,
        STARTED.format(t=stamp(9), leg=leg(5, 9)),
        PHONE.format(t=stamp(10), leg=leg(6), linked=leg(5, 9)),
        line("ANSWER", leg(6), 11),
        line("HANGUP", leg(6), 15),
        line("HANGUP", leg(5, 9), 15.5),
    )
    async with world(cel=past) as here:
        await here.waiting(1, 1)
        here.ami.channels(citizen_row(1, app="Queue"))
        await here.restart(20, 1)
        row = here.ended()["new1"]
        assert (row.started, row.answered, row.ended) == (at(9), at(11), at(15.5))
        assert (row.via, row.agent_id) == ("fallback", AgentId("anna"))
        (begun,) = [
            e for e in here.events() if isinstance(e, ev.ContactStarted) and e.contact_id == "new1"
        ]
        assert (begun.citizen, begun.entry) == ("key of +79000000001", "+74951112233")
        steps = len(here.memory.steps)
        here.channel.resync.away_since(at(1))
        await here.resync()
        again = [getattr(s.event, "contact_id", "") for s in here.memory.steps[steps:]]
        assert not [name for name in again if name.startswith("new")], "told a second time"


async def test_one_who_gave_up_without_us_is_on_record_too(tmp_path: Path) -> None:
    past = cel(
        tmp_path,
        STARTED.format(t=stamp(9), leg=leg(5, 9)),
        citizen_hung_up(5, 12).replace(leg(5), leg(5, 9)),
    )
    async with world(cel=past) as here:
        here.clock.moment = at(1)
        await here.restart(20)
        row = here.ended()["new1"]
        assert (row.disposition, row.ended) == (Disposition.FAILED_OPEN, at(12))


async def test_a_stranger_who_talks_natively_is_found_even_without_cel() -> None:
    async with world() as here:
        here.clock.moment = at(1)
        row = citizen_row(5, app="Queue", bridge="b", Duration="00:00:12")
        here.ami.channels(row, phone_row(6, "101", 5, bridge="b"))
        await here.restart(20)
        view = here.view("new1")
        assert view is not None
        assert (view.state, view.started, view.agent_id) == ("talk", at(8), AgentId("anna"))


async def test_an_agents_old_talk_ends_before_his_new_one_begins(tmp_path: Path) -> None:
    past = cel(
        tmp_path,
        citizen_hung_up(1, 9),
        PHONE.format(t=stamp(10), leg=leg(7), linked=leg(3)),
        line("ANSWER", leg(7), 11),
    )
    async with world(cel=past, agents=["anna"]) as here:
        await talking(here)
        await here.waiting(3, 5)
        here.ami.channels(
            citizen_row(3, app="Queue", bridge="b"), phone_row(7, "101", 3, bridge="b")
        )
        await here.restart(20, 3, 1)
        view = here.view("c3")
        assert view is not None
        assert (view.state, view.answered, view.agent_id) == ("talk", at(11), AgentId("anna"))
        assert here.agent("anna") == "talk"


async def test_a_call_that_came_after_the_list_was_asked_for_is_not_gone(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path)) as here:
        await here.waiting(1, 1)
        here.ami.channels()
        resync = asyncio.ensure_future(here.channel.resync.run())
        await asyncio.sleep(0)
        here.channel.calls.add(Call(contact_id=ContactId("c1"), leg=leg(1), channel="x"))
        await resync
        await here.engine.drain()
        assert not here.ended()


async def test_after_a_restart_of_asterisk_the_calls_have_failed_by_system(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        await talking(here)
        await here.waiting(2, 4)
        for n in (1, 2):
            here.channel.calls.add(Call(contact_id=ContactId(f"c{n}"), leg=leg(n), channel="x"))
        here.ami.booted(at(15))
        here.clock.moment = at(20)
        here.channel.resync.lost()
        await here.resync()
        ended = here.ended()
        assert {r.reason for r in ended.values()} == {"asterisk restarted"}
        assert ended[ContactId("c1")].disposition is Disposition.ANSWERED
        assert ended[ContactId("c2")].disposition is Disposition.SYSTEM_FAILED
        assert here.agent("anna") == "ready"


@pytest.mark.parametrize("who", ["look_at", "patrol"])
async def test_nobody_is_judged_between_a_lost_link_and_its_resync(
    tmp_path: Path, who: str
) -> None:
    async with world(cel=cel(tmp_path)) as here:
        await here.waiting(1, 4)
        call = Call(contact_id=ContactId("c1"), leg=leg(1), channel="x", let_go=at(15))
        here.channel.calls.add(call)
        here.ami.channels()
        here.ami.booted(at(15))
        here.clock.moment = at(16)
        here.channel.resync.lost()
        if who == "look_at":
            await here.channel.resync.look_at(call)
            await here.engine.drain()
            assert not here.ended(), "whether Asterisk went with him is not known yet"
            await here.resync()
        else:
            await here.channel.resync.patrol()  # makes up for the resync that did not come
            await here.engine.drain()
        assert here.ended()[ContactId("c1")].disposition is Disposition.SYSTEM_FAILED


async def test_a_patrol_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "PATROL_S", 0.0)
    async with world() as here:
        rounds = Facts[int]()

        async def patrol() -> None:
            rounds.add(1)
            raise RuntimeError("a bug")

        monkeypatch.setattr(here.channel.resync, "patrol", patrol)
        here.channel.spawn(here.channel._patrol())
        await rounds.count(3)


async def test_a_task_that_ends_by_a_bug_is_logged() -> None:
    async def broken() -> None:
        raise RuntimeError("a bug")

    async with world() as here:
        with structlog.testing.capture_logs() as logged:
            await asyncio.wait({here.channel.spawn(broken())})
            await asyncio.sleep(0)  # done callbacks run in the loop's next round
    assert [row["event"] for row in logged if row["log_level"] == "error"] == ["task_failed"]


async def test_a_link_that_does_not_answer_is_not_trusted() -> None:
    async with world() as here:
        here.ami.refuses = PeerError("slow")
        with pytest.raises(PeerError):
            await here.channel.resync.run()


WITHDRAW, WAKE = "QueueWithdrawCaller", "ControlPlayback"


def standing(*entries: tuple[int, str]) -> list[AmiEvent]:
    return [
        AmiEvent.of("QueueEntry", Queue=queue, Uniqueid=leg(n), Channel=f"PJSIP/t-{n}", Wait="3")
        for n, queue in entries
    ]


async def test_callers_are_taken_back_in_their_order_and_never_from_strange_queues() -> None:
    async with world() as here:
        for n, seconds in ((3, 1), (1, 2), (2, 3)):
            await here.waiting(n, seconds)
        here.ami.channels(*(citizen_row(n, app="Queue") for n in (1, 2, 3)))
        here.ami.lists["QueueStatus"] = standing(
            (1, "gkc-passport"), (2, "gkc-passport"), (3, "gkc-passport"), (9, "theirs")
        )
        here.channel.jobs.start()
        await here.restart(20, 1, 2, 3)
        sent = await here.ami.said.until(lambda s: [n for n, _ in s].count(WAKE) == 3, 20)
        asked = [fields["Caller"] for name, fields in sent if name == WITHDRAW]
        assert asked == ["PJSIP/t-3", "PJSIP/t-1", "PJSIP/t-2"]
        assert here.ami.actions("Redirect") == []
        # After a beat: the dialplan would pass an engine by that it believes to be dead.
        sent_names = [n for n, _ in sent]
        assert sent_names.index("Setvar") < sent_names.index(WITHDRAW)
        # Each is woken after he is withdrawn: else he would look only at his next second.
        names = [(n, f.get("Caller") or f.get("Channel")) for n, f in sent if n in (WITHDRAW, WAKE)]
        assert names == [(n, c) for c in asked for n in (WITHDRAW, WAKE)]


async def test_who_comes_back_first_lets_those_before_him_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resync, "TURN_S", 3600.0)  # nobody passes because he waited long enough
    async with world() as here:
        for n, seconds in ((1, 1), (2, 2)):
            await here.waiting(n, seconds)
        here.ami.channels(citizen_row(1, app="Queue"), citizen_row(2, app="Queue"))
        here.ami.lists["QueueStatus"] = standing((2, "gkc-passport"), (1, "gkc-passport"))
        await here.restart(20, 1, 2)
        second = asyncio.ensure_future(here.channel.resync.in_turn(leg(2)))
        await asyncio.sleep(0)
        assert not second.done()
        await asyncio.wait_for(here.channel.resync.in_turn(leg(1)), 10)
        await asyncio.wait_for(second, 10)


async def test_one_whom_the_native_queue_keeps_holds_nobody_up_for_long() -> None:
    async with world() as here:
        for n, seconds in ((1, 1), (2, 2)):
            await here.waiting(n, seconds)
        here.ami.channels(citizen_row(1, app="Queue"), citizen_row(2, app="Queue"))
        here.ami.lists["QueueStatus"] = standing((2, "gkc-passport"), (1, "gkc-passport"))
        await here.restart(20, 1, 2)
        assert resync.TURN_S < 1.5
        await asyncio.wait_for(here.channel.resync.in_turn(leg(2)), 15)
