from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from gkc_engine.errors import PeerError
from gkc_engine.ivr.agi_protocol import AgiReply
from gkc_engine.ivr.agi_session import QUICK_REPLY_S
from gkc_engine.ivr.fastagi import (
    AgiClosed,
    AgiServer,
    AgiSession,
    DataResult,
    StreamResult,
)
from tests.fakes.agi import FakeCall
from tests.fakes.facts import Facts


@asynccontextmanager
async def server(
    handler: Callable[[AgiSession], Awaitable[None]] | None = None, **options: float
) -> AsyncIterator[AgiServer]:
    async def until_closed(session: AgiSession) -> None:
        await session.closed.wait()

    made = AgiServer(handler or until_closed, "127.0.0.1", 0, **options)  # type: ignore[arg-type]
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
        assert made.sessions == 0


@asynccontextmanager
async def call(**header: str) -> AsyncIterator[tuple[AgiSession, FakeCall]]:
    """A session and the Asterisk at its other end."""
    sessions: Facts[AgiSession] = Facts()

    async def handler(session: AgiSession) -> None:
        sessions.add(session)
        await session.closed.wait()

    async with server(handler) as made:
        fake = await FakeCall.dial(made.port, **header)
        (session,) = await sessions.count(1)
        yield session, fake
        await fake.hang_up()
        await session.closed.wait()


