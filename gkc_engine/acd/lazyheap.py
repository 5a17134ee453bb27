"""Ordered collections from which an element leaves without being searched for.

An entry is a tuple that ends with a token and its owner; the owner knows the token of its present
entry, so an entry with another token is dead. Dead entries are dropped when they come to the head,
and all at once when they could outnumber the living: every operation is O(log n) amortised.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush

from gkc_engine.acd.state import Contact
from gkc_engine.ids import AgentId

_COMPACT_AT = 64

LineEntry = tuple[int, int, int, Contact]
"""Key (an instant), sequence, token, contact."""


class ContactRun:
    """Contacts by (key, sequence): a line of those who wait alike, or a line of due instants.

    They mostly come in that order, so they stand in a run of which the head is taken in no time
    however long it is; who comes with an earlier key (back at his old place) stands in a heap.
    """

    __slots__ = ("_limit", "late", "run")

    def __init__(self) -> None:
        self.run: deque[LineEntry] = deque()
        self.late: list[LineEntry] = []
        self._limit = _COMPACT_AT

    def __len__(self) -> int:
        """Return how many entries there are, dead ones among them."""
        return len(self.run) + len(self.late)

    def put(self, entry: LineEntry) -> None:
        """Add an entry; its token is to be its contact's."""
        run = self.run
        if len(run) + len(self.late) >= self._limit:
            self._drop_dead()
            run = self.run
        if not run or entry > run[-1]:
            run.append(entry)
        else:
            heappush(self.late, entry)

    def _drop_dead(self) -> None:
        self.run = deque([e for e in self.run if e[3].entry == e[2]])
        self.late = [e for e in self.late if e[3].entry == e[2]]
        heapify(self.late)
        self._limit = max(_COMPACT_AT, 2 * len(self))

    def extend(self, entries: list[LineEntry]) -> None:
        """Add many at once, and drop the dead."""
        self.run = deque(sorted([*self.entries(), *entries]))
        self.late = []
        self._limit = max(_COMPACT_AT, 2 * len(self.run))

    def entries(self) -> list[LineEntry]:
        """Return the living entries, in no order."""
        return [e for part in (self.run, self.late) for e in part if e[3].entry == e[2]]

    def first(self) -> LineEntry | None:
        """Return the first entry, be it dead: whatever lives does not come before it."""
        run, late = self.run, self.late
        if late and (not run or late[0] < run[0]):
            return late[0]
        return run[0] if run else None

    def head(self) -> LineEntry | None:
        """Return the first living entry; drop the dead before it."""
        if self.late:
            return self._head_of_both()
        run = self.run
        while run:
            entry = run[0]
            if entry[3].entry == entry[2]:
                return entry
            run.popleft()
        return None

    def _head_of_both(self) -> LineEntry | None:
        run, late = self.run, self.late
        while late:
            entry = late[0]
            if run and run[0] < entry:
                entry = run[0]
                if entry[3].entry == entry[2]:
                    return entry
                run.popleft()
            elif entry[3].entry == entry[2]:
                return entry
            else:
                heappop(late)
        return self.head()

    def pop(self) -> None:
        """Take the first away."""
        run, late = self.run, self.late
        if late and (not run or late[0] < run[0]):
            heappop(late)
        else:
            run.popleft()

    def take(self) -> LineEntry:
        """Take out the first living entry; there must be one."""
        run = self.run
        if not self.late:
            while True:
                entry = run.popleft()
                if entry[3].entry == entry[2]:
                    return entry
        first = self._head_of_both()
        assert first is not None
        self.pop()
        return first

    def head_for(self, agent_id: AgentId) -> LineEntry | None:
        """Return the first living entry whose contact does not exclude the agent."""
        entry = self.head()
        aside: list[LineEntry] = []
        while entry is not None and agent_id in entry[3].excluded:
            aside.append(entry)
            self.pop()
            entry = self.head()
        for skipped in aside:
            heappush(self.late, skipped)
        return entry
