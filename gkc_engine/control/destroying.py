"""The methods that destroy what is known of citizens, or hold it back. All of them are audited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Protocol, TypeVar

import msgspec

from gkc_engine.control.audit import Change
from gkc_engine.control.methods import Nothing
from gkc_engine.control.protocol import Json
from gkc_engine.control.server import Call, ControlServer
from gkc_engine.ids import Instant
from gkc_engine.recorder.queries import iso
from gkc_engine.retention.run import Retention

_T = TypeVar("_T")

TIMEOUT_S = 600.0
"""Asterisk's lists of a month are read from end to end."""

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Number(msgspec.Struct, forbid_unknown_fields=True):
    """A citizen's number. A struct of its own, so that no refusal writes it into the audit."""

    number: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class OneCitizen(msgspec.Struct, forbid_unknown_fields=True):
    """Whom, and why."""

    citizen: Number
    reason: Reason


class Release(msgspec.Struct, forbid_unknown_fields=True):
    """Who is not held any longer."""

    citizen: Number


class Destroyer(Protocol):
    """Runs work on the rules in force, outside the loop."""

    def of(self, work: Callable[[Retention], _T], /) -> Awaitable[_T]:
        """Return what ``work`` returns."""
        ...


class DestroyingMethods:
    """Every method, over one destroyer."""

    def __init__(self, destroyer: Destroyer, now: Callable[[], Instant]) -> None:
        self._destroyer = destroyer
        self._now = now

    def register(self, server: ControlServer) -> None:
        """Enter the methods into the server's table."""
        server.method("records.due", Nothing, self.due, timeout_s=TIMEOUT_S)
        server.method("records.holds", Nothing, self.holds)
        one, whole = self.erase, self.retain
        server.method("records.erase", OneCitizen, one, changes=True, timeout_s=TIMEOUT_S)
        server.method("records.retain", Nothing, whole, changes=True, timeout_s=TIMEOUT_S)
        server.method("records.hold", OneCitizen, self.hold, changes=True)
        server.method("records.release", Release, self.release, changes=True)

    async def due(self, _params: Nothing, _call: Call) -> Json:
        """Return how much of each class the next run destroys."""
        now = self._now()
        return [dict(await self._destroyer.of(lambda r: r.due(now)))]

    async def retain(self, _params: Nothing, call: Call) -> Change:
        """Do the nightly run now."""
        now = self._now()
        act = await self._destroyer.of(lambda r: r.run(now, call.actor))
        return Change(object="retention", before=None, after=act.row, result=[act.row])

    async def erase(self, params: OneCitizen, call: Call) -> Change:
        """Destroy what is known of one citizen."""
        now, number = self._now(), params.citizen.number
        act = await self._destroyer.of(lambda r: r.erase(number, params.reason, now, call.actor))
        return Change(object=f"citizen {act.citizen}", before=None, after=act.row, result=[act.row])

    async def hold(self, params: OneCitizen, call: Call) -> Change:
        """Keep what is known of one citizen from being destroyed."""
        now, number = self._now(), params.citizen.number
        key = await self._destroyer.of(lambda r: r.hold(number, params.reason, now, call.actor))
        after = {"held": True, "reason": params.reason}
        return Change(object=f"citizen {key}", before=None, after=after, result=[{"citizen": key}])

    async def release(self, params: Release, _call: Call) -> Change:
        """Let time run again."""
        number = params.citizen.number
        key = await self._destroyer.of(lambda r: r.release(number))
        return Change(
            object=f"citizen {key}",
            before={"held": True},
            after={"held": False},
            result=[{"citizen": key}],
        )

    async def holds(self, _params: Nothing, _call: Call) -> Json:
        """Return who is held."""
        found = await self._destroyer.of(lambda r: r.holds())
        return [
            {
                "citizen": hold["citizen_key"],
                "since": iso(int(str(hold["since"]))),
                "actor": hold["actor"],
                "reason": hold["reason"],
            }
            for hold in found
        ]
