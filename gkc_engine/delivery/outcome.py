"""What came of handing a mail to a server; without the library that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gkc_engine.errors import PeerError


class ServerError(PeerError):
    """The server cannot be reached or used by anybody now: no other mail need be tried."""


class BrokenOffError(PeerError):
    """The session broke within this mail; it may have been taken all the same."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of each address. Together they are all that were asked for."""

    sent: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    """5xx: for good, with the server's words."""
    later: Mapping[str, str] = field(default_factory=dict)
    """4xx: to be tried again."""
