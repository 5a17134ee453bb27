"""The city's store: the rows of all centers in one ledger, and the tables folded from them.

It is a store like any other (ADR 0040). Each center is folded by a projector of its own, for
settings differ, and what only its own center knows by that name gets one that the city knows:

- operators and configs: ``NAME/ID``. In another center's rows an operator stays ``NAME:ID``, as
  there: his work is counted in his own center's rows, and only there;
- offers: bits 0 to 41 are the center's own number, bits 42 to 52 the center's (``feed.number``): no
  more than 53 bits in all, which every reader of JSON keeps;
- a fact's ``source_key``: ``NAME:KEY``.

``event.data`` is as the center wrote it. Contacts and segments have ids that are the city's anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import sqlalchemy as sa

from gkc_engine.acd.settings import Settings
from gkc_engine.ids import ABROAD, OWN, SECOND, AgentId, is_abroad
from gkc_engine.recorder import schema
from gkc_engine.recorder.agent_time import TooLongError
from gkc_engine.recorder.codec import Message
from gkc_engine.recorder.projections import CACHE_MAX, Projector
from gkc_engine.recorder.records import Changes, Reader, Record
from gkc_engine.recorder.rollup import cell_of
from gkc_engine.recorder.rows import Row

KIND: Final = "store_of"
"""Key in ``meta``: whose records these are."""

CITY: Final = "city"
"""Its value in the city's store; there is no such row in a center's."""

OFFER_BITS: Final = 42
OFFERS_MAX: Final = 1 << OFFER_BITS
"""A center's own offers are below: at a thousand a second, for 139 years."""

CENTERS_MAX: Final = (1 << 11) - 1
"""Numbers of centers: 1 to this."""

LONGEST_US: Final = 3_660 * 86_400 * SECOND
"""No contact, and nothing that an operator does, takes ten years: they are added up in 64 bits."""

INDEX: Final = sa.text("CREATE INDEX IF NOT EXISTS event_of_center ON event (center, ts_us)")
"""Only here: a center's rows stand in the order of time anyway, and each index costs its calls."""

_CACHE_MIN: Final = 500
"""Contacts that a center's projector keeps at hand, however many centers there are."""

_NAMES: Final = ("agent_id", "config_version", "hash")
"""Columns of names that only the center knows."""


def is_city(connection: sa.Connection) -> bool:
    """Return whether the store is a city's."""
    c = schema.meta.c
    return connection.scalar(sa.select(c.value).where(c.key == KIND)) == CITY


def offer_id_in_city(number: int, offer_id: int) -> int:
    """Return the offer's id in the city's store; ``number`` is its center's.

    Raises:
        ValueError: No center has given so many.
    """
    if not 0 <= offer_id < OFFERS_MAX:
        raise ValueError(f"offer {offer_id}: expected 0 to {OFFERS_MAX - 1}")
    return number << OFFER_BITS | offer_id


def offer_id_in_center(offer_id: int) -> int:
    """Return what the center itself calls the offer."""
    return offer_id & (OFFERS_MAX - 1)


def name_in_city(center: str, agent_id: str) -> AgentId:
    """Return what the city calls an operator whom ``center`` calls so."""
    return AgentId(agent_id if is_abroad(AgentId(agent_id)) else f"{center}{OWN}{agent_id}")


def name_in_center(center: str, agent_id: str) -> AgentId:
    """Return what ``center`` itself calls the operator."""
    return AgentId(agent_id.removeprefix(f"{center}{OWN}"))


def row_in_city(row: Row, number: int) -> Row:
    """Return a center's row as it stands in the city's ledger."""
    offer, key = row.offer_id, row.source_key
    if offer is None and key is None:
        return row
    return row._replace(
        offer_id=None if offer is None else offer_id_in_city(number, offer),
        source_key=None if key is None else f"{row.center}{ABROAD}{key}",
    )


class CityReader(Reader, Protocol):
    """What the projectors of a city read back; a store's ``TableReader`` says it of one center."""

    def number_of(self, center: str) -> int:
        """Return the center's number."""
        ...

    def settings_of(self, center: str) -> Settings | None:
        """Return the config that the center applied last."""
        ...


