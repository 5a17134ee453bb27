"""The outbox: a row for each mail from the moment it is due, kept after it was sent. Synchronous.

A file of its own (ADR 0031): megabytes of attachments must not stand before the ledger's commits.
What makes "once each" is the key ``(name, first, copy)``: of one schedule, one period.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from gkc_engine.delivery.outbox_tables import mail, mail_to, metadata, schedule
from gkc_engine.errors import GkcError
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder.queries import iso
from gkc_engine.recorder.schema import make_engine, sqlite_url

FILE: Final = "outbox.db"
"""Beside the records; not ``*.sqlite``, which commands take for a store."""

WAITING_MAX: Final = 1000
"""Mails not sent yet; what is due beyond that is taken up when there is room."""

WAITING_BYTES_MAX: Final = 256 * 1024 * 1024
"""Content of mails not sent yet; beyond that no report is made."""

LOG_KEPT_US: Final = 400 * 86_400 * SECOND
"""How long a row stands after its mail was sent or given up."""

ERROR_CHARS_MAX: Final = 500
_BUSY_MS: Final = 5000


class State(StrEnum):
    """Of a mail, and of one of its addresses (which is never ``due`` or ``sending``)."""

    DUE = "due"
    """Its report is to be made."""
    QUEUED = "queued"
    SENDING = "sending"
    """Handed to the server; found at a start, nobody knows whether it was taken."""
    SENT = "sent"
    FAILED = "failed"
    """Given up; ``gkc report retry`` begins anew."""


WAITING: Final = (State.DUE, State.QUEUED, State.SENDING)


class OutboxError(GkcError):
    """The outbox cannot be read or written: says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMail:
    """A mail that is due: which period of which schedule, to whom."""

    name: str
    first: str
    """The first local day of the period, ISO 8601; of a message that is no report, its key."""
    after: str
    """The local day after it."""
    period: str
    due: Instant
    give_up: Instant
    to: Sequence[str]
    copy: int = 0
    """1, 2, …: sent again because somebody asked for it."""


Row = Mapping[str, Any]


