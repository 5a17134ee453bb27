"""The block list: citizens whose calls are refused at the door, by their keys, for a time.

All of it is in memory, so that a call costs no look at the disk. What changes it writes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from gkc_engine.errors import GkcError
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import schema

BLOCKS_MAX: Final = 10_000
"""A center's block list. More is an attack, and belongs into what stands before Asterisk."""

DAYS_MAX: Final = 90
LONGEST_US: Final = DAYS_MAX * 86_400 * SECOND
"""How long a block lasts at most, and if nothing is said: nobody is shut out for ever."""


class BlockError(GkcError):
    """The block cannot be made or taken back: says why, and what to do."""


@dataclass(slots=True, kw_only=True)
class Block:
    """One citizen on the list."""

    citizen_key: str
    since: Instant
    until: Instant
    actor: str
    reason: str
    refused: int = 0
    """Calls since then, or since the engine's start if that is later."""


class Blocks:
    """The list. What touches the store is for the ledger's thread; the rest never waits."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._standing: dict[str, Block] = {}

    def load(self) -> None:
        """Read the list, at the engine's start."""
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(schema.block)).mappings()
            self._standing = {row["citizen_key"]: Block(**row) for row in rows}

    def refuses(self, key: str | None, now: Instant) -> bool:
        """Whether a call of this citizen is refused now; counts it if so."""
        block = self._standing.get(key) if key is not None else None
        if block is None or block.until <= now:
            return False
        block.refused += 1
        return True

    def standing(self, now: Instant) -> list[Block]:
        """Return who is blocked now, the oldest block first."""
        found = [block for block in tuple(self._standing.values()) if block.until > now]
        return sorted(found, key=lambda block: (block.since, block.citizen_key))

    def put(self, block: Block) -> Block | None:
        """Block a citizen from now (``block.since``) on; return the block that it replaces.

        Rows whose time is over go at the same time.

        Raises:
            BlockError: No time, too long a time, the list is full, the store cannot be written.
        """
        now, key = block.since, block.citizen_key
        if not now < block.until <= now + LONGEST_US:
            raise BlockError(
                f"a block ends in the future and lasts at most {DAYS_MAX} days; block again then"
            )
        before = self._standing.get(key)
        if before is not None and before.until <= now:
            before = None
        if before is None and len(self.standing(now)) >= BLOCKS_MAX:
            raise BlockError(
                f"the block list is full ({BLOCKS_MAX}): `gkc citizen unblock` somebody first, or "
                "keep so many callers away before Asterisk"
            )
        row = {c.name: getattr(block, c.name) for c in schema.block.c}
        table = schema.block
        over = (table.c.until <= now) | (table.c.citizen_key == key)
        self._write(table.delete().where(over), table.insert().values(row))
        for one in [k for k, known in tuple(self._standing.items()) if known.until <= now]:
            del self._standing[one]
        self._standing[key] = block
        return before

    def take(self, keys: Sequence[str], now: Instant) -> list[Block]:
        """Unblock citizens, some hundreds at most; return the blocks that stood.

        Raises:
            BlockError: The store cannot be written.
        """
        self._write(schema.block.delete().where(schema.block.c.citizen_key.in_(keys)))
        taken = [self._standing.pop(key, None) for key in keys]
        return [block for block in taken if block is not None and block.until > now]

    def _write(self, *statements: sa.Executable) -> None:
        try:
            with self._engine.begin() as connection:
                for statement in statements:
                    connection.execute(statement)
        except sa.exc.SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise BlockError(
                f"the store cannot be written ({cause}): nothing was changed, try again"
            ) from error
