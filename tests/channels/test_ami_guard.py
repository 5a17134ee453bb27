"""Each trap of panoramisk 1.4, against the bare Manager and the guarded one.

The bare one is expected to fail, strictly: a release that mends a trap shows here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from panoramisk import Manager
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol

from gkc_engine.channels.phone import ami_guard
from gkc_engine.channels.phone.ami_guard import GuardedManager, Message, headers_of
from gkc_engine.channels.phone.ami_messages import AmiEvent, action_fields, event_of
from tests.fakes.ami import frame


class Wire:
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed


class Side:
    """A Manager with a connection, without a socket."""

    def __init__(self, make: Callable[[Side], Any], *, guarded: bool) -> None:
        self.guarded = guarded
        self.dispatched: list[AmiEvent] = []
        self.on_event: Callable[[AmiEvent], None] = self.dispatched.append
        self.manager = make(self)
        self.wire = self.connect()

    def connect(self) -> Wire:
        loop = asyncio.get_running_loop()
        wire, protocol = Wire(), self.manager.config["protocol_factory"]()
        protocol.connection_made(wire)
        future = loop.create_future()
        future.set_result((wire, protocol))
        self.manager.connection_made(future)
        return wire

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.manager.protocol.data_received(piece)

    def ask(self, name: str, *, as_list: bool = False, **fields: str) -> asyncio.Future[Any]:
        """Send an action the way its user would."""
        if not self.guarded:
            action = Action({"Action": name, **fields})
            self.action_id = action.id
            future: asyncio.Future[Any] = self.manager.send_action(action)
            return future
        lines = action_fields(name, fields)
        ask = self.manager.ask(lines, as_list=as_list)
        asked: asyncio.Future[Any] = asyncio.ensure_future(ask)
        self.asked = asked
        return asked

    async def sent(self) -> str:
        """Return the ActionID of the last action, once it is on the wire."""
        await asyncio.sleep(0)
        return self.wire.written.decode().rsplit("ActionID: ", 1)[1].split("\r\n")[0]


def bare(side: Side) -> Manager:
    manager = Manager(loop=asyncio.get_running_loop())
    manager.register_event("*", lambda _, event: side.on_event(AmiEvent(headers_of(event))))
    return manager


def guarded(side: Side) -> GuardedManager:
    def put(event: AmiEvent) -> bool:
        side.dispatched.append(event)
        return True

    return GuardedManager(put, loop=asyncio.get_running_loop())


def both(trap: str) -> pytest.MarkDecorator:
    fails = pytest.mark.xfail(strict=True, reason=f"{trap} of the bare Manager")
    return pytest.mark.parametrize("kind", [pytest.param("bare", marks=fails), "guarded"])


def side_of(kind: str) -> Side:
    side = Side(bare if kind == "bare" else guarded, guarded=kind != "bare")
    side.feed(b"Asterisk Call Manager/11.0.0\r\n")
    return side


async def settle(future: asyncio.Future[Any]) -> list[Message]:
    for _ in range(50):  # Nothing here waits for a clock or a socket.
        await asyncio.sleep(0)
    assert future.done(), "the action never completes"
    result = future.result()
    return result if isinstance(result, list) else [result]


@both("B1")
async def test_a_letter_split_between_two_chunks_stays_whole(kind: str) -> None:
    side = side_of(kind)
    data = frame("Event: Newchannel", "CallerIDName: Иванов")
    for cut in range(1, len(data)):
        side.feed(data[:cut], data[cut:])
    assert {event.get("CallerIDName") for event in side.dispatched} == {"Иванов"}
    assert len(side.dispatched) == len(data) - 1


@both("B2")
async def test_an_exception_in_a_callback_does_not_reach_the_transport(kind: str) -> None:
    side = side_of(kind)
    calls = []

    def broken(event: AmiEvent) -> None:
        calls.append(event)
        raise ValueError("a bug of ours")

    side.on_event = broken
    side.feed(frame("Event: A", "X: 1") + frame("Event: B", "X: 1"))
    assert len(calls) == 2 or [event.name for event in side.dispatched] == ["A", "B"]


@both("B3")
async def test_originate_without_async_does_not_close_the_link(kind: str) -> None:
    side = side_of(kind)
    future = side.ask("Originate", Channel="PJSIP/x")
    action_id = await side.sent()
    side.feed(
        frame(
            "Response: Success",
            f"ActionID: {action_id}",
            "Message: Originate successfully queued",
        )
    )
    await settle(future)
    assert "Async: true\r\n" in side.wire.written.decode()


@both("B4")
async def test_nothing_is_sent_again_after_a_reconnect(kind: str) -> None:
    side = side_of(kind)
    future = side.ask("Redirect", Channel="PJSIP/x", Exten="s")
    await side.sent()
    side.manager.protocol.close()
    new_wire = side.connect()
    side.feed(frame("Event: FullyBooted", "Status: Fully Booted"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    side.manager.close()
    assert "Redirect" not in new_wire.written.decode()
    assert await settle(future) == []


@both("N1")
async def test_the_reply_to_queue_add_completes(kind: str) -> None:
    side = side_of(kind)
    future = side.ask("QueueAdd", Queue="q", Interface="PJSIP/1")
    side.feed(
        frame(
            "Response: Success",
            f"ActionID: {await side.sent()}",
            "Message: Added interface to queue",
        )
    )
    await settle(future)


@both("N2")
async def test_originate_response_is_an_event(kind: str) -> None:
    side = side_of(kind)
    future = side.ask("Originate", Channel="PJSIP/x", Async="true")
    action_id = f"ActionID: {await side.sent()}"
    side.feed(frame("Response: Success", action_id, "Message: Originate successfully queued"))
    side.feed(frame("Event: OriginateResponse", action_id, "Response: Failure", "Reason: 3"))
    await settle(future)
    assert [event.name for event in side.dispatched] == ["OriginateResponse"]


@pytest.mark.parametrize("kind", ["guarded"])
async def test_a_refused_list_completes(kind: str) -> None:
    side = side_of(kind)
    future = side.ask("QueueStatus", as_list=True)
    side.feed(
        frame("Response: Error", f"ActionID: {await side.sent()}", "Message: Permission denied")
    )
    assert (await settle(future))[0].response == "Error"


@pytest.mark.xfail(strict=True, reason="N3 of the bare Manager: as_list=True and a refusal")
async def test_a_refused_list_completes_with_the_bare_manager() -> None:
    side = side_of("bare")
    future = side.manager.send_action({"Action": "QueueStatus"}, as_list=True)
    side.feed(
        frame("Response: Error", f"ActionID: {await side.sent()}", "Message: Permission denied")
    )
    await settle(future)


@both("N5")
async def test_text_that_is_no_utf8_is_sent(kind: str) -> None:
    side = side_of(kind)
    future = side.ask("Setvar", Value="\udcd0")
    side.feed(frame("Response: Success", f"ActionID: {await side.sent()}", "Message: Set"))
    await settle(future)
    assert "\\xd0" in side.wire.written.decode()


@both("N6")
async def test_a_header_that_came_twice_does_not_close_the_link(kind: str) -> None:
    side = side_of(kind)
    side.feed(frame("Event: A", "Event: B") + frame("Event: C", "X: 1"))
    assert [event.name for event in side.dispatched] == ["C"]


@both("N7")
async def test_rows_of_a_list_that_was_given_up_are_no_events(kind: str) -> None:
    side = side_of(kind)
    future = side.ask("CoreShowChannels", as_list=True)
    action_id = f"ActionID: {await side.sent()}"
    future.cancel()
    await asyncio.wait({future})
    side.manager.protocol.responses.clear()
    side.feed(frame("Response: Success", action_id, "EventList: start", "Message: will follow"))
    side.feed(frame("Event: CoreShowChannel", action_id, "Channel: PJSIP/1"))
    side.feed(frame("Event: Hangup", "Channel: PJSIP/1"))
    assert [event.name for event in side.dispatched] == ["Hangup"]


@both("N8")
async def test_a_frame_without_an_end_is_bounded(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ami_guard, "MAX_FRAME", 10_000)
    side = side_of(kind)
    for _ in range(11):
        side.feed(b"X: " + b"y" * 997)
    assert side.wire.closed


async def test_the_guard_is_a_panoramisk_manager() -> None:
    assert issubclass(GuardedManager, Manager)
    assert issubclass(ami_guard.GuardedProtocol, AMIProtocol)


@pytest.mark.parametrize(
    "lines",
    [
        ("Event: Hangup", "Channel: PJSIP/1", "Uniqueid: 1.2", "Cause: 16"),
        ("Event: Newchannel", "ChanVariable: A=1", "ChanVariable: B=2", "ChanVariable: C=:: 3"),
        ("Event: DialBegin", "CallerIDName: a: b", "DestChannel:", "Привет: \\n мир ", "no header"),
    ],
)
async def test_an_event_cut_by_us_is_what_panoramisk_makes_of_it(lines: tuple[str, ...]) -> None:
    text = "\r\n".join(lines)
    cut = event_of(text)
    assert cut is not None
    made = headers_of(Message.from_line(text))
    whole = AmiEvent(made)
    for name in (*made, *(line.partition(":")[0] for line in lines), "ActionID", "Uniqueid"):
        assert cut.get(name) == whole.get(name), f"before all were cut: {name}"
        cut = event_of(text)
        assert cut is not None
    assert cut.headers == made
    assert (cut.name, cut.get("Cause"), cut.bears("ActionID")) == (
        whole.name,
        whole.get("cause"),
        False,
    )


@pytest.mark.parametrize(
    "forged", ["Uniqueid: X", "Linkedid: X", "Channel: PJSIP/9", "DestUniqueid: X"]
)
async def test_an_event_that_a_callers_number_forged_is_left_out(
    forged: str, caplog: pytest.LogCaptureFixture
) -> None:
    side = side_of("guarded")
    ids = ("Uniqueid: 1.1", "Linkedid: 1.1", "DestUniqueid: 1.2")
    said = ("Event: Hangup", "Channel: PJSIP/1", "CallerIDNum: +7900")
    side.feed(frame("Response: Success"))  # what follows the banner
    side.feed(frame(*said, forged, *ids) + frame(*said, *ids))
    (event,) = side.dispatched
    assert (event.get("Uniqueid"), event.get("DestUniqueid")) == ("1.1", "1.2")
    assert side.manager.protocol.bad_frames == 1
    (record,) = [r for r in caplog.records if "left out" in r.getMessage()]
    assert record.levelname == "WARNING"
    assert "7900" not in record.getMessage()


def test_what_answers_an_action_is_left_to_panoramisk() -> None:
    assert event_of("Response: Success\r\nEvent: no") is None


async def test_rows_are_cut_by_us_and_what_ends_their_list_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left: list[str] = []
    from_line = Message.from_line

    def noted(text: str) -> Message | None:
        left.append(text.split("\r\n")[0])
        return from_line(text)

    side = side_of("guarded")
    monkeypatch.setattr(Message, "from_line", noted)
    future = side.ask("CoreShowChannels", as_list=True)
    action_id = f"ActionID: {await side.sent()}"
    side.feed(frame("Response: Success", action_id, "EventList: start", "Message: will follow"))
    side.feed(frame("Event: CoreShowChannel", action_id, "Channel: PJSIP/1") * 3)
    side.feed(frame("Event: CoreShowChannelsComplete", action_id, "EventList: Complete"))
    replies = await future
    assert [dict(headers_of(reply)).get("channel") for reply in replies[1:-1]] == ["PJSIP/1"] * 3
    assert [line for line in left if line.startswith("Event")] == [
        "Event: CoreShowChannelsComplete"
    ]
    assert not side.dispatched
