"""A channel of the fake Asterisk, and what really happened on it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tests.fakes.asterisk import Asterisk


class GoneError(Exception):
    """The channel was hung up."""


class LeaseOutError(Exception):
    """``TIMEOUT(absolute)`` ran out: the channel goes on at extension T."""


@dataclass(slots=True, kw_only=True)
class Talk:
    """A citizen and an operator, really bridged. Virtual microseconds."""

    agent: str
    via: str
    began: int
    ended: int | None = None


@dataclass(slots=True, kw_only=True)
class Truth:
    """What really happened to one citizen's call."""

    number: int
    dialled: str
    arrived: int
    uniqueid: str = ""
    reached_engine: bool = False
    """An AGI session of it was taken by the engine."""
    talks: list[Talk] = field(default_factory=list)
    rings: int = 0
    fallbacks: list[int] = field(default_factory=list)
    """When it entered a native queue."""
    last_socket_lost: int | None = None
    torn: bool = False
    """A talk was cut by a lease that should not have been there."""
    left: int | None = None
    place: str = "menu"
    """Where it was when it ended: menu, music, ring, talk, native, released."""


class Phone(Protocol):
    """A device that Dial can ring (``asterisk_people.OperatorPhone``)."""

    interface: str

    def invite(self, leg: Channel, caller: Channel) -> None: ...

    def cancel(self, leg: Channel) -> None: ...

    def released(self, leg: Channel) -> None: ...

    def state(self) -> str: ...


class Channel:
    """One call leg."""

    def __init__(self, pbx: Asterisk, name: str, uniqueid: str, linkedid: str = "") -> None:
        self.pbx = pbx
        self.name = name
        self.uniqueid = uniqueid
        self.linkedid = linkedid or uniqueid
        self.state = "Ring"
        self.variables: dict[str, str] = {}
        self.began_us: int = pbx.loop.now_us
        self.application = ""
        self.bridge = ""
        self.cause = 16
        self.ended_by = ""
        """The channel whose far end hung up."""
        self.interrupt: asyncio.Future[str] = pbx.loop.create_future()
        """``gone`` or ``lease``: what ends whatever the channel is doing."""
        self.result: asyncio.Future[tuple[str, int]] = pbx.loop.create_future()
        """Of an outgoing leg: what came of the INVITE."""
        self.ended = False
        self.truth: Truth | None = None
        self.caller: Any = None
        """The citizen behind an incoming channel."""
        self.phone: Phone | None = None
        self._limit: asyncio.TimerHandle | None = None

    @property
    def number(self) -> str:
        """The caller's number; empty on an operator's leg."""
        return f"+7900000{self.truth.number:04d}" if self.truth is not None else ""

    def limit(self, seconds: float) -> None:
        """``TIMEOUT(absolute)``."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self.pbx.later(seconds, self._out_of_time) if seconds > 0 else None

    def _out_of_time(self) -> None:
        if not self.interrupt.done():
            self.interrupt.set_result("lease")

    def hang_up(self, cause: int = 16, *, by_person: bool = False) -> None:
        """Somebody ended this leg; whoever works on it sees so."""
        if self.ended:
            return
        if by_person:
            self.ended_by = self.name
        self.cause = cause
        if not self.result.done():
            self.result.set_result(("CHANUNAVAIL", cause))
        if self.interrupt.done():
            self.interrupt = self.pbx.loop.create_future()
        self.interrupt.set_result("gone")

    def check(self) -> None:
        """Raise when something ended what the channel was doing."""
        if not self.interrupt.done():
            return
        if self.interrupt.result() == "gone":
            raise GoneError
        self.interrupt = self.pbx.loop.create_future()
        self._limit = None
        raise LeaseOutError

    async def until(self, *futures: asyncio.Future[Any], timeout_s: float | None = None) -> bool:
        """Wait for one of ``futures``; False when the time was up.

        Raises:
            GoneError: hung up meanwhile.
            LeaseOutError: the lease ran out meanwhile.
        """
        if not any(f.done() for f in futures):
            await asyncio.wait(
                [self.interrupt, *futures],
                timeout=timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        if any(f.done() for f in futures) and not self.interrupt.done():
            return True
        self.check()
        return any(f.done() for f in futures)

    def finish(self) -> None:
        """The channel is destroyed: the one proof that it is gone."""
        if self.ended:
            return
        self.ended = True
        if self._limit is not None:
            self._limit.cancel()
        self.pbx.channels.pop(self.uniqueid, None)
        extra = f'{{"hangupcause":{self.cause},"hangupsource":"{self.ended_by}"}}'
        self.pbx.note("HANGUP", self, extra)
        self.pbx.emit(
            "Hangup",
            Channel=self.name,
            Uniqueid=self.uniqueid,
            Linkedid=self.linkedid,
            Cause=str(self.cause),
        )
        if self.phone is not None:
            self.phone.released(self)
