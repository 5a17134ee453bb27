"""Whether the city's store has what the centers have: each is asked, day by day.

The two sides count the same rows: those of the day up to the last one that is in the city's tables,
so calls that go on make no difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from gkc_engine.errors import GkcError
from gkc_engine.federation.connection import TROUBLES
from gkc_engine.federation.settings import LinkSettings
from gkc_engine.recorder.behind import projected_seq
from gkc_engine.shipping.city_store import LEFT, Feed, feeds
from gkc_engine.shipping.counts import Counts, last_of, of_city
from gkc_engine.shipping.feed import ask
from gkc_engine.shipping.line import line, trouble
from gkc_engine.shipping.questions import AskCounts

ASK_S: Final = 30.0
"""For a center's answer: a large one counts a day in a second or two."""

AT_ONCE: Final = 16
"""Centers that are asked at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One center on one day."""

    center: str
    feed: Feed
    city: Counts
    here: Counts | None = None
    """What the center itself has; ``None``: it does not answer."""
    problem: str | None = None
    """Why it does not."""
    left: bool = False
    """It was taken out of ``collector.centers``: nobody asks it, and that is no fault."""
    last: int = 0
    """Number of the last row of its ledger."""
    last_us: int = 0
    differences: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Figure -> the center's and the city's."""

    @property
    def behind(self) -> int:
        """Rows that the center has and the city has not yet."""
        return max(0, max(self.last, self.feed.told_seq) - self.feed.position.seq)


@dataclass(frozen=True, slots=True)
class _Side:
    feed: Feed
    counts: Counts
    last: str
    """Id of the last row that is counted."""


class NotSettledError(GkcError):
    """The city has no tables."""


async def compare(
    engine: sa.Engine, buses: Mapping[str, LinkSettings], since: int, until: int
) -> list[Outcome]:
    """Return how each center's day stands, by name.

    Args:
        engine: Of the city's store; reads only.
        buses: Center -> the hub as its user; one without is not asked.
        since: Where the day begins, in microseconds.
        until: Where it ends.

    Raises:
        NotSettledError: The city has no tables yet.
    """
    sides = await _of_city(engine, since, until)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(side: _Side) -> Outcome:
        async with gate:
            return await _compared(side, buses.get(side.feed.center), since, until)

    return list(await asyncio.gather(*map(one, sides)))


async def _of_city(engine: sa.Engine, since: int, until: int) -> list[_Side]:
    def read() -> list[_Side]:
        # One transaction: how far the tables are, and what they say.
        with engine.connect() as connection:
            mark = projected_seq(connection)
            if mark is None:
                raise NotSettledError(
                    "the city's tables are not made: run the collector (gkc city collect)"
                )
            return [
                _Side(
                    feed,
                    of_city(connection, feed.center, since, until, mark),
                    last_of(connection, feed.center, mark),
                )
                for feed in feeds(connection)
            ]

    return await asyncio.get_running_loop().run_in_executor(None, read)


async def _compared(side: _Side, bus: LinkSettings | None, since: int, until: int) -> Outcome:
    center = side.feed.center

    def without(problem: str, *, left: bool = False) -> Outcome:
        return Outcome(center=center, feed=side.feed, city=side.counts, problem=problem, left=left)

    if bus is None:
        return without(LEFT, left=True)
    question = AskCounts(since=since, until=until, event_id=side.last)
    try:
        async with asyncio.timeout(2 * ASK_S), line(bus, "gkc records verify", center) as to:
            answer = await ask(to, question, ASK_S)
    except (*TROUBLES, GkcError) as error:
        return without(trouble(error))
    if answer.problem is not None or answer.counts is None:
        return without(answer.problem or "an answer without counts")
    differs = _differences(answer.counts, side.counts)
    ledger = side.feed.position.ledger
    problem = None
    if ledger is not None and answer.ledger != ledger:
        problem = f"another ledger than the city has: gkc city accept {center}"
    return Outcome(
        center=center,
        feed=side.feed,
        city=side.counts,
        here=answer.counts,
        problem=problem,
        last=answer.last,
        last_us=answer.last_us,
        differences=differs,
    )


def _differences(center: Counts, city: Counts) -> dict[str, tuple[int, int]]:
    theirs, ours = center.lines(), city.lines()
    names = sorted(theirs.keys() | ours.keys())
    pairs = {name: (theirs.get(name, 0), ours.get(name, 0)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
