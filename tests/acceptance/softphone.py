"""A phone with a password that says where it is: REGISTER and digest (RFC 3261, RFC 2617)."""

from __future__ import annotations

import asyncio
import secrets

from tests.acceptance import sip_text as sip
from tests.acceptance.phone import REPLY_S, Phone
from tests.acceptance.sip_text import Headers

CHALLENGES = ("www-authenticate", "proxy-authenticate")


class SoftPhone(Phone):
    """What a person sets up by server, user and password."""

    def __init__(self, user: str, server: tuple[str, int], password: str) -> None:
        super().__init__(user, server)
        self._password = password
        self._registration = f"{secrets.token_hex(8)}@test"
        self._cseq = 0
        self._replies: asyncio.Queue[tuple[int, Headers]] = asyncio.Queue()

    async def register(self) -> int:
        """Say where we are; return the final status."""
        uri = f"sip:{self.server[0]}:{self.server[1]}"
        status, headers = await self._ask(uri, "")
        proof = self.proof(headers, "REGISTER", uri)
        if proof:
            status, _ = await self._ask(uri, proof)
        return status

    async def _ask(self, uri: str, proof: str) -> tuple[int, Headers]:
        self._cseq += 1
        me = f"<sip:{self.user}@{self.server[0]}>"
        self.send(
            sip.request(
                f"REGISTER {uri}",
                f"{self.host}:{self.port};branch=z9hG4bK{secrets.token_hex(6)}",
                f"From: {me};tag={secrets.token_hex(4)}",
                f"To: {me}",
                f"Call-ID: {self._registration}",
                f"CSeq: {self._cseq} REGISTER",
                f"Contact: {self.contact}",
                "Expires: 300",
                extra=proof,
            )
        )
        async with asyncio.timeout(REPLY_S):
            while True:
                status, headers = await self._replies.get()
                if status >= 200:
                    return status, headers

    def proof(self, reply: Headers, method: str, uri: str) -> str:
        if not any(name in reply for name in CHALLENGES):
            return ""
        cnonce = secrets.token_hex(8)
        return sip.authorization(reply, method, uri, self.user, self._password, cnonce)

    def on_reply(self, status: int, headers: Headers) -> None:
        if headers.get("call-id") == self._registration:
            self._replies.put_nowait((status, headers))
