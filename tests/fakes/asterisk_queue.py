"""Native queues of the fake Asterisk: app_queue as far as the fallback needs it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.fakes.asterisk import Asterisk
from tests.fakes.asterisk_channel import Channel, GoneError, LeaseOutError

RING_S = 15.0
TURN_S = 0.25
"""How often a waiting caller looks whether it is his turn."""
RETRY_S = 2.0
SAME_US = 100_000
"""Two who came within this may be served in either order."""


@dataclass(slots=True, kw_only=True)
class Member:
    """An operator in a native queue."""

    interface: str
    name: str
    paused: bool
    last_try_us: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """A caller in a native queue."""

    channel: Channel
    queue: str
    priority: int
    joined_us: int
    number: int
    ringing: bool = False
    withdrawn: bool = False
    woken: asyncio.Future[None] | None = None
    """While he sleeps until his next look: done = a frame came on his channel."""


@dataclass(slots=True)
class NativeQueues:
    """All of them; they come to be when they are first named."""

    pbx: Asterisk
    members: dict[str, dict[str, Member]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    """Members that a native queue rings or talks with now."""
    overtaken: list[str] = field(default_factory=list)
    """Callers rung before one who stood before them, though a member was there for both."""
    _count: int = 0

    def line(self, queue: str) -> list[Entry]:
        """Callers in the order in which they are served."""
        here = [e for e in self.entries if e.queue == queue]
        return sorted(here, key=lambda e: (-e.priority, e.number))

    async def queue(self, channel: Channel, name: str, timeout_s: float) -> str:
        """``Queue(name,,,,timeout)``; return QUEUESTATUS."""
        self._count += 1
        entry = Entry(
            channel=channel,
            queue=name,
            priority=int(channel.variables.get("QUEUE_PRIO") or 0),
            joined_us=self.pbx.loop.now_us,
            number=self._count,
        )
        self.entries.append(entry)
        self._say("QueueCallerJoin", entry)
        answered = False
        try:
            end = self.pbx.loop.now_us + round(timeout_s * 1_000_000)
            while self.pbx.loop.now_us < end:
                if entry.withdrawn:
                    return "WITHDRAW"
                member = self._my_turn(entry)
                if member is None:
                    await self._pause(entry, TURN_S)
                    continue
                answered = await self._try(entry, member)
                if answered:
                    channel.hang_up(16)  # app_queue without option c: the citizen goes with it
                    channel.check()
        except (GoneError, LeaseOutError):
            if not answered:
                self._say("QueueCallerAbandon", entry)
            raise
        finally:
            if entry in self.entries:
                self.entries.remove(entry)
            self._say("QueueCallerLeave", entry)
        return "TIMEOUT"

    def _say(self, event: str, entry: Entry) -> None:
        self.pbx.emit(
            event,
            Channel=entry.channel.name,
            Uniqueid=entry.channel.uniqueid,
            Queue=entry.queue,
        )

    @staticmethod
    async def _pause(entry: Entry, seconds: float) -> None:
        channel = entry.channel
        entry.woken = channel.pbx.loop.create_future()
        await channel.until(entry.woken, timeout_s=seconds)

    def _free(self, queue: str) -> list[Member]:
        now = self.pbx.loop.now_us
        return [
            m
            for m in self.members.get(queue, {}).values()
            if not m.paused
            and m.interface not in self.busy
            and self.pbx.phones[m.interface].state() == "NOT_INUSE"
            and not (m.last_try_us and now - m.last_try_us < RETRY_S * 1_000_000)
        ]

    def _note_order(self, entry: Entry) -> None:
        """The rung one must have waited longest, by the engine's own enqueue time."""
        mine = int(entry.channel.variables.get("GKC_ENQ") or 0)
        for other in self.entries:
            theirs = int(other.channel.variables.get("GKC_ENQ") or 0)
            waits = other.queue == entry.queue and not other.ringing and not other.withdrawn
            if waits and 0 < theirs < mine - SAME_US:
                self.overtaken.append(f"{entry.channel.uniqueid} before {other.channel.uniqueid}")

    def _my_turn(self, entry: Entry) -> Member | None:
        """Autofill: as many callers from the head as there are free members."""
        free = self._free(entry.queue)
        before = [e for e in self.line(entry.queue) if not e.ringing and not e.withdrawn]
        place = before.index(entry)
        if place >= len(free):
            return None
        return min(free, key=lambda m: (m.last_try_us, m.interface)) if place == 0 else None

    async def _try(self, entry: Entry, member: Member) -> bool:
        entry.ringing = True
        self._note_order(entry)
        member.last_try_us = self.pbx.loop.now_us
        self.busy.add(member.interface)
        try:
            status = await self.pbx.dial(
                entry.channel,
                member.interface,
                RING_S,
                "fallback",
                lambda leg: self._connected(entry, member, leg),
            )
        finally:
            entry.ringing = False
            self.busy.discard(member.interface)
        return status == "ANSWER"

    def _connected(self, entry: Entry, member: Member, leg: Channel) -> None:
        self.entries.remove(entry)
        self.pbx.emit(
            "AgentConnect",
            Channel=entry.channel.name,
            Uniqueid=entry.channel.uniqueid,
            DestChannel=leg.name,
            DestUniqueid=leg.uniqueid,
            Queue=entry.queue,
            Interface=member.interface,
        )

    def rings_for(self, uniqueid: str) -> bool:
        """Whether a member's phone rings for this caller now."""
        return any(e.ringing and e.channel.uniqueid == uniqueid for e in self.entries)

    def withdraw(self, queue: str, caller: str) -> bool:
        """``QueueWithdrawCaller``; a ring that runs is left to finish, and an answer wins."""
        for entry in self.entries:
            if entry.queue == queue and entry.channel.name == caller:
                entry.withdrawn = True
                return True
        return False

    def wake(self, caller: str) -> bool:
        """Put a frame on the channel of one who waits here: he looks at once, not in a while."""
        for entry in self.entries:
            if entry.channel.name == caller and entry.woken is not None:
                if not entry.woken.done():
                    entry.woken.set_result(None)
                return True
        return False
