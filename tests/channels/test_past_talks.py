"""Talks that began, were handed on and ended while no engine lived: each is told, once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition, SegmentClosed
from gkc_engine.channels.phone import translate as tr
from gkc_engine.ids import SECOND, AgentId, ContactId
from tests.channels.test_cel import PHONE, STARTED, line, stamp
from tests.channels.test_resync import cel, citizen_hung_up, talking
from tests.channels.world import World, at, citizen_row, leg, phone_row, world


def phone_at(n: int, phone: str, rings: float, answered: float, ends: float) -> list[str]:
    """The lines of a leg that was made for citizen 1."""
    began = PHONE.format(t=stamp(rings), leg=leg(n), linked=leg(1)).replace("101", phone)
    return [began, line("ANSWER", leg(n), answered), line("HANGUP", leg(n), ends)]


TRANSFERS: dict[str, tuple[float, float, list[tuple[str, float, float, str | None]]]] = {
    # Anna sends him on without a word: Boris's phone rings when she has gone.
    "blind": (9.25, 12, [("talk", 5, 9, "anna"), ("fallback", 9, 12, None)]),
    # She asks Boris first, and leaves him with the citizen.
    "attended": (6, 7, [("talk", 5, 9, "anna")]),
}


@pytest.mark.parametrize("how", TRANSFERS)
@pytest.mark.parametrize("known", [True, False])
async def test_a_transfer_while_nobody_was_there_has_both_talks(
    tmp_path: Path, how: str, known: bool
) -> None:
    rings, answered, parts = TRANSFERS[how]
    async with world(cel=cel(tmp_path), agents=["anna", "boris"]) as here:
        await here.resync()
        if known:
            await here.said(ev.AgentPaused(agent_id=AgentId("anna"), reason="x"), seconds=0)
            await here.said(ev.AgentPaused(agent_id=AgentId("boris"), reason="x"), seconds=0)
            await here.waiting(1, 1)
        lines = [STARTED.format(t=stamp(1), leg=leg(1))] * (not known)
        lines += phone_at(2, "101", 4, 5, 9) + phone_at(3, "102", rings, answered, 15)
        lines.append(citizen_hung_up(1, 15))
        cel(tmp_path, *sorted(lines, key=lambda text: text.split('"')[3]))
        await here.restart(20, *[1] * known)
        ((name, one),) = here.ended().items()
        assert (one.answered, one.ended, one.disposition) == (at(5), at(15), Disposition.ANSWERED)
        closed = [c for c in here.commands() if isinstance(c, SegmentClosed)]
        mine = [c for c in closed if c.contact_id == name and c.kind != "wrap_up"]
        told = [(c.kind, c.started, c.ended, c.agent_id) for c in mine]
        last = ("talk", at(parts[-1][2]), at(15), "boris")
        want = [(kind, at(begin), at(end), who) for kind, begin, end, who in parts]
        assert told[-len(want) - 1 :] == [*want, last]
        assert [c.transfer_kind for c in mine if c.transfer_kind] == [how]


@pytest.mark.parametrize("gone", ["citizen", "operator"])
async def test_a_colleague_whose_phone_rang_yet_when_we_came_has_his_talk(
    tmp_path: Path, gone: str
) -> None:
    """Found by ``records verify`` in a demo with kills: anna had had him to the end."""
    first = phone_at(2, "101", 4, 5, 9)
    rings, answers, ends = phone_at(3, "102", 9.25, 12, 15)
    async with world(cel=cel(tmp_path), agents=["anna", "boris"]) as here:
        await here.resync()
        await here.said(ev.AgentPaused(agent_id=AgentId("anna"), reason="x"), seconds=0)
        await here.said(ev.AgentPaused(agent_id=AgentId("boris"), reason="x"), seconds=0)
        await here.waiting(1, 1)
        cel(tmp_path, *first, rings)
        here.ami.channels(citizen_row(1, app="Dial"), phone_row(3, "102", 1, up=False))
        await here.restart(10, 1)
        here.channel.ami.up = True
        cel(tmp_path, *first, rings, answers)
        here.ami.channels(
            citizen_row(1, app="Dial", bridge="b"), phone_row(3, "102", 1, bridge="b")
        )
        here.clock.moment = at(12)
        answered = tr.DialFinished(
            caller=leg(1), leg=leg(3), endpoint="PJSIP/102", status="ANSWER", at=at(12)
        )
        here.channel.facts.handle(answered)
        async with asyncio.timeout(20):
            while here.view("c1").agent_id != "boris":  # type: ignore[union-attr]  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        cel(tmp_path, *first, rings, answers, ends, citizen_hung_up(1, 15))
        here.clock.moment = at(15)
        for n in (1, 3) if gone == "citizen" else (3, 1):
            here.channel.facts.handle(
                tr.LegEnded(
                    leg=leg(n),
                    channel="x",
                    endpoint="PJSIP/102" if n == 3 else None,
                    cause=16,
                    cause_text="",
                    at=at(15),
                )
            )
        await here.engine.drain()
        (one,) = here.ended().values()
        assert (one.answered, one.ended, one.disposition) == (at(5), at(15), Disposition.ANSWERED)
        assert [part for part in parts(here) if part[0] == "talk"] == [
            ("talk", "anna", 5, 9),
            ("talk", "boris", 12, 15),
        ]


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize("known", ["talk", "ring", "nothing"])
async def test_who_was_sent_to_a_queue_meanwhile_and_came_to_the_same_operator_talked_twice(
    tmp_path: Path, known: str, goes_on: bool
) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        await here.resync()
        if known == "talk":
            await talking(here)
        elif known == "ring":
            await here.waiting(1, 1)
        lines = [STARTED.format(t=stamp(1), leg=leg(1))] * (known == "nothing")
        lines += phone_at(2, "101", 2, 3, 9) + phone_at(3, "101", 9.25, 12, 15)[: 3 - goes_on]
        lines += [citizen_hung_up(1, 15)] * (not goes_on)
        cel(tmp_path, *lines)
        if goes_on:
            held = {"app": "Queue", "ApplicationData": "gkc-passport", "bridge": "b"}
            here.ami.channels(citizen_row(1, **held), phone_row(3, "101", 1, bridge="b"))
        await here.restart(14 if goes_on else 20, *[1] * (known != "nothing"))
        if goes_on:
            here.clock.moment = at(15)
            ends = tr.LegEnded(
                leg=leg(1), channel="x", endpoint=None, cause=16, cause_text="", at=at(15)
            )
            here.channel.facts.handle(ends)
            await here.engine.drain()
        (name,) = here.ended()
        closed = [c for c in here.commands() if isinstance(c, SegmentClosed)]
        mine = [c for c in closed if c.contact_id == name and c.kind in ("talk", "fallback")]
        assert [(c.kind, c.started, c.ended, c.agent_id) for c in mine[-3:]] == [
            ("talk", at(3), at(9), "anna"),
            ("fallback", at(9), at(12), None),
            ("talk", at(12), at(15), "anna"),
        ]
        assert mine[-1].channel_uniqueid == leg(3)


@pytest.mark.parametrize("known", [True, False])
async def test_who_was_sent_back_to_a_queue_meanwhile_waits_since_his_operator_left(
    tmp_path: Path, known: bool
) -> None:
    async with world(cel=cel(tmp_path), agents=["anna"]) as here:
        await here.resync()
        if known:
            await here.said(ev.AgentPaused(agent_id=AgentId("anna"), reason="x"), seconds=0)
            await here.waiting(1, 1)
        came = [STARTED.format(t=stamp(1), leg=leg(1))] * (not known)
        cel(tmp_path, *came, *phone_at(2, "101", 4, 5, 9))
        here.ami.channels(citizen_row(1, app="Queue", ApplicationData="gkc-passport"))
        await here.restart(20, *[1] * known)
        (talk,) = [c for c in here.commands() if isinstance(c, SegmentClosed) and c.kind == "talk"]
        assert (talk.started, talk.ended) == (at(5), at(9))
        view = here.view(talk.contact_id)
        assert view is not None
        assert (view.state, view.since) == ("detached", at(9))


@pytest.mark.parametrize("then", [None, "vera"])
async def test_a_colleague_who_was_only_asked_is_no_transfer(
    tmp_path: Path, then: str | None
) -> None:
    async with world(cel=cel(tmp_path), agents=["anna", "boris", "vera"]) as here:
        await here.resync()
        anna = phone_at(2, "101", 4, 5, 15)
        lines = [*anna[:2], *phone_at(3, "102", 6, 7, 9), *anna[2:]]
        lines += phone_at(4, "103", 15.25, 15.5, 18) * (then is not None)
        ends = 15 if then is None else 18
        cel(tmp_path, STARTED.format(t=stamp(1), leg=leg(1)), *lines, citizen_hung_up(1, ends))
        await here.restart(20)
        talks = [c for c in here.commands() if isinstance(c, SegmentClosed) and c.kind == "talk"]
        assert [c.agent_id for c in talks] == ["anna", "vera"][: 1 if then is None else 2]
        assert (talks[0].started, talks[0].ended) == (at(5), at(15))


async def test_a_transfer_that_found_no_engine_was_when_the_operators_line_ended(
    tmp_path: Path,
) -> None:
    """Also of a talk that had been put on hold a moment before; found by ``records verify``."""
    legs = (
        PHONE.format(t=stamp(2.5), leg=leg(2), linked=leg(1)),
        line("ANSWER", leg(2), 3),
        line("HANGUP", leg(2), 8.5),
    )
    async with world(cel=cel(tmp_path, *legs), agents=["anna"]) as here:
        await talking(here)
        held = ev.HoldStarted(contact_id=ContactId("c1"), agent_id=AgentId("anna"), at=at(8))
        await here.said(held, seconds=8)
        here.ami.channels(citizen_row(1, app="Queue"))
        await here.restart(20, 1)
        (moved,) = [e for e in here.events() if isinstance(e, ev.TransferRequested)]
        assert (moved.from_agent, moved.at) == ("anna", at(8.5))
        view, call = here.view("c1"), here.channel.calls.by_leg[leg(1)]
        assert view is not None
        # Nor do we take the end of an earlier talk of theirs for that of this one.
        assert await here.channel.resync.parted(call, view) is None


def phone_talk(n: int, phone: str, rings: float, answered: float, ends: float) -> tuple[str, ...]:
    rung = PHONE.replace("/101-", f"/{phone}-").replace('"101"', f'"{phone}"')
    return (
        rung.format(t=stamp(rings), leg=leg(n), linked=leg(1)),
        line("ANSWER", leg(n), answered),
        line("HANGUP", leg(n), ends),
    )


def parts(here: World) -> list[tuple[str, str | None, float, float]]:
    """Return the contact's parts: kind, who, from and to."""
    zero = at(0)
    return [
        (c.kind.value, c.agent_id, (c.started - zero) / SECOND, (c.ended - zero) / SECOND)
        for c in here.commands()
        if isinstance(c, SegmentClosed) and c.started >= at(2)
    ]


