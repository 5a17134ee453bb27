"""Recording of talks: one file for each operator's talk, bound to the contact's record.

``MixMonitor`` runs on the citizen's channel and with option ``b`` writes bridged time only, so that
it can be started before the ring and lives through transfers. ``on-demand`` runs muted until the
operator asks for it; a pause during a talk is the same mute. The mute goes over AMI
(``MixMonitorMute``), which works while Dial holds the socket.

After an attended transfer no socket of ours is free to begin the next operator's file, and AMI may
not (``MixMonitor`` wants ``system``). So his leg is told that he pressed ``*1``: the dialplan's own
feature then asks us (``/record``) on a socket of his leg, and the file is made there. Where that
feature is missing the first file goes on.

Asterisk forgets whom a channel's recording listened to only when it reads a packet of that channel
while nothing records it. Until then a new recording there lacks a next speaker whose RTP begins
with lower sequence numbers than the last speaker's had (ADR 0021). So a second file on the
citizen's channel waits for his next packets, some 40 ms, or, if he sends none, is made on the
operator's leg as after an attended transfer.

What is being recorded stands in a variable of the channel, for an engine that comes after us.
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

STATE: Final = "GKC_REC"
"""Channel variable: ``OFFER PART MUTED TOLD NAME`` of what is recorded on this channel."""

CODE: Final = "*1"
"""Of ``gkc-record`` in features.conf."""

PACKETS: Final = "CHANNEL(rtcp,rxcount)"
"""How many RTP packets a PJSIP channel has received."""

FORGETS_AFTER: Final = 2
"""Packets: by one the ended recording is taken off the channel, by the next its traces go."""

PACKET_S: Final = 0.02
"""One packet's length with every common codec's default."""

WAITS: Final = 5
"""For how many packets' lengths a citizen who sends nothing is waited for."""

_STATE: Final = re.compile(r"(\d+) (\d+) ([01]) ([01]) ([\w./-]+)", re.ASCII)

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

    def name(self, contact_id: ContactId, offer_id: OfferId, at: Instant, part: int = 1) -> str:
        """Return ``YYYY/MM/DD/CONTACT-OFFER.wav``, the day being the center's.

        From the second talk of an offer on (handed over to a colleague) ``CONTACT-OFFER-2.wav``.
        """
        more = f"-{part}" if part > 1 else ""
        return self._of_day(at, f"{contact_id}-{offer_id}{more}")

    def name_out(self, contact_id: ContactId, at: Instant) -> str:
        """Return ``YYYY/MM/DD/CONTACT-out.wav``, of a call that an operator made."""
        return self._of_day(at, f"{contact_id}-out")

    def _of_day(self, at: Instant, name: str) -> str:
        day = datetime.fromtimestamp(at / SECOND, UTC).astimezone(self.zone)
        return f"{day:%Y/%m/%d}/{name}.{self.format}"

    def there(self, name: str) -> bool:
        """Whether a recording is where its reference says. Blocks on the disk."""
        return (self.folder / name).is_file()


