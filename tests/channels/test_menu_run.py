"""What a menu's driver makes of Asterisk's words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import cast

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.host import Host, Sound
from gkc_engine.channels.phone.menu_run import MenuRunner
from gkc_engine.config.menu_model import MenuModel
from gkc_engine.ids import ContactId
from gkc_engine.ivr.fastagi import AgiClosed, AgiServer, AgiSession
from tests.fakes.agi import FakeCall
from tests.fakes.facts import Facts

MENU = MenuModel.model_validate(
    {
        "prompt": "main",
        "choices": {"3": {"article": "hours", "then": {"hangup": True}}},
        "on_timeout": {"hangup": True},
    }
)


class _Host:
    """Each prompt is there, nothing is recorded."""

    def sound(self, name: str, language: str) -> Sound:
        return Sound(f"{language}/{name}", 2.0)

    def submit(self, event: ev.Event, key: str | None) -> None:
        del event, key


class Way:
    """One citizen in the menu; ``ends`` tells how it ended: ``None`` or the exception."""

    def __init__(self) -> None:
        self.ends: Facts[AgiClosed | None] = Facts()
        self.server = AgiServer(self._run, "127.0.0.1", 0)

    async def _run(self, agi: AgiSession) -> None:
        call = Call(contact_id=ContactId("c"), leg=agi.uniqueid, channel=agi.channel, leased=False)
        runner = MenuRunner(lambda: {"main": MENU})
        try:
            assert await runner.run(cast("Host", _Host()), call, agi, "main") is None
        except AgiClosed as error:
            self.ends.add(error)
        else:
            self.ends.add(None)


@pytest.fixture
async def way() -> AsyncIterator[Way]:
    made = Way()
    await made.server.start()
    yield made
    await made.server.stop()


async def _in_the_article(way: Way) -> FakeCall:
    fake = await FakeCall.dial(way.server.port)
    await fake.got("GET DATA")
    fake.reply("200 result=3")
    await fake.got('STREAM FILE "ru/hours"')
    return fake


async def test_who_hangs_up_in_an_article_was_not_sent_away_by_the_menu(way: Way) -> None:
    """Asterisk answers the prompt first, and says HANGUP in a packet of its own."""
    fake = await _in_the_article(way)
    fake.reply("200 result=-1 endpos=5600")
    with suppress(TimeoutError):  # the packets do not come together
        await way.ends.count(1, 0.02)
    fake.say("HANGUP")
    (end,) = await way.ends.count(1)
    assert isinstance(end, AgiClosed)
    await fake.hang_up()


async def test_an_article_that_could_not_be_played_does_not_strand_him(way: Way) -> None:
    fake = await _in_the_article(way)
    fake.reply("200 result=-1 endpos=0")
    assert await way.ends.count(1) == [None]
    await fake.hang_up()
