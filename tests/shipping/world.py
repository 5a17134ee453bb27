"""Centers with whole histories, their ledgers, and a city's store; no network."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import sqlalchemy as sa

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.engine import Step
from gkc_engine.recorder import schema
from gkc_engine.recorder.city import row_in_city
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.rebuild import dump, rebuild
from gkc_engine.recorder.rows import Row
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.shipping.batches import Header, Numbered, Pieces, messages, opened, rows_of
from gkc_engine.shipping.city_store import CityStore, Taken
from gkc_engine.shipping.outbox import Outbox
from gkc_engine.shipping.position import Position
from tests.federation.center import Center, Faults
from tests.federation.world import play

NAMES = ("centr", "sever", "yug")
TWO = NAMES[:2]

Message = tuple[Header, bytes]

Past = dict[str, list[Step]]
"""What each center lived through."""


def histories(seed: int, faults: Faults | None = None) -> dict[str, list[Step]]:
    """Return what the three centers of a simulated city recorded, overflow and all."""
    found: defaultdict[str, list[Step]] = defaultdict(list)
    whole = Center._step

    def step(center: Center, event: ev.Event) -> list[cmd.Command]:
        commands = whole(center, event)
        _, now = center.ledger[-1]
        made = Step(now=now, event=event, source="core", source_key=None, commands=commands)
        found[center.name].append(made)
        return commands

    with mock.patch.object(Center, "_step", step):
        city = play(seed, faults or Faults())
    assert city.sent, "nobody was sent on: it is no test"
    return dict(found)


def ledger(folder: Path, center: str, steps: Sequence[Step], name: str = "") -> LedgerStore:
    """Return a center's own store with this history, settled."""
    store = LedgerStore(schema.sqlite_url(str(folder / f"{name or center}.sqlite")))
    store.open()
    for at in range(0, len(steps), 50):
        store.append(batch_of(steps[at : at + 50], center))
    store.settle()
    return store


def half(steps: list[Step]) -> list[Step]:
    return steps[: len(steps) // 2]


@contextmanager
def halves(
    folder: Path, past: dict[str, list[Step]], names: Sequence[str]
) -> Iterator[dict[str, LedgerStore]]:
    """Give the ledgers of centers with the first half of their histories."""
    made = {name: ledger(folder, name, half(past[name])) for name in names}
    try:
        yield made
    finally:
        for store in made.values():
            store.close()


def goes_on(store: LedgerStore, name: str, past: dict[str, list[Step]]) -> int:
    """Let a center live the rest of its history; return its rows."""
    rest = past[name][len(past[name]) // 2 :]
    for at in range(0, len(rest), 20):
        store.append(batch_of(rest[at : at + 20], name))
    store.settle()
    return len(numbered(store))


def url_of(store: LedgerStore) -> str:
    return store.engine.url.render_as_string(hide_password=False)


def numbered(store: LedgerStore) -> list[Numbered]:
    """Return all rows of a center's ledger."""
    box = Outbox(url_of(store))
    try:
        return list(box.rows(0, 1_000_000))
    finally:
        box.close()


def batches(rows: Sequence[Numbered], size: int) -> list[Message]:
    """Return the ledger's rows as messages of so many rows."""
    made: list[Message] = []
    after, after_id, first = 0, "", rows[0][1].event_id
    for at in range(0, len(rows), size):
        part = rows[at : at + size]
        made += messages(part, ledger=first, after=after, after_id=after_id, told=rows[-1][0])
        after, after_id = part[-1][0], part[-1][1].event_id
    return made


def deliver(city: CityStore, message: bytes, stream_seq: int = 1) -> Taken:
    """Give the city's store one message that is no piece."""
    header, body = opened(message)
    whole = Pieces().add(header, body)
    assert whole is not None
    return city.take(header, rows_of(header, whole), now=1, stream_seq=stream_seq)


def whole_city(url: str, ledgers: dict[str, list[Numbered]], size: int = 200) -> CityStore:
    """Return a city's store into which the ledgers were brought, a batch of each in turn."""
    city = CityStore(url)
    city.open(sorted(ledgers))
    queues = {name: batches(rows, size) for name, rows in ledgers.items()}
    while any(queues.values()):
        for queue in queues.values():
            if queue:
                assert deliver(city, queue.pop(0)[1]).verdict == "take"
    city.settle()
    return city


def position(city: CityStore, center: str) -> Position:
    return city.feed(center).position


def rows_in(city: CityStore, center: str) -> list[Row]:
    """Return a center's rows in the city's ledger, in its order."""
    e = schema.event.c
    query = sa.select(*(e[n] for n in Row._fields)).where(e.center == center).order_by(e.seq)
    with city.store.transaction() as connection:
        return [Row(*row) for row in connection.execute(query)]


def expected_rows(city: CityStore, rows: Sequence[Numbered]) -> list[Row]:
    """Return a center's rows as they should stand there."""
    number = city.feed(rows[0][1].center).number
    return [row_in_city(row, number) for _, row in rows]


def tables(store: LedgerStore) -> list[str]:
    with store.transaction() as connection:
        return list(dump(connection))


def anew(store: LedgerStore) -> list[str]:
    """Return the tables when everything is made anew."""
    rebuild(store)
    return tables(store)


def records(store: LedgerStore, table: sa.Table) -> list[dict[str, Any]]:
    with store.transaction() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def cells(lines: Sequence[str]) -> list[tuple[str, Any]]:
    """Return dumped rows as table and values."""
    return [(line.partition(" ")[0], ast.literal_eval(line.partition(" ")[2])) for line in lines]
