"""When those who wait now will be offered: the world at one instant, looked ahead.

Everybody who waits is poured, in the order of P2, into the pools of those who may serve them
(``lookahead.py``), at the present step and, from its instant on, at a later one that widens. The
result serves all who ask at this instant. Beyond ``WAITING_MAX`` who wait, every n-th stands for n.

What it leaves out: citizens who come later and overtake (a higher class, a head start), exclusions
of P6, preferences of P7, agents who pause or come back. ``match-first`` and ``accumulating`` are
taken as the order of this instant.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from operator import attrgetter
from typing import Final, TypeAlias

from gkc_engine.acd.drawing import Draw, Mean, Slots
from gkc_engine.acd.lazyheap import LineEntry
from gkc_engine.acd.lines import Line
from gkc_engine.acd.lookahead import LookAhead, Pool, grid_of
from gkc_engine.acd.matchspace import Req
from gkc_engine.acd.measured import Shape
from gkc_engine.acd.settings import CLASS_RANK, Medium, Order
from gkc_engine.acd.state import Agent, Contact, Slot, Work
from gkc_engine.acd.world import Queue, World
from gkc_engine.ids import AgentId, Instant, QueueId

WAITING_MAX: Final = 2_000
"""Contacts that are poured one by one; of more, a sample."""

Pools: TypeAlias = list[Pool]
LineKey: TypeAlias = tuple[int, Medium, int, int]
"""Requirement (its identity), medium, class, slope: who waits alike."""


@dataclass(slots=True, kw_only=True)
class Facts:
    """What was measured, as ``ExpectedWait`` knows it."""

    shape: Callable[[QueueId | None], Shape]
    theta: Callable[[QueueId, float], float]
    """Rate of leaving of a queue, given how long (µs) those who wait have waited together."""
    held_us: Callable[[AgentId, int, Slot], float]
    """Since when an agent's slot has been held by what holds it now."""


@dataclass(slots=True)
class _LineAhead:
    """A line at this instant: who waits, in order, and after how long each is offered."""

    line: Line
    entries: list[tuple[int, int]] = field(default_factory=list)
    """(key, sequence), ascending."""
    waits_us: list[float | None] = field(default_factory=list)
    mean: Mean = field(default_factory=Mean)
    """Their mean handling time."""


@dataclass(slots=True)
class _Poured:
    """One contact, or one that stands for ``count``, on its way into the pools."""

    order: tuple[int, float, int, int]
    entry: LineEntry
    count: float
    ahead: _LineAhead


