"""From a figure down to the contacts that it counts: as many as the figure says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import sqlalchemy as sa

from gkc_engine.recorder import queries, schema
from gkc_engine.recorder.new_records import GUEST
from gkc_engine.recorder.rollup import TALKING, WAITING, cell_of
from gkc_engine.statistics import figures
from gkc_engine.statistics.figures import Part
from gkc_engine.statistics.rollups import Period, counts_of_contact, every_contact, filtered

IN_PROGRESS: Final = "in_progress"
"""Stands for the disposition of a contact that has not ended yet."""

ALL: Final = "contacts"
"""Stands for any disposition."""

Row = dict[str, Any]


def queued(connection: sa.Connection, period: Period) -> Iterator[Row]:
    """Give the contacts of a period that entered a queue, in the order in which they did."""
    c = schema.contact.c
    query = (
        sa.select(schema.contact)
        .where(c.first_queued >= period.since, c.first_queued < period.until)
        .order_by(c.first_queued, c.contact_id)
    )
    query = filtered(query, schema.contact, period)
    for row in connection.execute(query, execution_options={"yield_per": 1000}).mappings():
        yield dict(row)


def counted(connection: sa.Connection, period: Period, part: Part) -> list[Row]:
    """Return the contacts that a figure of a queue counts, by their first queue entry.

    Guests, which enter none here: by when an operator was kept free for them.

    Args:
        connection: To the records.
        period: Which contacts the report is of.
        part: Which figure.
    """
    if part in (Part.GUESTS, Part.GUESTS_ANSWERED):
        guests = (row for row in every_contact(connection, period) if row["direction"] == GUEST)
        found = iter(sorted(guests, key=lambda row: (row["started"], row["contact_id"])))
    else:
        found = queued(connection, period)
    return [queries.public(dict(row)) for row in found if _is_part(part, row)]


def _is_part(part: Part, contact: Mapping[str, Any]) -> bool:
    counts = counts_of_contact(contact)
    return (figures.offered(counts) if part is Part.OFFERED else getattr(counts, part)) > 0


def ended_as(
    connection: sa.Connection, period: Period, disposition: str, direction: str
) -> list[Row]:
    """Return the contacts of an outcome, by first queue entry, else by their start.

    Args:
        connection: To the records.
        period: Which contacts the report is of.
        disposition: Of the contacts; `IN_PROGRESS`, `ALL`.
        direction: ``in``, ``out`` or ``guest``.
    """
    found = [
        contact
        for contact in every_contact(connection, period)
        if contact["direction"] == direction and disposition in (ALL, outcome_of(contact))
    ]
    found.sort(key=lambda row: (row["first_queued"] or row["started"], row["contact_id"]))
    return [queries.public(row) for row in found]


def outcome_of(contact: Mapping[Any, Any]) -> str:
    """Return how a contact ended: its disposition, or `IN_PROGRESS`."""
    (*_, outcome), _ = cell_of(contact)
    return IN_PROGRESS if outcome in (TALKING, WAITING) else outcome
