"""A center's ledger as its outbox: what is to be sent stands there, and nowhere else.

Synchronous, for a thread of its own; reads only, never in the writer's way.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from gkc_engine.errors import PeerError
from gkc_engine.recorder import schema
from gkc_engine.recorder.rows import Row
from gkc_engine.shipping.batches import Numbered
from gkc_engine.shipping.position import Position

_COLUMNS = [schema.event.c[name] for name in Row._fields]


class Outbox:
    """Reads the ledger at ``url``."""

    def __init__(self, url: str) -> None:
        self.engine = schema.make_engine(url, read_only=True)
        self._ledger: str | None = None

    @property
    def ledger(self) -> str | None:
        """Which ledger it is: the id of its first row; ``None`` of an empty one."""
        if self._ledger is None:
            e = schema.event.c
            query = sa.select(e.event_id).order_by(e.seq).limit(1)
            with self.engine.connect() as connection:
                self._ledger = connection.scalar(query)
        return self._ledger

    def last(self) -> tuple[int, int]:
        """Return number and instant of the last row; zeros of an empty ledger."""
        e = schema.event.c
        query = sa.select(e.seq, e.ts_us).order_by(e.seq.desc()).limit(1)
        with self.engine.connect() as connection:
            found = connection.execute(query).first()
        return (0, 0) if found is None else (found.seq, found.ts_us)

    def rows(self, after: int, most: int) -> Sequence[Numbered]:
        """Return rows after number ``after``, in order, at most so many."""
        e = schema.event.c
        query = sa.select(e.seq, *_COLUMNS).where(e.seq > after).order_by(e.seq).limit(most)
        with self.engine.connect() as connection:
            return [(row[0], Row(*row[1:])) for row in connection.execute(query)]

    def at(self, seq: int) -> tuple[int, str] | None:
        """Return instant and id of a row; ``None``: there is no such row."""
        e = schema.event.c
        with self.engine.connect() as connection:
            found = connection.execute(sa.select(e.ts_us, e.event_id).where(e.seq == seq)).first()
        return None if found is None else (found.ts_us, found.event_id)

    def seq_of(self, connection: sa.Connection, event_id: str) -> int:
        """Return the number of a row; 0 for an empty id.

        Raises:
            PeerError: This ledger has no such row.
        """
        if not event_id:
            return 0
        e = schema.event.c
        found = connection.scalar(sa.select(e.seq).where(e.event_id == event_id))
        if found is None:
            raise PeerError("the city's last row of us is not in this ledger: it is another one")
        return int(found)

    def has(self, position: Position) -> bool:
        """Return whether this ledger holds that row, or the position is its beginning."""
        if position.seq == 0:
            return position.ledger in (None, self.ledger)
        if position.ledger != self.ledger:
            return False
        found = self.at(position.seq)
        return found is not None and found[1] == position.event_id

    def close(self) -> None:
        """Let the database go."""
        self.engine.dispose()
