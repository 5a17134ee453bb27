"""Who is calling, and under which number is it kept: identity and numbering of new contacts."""

from __future__ import annotations

from gkc_engine.clock import new_uuid
from gkc_engine.ids import ContactId, Instant
from gkc_engine.numbers import identity_of, printable_raw
from gkc_engine.recorder.citizens import Citizens
from gkc_engine.recorder.numbers import Numbers


class FrontDesk:
    """Identity and numbering of new contacts (``phone.channel.Desk``)."""

    def __init__(self, numbers: Numbers, citizens: Citizens) -> None:
        self._numbers = numbers
        self._citizens = citizens

    def new_contact(self, now: Instant) -> tuple[ContactId, str]:
        """Return a fresh contact id and its registration number."""
        return ContactId(new_uuid(now)), self._numbers.allocate(now)

    def citizen(self, number: str, name: str, now: Instant) -> str | None:
        """Remember a caller and return his key; ``None`` when there is no number, or withheld.

        Short numbers, and text from which no number can be had, are who he is as they came. The
        encrypted row goes to disk with the event that names the key (`Citizens.write`).
        """
        identity = identity_of(number)
        if identity is None:
            return None
        raw = printable_raw(number)
        return self._citizens.remember(
            identity, name or None, raw=None if raw == identity else raw, now=now
        )

    def blocked(self, citizen: str | None, now: Instant) -> bool:
        """Whether this citizen's calls are refused; asks the memory only."""
        return self._citizens.blocks.refuses(citizen, now)
