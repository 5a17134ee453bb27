"""A SIP phone that a test plays by hand: it rings, answers, holds, transfers, goes silent, ends.

RFC 3261 over UDP as far as one phone beside one Asterisk needs it, REFER (RFC 3515) with Replaces
(RFC 3891). Each phone sends one byte value, so that a test knows who hears whom.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from tests.acceptance import sip_text as sip
from tests.acceptance.harness import first_of
from tests.acceptance.sip_text import Headers
from tests.acceptance.stream import FRAME_S, Stream

REPLY_S = 10.0

OnCall = Callable[["Leg"], Awaitable[None]]


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
        self._cseq = self._first = 1
        """Of the last request, and of the INVITE that began the call."""
        self._extra = ""
        self._replies: asyncio.Queue[tuple[int, Headers, str]] = asyncio.Queue()
        self._rtp = Stream(phone.signature, phone.first_packet)
        self._rtp_port = 0
        self._task: asyncio.Task[None] | None = None
        self._session = 0

    # --- what a person does

    async def answer(self) -> None:
        """Lift the handset."""
        self._reply("200 OK", body=self._sdp())
        self.answered.set()

    def ring(self) -> None:
        """Say 180."""
        self._reply("180 Ringing")

    def refuse(self, status: int, extra: str = "") -> None:
        """End an incoming call with a final status."""
        self._reply(f"{status} No", extra=extra)
        self._end(str(status))

    async def bye(self) -> None:
        """Hang up; a call of ours that is not answered yet is given up, whichever comes first."""
        if self.outgoing and not self.answered.is_set() and not self.ended.is_set():
            self.cancel()
            await first_of(REPLY_S, self.answered, self.ended)
        if not self.ended.is_set():
            await self._ask("BYE")
            self._end("we")

    def cancel(self) -> None:
        """Give up before the answer."""
        self.phone.send(self._request("CANCEL", cseq=self._first, branch=self._branch, first=True))

    async def hold(self, *, on: bool = True) -> None:
        """Press the hold key."""
        self.mode = "sendonly" if on else "sendrecv"
        status, _, body = await self._ask("INVITE", body=self._sdp())
        assert status == 200, status
        self._use(body)
        self.phone.send(self._request("ACK", cseq=self._cseq))

    def speak(self, *, on: bool) -> None:
        """Send sound, or nothing at all: a phone that suppresses silence."""
        self._rtp.sending = on

    async def refer(self, number: str, replaces: Leg | None = None) -> int:
        """Transfer: blind to ``number``, or attended to the party of ``replaces``."""
        target = self.phone.uri(number)
        if replaces is not None:
            # Before Asterisk has said a word of that call it cannot be named.
            await first_of(REPLY_S, replaces.ringing, replaces.answered)
            target += f"?Replaces={sip.escaped(replaces.call_id, replaces.far_tag, replaces.tag)}"
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

    def unheard_s(self, other: Leg, since: float) -> float:
        """Return the longest that ``other`` spoke since then while nothing of it came here.

        In sound sent, not by the clock: where this process stands still, nobody speaks either.
        """
        said = [at for at in other._rtp.sent if at >= since]
        came = [at for at, value in self._rtp.heard if value == other.phone.signature]
        edges = [since, *(at for at in came if at >= since), time.monotonic()]
        most = max(
            bisect_left(said, after) - bisect_right(said, before)
            for before, after in pairwise(edges)
        )
        return most * FRAME_S

    @property
    def frames(self) -> int:
        """How many frames of sound came so far, 20 ms each."""
        return len(self._rtp.heard)

    @property
    def sound(self) -> bytes:
        """All that was heard so far, as A-law."""
        return bytes(self._rtp.sound)

    def heard(self, alaw: Path, *, from_s: float = 0.2, for_s: float = 0.4) -> bool:
        """Whether this part of a file was heard: A-law goes through Asterisk byte by byte."""
        part = alaw.read_bytes()[int(from_s * 8000) :][: int(for_s * 8000)]
        assert len(part) == int(for_s * 8000), f"{alaw} is shorter than that"
        return part in self._rtp.sound

    async def invite(self, number: str, extra: str) -> None:
        await self._media()
        self._target = self._first_target = self.phone.uri(number)
        self._near = f'"{self.phone.name}" <sip:{self.phone.user}@{self.phone.host}>'
        self._far = f"<{self._target}>"
        self._extra = extra
        self._call(extra)

    def _call(self, extra: str) -> None:
        self._branch = "z9hG4bK" + secrets.token_hex(6)
        self.phone.send(self._request("INVITE", extra=extra, body=self._sdp(), branch=self._branch))

    async def incoming(self, headers: Headers, body: str) -> None:
        self._invite = headers
        self.caller = headers["from"]
        self._far, _, self.far_tag = headers["from"].partition(";tag=")
        self._near = headers["to"]
        self._target = sip.address(headers)
        await self._media()
        self._use(body)
        self._rtp.sending = False
        self.ringing.set()

    async def _media(self) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self._rtp, local_addr=(self.phone.host, 0)
        )
        self._rtp_port = transport.get_extra_info("sockname")[1]
        self._task = loop.create_task(self._rtp.run())

    def _sdp(self) -> str:
        self._session += 1
        return sip.sdp(self.phone.host, self._rtp_port, self._session, self.mode)

    def _use(self, body: str) -> None:
        media = sip.media_of(body)
        if media:
            self._rtp.to = media
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
        return sip.request(
            f"{method} {self._first_target if first else self._target}",
            f"{phone.host}:{phone.port};branch={branch or 'z9hG4bK' + secrets.token_hex(6)}",
            f"From: {self._near};tag={self.tag}",
            f"To: {far}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq or self._cseq} {method}",
            f"Contact: {phone.contact}",
            extra=extra,
            body=body,
        )

    def _reply(
        self, status: str, *, to: Headers | None = None, body: str = "", extra: str = ""
    ) -> None:
        phone, to = self.phone, to or self._invite
        phone.send(sip.response(to, status, self.tag, phone.contact, extra=extra, body=body))

    async def _ask(
        self, method: str, *, extra: str = "", body: str = ""
    ) -> tuple[int, Headers, str]:
        self._cseq += 1
        while not self._replies.empty():
            self._replies.get_nowait()
        self.phone.send(self._request(method, extra=extra, body=body))
        while True:
            async with asyncio.timeout(REPLY_S):
                status, headers, text = await self._replies.get()
            if status >= 200:
                return status, headers, text

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
        if method == "INVITE" and int(number) < self._first:
            return  # The challenge, once more.
        if method != "INVITE" or int(number) > self._first or not self.outgoing:
            self._replies.put_nowait((status, headers, body))
            return
        self.far_tag = sip.tag_of(headers["to"])
        if status >= 300:
            self.phone.send(self._request("ACK", cseq=self._first, branch=self._branch))
            proof = self.phone.proof(headers, "INVITE", self._target)
            if proof and self._first == 1:
                self.far_tag, self._first, self._cseq = "", 2, 2
                self._call(self._extra + proof)
                return
            self._end(str(status))
            return
        self._target = sip.address(headers) or self._target
        self._use(body)
        if status >= 200:
            self.phone.send(self._request("ACK", cseq=self._first))
            self.answered.set()
        elif status > 100:
            self.ringing.set()

    async def _handed_on(self) -> None:
        """Hang up, as RFC 5589 (6.1) has it.

        Asterisk keeps the dialog for 60 s otherwise; what it ends then is at times its watch over
        the RTP of another one (docs/open-points.md).
        """
        with contextlib.suppress(TimeoutError):
            await self.bye()

    def on_request(self, method: str, headers: Headers, body: str) -> None:
        if method == "ACK":
            self._rtp.sending = self.answered.is_set() and not self.ended.is_set()
            return
        offered = method in ("INVITE", "UPDATE") and body
        if offered:
            self._use(body)
        self._reply("200 OK", to=headers, body=self._sdp() if offered else "")
        if method == "BYE":
            self._end("BYE")
        elif method == "NOTIFY":
            self.notified.append(body.strip())
            if "SIP/2.0 200" in body and not self.ended.is_set():
                self.phone.spawn(self._handed_on())
        elif method == "CANCEL":
            self.cancelled.set()
            if not self.answered.is_set() and not self.deaf:
                self._reply("487 Request Terminated")
                self._end("CANCEL")


class Phone(asyncio.DatagramProtocol):
    """One phone: one user at one address and port."""

    def __init__(
        self,
        user: str,
        server: tuple[str, int],
        *,
        host: str = "127.0.0.1",
        signature: int = 0x41,
        name: str = "",
    ) -> None:
        self.user = user
        self.server = server
        self.host = host
        self.port = 0
        """Known once it listens."""
        self.signature = signature
        self.on_call: OnCall | None = None
        self.first_packet: int | None = None
        """The sequence number with which each call's sound begins."""
        self.name = name
        self.calls: list[Leg] = []
        """In the order in which they came or were made."""
        self.rang: asyncio.Queue[Leg] = asyncio.Queue()
        """Incoming calls, in order."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> Phone:
        """Listen."""
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=(self.host, 0)
        )
        self.port = transport.get_extra_info("sockname")[1]
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

    async def next_call(self, timeout_s: float = 20.0) -> Leg:
        """Return the next incoming call; it has said 100 only, unless ``on_call`` went on."""
        async with asyncio.timeout(timeout_s):
            return await self.rang.get()

    def send(self, text: str) -> None:
        """Put a message on the wire."""
        if self._transport is not None:
            self._transport.sendto(text.encode(), self.server)

    @property
    def contact(self) -> str:
        """Where it is to be reached."""
        return f"<sip:{self.user}@{self.host}:{self.port}>"

    def uri(self, number: str) -> str:
        """Return the address of ``number`` at our Asterisk."""
        return f"sip:{number}@{self.server[0]}:{self.server[1]}"

    def proof(self, _reply: Headers, _method: str, _uri: str) -> str:
        """Return the header that answers a challenge; empty: there was none, or we cannot."""
        return ""

    def on_reply(self, _status: int, _headers: Headers) -> None:
        """Hear an answer that belongs to no call."""

    # --- asyncio.DatagramProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        del addr
        if len(data) < 20:
            return
        first, headers, body = sip.parse(data)
        leg = next((c for c in self.calls if c.call_id == headers.get("call-id")), None)
        if first.startswith("SIP/2.0"):
            if leg is not None:
                leg.on_status(int(first[8:11]), headers, body)
            else:
                self.on_reply(int(first[8:11]), headers)
            return
        method = first.split()[0]
        if leg is not None:
            if method != "INVITE" or "tag=" in headers["to"]:
                leg.on_request(method, headers, body)
            return
        if method == "INVITE":
            leg = Leg(self, headers["call-id"], outgoing=False)
            self.calls.append(leg)
            self.send(sip.response(headers, "100 Trying", leg.tag, self.contact))
            self.spawn(self._came(leg, headers, body))
        elif method != "ACK":
            self.send(sip.response(headers, "200 OK", "t", self.contact))  # OPTIONS: we are here

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something by itself, until the phone stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
