"""One center's records on their way into the city's store: the asyncio driver of ``position``.

Where to go on, the store alone says: the durable consumer is made anew at each connection from the
message after the last one taken, so nothing hangs on what was delivered and not acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Final, NoReturn, Protocol, TypeVar

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext

from gkc_engine.errors import GkcError
from gkc_engine.federation.connection import TROUBLES
from gkc_engine.federation.settings import LinkSettings
from gkc_engine.recorder.store import LedgerError
from gkc_engine.shipping import questions
from gkc_engine.shipping.batches import (
    PIECES_MAX,
    BadMessageError,
    Header,
    NewerError,
    Pieces,
    opened,
    rows_of,
)
from gkc_engine.shipping.city_store import CityStore, DoubleError, Taken
from gkc_engine.shipping.line import CONSUMER, STREAM, Line, line, trouble
from gkc_engine.shipping.position import Position, Verdict, after

log = structlog.get_logger(__name__)

FETCH: Final = 8
"""Messages asked for at a time: 3 MiB at most."""

FETCH_S: Final = 5.0

AGAIN_S: Final = 1.0
"""Between two tries to reach a center; doubled each time up to ``AGAIN_MAX_S``."""

AGAIN_MAX_S: Final = 15.0

ASK_S: Final = 5.0
"""For a center's answer."""

PROBLEM_MAX: Final = 500
"""Characters that are kept of a problem."""

REPEATED_MAX: Final = 3
"""Batches in a row that are here already; then the center is told where the city stands."""

_T = TypeVar("_T")


class Work(Protocol):
    """What a feed needs of the collector."""

    @property
    def store(self) -> CityStore:
        """The city's store."""
        ...

    def now(self) -> int:
        """Return the wall clock, in microseconds."""
        ...

    async def do(self, work: Callable[[], _T]) -> _T:
        """Run ``work`` in the one thread of the store."""
        ...


class _Stopped(GkcError):  # noqa: N818 - nothing went wrong
    """The session is over; says why, for people. Another begins."""


