"""A SIP phone that a test plays by hand: it rings, answers, holds, transfers, goes silent, ends.

RFC 3261 over UDP as far as one phone beside one Asterisk needs it, REFER (RFC 3515) with Replaces
(RFC 3891), RTP (RFC 3550) of PCMA with one byte value as the phone's own signature, so that a test
knows who hears whom, and telephone events (RFC 4733).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

from gkc_engine.pbx.process import free_udp_port
from tests.acceptance.sipp import SippBench

FRAME_S = 0.02
FRAME = 160
PCMA, EVENTS = 8, 101
DIGITS = "0123456789*#"
REPLY_S = 4.0

Headers = dict[str, str]
OnCall = Callable[["Leg"], Awaitable[None]]


def _parse(data: bytes) -> tuple[str, Headers, str]:
    head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
    first, *rest = head.split("\r\n")
    headers: Headers = {}
    for line in rest:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        both = key == "via" and key in headers
        headers[key] = f"{headers[key]}\r\nVia: {value.strip()}" if both else value.strip()
    return first, headers, body


class _Rtp(asyncio.DatagramProtocol):
    """One stream each way."""

    def __init__(self, signature: int) -> None:
        self.signature = signature
        self.to: tuple[str, int] | None = None
        self.sending = False
        self.heard: list[tuple[float, int]] = []
        self.sound = bytearray()
        self._sequence = secrets.randbelow(30_000)
        self._time = 0
        self._ssrc = secrets.randbits(32)
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        del addr
        if len(data) > 12 and data[1] & 127 == PCMA:
            self.heard.append((time.monotonic(), Counter(data[12:]).most_common(1)[0][0]))
            self.sound += data[12:]

    def send(self, kind: int, payload: bytes, *, at: int | None = None) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        if self._transport is None:
            return  # the call ended under our finger
        if self.to is not None:
            head = struct.pack(
                ">BBHII", 0x80, kind, self._sequence, self._time if at is None else at, self._ssrc
            )
            self._transport.sendto(head + payload, self.to)

    async def run(self) -> None:
        due = time.monotonic()
        while True:
            if self.sending:
                self.send(PCMA, bytes([self.signature]) * FRAME)
            self._time += FRAME
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def press(self, digit: str) -> None:
        code, at = DIGITS.index(digit), self._time
        for n in range(8):
            end = 0x80 if n >= 5 else 0
            self.send(EVENTS, struct.pack(">BBH", code, end | 10, FRAME * min(n + 1, 6)), at=at)
            await asyncio.sleep(FRAME_S)

    def close(self) -> None:
        """The call is over; a key still held down is let go."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None


