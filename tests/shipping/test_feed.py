"""A feed's sessions with a line that plays a script: refusals, repeats, pauses, what is told.

What NATS itself does is tried with real servers in the other tests here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from gkc_engine.errors import GkcError
from gkc_engine.federation.settings import LinkSettings
from gkc_engine.recorder import schema
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.shipping import feed as feeding
from gkc_engine.shipping import questions
from gkc_engine.shipping.batches import NewerError
from gkc_engine.shipping.city_store import Feed as Known
from gkc_engine.shipping.city_store import Taken
from gkc_engine.shipping.feed import AGAIN_MAX_S, AGAIN_S, REPEATED_MAX, Feed
from gkc_engine.shipping.position import Position, Verdict
from tests.recorder.support import History
from tests.shipping.world import batches, numbered

SETTINGS = LinkSettings(urls=("nats://127.0.0.1:1",))
NOTHING = "nothing came within the time"
OVER = "the connection is closed"


class Hub:
    """The other end: sessions, each a list of what a fetch brings; and the city's store."""

    def __init__(self, data: bytes) -> None:
        self.sessions: list[list[Verdict | str]] = []
        self.verdicts: list[Verdict] = []
        self.noted: list[str | None] = []
        self.asked: list[bytes] = []
        self.answer = questions.Answer(center="sever")
        self.acknowledged = 0
        self.looks: list[str] = []
        """What the feed said of itself at each fetch: the problem; empty when it was up."""
        self.store = SimpleNamespace(feed=self._known, take=self._take, note=self._note)
        self.data, self._script = data, [OVER]
        self.client = SimpleNamespace(is_connected=True, request=self._request)
        self.jetstream = self
        self.feed: Feed

    # The collector's side.

    def now(self) -> int:
        return 1

    async def do(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it does
        return work()

    def _known(self, center: str) -> Known:
        return Known(center=center, number=1, position=Position(ledger="l", seq=7, event_id="e"))

    def _take(self, *_: object, **__: object) -> Taken:
        return Taken(self.verdicts.pop(0), 4)

    def _note(self, center: str, *, refused: int = 0, problem: str | None) -> None:
        assert (center, refused in (0, 1)) == ("sever", True)
        self.noted.append(problem)

    # The line.

    @asynccontextmanager
    async def line(self, *_: object) -> AsyncIterator[Hub]:
        if not self.sessions:
            raise asyncio.CancelledError
        self._script = [*self.sessions.pop(0), OVER]
        self.client.is_connected = True
        yield self

    async def _request(self, subject: str, data: bytes, timeout: float) -> Any:  # noqa: ANN401, ASYNC109
        assert (subject, timeout) == (questions.ASK, feeding.ASK_S)
        self.asked.append(data)
        return SimpleNamespace(data=questions.encode(self.answer))

    async def delete_consumer(self, *_: object) -> None: ...

    async def add_consumer(self, *_: object) -> None: ...

    async def consumer_info(self, *_: object) -> None: ...

    async def pull_subscribe_bind(self, **_: object) -> Hub:
        return self

    async def fetch(self, _: int, timeout: float) -> list[Any]:  # noqa: ASYNC109
        assert timeout == feeding.FETCH_S
        self.looks.append("" if self.feed.up else self.feed.problem)
        step = self._script.pop(0)
        if step == OVER:
            self.client.is_connected = False
        if not isinstance(step, Verdict):
            raise TimeoutError
        self.verdicts.append(step)
        where = SimpleNamespace(sequence=SimpleNamespace(stream=1))
        return [SimpleNamespace(data=self.data, metadata=where, ack=self._ack)]

    async def _ack(self) -> None:
        self.acknowledged += 1


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    past = History()
    past.configured()
    past.talk("sever-1", "anna")
    store = LedgerStore(schema.sqlite_url(str(tmp_path / "sever.sqlite")))
    store.open()
    store.append(batch_of(past.steps, "sever"))
    made = Hub(batches(numbered(store), 4)[0][1])
    store.close()
    made.feed = Feed("sever", SETTINGS, cast("Any", made))
    monkeypatch.setattr(feeding, "line", made.line)
    return made


async def played(hub: Hub, monkeypatch: pytest.MonkeyPatch, *sessions: list[Any]) -> list[float]:
    """Run the feed through these sessions; return its pauses after each of them."""
    pauses: list[float] = []

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)

    hub.sessions = list(sessions)
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", sleep)
        with pytest.raises(asyncio.CancelledError):
            await hub.feed.run()
    return pauses


