"""What is compared between a center's store and the city's: counts of a stretch of time.

Of both sides up to the same row of the center's ledger, so that the answer is exact while calls go
on. What contacts were and how they ended is read from the side's own tables.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from msgspec import Struct, field

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.recorder import schema
from gkc_engine.recorder.behind import last_seq, projected_seq
from gkc_engine.recorder.codec import KINDS
from gkc_engine.recorder.history import HistoryError, seq_before, span

_BEGUN: Final = (
    KINDS[ev.ContactStarted],
    KINDS[ev.OutboundStarted],
    KINDS[cm.GrantReservation],
)
_ENDED: Final = KINDS[cm.ContactEnded]


class Counts(Struct, kw_only=True):
    """What a side has of one center in ``[since, until)``."""

    rows: int = 0
    """Of the ledger."""
    begun: dict[str, int] = field(default_factory=dict)
    """Direction -> contacts."""
    ended: dict[str, int] = field(default_factory=dict)
    """``DIRECTION DISPOSITION`` -> contacts."""

    def lines(self) -> dict[str, int]:
        """Return every figure by its name."""
        return {
            "rows": self.rows,
            **{f"begun {key}": n for key, n in self.begun.items()},
            **{f"ended {key}": n for key, n in self.ended.items()},
        }


def settled(connection: sa.Connection, seq: int) -> bool:
    """Return whether the tables hold what the rows up to ``seq`` say."""
    mark = projected_seq(connection)
    return mark is not None and mark >= min(seq, last_seq(connection))


def of_center(connection: sa.Connection, since: int, until: int, seq: int) -> Counts:
    """Return what a center's own store has, of its rows up to number ``seq``."""
    from gkc_engine.ids import Instant

    e = schema.event.c
    try:
        within = span(connection)
    except HistoryError:
        return Counts()
    first = seq_before(connection, within, Instant(since))
    last = min(seq, seq_before(connection, within, Instant(until)))
    return _counts(connection, (e.seq > first) & (e.seq <= last))


def of_city(connection: sa.Connection, center: str, since: int, until: int, mark: int) -> Counts:
    """Return what the city's store has of a center, of its own rows up to number ``mark``.

    That is where its tables are (``behind.projected_seq``): they need not be at its last row.
    """
    e = schema.event.c
    of_day = (e.center == center) & (e.ts_us >= since) & (e.ts_us < until)
    return _counts(connection, of_day & (e.seq <= mark))


def last_of(connection: sa.Connection, center: str, mark: int) -> str:
    """Return the id of a center's last row in the city's up to ``mark``; empty: there is none."""
    e = schema.event.c
    query = sa.select(e.event_id).where(e.center == center, e.seq <= mark)
    # A center's rows stand in the order of time.
    return connection.scalar(query.order_by(e.ts_us.desc(), e.seq.desc()).limit(1)) or ""


def _counts(connection: sa.Connection, where: sa.ColumnElement[bool]) -> Counts:
    e, c = schema.event.c, schema.contact.c
    joined = schema.event.join(schema.contact, c.contact_id == e.contact_id)
    number = sa.func.count(sa.distinct(c.contact_id))
    begun = (
        sa.select(c.direction, number)
        .select_from(joined)
        .where(where, e.kind.in_(_BEGUN))
        .group_by(c.direction)
    )
    ended = (
        sa.select(c.direction, c.disposition, number)
        .select_from(joined)
        .where(where, e.kind == _ENDED, c.disposition.is_not(None))
        .group_by(c.direction, c.disposition)
    )
    rows = connection.scalar(sa.select(sa.func.count()).select_from(schema.event).where(where))
    return Counts(
        rows=rows or 0,
        begun={row[0]: row[1] for row in connection.execute(begun)},
        ended={f"{way} {end}": n for way, end, n in connection.execute(ended)},
    )
