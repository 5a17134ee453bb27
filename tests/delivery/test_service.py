"""Delivery in its own thread: started, asked, reloaded and stopped from the engine's loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from gkc_engine.config.models import Config
from gkc_engine.delivery import service
from gkc_engine.delivery.letter import Message
from gkc_engine.delivery.outbox import FILE, left_in
from gkc_engine.delivery.service import Delivery, DeliveryDownError
from gkc_engine.errors import GkcError
from gkc_engine.ids import Instant
from tests.config.cities import tiny_config
from tests.delivery.support import Maker, Server, city, moment, serving

DAILY = '[{what: day, at: "07:30", to: a@city.example}]'
AT = moment("2026-11-28T07:30+03:00")


@dataclass
class Clock:
    at: Instant

    def now(self) -> Instant:
        return self.at

    def drift_us(self) -> int:
        return 0


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LOOKS_APART_S", 0.01)
    monkeypatch.setattr(service, "LOOK_AGAIN_S", 0.02)


@asynccontextmanager
async def delivery(folder: Path, config: Config, clock: Clock) -> AsyncIterator[Delivery]:
    made = Delivery(config, folder, folder, folder / "run", clock)
    made._maker = Maker()  # type: ignore[assignment]
    try:
        yield made
    finally:
        await made.close()
        assert made._thread is None or not made._thread.is_alive()


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    while not await look():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)


async def test_sent_by_itself_at_its_time_and_shown(tmp_path: Path) -> None:
    clock = Clock(Instant(AT - 1))
    async with serving(Server()) as server:
        config = city(DAILY, server.port)
        async with delivery(tmp_path, config, clock) as one:
            with pytest.raises(DeliveryDownError, match="some seconds after a start"):
                await one.send_all()
            assert await one.outbox(10) == []
            one.start()

            async def looked() -> bool:
                return one.looked

            await until(looked)
            clock.at = AT

            async def sent() -> bool:
                return [row["state"] for row in await one.outbox(10)] == ["sent"]

            await until(sent)
            (row,) = await one.outbox(10)
    assert row["sent"] == "2026-11-28T04:30:00.000000Z"
    assert row["to"] == [
        {"address": "a@city.example", "state": "sent", "reply": row["to"][0]["reply"]}
    ]
    assert (row["next_try"], row["name"], row["period"]) == (None, "day", "2026-11-27")
    assert len(server.mails) == 1
    assert left_in(tmp_path / FILE, 10) == [row]


AFTER = Instant(AT + 1)
"""A report that is new then is not due of itself before the next day."""


async def asked_for(one: Delivery) -> None:
    """Ask for the report of the day, as soon as there is somebody to ask."""

    async def asked() -> bool:
        try:
            return bool(await one.send("day", again=False))
        except DeliveryDownError:
            return False

    await until(asked)


async def test_asked_by_hand_and_refused(tmp_path: Path) -> None:
    async with serving(Server(data=["554 no"])) as server:
        config = city(DAILY, server.port)
        async with delivery(tmp_path, config, Clock(AFTER)) as one:
            one.start()
            await asked_for(one)

            async def is_now(state: str) -> bool:
                return [row["state"] for row in await one.outbox(10)] == [state]

            await until(lambda: is_now("failed"))
            with pytest.raises(GkcError, match="no report 'week'"):
                await one.send("week", again=False)
            before, after = await one.retry(1)
            assert (before["state"], after["state"]) == ("failed", "due")
            await until(lambda: is_now("sent"))
            assert await one.send_all() == 0
    assert len(server.mails) == 1


async def test_without_mail_nothing_begins_until_a_reload_brings_it(tmp_path: Path) -> None:
    async with serving(Server()) as server:
        clock = Clock(AFTER)
        async with delivery(tmp_path, tiny_config(tmp_path / "without"), clock) as one:
            one.start()
            assert one._thread is None
            with pytest.raises(DeliveryDownError, match="once mail: is there"):
                await one.send("day", again=False)
            assert not (tmp_path / FILE).exists()
            one.replace(city(DAILY, server.port))

            async def looked() -> bool:
                return one.looked

            await until(looked)
            # Another server, known by the next look.
            async with serving(Server()) as other:
                one.replace(city(DAILY, other.port))
                await one.send("day", again=False)

                async def arrived() -> bool:
                    return len(other.mails) == 1

                await until(arrived)
    assert server.mails == []


async def test_a_stop_lets_a_mail_arrive_that_is_on_its_way(tmp_path: Path) -> None:
    on_its_way, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Server):
        async def handle_DATA(  # noqa: N802 - aiosmtpd's name
            self, server: SMTP, session: Session, envelope: Envelope
        ) -> str:
            on_its_way.set()
            await go_on.wait()
            return await super().handle_DATA(server, session, envelope)

    async with (
        serving(Slow()) as server,
        delivery(tmp_path, city(DAILY, server.port), Clock(AFTER)) as one,
    ):
        one.start()
        await asked_for(one)
        await on_its_way.wait()
        closing = asyncio.ensure_future(one.close())
        await asyncio.sleep(0)
        go_on.set()
        await closing
    assert [row["state"] for row in left_in(tmp_path / FILE, 10)] == ["sent"]


async def test_a_message_of_the_moment_is_sent_once(tmp_path: Path) -> None:
    """Also one that was posted before there was anybody to send it."""

    def alert(key: str) -> Message:
        to, subject = ["a@city.example"], "Очередь passport:\nждут 10 минут"
        return Message(name="alert", key=key, to=to, subject=subject, text="Ждут: 12\n")

    async with (
        serving(Server(data=["250 kept", "554 no"])) as server,
        delivery(tmp_path, city("[]", server.port), Clock(AFTER)) as one,
    ):
        one.post(alert("1"))
        one.start()
        for key in ("1", "2", "1", "2"):
            one.post(alert(key))

        async def done() -> bool:
            return [row["state"] for row in await one.outbox(9)] == ["failed", "sent"]

        await until(done)
        with pytest.raises(GkcError, match="mail 2 was of its moment"):
            await one.retry(2)
    (message,) = server.messages()
    assert message["Subject"] == "Очередь passport: ждут 10 минут"
    assert message.get_content().strip() == "Ждут: 12"


async def test_an_outbox_that_cannot_be_used_ends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database" * 100)
    async with delivery(tmp_path, city(DAILY), Clock(AFTER)) as one:
        one.start()

        async def refused() -> bool:
            try:
                await one.outbox(10)
            except GkcError as error:
                return "file is not a database; look at its disk" in str(error)
            return False

        await until(refused)
        assert one._thread is not None
        assert one._thread.is_alive()
    assert "outbox_unavailable" in capsys.readouterr().out
