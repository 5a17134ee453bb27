"""How far a center's ledger is in the city, and what a batch is beside that. Pure.

Whatever is delivered twice, late, out of order or by a stranger: of each ledger the rows come in
their order, each once. What cannot be taken now is asked for again, and never passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gkc_engine.shipping.batches import Header, Numbered


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The last row of a center that the city has."""

    ledger: str | None = None
    """The id of that ledger's first row; ``None``: whatever begins at its beginning is taken."""
    seq: int = 0
    event_id: str = ""


class Verdict(StrEnum):
    """What to do with a batch."""

    TAKE = "take"
    """It goes on where we are, or began before: ``rest`` has the rows that are new."""
    REPEATED = "repeated"
    """All of it is here."""
    GAP = "gap"
    """Rows before it are missing here: ask for them."""
    FOREIGN = "foreign"
    """Another ledger than the one that we know by the center's name."""
    DIVERGED = "diverged"
    """The same ledger, with other rows where we have some: it was put back from a copy."""


REFUSED: tuple[Verdict, ...] = (Verdict.FOREIGN, Verdict.DIVERGED)
"""Until somebody says that it is right (``gkc city accept``)."""


def judge(position: Position, header: Header) -> Verdict:
    """Return what a batch is, by what it says of itself.

    A ``REPEATED`` one that ends before ``position`` may yet be of a history that went another way:
    whether its last row is on record, the store must tell.
    """
    if position.ledger is not None and header.ledger != position.ledger:
        return Verdict.FOREIGN
    if header.after > position.seq:
        return Verdict.GAP
    if header.after == position.seq and header.after_id != position.event_id:
        return Verdict.DIVERGED
    if header.last > position.seq:
        return Verdict.TAKE
    if header.last == position.seq and header.last_id != position.event_id:
        return Verdict.DIVERGED
    return Verdict.REPEATED


def rest(position: Position, rows: Sequence[Numbered]) -> Sequence[Numbered] | None:
    """Return the rows of a ``TAKE`` that are new; ``None``: it is ``DIVERGED`` all the same."""
    for at, (seq, row) in enumerate(rows):
        if seq == position.seq and row.event_id != position.event_id:
            return None
        if seq > position.seq:
            # What we have must be in it as the row before, if it holds any that we have.
            if at and rows[at - 1][0] != position.seq:
                return None
            return rows[at:]
    return ()


def after(header: Header) -> Position:
    """Return where we are when a batch is taken."""
    return Position(ledger=header.ledger, seq=header.last, event_id=header.last_id)
