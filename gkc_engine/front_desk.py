"""Who is calling, and under which number is it kept: identity and numbering of new contacts."""

from __future__ import annotations

import asyncio

from gkc_engine.clock import new_uuid
from gkc_engine.ids import ContactId, Instant
from gkc_engine.numbers import normalise
from gkc_engine.recorder.citizens import Citizens
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.recorder.numbers import Numbers


class FrontDesk:
    """Identity and numbering of new contacts (``phone.channel.Desk``)."""

    def __init__(self, numbers: Numbers, citizens: Citizens, ledger: Ledger) -> None:
        self._numbers = numbers
        self._citizens = citizens
        self._ledger = ledger
        self._writing: set[asyncio.Future[str]] = set()

    def new_contact(self, now: Instant) -> tuple[ContactId, str]:
        """Return a fresh contact id and its registration number."""
        return ContactId(new_uuid(now)), self._numbers.allocate(now)

    def citizen(self, number: str, name: str, now: Instant) -> str | None:
        """Remember a caller and return his key; ``None`` when the number is withheld."""
        known = normalise(number).e164
        if known is None:
            return None
        # The key is at hand at once; the encrypted row follows in the ledger's own thread.
        writing = asyncio.ensure_future(
            self._ledger.call(lambda: self._citizens.remember(known, name or None, now=now))
        )
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        return self._citizens.key_of(known)
