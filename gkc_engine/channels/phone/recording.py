"""Recording of talks: one file for each offer that became a talk, bound to the contact's record.

``MixMonitor`` runs on the citizen's channel and with option ``b`` writes bridged time only, so that
it can be started before the ring and lives through transfers. ``on-demand`` runs muted until the
operator asks for it; a pause during a talk is the same mute. The mute goes over AMI
(``MixMonitorMute``), which works while Dial holds the socket.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import structlog

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import OfferContact
from gkc_engine.channels.phone.calls import Call, Recording
from gkc_engine.errors import ConfigError
from gkc_engine.ids import SECOND, ContactId, Instant, OfferId
from gkc_engine.ivr.fastagi import AgiSession

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

log = structlog.get_logger(__name__)

_PLAIN: Final = re.compile(r"[\w./ -]+")
"""What may stand in the path: it goes into an application's arguments (docs of ``escape``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recordings:
    """Where recordings lie and what they are called."""

    folder: Path
    format: str
    """``wav`` or ``alaw``: the suffix, from which Asterisk takes the format."""
    zone: ZoneInfo

    def __post_init__(self) -> None:
        if not self.folder.is_absolute() or _PLAIN.fullmatch(str(self.folder)) is None:
            raise ConfigError(
                f"recording.path: found {str(self.folder)!r}, expected an absolute path of letters,"
                " digits, spaces and . _ - /"
            )

    def name(self, contact_id: ContactId, offer_id: OfferId, at: Instant) -> str:
        """Return ``YYYY/MM/DD/CONTACT-OFFER.wav``, the day being the center's."""
        day = datetime.fromtimestamp(at / SECOND, UTC).astimezone(self.zone)
        return f"{day:%Y/%m/%d}/{contact_id}-{offer_id}.{self.format}"

    def there(self, name: str) -> bool:
        """Whether a recording is where its reference says. Blocks on the disk."""
        return (self.folder / name).is_file()


class Recorder:
    """Starts, mutes, stops; tells the core what there is to be bound to the record."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel

    async def begin(self, call: Call, agi: AgiSession, offer: OfferContact, mode: str) -> None:
        """Start before the ring, so that not a word of the talk is missed."""
        await self.end(call, agi, keep=True)  # he was transferred out of a recorded talk
        recordings, on_demand = self._channel.plan.recordings, mode == "on-demand"
        if recordings is None or mode == "never" or (on_demand and not self._channel.ami.up):
            return  # without AMI nobody could keep it silent until it is asked for
        name = recordings.name(call.contact_id, offer.offer_id, offer.created)
        await agi.exec("MixMonitor", recordings.folder / name, "bi(GKC_MIX)")
        call.recording = Recording(offer_id=offer.offer_id, name=name, muted=on_demand)
        if on_demand:
            self._mute(call, on=True)

    def answered(self, call: Call, at: Instant | None) -> None:
        """The talk begins: from here on there is something to be kept."""
        if call.recording is not None and not call.recording.muted:
            self._tell(call, call.recording, at)

    async def end(self, call: Call, agi: AgiSession, *, keep: bool) -> None:
        """Stop; without ``keep`` there was no talk, and the empty file goes."""
        recording, call.recording = call.recording, None
        if recording is None:
            return
        mix = await agi.get_variable("GKC_MIX") or ""
        await agi.exec("StopMixMonitor", mix)
        recordings = self._channel.plan.recordings
        if recordings is not None and not (keep and recording.told):
            with contextlib.suppress(OSError):  # Asterisk may run as somebody else
                (recordings.folder / recording.name).unlink()

    def toggle(self, call: Call) -> bool | None:
        """Pause, or go on; return whether it records now, ``None`` when there is no recording."""
        recording = call.recording
        if recording is None or not self._channel.ami.up:
            return None
        recording.muted = not recording.muted
        self._mute(call, on=recording.muted)
        if not recording.told:
            self._tell(call, recording, None)
        else:
            self._channel.submit(
                ev.RecordingPaused(contact_id=call.contact_id, paused=recording.muted), None
            )
        return not recording.muted

    def _tell(self, call: Call, recording: Recording, at: Instant | None) -> None:
        recording.told = True
        self._channel.submit(
            ev.RecordingStarted(
                contact_id=call.contact_id,
                offer_id=recording.offer_id,
                path=recording.name,
                at=at,
            ),
            f"recorded:{recording.offer_id}",
        )

    def _mute(self, call: Call, *, on: bool) -> None:
        self._channel.jobs.put(
            "MixMonitorMute", Channel=call.channel, Direction="both", State="1" if on else "0"
        )
