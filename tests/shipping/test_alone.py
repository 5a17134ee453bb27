"""Shipper and collector without a server: what must not hold them up, nor the loop."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import nats.js.errors
import pytest
import structlog

from gkc_engine.endings import end_tasks
from gkc_engine.federation.settings import CollectorSettings, LinkSettings, ShipperSettings
from gkc_engine.shipping import collector as collecting
from gkc_engine.shipping import shipper as shipping
from gkc_engine.shipping.batches import PIECES_MAX, VERSION, Header
from gkc_engine.shipping.collector import ACCEPT, Collector
from gkc_engine.shipping.line import FULL, Line
from gkc_engine.shipping.outbox import Outbox
from gkc_engine.shipping.position import Position
from gkc_engine.shipping.shipper import Shipper
from tests.federation.centers import until
from tests.shipping.world import histories, ledger, url_of

BUS = LinkSettings(urls=("nats://127.0.0.1:1",))


class FullStream:
    """A JetStream whose stream is full, and whose consumer the city has not come to yet."""

    async def publish(self, *_args: object, **_options: object) -> None:
        raise nats.js.errors.APIError(code=400, err_code=FULL[0], description="maximum bytes")

    async def consumer_info(self, *_args: object) -> None:
        raise nats.js.errors.NotFoundError(code=404, description="no consumer")


def full() -> Line:
    client = SimpleNamespace(is_connected=True)
    return Line(client=cast("Any", client), jetstream=cast("Any", FullStream()))


async def test_a_city_that_begins_anew_is_heard_though_the_stream_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "FULL_S", 0.01)
    shipper = Shipper(f"sqlite:///{tmp_path / 'none'}", ShipperSettings(center="sever", bus=BUS))
    sending = asyncio.get_running_loop().create_task(shipper._publish(full(), b"x"))
    try:
        await until(lambda: shipper.failed["full"] > 2)
        # The city's store is new: what it lacks is not in the stream, which it never empties.
        shipper._rewind = Position()
        await until(sending.done)
        assert isinstance(sending.exception(), shipping._BeginAgainError)
    finally:
        await end_tasks([sending])


async def test_the_ledger_is_read_in_its_own_thread_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by: set[str] = set()
    read = vars(Outbox)["ledger"].fget

    def noted(outbox: Outbox) -> str | None:
        by.add(threading.current_thread().name.partition("_")[0])
        return cast("str | None", read(outbox))

    async def publish(_to: Line, _data: bytes) -> None:
        pass

    monkeypatch.setattr(Outbox, "ledger", property(noted))
    store = ledger(tmp_path, "sever", histories(1)["sever"][:50])
    shipper = Shipper(url_of(store), ShipperSettings(center="sever", bus=BUS))
    monkeypatch.setattr(shipper, "_publish", publish)
    try:
        await shipper._ship(full())
        assert shipper.sent.seq > 0
        assert by == {"shipping"}
    finally:
        shipper._thread.shutdown()
        shipper._outbox.close()
        store.close()


async def test_a_word_that_cannot_be_taken_away_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "SETTLE_S", 0.01)
    settings = CollectorSettings(
        buses={"sever": BUS, "yug": BUS}, store=str(tmp_path / "city.sqlite"), timezone="UTC"
    )
    collector = Collector(settings, tmp_path, tmp_path)
    accepted: list[str] = []
    monkeypatch.setattr(collector.store, "accept", accepted.append)
    begun: list[str] = []

    async def begin(name: str) -> None:
        begun.append(name)

    monkeypatch.setattr(collector, "_begin", begin)
    stuck = tmp_path / f"{ACCEPT}sever"
    stuck.mkdir()  # No file: it cannot be unlinked, whoever we are.
    looking = asyncio.get_running_loop().create_task(collector._accept())
    try:
        with structlog.testing.capture_logs() as logged:
            await until(lambda: looking.done() or bool(logged))
            assert not looking.done(), looking.exception()
            (tmp_path / f"{ACCEPT}yug").touch()
            await until(lambda: "yug" in begun)
        assert accepted.count("sever") == 1, "not from its beginning at each look"
        told = [line for line in logged if line["event"] == "accept_failed"]
        assert [line["center"] for line in told] == ["sever"], "once"
        assert str(stuck) in told[0]["problem"]
    finally:
        await end_tasks([looking])
        collector._thread.shutdown()


class Piece:
    """A message with the first piece of a row."""

    def __init__(self) -> None:
        header = Header(
            v=VERSION,
            center="sever",
            ledger="l",
            after=0,
            after_id="",
            last=1,
            last_id="e",
            told=1,
            pieces=3,
        )
        self.data, self.acked = msgspec.json.encode(header) + b"\nx", False

    async def ack(self) -> None:
        self.acked = True


async def test_a_row_that_is_begun_again_and_again_holds_nothing_up(tmp_path: Path) -> None:
    settings = CollectorSettings(
        buses={"sever": BUS}, store=str(tmp_path / "city.sqlite"), timezone="UTC"
    )
    feed = Collector(settings, tmp_path, tmp_path).feeds["sever"]
    pieces = [Piece() for _ in range(2 * PIECES_MAX + 1)]  # One more than may wait unacknowledged.
    for piece in pieces:
        await feed._take(full(), cast("Any", piece))
    assert len(feed._held) == 1
    assert [piece.acked for piece in pieces] == [True] * (2 * PIECES_MAX) + [False]