class Forecast:
    """The look-ahead from one instant."""

    def __init__(self, world: World, facts: Facts, now: Instant) -> None:
        self.at = now
        self._world = world
        self._settings = world.settings
        self._facts = facts
        self._lines: dict[LineKey, _LineAhead] = {}
        self._pools: dict[tuple[int, Medium], Pool] = {}
        self._of_req: dict[tuple[int, Medium], Pools] = {}
        self._later: dict[tuple[int, int], list[tuple[int, Pools]]] = {}
        self.cost = 0
        """Work done so far, about 4 µs each."""
        self._left_by: dict[int, dict[int, float]] = {}
        """For each class that waits, how much of the pools it and those above take."""
        self._theta: dict[QueueId, float] = {}
        self._sampled = False
        self._work = self._make()

    # --- making ----------------------------------------------------------------------------------

    def advance(self, budget: int) -> bool:
        """Do about so much of the work; return whether all is done.

        The world may change between two calls, as it changes before somebody asks: what is looked
        at later is a moment newer. Not so its config: see ``of_world``.
        """
        limit = self.cost + budget
        return all(self.cost < limit for _ in self._work)

    def _make(self) -> Iterator[None]:
        poured: list[_Poured] = []
        yield from self._waiting(poured)
        means = self._means()
        overall = Mean()
        for ahead in self._lines.values():
            overall.join(ahead.mean)
        self._grid = grid_of(overall.value or self._facts.shape(None).mean_us)
        self._ahead = LookAhead(self._grid)
        yield from self._draw_pools(means)
        self._theta = self._thetas(poured)
        yield from self._pour(poured)

    # --- asking ----------------------------------------------------------------------------------

    def of_world(self, world: World) -> bool:
        """Return whether it is of this world under its present config."""
        return world is self._world and world.settings is self._settings

    def of(self, contact: Contact) -> float | None:
        """Return after how long (µs from ``at``) a waiting contact is offered; None = never."""
        assert contact.queue is not None
        queue = self._world.queues[contact.queue]
        rank, key, sequence = self._world.order_key(contact)
        slope = self._world.precedence(contact)[2] if self._accumulating else 0
        req, medium = queue.steps[contact.step][1], queue.settings.medium
        line = self._lines.get((id(req), medium, rank, slope))
        if line is not None:
            place = bisect_left(line.entries, (key, sequence))
            if place < len(line.entries):
                return line.waits_us[place]
        return self._last(queue, contact.step, rank, self.at - (contact.enqueued or self.at))

    def of_new(self, queue: Queue) -> float | None:
        """Return after how long one who comes now would be offered; None = never."""
        return self._last(queue, 0, CLASS_RANK[queue.settings.contact_class], 0)

    @property
    def _accumulating(self) -> bool:
        return self._world.settings.order is Order.ACCUMULATING

    def _last(self, queue: Queue, step: int, rank: int, waited_us: int) -> float | None:
        """Return the wait of one behind all of his class and those above."""
        pools = self._pools_of(queue.steps[step][1], queue.settings.medium)
        later = self._later_pools(queue, step, waited_us)
        above = [r for r in self._left_by if r <= rank]
        left = self._left_by[max(above)] if above else {}
        # After the pouring the pools are as the lowest class left them.
        now = [(pool, pool.used) for pool in (*pools, *(pool for _, pool in later))]
        for pool, _ in now:
            pool.used = left.get(id(pool), 0.0)
        filled = self._ahead.fill(pools, 1.0, later)
        wait = None if filled is None else self._ahead.wait_us(filled, pools, later)
        for pool, used in now:
            pool.used = used
        return wait

    # --- who waits -------------------------------------------------------------------------------

    def _waiting(self, found: list[_Poured]) -> Iterator[None]:
        """Find those who wait, or a sample of them, in the order in which they are served."""
        lines = _lines(self._world)
        total = sum(map(len, lines))
        stride = -(-total // WAITING_MAX) or 1
        self._sampled = stride > 1
        self.cost += len(self._world.space.profiles) + len(lines)
        for line in lines:
            yield
            if stride == 1:
                entries, count = line.entries(), 1.0
            else:
                start = min(stride // 2, len(line) - 1)
                seen = list(islice(chain(line.run, line.late), start, None, stride))
                entries = [e for e in seen if e[3].entry == e[2]]
                count = len(line) / len(seen)
            if not entries:
                continue
            key = id(line.req), line.medium, line.rank, line.slope
            ahead = self._lines.setdefault(key, _LineAhead(line))
            self.cost += len(entries) // 2
            first = self._before_key(line)
            for entry in entries:
                if self._accumulating:
                    first = -float(line.slope * (self.at - (entry[3].enqueued or self.at)))
                found.append(_Poured((line.rank, first, *entry[:2]), entry, count, ahead))
                ahead.mean.add(self._facts.shape(entry[3].queue).mean_us, count)
        found.sort(key=attrgetter("order"))

    def _before_key(self, line: Line) -> float:
        """Return what comes before the key in the order of lines, as far as it is the line's."""
        if self._world.settings.order is not Order.MATCH_FIRST or not line.req.profiles:
            return 0.0
        levels = [p.skills.get(skill, 0) for p in line.req.profiles for skill in line.req.need]
        return -sum(levels) / len(line.req.profiles)

    def _thetas(self, poured: list[_Poured]) -> dict[QueueId, float]:
        waited: dict[QueueId, float] = defaultdict(float)
        for one in poured:
            contact = one.entry[3]
            assert contact.queue is not None
            assert contact.enqueued is not None
            waited[contact.queue] += one.count * (self.at - contact.enqueued)
        return {queue: self._facts.theta(queue, us) for queue, us in waited.items()}

    # --- who serves ------------------------------------------------------------------------------

    def _means(self) -> dict[tuple[int, Medium], Mean]:
        """Return the mean handling time of the contacts that each profile is going to serve."""
        found: dict[tuple[int, Medium], Mean] = defaultdict(Mean)
        for ahead in self._lines.values():
            for profile in ahead.line.req.profiles:
                found[id(profile), ahead.line.medium].join(ahead.mean)
            self.cost += len(ahead.line.req.profiles) // 4
        return found

    def _draw_pools(self, means: Mapping[tuple[int, Medium], Mean]) -> Iterator[None]:
        draw = Draw(self._grid, self._facts.shape)
        self.cost += len(self._world.agents) // 3
        for (index, medium), slots in self._slots().items():
            yield
            done = draw.work
            key = id(self._world.space.profiles[index]), medium
            self._pools[key] = draw.pool(slots, means[key].value if key in means else None)
            self.cost += draw.work - done

    def _slots(self) -> dict[tuple[int, Medium], Slots]:
        found: dict[tuple[int, Medium], Slots] = {}
        ageless: dict[QueueId | None, bool] = {}
        for agent in self._world.agents.values():
            if not agent.logged_in or agent.paused or not agent.reachable or agent.removed:
                continue
            for index, slot in enumerate(agent.slots):
                key = agent.profile, slot.medium
                slots = found.get(key)
                if slots is None:
                    slots = found[key] = Slots()
                work, queue = slot.work, slot.queue
                if work is Work.FREE or work is Work.WRAP_UP:
                    self._add_known(slots, agent, slot)
                    continue
                skips = ageless.get(queue)
                if skips is None:
                    skips = ageless[queue] = self._facts.shape(queue).memoryless
                held = 0.0 if skips else self._facts.held_us(agent.agent_id, index, slot)
                slots.held[queue, held] = slots.held.get((queue, held), 0) + 1
        return found

    def _add_known(self, slots: Slots, agent: Agent, slot: Slot) -> None:
        if slot.work is Work.WRAP_UP:
            slots.known_us.append(float(max(0, (slot.until or self.at) - self.at)))
        elif slot.medium is Medium.VOICE and (agent.in_use or agent.calls):
            slots.own_calls += 1
        else:
            slots.known_us.append(float(max(0, (agent.rest_until or self.at) - self.at)))

    def _pools_of(self, req: Req, medium: Medium) -> Pools:
        key = id(req), medium
        pools = self._of_req.get(key)
        if pools is None:
            pools = self._of_req[key] = [
                self._pools[id(profile), medium]
                for profile in req.profiles
                if (id(profile), medium) in self._pools
            ]
        return pools

    # --- the pouring -----------------------------------------------------------------------------

    def _pour(self, poured: list[_Poured]) -> Iterator[None]:
        for at, one in enumerate(poured):
            yield
            line, rank = one.ahead, one.ahead.line.rank
            # Under every law a line's own contacts come by (key, sequence).
            line.entries.append(one.entry[:2])
            line.waits_us.append(self._pour_one(one, one.entry[3]))
            if at + 1 == len(poured) or poured[at + 1].ahead.line.rank != rank:
                used = {id(pool): pool.used for pool in self._pools.values() if pool.used}
                self._left_by[rank] = used

    def _pour_one(self, one: _Poured, contact: Contact) -> float | None:
        assert contact.queue is not None
        assert contact.enqueued is not None
        line = one.ahead.line
        pools = self._pools_of(line.req, line.medium)
        queue = self._world.queues[contact.queue]
        later = self._later_pools(queue, contact.step, self.at - contact.enqueued)
        self.cost += 1 + (len(pools) + 2 * len(later)) // (2 if self._sampled else 1)
        filled = self._ahead.fill(pools, 1.0, later)
        if filled is None:
            return None
        # Where thousands wait, chance evens out.
        wait = filled.wait_us if self._sampled else self._ahead.wait_us(filled, pools, later)
        theta = self._theta.get(contact.queue, 0.0)
        served = one.count * self._ahead.served_share(filled, one.count, theta)
        taken = filled if served == 1.0 else self._ahead.fill(pools, served, later)
        if taken is not None:
            self._ahead.take(taken, one.count, theta)
        return wait

    def _later_pools(self, queue: Queue, step: int, waited_us: int) -> list[tuple[float, Pool]]:
        """Return the pools that the next steps add, with the instant of each."""
        if step + 1 == len(queue.steps):
            return []
        key = id(queue), step
        steps = self._later.get(key)
        if steps is None:
            medium = queue.settings.medium
            known = {id(pool) for pool in self._pools_of(queue.steps[step][1], medium)}
            steps = self._later[key] = []
            for after, req in queue.steps[step + 1 :]:
                more = [p for p in self._pools_of(req, medium) if id(p) not in known]
                known |= {id(pool) for pool in more}
                steps.append((after, more))
        return [(float(max(0, after - waited_us)), pool) for after, more in steps for pool in more]


def _lines(world: World) -> list[Line]:
    """Return every line that somebody could serve and somebody may stand in."""
    of_all = (lines for profile in world.space.profiles for lines in profile.lines.values())
    found = {
        id(line): line
        for lines in (*of_all, *world.space.own_lines.values())
        for line in lines
        if line
    }
    return list(found.values())
