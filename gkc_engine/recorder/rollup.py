"""Contacts counted by quarter-hours, which reports read instead of the contacts (ADR 0030).

Each contact counts in exactly one row: of the quarter-hour in which it first entered a queue (of
one that never did: in which it started), its queue, its outcome and the other columns of the key.
The table is what the ``contact`` table adds up to, so whatever changes a contact, however late,
takes the old values out of their row and puts the new ones into theirs. A row of nobody goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from gkc_engine.acd.commands import OfferOutcome
from gkc_engine.ids import SECOND, is_abroad
from gkc_engine.recorder import schema
from gkc_engine.recorder.adding import Adding, run
from gkc_engine.recorder.records import Record

GRAIN_US: Final = 15 * 60 * SECOND
"""Every midnight and every interval of a report begins at a full quarter-hour of UTC, also where a
zone is off by 5 h 45 min."""

NO_TARGET_US: Final = 20 * SECOND
"""Threshold of a contact whose queue nobody knows any more: ``servicelevel`` unless it is told."""

TALKING: Final = "talking"
WAITING: Final = "waiting"
"""Outcomes of contacts in progress: answered and not; the others are dispositions."""

KEY: Final = tuple(column.name for column in schema.rollup.primary_key.columns)
VALUES: Final = tuple(c.name for c in schema.rollup.columns if not c.primary_key)

Key: TypeAlias = tuple[Any, ...]
Values: TypeAlias = tuple[int, ...]


UNANSWERED: Final = frozenset(
    {
        OfferOutcome.REFUSED,
        OfferOutcome.NO_ANSWER,
        OfferOutcome.BUSY,
        OfferOutcome.UNREACHABLE,
    }
)
"""Outcomes of an offer that the agent could have answered, and did not."""


def count_offer(contact: Record, outcome: OfferOutcome) -> None:
    """Count an agent's offer that is over on its contact."""
    contact["agent_offers"] += 1
    contact["offers_unanswered"] += outcome in UNANSWERED
    contact["offers_withdrawn"] += outcome is OfferOutcome.WITHDRAWN


def cell_of(contact: Mapping[Any, Any]) -> tuple[Key, Values]:
    """Return the row in which a contact counts, by ``KEY``, and what it adds there, by ``VALUES``.

    ``in_target``: it was answered, or ended, within the service level threshold that its queue had.
    Text that a contact lacks is empty here: a key has no NULL.
    """
    queued = contact["first_queued"]
    at = contact["started"] if queued is None else queued
    outcome = contact["disposition"]
    if outcome is not None:
        wait = contact["wait_us"] or 0
    elif contact["answered"] is not None:
        outcome, wait = TALKING, contact["answered"] - at
    else:
        outcome, wait = WAITING, 0
    target = contact["sl_threshold_us"]
    in_target = outcome != WAITING and wait <= (NO_TARGET_US if target is None else target)
    key = (
        at - at % GRAIN_US,
        queued is not None,
        contact["center_entry"],
        contact["direction"],
        contact["medium"],
        contact["did"],
        contact["queue"] or "",
        contact["service"] or "",
        outcome,
    )
    values = (
        1,
        int(in_target),
        wait,
        contact["talk_us"] or 0,
        contact["hold_us"] or 0,
        contact["wrap_up_us"],
        contact["agent_offers"] or 0,
        contact["offers_unanswered"] or 0,
        contact["offers_withdrawn"] or 0,
        contact["transfers"] or 0,
        int((contact["overflow_count"] or 0) > 0),
        int(answered_elsewhere(contact)),
        int((contact["overflow_returned"] or 0) > 0),
    )
    return key, values


def answered_elsewhere(contact: Mapping[Any, Any]) -> bool:
    """Whether another center's operator was the first to answer a contact of ours."""
    agent = contact["agent_id"]
    return contact["answered"] is not None and agent is not None and is_abroad(agent)


class RollUps:
    """Follows the contacts at hand; ``take`` gives what their changes add to the rows."""

    def __init__(self) -> None:
        self._counted: dict[str, tuple[Key, Values]] = {}
        """How each contact at hand counts by now; as long as the projector's own cache."""
        self._added: dict[Key, list[int]] = {}

    def stands(self, contact: Record) -> None:
        """Take a contact as it was read back: so it counts in the table."""
        self._counted[contact["contact_id"]] = cell_of(contact)

    def count(self, contact: Record) -> None:
        """Let the contact count as it is now, and no longer as it was before."""
        contact_id = contact["contact_id"]
        before, now = self._counted.get(contact_id), cell_of(contact)
        if before == now:
            return
        if before is not None:
            self._add(*before, -1)
        self._add(*now, +1)
        self._counted[contact_id] = now

    def forget(self, contact_id: str) -> None:
        """The contact is at hand no longer."""
        self._counted.pop(contact_id, None)

    def take(self) -> list[Record]:
        """Return what is to be added to the rows since the last call, by column name."""
        names = (*KEY, *VALUES)
        changed = [
            dict(zip(names, (*key, *values), strict=True))
            for key, values in self._added.items()
            if any(values)
        ]
        self._added.clear()
        return changed

    def _add(self, key: Key, values: Values, sign: int) -> None:
        sums = self._added.get(key)
        if sums is None:
            self._added[key] = [sign * value for value in values]
        else:
            for place, value in enumerate(values):
                sums[place] += sign * value


class RollUpWriter:
    """Adds changes to their rows, and takes rows away in which nobody counts any more."""

    def __init__(self, engine: Engine) -> None:
        self._add = Adding(schema.rollup, engine)
        self._sweep = _SWEEP.compile(engine, column_keys=[*KEY, *VALUES])

    def execute(self, connection: sa.Connection, changes: Sequence[Record]) -> None:
        """Write what ``RollUps.take`` gave, in the transaction that writes the contacts."""
        self._add.execute(connection, changes)
        run(connection, self._sweep, [one for one in changes if one["contacts"] < 0])


_SWEEP: Final = schema.rollup.delete().where(
    *(schema.rollup.c[name] == sa.bindparam(name) for name in KEY),
    schema.rollup.c.contacts == sa.literal_column("0"),
)
