from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gkc_engine.channels.phone.ami import (
    AmiDown,
    AmiEvent,
    AmiLink,
    AmiRefused,
    AmiTimeout,
)
from gkc_engine.channels.phone.ami_messages import action_fields
from gkc_engine.errors import PeerError
from tests.fakes.ami import FakeAmi, FakeConnection, Fields, login, play, refuse, silence
from tests.fakes.facts import Facts

STREAMS = Path(__file__).parent / "streams"


class Rig:
    """A link to a fake Asterisk and what came out of it."""

    def __init__(self) -> None:
        self.server = FakeAmi()
        self.events: Facts[AmiEvent] = Facts()
        self.ups: Facts[str] = Facts()
        self.downs: Facts[str] = Facts()
        self.order: list[str] = []
        self.on_up: Callable[[], Awaitable[None]] | None = None
        self.link: AmiLink

    async def up(self) -> None:
        if self.on_up is not None:
            await self.on_up()
        self.ups.add("up")

    async def names(self, count: int) -> list[str]:
        return [event.name for event in await self.events.count(count)]


@asynccontextmanager
async def rig(
    prepare: Callable[[Rig], None] = lambda _: None,
    wait_up: bool = True,
    **options: float | bool,
) -> AsyncIterator[Rig]:
    new = Rig()
    prepare(new)
    await new.server.start()
    settings: dict[str, object] = {"retry_first": 0.02, "retry_max": 0.05, **options}
    new.link = AmiLink(
        "127.0.0.1",
        new.server.port,
        "gkc",
        "secret",
        on_event=new.events.add,
        on_up=new.up,
        on_down=new.downs.add,
        **settings,  # type: ignore[arg-type]
    )
    await new.link.start()
    try:
        if wait_up:
            await new.ups.count(1)
        yield new
    finally:
        await new.link.stop()
        await new.server.stop()


# --- events


async def test_recorded_stream_arrives_the_same_however_it_is_cut() -> None:
    seen: list[list[tuple[str, str, int | None]]] = []
    for piece in (1, 7, 1_000_000):
        async with rig() as r:
            play(r.server.last, STREAMS / "call_with_dial.txt", piece)
            r.server.last.event("TheEnd")
            events = await r.events.until(lambda es: es[-1].name == "TheEnd", 20)
            seen.append([(e.name, e.get("CallerIDName"), e.at) for e in events])
    assert seen[0] == seen[1] == seen[2]
    assert "Newchannel" in {name for name, _, _ in seen[0]}
    assert len(seen[0]) > 20
    assert "Иванов «Пётр»" in {name for _, name, _ in seen[0]}


async def test_events_keep_their_order_and_a_bug_in_on_event_costs_one_event() -> None:
    async with rig() as r:
        seen: Facts[str] = Facts()

        def on_event(event: AmiEvent) -> None:
            seen.add(event.name)
            if event.name == "E5":
                raise ValueError("a bug of ours")

        r.link._on_event = on_event
        for number in range(500):
            r.server.last.event(f"E{number}", X="1")
        names = await seen.until(lambda names: names[-1:] == ["E499"])
        assert [n for n in names if n != "FullyBooted"] == [f"E{n}" for n in range(500)]
        assert r.link.failed_total == 1
        assert r.link.up
        assert not r.downs.all


async def test_events_during_the_resync_come_after_it() -> None:
    def prepare(r: Rig) -> None:
        def channels(connection: FakeConnection, fields: Fields) -> None:
            connection.rows(fields, "CoreShowChannel", [{"Channel": "PJSIP/1", "Uniqueid": "1.1"}])
            connection.event("Hangup", Uniqueid="1.1")

        r.server.on("CoreShowChannels", channels)

        async def on_up() -> None:
            rows = await r.link.list_action("CoreShowChannels")
            r.order.extend(row.get("Uniqueid") for row in rows)
            await r.link.action("Ping")  # the Hangup has been received by now
            if not r.events.all:
                r.order.append("nothing delivered yet")

        r.on_up = on_up

    async with rig(prepare) as r:
        events = await r.events.until(lambda es: any(e.name == "Hangup" for e in es))
        assert r.order == ["1.1", "nothing delivered yet"]
        assert [event.name for event in events] == ["FullyBooted", "Hangup"]


async def test_a_flood_drops_the_link_and_a_resync_follows() -> None:
    async with rig(queue_max=1000) as r:
        frame = b"Event: Flood\r\nX: 1\r\n\r\n"
        r.server.last.transport.write(frame * 20_000)
        await r.ups.count(2)
        assert r.link.overflow_total == 1
        assert "faster" in r.downs.all[0]
        assert len(r.events.all) <= 20_000
        r.server.last.event("After", X="1")
        await r.events.until(lambda es: es[-1].name == "After")