class Leg:
    """One call of one phone, either way."""

    def __init__(self, phone: Phone, call_id: str, *, outgoing: bool) -> None:
        self.phone = phone
        self.call_id = call_id
        self.outgoing = outgoing
        self.tag = secrets.token_hex(4)
        self.far_tag = ""
        self.caller = ""
        """The From header of an incoming call."""
        self.ringing = asyncio.Event()
        self.answered = asyncio.Event()
        self.ended = asyncio.Event()
        self.how = ""
        """``BYE``, ``CANCEL``, ``we`` or the final status that ended it."""
        self.ended_at = 0.0
        self.notified: list[str] = []
        """Bodies of NOTIFY: how our REFER goes on."""
        self.mode = "sendrecv"
        self.deaf = False
        """Take no notice of CANCEL: an answer that crossed it."""
        self.cancelled = asyncio.Event()
        self._near = self._far = self._target = self._first_target = ""
        self._invite: Headers = {}
        self._branch = ""
        self._cseq = 1
        self._replies: asyncio.Queue[tuple[int, Headers, str]] = asyncio.Queue()
        self._rtp = _Rtp(phone.signature)
        self._rtp_port = 0
        self._task: asyncio.Task[None] | None = None
        self._session = 0

    # --- what a person does

    async def answer(self) -> None:
        """Lift the handset."""
        self._reply(200, "OK", body=self._sdp())
        self.answered.set()

    def ring(self) -> None:
        """Say 180."""
        self._reply(180, "Ringing")

    def refuse(self, status: int, extra: str = "") -> None:
        """End an incoming call with a final status."""
        self._reply(status, "No", extra=extra)
        self._end(str(status))

    async def bye(self) -> None:
        """Hang up."""
        if not self.ended.is_set():
            await self._ask("BYE")
            self._end("we")

    def cancel(self) -> None:
        """Give up before the answer."""
        self._send(self._request("CANCEL", cseq=1, branch=self._branch, first=True))

    async def hold(self, *, on: bool = True) -> None:
        """Press the hold key."""
        self.mode = "sendonly" if on else "sendrecv"
        status, _, body = await self._ask("INVITE", body=self._sdp())
        assert status == 200, status
        self._use(body)
        self._send(self._request("ACK", cseq=self._cseq))

    async def refer(self, number: str, replaces: Leg | None = None) -> int:
        """Transfer: blind to ``number``, or attended to the party of ``replaces``."""
        host, port = self.phone.server
        target = f"sip:{number}@{host}:{port}"
        if replaces is not None:
            dialog = f"{replaces.call_id};to-tag={replaces.far_tag};from-tag={replaces.tag}"
            escaped = dialog.replace("@", "%40").replace(";", "%3B").replace("=", "%3D")
            target += f"?Replaces={escaped}"
        me = f"<sip:{self.phone.user}@{self.phone.host}>"
        extra = f"Refer-To: <{target}>\r\nReferred-By: {me}\r\n"
        status, _, _ = await self._ask("REFER", extra=extra)
        return status

    async def press(self, digits: str) -> None:
        """Press keys during the call."""
        for digit in digits:
            self._rtp.sending = False
            await self._rtp.press(digit)
            self._rtp.sending = True
            await asyncio.sleep(0.15)

    def mute(self) -> None:
        """Send no RTP any more, as if the network between were gone."""
        self._rtp.sending = False

    def hears(self, seconds: float = 0.3) -> Counter[int]:
        """Return how many frames of each signature came in the last ``seconds``."""
        since = time.monotonic() - seconds
        return Counter(value for at, value in self._rtp.heard if at >= since)

    def heard(self, alaw: Path, *, from_s: float = 0.2, for_s: float = 0.4) -> bool:
        """Whether this part of a file was heard: A-law goes through Asterisk byte by byte."""
        part = alaw.read_bytes()[int(from_s * 8000) :][: int(for_s * 8000)]
        assert len(part) == int(for_s * 8000), f"{alaw} is shorter than that"
        return part in self._rtp.sound

    # --- SIP

    async def invite(self, number: str, extra: str) -> None:
        await self._media()
        host, port = self.phone.server
        self._target = f"sip:{number}@{host}:{port}"
        self._near = f'"{self.phone.name}" <sip:{self.phone.user}@{self.phone.host}>'
        self._far = f"<{self._target}>"
        self._branch = "z9hG4bK" + secrets.token_hex(6)
        line = self._request("INVITE", extra=extra, body=self._sdp(), branch=self._branch)
        self._first_target = self._target
        self._send(line)

    async def incoming(self, headers: Headers, body: str) -> None:
        self._invite = headers
        self.caller = headers["from"]
        self._far = headers["from"].split(";tag=")[0]
        self.far_tag = headers["from"].split(";tag=")[1]
        self._near = headers["to"]
        found = re.search(r"<([^>]+)>", headers["contact"])
        assert found is not None
        self._target = found[1]
        await self._media()
        self._use(body)
        self._rtp.sending = False
        self.ringing.set()

    async def _media(self) -> None:
        self._rtp_port = free_udp_port(self.phone.host)
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self._rtp, local_addr=(self.phone.host, self._rtp_port)
        )
        self._task = asyncio.get_running_loop().create_task(self._rtp.run())

    def _sdp(self) -> str:
        self._session += 1
        host = self.phone.host
        return (
            f"v=0\r\no=x 1 {self._session} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            f"m=audio {self._rtp_port} RTP/AVP {PCMA} {EVENTS}\r\na=rtpmap:{PCMA} PCMA/8000\r\n"
            f"a=rtpmap:{EVENTS} telephone-event/8000\r\na=fmtp:{EVENTS} 0-16\r\na={self.mode}\r\n"
        )

    def _use(self, body: str) -> None:
        host, port = re.search(r"c=IN IP4 (\S+)", body), re.search(r"m=audio (\d+)", body)
        if host and port:
            self._rtp.to = (host[1], int(port[1]))
            self._rtp.sending = self.mode in ("sendrecv", "sendonly")

    def _request(
        self,
        method: str,
        *,
        cseq: int | None = None,
        extra: str = "",
        body: str = "",
        branch: str = "",
        first: bool = False,
    ) -> str:
        phone = self.phone
        far = self._far + (f";tag={self.far_tag}" if self.far_tag and not first else "")
        near = f"{self._near};tag={self.tag}"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {self._first_target if first else self._target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {phone.host}:{phone.port};"
            f"branch={branch or 'z9hG4bK' + secrets.token_hex(6)};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: {near}\r\nTo: {far}\r\nCall-ID: {self.call_id}\r\n"
            f"CSeq: {cseq or self._cseq} {method}\r\n"
            f"Contact: <sip:{phone.user}@{phone.host}:{phone.port}>\r\n{extra}{kind}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def _reply(
        self,
        status: int,
        phrase: str,
        *,
        to: Headers | None = None,
        body: str = "",
        extra: str = "",
    ) -> None:
        self._send(self.phone.response(to or self._invite, status, phrase, self.tag, body, extra))

    async def _ask(
        self, method: str, *, extra: str = "", body: str = ""
    ) -> tuple[int, Headers, str]:
        self._cseq += 1
        while not self._replies.empty():
            self._replies.get_nowait()
        self._send(self._request(method, extra=extra, body=body))
        while True:
            async with asyncio.timeout(REPLY_S):
                status, headers, text = await self._replies.get()
            if status >= 200:
                return status, headers, text

    def _send(self, text: str) -> None:
        self.phone.send(text)

    def _end(self, how: str) -> None:
        if not self.ended.is_set():
            self.how, self.ended_at = how, time.monotonic()
            self.ended.set()
        self.close()

    def close(self) -> None:
        """Stop its RTP."""
        if self._task is not None:
            self._task.cancel()
        self._rtp.close()

    def on_status(self, status: int, headers: Headers, body: str) -> None:
        number, method = headers["cseq"].split()
        if method == "CANCEL":
            return
        if method != "INVITE" or int(number) > 1 or not self.outgoing:
            self._replies.put_nowait((status, headers, body))
            return
        tag = re.search(r"tag=([^;\s]+)", headers["to"])
        self.far_tag = tag[1] if tag else ""
        if status >= 300:
            self._send(self._request("ACK", cseq=1, branch=self._branch))
            self._end(str(status))
            return
        contact = re.search(r"<([^>]+)>", headers.get("contact", ""))
        if contact:
            self._target = contact[1]
        if body:
            self._use(body)
        if status >= 200:
            self._send(self._request("ACK", cseq=1))
            self.answered.set()
        elif status > 100:
            self.ringing.set()

    def on_request(self, method: str, headers: Headers, body: str) -> None:
        match method:
            case "ACK":
                self._rtp.sending = self.answered.is_set() and not self.ended.is_set()
            case "CANCEL":
                self._reply(200, "OK", to=headers)
                self.cancelled.set()
                if not self.answered.is_set() and not self.deaf:
                    self._reply(487, "Request Terminated")
                    self._end("CANCEL")
            case "BYE":
                self._reply(200, "OK", to=headers)
                self._end("BYE")
            case "NOTIFY":
                self.notified.append(body.strip())
                self._reply(200, "OK", to=headers)
            case "INVITE" | "UPDATE":
                if body:
                    self._use(body)
                self._reply(200, "OK", to=headers, body=self._sdp() if body else "")
            case _:
                self._reply(200, "OK", to=headers)


