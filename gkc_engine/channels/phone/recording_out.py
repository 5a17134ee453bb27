"""Recording of calls out: one file for each, on the operator's own leg, of bridged time only.

``MixMonitor`` is begun before the Dial, so that not a word is missed, and ends with that leg: whom
the operator puts through to somebody else is not recorded further. It outlives us; an engine that
comes back finds the file by its name.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gkc_engine.acd import events as ev
from gkc_engine.ids import ContactId, Instant
from gkc_engine.ivr.fastagi import AgiSession

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel


class OutRecorder:
    """Starts them, and tells the core what there is to be bound to the record."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel

    async def begin(self, contact_id: ContactId, agi: AgiSession) -> str | None:
        """Start, if the config wants it; return the file's name below the folder of recordings.

        Raises:
            AgiClosed: the operator hung up.
        """
        rules, recordings = self._channel.plan.outbound, self._channel.plan.recordings
        view = self._channel.contact(contact_id)
        if recordings is None or rules is None or not rules.record or view is None:
            return None
        name = recordings.name_out(contact_id, view.started)
        await agi.exec("MixMonitor", recordings.folder / name, "bi(GKC_MIX)")
        return name

    def found(self, contact_id: ContactId, started: Instant) -> str | None:
        """Return the file that an engine before us began; ``None``: there is none."""
        recordings = self._channel.plan.recordings
        name = recordings.name_out(contact_id, started) if recordings is not None else ""
        return name if recordings is not None and recordings.there(name) else None

    def answered(self, contact_id: ContactId, name: str | None, at: Instant | None) -> None:
        """They talk: from here on there is something to be kept."""
        if name is not None:
            told = ev.RecordingStarted(contact_id=contact_id, offer_id=None, path=name, at=at)
            self._channel.submit(told, f"recorded:{contact_id}")

    def discard(self, name: str | None) -> None:
        """Nobody has talked: an empty file goes."""
        recordings = self._channel.plan.recordings
        if name is not None and recordings is not None:
            with contextlib.suppress(OSError):  # Asterisk may run as somebody else
                (recordings.folder / name).unlink()
