"""The contact token: says which reservation a call between centers is for, and who sends it.

Signed with a key that all centers of the city have. It carries no instant, for clocks differ: until
when it counts is what the donor's own reservation says.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

import itsdangerous

from gkc_engine.errors import PeerError
from gkc_engine.ids import ContactId, Micros

HEADER: Final = "X-GKC-Token"

LENGTH_MAX: Final = 200
"""Characters that cross any SIP element unharmed; ours have at most 198."""

KEY_BYTES_MIN: Final = 16

_SALT: Final = b"gkc contact token 1"
"""The number is raised when what is signed changes."""

_SIGNED: Final = re.compile(
    r"([A-Za-z0-9_.-]{1,64})\.([A-Za-z0-9_-]{1,40})\.([A-Za-z0-9_-]{1,40})\.([0-9]{1,6})",
    re.ASCII,
)


class TokenError(PeerError):
    """A call between centers without a token that is for us; ``reason`` is one of a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"contact token: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactToken:
    """What a token says."""

    reservation_id: ContactId
    owner: str
    """The center that sends the citizen."""
    donor: str
    """The center that keeps an operator free for him."""
    left_us: Micros
    """How much of the grant was left when he was sent, in whole milliseconds on the wire."""


class TokenSigner:
    """Writes and reads tokens with the city's key."""

    def __init__(self, key: str) -> None:
        assert len(key.encode()) >= KEY_BYTES_MIN, "token_key is too short"
        self._signer = itsdangerous.Signer(
            key, salt=_SALT, sep=".", key_derivation="hmac", digest_method=hashlib.sha256
        )

    def sign(self, token: ContactToken) -> str:
        """Return the token as it stands in the header: ``A-Z a-z 0-9 . _ -`` only."""
        left_ms = min(max(0, token.left_us // 1000), 999_999)
        text = f"{token.reservation_id}.{token.owner}.{token.donor}.{left_ms}"
        assert _SIGNED.fullmatch(text) is not None, text
        signed = self._signer.sign(text).decode()
        assert len(signed) <= LENGTH_MAX, len(signed)
        return signed

    def read(self, text: str) -> ContactToken:
        """Return what a token says.

        Raises:
            TokenError: ``missing``, ``malformed``, or ``forged``: signed with another key.
        """
        if not text:
            raise TokenError("missing")
        if len(text) > LENGTH_MAX or not text.isascii():
            raise TokenError("malformed")
        try:
            signed = self._signer.unsign(text).decode()
        except itsdangerous.BadSignature:
            raise TokenError("forged" if text.count(".") >= 4 else "malformed") from None
        found = _SIGNED.fullmatch(signed)
        if found is None:
            raise TokenError("malformed")
        return ContactToken(
            reservation_id=ContactId(found[1]),
            owner=found[2],
            donor=found[3],
            left_us=Micros(int(found[4]) * 1000),
        )
