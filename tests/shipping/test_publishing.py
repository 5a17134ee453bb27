"""What a shipper does with the answers of its leaf node, played by a script.

What NATS itself does is tried with real servers in the other tests here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import nats.errors
import nats.js.errors
import pytest
from structlog.testing import capture_logs

from gkc_engine.errors import PeerError
from gkc_engine.federation.settings import LinkSettings, ShipperSettings
from gkc_engine.recorder import schema
from gkc_engine.shipping import questions, shipper
from gkc_engine.shipping.line import STREAM, WRONG_LAST, Line
from gkc_engine.shipping.shipper import FULL_S, STREAM_BYTES_MAX, STREAM_SIZES, Shipper

SETTINGS = ShipperSettings(center="sever", bus=LinkSettings(urls=("nats://127.0.0.1:1",)))
FULL: Final = nats.js.errors.APIError(code=503, err_code=10077, description="maximum bytes")
OTHER: Final = nats.js.errors.APIError(code=400, err_code=10003, description="bad request")
WRONG: Final = nats.js.errors.APIError(code=400, err_code=WRONG_LAST, description="wrong last")
MISSING: Final = nats.js.errors.NotFoundError(code=404, description="not found")


class Leaf:
    """A leaf node: gives the answers of its script, one for each thing that is asked of it."""

    def __init__(self, *script: int | BaseException) -> None:
        self.script = list(script)
        self.there = True
        """Whether it has the stream."""
        self.asked: list[str] = []
        self.said: list[tuple[str, bytes]] = []
        self.sizes: list[int] = []
        self.deaf: Exception | None = None
        self.client = SimpleNamespace(is_connected=True, publish=self._say)
        self.jetstream = self

    @property
    def line(self) -> Line:
        return cast("Line", self)

    def _next(self) -> int:
        step = self.script.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step

    async def publish(self, _: str, __: bytes, *, stream: str, headers: dict[str, str]) -> Any:  # noqa: ANN401
        assert stream == STREAM
        self.asked.append(f"publish after {headers['Nats-Expected-Last-Sequence']}")
        return SimpleNamespace(seq=self._next())

    async def consumer_info(self, *_: object) -> Any:  # noqa: ANN401
        self.asked.append("tidy")
        return SimpleNamespace(ack_floor=None)

    async def stream_info(self, _: str) -> None:
        if not self.there:
            raise MISSING

    async def add_stream(self, config: Any) -> None:  # noqa: ANN401
        self.asked.append("add")
        self.sizes.append(config.max_bytes)
        self._next()

    async def update_stream(self, config: Any) -> None:  # noqa: ANN401
        self.asked.append("update")
        self.sizes.append(config.max_bytes)
        self._next()

    async def _say(self, reply: str, data: bytes) -> None:
        self.said.append((reply, data))
        if self.deaf is not None:
            raise self.deaf


@pytest.fixture
def ship(tmp_path: Path) -> Iterator[Shipper]:
    made = Shipper(schema.sqlite_url(str(tmp_path / "ledger.sqlite")), SETTINGS)
    made.problem = ""
    made._stream_seq = 7
    yield made
    made._thread.shutdown()
    made._outbox.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []

    async def sleep(pause_s: float) -> None:
        found.append(pause_s)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return found


async def test_a_full_stream_is_said_once_and_waited_for(
    ship: Shipper, pauses: list[float]
) -> None:
    leaf = Leaf(FULL, FULL, FULL, 8)
    with capture_logs() as logs:
        await ship._publish(leaf.line, b"rows")
    assert pauses == [FULL_S] * 3
    assert leaf.asked == ["publish after 7", "tidy"] * 3 + ["publish after 7"]
    assert ship.failed == {"full": 3}
    assert [one["event"] for one in logs] == ["records_stream_full", "shipping"]
    assert (ship.up, ship.problem) == (True, "")
    leaf.script.append(9)
    with capture_logs() as logs:
        await ship._publish(leaf.line, b"rows")
    assert leaf.asked[-1] == "publish after 8"
    assert logs == []


async def test_what_is_full_and_gone_is_left(ship: Shipper, pauses: list[float]) -> None:
    leaf = Leaf(FULL)
    leaf.client.is_connected = False
    with pytest.raises(PeerError, match="the connection was closed"):
        await ship._publish(leaf.line, b"rows")
    assert ship.problem == "the stream takes nothing: maximum bytes"
    assert pauses == [FULL_S]


@pytest.mark.parametrize("answer", [WRONG, TimeoutError()])
async def test_who_does_not_know_what_the_stream_holds_looks_anew(
    ship: Shipper, answer: BaseException
) -> None:
    leaf = Leaf(answer)
    with pytest.raises(shipper._BeginAgainError):
        await ship._publish(leaf.line, b"rows")
    assert leaf.asked == ["publish after 7"]


async def test_another_refusal_of_jetstream_ends_the_session(ship: Shipper) -> None:
    with pytest.raises(nats.js.errors.APIError) as raised:
        await ship._publish(Leaf(OTHER).line, b"rows")
    assert raised.value is OTHER


@pytest.mark.parametrize(("there", "how"), [(True, "update"), (False, "add")])
async def test_on_a_small_disk_the_stream_is_smaller(there: bool, how: str) -> None:
    leaf = Leaf(FULL, FULL, 0)
    leaf.there = there
    with capture_logs() as logs:
        await shipper._stream(leaf.line)
    assert leaf.asked == [how] * 3
    assert leaf.sizes == [STREAM_BYTES_MAX, STREAM_BYTES_MAX // 4, STREAM_BYTES_MAX // 16]
    assert [one["bytes"] for one in logs] == [STREAM_BYTES_MAX // 16]


async def test_with_no_room_at_all_or_another_trouble_there_is_no_stream() -> None:
    leaf = Leaf(*[FULL] * STREAM_SIZES)
    with pytest.raises(nats.js.errors.APIError):
        await shipper._stream(leaf.line)
    assert leaf.sizes[-1] == 4 * 1024 * 1024
    leaf = Leaf(OTHER)
    with pytest.raises(nats.js.errors.APIError):
        await shipper._stream(leaf.line)
    assert leaf.asked == ["update"]


def asked(reply: str, data: bytes = b"nonsense") -> Any:  # noqa: ANN401
    return SimpleNamespace(reply=reply, data=data)


async def test_who_asks_without_a_place_for_the_answer_gets_none(ship: Shipper) -> None:
    leaf = Leaf()
    await ship._answer(leaf.line, asked(""))
    assert (leaf.said, ship.failed) == ([], {})


def of_ours() -> None:
    raise LookupError


@pytest.mark.parametrize(
    ("said", "problem", "failed"),
    [
        (None, "JSON is malformed", {"question": 1}),
        (of_ours, "a mistake of ours", {"failed": 1}),
    ],
)
async def test_whatever_goes_wrong_there_is_an_answer(
    ship: Shipper,
    monkeypatch: pytest.MonkeyPatch,
    said: Callable[[], None] | None,
    problem: str,
    failed: dict[str, int],
) -> None:
    if said is not None:
        monkeypatch.setattr(questions, "question", lambda _: said())
    leaf = Leaf()
    await ship._answer(leaf.line, asked("there"))
    ((reply, data),) = leaf.said
    answer = questions.answer(data)
    assert (reply, answer.center) == ("there", "sever")
    assert problem in str(answer.problem)
    assert ship.failed == failed
    leaf.deaf = nats.errors.ConnectionClosedError()
    await ship._answer(leaf.line, asked("there"))
    assert ship.failed["question"] == failed.get("question", 0) * 2 + 1
