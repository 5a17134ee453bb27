"""A call's first words with us."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.channels.phone.entry import Entry
from gkc_engine.config.loader import load_config
from gkc_engine.ids import QueueId
from gkc_engine.ivr.fastagi import AgiSession
from gkc_engine.plans import phone_plan
from tests.channels.world import CITY, leg, world

OLD = "+74951112233"


@pytest.mark.parametrize(
    ("language", "dialled", "spoken"),
    [("en", OLD, "en"), ("en", "84951112233", "en"), (None, OLD, "ru"), ("en", "+7499", "ru")],
)
async def test_a_number_speaks_its_own_language(
    language: str | None, dialled: str, spoken: str
) -> None:
    async with world() as here:
        here.channel.plan.entries[OLD] = Entry(queue=QueueId("passport"), language=language)
        request = SimpleNamespace(extension=dialled, callerid_num="", callerid_name="")
        agi = SimpleNamespace(request=request, uniqueid=leg(1), channel="PJSIP/x-1")
        call = await here.channel.entry_desk.admit(here.channel, cast(AgiSession, agi))
        await here.engine.drain()
        (started,) = [e for e in here.events() if isinstance(e, ev.ContactStarted)]
        assert (call.language, started.language) == (spoken, spoken)


def test_the_language_of_a_number_comes_from_the_config() -> None:
    config = load_config(CITY)
    config.numbers[OLD] = config.numbers[OLD].model_copy(update={"language": "en"})
    entries = phone_plan(config, lambda _name, _language: None).entries
    assert (entries[OLD].language, entries["+74957777777"].language) == ("en", None)