class Outbox:
    """One center's outbox. For one thread; other processes may read beside it."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        url = sqlite_url(str(path))
        self._engine = make_engine(url, busy_ms=_BUSY_MS, read_only=read_only)

    def open(self) -> None:
        """Create what is missing."""
        with self._begin() as connection:
            metadata.create_all(connection)

    def is_made(self) -> bool:
        """Return whether there are tables: an engine may just be making them."""
        with self._begin() as connection:
            return sa.inspect(connection).has_table(mail_to.name)

    def close(self) -> None:
        """Let the file go."""
        self._engine.dispose()

    # --- what is due --------------------------------------------------------------------------

    def follow(self, names: Sequence[str], now: Instant) -> dict[str, Instant]:
        """Note which schedules there are; return since when each is known."""
        with self._begin() as connection:
            connection.execute(schedule.delete().where(schedule.c.name.not_in(names)))
            known = {row.name: row.since for row in connection.execute(sa.select(schedule))}
            new = [{"name": n, "since": now} for n in names if n not in known]
            if new:
                connection.execute(schedule.insert(), new)
        return {name: Instant(known.get(name, now)) for name in names}

    def requeue(self) -> int:
        """Queue again what was left in the middle of being sent; return how many mails.

        They keep their Message-ID: the server may have them already, and may drop the double.
        """
        said = "broken off while it was being sent; sent again under the same Message-ID"
        cut_off = mail.update().where(mail.c.state == State.SENDING)
        with self._begin() as connection:
            done = connection.execute(cut_off.values(state=State.QUEUED, last_error=said))
        return done.rowcount

    def known(self, since: Instant) -> set[tuple[str, str]]:
        """Return name and first day of what was put in line for ``since`` or later."""
        query = sa.select(mail.c.name, mail.c.first).where(mail.c.due >= since, mail.c.copy == 0)
        with self._begin() as connection:
            return {(row.name, row.first) for row in connection.execute(query)}

    def add(
        self, new: NewMail, *, content: bytes | None = None, message_id: str = ""
    ) -> int | None:
        """Put a mail in line, once; return its id, ``None`` if it was there or there is no room.

        Without ``content`` its report is made first.
        """
        with self._begin() as connection:
            c = mail.c
            same = (c.name == new.name) & (c.first == new.first) & (c.copy == new.copy)
            if connection.scalar(sa.select(c.mail_id).where(same)) is not None:
                return None
            waiting = sa.select(sa.func.count()).where(c.state.in_(WAITING))
            if (connection.scalar(waiting) or 0) >= WAITING_MAX:
                return None
            row: dict[str, Any] = {"name": new.name, "first": new.first, "after": new.after}
            row |= {"copy": new.copy, "period": new.period}
            row |= {"due": new.due, "state": State.DUE, "attempts": 0, "next_try": new.due}
            row |= {"give_up": new.give_up}
            if content is not None:
                row |= {"state": State.QUEUED, **_held(content, message_id)}
            made = connection.execute(mail.insert(), row).inserted_primary_key
            assert made is not None
            rows = [{"mail_id": made[0], "address": a, "state": State.QUEUED} for a in new.to]
            connection.execute(mail_to.insert(), rows)
            return int(made[0])

    def copies(self, name: str, first: str) -> Row | None:
        """Return the last mail of a schedule's period, ``None`` if none was ever in line."""
        query = self._shown().where(mail.c.name == name, mail.c.first == first)
        with self._begin() as connection:
            row = connection.execute(query.order_by(mail.c.copy.desc()).limit(1)).mappings().first()
        return None if row is None else dict(row)

    # --- in the order in which they were due ----------------------------------------------------

    def next(self, state: State, now: Instant, after: tuple[int, int] = (-1, -1)) -> Row | None:
        """Return the first mail in ``state`` whose turn has come, of those ``after`` a place."""
        c = mail.c
        query = (
            sa.select(mail)
            .where(c.state == state, c.next_try <= now)
            .where((c.due > after[0]) | ((c.due == after[0]) & (c.mail_id > after[1])))
            .order_by(c.due, c.mail_id)
            .limit(1)
        )
        with self._begin() as connection:
            row = connection.execute(query).mappings().first()
            return None if row is None else dict(row)

    def expired(self, now: Instant) -> list[Row]:
        """Return what waits for longer than anybody tries."""
        query = self._shown().where(mail.c.state.in_(WAITING), mail.c.give_up <= now)
        with self._begin() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def next_try(self) -> Instant | None:
        """Return when the next mail is to be made or sent; ``None``: none waits."""
        query = sa.select(sa.func.min(mail.c.next_try)).where(mail.c.state.in_(WAITING))
        with self._begin() as connection:
            found = connection.scalar(query)
        return None if found is None else Instant(found)

    def bytes_waiting(self) -> int:
        """Return how much content is kept."""
        query = sa.select(sa.func.coalesce(sa.func.sum(mail.c.bytes), 0))
        with self._begin() as connection:
            return int(connection.scalar(query.where(mail.c.content.is_not(None))) or 0)

    def addresses(self, mail_id: int) -> list[str]:
        """Return to whom a mail is still to be sent."""
        c = mail_to.c
        query = sa.select(c.address).where(c.mail_id == mail_id, c.state == State.QUEUED)
        with self._begin() as connection:
            return list(connection.scalars(query.order_by(c.address)))

    # --- what came of it ------------------------------------------------------------------------

    def made(self, mail_id: int, content: bytes, message_id: str, now: Instant) -> None:
        """Keep a mail's content until it is sent."""
        values = {"state": State.QUEUED, "attempts": 0, "next_try": now, "last_error": None}
        self._set(mail_id, **values, **_held(content, message_id))

    def sending(self, mail_id: int) -> None:
        """Note that the server is about to have it."""
        self._set(mail_id, state=State.SENDING)

    def put_off(self, mail_id: int, state: State, error: str, next_try: Instant) -> None:
        """Note one more attempt, why it did not do, and when the next one is."""
        values = {"state": state, "last_error": _short(error), "next_try": next_try}
        self._set(mail_id, **values, attempts=mail.c.attempts + 1)

    def reached(self, mail_id: int, replies: Mapping[str, str], state: State) -> None:
        """Note for each address what the server said: ``SENT``, ``FAILED``, or later."""
        c = mail_to.c
        with self._begin() as connection:
            for address, reply in replies.items():
                one = mail_to.update().where(c.mail_id == mail_id, c.address == address)
                connection.execute(one.values(state=state, reply=_short(reply)))

    def finished(self, mail_id: int, now: Instant) -> State:
        """Note that nobody is left to send it to; its content goes, its hash stays."""
        c = mail_to.c
        with self._begin() as connection:
            failed = connection.execute(
                sa.select(c.address, c.reply).where(c.mail_id == mail_id, c.state == State.FAILED)
            ).all()
            state = State.FAILED if failed else State.SENT
            error = "; ".join(f"{row.address}: {row.reply}" for row in failed) or None
            values: dict[str, Any] = {"state": state, "content": None}
            values |= {"attempts": mail.c.attempts + 1, "sent": None if failed else now}
            values["last_error"] = None if error is None else _short(error)
            connection.execute(mail.update().where(mail.c.mail_id == mail_id).values(values))
        return state

    def give_up(self, mail_id: int, error: str) -> None:
        """End it unsent, with the reason."""
        with self._begin() as connection:
            values = {"state": State.FAILED, "content": None, "last_error": _short(error)}
            connection.execute(mail.update().where(mail.c.mail_id == mail_id).values(values))
            left = (mail_to.c.mail_id == mail_id) & (mail_to.c.state == State.QUEUED)
            connection.execute(mail_to.update().where(left).values(state=State.FAILED))

    def again(self, mail_id: int, to: Sequence[str], now: Instant, give_up: Instant) -> None:
        """Begin anew with what failed: make it again, for those of ``to`` who have it not."""
        c = mail_to.c
        with self._begin() as connection:
            gone = (c.mail_id == mail_id) & (c.state != State.SENT)
            connection.execute(mail_to.delete().where(gone))
            have = set(connection.scalars(sa.select(c.address).where(c.mail_id == mail_id)))
            rows = [
                {"mail_id": mail_id, "address": a, "state": State.QUEUED}
                for a in to
                if a not in have
            ]
            if rows:
                connection.execute(mail_to.insert(), rows)
            values: dict[str, Any] = {"state": State.DUE, "attempts": 0, "next_try": now}
            values |= {"give_up": give_up, "last_error": None}
            connection.execute(mail.update().where(mail.c.mail_id == mail_id).values(values))

    def hurry(self, now: Instant, mail_id: int | None = None) -> int:
        """Let what waits (or one of it) be tried at once; return how many that are."""
        todo = mail.update().where(mail.c.state.in_((State.DUE, State.QUEUED)))
        if mail_id is not None:
            todo = todo.where(mail.c.mail_id == mail_id)
        with self._begin() as connection:
            return connection.execute(todo.values(next_try=now)).rowcount

    def prune(self, now: Instant) -> None:
        """Forget what was done long ago."""
        old = mail.c.state.not_in(WAITING) & (mail.c.due < now - LOG_KEPT_US)
        with self._begin() as connection:
            gone = mail_to.c.mail_id.in_(sa.select(mail.c.mail_id).where(old))
            connection.execute(mail_to.delete().where(gone))
            connection.execute(mail.delete().where(old))

    # --- to look at -----------------------------------------------------------------------------

    def rows(self, limit: int, mail_id: int | None = None) -> list[dict[str, Any]]:
        """Return the last ``limit`` mails, the newest first, each with its addresses."""
        query = self._shown().order_by(mail.c.mail_id.desc()).limit(limit)
        if mail_id is not None:
            query = query.where(mail.c.mail_id == mail_id)
        with self._begin() as connection:
            found = [dict(row) for row in connection.execute(query).mappings()]
            by_id: dict[int, list[dict[str, Any]]] = {row["mail_id"]: [] for row in found}
            c = mail_to.c
            to = sa.select(mail_to).where(c.mail_id.in_(list(by_id))).order_by(c.address)
            for one in connection.execute(to).mappings():
                shown = {"address": one["address"], "state": one["state"], "reply": one["reply"]}
                by_id[one["mail_id"]].append(shown)
        return [row | {"to": by_id[row["mail_id"]]} for row in found]

    def counts(self) -> tuple[dict[str, int], Instant | None]:
        """Return how many mails are in each state, and when the oldest that waits was due."""
        query = sa.select(mail.c.state, sa.func.count()).group_by(mail.c.state)
        oldest = sa.select(sa.func.min(mail.c.due)).where(mail.c.state.in_(WAITING))
        with self._begin() as connection:
            found = {row[0]: row[1] for row in connection.execute(query)}
            due = connection.scalar(oldest)
        counts = {str(state): found.get(state, 0) for state in State}
        return counts, None if due is None else Instant(due)

    @staticmethod
    def _shown() -> sa.Select[Any]:
        return sa.select(*(column for column in mail.c if column is not mail.c.content))

    def _set(self, mail_id: int, **values: Any) -> None:  # noqa: ANN401
        with self._begin() as connection:
            connection.execute(mail.update().where(mail.c.mail_id == mail_id).values(values))

    @contextlib.contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except (sa.exc.SQLAlchemyError, OSError) as error:
            said = getattr(error, "orig", None) or error
            raise OutboxError(
                f"outbox {self.path}: {said}; look at its disk and its rights. Mails wait, "
                "none is lost"
            ) from error


