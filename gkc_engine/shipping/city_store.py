"""The city's store, written by the collector: a batch and how far we are, in one transaction.

Synchronous; from one thread. ``recorder/city.py`` says what stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from gkc_engine.errors import GkcError
from gkc_engine.recorder import schema
from gkc_engine.recorder.city import CENTERS_MAX, row_in_city
from gkc_engine.recorder.codec import KINDS, CodecError, Message, decode
from gkc_engine.recorder.rows import Row
from gkc_engine.recorder.store import Batch, LedgerError, LedgerStore
from gkc_engine.shipping.batches import UNREADABLE, BadMessageError, Header, Numbered
from gkc_engine.shipping.bounds import INSTANTS, check
from gkc_engine.shipping.position import Position, Verdict, judge, rest
from gkc_engine.shipping.position import after as after_it

_IDS: Final = 500
"""Values in one ``IN (…)``."""

_KNOWN: Final = frozenset(KINDS.values())
_LONG: Final = re.compile(r"\d{19,}")
_INT_MAX: Final = 2**63 - 1


class DoubleError(GkcError):
    """A row of one center has the id of a row of another: it is not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What the city has of a center: a row of ``feed``."""

    center: str
    number: int
    position: Position = field(default_factory=Position)
    ts_us: int = 0
    """Instant of the last row, by the center's clock."""
    taken_us: int = 0
    """When it came, by ours."""
    stream_seq: int = 0
    """Of the message that brought it, in the center's stream."""
    told_seq: int = 0
    """The ledger's last row, as far as the center has told."""
    refused: int = 0
    """Messages that were not taken, and would not have been another time."""
    problem: str | None = None
    """Why nothing comes of it now, for people."""


LEFT: Final = "not in collector.centers: it is not asked"
"""What stands of a center that was taken out of the config; its records stay."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch."""

    verdict: Verdict
    rows: int = 0


class CityStore:
    """Opens the store; takes batches; keeps what is known of each center."""

    def __init__(self, url: str, *, busy_ms: int = 1_000, engine: Engine | None = None) -> None:
        self.store = LedgerStore(url, busy_ms=busy_ms, engine=engine)
        self.feeds: dict[str, Feed] = {}
        """As committed, as far as is known."""
        self._in_doubt = False
        self._going_on: Feed | None = None
        self.store.along(self._along)

    def open(self, centers: Sequence[str], wait_s: float = 5.0) -> None:
        """Open or create it, with a feed for each center; of others people are told ``LEFT``.

        Raises:
            LedgerError: Not now, or a center's own records lie there.
        """
        self.store.open(wait_s)
        self.store.become_city()
        with self.store.transaction() as connection:
            found = {feed.center: feed for feed in feeds(connection)}
            number = max((feed.number for feed in found.values()), default=0)
            for center in centers:
                if center not in found:
                    number += 1
                    if number > CENTERS_MAX:
                        raise LedgerError(f"more than {CENTERS_MAX} centers in one city's store")
                    found[center] = Feed(center=center, number=number)
                    connection.execute(schema.feed.insert(), _columns(found[center]))
            for center, feed in found.items():
                if (center not in centers) != (feed.problem == LEFT):
                    problem = None if center in centers else LEFT
                    found[center] = replace(feed, problem=problem)
                    self._write(connection, found[center])
        self.feeds = found
        self.store.stand_ready()

    def take(self, header: Header, rows: Sequence[Numbered], *, now: int, stream_seq: int) -> Taken:
        """Write what is new of a batch, with the position after it; durable when it returns.

        Raises:
            BadMessageError: Its rows cannot be folded.
            DoubleError: Another center has a row of that id already.
            LedgerError: The store does not take it now.
        """
        feed = self.feed(header.center)
        verdict = judge(feed.position, header)
        older = verdict is Verdict.REPEATED and header.last < feed.position.seq
        if older and not self._holds(header.center, header.last_id):
            return Taken(Verdict.DIVERGED)
        if verdict is not Verdict.TAKE:
            return Taken(verdict)
        new = rest(feed.position, rows)
        if new is None:
            return Taken(Verdict.DIVERGED)
        new = self._unknown(header.center, new)
        messages = [_message(seq, row) for seq, row in new]
        self.store.stand_ready()
        going_on = replace(
            feed,
            position=after_it(header),
            ts_us=rows[-1][1].ts_us,
            taken_us=now,
            stream_seq=max(stream_seq, 0),
            told_seq=max(header.told, header.last),
            problem=None,
        )
        self._append(going_on, [row_in_city(row, feed.number) for _, row in new], messages)
        return Taken(Verdict.TAKE, len(new))

    def _append(self, going_on: Feed, rows: list[Row], messages: list[Message | None]) -> None:
        self._going_on = going_on
        try:
            self.store.append(Batch(rows, messages))  # type: ignore[arg-type]
        except GkcError:
            self._in_doubt = True  # It may be on disk all the same.
            raise
        except Exception as error:
            # Rows that are well formed and make no sense: the transaction is undone.
            raise BadMessageError(
                f"rows up to {going_on.position.seq} cannot be folded: "
                f"{type(error).__name__}: {error}"
            ) from error
        finally:
            self._going_on = None

    def _along(self, connection: sa.Connection) -> Callable[[], None]:
        feed = self._going_on
        if feed is None:
            return lambda: None
        self._write(connection, feed)
        return lambda: self.feeds.__setitem__(feed.center, feed)

    def _write(self, connection: sa.Connection, feed: Feed) -> None:
        table = schema.feed
        connection.execute(table.update().where(table.c.center == feed.center), _columns(feed))

    def feed(self, center: str) -> Feed:
        """Return what the city has of a center.

        Raises:
            LedgerError: The last commit is in doubt, and nobody can tell now.
        """
        if self._in_doubt:
            with self.store.transaction() as connection:
                self.feeds = {feed.center: feed for feed in feeds(connection)}
            self._in_doubt = False
        return self.feeds[center]

    def note(self, center: str, *, refused: int = 0, problem: str | None) -> None:
        """Keep for people what is wrong with a center, and count what was refused.

        Raises:
            LedgerError: Not now.
        """
        feed = self.feed(center)
        noted = replace(feed, refused=feed.refused + refused, problem=problem)
        if noted != feed:
            with self.store.transaction() as connection:
                self._write(connection, noted)
            self.feeds[center] = noted

    def accept(self, center: str) -> None:
        """Take whatever ledger the center has now, from its beginning; rows that are here stay.

        Raises:
            LedgerError: Not now.
        """
        accepted = replace(self.feed(center), position=Position(), stream_seq=0, problem=None)
        with self.store.transaction() as connection:
            self._write(connection, accepted)
        self.feeds[center] = accepted

    def settle(self) -> None:
        """Bring the tables up to the ledger.

        Raises:
            LedgerError: Not now.
        """
        self.store.settle()

    def close(self) -> None:
        """Settle if that can be, and let go."""
        self.store.close()

    def _holds(self, center: str, event_id: str) -> bool:
        e = schema.event.c
        with self.store.transaction() as connection:
            found = connection.scalar(sa.select(e.center).where(e.event_id == event_id))
        return found == center

    def _unknown(self, center: str, rows: Sequence[Numbered]) -> list[Numbered]:
        """Return the rows that are not here yet: after ``accept`` many are.

        Raises:
            DoubleError: Another center has a row of that id.
        """
        e = schema.event.c
        known: dict[str, str] = {}
        ids = [row.event_id for _, row in rows]
        if len(set(ids)) < len(ids):
            raise BadMessageError("the same row twice")
        with self.store.transaction() as connection:
            for at in range(0, len(ids), _IDS):
                query = sa.select(e.event_id, e.center).where(e.event_id.in_(ids[at : at + _IDS]))
                known.update((event_id, of) for event_id, of in connection.execute(query))
        for event_id, of in known.items():
            if of != center:
                raise DoubleError(f"row {event_id} of {center} is {of}'s already")
        return [one for one in rows if one[1].event_id not in known]