async def test_pauses_double_and_are_short_again_once_rows_have_come(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent: list[Any] = []
    pauses = await played(hub, monkeypatch, *[silent] * 5, [Verdict.TAKE], silent)
    assert pauses == [2 * AGAIN_S, 4 * AGAIN_S, 8 * AGAIN_S, AGAIN_MAX_S, AGAIN_MAX_S, 1.0, 2.0]
    assert hub.acknowledged == 1


async def test_a_ledger_that_is_not_taken_is_refused_once_and_stays_down(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with capture_logs() as logs:
        await played(hub, monkeypatch, *[[Verdict.FOREIGN]] * 3)
    assert hub.feed.refused == {"foreign": 1}
    assert hub.looks[0] == "", "nothing was wrong yet"
    assert all("gkc city accept sever" in look for look in hub.looks[1:])
    assert [one["event"] for one in logs] == ["feed_up", "records_refused", "feed_down"]
    told = [note for note in hub.noted if note is not None]
    assert {note.partition(" than")[0] for note in told} == {"another ledger"}
    assert hub.noted[-1] is not None
    assert hub.acknowledged == 0, "it is there still when it is accepted"


async def test_once_nothing_of_a_refused_ledger_comes_any_more_all_is_well(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await played(hub, monkeypatch, [Verdict.FOREIGN], [NOTHING, NOTHING, Verdict.FOREIGN])
    first, again, _, well = hub.looks
    assert (first, well) == ("", "")
    assert "gkc city accept" in again
    assert hub.feed.refused == {"foreign": 2}, "the next one is news"


async def test_a_batch_that_is_taken_ends_the_refusal(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await played(hub, monkeypatch, [Verdict.DIVERGED], [Verdict.TAKE, NOTHING])
    assert [look == "" for look in hub.looks] == [True, False, True, True]
    assert hub.noted[-2:] == [None, "the connection to the hub was closed"]


async def test_who_sends_what_is_here_already_is_told_once_where_we_stand(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, new = Verdict.REPEATED, Verdict.TAKE
    few = [here] * (REPEATED_MAX - 1)
    await played(hub, monkeypatch, [*few, new, *few], few)
    assert hub.asked == [], "a batch that is new, and a new session, begin to count anew"
    await played(hub, monkeypatch, [here] * (2 * REPEATED_MAX))
    assert len(hub.asked) == 1
    question = questions.question(hub.asked[0])
    assert isinstance(question, questions.AskAgain)
    assert question.position == Position(ledger="l", seq=7, event_id="e")


async def test_after_a_gap_the_center_is_asked_once_and_another_session_begins(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await played(hub, monkeypatch, [Verdict.GAP, Verdict.GAP], [NOTHING])
    assert len(hub.asked) == 1
    assert (hub.feed.refused, hub.acknowledged) == ({"gap": 1}, 0)
    assert "rows before 0 are missing: the center sends them" in hub.noted


async def test_a_center_that_does_not_know_our_place_has_another_ledger(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.answer = questions.Answer(center="sever", unknown=True)
    await played(hub, monkeypatch, [Verdict.GAP])
    assert hub.feed.refused == {"gap": 1, "diverged": 1}
    assert str(hub.noted[-1]).startswith("its ledger has other rows where the city has some")


async def test_what_cannot_be_read_is_put_away_and_what_is_newer_is_kept(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, hub.data = hub.data, b"no message of ours"
    await played(hub, monkeypatch, [Verdict.TAKE, NOTHING])
    assert (hub.feed.refused, hub.acknowledged) == ({"bad": 1}, 1)
    assert any(str(note).startswith("refused: ") for note in hub.noted)
    hub.data = good

    def newer(_: bytes) -> None:
        raise NewerError("version 9 of the records: newer than this collector")

    monkeypatch.setattr(feeding, "opened", newer)
    await played(hub, monkeypatch, [Verdict.TAKE, NOTHING])
    assert (hub.feed.refused, hub.acknowledged) == ({"bad": 1, "newer": 1}, 1)
    assert hub.noted[-1] == "version 9 of the records: newer than this collector"


async def test_the_same_trouble_is_said_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logs:
        await played(hub, monkeypatch, [], [], [])
    # It came up in between: of each session people see that it began and that it ended.
    assert [one["event"] for one in logs] == ["feed_up", "feed_down"] * 3

    async def line(*_: object) -> None:
        raise OSError("no way there")

    @asynccontextmanager
    async def broken(*_: object) -> AsyncIterator[None]:
        if not hub.sessions.pop():
            raise asyncio.CancelledError
        await line()
        yield

    monkeypatch.setattr(feeding, "line", broken)
    hub.noted.clear()
    with capture_logs() as logs:
        await played(hub, monkeypatch, [], [NOTHING], [NOTHING], [NOTHING])
    assert [one["event"] for one in logs] == ["feed_down"]
    assert hub.noted == ["not reached: no way there"]


async def test_what_is_kept_of_a_trouble_is_bounded(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless() -> None:
        if not hub.sessions:
            raise asyncio.CancelledError
        hub.sessions.pop()
        raise GkcError("x" * 9000)

    monkeypatch.setattr(hub.feed, "_session", endless)
    await played(hub, monkeypatch, [])
    assert hub.noted == ["x" * feeding.PROBLEM_MAX]


async def test_a_mistake_of_ours_ends_no_feed(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: object, **__: object) -> None:
        raise LookupError

    hub.store.take = raises
    with capture_logs() as logs:
        pauses = await played(hub, monkeypatch, [Verdict.TAKE], [Verdict.TAKE])
    assert len(pauses) == 2
    assert hub.feed.refused == {"failed": 2}
    assert hub.noted[-1] == "a mistake of ours: LookupError"
    assert [one["event"] for one in logs].count("feed_failed") == 2
