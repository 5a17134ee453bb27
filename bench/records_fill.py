"""A year of a large city's records: contacts and roll-ups by the million, and the ledger of a day.

What the writer would have made of ten million calls is written as rows, because their ledger would
take days; the last day goes through the writer, call by call. What operators did (segments, offers,
intervals) is written of the last months alone: it is twice as large as all the rest.
"""

from __future__ import annotations

import random
import sqlite3
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex

from bench.records_work import RING_US, TABLES, WRAP_UP_US, Crew, Work, inserting
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition
from gkc_engine.acd.core import Acd
from gkc_engine.ids import SECOND, AgentId, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.ledger import batch_of, engine_version
from gkc_engine.recorder.rollup import KEY, VALUES, Key, cell_of
from gkc_engine.recorder.rows import Step
from gkc_engine.recorder.store import LedgerStore
from tests.recorder.support import History

ZONE: Final = ZoneInfo("Europe/Moscow")
DAYS: Final = 365
WORK_DAYS: Final = 92
"""Of which what operators did is on record: two whole months, and the present one."""
QUEUES: Final = 20
NUMBERS: Final = 6
AGENTS: Final = 200

_HOURS: Final = (2, 1, 1, 1, 1, 2, 4, 8, 14, 18, 18, 16, 14, 15, 16, 15, 13, 11, 9, 8, 7, 6, 4, 3)
"""How many of a day's calls come in each hour, to each other."""
_ENDS: Final = (
    (84, Disposition.ANSWERED),
    (5, Disposition.ABANDONED),
    (2, Disposition.ABANDONED_SHORT),
    (1, Disposition.TIMEOUT),
    (1, Disposition.NO_AGENT),
    (1, Disposition.FULL),
    (3, Disposition.SELF_SERVED),
    (3, Disposition.ABANDONED_MENU),
)
_IN_QUEUE: Final = frozenset(end for _, end in _ENDS[:5])
_CHUNK: Final = 20_000
_COLUMNS: Final = tuple(column.name for column in schema.contact.columns)

NOBODY: Final = msgspec.json.encode(Acd().snapshot()).decode()
"""The state of a center in which nobody is left, for the snapshot after the day."""

Say = Callable[[str], None]
Row = dict[str, Any]


@dataclass(slots=True)
class Filled:
    """What was written."""

    days: list[date]
    """Local days, the last with its ledger."""
    contacts: int = 0
    rollups: int = 0
    events: int = 0


def midnight(day: date) -> Instant:
    """Return when a local day begins."""
    return Instant(int(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp()) * SECOND)


def fill(
    path: Path, contacts: int, last: date, say: Say, of: int = DAYS, work: int = WORK_DAYS
) -> Filled:
    """Make a store with about ``contacts`` contacts of ``of`` days, up to the end of ``last``.

    ``work``: of how many days, the last ones, what operators did is on record.
    """
    days = [last - timedelta(days=n) for n in reversed(range(of))]
    filled = Filled(days)
    bulk = (schema.contact, *TABLES)
    indexes = sorted((one for table in bulk for one in table.indexes), key=lambda i: i.name or "")
    store = LedgerStore(schema.sqlite_url(str(path)))
    store.open()
    with store.transaction() as connection:
        for index in indexes:
            index.drop(connection)
    store.close()
    rng = random.Random(1)
    raw = sqlite3.connect(path, isolation_level=None)
    # The file is worth nothing until it is whole: no journal, no fsync.
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-200000"):
        raw.execute(f"PRAGMA {pragma}")
    a_day = contacts // of
    crew, rows = Crew(AGENTS, midnight(days[max(0, of - work)])), Work(raw)
    for n, day in enumerate(days[:-1]):
        if n % 20 == 0:
            say(f"{filled.contacts} contacts, {filled.rollups} roll-ups: {day}")
        at_work = (crew, rows) if n >= of - work else None
        _write_day(raw, filled, day, a_day, rng, at_work)
    rows.go_home(crew.go_home(midnight(last)))
    for index in indexes:
        say(f"index {index.name}")
        raw.execute(str(CreateIndex(index).compile(store.engine)))
    raw.execute("PRAGMA journal_mode=WAL")
    raw.close()
    store = LedgerStore(schema.sqlite_url(str(path)))
    store.open()
    say(f"the ledger of {last}: {a_day} contacts")
    filled.events = write_ledger(store, midnight(last), a_day, filled.contacts)
    filled.contacts += a_day
    with store.transaction() as connection:
        counted = sa.select(sa.func.count()).select_from(schema.rollup)
        filled.rollups = connection.scalar(counted) or 0
    store.snapshot(midnight(last + timedelta(days=1)), engine_version(), NOBODY)
    store.close()
    return filled


def write_ledger(store: LedgerStore, begin: Instant, contacts: int, first: int) -> int:
    """Put a day's answered calls through the writer; return how many rows the ledger has of them.

    They come evenly over the day, for one queue; 200 operators answer in turn.
    """
    opening = History(now=begin)
    opening.configured()
    for n in range(AGENTS):
        opening.step(ev.AgentLoggedIn(agent_id=AgentId(f"agent{n}")), key=f"login{begin}-{n}")
    written = store.append(batch_of(opening.steps, "centr")).written
    apart = 86_400 * SECOND // contacts
    steps: list[Step] = []
    for at in range(0, contacts, 500):
        for n in range(at, min(at + 500, contacts)):
            history = History(now=Instant(begin + n * apart), sequence=first + n, offers=first + n)
            history.talk(f"{begin // 1000:x}-day-{n:08d}", f"agent{n % AGENTS}")
            steps += history.steps
        # What is later than the next contact's begin comes after what he will do until then.
        steps.sort(key=lambda step: step.now)
        over = bisect_left(steps, begin + (at + 500) * apart, key=lambda step: step.now)
        done, steps = (steps, []) if at + 500 >= contacts else (steps[:over], steps[over:])
        for group in range(0, len(done), 64):
            written += store.append(batch_of(done[group : group + 64], "centr")).written
        store.settle()
    store.settle()
    return written


