"""The methods of the block list. Audited by the citizen's key, never with his number."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Protocol, TypeVar

import msgspec

from gkc_engine.control.audit import Change
from gkc_engine.control.destroying import Number, Reason, Release
from gkc_engine.control.methods import Nothing
from gkc_engine.control.protocol import ControlError, Json
from gkc_engine.control.server import Call, ControlServer
from gkc_engine.ids import SECOND, Instant
from gkc_engine.numbers import EMERGENCY_NUMBERS, identity_of
from gkc_engine.recorder.blocks import DAYS_MAX, LONGEST_US, Block
from gkc_engine.recorder.citizens import Citizens
from gkc_engine.recorder.queries import iso

_T = TypeVar("_T")

_FOR_S_MAX = DAYS_MAX * 86_400.0

SUBSCRIBER_DIGITS = 10
"""Of a number without the code of its country, as people write it."""
SHORTEST = 7
"""A number with fewer digits may well be a house or a date."""


class Why(msgspec.Struct, forbid_unknown_fields=True):
    """A struct of its own, so that a refusal does not write a number in it into the audit."""

    reason: Reason


class BlockCitizen(msgspec.Struct, forbid_unknown_fields=True):
    """Whom, why, and for how long or until when (microseconds UTC); neither: the longest."""

    citizen: Number
    why: Why
    for_s: Annotated[float, msgspec.Meta(gt=0, le=_FOR_S_MAX)] | None = None
    until_us: int | None = None


class Writing(Protocol):
    """Runs what changes the store where all of its changes run."""

    def __call__(self, work: Callable[[], _T], /) -> Awaitable[_T]:
        """Return what ``work`` returns."""
        ...


class BlockingMethods:
    """Every method, over the citizens of one center."""

    def __init__(self, citizens: Citizens, write: Writing, now: Callable[[], Instant]) -> None:
        self._citizens = citizens
        self._write = write
        self._now = now

    def register(self, server: ControlServer) -> None:
        """Enter the methods into the server's table."""
        server.method("citizen.block", BlockCitizen, self.block, changes=True)
        server.method("citizen.unblock", Release, self.unblock, changes=True)
        server.method("citizen.blocked", Nothing, self.blocked)

    async def block(self, params: BlockCitizen, call: Call) -> Change:
        """Refuse a citizen's calls from now on; who is on the line is not touched."""
        now, reason = self._now(), params.why.reason
        if params.for_s is not None and params.until_us is not None:
            raise ControlError("bad_params", "give --for or --until, not both")
        if _names(reason, params.citizen.number):
            raise ControlError(
                "bad_params", "--reason has his number in it, and is kept in clear: leave it out"
            )
        until = Instant(now + LONGEST_US)
        if params.until_us is not None:
            until = Instant(params.until_us)
        elif params.for_s is not None:
            until = Instant(now + round(params.for_s * SECOND))
        key = self._key(params.citizen.number)
        block = Block(citizen_key=key, since=now, until=until, actor=call.actor, reason=reason)
        before = await self._write(lambda: self._citizens.blocks.put(block))
        return Change(
            object=f"citizen {key}",
            before=None if before is None else _audited(before),
            after=_audited(block),
            result=[_row(block)],
        )

    def _key(self, number: str) -> str:
        if number.strip() in EMERGENCY_NUMBERS:
            raise ControlError("refused", f"{number.strip()} calls for an emergency: never blocked")
        return self._citizens.key_of_any(number)

    async def unblock(self, params: Release, _call: Call) -> Change:
        """Take a citizen's calls again."""
        key, now = self._citizens.key_of_any(params.citizen.number), self._now()
        taken = await self._write(lambda: self._citizens.blocks.take([key], now))
        if not taken:
            raise ControlError("refused", f"citizen {key} is not blocked")
        return Change(
            object=f"citizen {key}",
            before=_audited(taken[0]),
            after={"blocked": False},
            result=[{"citizen": key}],
        )

    async def blocked(self, _params: Nothing, _call: Call) -> Json:
        """Return who is blocked, the oldest block first."""
        return [_row(block) for block in self._citizens.blocks.standing(self._now())]


def _names(reason: str, number: str) -> bool:
    """Whether a reason has the number in it, however both are spelled."""
    subscriber = _digits(identity_of(number) or "")[-SUBSCRIBER_DIGITS:]
    return len(subscriber) >= SHORTEST and subscriber in _digits(reason)


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())


def _audited(block: Block) -> Json:
    return {"blocked": True, "until": iso(block.until), "reason": block.reason}


def _row(block: Block) -> Json:
    return {
        "citizen": block.citizen_key,
        "since": iso(block.since),
        "until": iso(block.until),
        "actor": block.actor,
        "reason": block.reason,
        "refused": block.refused,
    }
