"""What the city asks a center's shipper, and what that says: JSON, bounded, versioned.

By request and reply in the account of the center's records, which nobody else can enter.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from gkc_engine.errors import PeerError
from gkc_engine.shipping.batches import UNREADABLE, Big, Id
from gkc_engine.shipping.counts import Counts
from gkc_engine.shipping.position import Position

ASK: Final = "gkc.records.ask"
"""Subject."""

BYTES_MAX: Final = 65_536

VERSION: Final = 1


class AskCounts(Struct, kw_only=True, frozen=True, tag="counts"):
    """Say how much you have of that time, up to your row ``event_id``; empty: of none."""

    since: Big
    until: Big
    event_id: Id
    v: int = VERSION


class AskAgain(Struct, kw_only=True, frozen=True, tag="again"):
    """Send what comes after this row (once more): that is where the city stands."""

    ledger: Annotated[str, Meta(min_length=1, max_length=64)] | None
    seq: Big
    event_id: Id
    v: int = VERSION

    @property
    def position(self) -> Position:
        """Return it as a position."""
        return Position(ledger=self.ledger, seq=self.seq, event_id=self.event_id)


Question: TypeAlias = AskCounts | AskAgain


class Answer(Struct, kw_only=True, frozen=True):
    """What the shipper says."""

    center: Annotated[str, Meta(max_length=64)]
    ledger: Annotated[str, Meta(max_length=64)] | None = None
    last: Big = 0
    """Number of the ledger's last row."""
    last_us: Big = 0
    """Its instant."""
    counts: Counts | None = None
    unknown: bool = False
    """``AskAgain``: this ledger has no such row."""
    problem: Annotated[str, Meta(max_length=500)] | None = None
    """Why there is no answer."""
    v: int = VERSION


_T = TypeVar("_T")

_QUESTION: Final[msgspec.json.Decoder[Question]] = msgspec.json.Decoder(Question)
_ANSWER: Final = msgspec.json.Decoder(Answer)
encode: Final = msgspec.json.Encoder().encode


def question(data: bytes) -> Question:
    """Return what was asked.

    Raises:
        PeerError: No question of ours.
    """
    return _read(_QUESTION, data)


def answer(data: bytes) -> Answer:
    """Return what was said.

    Raises:
        PeerError: No answer of ours.
    """
    return _read(_ANSWER, data)


def _read(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    if len(data) > BYTES_MAX:
        raise PeerError(f"{len(data)} bytes, at most {BYTES_MAX}")
    try:
        found = decoder.decode(data)
    except UNREADABLE as error:
        raise PeerError(str(error)) from error
    if getattr(found, "v", 0) != VERSION:
        raise PeerError(f"version {getattr(found, 'v', 0)}, this engine speaks {VERSION}")
    return found