class Phone(asyncio.DatagramProtocol):
    """One phone: one user at one address and port."""

    def __init__(
        self,
        user: str,
        server: tuple[str, int],
        *,
        host: str = "127.0.0.1",
        signature: int = 0x41,
        on_call: OnCall | None = None,
        name: str = "",
    ) -> None:
        self.user = user
        self.server = server
        self.host = host
        self.port = free_udp_port(host)
        self.signature = signature
        self.on_call = on_call
        self.name = name
        self.calls: list[Leg] = []
        """In the order in which they came or were made."""
        self.rang: asyncio.Queue[Leg] = asyncio.Queue()
        """Incoming calls, in order."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> Phone:
        """Listen."""
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=(self.host, self.port)
        )
        return self

    async def stop(self) -> None:
        """Be gone, without a word to anybody."""
        for leg in self.calls:
            leg.close()
        for task in tuple(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._transport is not None:
            self._transport.close()

    async def dial(self, number: str, extra: str = "") -> Leg:
        """Call ``number``."""
        leg = Leg(self, f"{secrets.token_hex(8)}@test", outgoing=True)
        self.calls.append(leg)
        await leg.invite(number, extra)
        return leg

    async def next_call(self, timeout_s: float = 10.0) -> Leg:
        """Return the next incoming call; it has said 100 only, unless ``on_call`` went on."""
        async with asyncio.timeout(timeout_s):
            return await self.rang.get()

    async def pick_up(self, timeout_s: float = 10.0) -> Leg:
        """Wait for a call, ring, answer it and wait for the ACK's media."""
        leg = await self.next_call(timeout_s)
        leg.ring()
        await asyncio.sleep(0.1)
        await leg.answer()
        return leg

    def send(self, text: str) -> None:
        """Put a message on the wire."""
        if self._transport is not None:
            self._transport.sendto(text.encode(), self.server)

    def response(
        self, to: Headers, status: int, phrase: str, tag: str, body: str = "", extra: str = ""
    ) -> str:
        """Return the text of a response to the request with the headers ``to``."""
        near = to["to"] if "tag=" in to["to"] else f"{to['to']};tag={tag}"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        contact = (
            "" if "Contact:" in extra else f"Contact: <sip:{self.user}@{self.host}:{self.port}>\r\n"
        )
        return (
            f"SIP/2.0 {status} {phrase}\r\nVia: {to['via']}\r\nFrom: {to['from']}\r\nTo: {near}\r\n"
            f"Call-ID: {to['call-id']}\r\nCSeq: {to['cseq']}\r\n{contact}{extra}{kind}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    # --- asyncio.DatagramProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        del addr
        if len(data) < 20:
            return
        first, headers, body = _parse(data)
        leg = next((c for c in self.calls if c.call_id == headers.get("call-id")), None)
        if first.startswith("SIP/2.0"):
            if leg is not None:
                leg.on_status(int(first[8:11]), headers, body)
            return
        method = first.split()[0]
        if leg is not None:
            if method != "INVITE" or "tag=" in headers["to"]:
                leg.on_request(method, headers, body)
            return
        if method == "INVITE":
            leg = Leg(self, headers["call-id"], outgoing=False)
            self.calls.append(leg)
            self.send(self.response(headers, 100, "Trying", leg.tag))
            task = asyncio.get_running_loop().create_task(self._came(leg, headers, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif method != "ACK":
            self.send(self.response(headers, 200, "OK", "t"))  # OPTIONS: we are here

    async def _came(self, leg: Leg, headers: Headers, body: str) -> None:
        await leg.incoming(headers, body)
        self.rang.put_nowait(leg)
        if self.on_call is not None:
            await self.on_call(leg)


def refuses(status: int, *, ringing: bool, extra: str = "") -> OnCall:
    """Return what a phone does that declines every call."""

    async def on_call(leg: Leg) -> None:
        if ringing:
            leg.ring()
            await asyncio.sleep(0.3)
        leg.refuse(status, extra)

    return on_call


async def only_rings(leg: Leg) -> None:
    """Ring, and be answered by nobody."""
    leg.ring()


async def answers(leg: Leg) -> None:
    """Ring for a moment, then answer."""
    leg.ring()
    await asyncio.sleep(0.2)
    if not leg.ended.is_set():
        await leg.answer()


class Desk:
    """The operators' phones of the test city, 101 to 106, and its citizens' phones."""

    def __init__(self) -> None:
        self.phones: dict[str, Phone] = {}
        self._server = ("", 0)
        self._all: list[Phone] = []

    async def start(self, bench: SippBench) -> dict[str, int]:
        """Start the operators' phones (``harness.scene``'s ``phones``)."""
        host, _, port = bench.server.partition(":")
        self._server = (host, int(port))
        for n in range(101, 107):
            phone = Phone(str(n), self._server, signature=0x20 + n - 100)
            self.phones[phone.user] = await phone.start()
        self._all += self.phones.values()
        return {user: phone.port for user, phone in self.phones.items()}

    async def citizen(self, user: str = "+79001234567", name: str = "Citizen") -> Phone:
        """Return a new citizen's phone, whose calls come over the trunk."""
        phone = Phone(user, self._server, host="127.0.0.11", signature=0x55, name=name)
        self._all.append(phone)
        return await phone.start()

    async def calm(self) -> None:
        """End every call and let every phone do nothing by itself."""
        for phone in self._all:
            phone.on_call = None
            for leg in phone.calls:
                if not leg.ended.is_set() and leg.answered.is_set():
                    with contextlib.suppress(TimeoutError):
                        await leg.bye()
                elif not leg.ended.is_set():
                    leg.cancel() if leg.outgoing else leg.refuse(480)
            phone.calls.clear()
            while not phone.rang.empty():
                phone.rang.get_nowait()

    async def stop(self) -> None:
        """Take every phone off the wall."""
        for phone in self._all:
            await phone.stop()
