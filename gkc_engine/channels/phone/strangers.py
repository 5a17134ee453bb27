"""Calls that came past us into a native queue: registered when we hear of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Medium
from gkc_engine.channels.phone.calls import Call
from gkc_engine.ids import Instant

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel


def register(
    channel: PhoneChannel, *, leg: str, entry: str, number: str, at: Instant | None
) -> Call | None:
    """Begin the record of a call that Asterisk holds without us; ``None`` if it has one.

    Args:
        channel: The phone channel.
        leg: Asterisk's Uniqueid of the citizen's channel.
        entry: What he dialled; empty when it is not known.
        number: The citizen's number as the network sent it.
        at: When he came, in Asterisk's clock.
    """
    key = f"started:{leg}"
    if leg in channel.calls.by_leg or channel.engine.has_taken("ami", key):
        return None
    contact_id, registered = channel.desk.new_contact(channel.now())
    call = Call(
        contact_id=contact_id,
        leg=leg,
        channel="",
        entry=entry,
        language=channel.first_language(entry),
    )
    channel.submit(
        ev.ContactStarted(
            contact_id=contact_id,
            medium=Medium.VOICE,
            number=registered,
            entry=entry,
            citizen=channel.desk.citizen(number, "", channel.now()),
            language=call.language,
            uniqueid=leg,
            at=at,
        ),
        key,
    )
    channel.calls.add(call)
    channel.submit(ev.ContactDetached(contact_id=contact_id, at=at), None)
    return call
