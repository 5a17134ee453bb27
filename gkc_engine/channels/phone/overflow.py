"""The owner's side of a call to another center: ``Dial`` on the citizen's own socket.

He hears our music until the operator there answers, and his place is kept. The call carries a
token that names the reservation; what becomes of it is told as of an offer to an operator of ours
(``facts``, ``serve``), the trunk's leg standing for his phone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.state import ContactState
from gkc_engine.channels.phone import lease
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.contact_token import ContactToken, TokenSigner
from gkc_engine.ids import (
    ABROAD,
    CONSULT,
    SECOND,
    AgentId,
    ContactId,
    Instant,
    Micros,
    is_abroad,
)
from gkc_engine.ivr.fastagi import AgiSession

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel
    from gkc_engine.channels.phone.plan import Between

_ASKED: Final = (ContactState.OFFERED, ContactState.TALK)
"""States of a call for advice in which an expert is asked; the answer may not be known yet."""

NO_TRUNK: Final = "no trunk in the config"
LATE: Final = "too late to go there"


@dataclass(frozen=True, slots=True)
class Way:
    """What Dial is told."""

    target: str
    seconds: float
    options: str


def as_offer(command: cmd.OverflowContact) -> cmd.OfferContact:
    """Return the same as an offer to one operator, which to the core it is."""
    return cmd.OfferContact(
        offer_id=command.offer_id,
        contact_id=command.contact_id,
        agent_ids=(command.agent_id,),
        queue=command.queue,
        timeout_us=command.timeout_us,
        step=0,
        created=command.created,
    )


class Overflow:
    """Knows the way to the other centers, and whose leg a trunk's is."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel

    async def prepare(
        self, call: Call, agi: AgiSession, command: cmd.OverflowContact
    ) -> Way | None:
        """Make the citizen's line ready for the Dial; ``None``: nobody is called, the core knows.

        Raises:
            AgiClosed: the socket ended; Asterisk has the citizen.
        """
        channel, voice = self._channel, self._channel.voice(command.queue)
        call.shown = None  # our queue's title is for our own phones
        await lease.end(call, agi, "CALLERID(name)=")
        # What is recorded is told to him first: here there is no time for that.
        told = (call.noticed or voice.record_notice is None) and not call.consult
        await channel.recorder.begin(
            call, agi, as_offer(command), voice.record if told else "never"
        )
        between, now = channel.plan.between, channel.now()
        if between is None or command.center not in between.dials:
            self._failed(command, ev.OfferFailure.UNREACHABLE, NO_TRUNK)
        elif command.until <= now:
            # The operator there is free again, and to call would bring a refusal; not his fault.
            self._failed(command, ev.OfferFailure.RESCINDED, LATE)
        else:
            return self._way(command, between, voice.musicclass, now)
        await channel.recorder.end(call, agi)
        return None

    def _failed(self, command: cmd.OverflowContact, why: ev.OfferFailure, reason: str) -> None:
        self._channel.submit(
            ev.OfferFailed(offer_id=command.offer_id, failure=why, reason=reason),
            f"failed:{command.offer_id}",
        )

    def _way(self, command: cmd.OverflowContact, between: Between, music: str, now: Instant) -> Way:
        token = ContactToken(
            reservation_id=command.reservation_id,
            owner=between.center,
            donor=command.center,
            left_us=Micros(command.until - now),
        )
        signed = TokenSigner(between.token_key).sign(token)
        first_s = command.enqueued // SECOND
        trunk = between.dials[command.center].removeprefix("PJSIP/")
        return Way(
            target=f"PJSIP/gkc-{command.queue}@{trunk}",
            seconds=(command.created + command.timeout_us - now) / SECOND,
            options=f"gim({music})b(prehdr^add^1({signed}^{first_s}))",
        )

    def experts(self, about: ContactId) -> Iterator[AgentId]:
        """Iterate over operators abroad who are asked for advice about a contact."""
        acd = self._channel.engine.acd
        for contact_id in acd.contacts():
            view = acd.contact_view(contact_id) if contact_id.startswith(CONSULT) else None
            if view is None or view.about != about or view.state not in _ASKED:
                continue
            if view.agent_id is not None and is_abroad(view.agent_id):
                yield view.agent_id

    def agent_behind(self, call: Call, endpoint: str | None) -> AgentId | None:
        """Return the operator abroad whom this call's leg ``endpoint`` leads to."""
        between = self._channel.plan.between
        if between is None or endpoint is None or endpoint not in between.dials.values():
            return None
        view = self._channel.contact(call.contact_id)
        asked = call.dialling.agent_ids if call.dialling is not None else ()
        known = (*asked, view.agent_id) if view is not None and view.agent_id else asked
        for agent_id in (*known, *self.experts(call.contact_id)):
            center = agent_id.partition(ABROAD)[0]
            if is_abroad(agent_id) and between.dials.get(center) == endpoint:
                return agent_id
        return None
