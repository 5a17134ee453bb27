"""What the control socket shows and changes, answered by the running engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from gkc_engine.acd.commands import (
    AgentState,
    AgentStateChanged,
    Command,
    ContactEnded,
    GrantReservation,
)
from gkc_engine.acd.events import ContactBrief, ContactStarted, Event, ReservationAsked
from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.acd.state import Broadcast
from gkc_engine.acd.views import Closing, Standing
from gkc_engine.control.day import DayCounters
from gkc_engine.control.live import AgentNow, ContactNow, Directory, Reloaded, Row
from gkc_engine.engine import Engine, Step
from gkc_engine.ids import AgentId, ContactId, Instant, QueueId
from gkc_engine.records import RecordReader
from gkc_engine.statistics.counting import Ended, ended_of
from gkc_engine.statistics.figures import Counts, Handling


class EngineBackend:
    """Implements ``control.live.Backend`` over the parts that the composition root built."""

    def __init__(
        self,
        engine: Engine,
        directory: Directory,
        day: DayCounters,
        records: RecordReader,
        expected: ExpectedWait,
        *,
        health: Callable[[], Row],
        reload: Callable[[bool, str], Awaitable[Reloaded]],
    ) -> None:
        self._engine = engine
        self._directory = directory
        self._day = day
        self._records = records
        self._expected = expected
        self._health = health
        self._reload = reload
        self.numbers: dict[ContactId, str] = {}
        """Registration numbers of the contacts in progress."""
        self._since: dict[AgentId, Instant] = {}
        self._over: Mapping[QueueId, Sequence[Ended]] = {}
        """Contacts that are over for the core and in no count yet: their commit is not done."""
        self._over_at = (-1, 0)

    @property
    def directory(self) -> Directory:
        """The names of the configuration in force."""
        return self._directory

    def replace(self, directory: Directory) -> None:
        """Take the names of a reloaded configuration."""
        self._directory = directory

    def recall(self, since: Mapping[AgentId, Instant]) -> None:
        """Take from the records since when each operator is in his state (after a restart)."""
        self._since = {**since, **self._since}

    def observe(self, steps: Sequence[Step]) -> None:
        """Keep the registration numbers of those who are here."""
        for step in steps:
            match step.event:
                case ContactStarted() as started:
                    self.numbers[started.contact_id] = started.number
                case ReservationAsked(brief=ContactBrief(number=number)) as asked if number:
                    if any(isinstance(fact, GrantReservation) for fact in step.commands):
                        self.numbers[asked.reservation_id] = number
                case _:
                    pass
            for fact in step.commands:
                if isinstance(fact, AgentStateChanged):
                    self._since[fact.agent_id] = fact.since
                elif isinstance(fact, ContactEnded):
                    self.numbers.pop(fact.contact_id, None)

    def now(self) -> Instant:
        """Return the engine's time."""
        return self._engine.now()

    def agents(self) -> Sequence[AgentNow]:
        """Every operator of the config, in its order."""
        found: list[AgentNow] = []
        for agent_id in self._directory.agents:
            view = self._engine.acd.agent_view(AgentId(agent_id))
            if view is None:
                found.append(
                    AgentNow(agent_id=agent_id, state=AgentState.OFFLINE, since=self.now())
                )
                continue
            found.append(
                AgentNow(
                    agent_id=agent_id,
                    state=view.state,
                    since=self._since.get(agent_id, self.now()),
                    reason=view.reason,
                    until=view.until,
                    contact_id=view.slots[0].contact_id if view.slots else None,
                    registered=view.reachable,
                    skills=view.skills,
                    overrides=view.overrides,
                    queues=self._engine.acd.queues_of(agent_id) if view.overrides else None,
                )
            )
        return found

    def standings(self) -> Sequence[Standing]:
        """Where every contact stands."""
        return self._engine.acd.standings()

    def contacts(self) -> Sequence[ContactNow]:
        """Every contact in progress."""
        acd = self._engine.acd
        found: list[ContactNow] = []
        places = acd.places()
        for contact_id in acd.contacts():
            view = acd.contact_view(contact_id)
            if view is None:
                continue
            found.append(
                ContactNow(
                    contact_id=contact_id,
                    number=self.numbers.get(contact_id, ""),
                    medium=view.medium.value,
                    state=view.state.value,
                    started=view.started,
                    queue=view.queue,
                    first_queued=view.enqueued,
                    answered=view.answered,
                    agent_id=view.agent_id,
                    owner=view.owner,
                    position=places.get(contact_id),
                )
            )
        return found

    def today(self, queue: QueueId) -> Counts:
        """Contacts of today that have ended."""
        return self._day.of(queue, self.now(), self._just_over().get(queue, ()))

    def day_began(self) -> Instant:
        """When the present local day began."""
        return self._day.began(self.now())

    def recent(self, queue: QueueId) -> Counts:
        """Contacts that ended, and whose wait did in the last half hour."""
        return self._day.recent(queue, self.now(), self._just_over().get(queue, ()))

    def _just_over(self) -> Mapping[QueueId, Sequence[Ended]]:
        """Return, by queue, the contacts that end in steps which wait for their commit.

        The core has none of them any more, and the counts have them after it: without this, they
        would be missing for so long, and a figure of the day would fall and rise again.
        """
        steps = self._engine.unwritten
        at = (self._engine.steps_total, len(steps))
        if at != self._over_at:
            over: dict[QueueId, list[Ended]] = {}
            for fact in (fact for step in steps for fact in step.commands):
                ended = ended_of(fact) if isinstance(fact, ContactEnded) else None
                if ended is not None:
                    over.setdefault(ended.queue, []).append(ended)
            self._over, self._over_at = over, at
        return self._over

    def handling(self, queue: QueueId) -> Handling:
        """What was done with the contacts of today whose calls are over."""
        return self._day.handling(queue, self.now())

    def expected_wait(self, queue: QueueId) -> int | None:
        """How long one would wait who came now."""
        return self._expected.expect_new(self._engine.acd, queue, self.now())

    def closing(self, queue: QueueId) -> Closing | None:
        """Why a queue takes nobody; ``None`` while it is open."""
        return self._engine.acd.closing(queue)

    def broadcasts(self, queue: QueueId) -> Sequence[Broadcast]:
        """What is being said to those who wait there."""
        return [b for b in self._engine.acd.broadcasts(queue) if b.until > self.now()]

    def health(self) -> Row:
        """What an operations person asks first."""
        return self._health()

    async def submit(self, event: Event) -> Sequence[Command]:
        """Let the core take ``event``; return what it said, once that is on record."""
        return await self._engine.ask(event, source="cli")

    async def reload(self, *, force: bool, author: str) -> Reloaded:
        """Read the configuration again and apply it."""
        return await self._reload(force, author)

    async def list_contacts(
        self,
        *,
        since: Instant | None,
        queue: QueueId | None,
        direction: str | None = None,
        limit: int,
        of: str | None = None,
    ) -> Sequence[Row]:
        """Rows of the contact table, newest first; ``of``: a citizen's number."""
        return await self._records.list_contacts(
            since=since, queue=queue, direction=direction, limit=limit, of=of
        )

    async def told_waits(
        self, *, since: Instant, until: Instant | None, queue: QueueId | None
    ) -> Sequence[Row]:
        """Sums over the waits that were told, by queue."""
        return await self._records.told_waits(since=since, until=until, queue=queue)

    async def show_contact(self, key: str, *, reveal: bool) -> Row | None:
        """One contact with its segments, offers and events."""
        return await self._records.show_contact(key, reveal=reveal)
