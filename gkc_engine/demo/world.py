"""The outside world at work: a second Asterisk that is the telephone network and the phones."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

from gkc_engine.channels.phone.ami import AmiDown, AmiLink, AmiTimeout
from gkc_engine.channels.phone.ami_messages import AmiEvent, FieldValue
from gkc_engine.demo.people import phone_decisions
from gkc_engine.demo.rare import CALLER_PHONE, CALLS_OUT, CALLS_OUT_EVERY_S
from gkc_engine.demo.rare import DECISIONS as ALWAYS
from gkc_engine.demo.setup import PHONES_PORT
from gkc_engine.demo.waiting import happens
from gkc_engine.errors import PeerError
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.model import Ami, OutsideCenter, OutsidePlan
from gkc_engine.pbx.outside import (
    CitizenCall,
    Headers,
    dial_from_phone,
    originate_citizen,
    set_phone,
    set_phone_default,
)
from gkc_engine.pbx.ports import free_tcp_port, free_udp_port, free_udp_range
from gkc_engine.pbx.process import AsteriskProcess
from gkc_engine.pbx.render import render_outside

TRUNK_HOST: Final = "127.0.0.11"
PHONES_HOST: Final = "127.0.0.1"

RTP_PORTS: Final = 8000
RTP_STARTS: Final = (32000, 40000, 48000)

DECISIONS: Final = 25
"""Calls of one phone that are decided beforehand; an AMI line holds no more."""

DECIDE_EVERY_S: Final = 40.0
"""A phone cannot take ``DECISIONS`` calls in that time."""

LINK_S: Final = 10.0


class OutsideWorld:
    """Citizens who call and phones that ring."""

    def __init__(self, install: Install, run_dir: Path, *, usual_port: bool = True) -> None:
        self.install = install
        self.run_dir = run_dir
        self.asterisk = AsteriskProcess(install=install, run_dir=run_dir)
        self.sip_port = _free_on_both(PHONES_PORT if usual_port else 0)
        self.rtp_start = free_udp_range(RTP_STARTS, RTP_PORTS)
        self.ami = Ami(user="demo", secret=secrets.token_urlsafe(18), port=free_tcp_port())
        self.originated: list[str] = []
        """Ids of the calls that were dialled, in order: the driver's own list."""
        self._phones: tuple[str, ...] = ()
        self._hung_up: Counter[str] = Counter()
        """Calls of each endpoint here that are over, answered or not."""
        self._link: AmiLink | None = None
        self._up = asyncio.Event()

    def contact_of(self, endpoint: str) -> str:
        """Return the SIP address of an operator's phone."""
        return f"sip:{endpoint}@{PHONES_HOST}:{self.sip_port}"

    @property
    def called(self) -> str:
        """The SIP address of the telephone network, for calls out."""
        return f"sip:city@{TRUNK_HOST}:{self.sip_port}"

    async def start(self, first: OutsideCenter, *others: OutsideCenter, silence_s: int = 0) -> None:
        """Boot it and link to it.

        ``silence_s``: whoever holds a phone hangs up when he has heard nothing for so long.

        Raises:
            PeerError: it did not start; the end of its log is in the text.
        """
        plan = OutsidePlan(
            ami=self.ami,
            center_port=first.port,
            trunk_host=TRUNK_HOST,
            phones_host=PHONES_HOST,
            sip_port=self.sip_port,
            rtp_start=self.rtp_start,
            rtp_end=self.rtp_start + RTP_PORTS - 1,
            phones=first.phones,
            others=others,
            silence_s=silence_s,
        )
        self._phones = tuple(one.endpoint for center in plan.centers for one in center.phones)
        render_outside(plan, install=self.install, run_dir=self.run_dir)
        await self.asterisk.start()
        self._link = AmiLink(
            self.ami.host,
            self.ami.port,
            self.ami.user,
            self.ami.secret,
            on_event=self._heard,
            on_up=self._linked,
            on_down=lambda _reason: self._up.clear(),
            allow_broad=True,  # This Asterisk is no part of the product.
        )
        await self._link.start()
        try:
            async with asyncio.timeout(LINK_S):
                await self._up.wait()
        except TimeoutError:
            raise PeerError(
                f"the outside world's Asterisk cannot be reached: {self._link.problem}"
            ) from None

    async def _linked(self) -> None:
        self._up.set()

    def _heard(self, event: AmiEvent) -> None:
        if event.get("Event") == "Hangup":
            self._hung_up[event.get("Channel").rpartition("-")[0]] += 1

    async def decide_phones(self, rng: random.Random) -> None:
        """Decide, again and again, what each phone does with its next calls. Never returns."""
        for endpoint in ALWAYS.keys() & set(self._phones):
            with contextlib.suppress(AmiDown, AmiTimeout):
                await self._send(set_phone_default(ALWAYS[endpoint], endpoint))
        while True:
            for endpoint in (one for one in self._phones if one not in ALWAYS):
                with contextlib.suppress(AmiDown, AmiTimeout):
                    await self._send(set_phone(endpoint, phone_decisions(rng, DECISIONS)))
            await asyncio.sleep(DECIDE_EVERY_S)

    async def call(self, call: CitizenCall) -> None:
        """Let a citizen call. Whether one without a reply did, only the CDR knows."""
        with contextlib.suppress(AmiTimeout):
            await self._send(originate_citizen(call))
            self.originated.append(call.call_id)

    async def call_out(self, rounds: Iterable[object]) -> None:
        """Let one operator make the calls of `CALLS_OUT`, one after the other, so many times.

        A round begins `CALLS_OUT_EVERY_S` after the one before, or when that is over.
        """
        loop = asyncio.get_running_loop()
        line = f"PJSIP/op-{CALLER_PHONE}"
        due = loop.time()
        for _ in rounds:
            await asyncio.sleep(max(0.0, due - loop.time()))
            due = loop.time() + CALLS_OUT_EVERY_S
            for call in CALLS_OUT:
                before = self._hung_up[line]
                dial = dial_from_phone(
                    CALLER_PHONE, call.number, hold_s=call.hold_s, ring_s=call.ring_s
                )
                with contextlib.suppress(AmiTimeout):
                    await self._send(dial)
                await happens(partial(self._over, line, before), call.ring_s + call.hold_s)

    async def _over(self, line: str, before: int) -> bool:
        return self._hung_up[line] > before

    async def in_progress(self) -> int:
        """Return how many citizens are on the line."""
        assert self._link is not None
        rows = await self._link.list_action("CoreShowChannels")
        return sum(row.get("Channel").startswith("PJSIP/city-") for row in rows)

    async def hang_up_all(self) -> None:
        """End the call of every citizen who is still on the line."""
        with contextlib.suppress(PeerError):  # Nobody there any more: refused.
            await self._send(
                [("Action", "Hangup"), ("Channel", "/^PJSIP/city-.*$/"), ("Cause", "16")]
            )

    async def stop(self) -> None:
        """Stop it; whoever is on the line hangs up."""
        if self._link is not None:
            await self._link.stop()
        await self.asterisk.stop(grace_s=1.2)

    async def _send(self, headers: Headers) -> None:
        assert self._link is not None
        lines: dict[str, list[str]] = {}
        for name, value in headers[1:]:
            lines.setdefault(name, []).append(value)
        fields: dict[str, FieldValue] = {k: v if len(v) > 1 else v[0] for k, v in lines.items()}
        await self._link.action(headers[0][1], timeout=5.0, **fields)


def _free_on_both(preferred: int) -> int:
    """Return a UDP port that is free where citizens call from and where the phones are."""
    port = preferred
    for _ in range(20):
        port = free_udp_port(TRUNK_HOST, port)
        if free_udp_port(PHONES_HOST, port) == port:
            return port
        port = 0
    raise PeerError("no UDP port is free for the outside world")
