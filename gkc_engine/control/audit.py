"""Who changed what, from where: a row for each state-changing command, refused ones too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import structlog

from gkc_engine.control.protocol import Json, Peer

log = structlog.get_logger(__name__)

Audit: TypeAlias = Callable[[str, str, str, Json, Json], Awaitable[None] | None]
"""``audit(actor, action, object, before, after)``: done when the row is stored for good.

May return something to wait for (a write in the ledger's thread). It may raise: the server then
says so to the person who gave the command.
"""

ACTOR_CHARS_MAX = 64
"""What of the self-chosen name of an actor is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a state-changing method did: the row of the audit, and what the client gets."""

    object: str
    """What was changed, ``KIND NAME``: ``agent ivanova``."""
    before: Json
    after: Json
    result: Json


def actor_of(name: str, peer: Peer) -> str:
    """Return the actor as it stands in the audit: the name given, and what the kernel says.

    >>> actor_of("ivanov", Peer(pid=10, uid=1000, gid=1000))
    'ivanov (control socket, uid 1000, pid 10)'
    """
    clean = "".join(c for c in name if c.isprintable() and c not in "()")[:ACTOR_CHARS_MAX].strip()
    return f"{clean or 'unnamed'} (control socket, uid {peer.uid}, pid {peer.pid})"


def as_text(value: Json) -> str | None:
    """Return ``value`` as JSON text for the audit table's ``before`` and ``after``."""
    return None if value is None else msgspec.json.encode(value).decode()


def logged(write: Audit) -> Audit:
    """Return an :data:`Audit` that logs each row and then hands it to ``write`` (the table)."""

    def audit(
        actor: str, action: str, subject: str, before: Json, after: Json
    ) -> Awaitable[None] | None:
        log.info("audit", actor=actor, action=action, object=subject, before=before, after=after)
        return write(actor, action, subject, before, after)

    return audit
