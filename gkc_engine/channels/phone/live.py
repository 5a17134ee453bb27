"""The lines that Asterisk holds now: rows of ``CoreShowChannels``, by leg and by bridge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gkc_engine.channels.phone.translate import endpoint_of
from gkc_engine.ids import SECOND, Instant


class Row(Protocol):
    """What we need of an AMI row or reply."""

    def get(self, key: str) -> str:
        """Return a header, ``""`` when it is missing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One row of CoreShowChannels."""

    uniqueid: str
    linkedid: str
    channel: str
    up: bool
    application: str
    bridge: str
    data: str = ""
    """Arguments of the application."""
    context: str = ""
    exten: str = ""
    number: str = ""
    """Caller's number: foreign text."""
    seconds: int = 0
    """How long it exists."""

    @property
    def endpoint(self) -> str | None:
        """The phone that the leg belongs to."""
        return endpoint_of(self.channel)

    @property
    def in_native_queue(self) -> bool:
        """Whether ``Queue()`` holds it: waiting, ringing from there, or talking through it."""
        return self.application == "Queue"

    @property
    def native_queue(self) -> str:
        """Name of the native queue that holds it; empty when none does."""
        return self.data.partition(",")[0] if self.in_native_queue else ""


def leg_of(row: Row) -> Leg:
    """Return the leg that a CoreShowChannel row describes."""
    return Leg(
        uniqueid=row.get("Uniqueid"),
        linkedid=row.get("Linkedid"),
        channel=row.get("Channel"),
        up=row.get("ChannelStateDesc") == "Up",
        application=row.get("Application"),
        bridge=row.get("BridgeId"),
        data=row.get("ApplicationData"),
        context=row.get("Context"),
        exten=row.get("Exten"),
        number=row.get("CallerIDNum"),
        seconds=_seconds(row.get("Duration")),
    )


def _seconds(text: str) -> int:
    """Return the seconds of Asterisk's ``HH:MM:SS``; 0 when it is not that."""
    parts = text.split(":")
    if len(parts) != 3 or not all(p.isdecimal() for p in parts):
        return 0
    return int(parts[0]) * 3600 + int(parts[1]) * 60 + int(parts[2])


def booted_at(status: Row, now: Instant) -> Instant | None:
    """Return when this Asterisk started, from the reply to CoreStatus.

    It is told in Asterisk's local time, taken to be ours; ``None`` when that cannot be.
    """
    text = f"{status.get('CoreStartupDate')} {status.get('CoreStartupTime')}"
    try:
        at = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").astimezone()
    except ValueError:
        return None
    booted = Instant(int(at.timestamp()) * SECOND)
    return booted if booted <= now else None


def born(uniqueid: str) -> Instant | None:
    """Return when a channel came to be, in whole seconds: ``SYSTEM-SECONDS.COUNT``."""
    seconds = uniqueid.rpartition("-")[2].partition(".")[0]
    return Instant(int(seconds) * SECOND) if seconds.isdecimal() else None


class Live:
    """All of them."""

    def __init__(self, legs: Iterable[Leg]) -> None:
        self.by_id = {leg.uniqueid: leg for leg in legs}
        self._by_name = {leg.channel: leg for leg in self.by_id.values()}
        self._bridges: dict[str, list[Leg]] = {}
        for leg in self.by_id.values():
            if leg.bridge:
                self._bridges.setdefault(leg.bridge, []).append(leg)

    def __iter__(self) -> Iterator[Leg]:
        return iter(self.by_id.values())

    def with_him(self, leg: Leg) -> list[Leg]:
        """Return the other legs in the same bridge, also through a Local channel's two halves."""
        if not leg.bridge:
            return []
        found = [other for other in self._bridges[leg.bridge] if other is not leg]
        for half in [x for x in found if x.channel.startswith("Local/")]:
            name, number = half.channel[:-1], half.channel[-1:]
            twin = self._by_name.get(name + ("2" if number == "1" else "1"))
            if twin is not None and twin.bridge:
                found += [x for x in self._bridges[twin.bridge] if x is not twin]
        return found

    def answered_for(self, citizen: str) -> list[Leg]:
        """Return the legs that were made for a citizen's line and answered."""
        return [x for x in self if x.linkedid == citizen and x.uniqueid != citizen and x.up]

    def rung_for(self, citizen: str) -> list[Leg]:
        """Return the legs that ring for a citizen's line."""
        return [x for x in self if x.linkedid == citizen and x.uniqueid != citizen and not x.up]
