"""What the core and the channel make of a transfer, without an Asterisk."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import OfferContact
from gkc_engine.channels.phone import consults
from gkc_engine.channels.phone import translate as tr
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.consults import Consult
from gkc_engine.channels.phone.outbound import CallOut
from gkc_engine.ids import AgentId, ContactId, QueueId
from tests.channels.test_cel import PHONE, line, stamp
from tests.channels.test_resync import cel, talking
from tests.channels.world import World, at, citizen_row, leg, phone_row, world

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


async def test_a_socket_that_ends_before_ami_tells_of_the_transfer_loses_no_queue() -> None:
    """Anna asks housing, Boris answers, she hands over: which word comes first proves nothing."""
    async with world(agents=["anna", "boris"]) as here:
        transfers, calls = here.channel.transfers, here.channel.calls
        await talking(here)
        citizen = Call(contact_id=ContactId("c1"), leg=leg(1), channel="", entry="", language="ru")
        own = Call(
            contact_id=ContactId("consult:" + leg(5)),
            leg=leg(5),
            channel="",
            entry="",
            language="ru",
            consult=True,
        )
        for call, agent_id, at_phone in ((citizen, ANNA, leg(2)), (own, BORIS, leg(6))):
            calls.add(call)
            calls.bind(call, at_phone, agent_id)
            call.answered_by, call.talk_leg = agent_id, at_phone
        asked = Consult(leg=leg(5), caller=ANNA, queue=QueueId("housing"), own=own)
        await transfers.consults._begin(asked)
        transfers.consults._socket_ended(asked)
        here.channel.facts.handle(
            tr.AttendedTransferred(
                first=leg(2),
                second=leg(5),
                transferee=leg(1),
                target=leg(6),
                target_endpoint="PJSIP/102",
                at=at(9),
            )
        )
        await here.engine.drain()
        view = here.view("c1")
        assert view is not None
        assert (view.agent_id, view.queue) == (BORIS, "housing")
        assert here.agent("anna") == "ready"


async def test_put_through_in_the_instant_of_the_answer_the_other_party_ends_it() -> None:
    """No bridge yet, so Asterisk names no target; and his line ends with the other's, at once."""
    async with world(agents=["anna"]) as here:
        calls, theirs = here.channel.calls, leg(6)
        await talking(here)
        citizen = Call(contact_id=ContactId("c1"), leg=leg(1), channel="", entry="", language="ru")
        calls.add(citizen)
        calls.bind(citizen, leg(2), ANNA)
        citizen.answered_by, citizen.talk_leg = ANNA, leg(2)
        here.channel.outbound.running[leg(5)] = CallOut(
            contact_id=ContactId("o1"), agent_id=ANNA, leg=leg(5), outside=theirs, answered=at(8)
        )
        handed = tr.AttendedTransferred(
            first=leg(2),
            second=leg(5),
            transferee=leg(1),
            target="",
            target_endpoint=None,
            at=at(9),
        )
        here.channel.facts.handle(handed)
        for gone, name in ((theirs, "PJSIP/out-6"), (leg(1), "PJSIP/network-1")):
            ended = tr.LegEnded(
                leg=gone, channel=name, endpoint=None, cause=16, cause_text="", at=at(20)
            )
            here.channel.put_through.observe(ended)
            here.channel.facts.handle(ended)
        await here.engine.drain()
        assert [row.party for row in here.ended().values()] == [ev.Party.OUTSIDE]


async def test_a_call_of_his_own_whose_end_ami_never_tells_ends_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consults, "_AMI_S", 0.0)
    async with world(agents=["anna"]) as here:
        own_calls = here.channel.transfers.consults
        asked = Consult(leg=leg(5), caller=ANNA)
        await own_calls._begin(asked)
        assert here.agent("anna") == "talk"
        own_calls._socket_ended(asked)
        assert own_calls.running, "AMI may still tell of a transfer"
        await asyncio.gather(*here.channel._tasks)
        await here.engine.drain()
        assert here.agent("anna") == "ready"


def local_row(n: int, half: int, of: int, *, bridge: str = "") -> dict[str, str]:
    """Return the row of one half of the channel that a ``*2`` makes."""
    return citizen_row(n, app="Dial" if half == 2 else "", bridge=bridge) | {
        "Linkedid": leg(of),
        "Channel": f"Local/102@gkc-transfer-00000001;{half}",
        "Context": "gkc-transfer",
    }


async def test_a_colleague_who_was_only_asked_did_not_take_him_over(tmp_path: Path) -> None:
    """By ``*2`` his leg is linked with the citizen's, and it began after hers."""
    of_boris = PHONE.replace("101", "102").format(t=stamp(5), leg=leg(3), linked=leg(1))
    past = cel(tmp_path, of_boris, line("ANSWER", leg(3), 6), line("HANGUP", leg(3), 7))
    async with world(cel=past, agents=["anna", "boris"]) as here:
        await talking(here)
        here.ami.channels(citizen_row(1, app="Dial", bridge="hold"), phone_row(2, "101", 1))
        await here.restart(20, 1)
        view = here.view("c1")
        assert view is not None
        assert (view.state, view.agent_id) == ("talk", ANNA)
        assert here.channel.calls.by_leg[leg(1)].talk_leg == leg(2)


