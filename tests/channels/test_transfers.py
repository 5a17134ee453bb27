"""What the core and the channel make of a transfer, without an Asterisk."""

from __future__ import annotations

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import OfferContact
from gkc_engine.channels.phone import translate as tr
from gkc_engine.ids import AgentId, ContactId
from tests.channels.test_resync import talking
from tests.channels.world import World, at, leg, world

ANNA, BORIS = AgentId("anna"), AgentId("boris")


def offers(here: World) -> list[tuple[str, tuple[AgentId, ...]]]:
    return [(c.contact_id, c.agent_ids) for c in here.commands() if isinstance(c, OfferContact)]


async def test_nobody_is_offered_between_the_consultation_and_the_transfer() -> None:
    async with world(cel=None, agents=["anna"]) as here:
        await talking(here)
        await here.said(ev.AgentLoggedIn(agent_id=BORIS))
        for agent_id, kind in ((ANNA, "consult"), (BORIS, "consulted")):
            await here.said(ev.AgentCallStarted(agent_id=agent_id, call_id=leg(5), kind=kind))
        second = await here.waiting(2, 6)
        before = offers(here)
        first = next(c for c, _ in before)
        await here.said(
            ev.TransferRequested(contact_id=ContactId(first), from_agent=ANNA, to_agent=BORIS),
            seconds=7,
        )
        assert offers(here)[len(before)] == (first, (BORIS,))
        assert all(contact != second for contact, _ in before)


async def test_own_calls_that_ended_meanwhile_free_the_operators() -> None:
    async with world(cel=None, agents=["anna", "boris"]) as here:
        for agent_id, kind in ((ANNA, "consult"), (BORIS, "consulted")):
            await here.said(ev.AgentCallStarted(agent_id=agent_id, call_id=leg(5), kind=kind))
        assert (here.agent("anna"), here.agent("boris")) == ("talk", "talk")
        here.ami.channels()
        await here.channel.transfers.consults.reconcile()
        await here.engine.drain()
        assert (here.agent("anna"), here.agent("boris")) == ("ready", "ready")


async def test_own_calls_that_go_on_end_with_the_callers_leg() -> None:
    async with world(cel=None, agents=["anna", "boris"]) as here:
        for agent_id, kind in ((ANNA, "consult"), (BORIS, "consulted")):
            await here.said(ev.AgentCallStarted(agent_id=agent_id, call_id=leg(5), kind=kind))
        here.ami.channels({"Uniqueid": leg(5), "Channel": "PJSIP/101-00000005"})
        await here.channel.transfers.consults.reconcile()
        await here.engine.drain()
        assert here.agent("boris") == "talk"
        here.channel.facts.handle(
            tr.LegEnded(
                leg=leg(5),
                channel="PJSIP/101-00000005",
                endpoint="PJSIP/101",
                cause=16,
                cause_text="",
                at=at(9),
            )
        )
        await here.engine.drain()
        assert (here.agent("anna"), here.agent("boris")) == ("ready", "ready")
