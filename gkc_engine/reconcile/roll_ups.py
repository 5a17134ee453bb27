"""Whether the roll-ups that reports read are what the contacts add up to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

import sqlalchemy as sa

from gkc_engine.ids import Instant
from gkc_engine.reconcile.model import Count, Difference, Kind
from gkc_engine.recorder import schema
from gkc_engine.recorder.queries import iso
from gkc_engine.recorder.rollup import GRAIN_US, KEY, VALUES, cell_of

_AT_ONCE_US: Final = 96 * GRAIN_US
"""Of one look: a day's rows are in memory, not a year's."""

_PAGES: Final = {"yield_per": 5_000}

_Sums = dict[tuple[Any, ...], tuple[int, ...]]


def differences(
    connection: sa.Connection,
    counts: Counter[Count],
    since: Instant,
    until: Instant,
    say: Callable[[str], None],
) -> Iterator[Difference]:
    """Compare every quarter-hour that the period touches, row by row and column by column.

    Args:
        connection: To the store, in one transaction: both sides are written in one, too.
        counts: Is told how many rows were compared.
        since: Begin of the period.
        until: Its end.
        say: Is told how far it is.
    """
    first = since - since % GRAIN_US
    while first < until:
        last = min(first + _AT_ONCE_US, -(-until // GRAIN_US) * GRAIN_US)
        say(f"comparing the roll-ups from {iso(first)} on")
        stand, told = _rows(connection, first, last), _of_contacts(connection, first, last)
        counts[Count.ROLL_UPS] += len(stand)
        for key in sorted(stand.keys() | told.keys()):
            yield from _of_row(key, stand.get(key), told.get(key))
        first = last


def _rows(connection: sa.Connection, since: int, until: int) -> _Sums:
    c = schema.rollup.c
    names = [*KEY, *VALUES]
    query = sa.select(*(c[name] for name in names)).where(c.start >= since, c.start < until)
    rows = connection.execute(query, execution_options=_PAGES)
    return {tuple(row[: len(KEY)]): tuple(row[len(KEY) :]) for row in rows}


def _of_contacts(connection: sa.Connection, since: int, until: int) -> _Sums:
    c = schema.contact.c
    made: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * len(VALUES))
    queued = (c.first_queued >= since) & (c.first_queued < until)
    # The sum keeps SQLite from the index of first entries, in which all these stand together.
    never = (c.first_queued + 0).is_(None) & (c.started >= since) & (c.started < until)
    for where in (queued, never):
        query = sa.select(schema.contact).where(where)
        for contact in connection.execute(query, execution_options=_PAGES).mappings():
            key, values = cell_of(contact)
            sums = made[key]
            for place, value in enumerate(values):
                sums[place] += value
    return {key: tuple(sums) for key, sums in made.items()}


def _of_row(
    key: tuple[Any, ...], stand: tuple[int, ...] | None, told: tuple[int, ...] | None
) -> Iterator[Difference]:
    names = dict(zip(KEY, key, strict=True))
    where = f"quarter-hour {iso(names.pop('start'))}, queue {names.pop('queue') or '(none)'}"
    of = ", ".join(f"{name} {value}" for name, value in names.items() if value != "")
    none = (0,) * len(VALUES)
    for name, ours, theirs in zip(VALUES, stand or none, told or none, strict=True):
        if ours != theirs or (name == VALUES[0] and (stand is None or told is None)):
            yield Difference(
                kind=Kind.ROLL_UP,
                ours=f"{where}, {name}: {'no such row' if stand is None else ours} ({of})",
                theirs=f"the contacts give {theirs}",
            )