def _write_day(
    raw: sqlite3.Connection,
    filled: Filled,
    day: date,
    contacts: int,
    rng: random.Random,
    at_work: tuple[Crew, Work] | None,
) -> None:
    """Write a day's contacts and roll-ups; with a crew at work, what operators did, too."""
    begin = midnight(day)
    hours = rng.choices(range(24), _HOURS, k=contacts)
    starts = sorted(begin + (h * 3600 + rng.random() * 3600) * SECOND for h in hours)
    sums: defaultdict[Key, list[int]] = defaultdict(lambda: [0] * len(VALUES))
    crew, work = at_work or (None, None)
    rows = _rows((int(at) for at in starts), filled, sums, rng, crew)
    insert = inserting(schema.contact)
    raw.execute("BEGIN")
    while chunk := list(islice(rows, _CHUNK)):
        raw.executemany(insert, ([contact[name] for name in _COLUMNS] for contact in chunk))
        if work is not None:
            work.write(chunk)
    named = ", ".join((*KEY, *VALUES))
    places = ", ".join("?" * (len(KEY) + len(VALUES)))
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in VALUES)
    # Who came before midnight may have left the menu after it.
    raw.executemany(
        f"INSERT INTO rollup ({named}) VALUES ({places}) ON CONFLICT DO UPDATE SET {added}",
        [(*key, *values) for key, values in sorted(sums.items())],
    )
    raw.execute("COMMIT")
    filled.rollups += len(sums)


def _rows(
    starts: Iterator[int],
    filled: Filled,
    sums: defaultdict[Key, list[int]],
    rng: random.Random,
    crew: Crew | None,
) -> Iterator[Row]:
    weights, ends = zip(*_ENDS, strict=True)
    for started in starts:
        end = rng.choices(ends, weights)[0]
        contact = _contact(filled.contacts, started, end, rng, crew)
        filled.contacts += 1
        key, values = cell_of(contact)
        kept = sums[key]
        for place, value in enumerate(values):
            kept[place] += value
        yield contact


_EMPTY: Final[Row] = dict.fromkeys(_COLUMNS) | {
    "number_year": 2026,
    "medium": "voice",
    "direction": "in",
    "initiation": "inbound",
    "center_entry": "centr",
    "language": "ru",
    "end_party": "citizen",
    "via": "engine",
    "class": "normal",
    "reason": "",
    "step": 0,
    "config_version": "4f1c0d5e9a77",
    "sl_threshold_us": 20 * SECOND,
    "requirement_final": '{"passport":2}',
    "offers_unanswered": 0,
    "offers_withdrawn": 0,
    "transfers": 0,
    "talk_us": 0,
    "hold_us": 0,
    "ring_us": 0,
    "wrap_up_us": 0,
    "wait_us": 0,
}


def _contact(n: int, started: int, end: Disposition, rng: random.Random, crew: Crew | None) -> Row:
    """Return one contact's row: some two thirds of a kilobyte, as the writer makes them.

    ``ready`` is beside its columns: since when the operator had been who answered.
    """
    contact = _EMPTY.copy()
    menu = int(rng.uniform(3, 25) * SECOND)
    queue = int(rng.expovariate(0.15)) % QUEUES
    wait = int(rng.expovariate(1 / 30) * SECOND) + RING_US
    contact["contact_id"] = f"{started // 1000:012x}-7{n % 4096:03x}-{n:016x}"
    contact["number"] = f"2026-ЦАО-{n:06d}"
    contact["number_seq"] = n
    contact["did"] = f"+7495000090{(queue * 7 + n % 3) % NUMBERS}"
    contact["citizen_id"] = f"{n * 2654435761 % 3_000_000:032d}"
    contact["linkedid"] = f"{started // SECOND}.{n}"
    contact["started"] = started
    contact["menu_us"] = menu
    contact["disposition"] = end.value
    talk = 0
    if end in _IN_QUEUE:
        contact["queue"], contact["service"] = f"queue{queue}", f"service{queue // 2}"
        contact["first_queued"] = started + menu
        if end is Disposition.ABANDONED_SHORT:
            wait %= 5 * SECOND
        contact["wait_us"] = wait
    else:
        wait = 0
    if end is Disposition.ANSWERED:
        contact["answered"] = started + menu + wait
        talk = int(rng.expovariate(1 / 180) * SECOND)
        rung = contact["answered"] - RING_US
        contact["agent_id"], contact["ready"] = (
            (f"agent{n % AGENTS}", rung)
            if crew is None
            else crew.ring(rung, RING_US + talk + WRAP_UP_US)
        )
        contact["talk_us"], contact["wrap_up_us"] = talk, WRAP_UP_US
        contact["ring_us"], contact["sl_met"] = RING_US, wait <= 20 * SECOND
        contact["recording_refs"] = f"2026/{n % 365:03d}/{n}.wav"
    contact["offers"] = contact["agent_offers"] = int(end is Disposition.ANSWERED)
    contact["ended"] = started + menu + wait + talk
    return contact
