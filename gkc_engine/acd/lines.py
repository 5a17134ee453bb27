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

    __slots__ = ("_heads", "index", "medium", "rank", "req", "slope")

    def __init__(self, req: Req, medium: Medium, rank: int, slope: int, heads: list[Head]) -> None:
        super().__init__()
        self.req = req
        self.medium = medium
        self.rank = rank
        self.slope = slope
        self.index = len(heads)
        self._heads = heads
        """Of all lines, this one's at ``index``. Never of a contact that has left it."""
        heads.append(EMPTY)

    def push(self, key: int, contact: Contact) -> None:
        """Add the contact under its present token."""
        ContactRun.push(self, key, contact)
        if self.run[-1][2] == contact.entry and len(self.run) > 1:
            return  # Somebody stands before him.
        head = self._head(key, contact.sequence)
        if head < self._heads[self.index]:
            self._heads[self.index] = head

    def extend(self, entries: list[LineEntry]) -> None:
        """Add many at once, and drop the dead."""
        super().extend(entries)
        self.renew()

    def left_by(self, contact: Contact) -> None:
        """Note that the contact, whose entry is dead now, stands here no more."""
        run, late = self.run, self.late
        if (run and run[0][3] is contact) or (late and late[0][3] is contact):
            self.renew()

    def renew(self) -> None:
        """Find the head anew."""
        entry = self.head()
        self._heads[self.index] = EMPTY if entry is None else self._head(entry[0], entry[1])

    def _head(self, key: int, sequence: int) -> Head:
        before = ((self.rank << _KEY_BITS) + key << _SEQUENCE_BITS) + sequence
        return (before << _LINE_BITS) | self.index
