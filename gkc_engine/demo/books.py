"""Reads the two lists of calls: the outside world's CDR and the engine's records."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from gkc_engine.acd.commands import Disposition, OfferOutcome
from gkc_engine.demo.account import Record
from gkc_engine.ids import Instant, QueueId
from gkc_engine.recorder import schema

_USERFIELD, _SRC, _UNIQUEID, _COLUMNS = 0, 2, 10, 11
"""Columns of ``calls.csv`` (asterisk/README.md)."""

_MISSED: Final = (
    OfferOutcome.NO_ANSWER.value,
    OfferOutcome.REFUSED.value,
    OfferOutcome.BUSY.value,
)


def rows(calls_csv: Path) -> list[list[str]]:
    """Return the whole rows of a CDR file; none when no call has been written yet."""
    if not calls_csv.exists():
        return []
    with calls_csv.open(encoding="utf-8", errors="replace", newline="") as file:
        return [row for row in csv.reader(file) if len(row) == _COLUMNS]


def dialled(outside_csv: Path, run: str) -> set[str]:
    """Return the ids of this run's calls in the outside world's CDR."""
    return {row[_USERFIELD] for row in rows(outside_csv) if row[_USERFIELD].startswith(f"{run}-")}


def call_ids(center_csv: Path) -> dict[str, str]:
    """Return the id that each leg's SIP header carried, by Uniqueid, from the center's CDR."""
    return {row[_UNIQUEID]: row[_USERFIELD] for row in rows(center_csv) if row[_USERFIELD]}


def legs_of(center_csv: Path, caller: str) -> set[str]:
    """Return the Uniqueids of the calls that ``caller`` made: a person who tries the demo out."""
    digits = caller.lstrip("+")
    return {row[_UNIQUEID] for row in rows(center_csv) if row[_SRC].lstrip("+") == digits}


def records(
    store: Path, ids: Mapping[str, str], *, since: Instant, but: set[str] | None = None
) -> list[Record]:
    """Return the contacts that began at ``since`` or later, in that order.

    ``ids`` as of `call_ids`; contacts of the legs in ``but`` are left out.
    """
    contact, offer = schema.contact, schema.offer
    engine = schema.make_engine(schema.sqlite_url(str(store)), read_only=True)
    try:
        with engine.connect() as connection:
            missed = set(
                connection.execute(
                    sa.select(offer.c.contact_id).where(offer.c.outcome.in_(_MISSED)).distinct()
                ).scalars()
            )
            query = (
                sa.select(contact)
                .where(contact.c.started >= since)
                .order_by(contact.c.started, contact.c.contact_id)
            )
            found = [
                row
                for row in connection.execute(query).mappings()
                if row["linkedid"] not in (but or set())
            ]
    finally:
        engine.dispose()
    return [
        Record(
            contact_id=row["contact_id"],
            call_id=ids.get(row["linkedid"] or ""),
            disposition=None if row["ended"] is None else Disposition(row["disposition"]),
            queue=None if row["queue"] is None else QueueId(row["queue"]),
            first_queued=None if row["first_queued"] is None else Instant(row["first_queued"]),
            wait_us=row["wait_us"] or 0,
            missed=row["contact_id"] in missed,
        )
        for row in found
    ]
