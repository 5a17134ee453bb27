"""Everything that is due at an instant, in the order of P5. One heap, lazily cleaned.

Contacts have no timers of their own for steps and longest waits: a ``DueLine`` orders those who are
due for the same thing and arms a single timer for its head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

from gkc_engine.acd.lazyheap import ContactRun
from gkc_engine.acd.state import Contact, Offer
from gkc_engine.ids import AgentId, ContactId, Instant, OfferId


class Kind(IntEnum):
    """P5: the order of one instant."""

    CONFIG = -1
    """Ours: a config version takes effect before anything else of its instant."""
    OFFER_RESULT = 0
    AGENT_ABLE = 1
    STEP = 2
    LEAVING = 3
    ARRIVAL = 4
    TICK = 5
    """Ours: the instant is complete."""


class What(IntEnum):
    """What a timer does; also the order of one agent's or contact's timers of one kind."""

    LEASE = 0
    WRAP_UP = 1
    REST = 2
    PAUSE = 3
    OVERRIDE = 4
    STEP = 5
    EXCLUSION = 6
    PREFERENCE = 7
    MAXWAIT = 8
    UNSTAFFED = 9
    EMPTY = 10
    GIVE_BACK = 11


# Of what every step asks for: a member of an enum costs a look-up in its class.
_OF_STEPS, _LEAVING, _STEP = Kind.STEP, Kind.LEAVING, What.STEP


_FEW: Final = 128
"""Timers up to which the dead stay: a heap is the dearer the deeper it is."""


class DueLine(ContactRun):
    """Contacts that are due for the same thing, the first due at the head."""

    __slots__ = ("armed", "what")

    def __init__(self, what: What) -> None:
        super().__init__()
        self.what = what
        self.armed: tuple[int, int] | None = None
        """(due, sequence) of the timer that stands for the head."""

    def next_due(self) -> tuple[int, int] | None:
        """Return (due, sequence) of the contact that is due next."""
        head = self.head()
        return None if head is None else head[:2]

    def is_next(self, due: Instant, sequence: int) -> bool:
        """Return whether the contact that is due next is this one, and at this instant."""
        return self.next_due() == (due, sequence)


Ref = AgentId | ContactId | OfferId | DueLine

Timer = tuple[Instant, Kind, int, What, int, int, Ref]
"""Due, kind, rank, what, slot, number, whose: compared by the first six, which are unique.

A plain tuple, for it is the cheapest to make and to take apart, and nothing to the collector.
"""


class Timers:
    """The heap of all that is due."""

    def __init__(self, alive: Callable[[Timer], bool], offers: Mapping[OfferId, Offer]) -> None:
        self.heap: list[Timer] = []
        """The first due first, the dead among them."""
        self.alive = alive
        self._offers = offers
        """The open ones. Nearly all leases have lost theirs by then: no call is made for those."""
        self._aging: dict[int, DueLine] = {}
        self._n = 0
        self._limit = _FEW

    def push(
        self,
        due: Instant,
        kind: Kind,
        rank: int,
        what: What,
        ref: Ref,
        sub: int = 0,
    ) -> None:
        """Arm a timer. It is never disarmed: it is dead when its owner no longer waits for it."""
        if len(self.heap) >= self._limit:
            self._drop_dead()
        self._n += 1
        heappush(self.heap, (due, kind, rank, what, sub, self._n, ref))

    def _drop_dead(self) -> None:
        offers = self._offers
        alive: list[Timer] = []
        dead: list[Timer] = []
        # Nearly all are leases of offers that are over.
        for timer in [t for t in self.heap if not isinstance(t[6], int) or t[6] in offers]:
            (alive if self.alive(timer) else dead).append(timer)
        heapify(alive)
        self.heap = alive
        self._limit = max(_FEW, 2 * len(alive))
        for timer in dead:  # It stood for its line, although the head has changed meanwhile.
            if isinstance(timer[6], DueLine):
                self.rearm(timer[6], timer)

    def head(self) -> Timer | None:
        """Return the first living timer; a due line whose head left is armed anew."""
        heap = self.heap
        while heap:
            timer = heap[0]
            ref = timer[6]
            if isinstance(ref, DueLine):
                run = ref.run
                if type(ref) is DueLine and run and not ref.late:  # The short way of most.
                    first = run[0]
                    if first[1] == timer[2] and first[3].entry == first[2] and first[0] == timer[0]:
                        return timer
                if ref.is_next(timer[0], timer[2]):
                    return timer
                heappop(heap)
                self.rearm(ref, timer)
            elif isinstance(ref, int) and ref not in self._offers:
                heappop(heap)
            elif self.alive(timer):
                return timer
            else:
                heappop(heap)
        return None

    def pop(self) -> None:
        """Take the head away (it was returned by ``head``, and stands for no line)."""
        heappop(self.heap)

    def advance(self, timer: Timer, line: DueLine) -> None:
        """The contact for whom a line's timer stood is taken out: let one stand for the next.

        Who came before it meanwhile leaves it where it is: it is dead, and ``head`` finds that.
        """
        heap = self.heap
        if heap[0] is not timer:
            return
        first = line.next_due()
        if first is None:
            line.armed = None
            heappop(heap)
            return
        line.armed = first
        due, sequence = first
        self._n += 1
        due_at: Instant = due  # type: ignore[assignment]  # A NewType's call is dear.
        heapreplace(heap, (due_at, timer[1], sequence, timer[3], 0, self._n, line))

    def rearm(self, line: DueLine, dead: Timer) -> None:
        """After a dead timer of a line: arm one for the present head, unless one stands."""
        if line.armed != (dead[0], dead[2]):
            return
        line.armed = None
        self.arm(line)

    def arm(self, line: DueLine) -> None:
        """Make sure that a timer stands for the head of the line."""
        due, what = line.next_due(), line.what
        if due is not None and (line.armed is None or due < line.armed):
            line.armed = due
            kind = _OF_STEPS if what is _STEP else _LEAVING
            self.push(Instant(due[0]), kind, due[1], what, line)

    def aging(self, after_us: int) -> DueLine:
        """Return the line of those, in whatever queue, whose next step begins after so long."""
        line = self._aging.get(after_us)
        if line is None:
            line = self._aging[after_us] = DueLine(What.STEP)
        return line

    def add(self, line: DueLine, due: int, contact: Contact) -> None:
        """Put the contact into a due line."""
        sequence, armed = contact.sequence, line.armed
        line.put((due, sequence, contact.entry, contact))
        if armed is None or (due, sequence) < armed:
            self.arm(line)
