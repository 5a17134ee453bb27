"""What the end of a Dial means."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec.structs import replace

from gkc_engine.acd.commands import OfferContact
from gkc_engine.acd.events import OfferFailure
from gkc_engine.channels.phone import dialling
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.dialling import CAUSE_NOT_THERE
from gkc_engine.channels.phone.roster import Phone, Roster
from gkc_engine.channels.phone.serve import CitizenSession
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, OfferId, QueueId

OFFER = OfferContact(
    offer_id=OfferId(1),
    contact_id=ContactId("c1"),
    agent_ids=(AgentId("anna"),),
    queue=QueueId("passport"),
    timeout_us=Micros(5 * SECOND),
    step=0,
    created=Instant(0),
)


class Host:
    def __init__(self, *, ami: bool = True, now_s: float = 0.0) -> None:
        self._ami = ami
        self._now = Instant(round(now_s * SECOND))

    def ami_up(self) -> bool:
        return self._ami

    def now(self) -> Instant:
        return self._now


def of(host: Host, call: Call, status: str, cause: str) -> OfferFailure:
    return dialling.failure(cast(Any, host), call, OFFER, status, cause)


@pytest.mark.parametrize(
    ("status", "cause", "rang", "failure"),
    [
        ("BUSY", "17", False, OfferFailure.BUSY),
        ("BUSY", "17", True, OfferFailure.REJECTED),
        ("BUSY", "0", False, OfferFailure.REJECTED),  # 302 under option i
        ("CHANUNAVAIL", "21", True, OfferFailure.REJECTED),  # 603
        ("NOANSWER", "19", True, OfferFailure.NO_ANSWER),
        ("NOANSWER", "19", False, OfferFailure.UNREACHABLE),  # 480
        ("CHANUNAVAIL", "3", False, OfferFailure.UNREACHABLE),
        ("CONGESTION", "34", False, OfferFailure.UNREACHABLE),
        ("SOMETHING", "", False, OfferFailure.UNREACHABLE),
    ],
)
def test_what_a_phone_said(status: str, cause: str, rang: bool, failure: OfferFailure) -> None:
    call = Call(contact_id=ContactId("c1"), leg="1", channel="x")
    if rang:
        call.rang.add("2")
    assert of(Host(), call, status, cause) is failure


def test_without_ami_an_unheard_ring_is_taken_for_one() -> None:
    call = Call(contact_id=ContactId("c1"), leg="1", channel="x")
    found = of(Host(ami=False), call, "NOANSWER", "19")
    assert found is OfferFailure.NO_ANSWER


def test_what_we_ended_ourselves_is_no_fault_of_the_operator() -> None:
    call = Call(contact_id=ContactId("c1"), leg="1", channel="x", rescinded={OfferId(1)})
    found = of(Host(), call, "CHANUNAVAIL", "26")
    assert found is OfferFailure.RESCINDED


def test_a_silent_phone_is_not_there() -> None:
    call = Call(contact_id=ContactId("c1"), leg="1", channel="x", causes={"2": CAUSE_NOT_THERE})
    found = of(Host(), call, "NOANSWER", "20")
    assert found is OfferFailure.UNREACHABLE


@pytest.mark.parametrize(("begun_s", "ring_s"), [(0.0, 5.0), (4.5, 5.0), (6.0, 3.5)])
def test_the_ring_ends_before_the_core_gives_it_up(begun_s: float, ring_s: float) -> None:
    assert dialling.ring_s(cast(Any, Host(now_s=begun_s)), OFFER) == ring_s


def test_of_several_who_were_rung_only_the_last_is_meant() -> None:
    call = Call(contact_id=ContactId("c1"), leg="1", channel="x", out={"2"})
    call.rang.add("2")
    call.causes["2"] = CAUSE_NOT_THERE
    assert of(Host(), call, "BUSY", "17") is OfferFailure.BUSY


@pytest.mark.parametrize(
    ("peer", "winner"), [("PJSIP/102-00000007", "boris"), ("PJSIP/199-1", "anna"), (None, "anna")]
)
async def test_without_ami_the_dialplan_knows_who_of_several_answered(
    peer: str | None, winner: str
) -> None:
    class Agi:
        async def get_variable(self, name: str) -> str | None:
            assert name == "DIALEDPEERNAME"
            return peer

    class Rosters(Host):
        roster = Roster(
            [Phone(agent_id=AgentId(a), interface=i) for a, i in PHONES.items()],
        )

    call = Call(contact_id=ContactId("c1"), leg="1", channel="x")
    serving = CitizenSession(cast(Any, Rosters()), call, cast(Any, Agi()), cast(Any, None))
    both = replace(OFFER, agent_ids=(AgentId("anna"), AgentId("boris")))
    assert await serving._winner(both) == winner
    assert await serving._winner(OFFER) == "anna", "one needs no asking"


PHONES = {"anna": "PJSIP/101", "boris": "PJSIP/102"}
