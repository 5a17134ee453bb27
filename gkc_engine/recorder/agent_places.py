"""What operators were doing at an instant, found by keys: no database reads the rest of the table.

Agents' intervals are by far the most rows there are: millions a month.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from gkc_engine.ids import Instant
from gkc_engine.recorder import schema


def places() -> sa.CTE:
    """Return each operator with each of his places, and once with none: from key to next key.

    Columns ``agent_id`` and ``slot``. So the first of each is found in the index, and not one row
    is read of the rest.
    """
    table = schema.agent_interval
    first = sa.select(sa.func.min(table.c.agent_id).label("agent_id")).cte("agents", recursive=True)
    later = sa.select(sa.func.min(table.c.agent_id)).where(table.c.agent_id > first.c.agent_id)
    step = sa.select(later.scalar_subquery()).where(first.c.agent_id.is_not(None))
    agents = first.union_all(step)

    of = sa.select(sa.func.min(table.c.slot)).where(table.c.agent_id == agents.c.agent_id)
    slots = (
        sa.select(agents.c.agent_id, of.scalar_subquery().label("slot"))
        .where(agents.c.agent_id.is_not(None))
        .cte("places", recursive=True)
    )
    following = (
        sa.select(sa.func.min(table.c.slot))
        .where(table.c.agent_id == slots.c.agent_id, table.c.slot > slots.c.slot)
        .scalar_subquery()
    )
    return slots.union_all(sa.select(slots.c.agent_id, following).where(slots.c.slot.is_not(None)))


def last_before(at: Instant, names: Sequence[str]) -> sa.Subquery:
    """Return the last interval of each place that began before ``at``: its operator and ``names``.

    By its key it is found at once, each column for itself, so that no database thinks of reading
    the table for a join. Whether it still went on at ``at`` is for its ``end`` to tell.
    """
    of_each, before = places(), schema.agent_interval.alias("before")
    mine = (before.c.agent_id == of_each.c.agent_id) & (before.c.slot == of_each.c.slot)

    def of(name: str) -> sa.Label[Any]:
        query = sa.select(before.c[name]).where(mine, before.c.start < at)
        return query.order_by(before.c.start.desc()).limit(1).scalar_subquery().label(name)

    last = sa.select(of_each.c.agent_id, *(of(name) for name in names))
    return last.where(of_each.c.slot.is_not(None)).subquery()
