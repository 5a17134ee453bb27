"""What a citizen's session needs of the phone channel, as types: no behaviour here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.views import ContactView
from gkc_engine.channels.phone.calls import Call, Calls
from gkc_engine.channels.phone.facts import FactHandler
from gkc_engine.channels.phone.lease import Leases
from gkc_engine.channels.phone.overflow import Overflow
from gkc_engine.channels.phone.put_through import PutThrough
from gkc_engine.channels.phone.recording import Recorder
from gkc_engine.channels.phone.roster import Roster
from gkc_engine.ids import AgentId, ContactId, Instant, QueueId


class Announcer(Protocol):
    """Decides what a waiting citizen hears, and when (``waiting.Announcements``)."""

    def next_due(self, call: Call, now: Instant) -> Instant | None:
        """Return when to ask again; ``None`` = never for this wait."""
        ...

    def prompts(self, call: Call, now: Instant) -> Sequence[Sound]:
        """Return what to play now, in order."""
        ...

    def forget(self, contact_id: ContactId) -> None:
        """The citizen is gone: nothing more will be told."""
        ...


@dataclass(frozen=True, slots=True)
class Sound:
    """A file for ``STREAM FILE`` and how long it plays."""

    path: str
    seconds: float
    broadcast_id: int | None = None
    """Of a supervisor's broadcast: that it was heard to its end is put on record."""


@dataclass(slots=True, kw_only=True)
class QueueVoice:
    """What a queue sounds like."""

    title: str
    musicclass: str = "default"
    record: str = "never"
    record_notice: str | None = None
    transfer_codes: bool = False


class Host(Protocol):
    """What a session needs of the phone channel (``channel.PhoneChannel``)."""

    calls: Calls
    roster: Roster
    facts: FactHandler
    recorder: Recorder
    put_through: PutThrough
    overflow: Overflow
    leases: Leases

    def now(self) -> Instant:
        """Return the engine's time."""
        ...

    def submit(self, event: ev.Event, key: str | None) -> None:
        """Hand an event to the engine, once per key."""
        ...

    def voice(self, queue: QueueId) -> QueueVoice:
        """Return what a queue sounds like."""
        ...

    def hang_up(self, leg: str, cause: int) -> None:
        """Ask Asterisk to end a leg."""
        ...

    def contact(self, contact_id: ContactId) -> ContactView | None:
        """Return what the core knows of a contact; ``None`` when it has ended."""
        ...

    def offer_is_open(self, offer: cmd.OfferContact) -> bool:
        """Whether the core still means this offer."""
        ...

    def sound(self, name: str, language: str) -> Sound | None:
        """Return a prompt's file; ``None`` when it cannot be had."""
        ...

    async def answer_of(
        self, call: Call, offer: cmd.OfferContact
    ) -> tuple[AgentId, str | None, Instant | None]:
        """Return who answered a running Dial, on which leg and when, as far as can be known."""
        ...

    def ami_up(self) -> bool:
        """Whether AMI can be expected to tell the same story."""
        ...

    def renew(self, leg: str, seconds: int) -> None:
        """Set the leg's lease by AMI, soon."""
        ...
