"""What of the citizens stands in the store: whose time is over, and who is held back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from gkc_engine.ids import Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.schema import hold

__all__ = ["citizens_due", "contacts_of", "count_due", "held_contacts", "hold", "hold_of"]

_CHUNK: Final = 500
"""Values in one ``IN (…)``."""

_contact = schema.contact.c
_citizen = schema.citizen.c
_segment = schema.segment.c


def _due(before: Instant) -> sa.Select[str]:
    later = sa.exists().where(
        _contact.citizen_id == _citizen.citizen_key,
        # In progress, or begun since: his time runs from the last contact.
        (_contact.started >= before) | _contact.ended.is_(None) | (_contact.ended >= before),
    )
    # He was the other party of a citizen who was put through.
    put_through = sa.exists().where(
        _segment.citizen_id == _citizen.citizen_key, _segment.end >= before
    )
    held = sa.exists().where(hold.c.citizen_key == _citizen.citizen_key)
    over = _citizen.first_seen < before
    return sa.select(_citizen.citizen_key).where(over, ~later, ~put_through, ~held)


def citizens_due(connection: sa.Connection, before: Instant, limit: int) -> Sequence[str]:
    """Return the keys of citizens whose last contact was before an instant; none that is held."""
    query = _due(before).order_by(_citizen.citizen_key).limit(limit)
    return connection.scalars(query).all()


def count_due(connection: sa.Connection, before: Instant) -> int:
    """Return how many ``citizens_due`` would name without a limit."""
    return connection.scalar(sa.select(sa.func.count()).select_from(_due(before).subquery())) or 0


def contacts_of(
    connection: sa.Connection, key: str
) -> list[tuple[str, Instant | None, str | None]]:
    """Return a citizen's contacts: id, when it ended, its recordings' references."""
    query = sa.select(_contact.contact_id, _contact.ended, _contact.recording_refs)
    found = connection.execute(query.where(_contact.citizen_id == key))
    return [(row.contact_id, row.ended, row.recording_refs) for row in found]


def held_contacts(connection: sa.Connection, ids: Sequence[str]) -> set[str]:
    """Return which of these contacts are of citizens who are held."""
    found: set[str] = set()
    joined = schema.contact.join(hold, hold.c.citizen_key == _contact.citizen_id)
    for at in range(0, len(ids), _CHUNK):
        query = sa.select(_contact.contact_id).select_from(joined)
        found.update(
            connection.scalars(query.where(_contact.contact_id.in_(ids[at : at + _CHUNK])))
        )
    return found


def hold_of(connection: sa.Connection, key: str) -> str | None:
    """Return why a citizen is held; ``None``: he is not."""
    return connection.scalar(sa.select(hold.c.reason).where(hold.c.citizen_key == key))
