"""The records as the running engine shows them: read-only, never in the writer's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog

from gkc_engine.acd.commands import Disposition
from gkc_engine.control.live import Row
from gkc_engine.errors import GkcError
from gkc_engine.ids import AgentId, ContactId, Instant, QueueId
from gkc_engine.recorder import queries, schema
from gkc_engine.recorder.citizens import Citizens
from gkc_engine.recorder.codec import KINDS, Message, decode
from gkc_engine.recorder.store import cause_of
from gkc_engine.statistics.counting import Ended

_T = TypeVar("_T")

log = structlog.get_logger(__name__)

PAGE = 200
"""Contacts that are counted again at once after a start: a millisecond or two."""

IDS_AT_ONCE = 500
"""Parameters of one statement: SQLite takes 999 at least."""


AGAIN_S = 1.0
"""Between two tries to read what a start needs and a server does not give."""


class RecordsError(GkcError):
    """The database of the records does not answer; says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenContact:
    """A contact in progress, as it was registered."""

    contact_id: ContactId
    number: str
    uniqueid: str
    entry: str
    language: str


class RecordReader:
    """Answers the control socket's questions about the past."""

    def __init__(
        self,
        url: str,
        citizens: Citizens,
        settle: Callable[[], Awaitable[None]],
        recorded: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        """``settle`` brings the tables up to the ledger: who asks sees what was just done.

        ``recorded`` says whether a recording is where its reference says; may block.
        """
        self._engine = schema.make_engine(url, read_only=True)
        self._citizens = citizens
        self._settle = settle
        self._recorded = recorded
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="records")

    async def close(self) -> None:
        """Let the store go."""
        await self._run(self._engine.dispose)
        self._thread.shutdown()

    async def list_contacts(
        self,
        *,
        since: Instant | None,
        queue: QueueId | None,
        direction: str | None = None,
        limit: int,
        of: str | None = None,
    ) -> Sequence[Row]:
        """Return rows of the contact table, newest first; ``of``: a citizen's number."""
        await self._settle()
        # By its keyed hash: the number itself is in no table that could be searched.
        citizen = None if of is None else self._citizens.key_of_any(of)
        return await self._run(
            lambda: queries.list_contacts(
                self._engine,
                since=since,
                queue=queue,
                citizen=citizen,
                direction=direction,
                limit=limit,
            )
        )

    async def ended(self, *, since: Instant, before: Instant) -> AsyncIterator[list[Ended]]:
        """Give the contacts that came after ``since`` and ended before ``before``, in pages.

        A page is small: it is read beside the event loop, which waits for each of its objects.
        """
        t = schema.contact.c
        place = sa.tuple_(t.started, t.contact_id)
        query = (
            sa.select(
                *(t.started, t.contact_id, t.queue, t.disposition, t.first_queued),
                *(t.wait_us, t.talk_us, t.hold_us, t.wrap_up_us),
            )
            .where(t.ended < before, t.first_queued.is_not(None), t.queue.is_not(None))
            .order_by(t.started, t.contact_id)
            .limit(PAGE)
        )
        await self._settle()
        after: tuple[int, str] = (since, "")
        while page := await self._patiently(partial(self._all, query.where(place > after))):
            yield [
                Ended(
                    queue=QueueId(row.queue),
                    disposition=Disposition(row.disposition),
                    first_queued=Instant(row.first_queued),
                    wait_us=row.wait_us or 0,
                    talk_us=row.talk_us or 0,
                    hold_us=row.hold_us or 0,
                    wrap_up_us=row.wrap_up_us or 0,
                    contact_id=ContactId(row.contact_id),
                )
                for row in page
            ]
            after = (page[-1].started, page[-1].contact_id)

    def _all(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with self._engine.connect() as connection:
            return connection.execute(query).all()

    async def told_waits(
        self, *, since: Instant, until: Instant | None, queue: QueueId | None
    ) -> Sequence[Row]:
        """Return sums over the waits that were told, by queue."""
        await self._settle()
        return await self._run(
            lambda: queries.told_waits(self._engine, since=since, until=until, queue=queue)
        )

    async def show_contact(self, key: str, *, reveal: bool) -> Row | None:
        """Return one contact with its story; with ``reveal`` also the citizen's number and name."""
        await self._settle()
        try:
            row = await self._run(lambda: queries.show_contact(self._engine, key))
        except queries.NoSuchContactError:
            return None
        refs = (row["recording_refs"] or "").split()
        row["recordings"] = [
            {"path": ref, "missing": not there}
            for ref, there in zip(
                refs, await self._run(lambda: [self._recorded(r) for r in refs]), strict=True
            )
        ]
        for told in (row, *row["segments"]) if reveal else ():
            await self._reveal(told)
        return row

    async def _reveal(self, row: Row) -> None:
        """Add the number and name behind a contact's key, or behind a segment's outside party's."""
        key = row.get("citizen_id")
        citizen = await self._run(lambda: self._citizens.reveal(key)) if key else None
        if citizen is not None:
            row["citizen_number"], row["citizen_name"] = citizen.number, citizen.name

    async def open_contacts(self, ids: Sequence[ContactId]) -> list[OpenContact]:
        """Return what is on record of contacts in progress: at a start, what the last one left."""
        table = schema.contact

        def read() -> list[OpenContact]:
            with self._engine.connect() as connection:
                return [
                    OpenContact(
                        contact_id=ContactId(row["contact_id"]),
                        number=row["number"],
                        uniqueid=row["linkedid"] or "",
                        entry=row["did"] or "",
                        language=row["language"] or "ru",
                    )
                    for at in range(0, len(ids), IDS_AT_ONCE)
                    for row in connection.execute(
                        sa.select(table).where(table.c.contact_id.in_(ids[at : at + IDS_AT_ONCE]))
                    ).mappings()
                ]

        await self._settle()
        return await self._run(read)

    async def told(self, ids: Sequence[ContactId], kinds: Sequence[type[Message]]) -> list[Message]:
        """Return the ledger's messages of these kinds about these contacts, in their order."""
        table, names = schema.event, [KINDS[kind] for kind in kinds]
        query = sa.select(table.c.kind, table.c.data).order_by(table.c.seq)

        def read() -> list[Message]:
            with self._engine.connect() as connection:
                return [
                    decode(row.kind, row.data)
                    for at in range(0, len(ids), IDS_AT_ONCE)
                    for row in connection.execute(
                        query.where(table.c.contact_id.in_(ids[at : at + IDS_AT_ONCE])).where(
                            table.c.kind.in_(names)
                        )
                    )
                ]

        return await self._run(read)

    async def open_intervals(self, since: Instant) -> dict[AgentId, Instant]:
        """Return since when each operator is in his state, where that began after ``since``."""
        table = schema.agent_interval

        def read() -> dict[AgentId, Instant]:
            query = (
                sa.select(table.c.agent_id, table.c.start)
                .where(table.c.start >= since)
                .where(table.c.end.is_(None))
            )
            with self._engine.connect() as connection:
                return {
                    AgentId(row.agent_id): Instant(row.start) for row in connection.execute(query)
                }

        await self._settle()
        return await self._patiently(read)

    async def _patiently(self, work: Callable[[], _T]) -> _T:
        """Run ``work`` until the database answers: the engine goes on meanwhile."""
        while True:
            try:
                return await self._run(work)
            except RecordsError as error:
                log.warning("records_unread", error=str(error))
            await asyncio.sleep(AGAIN_S)

    async def _run(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sa.exc.SQLAlchemyError as error:
            raise RecordsError(f"the records cannot be read now: {cause_of(error)}") from error
