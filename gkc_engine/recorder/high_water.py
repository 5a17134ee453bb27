"""The highest ids ever given, beside the ledger: a restored backup must not give them again.

Written through the page cache after each group: it survives the death of the process and needs no
fsync, because after a power cut the ledger itself is whole. Only a ledger *older* than this file
(yesterday's backup) makes it matter.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import structlog

from gkc_engine.acd.commands import OfferContact, OfferEnded, OverflowContact
from gkc_engine.acd.events import ContactStarted
from gkc_engine.ids import OfferId
from gkc_engine.recorder.codec import Message
from gkc_engine.recorder.numbers import parts_of
from gkc_engine.recorder.recovery import Recovery

log = structlog.get_logger(__name__)


_WITH_OFFER = (OfferContact, OverflowContact, OfferEnded)
"""Messages with a new id. The ``OfferEnded`` of a guest that never came is the first with its."""


@dataclass(slots=True)
class Marks:
    """What was given last."""

    offer: int = 0
    numbers: dict[int, int] = field(default_factory=dict)


class HighWater:
    """Keeps the marks in one small file; a lost or torn file is a new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._width = 0
        self.marks = Marks()

    def open(self) -> None:
        """Read the marks, or begin new ones."""
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self.marks = msgspec.json.decode(os.pread(self._fd, 1 << 16, 0), type=Marks)
        except msgspec.MsgspecError:
            self.marks = Marks()

    def close(self) -> None:
        """Let the file go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def note(self, messages: Iterable[Message]) -> None:
        """Take the ids that stand in committed ``messages``."""
        changed = False
        for message in messages:
            if isinstance(message, _WITH_OFFER):
                if message.offer_id > self.marks.offer:
                    self.marks.offer = message.offer_id
                    changed = True
            elif type(message) is ContactStarted:
                changed |= self._number(message.number)
        if changed:
            self._write()

    def raise_to(self, recovery: Recovery) -> Recovery:
        """Return ``recovery`` with no counter below the marks; says so if the ledger is older."""
        numbers = dict(recovery.last_numbers)
        for year, last in self.marks.numbers.items():
            numbers[year] = max(last, numbers.get(year, 0))
        offer = OfferId(max(recovery.next_offer_id, self.marks.offer + 1))
        if offer != recovery.next_offer_id or numbers != recovery.last_numbers:
            log.warning(
                "ledger_older_than_ids",
                offers_missing=offer - recovery.next_offer_id,
                contacts_missing=sum(numbers.values()) - sum(recovery.last_numbers.values()),
            )
        return replace(recovery, next_offer_id=offer, last_numbers=numbers)

    def _number(self, number: str) -> bool:
        year, sequence = parts_of(number)
        if year is None or sequence is None or sequence <= self.marks.numbers.get(year, 0):
            return False
        self.marks.numbers[year] = sequence
        # The year before stays: the New Year's night, a late import.
        self.marks.numbers = dict(sorted(self.marks.numbers.items())[-2:])
        return True

    def _write(self) -> None:
        text = msgspec.json.encode(self.marks)
        # Padded, so that a shorter text (the new year's) leaves nothing of the longer behind.
        self._width = max(self._width, len(text), 256)
        try:
            os.pwrite(self._fd, text.ljust(self._width), 0)
        except OSError as error:
            log.warning("high_water_failed", error=str(error))
