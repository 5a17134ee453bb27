"""What a Dial of an offer means: how long it rings, who is not there, why it came to nothing."""

from __future__ import annotations

import asyncio

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.host import Host, QueueVoice
from gkc_engine.channels.phone.lease import under_lease
from gkc_engine.ids import SECOND, is_abroad
from gkc_engine.ivr.fastagi import AgiSession

HOPE_S = 4.5
"""How long after its timeout the core still waits for what came of an offer, less a margin."""

SILENT_S = 1.5
"""A phone that has not even said that it rings within this is taken for one that is not there."""

SILENT_GUEST_S = 1.2
"""The same for a guest: his center gives us up after 1.5 s, and should hear from us before."""

CAUSE_NOT_THERE = 20
"""Q.850 "subscriber absent": how we end the leg to a phone that said nothing."""

DEDUCE_S = 0.7
"""After its timeout Dial returns at once; the core waits 5 s for what came of it."""

_FAILURES = {
    "BUSY": ev.OfferFailure.BUSY,
    "NOANSWER": ev.OfferFailure.NO_ANSWER,
    "CHANUNAVAIL": ev.OfferFailure.UNREACHABLE,
    "CONGESTION": ev.OfferFailure.UNREACHABLE,
    "DONTCALL": ev.OfferFailure.REJECTED,
    "TORTURE": ev.OfferFailure.REJECTED,
    "INVALIDARGS": ev.OfferFailure.UNREACHABLE,
}
CAUSE_REJECTED = 21
"""Q.850 cause of a SIP 603: the operator declined."""


def ring_s(host: Host, offer: cmd.OfferContact) -> float:
    """Return Dial's timeout: the queue's own, less if the core would stop waiting before."""
    timeout = offer.timeout_us / SECOND
    begun = (host.now() - offer.created) / SECOND
    return min(timeout, timeout + HOPE_S - begun)


async def deduce_answer(host: Host, call: Call, offer: cmd.OfferContact, rings_s: float) -> None:
    """Without AMI: a Dial that has not returned after its timeout is a talk."""
    await asyncio.sleep(rings_s + DEDUCE_S)
    if call.answered_by is None and call.dialling is offer:
        # Cancelled when the Dial ends meanwhile; a word of AMI meanwhile counts first.
        agent_id, leg, at = await host.answer_of(call, offer)
        host.facts.answered(call, agent_id, leg, at)


async def hang_up_silent(host: Host, call: Call) -> None:
    """Give up a phone that does not say within 1.5 s that it rings: it is not there.

    Counted from Asterisk's own word that it sent the INVITE, so that a slow AMI costs nobody
    his ring; without AMI the offer's timeout decides.
    """
    await call.leg_bound.wait()
    await asyncio.sleep(SILENT_GUEST_S if call.guest else SILENT_S)
    for leg in tuple(call.legs):
        if leg not in call.rang and leg != call.talk_leg:
            host.hang_up(leg, CAUSE_NOT_THERE)


def failure(
    host: Host, call: Call, offer: cmd.OfferContact, status: str, cause: str
) -> ev.OfferFailure:
    """Return why a Dial ended without a talk, from DIALSTATUS, HANGUPCAUSE and AMI's causes."""
    if offer.offer_id in call.rescinded:
        return ev.OfferFailure.RESCINDED
    rang = call.rang - call.out  # of the others the core knows already
    if CAUSE_NOT_THERE in (c for leg, c in call.causes.items() if leg not in call.out):
        return ev.OfferFailure.UNREACHABLE
    if status == "BUSY" and is_abroad(offer.agent_ids[0]):
        return ev.OfferFailure.BUSY  # the other center's word for whatever happened there
    if cause == str(CAUSE_REJECTED) or (status == "BUSY" and (rang or cause == "0")):
        # Who let it ring and then says "busy" has seen the call and does not want it; busy
        # without a cause is a phone's call forwarding, which Dial's option i does not follow.
        return ev.OfferFailure.REJECTED
    if status == "NOANSWER" and not rang and host.ami_up():
        return ev.OfferFailure.UNREACHABLE  # 480, 408: nobody was there to hear it
    return _FAILURES.get(status, ev.OfferFailure.UNREACHABLE)


def tell_failed(host: Host, offer: cmd.OfferContact, why: ev.OfferFailure, reason: str) -> None:
    """Tell the core that an offer came to nothing."""
    host.submit(
        ev.OfferFailed(offer_id=offer.offer_id, failure=why, reason=reason),
        f"failed:{offer.offer_id}",
    )


async def show_word(call: Call, agi: AgiSession, offer: cmd.OfferContact) -> None:
    """Let the operator's phone show, in place of the queue's title, why he has the citizen back."""
    if call.word is not None and call.word[0] == offer.offer_id:
        call.shown = None  # the title again before the next ring
        await agi.set_variable("CALLERID(name)", call.word[1])


async def notice(host: Host, call: Call, agi: AgiSession, voice: QueueVoice) -> None:
    """Tell the citizen once, in full, before any talk, that it will be recorded."""
    if call.noticed or voice.record == "never" or voice.record_notice is None:
        return
    sound = host.sound(voice.record_notice, call.language)
    if sound is not None:
        path = sound.path
        await under_lease(host, call, agi, lambda: agi.stream_file(path), sound.seconds)
    call.noticed = True