class CityProjector:
    """Folds rows of all centers, each center's by a ``Projector`` of its own."""

    def __init__(self, reader: CityReader) -> None:
        self._reader = reader
        self._centers: dict[str, tuple[Projector, int]] = {}
        """Center -> what folds its rows, and its number."""

    def fold(self, row: Row, message: Message | None = None) -> None:
        """Take one row of the city's ledger; ``message`` spares decoding when it is at hand.

        Raises:
            TooLongError: No center has such a row; nothing that was folded holds.
        """
        known = self._centers.get(row.center)
        if known is None:
            known = self._begun(row.center)
        projector = known[0]
        projector.fold(row, message)
        touched, projector.touched = projector.touched or (), []
        for contact in touched:
            if any(abs(n) > LONGEST_US for n in cell_of(contact)[1]):
                raise TooLongError(f"contact {contact['contact_id']}: more than ten years")

    def _begun(self, center: str) -> tuple[Projector, int]:
        number = self._reader.number_of(center)
        projector = Projector(_OfCenter(self._reader, center, number), longest_us=LONGEST_US)
        self._centers[center] = projector, number
        share = max(_CACHE_MIN, CACHE_MAX // len(self._centers))
        for one, _ in self._centers.values():
            one.cache_max = share
        return projector, number

    def take_changes(self) -> Changes:
        """Return the rows changed since the last call, as they stand in the city's tables."""
        taken = Changes([], [], [], [], [], [], [])
        for center, (projector, number) in self._centers.items():
            out = _Out(center, number)
            changes = projector.take_changes()
            taken.contacts += map(out.record, changes.contacts)
            taken.segments += map(out.record, changes.segments)
            taken.offers += map(out.record, changes.offers)
            taken.intervals += map(out.record, changes.intervals)
            taken.versions += map(out.record, changes.versions)
            taken.rollups += changes.rollups
            taken.times += map(out.record, changes.times)
        return taken


class _Out:
    """Gives a center's records the names that the city knows."""

    def __init__(self, center: str, number: int) -> None:
        self._center, self._number = center, number

    def record(self, record: Record) -> Record:
        # A new one: the projector goes on with its own.
        made = dict(record)
        for name in _NAMES:
            if made.get(name):
                made[name] = name_in_city(self._center, made[name])
        if made.get("offer_id") is not None:
            made["offer_id"] = offer_id_in_city(self._number, made["offer_id"])
        return made


class _OfCenter:
    """What one center's projector reads back, in the words of that center (``records.Reader``)."""

    def __init__(self, reader: CityReader, center: str, number: int) -> None:
        self._reader, self._center, self._number = reader, center, number

    def contact(self, contact_id: str) -> Record | None:
        found = self._reader.contact(contact_id)
        # Another center's contact is none of this one's, whoever says so.
        if found is None or found["center_entry"] != self._center:
            return None
        return self._in(found)

    def offer(self, offer_id: int, agent_id: str) -> Record | None:
        found = self._reader.offer(
            offer_id_in_city(self._number, offer_id), name_in_city(self._center, agent_id)
        )
        return None if found is None else self._in(found)

    def open_intervals(self, agent_id: str) -> list[Record]:
        found = self._reader.open_intervals(name_in_city(self._center, agent_id))
        return [self._in(one) for one in found]

    def last_talk(self, contact_id: str, agent_id: str) -> Record | None:
        found = self._reader.last_talk(contact_id, name_in_city(self._center, agent_id))
        return None if found is None else self._in(found)

    def settings(self) -> Settings | None:
        return self._reader.settings_of(self._center)

    def _in(self, record: Record) -> Record:
        for name in _NAMES:
            if record.get(name):
                record[name] = name_in_center(self._center, record[name])
        if record.get("offer_id") is not None:
            record["offer_id"] = offer_id_in_center(record["offer_id"])
        return record


def projector_for(connection: sa.Connection, reader: CityReader) -> Projector | CityProjector:
    """Return what folds the rows of this store."""
    make: Callable[[CityReader], Projector | CityProjector]
    make = CityProjector if is_city(connection) else Projector
    return make(reader)
