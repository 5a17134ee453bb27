"""The lines between centers: what goes through whole ones, and nothing through cut ones."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gkc_engine.demo.lines import HOST, Cable, End, SipLine, TcpLine
from gkc_engine.ids import Instant

INVITE = (
    "INVITE sip:gkc-tax@127.0.0.1:{to} SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:{own};rport;branch=z9\r\n"
    "Call-ID: {call}\r\n"
    "Contact: <sip:asterisk@127.0.0.1:{own}>\r\n"
    "Content-Type: application/sdp\r\n"
    "Content-Length: {length}\r\n\r\n{body}"
)
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n"
)


class Clock:
    def __init__(self) -> None:
        self.at = Instant(0)

    def now(self) -> Instant:
        return self.at


class Peer:
    """One UDP socket, as an Asterisk has one for SIP and one for each sound."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((HOST, 0))
        self.port: int = self.socket.getsockname()[1]

    def send(self, data: bytes, port: int) -> None:
        self.socket.sendto(data, (HOST, port))

    async def hear(self) -> tuple[bytes, int]:
        """Wait for a datagram; return it and the port that it came from."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            data, sender = await loop.sock_recvfrom(self.socket, 65536)
        return data, sender[1]

    async def hears_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.get_running_loop().sock_recvfrom(self.socket, 65536)

    def invite(self, sound: int, port: int, call: str = "a@b") -> None:
        body = SDP.format(port=sound)
        text = INVITE.format(to=port, own=self.port, call=call, length=len(body), body=body)
        self.send(text.encode(), port)


class Ground:
    """Two Asterisks' sockets, and the line between them."""

    def __init__(self) -> None:
        self.one, self.other, self.cables = Peer(), Peer(), (Cable(Clock().now), Cable(Clock().now))
        self.line = SipLine(
            End(sip_port=self.one.port, cable=self.cables[0]),
            End(sip_port=self.other.port, cable=self.cables[1]),
        )


@pytest_asyncio.fixture
async def ground() -> AsyncIterator[Ground]:
    ground = Ground()
    yield ground
    ground.line.stop()
    for peer in (ground.one, ground.other):
        peer.socket.close()


def told(data: bytes, what: str) -> int:
    """Return the port of a line of SIP or SDP."""
    line = next(one for one in data.decode().splitlines() if one.startswith(what))
    return int(
        line.partition(" ")[2].split()[0] if what == "m=audio" else line.rpartition(":")[2][:-1]
    )


async def call(ground: Ground, call_id: str = "a@b") -> tuple[Peer, Peer, int, int]:
    """Set a call up; return both sounds, and the ports where each is told to send."""
    mine, yours = Peer(), Peer()
    ground.one.invite(mine.port, ground.line.port(0), call_id)
    offer, _ = await ground.other.hear()
    ground.other.invite(yours.port, ground.line.port(1), call_id)
    answer, _ = await ground.one.hear()
    return mine, yours, told(answer, "m=audio"), told(offer, "m=audio")


async def test_a_call_goes_through_and_shows_the_line_in_place_of_the_center(
    ground: Ground,
) -> None:
    ground.one.invite(900, ground.line.port(0))  # the port that is shown is longer
    data, sender = await ground.other.hear()
    assert sender == ground.line.port(1)
    assert told(data, "Contact") == ground.line.port(1), "what follows comes this way, too"
    assert f"Via: SIP/2.0/UDP 127.0.0.1:{ground.one.port};" in data.decode()
    head, _, body = data.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert told(data, "m=audio") not in (900, ground.one.port)
    ground.other.send(b"SIP/2.0 100 Trying\r\n\r\n", ground.line.port(1))
    assert await ground.one.hear() == (b"SIP/2.0 100 Trying\r\n\r\n", ground.line.port(0))


async def test_sound_and_its_reports_go_both_ways(ground: Ground) -> None:
    mine, yours, for_me, for_you = await call(ground)
    mine.send(b"hello", for_me)
    assert (await yours.hear())[0] == b"hello"
    yours.send(b"hello yourself", for_you)
    data, sender = await mine.hear()
    assert (data, sender) == (b"hello yourself", for_me), "symmetric: from where it is sent to"
    report = Peer()
    report.send(b"rtcp", for_me + 1)
    await yours.hears_nothing()  # it goes to the port above, which nobody has here
    for peer in (mine, yours, report):
        peer.socket.close()


@pytest.mark.parametrize("end", [0, 1])
async def test_nothing_goes_through_when_either_center_is_cut_off(ground: Ground, end: int) -> None:
    mine, yours, for_me, _ = await call(ground)
    ground.cables[end].cut()
    ground.one.invite(mine.port, ground.line.port(0), "later")
    await ground.other.hears_nothing()
    mine.send(b"hello?", for_me)
    await yours.hears_nothing()
    ground.cables[end].heal()
    mine.send(b"hello!", for_me)
    assert (await yours.hear())[0] == b"hello!", "what was sent meanwhile is gone"
    for peer in (mine, yours):
        peer.socket.close()


async def test_a_stranger_is_not_passed_on(ground: Ground) -> None:
    stranger = Peer()
    stranger.send(b"OPTIONS sip:x SIP/2.0\r\n\r\n", ground.line.port(0))
    await ground.other.hears_nothing()
    stranger.socket.close()


async def test_the_oldest_call_makes_room(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gkc_engine.demo.lines.CALLS_MAX", 2)
    sounds = [await call(ground, f"call-{n}") for n in range(3)]
    assert ground.line.calls == 2
    for mine, yours, for_me, _ in sounds[1:]:
        mine.send(b"still here", for_me)
        assert (await yours.hear())[0] == b"still here"
    for mine, yours, *_ in sounds:
        mine.socket.close()
        yours.socket.close()


async def test_a_connection_that_lived_through_a_cut_stays_dead_and_a_new_one_lives() -> None:
    came: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await came.put((reader, writer))

    server = await asyncio.start_server(serve, HOST, 0)
    cable = Cable(Clock().now)
    line = TcpLine(server.sockets[0].getsockname()[1], cable)
    await line.start()
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(HOST, line.port)
        writer.write(b"ping")
        first, first_writer = await came.get()
        assert await first.readexactly(4) == b"ping"
        first_writer.write(b"pong")
        assert await reader.readexactly(4) == b"pong"
        cable.cut()
        refused, other = await asyncio.open_connection(HOST, line.port)
        assert await refused.read() == b"", "nobody comes in now"
        other.close()
        writer.write(b"lost")
        cable.heal()
        writer.write(b"lost too")
        await silent(first)
        writer.close()
        await silent(first)  # not even that the other end has given up
        _, again = await asyncio.open_connection(HOST, line.port)
        again.write(b"once more")
        second, second_writer = await came.get()
        assert await second.readexactly(9) == b"once more"
        again.close()
        assert await second.read() == b"", "an ordinary end is passed on"
    await line.stop()
    server.close()
    for one in (first_writer, second_writer):
        one.transport.abort()


async def silent(reader: asyncio.StreamReader) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read(1)


def test_a_cable_remembers_when_it_was_cut() -> None:
    clock = Clock()
    cable = Cable(clock.now)
    clock.at = Instant(10)
    cable.cut()
    cable.cut()
    assert [cable.was_cut(Instant(n)) for n in (9, 10, 1000)] == [False, True, True]
    clock.at = Instant(20)
    cable.heal()
    cable.heal()
    assert [cable.was_cut(Instant(n)) for n in (10, 19, 20)] == [True, True, False]
    assert (cable.cuts, cable.whole) == (1, True)
