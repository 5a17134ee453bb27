"""What is to be posted to webhooks, kept on disk until it was: ``webhooks.db`` beside the records.

A file of its own, as ``outbox.db`` (ADR 0031): no commit of the ledger stands behind it. A row is
there while its message waits. A thread of its own writes new ones: whoever raises an alert waits
for no disk, and a server that hangs keeps nobody's message from being written down.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

import sqlalchemy as sa
import structlog

from gkc_engine.errors import GkcError
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder.schema import make_engine, sqlite_url

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

FILE: Final = "webhooks.db"

WAITING_MAX: Final = 1000
"""Messages that wait for one webhook; one more is dropped, logged and counted."""

PENDING_MAX: Final = 1000
"""Messages that wait for the disk."""

GIVE_UP_US: Final = 24 * 3600 * SECOND
"""How long a message is tried: an alert of the day before yesterday is no news."""

_BUSY_MS: Final = 5000

_metadata: Final = sa.MetaData()
_message: Final = sa.Table(
    "message",
    _metadata,
    sa.Column("message_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("webhook", sa.Text, nullable=False),
    sa.Column("delivery", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("made", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.Integer, nullable=False),
    sa.UniqueConstraint("webhook", "delivery"),
)


class BoxError(GkcError):
    """The file cannot be read or written; says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One message that waits for its webhook."""

    delivery: str
    """The same whenever it is sent."""
    body: bytes
    made: Instant
    refused: int = 0
    """How often the server has answered that it does not want it."""
    message_id: int | None = None
    """``None``: it could not be written down, and is lost with the process."""


class Taker(Protocol):
    """Who sends to one webhook."""

    name: str

    def take(self, message: Waiting | None) -> None:
        """Send a message that could not be written down; ``None``: look into the box."""
        ...

    def dropped(self, message: Waiting) -> None:
        """Know that there was no room for a message."""
        ...


class Box:
    """The messages of all webhooks of one engine. Its methods may be called by any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = make_engine(sqlite_url(str(path)), busy_ms=_BUSY_MS)
        self._made = False
        self._todo: queue.Queue[Callable[[], None] | None] = queue.Queue(PENDING_MAX)
        # A daemon: a disk that does not answer does not hold up the end of the engine.
        self._thread = threading.Thread(target=self._run, name="webhook-box", daemon=True)

    def open(self) -> None:
        """Begin; the file is made with the first message."""
        self._thread.start()

    def put(self, taker: Taker, message: Waiting) -> None:
        """Keep a message and have it sent. Never blocks."""
        try:
            self._todo.put_nowait(partial(self._keep, taker, message))
        except queue.Full:
            taker.dropped(message)

    def forget_others(self, webhooks: Sequence[str], before: Instant) -> None:
        """Have forgotten what waits since before an instant for webhooks that are no more."""
        c = _message.c
        old = _message.delete().where(c.webhook.not_in(webhooks), c.made < before)

        def forget() -> None:
            if not self.path.exists():
                return  # No webhook was ever sent anything.
            with contextlib.suppress(BoxError):  # It does no harm; the next reload tries again.
                self._in(lambda connection: connection.execute(old))

        with contextlib.suppress(queue.Full):
            self._todo.put_nowait(forget)

    def close(self, wait_s: float) -> None:
        """Write down what was put, waiting so long for the disk."""
        with contextlib.suppress(queue.Full):
            self._todo.put(None, timeout=wait_s)
            self._thread.join(wait_s)

    def _run(self) -> None:
        while (work := self._todo.get()) is not None:
            work()

    def _keep(self, taker: Taker, message: Waiting) -> None:
        try:
            kept = self._add(taker.name, message)
        except BoxError as error:
            log.warning("webhook_not_kept", webhook=taker.name, reason=str(error))
            taker.take(message)  # It is told all the same, unless the engine ends before.
        else:
            taker.take(None) if kept else taker.dropped(message)

    def _add(self, webhook: str, message: Waiting) -> bool:
        c = _message.c

        def add(connection: sa.Connection) -> bool:
            of = sa.select(sa.func.count()).where(c.webhook == webhook)
            if (connection.scalar(of) or 0) >= WAITING_MAX:
                return False
            row: dict[str, object] = {"webhook": webhook, "delivery": message.delivery}
            row |= {"body": message.body, "made": message.made, "refused": message.refused}
            connection.execute(_message.insert().prefix_with("OR IGNORE"), row)
            return True

        return self._in(add)

    def first(self, webhook: str) -> Waiting | None:
        """Return what has waited for a webhook the longest.

        Raises:
            BoxError: It cannot be read.
        """
        c = _message.c
        query = sa.select(_message).where(c.webhook == webhook).order_by(c.message_id).limit(1)
        row = self._in(lambda connection: connection.execute(query).first())
        if row is None:
            return None
        return Waiting(
            delivery=row.delivery,
            body=row.body,
            made=Instant(row.made),
            refused=row.refused,
            message_id=row.message_id,
        )

    def refused(self, message_id: int) -> None:
        """Count that the server did not want it.

        Raises:
            BoxError: It cannot be written.
        """
        one = _message.update().where(_message.c.message_id == message_id)
        self._in(lambda connection: connection.execute(one.values(refused=_message.c.refused + 1)))

    def remove(self, message_id: int) -> None:
        """Forget a message that was sent or given up.

        Raises:
            BoxError: It cannot be written.
        """
        one = _message.delete().where(_message.c.message_id == message_id)
        self._in(lambda connection: connection.execute(one))

    def _in(self, work: Callable[[sa.Connection], _T]) -> _T:
        try:
            with self._engine.begin() as connection:
                if not self._made:
                    _metadata.create_all(connection)
                done = work(connection)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            said = getattr(error, "orig", None) or error
            raise BoxError(
                f"{self.path}: {said}; look at its disk and its rights. What is to be posted to "
                "webhooks now is lost if the engine ends before"
            ) from error
        self._made = True
        return done
