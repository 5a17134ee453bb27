"""Reads the two lists of calls: the outside world's CDR and the engine's records."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from gkc_engine.acd.commands import Disposition, OfferOutcome
from gkc_engine.demo.account import Account, Record, compare
from gkc_engine.ids import Instant, Micros, QueueId
from gkc_engine.recorder import schema
from gkc_engine.recorder.new_records import OUT
from gkc_engine.recorder.rebuild import settle_left

_USERFIELD, _SRC, _UNIQUEID, _COLUMNS = 0, 2, 10, 11
"""Columns of ``calls.csv`` (asterisk/README.md)."""

_MISSED: Final = (
    OfferOutcome.NO_ANSWER.value,
    OfferOutcome.REFUSED.value,
    OfferOutcome.BUSY.value,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Where one run wrote down its calls."""

    run: str
    """Begins the id of each of its calls."""
    since: Instant
    outside_csv: Path
    """The outside world's CDR."""
    center_csv: Path
    """The CDR of the center's Asterisk: it knows which leg carried which id."""
    store: str
    """The URL of the engine's records."""
    visitor: str = ""
    """A number whose calls nobody else wrote down: a person who tries the demo out."""

    def dialled(self) -> set[str]:
        """Return the ids of the run's calls in the outside world's CDR."""
        return {i for i in ids(self.outside_csv).values() if i.startswith(f"{self.run}-")}

    def balance(self, originated: Iterable[str], targets_us: Mapping[QueueId, Micros]) -> Account:
        """Compare every call that the CDR or ``originated`` knows of with the records.

        ``targets_us``: each queue's ``servicelevel``.
        """
        found = records(self.store, ids(self.center_csv), since=self.since)
        visits = legs_of(self.center_csv, self.visitor) if self.visitor else set()
        counted = [one.record for one in found if one.leg not in visits]
        account = compare(self.dialled() | set(originated), counted, targets_us)
        account.outbound = calls_out(self.store, since=self.since)
        return account


def calls_out(url: str, *, since: Instant) -> Counter[str]:
    """Return how the calls that operators made since then ended; ``""``: not on record."""
    c = schema.contact.c
    engine = schema.make_engine(url, read_only=True)
    query = sa.select(c.disposition).where(c.started >= since, c.direction == OUT)
    try:
        with engine.connect() as connection:
            return Counter(disposition or "" for disposition in connection.scalars(query))
    finally:
        engine.dispose()


def rows(calls_csv: Path) -> list[list[str]]:
    """Return the whole rows of a CDR file; none when no call has been written yet."""
    if not calls_csv.exists():
        return []
    with calls_csv.open(encoding="utf-8", errors="replace", newline="") as file:
        return [row for row in csv.reader(file) if len(row) == _COLUMNS]


def ids(calls_csv: Path) -> dict[str, str]:
    """Return the outside world's id of each leg that has one, by Uniqueid, from either CDR."""
    return {row[_UNIQUEID]: row[_USERFIELD] for row in rows(calls_csv) if row[_USERFIELD]}


def legs_of(center_csv: Path, caller: str) -> set[str]:
    """Return the Uniqueids of the calls that ``caller`` made."""
    digits = caller.lstrip("+")
    return {row[_UNIQUEID] for row in rows(center_csv) if row[_SRC].lstrip("+") == digits}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A contact's record and the leg that it was made for."""

    leg: str
    record: Record


def records(url: str, call_ids: Mapping[str, str], *, since: Instant) -> list[Found]:
    """Return the citizens' contacts that began at ``since`` or later, in that order."""
    contact, offer = schema.contact, schema.offer
    settle_left(url)
    engine = schema.make_engine(url, read_only=True)
    try:
        with engine.connect() as connection:
            failed = sa.select(offer.c.contact_id).where(offer.c.outcome.in_(_MISSED))
            missed = set(connection.execute(failed.distinct()).scalars())
            query = (
                sa.select(contact)
                .where(contact.c.started >= since, contact.c.direction != OUT)
                .order_by(contact.c.started, contact.c.contact_id)
            )
            contacts = connection.execute(query).mappings().all()
    finally:
        engine.dispose()
    return [
        Found(
            leg=row["linkedid"] or "",
            record=Record(
                contact_id=row["contact_id"],
                call_id=call_ids.get(row["linkedid"] or ""),
                disposition=None if row["ended"] is None else Disposition(row["disposition"]),
                queue=None if row["queue"] is None else QueueId(row["queue"]),
                first_queued=row["first_queued"],
                wait_us=row["wait_us"] or 0,
                missed=row["contact_id"] in missed,
            ),
        )
        for row in contacts
    ]
