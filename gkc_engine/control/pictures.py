"""Pictures of one instant for live tables and wallboards, shared by all who look. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Final

from gkc_engine.acd.commands import AgentState
from gkc_engine.acd.state import Broadcast
from gkc_engine.acd.views import Closing
from gkc_engine.control.live import AgentNow, ContactNow, Live, Row, Standing
from gkc_engine.control.views import agent_rows, group_of, iso, queue_rows, share, waiting_rows
from gkc_engine.ids import Instant, QueueId
from gkc_engine.statistics.figures import Counts, Handling, abandon_rate, service_level

SHARED_S: Final = 0.5
"""A picture so old is shown again: many walls cost what one costs, and all show the same."""


class Shared:
    """The last picture of each kind, made anew when it is older than `SHARED_S`.

    At most one a queue, and one of all: what nobody looks at any more is left out at the next.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock``: seconds that never go back."""
        self._clock = clock
        self._made: dict[Hashable, tuple[float, Row]] = {}

    def get(self, kind: Hashable, make: Callable[[], Row]) -> Row:
        """Return the picture, with ``age_s``: how old it is already."""
        now = self._clock()
        at, picture = self._made.get(kind, (now, None))
        if picture is None or now - at >= SHARED_S:
            at, picture = now, make()
            self._made = {k: m for k, m in self._made.items() if now - m[0] < SHARED_S}
            self._made[kind] = (at, picture)
        return picture | {"age_s": round(now - at, 3)}


class _Still:
    """One instant of a live engine: every part of a snapshot sees the same, asked for once."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._now = live.now()
        self._agents = live.agents()
        self.directory = live.directory

    def now(self) -> Instant:
        return self._now

    def agents(self) -> Sequence[AgentNow]:
        return self._agents

    def standings(self) -> Sequence[Standing]:
        return self._live.standings()

    def contacts(self) -> Sequence[ContactNow]:
        return self._live.contacts()

    def today(self, queue: QueueId) -> Counts:
        return self._live.today(queue)

    def day_began(self) -> Instant:
        return self._live.day_began()

    def recent(self, queue: QueueId) -> Counts:
        return self._live.recent(queue)

    def handling(self, queue: QueueId) -> Handling:
        return self._live.handling(queue)

    def expected_wait(self, queue: QueueId) -> int | None:
        return self._live.expected_wait(queue)

    def closing(self, queue: QueueId) -> Closing | None:
        return self._live.closing(queue)

    def broadcasts(self, queue: QueueId) -> Sequence[Broadcast]:
        return self._live.broadcasts(queue)

    def health(self) -> Row:
        return self._live.health()


def snapshot(live: Live, queue: str | None = None) -> Row:
    """Return everything that a live table shows at one instant."""
    still = _Still(live)
    return {
        "now": iso(still.now()),
        "center": still.directory.center,
        "title": still.directory.title,
        "timezone": still.directory.timezone,
        "queues": queue_rows(still, queue),
        "agents": agent_rows(still),
        "contacts": waiting_rows(still, queue),
        "health": still.health(),
    }


def wall(live: Live) -> Row:
    """Return everything that a wallboard shows at one instant."""
    still = _Still(live)
    rows = queue_rows(still)
    return {
        "now": iso(still.now()),
        "center": still.directory.center,
        "title": still.directory.title,
        "timezone": still.directory.timezone,
        "order": list(still.directory.queues),
        "queues": rows,
        "total": total(still, rows),
        "health": still.health(),
    }


def total(live: Live, rows: Sequence[Row]) -> Row:
    """Return the row of all queues: each operator once, however many queues he may serve.

    Shares are of the sums, never means of shares; each contact keeps its own queue's threshold.
    """
    staff = Counter(group_of(agent.state) for agent in live.agents())
    wrap_up = sum(agent.state is AgentState.WRAP_UP for agent in live.agents())
    waits = [row["longest_wait_s"] for row in rows if row["longest_wait_s"] is not None]
    today, recent = _counts(rows, ""), _counts(rows, "_30m")
    handled = sum(row["handled"] for row in rows)
    spent = sum(row["aht_s"] * row["handled"] for row in rows if row["handled"])
    summed = ("waiting", "ringing", "talking", "offered", "answered", "abandoned")
    return {
        **{column: sum(row[column] for row in rows) for column in summed},
        "longest_wait_s": max(waits, default=None),
        "ready": staff["ready"],
        "busy": staff["busy"],
        "wrap_up": wrap_up,
        "not_ready": staff["not_ready"],
        "offline": staff["offline"],
        "abandon_rate": share(abandon_rate(today)),
        "service_level": share(service_level(today)),
        "abandon_rate_30m": share(abandon_rate(recent)),
        "service_level_30m": share(service_level(recent)),
        "handled": handled,
        "aht_s": share(spent / handled) if handled else None,
        "levels": {},
    }


def _counts(rows: Sequence[Row], span: str) -> Counts:
    """Sum up the columns of one span; what is offered beside the named parts as still waiting."""
    counts = Counts()
    for row in rows:
        answered, abandoned = row["answered" + span], row["abandoned" + span]
        counts.add(
            Counts(
                answered=answered,
                answered_in_target=row["answered_in_target" + span],
                abandoned=abandoned,
                abandoned_short=row["abandoned_short" + span],
                waiting=row["offered" + span] - answered - abandoned,
            )
        )
    return counts