def left_in(path: Path, limit: int, mail_id: int | None = None) -> list[dict[str, Any]]:
    """Return what an engine left behind; nothing where none ever sent anything."""
    if not path.is_file():
        return []
    left = Outbox(path, read_only=True)
    try:
        return [public(row) for row in left.rows(limit, mail_id)] if left.is_made() else []
    finally:
        left.close()


def public(row: Row, server_again: Instant = Instant(0)) -> dict[str, Any]:
    """Return a row of ``Outbox.rows`` as people and scripts see it; times in ISO 8601."""
    waits = row["state"] in (State.DUE, State.QUEUED)
    said = {key: row[key] for key in _SAID}
    return said | {
        "due": iso(row["due"]),
        "next_try": iso(max(row["next_try"], server_again)) if waits else None,
        "give_up": iso(row["give_up"]) if waits else None,
        "sent": None if row["sent"] is None else iso(row["sent"]),
    }


_SAID: Final = (
    "mail_id",
    "name",
    "period",
    "copy",
    "to",
    "state",
    "attempts",
    "last_error",
    "message_id",
    "bytes",
    "sha256",
)


def _held(content: bytes, message_id: str) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {
        "content": content,
        "bytes": len(content),
        "sha256": digest,
        "message_id": message_id,
    }


def _short(text: str) -> str:
    clean = " ".join(text.split())
    return clean if len(clean) <= ERROR_CHARS_MAX else clean[: ERROR_CHARS_MAX - 1] + "…"
