"""Ships a center's ledger to its own leaf node: the asyncio driver in the engine's process.

The ledger is the outbox; how far it is sent, the stream's last message says. Nothing here is
waited for by a call: the ledger is read in a thread by an engine that only reads, and whatever NATS
does, the rows wait where they are.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

import nats.js.errors
import sqlalchemy as sa
import structlog
from nats.aio.msg import Msg
from nats.js.api import DiscardPolicy, Header, RetentionPolicy, StorageType, StreamConfig

from gkc_engine.bus.config import PAYLOAD_MAX
from gkc_engine.errors import GkcError, PeerError
from gkc_engine.federation.connection import TROUBLES
from gkc_engine.federation.settings import ShipperSettings
from gkc_engine.shipping import counts, questions
from gkc_engine.shipping.batches import ROWS_MAX, BadMessageError, messages, opened
from gkc_engine.shipping.batches import Header as BatchHeader
from gkc_engine.shipping.line import (
    CONSUMER,
    STREAM,
    SUBJECT,
    WRONG_LAST,
    Line,
    is_full,
    line,
    trouble,
)
from gkc_engine.shipping.outbox import Outbox
from gkc_engine.shipping.position import Position, after

log = structlog.get_logger(__name__)

STREAM_BYTES_MAX: Final = 1024 * 1024 * 1024
"""Of the local stream: some twenty million rows that the city has not taken yet. Then rows wait in
the ledger alone."""

STREAM_SIZES: Final = 5
"""So often a quarter of that is tried where the server has no room: 4 MiB at last."""

LOOK_S: Final = 0.5
"""Between two looks whether the ledger has grown."""

AGAIN_S: Final = 1.0
"""After a connection that is over."""

FULL_S: Final = 5.0
"""Between two tries while the stream is full, or its disk."""

TIDY_S: Final = 10.0
"""Between two looks at what the city has taken: that is purged."""

SHARE: Final = 3.0
"""After each batch it rests so many times as long as reading it took: at most a quarter of a core,
also when a day is caught up on."""

COUNT_S: Final = 20.0
"""For the tables to be where the ledger is, before they are counted."""

_T = TypeVar("_T")


class _BeginAgainError(Exception):
    """The position must be read anew."""


class Shipper:
    """Of one center; ``run`` it beside the engine."""

    def __init__(self, url: str, settings: ShipperSettings) -> None:
        """Take the ledger at ``url``."""
        self._settings = settings
        self._outbox = Outbox(url)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shipping")
        self.up = False
        """Whether the leaf node takes what we send."""
        self.problem = "not connected yet"
        self.sent = Position()
        self.rows_sent = 0
        self.last = (0, 0)
        """Number and instant of the ledger's last row, as last seen."""
        self.sent_us = 0
        """Instant of the last row sent; 0 when none was in this run."""
        self.failed: Counter[str] = Counter()
        """Why something was not sent, or answered -> how often."""
        self._rewind: Position | None = None
        self._stream_seq = 0

    async def run(self) -> None:
        """Ship until cancelled. A mistake of ours is logged and counted; calls go on."""
        try:
            while True:
                try:
                    await self._session()
                except _BeginAgainError:
                    self.failed["again"] += 1
                except (*TROUBLES, sa.exc.SQLAlchemyError) as error:
                    self._down(trouble(error))
                except GkcError as error:
                    self._down(str(error))
                except Exception:
                    self.failed["failed"] += 1
                    log.exception("shipping_failed")
                self.up = False
                await asyncio.sleep(AGAIN_S)
        finally:
            self._thread.shutdown(wait=False)
            self._outbox.close()

    @property
    def behind(self) -> int:
        """Rows of the ledger that are not in the stream."""
        return max(0, self.last[0] - self.sent.seq)

    async def _session(self) -> None:
        settings = self._settings
        async with line(settings.bus, f"gkc {settings.center} records", None) as to:
            await _stream(to)
            await self._find(to)
            asking = await to.client.subscribe(
                questions.ASK, cb=partial(self._answer, to), pending_msgs_limit=64
            )
            self._came_up()
            loop = asyncio.get_running_loop()
            tidied = loop.time()
            while to.client.is_connected:
                began = loop.time()
                more = await self._ship(to)
                if loop.time() - tidied > TIDY_S:
                    await self._tidy(to)
                    tidied = loop.time()
                await asyncio.sleep(SHARE * (loop.time() - began) if more else LOOK_S)
            await asking.unsubscribe()
        raise PeerError("the connection was closed")

    # --- where we are ---------------------------------------------------------------------------

    async def _find(self, to: Line) -> None:
        """Find out how far it is sent: the stream's last message says so."""
        self.last = await self._do(self._outbox.last)
        state = (await to.jetstream.stream_info(STREAM)).state
        self._stream_seq, self.sent, self.sent_us = state.last_seq, Position(), 0
        if not state.messages:
            return
        last = await to.jetstream.get_msg(STREAM, state.last_seq)
        try:
            header, _ = opened(last.data or b"")
        except BadMessageError as error:
            self.failed["foreign"] += 1
            log.warning("records_stream_foreign", reason=str(error))
            return
        position = after(header)
        if header.piece < header.pieces - 1:  # A row that was not sent whole.
            position = Position(ledger=header.ledger, seq=header.after, event_id=header.after_id)
        if not await self._do(partial(self._outbox.has, position)):
            # Another ledger than ours, or ours from a copy. What the stream holds may be the last
            # that is left of it: the city takes that first, and then sees all that we have.
            self.failed["restored"] += 1
            log.warning("records_shipped_anew", known=position.seq, ours=self.last[0])
            return
        self.sent = position

    async def _begin_at(self, to: Line, position: Position) -> None:
        """Go on after ``position``: what the stream holds is of no use to the city."""
        await to.jetstream.purge_stream(STREAM)
        self.sent, self.sent_us = position, 0
        log.info("records_shipped_again", after=position.seq)

    # --- sending --------------------------------------------------------------------------------

    async def _ship(self, to: Line) -> bool:
        """Send the next rows, if there are any; return whether more are to come."""
        rewind, self._rewind = self._rewind, None
        if rewind is not None:
            await self._begin_at(to, rewind)
        self.last = await self._do(self._outbox.last)
        if self.last[0] <= self.sent.seq:
            return False
        ledger = await self._do(lambda: self._outbox.ledger)
        assert ledger is not None, "it has rows"
        made = await self._do(partial(self._make, ledger, self.sent))
        for header, data, ts_us in made:
            if self._rewind is not None:
                return True
            await self._publish(to, data)
            if header.piece == header.pieces - 1:
                self.rows_sent += header.last - self.sent.seq
                self.sent, self.sent_us = after(header), ts_us
        return self.last[0] > self.sent.seq

    def _make(self, ledger: str, sent: Position) -> list[tuple[BatchHeader, bytes, int]]:
        rows = self._outbox.rows(sent.seq, ROWS_MAX)
        instants = {seq: row.ts_us for seq, row in rows}
        return [
            (header, data, instants[header.last])
            for header, data in messages(
                rows, ledger=ledger, after=sent.seq, after_id=sent.event_id, told=self.last[0]
            )
        ]

    async def _publish(self, to: Line, data: bytes) -> None:
        """Put a message into the stream, at the place that we mean or not at all.

        Raises:
            _BeginAgainError: Somebody else wrote there, or we did and do not know it.
        """
        while True:
            headers = {Header.EXPECTED_LAST_SEQUENCE.value: str(self._stream_seq)}
            try:
                done = await to.jetstream.publish(SUBJECT, data, stream=STREAM, headers=headers)
            except nats.js.errors.APIError as error:
                if error.err_code == WRONG_LAST:
                    raise _BeginAgainError from error
                if not is_full(error):
                    raise
                self._full(error)
                if self._rewind is not None:
                    # The city lacks what came before: it takes nothing of the stream, so that
                    # this never has room again, but by being emptied for it.
                    raise _BeginAgainError from error
                await self._tidy(to)
                await asyncio.sleep(FULL_S)
                if not to.client.is_connected:
                    raise PeerError("the connection was closed") from error
                continue
            except TimeoutError as error:
                raise _BeginAgainError from error  # It may be there all the same.
            self._stream_seq = done.seq
            if self.problem:
                self._came_up()
            return

    def _full(self, error: nats.js.errors.APIError) -> None:
        self.failed["full"] += 1
        text = f"the stream takes nothing: {error.description}"
        if self.problem != text:
            self.problem = text
            log.warning("records_stream_full", problem=error.description, behind=self.behind)

    async def _tidy(self, to: Line) -> None:
        """Purge what the city has taken, but for the last message: it says where we are."""
        try:
            known = await to.jetstream.consumer_info(STREAM, CONSUMER)
        except nats.js.errors.NotFoundError:
            return  # The city was never here.
        taken = known.ack_floor.stream_seq if known.ack_floor is not None else 0
        upto = min(taken + 1, self._stream_seq)
        if upto > 1:
            await to.jetstream.purge_stream(STREAM, seq=upto)

    # --- answering ------------------------------------------------------------------------------

    async def _answer(self, to: Line, message: Msg) -> None:
        if not message.reply:
            return
        try:
            answer = await self._said(message.data)
        except (GkcError, sa.exc.SQLAlchemyError) as error:
            self.failed["question"] += 1
            answer = questions.Answer(center=self._settings.center, problem=str(error)[:500])
        except Exception:
            self.failed["failed"] += 1
            log.exception("shipping_failed")
            answer = questions.Answer(center=self._settings.center, problem="a mistake of ours")
        try:
            await to.client.publish(message.reply, questions.encode(answer))
        except TROUBLES:
            self.failed["question"] += 1

    async def _said(self, data: bytes) -> questions.Answer:
        asked = questions.question(data)
        unknown, counted = False, None
        if isinstance(asked, questions.AskAgain):
            unknown = not await self._do(partial(self._outbox.has, asked.position))
            if not unknown:
                self._rewind = asked.position
        else:
            counted = await self._counted(asked)
        last, last_us = self.last = await self._do(self._outbox.last)
        return questions.Answer(
            center=self._settings.center,
            ledger=await self._do(lambda: self._outbox.ledger),
            last=last,
            last_us=last_us,
            counts=counted,
            unknown=unknown,
        )

    async def _counted(self, asked: questions.AskCounts) -> counts.Counts:
        """Count in this center's own tables, once they are where the asked row is."""

        def count() -> counts.Counts | None:
            with self._outbox.engine.connect() as connection:
                seq = self._outbox.seq_of(connection, asked.event_id)
                if not counts.settled(connection, seq):
                    return None
                return counts.of_center(connection, asked.since, asked.until, seq)

        async with asyncio.timeout(COUNT_S):
            while (found := await self._do(count)) is None:  # noqa: ASYNC110 - asks a database
                await asyncio.sleep(LOOK_S)
        return found

    # --- the rest -------------------------------------------------------------------------------

    async def _do(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _came_up(self) -> None:
        self.up, self.problem = True, ""
        log.info("shipping", center=self._settings.center, sent=self.sent.seq)

    def _down(self, problem: str) -> None:
        """Say why nothing is sent, once for each reason."""
        self.failed["down"] += 1
        if problem != self.problem:
            self.problem = problem
            log.warning("shipping_down", problem=problem, behind=self.behind)


async def _stream(to: Line) -> None:
    """Have the stream there, in the form that we want; on a small disk a smaller one."""
    try:
        await to.jetstream.stream_info(STREAM)
    except nats.js.errors.NotFoundError:
        make = to.jetstream.add_stream
    else:
        make = to.jetstream.update_stream
    for smaller in range(STREAM_SIZES):
        size = STREAM_BYTES_MAX >> (2 * smaller)
        try:
            await make(_config(size))
        except nats.js.errors.APIError as error:
            # The server keeps room for all of it: three quarters of its disk at most.
            if not is_full(error) or smaller == STREAM_SIZES - 1:
                raise
            continue
        if smaller:
            log.warning("records_stream_small", bytes=size)
        return


def _config(size: int) -> StreamConfig:
    return StreamConfig(
        name=STREAM,
        subjects=[SUBJECT],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_bytes=size,
        max_msg_size=PAYLOAD_MAX,
        num_replicas=1,
    )
