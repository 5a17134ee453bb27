"""Lines of those who wait alike, and their heads, by which a free agent finds his next contact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gkc_engine.acd.lazyheap import ContactRun, LineEntry
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.state import Contact

if TYPE_CHECKING:
    from gkc_engine.acd.matchspace import Req

Head = int
"""The first of a line in one integer: class rank, key (an instant), sequence, index of the line.

The smaller is served first under ``fcfs``. No two are the same, for a contact stands in one line.
"""

_LINE_BITS: Final = 24
_SEQUENCE_BITS: Final = 48
_KEY_BITS: Final = 65  # A head start may reach back before 0.

LINE: Final = (1 << _LINE_BITS) - 1
"""The bits of a head that hold the index of its line."""

EMPTY: Final[Head] = 1 << (_KEY_BITS + _SEQUENCE_BITS + _LINE_BITS + 16)
"""Behind every head: nobody stands in the line."""


class Line(ContactRun):
    """Contacts that wait alike. Compared by heads; order inside is that of the law."""

    __slots__ = ("_base", "_heads", "_occupied", "index", "medium", "rank", "req", "slope", "top")

    def __init__(
        self,
        req: Req,
        medium: Medium,
        rank: int,
        slope: int,
        index: int,
        heads: list[Head],
        occupied: set[int],
    ) -> None:
        super().__init__()
        self.req = req
        self.medium = medium
        self.rank = rank
        self.slope = slope
        self.index = index
        self._base = (rank << _KEY_BITS + _SEQUENCE_BITS + _LINE_BITS) + self.index
        """What all its heads have in common."""
        self._heads = heads
        """Of all lines, this one's at ``index``; of one that is to be found anew, too early."""
        self._occupied = occupied
        """The indices of those lines in which somebody stands."""
        self.top: LineEntry | None = None
        """The entry of which its head tells; None: nobody's, or it is to be found anew."""

    def put(self, entry: LineEntry) -> None:
        """Add an entry; its token is to be its contact's."""
        run = self.run
        if run and entry > run[-1] and len(run) + len(self.late) < self._limit:
            run.append(entry)  # The short way of most: somebody stands before him.
            return
        ContactRun.put(self, entry)
        head = self._head(entry[0], entry[1])
        if head < self._heads[self.index]:
            self._come_forward(head, entry)

    def _come_forward(self, head: Head, entry: LineEntry) -> None:
        """Let the head be an earlier one, and whoever looks at a few lines only know of it."""
        if self._heads[self.index] is EMPTY:
            self._occupied.add(self.index)
        self._heads[self.index], self.top = head, entry
        for profile in self.req.profiles:
            near = profile.near.get(self.medium)
            if near is not None and head < near.bound:
                near.bound = head

    def extend(self, entries: list[LineEntry]) -> None:
        """Add many at once, and drop the dead."""
        super().extend(entries)
        first = self.head()
        assert first is not None, "nobody came"
        self._come_forward(self._head(first[0], first[1]), first)

    def left_by(self, contact: Contact) -> None:
        """Note that the contact, whose entry is dead now, stands here no more."""
        top = self.top
        if top is not None and top[3] is contact:
            self.renew()

    def renew(self) -> None:
        """Find the head anew, for who stood there is gone."""
        entry = self.top = self.head()
        if entry is None:
            self._heads[self.index] = EMPTY
            self._occupied.discard(self.index)
        else:
            self._heads[self.index] = self._head(entry[0], entry[1])

    def _head(self, key: int, sequence: int) -> Head:
        return ((key << _SEQUENCE_BITS) + sequence << _LINE_BITS) + self._base