class Feed:
    """Of one center; ``run`` it for as long as the collector lives."""

    def __init__(self, center: str, bus: LinkSettings, work: Work) -> None:
        self.center = center
        self.up = False
        """Whether what the center sends is taken."""
        self.problem = "not connected yet"
        self.refused: Counter[str] = Counter()
        """Why a message was not taken -> how often, in this run."""
        self.rows = 0
        """Taken in this run."""
        self._bus, self._work = bus, work
        self._pieces = Pieces()
        self._held: list[Msg] = []
        """The message at hand, and pieces before it: acknowledged when all is stored."""
        self._repeated = 0
        self._refusal = ""
        """Why this center's ledger is not taken at all."""

    async def run(self) -> None:
        """Take what comes, until cancelled; a mistake of ours ends no other feed."""
        pause = AGAIN_S
        while True:
            rows = self.rows
            try:
                await self._session()
            except _Stopped as error:
                await self._down(str(error))
            except LedgerError as error:
                await self._down(f"the city's store: {error}", keep=False)
            except TROUBLES as error:
                await self._down(f"not reached: {trouble(error)}")
            except GkcError as error:
                await self._down(str(error))
            except Exception as error:
                self.refused["failed"] += 1
                log.exception("feed_failed", center=self.center)
                await self._down(f"a mistake of ours: {type(error).__name__}")
            pause = AGAIN_S if self.rows > rows else min(2 * pause, AGAIN_MAX_S)
            await asyncio.sleep(pause)

    async def _session(self) -> None:
        # By the hub into the center's leaf: its JetStream has the center's name.
        async with line(self._bus, "gkc city collect", self.center) as to:
            subscription = await self._consumer(to)
            self._pieces.forget()
            self._held.clear()
            self._repeated = 0
            if not self._refusal:
                await self._came_up()
            while to.client.is_connected:
                try:
                    batch = await subscription.fetch(FETCH, timeout=FETCH_S)
                except TimeoutError:
                    # Nothing new, or nobody there any more.
                    await to.jetstream.consumer_info(STREAM, CONSUMER)
                    if self._refusal:  # What was refused is there no more.
                        self._refusal = ""
                        await self._came_up()
                    continue
                for message in batch:
                    await self._take(to, message)
        raise _Stopped("the connection to the hub was closed")

    async def _consumer(self, to: Line) -> JetStreamContext.PullSubscription:
        """Make the durable consumer anew, from the message after the last one taken."""
        feed = await self._work.do(lambda: self._work.store.feed(self.center))
        begin = 1
        if feed.stream_seq and await self._is_ours(to, feed.stream_seq, feed.position):
            begin = feed.stream_seq + 1
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await to.jetstream.delete_consumer(STREAM, CONSUMER)
        await to.jetstream.add_consumer(
            STREAM,
            ConsumerConfig(
                durable_name=CONSUMER,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=begin,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=3_600,
                max_ack_pending=2 * PIECES_MAX,
                num_replicas=1,
            ),
        )
        return await to.jetstream.pull_subscribe_bind(consumer=CONSUMER, stream=STREAM)

    async def _is_ours(self, to: Line, stream_seq: int, position: Position) -> bool:
        """Whether the stream still has, in that place, the message that we took last.

        Else it was purged, and what is left comes after it; or it is another stream, made when the
        center's NATS had lost its own.
        """
        try:
            known = await to.jetstream.get_msg(STREAM, stream_seq)
            return after(opened(known.data or b"")[0]) == position
        except (nats.js.errors.NotFoundError, BadMessageError):
            return False

    # --- a message ------------------------------------------------------------------------------

    async def _take(self, to: Line, message: Msg) -> None:
        self._held.append(message)
        try:
            header, taken = await self._stored(message)
        except NewerError as error:
            self.refused["newer"] += 1
            raise _Stopped(str(error)) from error
        except (BadMessageError, DoubleError) as error:
            await self._refuse("bad", f"refused: {error}")
            await self._acknowledge()
            # Were it one of ours, the next would show a gap; and the center would send it anew.
            return
        if header is None or taken is None:
            return  # A piece: acknowledged with the last of them.
        match taken.verdict:
            case Verdict.TAKE:
                self._repeated = 0
                self.rows += taken.rows
                if self._refusal:
                    self._refusal = ""
                    await self._came_up()
                await self._acknowledge()
            case Verdict.REPEATED:
                self._repeated += 1
                await self._acknowledge()
                if self._repeated == REPEATED_MAX:
                    await self._ask_on(to)
            case Verdict.GAP:
                self.refused["gap"] += 1
                await self._ask_on(to)
                raise _Stopped(f"rows before {header.after} are missing: the center sends them")
            case Verdict.FOREIGN | Verdict.DIVERGED as verdict:
                await self._refuse_all(verdict)

    async def _stored(self, message: Msg) -> tuple[Header | None, Taken | None]:
        header, body = opened(message.data)
        if header.center != self.center:
            raise BadMessageError(f"it is of {header.center!r}, not {self.center!r}")
        if header.piece == 0:
            # Pieces before it are of a row that was begun and is sent anew: of them only so many
            # may wait, and then nothing more would come.
            await self._acknowledge(but=1)
        whole = self._pieces.add(header, body)
        if whole is None:
            return None, None
        stream_seq, now = message.metadata.sequence.stream, self._work.now()

        def store() -> Taken:
            rows = rows_of(header, whole)
            return self._work.store.take(header, rows, now=now, stream_seq=stream_seq)

        return header, await self._work.do(store)

    async def _acknowledge(self, but: int = 0) -> None:
        """Acknowledge the message, with the pieces before it: the store has them.

        ``but``: not so many, the last ones.
        """
        done = self._held[: len(self._held) - but]
        for message in done:
            await message.ack()
        del self._held[: len(done)]

    async def _refuse(self, why: str, problem: str) -> None:
        self.refused[why] += 1
        log.warning("records_refused", center=self.center, why=why, problem=problem)
        await self._work.do(
            lambda: self._work.store.note(self.center, refused=1, problem=problem[:PROBLEM_MAX])
        )

    async def _ask_on(self, to: Line) -> None:
        """Have the center send what comes after the last row that the city has."""
        feed = await self._work.do(lambda: self._work.store.feed(self.center))
        answer = await ask(to, again(feed.position))
        if answer.unknown:
            await self._refuse_all(Verdict.DIVERGED)

    async def _refuse_all(self, verdict: Verdict) -> NoReturn:
        """Take nothing of this ledger; counted once, not at each look whether it is right now."""
        text = _REFUSALS[verdict].format(center=self.center)
        if self._refusal != text:
            self._refusal = text
            await self._refuse(str(verdict), text)
        raise _Stopped(text)

    # --- how it stands --------------------------------------------------------------------------

    async def _came_up(self) -> None:
        self.up, self.problem = True, ""
        log.info("feed_up", center=self.center)
        await self._work.do(lambda: self._work.store.note(self.center, problem=None))

    async def _down(self, problem: str, *, keep: bool = True) -> None:
        self.up = False
        if problem == self.problem:
            return
        self.problem = problem
        log.warning("feed_down", center=self.center, problem=problem)
        if keep:
            try:
                await self._work.do(
                    lambda: self._work.store.note(self.center, problem=problem[:PROBLEM_MAX])
                )
            except LedgerError as error:
                log.warning("feed_unnoted", center=self.center, problem=str(error))


def again(position: Position) -> questions.AskAgain:
    """Return the question that has a center go on after ``position``."""
    return questions.AskAgain(ledger=position.ledger, seq=position.seq, event_id=position.event_id)


async def ask(to: Line, question: questions.Question, within_s: float = ASK_S) -> questions.Answer:
    """Ask a center's shipper.

    Raises:
        PeerError: What came is no answer of ours.
        TimeoutError, nats.errors.Error: There is none.
    """
    data = questions.encode(question)
    message = await to.client.request(questions.ASK, data, timeout=within_s)
    return questions.answer(message.data)


_REFUSALS: Final[dict[Verdict, str]] = {
    Verdict.FOREIGN: (
        "another ledger than the one known as {center}: was the center installed anew, or do two "
        "centers bear this name? If it is right: gkc city accept {center}"
    ),
    Verdict.DIVERGED: (
        "its ledger has other rows where the city has some: was it put back from a copy? "
        "If it is right: gkc city accept {center}"
    ),
}
