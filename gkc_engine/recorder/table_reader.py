"""What is read back of a store: rows for the projectors, and the config applied last."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from gkc_engine.acd.events import SettingsApplied
from gkc_engine.acd.settings import Settings
from gkc_engine.recorder import city, schema
from gkc_engine.recorder.codec import KINDS, decode
from gkc_engine.recorder.records import Record

_LAST: Final = "\U0010ffff"
"""Sorts after every text that goes on."""


class TableReader:
    """What the projector needs to read back; in the writer's own transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def contact(self, contact_id: str) -> Record | None:
        """Return the contact's row."""
        # Asked for every new contact: a ready statement costs a third of one made anew.
        row = self._connection.execute(_CONTACT, {"id": contact_id}).mappings().first()
        return None if row is None else dict(row)

    def offer(self, offer_id: int, agent_id: str) -> Record | None:
        """Return the row of one agent's offer."""
        table = schema.offer
        return self._one(table, (table.c.offer_id == offer_id) & (table.c.agent_id == agent_id))

    def open_intervals(self, agent_id: str) -> list[Record]:
        """Return the intervals of an agent's slots that have no end yet."""
        table = schema.agent_interval
        query = sa.select(table).where(table.c.agent_id == agent_id, table.c.end.is_(None))
        return [dict(row) for row in self._connection.execute(query).mappings()]

    def last_talk(self, contact_id: str, agent_id: str) -> Record | None:
        """Return the citizen's last segment with this agent."""
        table = schema.segment
        query = (
            sa.select(table)
            .where((table.c.contact_id == contact_id) & (table.c.agent_id == agent_id))
            .where(table.c.kind.in_(("talk", "hold")))
            .order_by(table.c.n.desc())
            .limit(1)
        )
        row = self._connection.execute(query).mappings().first()
        return None if row is None else dict(row)

    def settings(self) -> Settings | None:
        """Return the config applied last."""
        return last_settings(self._connection)

    def settings_of(self, center: str) -> Settings | None:
        """Return the config that a center of the city applied last."""
        applied = last_applied(self._connection, center)
        return None if applied is None else applied.settings

    def number_of(self, center: str) -> int:
        """Return the number of a center of the city."""
        table = schema.feed
        query = sa.select(table.c.number).where(table.c.center == center)
        found = self._connection.scalar(query)
        assert found is not None, f"rows of {center}, and no feed"
        return int(found)

    def _one(self, table: sa.Table, where: sa.ColumnElement[bool]) -> Record | None:
        row = self._connection.execute(sa.select(table).where(where)).mappings().first()
        return None if row is None else dict(row)


def last_applied(connection: sa.Connection, center: str | None = None) -> SettingsApplied | None:
    """Return the config that the ledger names as applied last, with what was recorded of it.

    Of a city's store: the last of all, or of ``center``.
    """
    version, event = schema.config_version, schema.event
    newest = sa.select(version.c.event_id).order_by(version.c.applied.desc()).limit(1)
    if center is not None:
        own = city.name_in_city(center, "")
        newest = newest.where(version.c.hash >= own, version.c.hash < own + _LAST)
    data = connection.scalar(
        sa.select(event.c.data).where(event.c.event_id == newest.scalar_subquery())
    )
    if data is None:
        return None
    applied = decode(_CONFIG_APPLIED, data)
    assert isinstance(applied, SettingsApplied)
    return applied


def last_settings(connection: sa.Connection) -> Settings | None:
    """Return what the core needs of the config that was applied last."""
    applied = last_applied(connection)
    return None if applied is None else applied.settings


_CONFIG_APPLIED: Final = next(k for c, k in KINDS.items() if c.__name__ == "SettingsApplied")
_CONTACT: Final = sa.select(schema.contact).where(schema.contact.c.contact_id == sa.bindparam("id"))