# --- actions


async def test_an_action_is_answered_refused_or_times_out() -> None:
    async with rig() as r:
        r.server.on("Hangup", refuse("No such channel"))
        r.server.on("Redirect", silence)
        reply = await r.link.action("Setvar", Variable="X", Value="1")
        assert reply.ok
        with pytest.raises(AmiRefused, match="Hangup: No such channel"):
            await r.link.action("Hangup", Channel="PJSIP/1")
        with pytest.raises(AmiTimeout, match="Redirect"):
            await r.link.action("Redirect", Channel="PJSIP/1", timeout=0.05)
        assert not r.link._manager.protocol.responses  # type: ignore[union-attr]


async def test_an_action_fails_at_once_when_the_link_is_down_and_is_never_sent_later() -> None:
    async with rig() as r:
        r.server.on("Redirect", silence)
        first = r.server.last
        pending = asyncio.create_task(r.link.action("Redirect", Channel="PJSIP/1"))
        await first.actions.until(lambda fs: fs[-1]["Action"] == "Redirect")
        first.transport.abort()
        with pytest.raises(AmiDown):
            await pending
        with pytest.raises(AmiDown, match="no link"):
            await r.link.action("Hangup", Channel="PJSIP/1")
        await r.ups.count(2)
        await r.link.action("Ping")
        assert not {"Redirect", "Hangup"} & set(r.server.last.names())


HOSTILE = [
    "x\r\nAction: Command",
    "x\nAction: Command\nCommand: core stop now",
    "\0",
    "\r",
    "\udcff",
]


@pytest.mark.parametrize("value", HOSTILE)
async def test_a_hostile_value_makes_one_header(value: str) -> None:
    async with rig() as r:
        await r.link.action("Setvar", Variable="CALLERID(name)", Value=value, Channel="PJSIP/1")
        assert set(r.server.last.actions.all[-1]) == {
            "Action", "ActionID", "Variable", "Value", "Channel",
        }  # fmt: skip
        assert "Command" not in r.server.last.names()


async def test_a_line_too_long_for_asterisk_is_refused_here() -> None:
    async with rig() as r:
        await r.link.action("Setvar", Value="x" * 993)  # "Value: " makes it 1000
        with pytest.raises(PeerError, match="1001 bytes"):
            await r.link.action("Setvar", Value="x" * 994)
        with pytest.raises(PeerError, match="bytes"):
            await r.link.action("Setvar", Value="ж" * 500)
        with pytest.raises(PeerError, match="lines"):
            await r.link.action("Originate", Variable=["a=b"] * 101)


async def test_a_list_is_returned_whole_and_its_rows_are_no_events() -> None:
    async with rig() as r:
        rows = [{"Channel": f"PJSIP/{n}", "CallerIDName": 'Иван \\"x\\"'} for n in range(300)]
        r.server.on("CoreShowChannels", lambda c, f: c.rows(f, "CoreShowChannel", rows))
        got = await r.link.list_action("CoreShowChannels")
        assert [row.get("Channel") for row in got] == [row["Channel"] for row in rows]
        assert {row.get("calleridname") for row in got} == {'Иван "x"'}
        r.server.on("QueueStatus", lambda c, f: c.rows(f, "QueueParams", []))
        assert await r.link.list_action("QueueStatus") == []
        r.server.on("QueueStatus", refuse("Permission denied"))
        with pytest.raises(AmiRefused, match="Permission denied"):
            await r.link.list_action("QueueStatus")
        assert await r.names(1) == ["FullyBooted"]


# --- the life of the link


async def test_a_cut_link_comes_back_each_time_and_resyncs() -> None:
    async with rig() as r:
        for turn in range(2, 12):
            r.server.last.transport.abort()
            await r.downs.count(turn - 1)
            await r.ups.count(turn)
        assert len(r.downs.all) == 10


async def test_a_silent_peer_is_found_by_ping() -> None:
    async with rig(ping_every=0.05, ping_timeout=0.1) as r:
        r.server.frozen = True
        downs = await r.downs.count(1, 20.0)
        assert downs[0] == "no answer to Ping within 0.1 s"
        assert not r.link.up
        r.server.frozen = False
        await r.ups.count(2, 30.0)


