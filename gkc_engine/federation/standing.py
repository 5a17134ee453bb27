"""Who waits here, in order, as the core's own commands tell it: cheap to follow, cheap to ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Final, TypeAlias

from msgspec import Struct

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.capacity import InLine
from gkc_engine.acd.settings import CLASS_RANK, ContactClass
from gkc_engine.ids import ContactId, Instant, Micros, QueueId

SLACK: Final = 64
"""So many, and twice those who are known, may stand in a line before it is looked through."""

_Key: TypeAlias = tuple[int, int, int]
"""Class rank, enqueue time less the head start, sequence: the order of P2 in a queue."""


class Waiter(Struct, kw_only=True, gc=False):
    """One contact that stands in a queue of ours."""

    contact_id: ContactId
    queue: QueueId
    enqueued: Instant
    sequence: int
    contact_class: ContactClass
    head_start_us: Micros
    consult: bool = False
    """No contact, but an operator of ours who asks for advice …"""
    about: ContactId | None = None
    """… about this one, if he has a citizen."""
    waits: bool = False
    """Held with music: not rung, not treated."""

    @property
    def key(self) -> _Key:
        """Its place among those of its queue."""
        return CLASS_RANK[self.contact_class], self.enqueued - self.head_start_us, self.sequence


class Standing:
    """Follows the core's commands."""

    def __init__(self) -> None:
        self._known: dict[ContactId, Waiter] = {}
        self._guests: set[ContactId] = set()
        """Other centers' contacts here: they are not sent on, whatever queue they come into."""
        self._lines: dict[QueueId, list[tuple[_Key, ContactId]]] = {}
        """Heaps; who has left a line is dropped when he comes to its head, or with many others."""

    def recall(self, lines: Iterable[InLine], guests: Iterable[ContactId]) -> None:
        """Take who stood here before this run: nothing of them is said again."""
        self._guests.update(guests)
        for one in lines:
            self._known[one.contact_id] = Waiter(
                contact_id=one.contact_id,
                queue=one.queue,
                enqueued=one.enqueued,
                sequence=one.sequence,
                contact_class=one.contact_class,
                head_start_us=one.head_start_us,
            )
            if one.waits:
                self._waits(one.contact_id)

    def said(self, command: cmd.Command) -> None:
        """Take note of one command of the core."""
        match command:
            case cmd.GrantReservation():
                self._guests.add(command.reservation_id)
            case cmd.ContactQueued() if command.contact_id not in self._guests:
                self._known[command.contact_id] = Waiter(
                    contact_id=command.contact_id,
                    queue=command.queue,
                    enqueued=command.enqueued,
                    sequence=command.sequence,
                    contact_class=command.contact_class,
                    head_start_us=command.head_start_us,
                )
            case cmd.ConsultQueued():
                self._known[command.contact_id] = Waiter(
                    contact_id=command.contact_id,
                    queue=command.queue,
                    enqueued=command.enqueued,
                    sequence=command.sequence,
                    contact_class=command.contact_class,
                    head_start_us=command.head_start_us,
                    consult=True,
                    about=command.about,
                )
            case cmd.PriorityChanged():
                self._reorder(command)
            case cmd.HoldContact():
                self._waits(command.contact_id)
            case cmd.OfferContact() | cmd.OverflowContact() | cmd.TreatContact():
                waiter = self._known.get(command.contact_id)
                if waiter is not None:
                    waiter.waits = False
            case cmd.ContactEnded() | cmd.ConsultOver():
                self._known.pop(command.contact_id, None)
                self._guests.discard(command.contact_id)
            case _:
                pass

    def _waits(self, contact_id: ContactId) -> None:
        waiter = self._known.get(contact_id)
        if waiter is None:
            return  # A call for advice in a first line: only our own operators are asked.
        if not waiter.waits:
            waiter.waits = True
            self._stand(waiter)

    def _stand(self, waiter: Waiter) -> None:
        """Put one into its line; of a line that is mostly of those who have left, they go."""
        line = self._lines.setdefault(waiter.queue, [])
        if len(line) > SLACK + 2 * len(self._known):  # Nobody may have looked at it for days.
            line[:] = {entry for entry in line if not self._is_stale(waiter.queue, entry)}
            heapify(line)
        heappush(line, (waiter.key, waiter.contact_id))

    def _is_stale(self, queue: QueueId, entry: tuple[_Key, ContactId]) -> bool:
        waiter = self._known.get(entry[1])
        if waiter is None or not waiter.waits or waiter.queue != queue:
            return True
        return waiter.key != entry[0]

    def _reorder(self, command: cmd.PriorityChanged) -> None:
        waiter = self._known.get(command.contact_id)
        if waiter is None:
            return
        waiter.contact_class = command.contact_class
        waiter.head_start_us = command.head_start_us
        if waiter.waits:
            self._stand(waiter)

    def get(self, contact_id: ContactId) -> Waiter | None:
        """Return a contact that stands in a queue, whether it is rung or not."""
        return self._known.get(contact_id)

    def queues(self) -> Iterator[QueueId]:
        """Iterate over the queues in which somebody may wait."""
        return iter(tuple(self._lines))

    def first(self, queue: QueueId, n: int) -> list[Waiter]:
        """Return the first who wait in a queue, at most so many, in their order."""
        line = self._lines.get(queue)
        if line is None:
            return []
        found: list[tuple[_Key, ContactId]] = []
        while line and len(found) < n:
            entry = heappop(line)
            if self._is_stale(queue, entry) or (found and found[-1] == entry):
                continue
            found.append(entry)
        for entry in found:
            heappush(line, entry)
        if not line:
            del self._lines[queue]
        return [self._known[contact_id] for _, contact_id in found]
