"""The people around the fake Asterisk: citizens with patience, operators with phones."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from tests.fakes.asterisk import Asterisk
from tests.fakes.asterisk_channel import Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How operators behave at their phones: chances, and seconds."""

    decline: float = 0.04
    miss: float = 0.05
    busy: float = 0.02
    answer_s: tuple[float, float] = (0.3, 6.0)
    leaves_at_answer: float = 0.03
    """Chance that the citizen hangs up in the very instant of the answer."""


class OperatorPhone:
    """A SIP phone on a desk: one line, one call."""

    def __init__(self, pbx: Asterisk, interface: str, seed: str, manners: Manners) -> None:
        self.interface = interface
        self.manners = manners
        self.registered = True
        self.second_invites: list[tuple[int, str]] = []
        """INVITEs that came while it rang or talked: someone believed it idle."""
        self.leg: Channel | None = None
        self._pbx = pbx
        self._rng = random.Random(seed)
        self._talking = False
        pbx.phones[interface] = self

    def state(self) -> str:
        if not self.registered:
            return "UNAVAILABLE"
        if self.leg is None:
            return "NOT_INUSE"
        return "INUSE" if self._talking else "RINGING"

    def register(self, registered: bool) -> None:
        """The phone comes to the network, or goes."""
        if registered is not self.registered:
            self.registered = registered
            self._tell()

    def _tell(self) -> None:
        self._pbx.emit("DeviceStateChange", Device=self.interface, State=self.state())

    def invite(self, leg: Channel, caller: Channel) -> None:
        """Somebody rings. What the person does is drawn here, so that it is hers alone."""
        rng, manners = self._rng, self.manners
        draw, delay = rng.random(), rng.uniform(*manners.answer_s)
        joke = rng.random() < manners.leaves_at_answer
        if not self.registered:
            self._in(0.002, self._end, leg, "CHANUNAVAIL", 20)
            return
        if self.leg is not None:
            self.second_invites.append((self._pbx.loop.now_us, caller.uniqueid))
            self._in(0.003, self._end, leg, "BUSY", 17)
            return
        if caller.truth is not None:
            caller.truth.rings += 1
        if draw < manners.busy:
            self._in(0.004, self._end, leg, "BUSY", 17)
            return
        self.leg = leg
        self._in(0.02, self._ringing, leg, caller)
        if draw < manners.busy + manners.decline:
            self._in(delay, self._end, leg, "BUSY", 21)
        elif draw >= manners.busy + manners.decline + manners.miss:
            if joke:
                self._in(delay, self._leave_now, leg, caller)
            self._in(delay, self._end, leg, "ANSWER", 0)

    def _in(self, seconds: float, callback: Any, *args: object) -> None:  # noqa: ANN401
        self._pbx.later(seconds, callback, *args)

    def _leave_now(self, leg: Channel, caller: Channel) -> None:
        if self.leg is leg and not leg.result.done():
            caller.hang_up(16, by_person=True)

    def _ringing(self, leg: Channel, caller: Channel) -> None:
        if self.leg is leg and not leg.result.done():
            self._tell()
            self._pbx.ringing(caller, leg)

    def _end(self, leg: Channel, status: str, cause: int) -> None:
        if leg.result.done() or leg.ended:
            return
        leg.result.set_result((status, cause))
        if status == "ANSWER":
            self._talking = True
            self._tell()

    def cancel(self, leg: Channel) -> None:
        """CANCEL; the leg's end follows."""

    def released(self, leg: Channel) -> None:
        """The leg is gone: the phone is free again."""
        if self.leg is leg:
            self.leg = None
            self._talking = False
            self._tell()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one citizen means to do; seconds, but ``at``."""

    number: int
    at: float
    """Second of the simulation at which he dials."""
    dialled: str
    patience_s: float
    talk_s: float
    hangs_up_first: bool
    digit: str | None
    digit_after_s: float


class Citizen:
    """Calls once."""

    def __init__(self, pbx: Asterisk, plan: Plan) -> None:
        self.plan = plan
        self._pbx = pbx
        self.channel: Channel | None = None
        self.done = False
        self._patience: asyncio.TimerHandle | None = None
        pbx.later(plan.at, self._dial)

    def _dial(self) -> None:
        self.channel = self._pbx.incoming(self.plan.number, self.plan.dialled, self)
        self._patience = self._pbx.later(self.plan.patience_s, self._leave)

    def _leave(self) -> None:
        assert self.channel is not None
        self.channel.hang_up(16, by_person=True)

    def bridged(self, leg: Channel) -> None:
        """An operator is there."""
        if self._patience is not None:
            self._patience.cancel()
        first = self.plan.talk_s if self.plan.hangs_up_first else self.plan.talk_s + 40.0
        if not self.plan.hangs_up_first:
            self._pbx.later(self.plan.talk_s, _hang_up, leg)
        self._patience = self._pbx.later(first, self._leave)

    def pressing(self, digits: str) -> asyncio.Future[str]:
        """The digit that he will press, if it counts."""
        pressed: asyncio.Future[str] = self._pbx.loop.create_future()
        digit = self.plan.digit
        if digit is not None and digit in digits:
            self._pbx.later(self.plan.digit_after_s, _press, pressed, digit)
        return pressed

    def gone(self) -> None:
        """The call is over."""
        self.done = True
        if self._patience is not None:
            self._patience.cancel()


def _hang_up(leg: Channel) -> None:
    leg.hang_up(16, by_person=True)


def _press(pressed: asyncio.Future[str], digit: str) -> None:
    if not pressed.done():
        pressed.set_result(digit)