def feeds(connection: sa.Connection) -> Iterator[Feed]:
    """Give what the city's store has of each center, by name."""
    table = schema.feed
    for row in connection.execute(sa.select(table).order_by(table.c.center)).mappings():
        told = dict(row)
        position = Position(
            ledger=told.pop("ledger"), seq=told.pop("seq"), event_id=told.pop("event_id")
        )
        yield Feed(position=position, **told)


def _columns(feed: Feed) -> dict[str, Any]:
    return {
        "center": feed.center,
        "number": feed.number,
        "ledger": feed.position.ledger,
        "seq": feed.position.seq,
        "event_id": feed.position.event_id,
        "ts_us": feed.ts_us,
        "taken_us": feed.taken_us,
        "stream_seq": feed.stream_seq,
        "told_seq": feed.told_seq,
        "refused": feed.refused,
        "problem": feed.problem,
    }


def _message(seq: int, row: Row) -> Message | None:
    """Return what a row says; ``None`` of a kind that a newer engine has: it is kept unread.

    Raises:
        BadMessageError: It cannot be read, or says what no column takes.
    """
    if _LONG.search(row.data):
        try:
            _bounded(msgspec.json.decode(row.data))
        except (*UNREADABLE, ValueError) as error:
            raise BadMessageError(f"row {seq}: {error}") from error
    if row.ts_us not in INSTANTS:
        raise BadMessageError(f"row {seq}: an instant that cannot be: {row.ts_us}")
    if row.kind not in _KNOWN:
        return None
    try:
        row_in_city(row, 1)
        message = decode(row.kind, row.data)
        check(message, row.data)
    except (CodecError, ValueError, RecursionError) as error:
        raise BadMessageError(f"row {seq}: {error}") from error
    return message


def _bounded(value: object) -> None:
    if isinstance(value, dict):
        for one in value.values():
            _bounded(one)
    elif isinstance(value, list):
        for one in value:
            _bounded(one)
    elif isinstance(value, int) and abs(value) > _INT_MAX:
        raise ValueError(f"{value}: more than 64 bits")
