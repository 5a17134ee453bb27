"""A fake Asterisk: channels, the dialplan of the telephone contract, Dial, leases, AMI events.

It knows the truth: who really talked with whom, when, and who left whom waiting. The simulation
compares the engine's records with it. AGI (``asterisk_agi``), AMI (``asterisk_ami``) and native
queues (``asterisk_queue``) speak their real wire protocols through the loop that runs it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from tests.fakes.asterisk_channel import Channel, GoneError, LeaseOutError, Phone, Talk, Truth

CALL_LIMIT_S = 7200
HEARTBEAT_AGE_S = 4
"""The dialplan gives up on the engine when its last heartbeat is older (telephony contract)."""


class Agi(Protocol):
    """Runs AGI scripts (``asterisk_agi.AgiClient``)."""

    async def run(self, channel: Channel, script: str) -> None: ...


class Queues(Protocol):
    """Native queues (``asterisk_queue.NativeQueues``)."""

    async def queue(self, channel: Channel, name: str, timeout_s: float) -> str: ...


class Asterisk:
    """The machine. Parts are put in by whoever builds it (``tests.simulation.world``)."""

    agi: Agi
    queues: Queues

    def __init__(
        self,
        loop: Any,  # noqa: ANN401 - tests.simulation.loop.SimLoop, which fakes may not import
        rng: random.Random,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        epoch_us: int,
    ) -> None:
        self.loop = loop
        self.rng = rng
        self.spawn = spawn
        self.epoch_us = epoch_us
        self.wall_offset_us = 0
        """Steps of the wall clock."""
        self.booted_us = epoch_us - 3_600_000_000
        self.channels: dict[str, Channel] = {}
        self.phones: dict[str, Phone] = {}
        self.globals: dict[str, str] = {}
        self.truths: dict[str, Truth] = {}
        self.sounds: dict[str, float] = {}
        self.publish: Callable[[str, dict[str, str]], None] = lambda _key, _headers: None
        self.cel: Callable[[str], object] = lambda _line: None
        """Writes one line of ``legs.csv``."""
        self._count = 0

    # --- small things ----------------------------------------------------------------------

    def later(self, seconds: float, callback: Callable[..., object], *args: object) -> Any:  # noqa: ANN401
        return self.loop.call_later(seconds, callback, *args)

    def wall_us(self) -> int:
        """Asterisk's own clock: the machine's wall clock."""
        return self.epoch_us + self.loop.now_us + self.wall_offset_us  # type: ignore[no-any-return]

    def emit(self, name: str, **headers: str) -> None:
        """Say it on AMI; the key is the leg that it is about (order is kept for each leg)."""
        wall = self.wall_us()
        stamp = f"{wall // 1_000_000}.{wall % 1_000_000:06d}"
        key = headers.get("Uniqueid") or headers.get("Device", "")
        self.publish(key, {"Event": name, "Timestamp": stamp, **headers})

    def note(self, kind: str, channel: Channel, extra: str = "") -> None:
        """Channel event logging: CHAN_START, ANSWER, HANGUP of each leg."""
        wall = self.wall_us()
        columns = [
            kind,
            f"{wall // 1_000_000}.{wall % 1_000_000:06d}",
            channel.name,
            channel.uniqueid,
            channel.linkedid,
            channel.number,
            channel.variables.get("EXTEN", ""),
            "gkc" if channel.truth is not None else "gkc-phones",
            extra.replace('"', '""'),
        ]
        self.cel(",".join(f'"{column}"' for column in columns) + "\n")

    def new_channel(self, endpoint: str, linkedid: str = "", truth: Truth | None = None) -> Channel:
        self._count += 1
        seconds = self.wall_us() // 1_000_000
        channel = Channel(
            self, f"{endpoint}-{self._count:08x}", f"centr-{seconds}.{self._count}", linkedid
        )
        self.channels[channel.uniqueid] = channel
        if truth is not None:
            truth.uniqueid = channel.uniqueid
            channel.truth = self.truths[channel.uniqueid] = truth
            channel.variables["EXTEN"] = truth.dialled
        self.note("CHAN_START", channel)
        self.emit(
            "Newchannel",
            Channel=channel.name,
            Uniqueid=channel.uniqueid,
            Linkedid=channel.linkedid,
        )
        return channel

    def find(self, name: str) -> Channel | None:
        """Return a channel by its Uniqueid or its name."""
        found = self.channels.get(name)
        if found is None:
            found = next((c for c in self.channels.values() if c.name == name), None)
        return found

    # --- a citizen's call ------------------------------------------------------------------

    def incoming(self, number: int, dialled: str, caller: Any) -> Channel:  # noqa: ANN401
        """A citizen's INVITE arrives."""
        truth = Truth(number=number, dialled=dialled, arrived=self.loop.now_us)
        channel = self.new_channel("PJSIP/trunk", truth=truth)
        channel.caller = caller
        self.spawn(self._citizen(channel))
        return channel

    async def _citizen(self, channel: Channel) -> None:
        truth = channel.truth
        assert truth is not None
        channel.variables["GKC_ENTRY"] = channel.variables["EXTEN"]
        channel.variables["AGIEXITONHANGUP"] = "yes"
        try:
            again, leased = True, True
            while again or not leased:
                try:
                    run = self._extension if leased else self._out_of_lease
                    again, leased = await run(channel), True
                except LeaseOutError:
                    leased = False
                    if channel.state == "Up" and truth.place == "talk":
                        truth.torn = True
        except GoneError:
            pass
        finally:
            truth.left = self.loop.now_us
            if truth.talks and truth.talks[-1].ended is None:
                truth.talks[-1].ended = self.loop.now_us
            channel.finish()
            if channel.caller is not None:
                channel.caller.gone()

    async def _extension(self, channel: Channel) -> bool:
        """``exten => _X.`` of the contract, from ``(in)`` on; True = once more."""
        channel.check()
        variables = channel.variables
        variables["GKC_DONE"] = variables["DIALSTATUS"] = ""
        heartbeat = int(self.globals.get("GKC_HEARTBEAT", "0"))
        if self.wall_us() // 1_000_000 - heartbeat <= HEARTBEAT_AGE_S:
            await self._run_agi(channel, "enter")
            if variables["GKC_DONE"] == "1":
                return False
            if variables["DIALSTATUS"] == "ANSWER":
                await self._run_agi(channel, "after")
                return False
        channel.limit(CALL_LIMIT_S)
        self.answered(channel)
        return await self._native(channel)

    async def _run_agi(self, channel: Channel, script: str) -> None:
        channel.application = "AGI"
        await self.agi.run(channel, script)
        channel.check()

    async def _out_of_lease(self, channel: Channel) -> bool:
        """``exten => T``."""
        channel.limit(CALL_LIMIT_S)
        return await self._native(channel)

    async def _native(self, channel: Channel) -> bool:
        channel.application = "Queue"
        assert channel.truth is not None
        channel.truth.place = "native"
        channel.truth.fallbacks.append(self.loop.now_us)
        status = await self.queues.queue(
            channel, channel.variables.get("GKC_FALLBACK") or "gkc-default", 600
        )
        return status == "WITHDRAW"

    # --- Dial ------------------------------------------------------------------------------

    async def dial(
        self,
        channel: Channel,
        interfaces: str,
        ring_s: float,
        via: str,
        on_talk: Callable[[Channel], None] = lambda _leg: None,
    ) -> str:
        """``Dial(a&b, s, g)``: ring, talk, come back; return DIALSTATUS.

        Raises:
            GoneError: the citizen left while it rang or talked.
        """
        legs = self._invite(channel, interfaces)
        try:
            status, winner = await self._ring(channel, legs, ring_s)
            if winner is not None:
                await self._talk(channel, winner, via, on_talk)
        except (GoneError, LeaseOutError):
            channel.variables["DIALSTATUS"] = "CANCEL"
            raise
        finally:
            for leg in legs:
                if not leg.ended:
                    self._cancel(channel, leg)
        channel.variables["DIALSTATUS"] = status
        return status

    def _invite(self, channel: Channel, interfaces: str) -> list[Channel]:
        legs: list[Channel] = []
        for interface in interfaces.split("&"):
            phone = self.phones.get(interface)
            if phone is None:
                continue
            leg = self.new_channel(interface, channel.uniqueid)
            leg.phone = phone
            leg.state = "Down"
            self._dial_event("DialBegin", channel, leg)
            legs.append(leg)
            phone.invite(leg, channel)
        return legs

    def _dial_event(self, name: str, channel: Channel, leg: Channel, status: str = "") -> None:
        self.emit(
            name,
            Channel=channel.name,
            Uniqueid=channel.uniqueid,
            DestChannel=leg.name,
            DestUniqueid=leg.uniqueid,
            DialStatus=status,
        )

    def answered(self, channel: Channel) -> None:
        """The leg is Up from now on."""
        if channel.state != "Up":
            channel.state = "Up"
            self.note("ANSWER", channel)

    def ringing(self, channel: Channel, leg: Channel) -> None:
        """180 from the phone."""
        leg.state = "Ringing"
        self._dial_event("DialState", channel, leg, "RINGING")

    async def _ring(
        self, channel: Channel, legs: list[Channel], ring_s: float
    ) -> tuple[str, Channel | None]:
        end = self.loop.now_us + round(ring_s * 1_000_000)
        open_legs = list(legs)
        status, cause = "CHANUNAVAIL", 20
        while open_legs:
            left = (end - self.loop.now_us) / 1_000_000
            done = left > 0 and await channel.until(*(g.result for g in open_legs), timeout_s=left)
            if not done:
                status, cause = "NOANSWER", 19
                for leg in open_legs:
                    self._dial_event("DialEnd", channel, leg, "NOANSWER")
                break
            for leg in [g for g in open_legs if g.result.done()]:
                open_legs.remove(leg)
                status, cause = leg.result.result()
                self._dial_event("DialEnd", channel, leg, status)
                if status == "ANSWER":
                    channel.variables["HANGUPCAUSE"] = "16"
                    return status, leg
                leg.cause = cause
                leg.finish()
        channel.variables["HANGUPCAUSE"] = str(cause)
        return status, None

    def _cancel(self, channel: Channel, leg: Channel) -> None:
        if not leg.result.done():
            leg.result.set_result(("CANCEL", 0))
            assert leg.phone is not None
            leg.phone.cancel(leg)
            if channel.interrupt.done() or channel.ended:
                # The contract's trap: a cancelled ring is told twice.
                self._dial_event("DialEnd", channel, leg, "CANCEL")
                self._dial_event("DialEnd", channel, leg, "CANCEL")
        leg.finish()

    async def _talk(
        self, channel: Channel, leg: Channel, via: str, on_talk: Callable[[Channel], None]
    ) -> None:
        truth = channel.truth
        assert truth is not None
        assert leg.phone is not None
        channel.check()
        self.answered(leg)
        self.answered(channel)
        self._count += 1
        channel.bridge = leg.bridge = f"bridge-{self._count}"
        talk = Talk(agent=leg.phone.interface, via=via, began=self.loop.now_us)
        truth.talks.append(talk)
        truth.place = "talk"
        for side in (channel, leg):
            self.emit(
                "BridgeEnter",
                Channel=side.name,
                Uniqueid=side.uniqueid,
                BridgeUniqueid=channel.bridge,
            )
        if channel.caller is not None:
            channel.caller.bridged(leg)
        on_talk(leg)
        try:
            await channel.until(leg.interrupt)
        finally:
            talk.ended = self.loop.now_us
            for side in (channel, leg):
                bridge, side.bridge = side.bridge, ""
                self.emit(
                    "BridgeLeave",
                    Channel=side.name,
                    Uniqueid=side.uniqueid,
                    BridgeUniqueid=bridge,
                )
            leg.finish()
        truth.place = "released"