class Recorder:
    """Starts, mutes, stops; tells the core what there is to be bound to the record."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel

    async def begin(self, call: Call, agi: AgiSession, offer: OfferContact, mode: str) -> None:
        """Start before the ring, so that not a word of the talk is missed."""
        await self.recall(call, agi)
        await self.end(call, agi)  # he was transferred out of a recorded talk
        recordings, on_demand = self._channel.plan.recordings, mode == "on-demand"
        if recordings is None or mode == "never" or (on_demand and not self._channel.ami.up):
            return  # without AMI nobody could keep it silent until it is asked for
        name = recordings.name(call.contact_id, offer.offer_id, offer.created)
        call.recording = Recording(offer_id=offer.offer_id, name=name, channel="", muted=on_demand)
        if call.mixed and not await self._forgotten(call, agi) and self._channel.ami.up:
            return  # it is begun on the operator's leg, when he answers or asks for it
        await self._start(call.recording, recordings, agi)
        if on_demand:
            self._mute(call.recording)

    async def _forgotten(self, call: Call, agi: AgiSession) -> bool:
        """Wait until Asterisk has read from the citizen; ``False`` when he sends nothing."""
        begun = _number(await agi.get_variable(PACKETS))
        for _ in range(WAITS):
            await agi.exec("Wait", PACKET_S)
            if _number(await agi.get_variable(PACKETS)) >= begun + FORGETS_AFTER:
                call.mixed = False
                return True
        return False

    async def _start(self, recording: Recording, where: Recordings, agi: AgiSession) -> None:
        recording.channel = agi.uniqueid
        await agi.exec("MixMonitor", where.folder / recording.name, "bi(GKC_MIX)")
        await agi.set_variable(STATE, _state(recording))

    def answered(self, call: Call, at: Instant | None) -> None:
        """The talk begins: from here on there is something to be kept."""
        recording, offer = call.recording, call.dialling
        call.mixed = call.mixed or (recording is not None and recording.channel == call.leg)
        if recording is None:
            self._found(call, at)
        elif offer is not None and recording.offer_id != offer.offer_id:
            self.handed_over(call, call.talk_leg)  # it rang for the operator who has left
        elif not recording.muted and not recording.channel:
            self.handed_over(call, call.talk_leg)  # nothing could be begun before he answered
        elif not recording.muted:
            self._tell(call, recording, at)

    def _found(self, call: Call, at: Instant | None) -> None:
        """Bind what the last engine began to record and did not live to tell of."""
        offer, recordings = call.dialling, self._channel.plan.recordings
        if not call.earlier or offer is None or recordings is None:
            return
        name = recordings.name(call.contact_id, offer.offer_id, offer.created)
        if self._channel.voice(offer.queue).record == "always" and recordings.there(name):
            call.recording = Recording(
                offer_id=offer.offer_id, name=name, channel=call.leg, muted=False
            )
            self._tell(call, call.recording, at)

    # --- handed over -----------------------------------------------------------------------

    def handed_over(self, call: Call, leg: str | None) -> None:
        """Another operator talks with him, on ``leg``: that talk has a file of its own."""
        old = call.recording
        if not leg or not self._channel.ami.up or (old is None and not call.earlier):
            return
        if old is not None and old.muted:
            self._part_silently(call, old)
            return
        call.parting = leg
        for digit in CODE:
            self._channel.jobs.put("PlayDTMF", Channel=leg, Digit=digit, Receive="true")

    async def part(self, call: Call, agi: AgiSession) -> None:
        """Begin the file of the operator whose leg this socket is of; end the one before."""
        call.parting = None
        await self.recall(call, agi)
        old, recordings = call.recording, self._channel.plan.recordings
        if old is None or recordings is None:
            return
        if old.muted:
            self._part_silently(call, old)
            return
        call.recording = self._next(call, old) if old.channel else old
        await self._start(call.recording, recordings, agi)
        if old is not call.recording:
            self._stop(call, old)
        self._tell(call, call.recording, None)

    def _part_silently(self, call: Call, old: Recording) -> None:
        """Nothing is to be heard until this operator asks for it: his file begins then."""
        self._stop(call, old)
        call.recording = self._next(call, old)

    def _next(self, call: Call, old: Recording) -> Recording:
        recordings, offer = self._channel.plan.recordings, call.dialling
        assert recordings is not None
        offer_id, part = old.offer_id, old.part + 1
        if offer is not None and offer.offer_id != old.offer_id:
            offer_id, part = offer.offer_id, 1
        name = recordings.name(call.contact_id, offer_id, self._channel.now(), part)
        return Recording(offer_id=offer_id, name=name, channel="", muted=old.muted, part=part)

    def _stop(self, call: Call, old: Recording) -> None:
        """End a file without a socket; one on an operator's leg ends with that leg."""
        if old.channel == call.leg:
            self._channel.jobs.put("StopMixMonitor", Channel=old.channel)
            self._channel.jobs.put("Setvar", Channel=old.channel, Variable=STATE, Value="")
        if not old.told:
            self._discard(old)

    # --- the end ---------------------------------------------------------------------------

    async def end(self, call: Call, agi: AgiSession) -> None:
        """Stop; where nobody has talked the empty file goes."""
        recording, call.recording, call.parting = call.recording, None, None
        if recording is None:
            return
        if recording.channel == call.leg:
            mix = await agi.get_variable("GKC_MIX") or ""
            await agi.exec("StopMixMonitor", mix)
            await agi.set_variable(STATE, "")
        if not recording.told:
            self._discard(recording)

    def _discard(self, recording: Recording) -> None:
        recordings = self._channel.plan.recordings
        if recordings is not None:
            with contextlib.suppress(OSError):  # Asterisk may run as somebody else
                (recordings.folder / recording.name).unlink()

    # --- pause -----------------------------------------------------------------------------

    async def recall(self, call: Call, agi: AgiSession) -> None:
        """Ask the channels what the last engine recorded: ours, or that of the citizen."""
        if call.recording is not None or not call.earlier:
            return
        call.earlier = False
        said = await agi.get_variable(STATE)
        if not said and agi.uniqueid != call.leg:
            said = await agi.get_variable(f"IMPORT({call.leg},{STATE})")
            on = call.leg
        else:
            on = agi.uniqueid
        found = _STATE.fullmatch(said or "")
        if found is not None:
            call.recording = Recording(
                offer_id=OfferId(int(found[1])),
                part=int(found[2]),
                muted=found[3] == "1",
                told=found[4] == "1",
                name=found[5],
                channel=on,
            )
            call.mixed = on == call.leg

    async def toggle(self, call: Call, agi: AgiSession) -> bool | None:
        """Pause, or go on; return whether it records now, ``None`` when there is no recording."""
        await self.recall(call, agi)
        recording, recordings = call.recording, self._channel.plan.recordings
        if recording is None or recordings is None or not self._channel.ami.up:
            return None
        recording.muted = not recording.muted
        if not recording.channel:
            await self._start(recording, recordings, agi)
        else:
            self._mute(recording)
        if not recording.told:
            self._tell(call, recording, None)
        else:
            self._channel.submit(
                ev.RecordingPaused(contact_id=call.contact_id, paused=recording.muted), None
            )
        return not recording.muted

    def _tell(self, call: Call, recording: Recording, at: Instant | None) -> None:
        recording.told = True
        self._note(recording)
        self._channel.submit(
            ev.RecordingStarted(
                contact_id=call.contact_id,
                offer_id=recording.offer_id,
                path=recording.name,
                at=at,
            ),
            f"recorded:{recording.offer_id}:{recording.part}",
        )

    def _mute(self, recording: Recording) -> None:
        state = "1" if recording.muted else "0"
        self._channel.jobs.put(
            "MixMonitorMute", Channel=recording.channel, Direction="both", State=state
        )
        self._note(recording)

    def _note(self, recording: Recording) -> None:
        """Leave on the channel what an engine after us must know of it."""
        self._channel.jobs.put(
            "Setvar", Channel=recording.channel, Variable=STATE, Value=_state(recording)
        )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0


def _state(recording: Recording) -> str:
    flags = f"{int(recording.muted)} {int(recording.told)}"
    return f"{recording.offer_id} {recording.part} {flags} {recording.name}"