async def test_a_peer_that_closes_at_once_is_tried_again() -> None:
    def prepare(r: Rig) -> None:
        r.server.close_at_once = True

    wrong: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
    async with rig(prepare, wait_up=False) as r:
        await r.server.connections.count(3)
        r.server.close_at_once = False
        await r.ups.count(1)
    assert not wrong, "a reply that never comes is no error of ours to log"


async def test_asterisk_that_is_not_there_yet_is_waited_for() -> None:
    def prepare(r: Rig) -> None:
        r.server.close_at_once = True

    async with rig(prepare, wait_up=False) as r:
        await r.server.connections.count(1)
        await r.server.stop()
        await r.downs.until(lambda ds: any("refused" in d or "Connect call" in d for d in ds))
        r.server.close_at_once = False
        await r.server.start()
        await r.ups.count(1)


async def test_a_refused_login_says_what_to_look_at() -> None:
    def prepare(r: Rig) -> None:
        r.server.on("Login", refuse("Authentication failed"))

    async with rig(prepare, wait_up=False) as r:
        (reason,) = await r.downs.count(1)
        assert "user gkc" in reason
        assert "Authentication failed" in reason
        assert "manager.conf" in reason
        assert "secret" not in reason.replace("user and secret", "")
        await r.server.connections.count(3)
        assert len(r.downs.all) == 1  # the same reason is told once
        r.server.on("Login", login)
        await r.ups.count(1)


@pytest.mark.parametrize(("listed", "broad"), [("all", True), ("least", False)])
async def test_broad_rights_are_refused_by_what_asterisk_lists(listed: str, broad: bool) -> None:
    lines = (STREAMS / f"list_commands_{listed}.txt").read_text().split("ActionID: 1\n")[-1]

    def commands(connection: FakeConnection, fields: Fields) -> None:
        connection.reply(fields, "Success", *lines.strip().split("\n"))

    def prepare(r: Rig) -> None:
        r.server.on("ListCommands", commands)

    async with rig(prepare, wait_up=False) as r:
        if broad:
            (reason,) = await r.downs.count(1)
            assert "write=command,config,system" in reason
            assert not r.ups.all
        else:
            await r.ups.count(1)
    async with rig(prepare, allow_broad=True) as r:
        assert r.link.up


async def test_a_resync_that_fails_is_tried_again_on_a_new_link() -> None:
    def prepare(r: Rig) -> None:
        async def on_up() -> None:
            if len(r.server.connections.all) < 3:
                raise KeyError("Uniqueid")

        r.on_up = on_up

    async with rig(prepare) as r:
        assert len(r.server.connections.all) == 3
        assert "resync" in r.downs.all[0]


async def test_no_boot_no_resync() -> None:
    def prepare(r: Rig) -> None:
        r.server.on("Login", lambda c, f: c.reply(f, "Success", "Message: ok"))

    async with rig(prepare, wait_up=False) as r:
        await r.server.connections.count(1)
        await r.server.last.actions.until(lambda fs: fs[-1]["Action"] == "ListCommands")
        assert not r.ups.all
        r.server.last.event("FullyBooted", Status="Fully Booted")
        await r.ups.count(1)


async def test_stop_ends_everything_and_tells_nobody() -> None:
    async with rig() as r:
        await r.link.stop()
        await r.server.last.closed.wait()
        assert not r.downs.all
        assert not r.link.up
        with pytest.raises(AmiDown):
            await r.link.action("Ping")


# --- values


def test_a_name_that_is_no_header_name_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="header name"):
        action_fields("Setvar", {"A\r\nB": "1"})


def test_originate_is_async_whatever_was_asked() -> None:
    lines = action_fields("originate", {"async": "false", "Channel": "PJSIP/1", "Timeout": None})
    assert lines == {"Action": "originate", "Channel": "PJSIP/1", "Async": "true"}


def test_an_event_reads_headers_variables_and_time() -> None:
    event = AmiEvent.of(
        "DialBegin",
        Timestamp="1795477332.239421",
        ChanVariable=["GKC_CONTACT=c-1", "GKC_ENQ=5"],
        DestChanVariable="GKC_CONTACT=c-2",
        CallerIDName=r"\"Пётр\" \\",
    )
    assert event.name == "DialBegin"
    assert event.at == 1795477332239421
    assert event.get("nix") == ""
    assert event.get("callerIDname") == '"Пётр" \\'
    assert event.variable("GKC_CONTACT") == "c-1"
    assert event.variable("GKC_CONTACT", "Dest") == "c-2"
    assert event.variable("GKC_OTHER") == ""
    assert AmiEvent.of("X", Timestamp="now").at is None
    assert AmiEvent.of("X", Timestamp="1795477332.5").at == 1795477332500000
