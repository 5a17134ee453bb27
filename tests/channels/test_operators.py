"""Who sits at which phone, and who may sit there."""

from __future__ import annotations

import dataclasses

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.channels.phone.operators import WRONG_FOR_US, WRONG_MAX
from gkc_engine.channels.phone.roster import Phone, Roster
from gkc_engine.ids import SECOND, AgentId
from tests.channels.world import World, world

ANNA, BORIS = AgentId("anna"), AgentId("boris")
REFUSED = ("agent-refused",)
CAME = ("agent-logged-in",)


def roster(**seats: str) -> Roster:
    phones = (
        Phone(agent_id=ANNA, interface="PJSIP/101"),
        Phone(agent_id=BORIS, interface="PJSIP/102"),
    )
    return Roster(phones, {AgentId(a): i for a, i in seats.items()})


def test_who_sits_at_a_phone_is_who_it_rings_for() -> None:
    seated = roster(anna="PJSIP/102")
    assert seated.agent_of("PJSIP/102") == ANNA
    assert seated.by_agent[ANNA].interface == "PJSIP/102"
    assert seated.by_extension["102"].agent_id == ANNA
    assert seated.agent_of("PJSIP/101") is None
    assert seated.own["PJSIP/102"] == BORIS


@pytest.mark.parametrize("seat", ["PJSIP/101", "PJSIP/999"])
def test_a_seat_that_is_none_is_forgotten(seat: str) -> None:
    assert roster(anna=seat).seats == {}


def with_pins(here: World) -> None:
    """Give everybody the digits of his own number as PIN: 1101 for 101."""
    phones = [
        dataclasses.replace(p, pin=f"1{p.extension}") for p in here.channel.roster.by_agent.values()
    ]
    here.channel.facts.set_roster(Roster(phones))


async def dial(here: World, code: str, argument: str, phone: int) -> tuple[str, ...]:
    said = await here.channel.operators._feature(code, argument, f"PJSIP/{phone}")
    await here.engine.drain()
    return tuple(said)


async def test_a_pin_moves_the_operator_and_frees_his_seat_at_the_end() -> None:
    async with world(cel=None, agents=[]) as here:
        with_pins(here)
        assert await dial(here, "login", "1101", 102) == CAME
        assert here.channel.roster.agent_of("PJSIP/102") == ANNA
        assert here.agent("anna") == "ready"
        assert await dial(here, "login", "", 102) == ("agent-logged-out",)
        assert here.channel.roster.agent_of("PJSIP/102") == BORIS
        assert here.channel.roster.agent_of("PJSIP/101") == ANNA


async def test_nobody_sits_where_somebody_works() -> None:
    async with world(cel=None, agents=["boris"]) as here:
        with_pins(here)
        assert await dial(here, "login", "1101", 102) == REFUSED
        assert here.agent("anna") == "offline"
        assert here.agent("boris") == "ready"


async def test_who_moves_leaves_the_old_phone() -> None:
    async with world(cel=None, agents=["anna"]) as here:
        with_pins(here)
        assert await dial(here, "login", "1101", 103) == CAME
        assert here.channel.roster.by_agent[ANNA].interface == "PJSIP/103"
        by = [e.by for e in here.events() if isinstance(e, ev.AgentLoggedIn)]
        assert by[-1] == "PJSIP/103"


async def test_wrong_pins_close_the_phone_for_a_while() -> None:
    async with world(cel=None, agents=[]) as here:
        with_pins(here)
        for _ in range(WRONG_MAX):
            assert await dial(here, "login", "0000", 102) == REFUSED
        assert await dial(here, "login", "1101", 102) == REFUSED
        assert await dial(here, "login", "1101", 103) == CAME, "only that phone"
        await dial(here, "login", "", 103)
        await here.said(seconds=WRONG_FOR_US / SECOND + 1)
        assert await dial(here, "login", "1101", 102) == CAME


async def test_a_seat_is_taken_over_from_the_core() -> None:
    async with world(cel=None, agents=[]) as here:
        await here.said(ev.AgentLoggedIn(agent_id=ANNA, by="PJSIP/102"))
        here.channel.operators.restore()
        assert here.channel.roster.agent_of("PJSIP/102") == ANNA
