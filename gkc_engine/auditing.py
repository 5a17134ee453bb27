"""The audit of an engine: each change in the table, also when the store cannot be written now."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from gkc_engine.control.audit import as_text
from gkc_engine.recorder import audit

if TYPE_CHECKING:
    from gkc_engine.control.protocol import Json
    from gkc_engine.engine import Engine
    from gkc_engine.recorder.ledger import Ledger


class Auditing:
    """Writes the audit's rows with the engine's clock."""

    def __init__(self, ledger: Ledger, engine: Engine) -> None:
        self._ledger = ledger
        self._engine = engine
        self._late = audit.LateAudit(ledger)

    def now(
        self, actor: str, action: str, subject: str, before: Json, after: Json
    ) -> Awaitable[None]:
        """Write a row; what is returned is done when it is stored for good."""
        row = _row(actor, action, subject, before, after)
        return audit.insert(self._ledger, self._engine.now(), row)

    def late(self, actor: str, action: str, subject: str, before: Json, after: Json) -> None:
        """Keep a row until the store can be written.

        Raises:
            AuditFullError: No room for more.
        """
        self._late.keep(self._engine.now(), _row(actor, action, subject, before, after))

    async def close(self) -> None:
        """Write what still waits, if that can be done."""
        await self._late.close()


def _row(actor: str, action: str, subject: str, before: Json, after: Json) -> audit.Row:
    known = {"actor": actor, "action": action, "object": subject}
    return {**known, "before": as_text(before), "after": as_text(after)}