async def test_who_talks_with_him_through_both_halves_is_found(tmp_path: Path) -> None:
    """She has hung up, and Asterisk has not yet taken the Local channel out of the way."""
    async with world(cel=cel(tmp_path), agents=["anna", "boris"]) as here:
        await talking(here)
        here.ami.channels(
            citizen_row(1, app="Dial", bridge="a"),
            local_row(4, 1, 1, bridge="a"),
            local_row(5, 2, 1, bridge="b"),
            phone_row(3, "102", 1, bridge="b"),
        )
        await here.restart(20, 1)
        view = here.view("c1")
        assert view is not None
        assert view.agent_id == BORIS
        (moved,) = [e for e in here.events() if isinstance(e, ev.TransferCompleted)]
        assert (moved.leg, moved.attended) == (leg(3), True)


@pytest.mark.parametrize("named", [True, False])
async def test_a_colleague_who_was_asked_while_we_were_away_is_no_outside_party(
    tmp_path: Path, named: bool
) -> None:
    async with world(cel=cel(tmp_path), agents=["anna", "boris"]) as here:
        await talking(here)
        citizen, phone = citizen_row(1, app="Dial", bridge="a"), phone_row(2, "101", 1, bridge="a")
        here.ami.channels(citizen, phone)
        await here.restart(4, 1)
        here.clock.moment = at(9)
        of_boris = PHONE.replace("101", "102").format(t=stamp(3), leg=leg(3), linked=leg(1))
        cel(tmp_path, of_boris, line("ANSWER", leg(3), 4), line("HANGUP", leg(2), 8))
        here.ami.channels(
            citizen_row(1, app="Dial", bridge="a"),
            local_row(4, 1, 1, bridge="a"),
            local_row(5, 2, 1, bridge="b"),
            phone_row(3, "102", 1, bridge="b"),
        )
        here.channel.facts.handle(
            tr.AttendedTransferred(
                first=leg(2),
                second=leg(2),
                transferee=leg(1),
                target=leg(4) if named else "",
                target_endpoint="Local/102@gkc-transfer" if named else None,
                at=at(8),
            )
        )
        await asyncio.gather(*here.channel._tasks)
        await here.engine.drain()
        (moved,) = [e for e in here.events() if isinstance(e, ev.TransferCompleted)]
        assert (moved.to_agent, moved.leg, moved.to_external) == (BORIS, leg(3), None)
        view = here.view("c1")
        assert view is not None
        assert (view.state, view.agent_id) == ("talk", BORIS)


async def test_three_who_talk_are_known_as_three(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path), agents=["anna", "boris"]) as here:
        await talking(here)
        for agent_id, kind in ((ANNA, "consult"), (BORIS, "consulted")):
            await here.said(ev.AgentCallStarted(agent_id=agent_id, call_id=leg(5), kind=kind))
        here.ami.channels(
            citizen_row(1, app="Dial", bridge="a"),
            phone_row(3, "102", 1, bridge="a"),
            phone_row(2, "101", 1, bridge="a"),
        )
        await here.restart(20, 1)
        await here.channel.transfers.consults.reconcile()
        await here.engine.drain()
        assert here.agent("boris") == "talk"
        here.channel.facts.handle(
            tr.LegEnded(
                leg=leg(2),
                channel="PJSIP/101-00000002",
                endpoint="PJSIP/101",
                cause=16,
                cause_text="",
                at=at(22),
            )
        )
        await here.engine.drain()
        view = here.view("c1")
        assert view is not None
        assert view.agent_id == BORIS
        assert here.agent("anna") == "ready"


async def test_who_leaves_the_three_while_all_is_read_anew_hands_over(tmp_path: Path) -> None:
    async with world(cel=cel(tmp_path), agents=["anna", "boris"]) as here:
        await talking(here)
        for agent_id, kind in ((ANNA, "consult"), (BORIS, "consulted")):
            await here.said(ev.AgentCallStarted(agent_id=agent_id, call_id=leg(5), kind=kind))
        two = citizen_row(1, app="Dial", bridge="a"), phone_row(3, "102", 1, bridge="a")
        here.ami.channels(*two, phone_row(2, "101", 1, bridge="a"))
        await here.restart(20, 1)
        here.ami.channels(*two)  # she hung up between the resync's list and this one
        await here.channel.transfers.consults.reconcile()
        await asyncio.gather(*here.channel._tasks)
        await here.engine.drain()
        view = here.view("c1")
        assert view is not None
        assert view.agent_id == BORIS


async def test_a_place_that_the_last_engine_held_for_advice_is_given_up() -> None:
    async with world(cel=None, agents=["anna"]) as here:
        await talking(here)
        asked = ContactId("consult:" + leg(9))
        await here.said(
            ev.ConsultStarted(
                contact_id=asked,
                agent_id=ANNA,
                queue=QueueId("housing"),
                about=ContactId("c1"),
            )
        )
        await here.restart(20, 1)
        here.ami.channels()
        await here.channel.transfers.consults.reconcile()
        await here.engine.drain()
        assert here.view(asked) is None
        assert list(here.ended()) in ([], ["c1"]), "it is no contact of the record"
