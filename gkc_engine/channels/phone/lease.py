"""Prompts under a short lease: a hung engine must not keep a citizen for the length of a prompt.

While a prompt plays, any command on its socket would cut it, so the lease is renewed by AMI
(``Setvar`` of ``TIMEOUT(absolute)`` cuts nothing: tried on Asterisk 22). Without AMI the lease is
as long as the prompt, so that a cut AMI link costs nobody his place in AGI.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from gkc_engine.channels.phone.calls import Call
from gkc_engine.ivr.fastagi import LEASE_MARGIN_S, AgiSession

CALL_LIMIT_S = 7200
"""The last net of a talk."""

LEASE_S = 4
"""Seconds that Asterisk keeps a citizen in AGI without a word from us."""

LATE_S = 0.5
"""A renewal that would come this shortly before the end, or later, is not sent any more."""

LEASE_EVERY_S = 1.6
"""Two fit into one lease with 0.8 s to spare: one late renewal costs nobody his place."""

TOGETHER_S = 0.05
"""Leases that are due within this are renewed together."""

FRESH_S = 0.5
"""A lease set so shortly before is not set again: a command costs Asterisk and us 0.5 ms."""

PROMISE = "lease"
"""Argument of ``AGI()`` by which our own dialplan says that it is made for a lease."""

R = TypeVar("R")


async def may_lease(agi: AgiSession) -> bool:
    """Whether the dialplan is made for a lease.

    Without ``AGIEXITONHANGUP`` an expired lease gives silence, and a plan of the administrator's
    own does not end it before his ``Queue()``: it would cut the caller off there 4 s after we die.
    """
    if PROMISE in agi.request.arguments:
        return True
    return await agi.get_variable("AGIEXITONHANGUP") == "yes"


def first(call: Call) -> tuple[str, ...]:
    """Return what begins the lease among the variables that a call gets as it joins a queue."""
    if not call.leased:
        return ()
    call.lease_set = asyncio.get_running_loop().time()
    return (f"TIMEOUT(absolute)={LEASE_S}",)


class Leases:
    """Renews the leases of all who wait, from one timer: a timer each cost a tenth of our CPU."""

    def __init__(self) -> None:
        self._due: OrderedDict[AgiSession, float] = OrderedDict()
        """When (loop time, s) each is to be renewed; all by the same pause, so in order."""
        self._timer: asyncio.TimerHandle | None = None

    def keep(self, call: Call, agi: AgiSession) -> None:
        """Keep a citizen in AGI from now on, until `drop`."""
        if not call.leased:
            return
        loop = asyncio.get_running_loop()
        self._due[agi] = loop.time() + LEASE_EVERY_S
        self._due.move_to_end(agi)
        if self._timer is None:
            self._timer = loop.call_later(LEASE_EVERY_S, self._renew)

    def drop(self, agi: AgiSession) -> None:
        """Renew no more: something else is done with him."""
        self._due.pop(agi, None)

    def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._due:
            agi, due = next(iter(self._due.items()))
            if due > now:
                break
            agi.lease(LEASE_S)
            self._due[agi] = now + LEASE_EVERY_S
            self._due.move_to_end(agi)
        self._timer = loop.call_later(TOGETHER_S, self._renew) if self._due else None


async def begin(call: Call, agi: AgiSession) -> None:
    """Let the lease run from now on: music is about to start."""
    fresh = asyncio.get_running_loop().time() - call.lease_set < FRESH_S
    call.lease_set = -math.inf
    if call.leased and not fresh:
        await agi.set_variable("TIMEOUT(absolute)", LEASE_S)


async def end(call: Call, agi: AgiSession, *also: str) -> None:
    """Take the lease off before a Dial: it must not cut the talk; set other variables with it."""
    call.lease_set = -math.inf
    if also:
        await agi.exec("MSet", f"TIMEOUT(absolute)={CALL_LIMIT_S}", *also)
    else:
        await agi.set_variable("TIMEOUT(absolute)", CALL_LIMIT_S)


class Renewer(Protocol):
    """What renews a lease without the socket (``channel.PhoneChannel``)."""

    def ami_up(self) -> bool:
        """Whether AMI can be used now."""
        ...

    def renew(self, leg: str, seconds: int) -> None:
        """Set the leg's lease by AMI, soon."""
        ...


async def under_lease(
    host: Renewer,
    call: Call,
    agi: AgiSession,
    start: Callable[[], Awaitable[R]],
    seconds: float,
) -> R:
    """Run a command that plays for at most ``seconds``; return what it returned.

    When the AMI link breaks meanwhile, the command is cut and started once more under a lease of
    its own length: the citizen hears the prompt again instead of falling out of AGI.
    """
    if not call.leased:
        return await start()
    if host.ami_up():
        await agi.set_variable("TIMEOUT(absolute)", LEASE_S)
        playing = asyncio.ensure_future(start())
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        try:
            while host.ami_up():
                done, _ = await asyncio.wait({playing}, timeout=LEASE_EVERY_S)
                if done:
                    agi.lease(LEASE_S)
                    return playing.result()
                if loop.time() - renewed < LEASE_S - LATE_S:
                    host.renew(call.leg, LEASE_S)
                    renewed = loop.time()
                # Else we were stopped: he stands in the native queue by now, or talks from
                # there, and a lease would tear that apart.
        finally:
            playing.cancel()
    await agi.set_variable("TIMEOUT(absolute)", math.ceil(seconds) + LEASE_MARGIN_S)
    result = await start()
    agi.lease(LEASE_S)
    return result