def started(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(coroutine)


# --- commands and replies


async def test_a_session_knows_its_call() -> None:
    async with call(network_script="queue/passport", calleridname="Иванов «Пётр»") as (session, _):
        assert session.request.path == "/queue/passport"
        assert session.uniqueid == "centr-1795477621.46"
        assert session.channel == "PJSIP/trunk-00000001"
        assert session.request.callerid_name == "Иванов «Пётр»"
        assert session.request.dnid == "+74957777777"


async def test_commands_go_out_quoted_one_at_a_time_and_in_order() -> None:
    async with call() as (session, fake):
        tasks = [started(session.set_variable("X", number)) for number in range(20)]
        await asyncio.gather(*tasks)
        assert fake.commands.all == [f'SET VARIABLE "X" "{number}"' for number in range(20)]
        await session.set_variable("CALLERID(name)", 'a"b\\c\r\nHANGUP\0 ${x}')
        assert fake.commands.all[-1] == r'SET VARIABLE "CALLERID(name)" "a\"b\\cHANGUP ${x}"'


async def test_variables_and_applications() -> None:
    async with call() as (session, fake):
        assert await session.get_variable("NIX") is None
        fake.answers["GET VARIABLE"] = "200 result=1 (a b\nc)"
        assert await session.get_variable("X") == "a b\nc"
        fake.answers["GET VARIABLE"] = "200 result=1 ()"
        assert await session.get_variable("X") == ""
        fake.answers["EXEC"] = "200 result=-2"
        reply = await session.exec("Nix", "a", 1)
        assert (reply.result, reply.ok) == ("-2", False)
        assert fake.commands.all[-1] == 'EXEC "Nix" "a,1"'
        for make, line in (
            (session.answer(), "ANSWER"),
            (session.set_music(True), "SET MUSIC ON"),
            (session.set_music(True, "gkc"), 'SET MUSIC ON "gkc"'),
            (session.set_music(False), "SET MUSIC OFF"),
            (session.hangup(), "HANGUP"),
        ):
            assert (await make).ok
            assert fake.commands.all[-1] == line


async def test_a_dial_runs_as_long_as_it_likes_and_others_wait_for_it() -> None:
    async with call() as (session, fake):
        dial = started(session.exec("Dial", "PJSIP/101", 20))
        await fake.got("EXEC")
        later = started(session.get_variable("DIALSTATUS"))
        assert not session.lease(4)
        fake.answers["GET VARIABLE"] = "200 result=1 (BUSY)"
        fake.reply("200 result=0")
        assert await dial == AgiReply(200, "0")
        assert await later == "BUSY"
        assert len(fake.commands.all) == 2


async def test_a_cancelled_command_still_holds_the_line_until_its_reply() -> None:
    async with call() as (session, fake):
        dial = started(session.exec("Dial", "PJSIP/101", 20))
        await fake.got("EXEC")
        dial.cancel()
        with suppress(asyncio.CancelledError):
            await dial
        later = started(session.get_variable("X"))
        await asyncio.sleep(0)
        fake.answers["GET VARIABLE"] = "200 result=1 (mine)"
        fake.reply("200 result=0")
        assert await later == "mine"


async def test_a_command_too_long_for_asterisk_is_refused_here() -> None:
    async with call() as (session, _):
        with pytest.raises(PeerError, match="bytes"):
            await session.set_variable("X", "x" * 2000)
        assert (await session.noop()).ok


async def test_asterisk_that_does_not_answer_loses_the_session() -> None:
    loop = asyncio.get_running_loop()
    async with call() as (session, fake):
        asked = asyncio.Event()

        def silent(_line: str) -> None:
            asked.set()

        fake.answers["ANSWER"] = silent
        begun = loop.time()
        answering = asyncio.ensure_future(session.answer())
        await asked.wait()
        session.look_at_clock(begun + QUICK_REPLY_S - 0.1)
        assert not session.closed.is_set()
        session.look_at_clock(loop.time() + QUICK_REPLY_S + 0.1)
        with pytest.raises(AgiClosed):
            await answering
        await session.closed.wait()


async def test_a_talk_may_last_longer_than_a_quick_reply() -> None:
    loop = asyncio.get_running_loop()
    async with call() as (session, fake):
        asked = asyncio.Event()

        def silent(_line: str) -> None:
            asked.set()

        fake.answers["EXEC"] = silent
        dialling = asyncio.ensure_future(session.exec("Dial", "PJSIP/101"))
        await asked.wait()
        session.look_at_clock(loop.time() + 7200)
        assert not session.closed.is_set()
        dialling.cancel()


# --- prompts


async def test_prompts_end_by_themselves() -> None:
    async with call() as (session, fake):
        fake.answers["STREAM FILE"] = "200 result=0 endpos=4640"
        assert await session.stream_file("a") == StreamResult(endpos=4640)
        fake.answers["STREAM FILE"] = "200 result=49 endpos=80"
        assert await session.stream_file("a", "1") == StreamResult(digit="1", endpos=80)
        fake.answers["STREAM FILE"] = "200 result=-1 endpos=0"
        assert await session.stream_file("a") == StreamResult(failed=True)
        fake.answers["GET DATA"] = "200 result=12"
        assert await session.get_data("a", 3000, 2) == DataResult("12")
        fake.answers["GET DATA"] = "200 result=1 (timeout)"
        assert await session.get_data("a", 3000, 2) == DataResult("1", timed_out=True)
        fake.answers["GET DATA"] = "200 result="
        assert await session.get_data("a", 3000, 2) == DataResult()
        fake.answers["GET DATA"] = "200 result=-1"
        assert await session.get_data("a", 3000, 2) == DataResult(failed=True)
        assert fake.commands.all[-1] == 'GET DATA "a" 3000 2'


async def test_the_next_command_cuts_a_prompt() -> None:
    async with call() as (session, fake):
        prompt = started(session.stream_file("long"))
        await fake.got("STREAM")
        fake.answers["EXEC"] = "200 result=0"
        assert await session.exec("Dial", "PJSIP/1") == AgiReply(200, "0")
        assert await prompt == StreamResult(cut=True)
        assert [line.split()[0] for line in fake.commands.all] == ["STREAM", "GET", "EXEC"]


@pytest.mark.parametrize("late", [None, "200 result=12", "200 result= (timeout)", "200 result=-1"])
@pytest.mark.parametrize("prompt", ["data", "stream"])
async def test_a_fence_keeps_late_replies_from_the_next_prompt(
    prompt: str, late: str | None
) -> None:
    async with call() as (session, fake):
        first = started(
            session.get_data("menu", 3000, 2) if prompt == "data" else session.stream_file("a")
        )
        await fake.got("GET DATA" if prompt == "data" else "STREAM")
        fake.answers["STREAM FILE"] = "200 result=50 endpos=9"
        fence = fake.answers["GET FULL VARIABLE"]
        assert callable(fence)

        def answer(line: str) -> str | None:
            if late is None:
                return fence(line)
            fake.say(late if prompt == "data" else late + " endpos=5")
            # Some time between the two: long enough to take the first for the second.
            reply = fence(line)
            assert reply is not None
            asyncio.get_running_loop().call_later(0.02, fake.reply, reply)
            return None

        fake.answers["GET FULL VARIABLE"] = answer
        assert await session.stream_file("b", "2") == StreamResult(digit="2", endpos=9)
        assert (await first).cut
        assert (await session.noop()).ok


async def test_a_cut_that_asterisk_read_with_the_prompt_is_repeated() -> None:
    async with call() as (session, fake):
        prompt = started(session.stream_file("long"))
        await asyncio.sleep(0)  # written, and the next line goes out with it
        assert (await session.noop()).ok
        assert await prompt == StreamResult(cut=True)
        assert 'GET FULL VARIABLE "fence-2"' in fake.commands.all
        assert (await session.get_variable("X")) is None


async def test_a_cut_that_is_cancelled_leaves_the_session_in_order() -> None:
    async with call() as (session, fake):
        prompt = started(session.get_data("menu", 1000, 1))
        await fake.got("GET DATA")
        fence = fake.answers["GET FULL VARIABLE"]
        fake.answers["GET FULL VARIABLE"] = lambda _: None
        cutter = started(session.noop())
        await fake.got("GET FULL")
        cutter.cancel()
        fake.answers["GET FULL VARIABLE"] = fence
        later = started(session.get_variable("X"))
        await asyncio.sleep(0)
        fake.reply("200 result=1 (fence-1)")
        assert await later is None
        assert (await prompt).cut


async def test_many_announcements_cut_each_other() -> None:
    async with call() as (session, fake):
        tasks = [started(session.stream_file(f"p{number}")) for number in range(10)]
        await fake.got('STREAM FILE "p9"', 10)
        fake.reply("200 result=0 endpos=1")
        results = await asyncio.gather(*tasks)
        assert [result.cut for result in results] == [True] * 9 + [False]


# --- the lease


async def test_the_lease_is_renewed_only_when_it_disturbs_nobody() -> None:
    async with call() as (session, fake):
        assert session.lease(4)
        assert not session.lease(4)  # the first is not answered yet
        await fake.got("SET VARIABLE TIMEOUT(absolute) 4")
        assert (await session.noop()).ok
        prompt = started(session.stream_file("long"))
        await fake.got("STREAM")
        assert not session.lease(4)
        fake.reply("200 result=0 endpos=1")
        assert (await prompt).endpos == 1
        assert session.lease(5)
        await fake.got("SET VARIABLE TIMEOUT(absolute) 5")


async def test_a_lease_on_a_socket_that_is_just_being_closed_is_none() -> None:
    """An exception there ended the renewals of all who waited; a city under load found it."""
    async with call() as (session, _fake):
        assert session._transport is not None
        session._transport.close()
        assert not session.closed.is_set(), "known in the loop's next turn"
        assert not session.lease(4)


async def test_a_prompt_brings_a_lease_that_outlasts_it() -> None:
    async with call() as (session, fake):
        fake.answers["STREAM FILE"] = "200 result=0 endpos=58400"
        assert (await session.play("long", 7.3, 4)).endpos == 58400
        await fake.got("SET VARIABLE TIMEOUT(absolute) 4")
        assert fake.commands.all == [
            'SET VARIABLE "TIMEOUT(absolute)" "12"',
            'STREAM FILE "long" ""',
            "SET VARIABLE TIMEOUT(absolute) 4",
        ]


# --- ends


async def test_hangup_and_close_are_two_things() -> None:
    async with call() as (session, fake):
        fake.say("HANGUP")
        await asyncio.wait_for(session.hungup.wait(), 5)
        assert not session.closed.is_set()
        assert (await session.set_variable("GKC_DONE", 1)).ok
        await fake.hang_up()
        await asyncio.wait_for(session.closed.wait(), 5)
        with pytest.raises(AgiClosed):
            await session.noop()
        assert not session.lease(4)


Step = Callable[[AgiSession], Coroutine[Any, Any, Any]]
STEPS: list[Step] = [
    lambda s: s.answer(),
    lambda s: s.set_variable("X", 1),
    lambda s: s.get_variable("X"),
    lambda s: s.exec("Dial", "PJSIP/1"),
    lambda s: s.stream_file("a"),
    lambda s: s.get_data("a", 1000, 1),
    lambda s: s.set_music(True),
    lambda s: s.play("a", 1, 4),
    lambda s: s.hangup(),
    lambda s: s.noop(),
]


@pytest.mark.parametrize("step", STEPS)
async def test_the_caller_hangs_up_during_each_step(step: Step) -> None:
    async with call() as (session, fake):
        for key in (
            "ANSWER",
            "SET",
            "GET",
            "EXEC",
            "STREAM FILE",
            "GET VARIABLE",
            "HANGUP",
            "NOOP",
        ):
            fake.answers[key] = lambda _: None
        running = started(step(session))
        waiting = started(session.noop())
        await fake.commands.count(1)
        fake.say("HANGUP")
        await asyncio.wait_for(session.hungup.wait(), 5)
        await fake.hang_up()
        for task in (running, waiting):
            try:
                result = await asyncio.wait_for(task, 5)
            except AgiClosed:
                continue
            assert result.cut  # a prompt that the waiting command had cut before


@pytest.mark.parametrize("step", STEPS)
async def test_no_step_takes_hangup_for_its_reply(step: Step) -> None:
    async with call() as (session, fake):
        for key in ("EXEC", "STREAM FILE", "GET DATA"):
            fake.answers[key] = "200 result=-1"
        for key in ("ANSWER", "SET", "GET VARIABLE", "EXEC", "STREAM FILE", "GET DATA", "NOOP"):
            old = fake.answers.get(key, "200 result=0")
            fake.answers[key] = f"HANGUP\n{old}"
        await step(session)
        assert session.hungup.is_set() or step is STEPS[8]
        assert session._running is None or step is STEPS[7]


async def test_a_bug_in_the_handler_gives_the_caller_back() -> None:
    async def broken(_: AgiSession) -> None:
        raise ValueError("a bug of ours")

    async with server(broken) as made:
        fake = await FakeCall.dial(made.port)
        await asyncio.wait_for(fake.closed.wait(), 5)
        assert made.failed_total == 1


async def test_stop_gives_every_caller_back() -> None:
    async with server() as made:
        calls = [await FakeCall.dial(made.port) for _ in range(50)]
        await made.stop()
        for fake in calls:
            await asyncio.wait_for(fake.closed.wait(), 5)
