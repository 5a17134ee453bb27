"""What a restarted engine takes from the ledger: its state, what came after, its counters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

import sqlalchemy as sa

from gkc_engine.acd.commands import Command
from gkc_engine.acd.events import Event
from gkc_engine.acd.settings import Settings
from gkc_engine.ids import Instant, OfferId
from gkc_engine.recorder import schema
from gkc_engine.recorder.codec import decode
from gkc_engine.recorder.rows import Step
from gkc_engine.recorder.table_reader import last_settings

RECENT_ROWS: Final = 50_000
"""How far back source keys are remembered; older repeats are caught by the unique index."""

_SHIPMENT: Final = 5_000
"""Rows fetched at once when history is replayed."""


@dataclass(slots=True, kw_only=True)
class Recovery:
    """Enough to go on where the last engine stopped."""

    snapshot_state: str | None
    snapshot_seq: int
    snapshot_engine: str | None
    """Engine version that took the snapshot: another one does not compare commands."""
    tail: list[Step]
    """Steps after the snapshot, in order, with the commands that were given then."""
    recent_source_keys: list[tuple[str, str]]
    """``(source, source_key)`` of the last facts, the oldest first."""
    last_numbers: dict[int, int]
    """Last sequence of the registration numbers by local year; feeds ``Numbers``."""
    next_offer_id: OfferId
    settings: Settings | None
    """Of the last ``SettingsApplied``; ``None`` in a new ledger."""
    last_now: Instant
    """Instant of the last step, 0 in a new ledger: the engine's time goes on from there."""


def load(connection: sa.Connection) -> Recovery:
    """Read the recovery from the ledger; its cost does not grow with the ledger's age."""
    event, taken = schema.event, schema.snapshot
    newest = sa.select(taken).order_by(taken.c.seq.desc()).limit(1)
    snapshot = connection.execute(newest).mappings().first()
    after = 0 if snapshot is None else int(snapshot["seq"])
    last_offer = connection.scalar(sa.select(sa.func.max(event.c.offer_id))) or 0
    last = connection.scalar(sa.select(event.c.ts_us).order_by(event.c.seq.desc()).limit(1))
    return Recovery(
        snapshot_state=None if snapshot is None else snapshot["state"],
        snapshot_seq=after,
        snapshot_engine=None if snapshot is None else snapshot["engine_version"],
        tail=list(steps(connection, after)),
        recent_source_keys=_recent_keys(connection),
        last_numbers=_last_numbers(connection),
        next_offer_id=OfferId(last_offer + 1),
        settings=last_settings(connection),
        last_now=Instant(last or 0),
    )


def steps(connection: sa.Connection, after_seq: int = 0) -> Iterator[Step]:
    """Return the recorded steps after ``after_seq`` in order, for recovery and for replay."""
    event = schema.event
    step: Step | None = None
    while True:
        rows = connection.execute(
            sa.select(event).where(event.c.seq > after_seq).order_by(event.c.seq).limit(_SHIPMENT)
        ).all()
        for row in rows:
            after_seq = row.seq
            message = decode(row.kind, row.data)
            if row.role == "in":
                if step is not None:
                    yield step
                step = Step(
                    now=Instant(row.ts_us),
                    event=cast(Event, message),
                    source=row.source,
                    source_key=row.source_key,
                    config_version=row.config_version,
                )
            elif step is not None:
                step.commands.append(cast(Command, message))
        if len(rows) < _SHIPMENT:
            break
    if step is not None:
        yield step


def _recent_keys(connection: sa.Connection) -> list[tuple[str, str]]:
    event = schema.event
    last = connection.scalar(sa.select(sa.func.max(event.c.seq))) or 0
    rows = connection.execute(
        sa.select(event.c.source, event.c.source_key)
        .where((event.c.seq > last - RECENT_ROWS) & event.c.source_key.is_not(None))
        .order_by(event.c.seq)
    )
    return [(source, key) for source, key in rows]


def _last_numbers(connection: sa.Connection) -> dict[int, int]:
    table = schema.contact
    newest = connection.scalar(sa.select(sa.func.max(table.c.number_year)))
    if newest is None:
        return {}
    # The year before too: a restored backup, or a restart within the New Year's night.
    found: dict[int, int] = {}
    for year in (newest - 1, newest):
        last = connection.scalar(
            sa.select(sa.func.max(table.c.number_seq)).where(table.c.number_year == year)
        )
        if last is not None:
            found[year] = last
    return found