async def test_each_talk_of_one_who_came_and_was_sent_on_while_we_were_away(
    tmp_path: Path,
) -> None:
    """Not the last alone; found by ``records verify`` in a demo whose engine was killed."""
    past = cel(
        tmp_path,
        STARTED.format(t=stamp(2), leg=leg(1)),
        *phone_talk(2, "101", 2.5, 3, 5),
        *phone_talk(3, "102", 7, 8, 11),
        citizen_hung_up(1, 11),
    )
    async with world(cel=past, agents=["anna", "boris"]) as here:
        here.clock.moment = at(1)
        await here.restart(20)
        (row,) = here.ended().values()
        assert (row.agent_id, row.answered, row.ended) == ("anna", at(3), at(11))
        assert parts(here) == [
            ("menu", None, 2, 2),
            ("fallback", None, 2, 3),
            ("talk", "anna", 3, 5),
            ("fallback", None, 5, 8),
            ("talk", "boris", 8, 11),
        ]


async def test_a_colleague_who_was_only_asked_meanwhile_had_no_talk_with_him(
    tmp_path: Path,
) -> None:
    past = cel(
        tmp_path,
        STARTED.format(t=stamp(2), leg=leg(1)),
        *phone_talk(2, "101", 2.5, 3, 8),
        *phone_talk(3, "102", 4, 5, 7),
        *phone_talk(4, "103", 8.5, 9, 11),
        citizen_hung_up(1, 11),
    )
    async with world(cel=past, agents=["anna", "boris", "vera"]) as here:
        here.clock.moment = at(1)
        await here.restart(20)
        talks = [part for part in parts(here) if part[0] == "talk"]
        assert talks == [("talk", "anna", 3, 8), ("talk", "vera", 9, 11)]


async def test_he_was_sent_on_by_one_whom_we_knew_and_waited_in_between(tmp_path: Path) -> None:
    past = cel(
        tmp_path,
        *phone_talk(2, "101", 2.5, 3, 8),
        *phone_talk(3, "102", 9, 10, 12),
        citizen_hung_up(1, 12),
    )
    async with world(cel=past, agents=["anna", "boris"]) as here:
        await talking(here)
        await here.restart(20, 1)
        assert parts(here)[-3:] == [
            ("talk", "anna", 3, 8),
            ("fallback", None, 8, 10),
            ("talk", "boris", 10, 12),
        ]
        (row,) = here.ended().values()
        assert (row.via, row.agent_id) == ("engine", "anna")
